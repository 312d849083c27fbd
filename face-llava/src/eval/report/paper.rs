//! The paper's figures: Tables 3, 5 and 10 of arXiv 2504.07198, as printed.
//!
//! Table 4 (action units) is not here: its figures could not be had from a source that can be cited.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

/// A part of one of the paper's tables: the figures of one benchmark, or of one criterion of the judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaperTable {
    /// Its number.
    pub table: u8,
    /// The benchmark's name in files; in Table 10 the criterion's.
    pub benchmark: String,
    /// What the columns are.
    pub metrics: Vec<String>,
    /// In the paper's order.
    pub rows: Vec<PaperRow>,
}

/// A method's figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PaperRow(
    /// `closed` (a service), `zero-shot`, `fine-tuned` on the benchmark, or `reference`.
    pub String,
    /// The method as printed.
    pub String,
    /// By metric; none where the paper has a dash.
    pub Vec<Option<f64>>,
);

/// All of them; the file was checked when the program was built and tested.
pub fn paper_tables() -> &'static [PaperTable] {
    static TABLES: OnceLock<Vec<PaperTable>> = OnceLock::new();
    TABLES.get_or_init(|| serde_json::from_str(include_str!("paper.json")).unwrap_or_default())
}

/// The figures of a benchmark.
pub(super) fn of_benchmark(name: &str) -> Option<&'static PaperTable> {
    paper_tables().iter().find(|table| table.benchmark == name && table.table != 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::BENCHMARKS;

    #[test]
    fn every_row_is_whole_and_every_table_has_its_benchmark() {
        let tables = paper_tables();
        assert_eq!(tables.iter().map(|t| t.rows.len()).collect::<Vec<_>>(), [19, 16, 15, 12, 12, 13, 13, 8, 8, 8]);
        for table in tables {
            for PaperRow(_, method, values) in &table.rows {
                assert_eq!(values.len(), table.metrics.len(), "{method}");
            }
            let known = BENCHMARKS.iter().any(|b| b.name() == table.benchmark);
            assert_eq!(known, table.table != 10, "{}", table.benchmark);
        }
        let without: Vec<&str> =
            BENCHMARKS.iter().map(|b| b.name()).filter(|name| of_benchmark(name).is_none()).collect();
        assert_eq!(without, ["disfa", "bp4d"]);
    }

    #[test]
    fn the_column_all_is_the_mean_of_the_tasks() {
        let whole = paper_tables().iter().filter(|t| t.table == 10).flat_map(|t| &t.rows);
        for PaperRow(_, method, values) in whole.filter(|row| ["Face-LLaVA", "LLaVA-OV"].contains(&row.1.as_str())) {
            let values: Vec<f64> = values.iter().flatten().copied().collect();
            assert!((values[..5].iter().sum::<f64>() / 5.0 - values[5]).abs() < 0.011, "{method}");
        }
    }
}

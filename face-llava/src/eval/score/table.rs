//! Truths and readings side by side, ready to be drawn from again and again.

use super::{CS_YEARS, ClassValue, Protocol};
use crate::Task;
use crate::eval::metrics::{Confusion, FlagCounts, cumulative_score, mean_absolute_error, roc_auc};
use crate::eval::{EvalError, Parsed, Prediction, Truth};

/// The counted items of a benchmark.
pub(super) struct Table<'a> {
    protocol: &'a Protocol<'a>,
    rows: Rows,
}

enum Rows {
    Choices(Vec<Choice>),
    Flags(Vec<Vec<(bool, Option<bool>)>>),
    Ages(Vec<(f64, Option<f64>)>),
}

/// An item of one label.
struct Choice {
    truth: usize,
    read: Option<usize>,
    /// How much likelier fake is than real.
    margin: Option<f64>,
    failed: bool,
}

impl<'a> Table<'a> {
    pub fn new(protocol: &'a Protocol<'a>) -> Self {
        let rows = match protocol.task {
            Task::Expression | Task::Deepfake => Rows::Choices(Vec::new()),
            Task::ActionUnits | Task::Attributes => Rows::Flags(Vec::new()),
            Task::Age => Rows::Ages(Vec::new()),
        };
        Self { protocol, rows }
    }

    /// Adds an item with what was read of its answer.
    pub fn add(&mut self, row: &Prediction, parsed: Parsed) -> Result<(), EvalError> {
        let refuse = |what: String| EvalError::Row { id: row.id.clone(), what };
        let (task, labels) = (self.protocol.task, self.protocol.labels);
        match (&mut self.rows, &row.truth) {
            (Rows::Choices(rows), Truth::Label(truth)) => {
                let of = |label: &str| labels.iter().position(|l| *l == label);
                let outside = || refuse(format!("the truth {truth:?} is none of {}", labels.join(", ")));
                let truth = of(truth).ok_or_else(outside)?;
                let read = if let Parsed::Label(label) = &parsed { of(label) } else { None };
                rows.push(Choice { truth, read, margin: margin(row), failed: row.error.is_some() });
            }
            (Rows::Flags(rows), Truth::Units(truth)) if task == Task::ActionUnits => {
                // Without a reading no unit was found.
                let read = if let Parsed::Units(units) = parsed { units } else { Vec::new() };
                let has = |units: &[u8], label: &str| units.iter().any(|unit| format!("AU{unit}") == label);
                rows.push(labels.iter().map(|label| (has(truth, label), Some(has(&read, label)))).collect());
            }
            (Rows::Flags(rows), Truth::Attributes(truth)) if task == Task::Attributes => {
                if truth.len() != labels.len() {
                    return Err(refuse(format!("the truth has {} attributes of {}", truth.len(), labels.len())));
                }
                let read = if let Parsed::Attributes(read) = parsed { read } else { vec![None; truth.len()] };
                rows.push(truth.iter().copied().zip(read).collect());
            }
            (Rows::Ages(rows), Truth::Age(truth)) => {
                rows.push((*truth, if let Parsed::Age(years) = parsed { Some(years) } else { None }));
            }
            _ => return Err(refuse(format!("the truth is not of the task {}", task.name()))),
        }
        Ok(())
    }

    /// The names of [`Self::figures`].
    pub fn names(&self) -> &'static [&'static str] {
        match self.protocol.task {
            Task::Expression if self.protocol.benchmark == "raf-db" => &["accuracy", "UAR"],
            Task::Expression => &["UAR", "WAR"],
            Task::ActionUnits => &["F1"],
            Task::Attributes => &["mAcc"],
            Task::Age => &["MAE", "CS(5)"],
            Task::Deepfake => &["accuracy", "AUC"],
        }
    }

    /// The figures of some items, by number; an item may occur more than once.
    pub fn figures(&self, items: &[usize]) -> Vec<Option<f64>> {
        match &self.rows {
            Rows::Choices(rows) => {
                let matrix = self.matrix(rows, items);
                let figure = |name: &&str| match *name {
                    "UAR" => matrix.mean_recall(),
                    "AUC" => self.auc(rows, items),
                    _ => matrix.accuracy(),
                };
                self.names().iter().map(figure).collect()
            }
            Rows::Flags(rows) => {
                let values: Vec<f64> = self.counts(rows, items).iter().filter_map(|of| self.flag_figure(of)).collect();
                vec![(!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)]
            }
            Rows::Ages(rows) => {
                let ages = || items.iter().map(|i| rows[*i]);
                vec![mean_absolute_error(ages()), cumulative_score(ages(), CS_YEARS)]
            }
        }
    }

    /// What the values of [`Self::per_class`] are.
    pub fn class_metric(&self) -> &'static str {
        match self.protocol.task {
            Task::Expression | Task::Deepfake => "recall",
            Task::ActionUnits => "F1",
            Task::Attributes => "accuracy",
            Task::Age => "",
        }
    }

    /// Each label's figure, where it is defined.
    pub fn per_class(&self, items: &[usize]) -> Vec<ClassValue> {
        let figures: Vec<(Option<f64>, u64)> = match &self.rows {
            Rows::Choices(rows) => {
                let matrix = self.matrix(rows, items);
                (0..matrix.labels.len()).map(|class| (matrix.recall(class), matrix.support(class))).collect()
            }
            Rows::Flags(rows) => {
                self.counts(rows, items).iter().map(|of| (self.flag_figure(of), of.positives)).collect()
            }
            Rows::Ages(_) => Vec::new(),
        };
        let labels = self.protocol.labels.iter();
        let values = labels.zip(figures).filter_map(|(label, (value, support))| {
            Some(ClassValue { label: (*label).to_owned(), value: value?, support })
        });
        values.collect()
    }

    /// Which label was taken for which.
    pub fn confusion(&self, items: &[usize]) -> Option<Confusion> {
        if let Rows::Choices(rows) = &self.rows { Some(self.matrix(rows, items)) } else { None }
    }

    fn matrix(&self, rows: &[Choice], items: &[usize]) -> Confusion {
        let mut matrix = Confusion::new(self.protocol.labels);
        items.iter().for_each(|i| matrix.add(rows[*i].truth, rows[*i].read));
        matrix
    }

    /// Failed items have no margin and no part in it; a margin that an answered one lacks leaves it undefined.
    fn auc(&self, rows: &[Choice], items: &[usize]) -> Option<f64> {
        let fake = self.protocol.labels.iter().position(|label| *label == "fake")?;
        let complete = rows.iter().all(|row| row.failed || row.margin.is_some());
        let scored = items.iter().filter_map(|i| Some((rows[*i].truth == fake, rows[*i].margin?)));
        if complete { roc_auc(scored) } else { None }
    }

    fn counts(&self, rows: &[Vec<(bool, Option<bool>)>], items: &[usize]) -> Vec<FlagCounts> {
        let mut counts = vec![FlagCounts::default(); self.protocol.labels.len()];
        for i in items {
            for (count, (truth, read)) in counts.iter_mut().zip(&rows[*i]) {
                count.add(*truth, *read);
            }
        }
        counts
    }

    fn flag_figure(&self, of: &FlagCounts) -> Option<f64> {
        let unit = self.protocol.task == Task::ActionUnits;
        if unit { (of.items > 0).then(|| of.f1()) } else { of.accuracy() }
    }
}

fn margin(row: &Prediction) -> Option<f64> {
    let likelihoods = row.likelihoods.as_ref()?;
    let margin = likelihoods.get("fake")? - likelihoods.get("real")?;
    margin.is_finite().then_some(margin)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::eval::PredictionFault;

    const UNITS: Protocol<'_> = Protocol {
        benchmark: "disfa",
        title: "DISFA",
        split: "all",
        task: Task::ActionUnits,
        labels: &["AU1", "AU2", "AU12"],
    };
    const VERDICTS: Protocol<'_> =
        Protocol { benchmark: "ff++", title: "FF++", split: "test", task: Task::Deepfake, labels: &["real", "fake"] };
    const TWO: Protocol<'_> =
        Protocol { benchmark: "own", title: "Own", split: "all", task: Task::Attributes, labels: &["Bald", "Young"] };

    fn row(truth: Truth, margin: Option<f64>) -> Prediction {
        let likelihoods = margin.map(|m| BTreeMap::from([("fake".into(), m), ("real".into(), 0.0)]));
        Prediction {
            id: "a".into(),
            path: String::new(),
            truth,
            raw: Some(String::new()),
            likelihoods,
            landmarks_used: None,
            error: None,
        }
    }

    #[test]
    fn units_outside_of_the_list_do_not_count() {
        let mut table = Table::new(&UNITS);
        table.add(&row(Truth::Units(vec![1, 5]), None), Parsed::Units(vec![1, 4])).unwrap();
        table.add(&row(Truth::Units(vec![1, 12]), None), Parsed::Unparsed).unwrap();
        assert_eq!(table.figures(&[0, 1]), [Some(2.0 / 3.0 / 3.0)]);
        assert_eq!(table.figures(&[0, 0]), [Some(1.0 / 3.0)]);
        let supports: Vec<u64> = table.per_class(&[0, 1]).iter().map(|c| c.support).collect();
        assert_eq!(supports, [2, 0, 1]);
        assert_eq!((table.figures(&[]), table.per_class(&[]).len()), (vec![None], 0));
    }

    #[test]
    fn unanswered_attributes_are_wrong() {
        let mut table = Table::new(&TWO);
        let truth = || row(Truth::Attributes(vec![true, false]), None);
        table.add(&truth(), Parsed::Attributes(vec![Some(true), None])).unwrap();
        table.add(&truth(), Parsed::Unparsed).unwrap();
        assert_eq!(table.figures(&[0, 1]), [Some(0.25)]);
        let short = row(Truth::Attributes(vec![true]), None);
        assert!(table.add(&short, Parsed::Unparsed).unwrap_err().to_string().contains("1 attributes of 2"));
        assert!(table.add(&row(Truth::Units(vec![]), None), Parsed::Unparsed).is_err());
    }

    #[test]
    fn failed_items_have_no_part_in_the_area_and_missing_margins_leave_it_out() {
        let mut table = Table::new(&VERDICTS);
        let real = |margin| row(Truth::Label("real".into()), margin);
        table.add(&real(Some(-1.0)), Parsed::Label("real".into())).unwrap();
        table.add(&row(Truth::Label("fake".into()), Some(1.0)), Parsed::Label("real".into())).unwrap();
        let mut failed = real(None);
        failed.error = Some(PredictionFault { code: "media".into(), message: "broken".into() });
        table.add(&failed, Parsed::Unparsed).unwrap();
        assert_eq!(table.figures(&[0, 1, 2]), [Some(1.0 / 3.0), Some(1.0)]);
        assert_eq!(table.figures(&[0, 0]), [Some(1.0), None]);
        table.add(&real(None), Parsed::Label("real".into())).unwrap();
        assert_eq!(table.figures(&[0, 1, 2, 3]), [Some(0.5), None]);
    }
}

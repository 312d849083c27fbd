//! Scores as a folder to look at: tables beside the paper's, pictures, and a page with the answers.
//!
//! ```text
//! report.md, report.json          figures
//! confusion-*.svg, classes-*.svg  pictures of them
//! index.html                      media with answers, where predictions are given
//! ```

mod charts;
mod items;
mod markdown;
mod page;
mod paper;

use std::path::Path;

use landmarks::files::{write_bytes, write_folder};
use serde_json::json;

pub use paper::{PaperRow, PaperTable, paper_tables};

use super::judge::JudgeReport;
use super::{EvalError, Predictions, Score};

/// What a report is made of.
#[derive(Clone, Copy, Debug)]
pub struct ReportInput<'a> {
    /// The figures, in the order in which they are told.
    pub scores: &'a [Score],
    /// The answers that the page shows; each file is read by the scorer of its first score.
    pub predictions: &'a [Predictions],
    /// What a judge thought of the answers.
    pub judged: Option<&'a JudgeReport>,
    /// Items of each file of predictions that the page shows at most.
    pub page_items: usize,
}

impl<'a> ReportInput<'a> {
    /// Figures only.
    pub fn new(scores: &'a [Score]) -> Self {
        Self { scores, predictions: &[], judged: None, page_items: 500 }
    }
}

/// What the words are about.
struct Contents<'a> {
    scores: &'a [Score],
    judged: Option<&'a JudgeReport>,
    has_page: bool,
}

/// Writes a report's folder, which must not be there yet.
///
/// # Errors
/// [`EvalError::File`] where the folder is there or cannot be written; [`EvalError::Row`] for predictions that their
/// scorer refuses.
pub fn write_report(input: &ReportInput<'_>, out: &Path) -> Result<(), EvalError> {
    let refuse = |what: String| EvalError::File { path: out.into(), what };
    if out.exists() {
        return Err(refuse("is there already; name another --out".into()));
    }
    let mut files = Vec::new();
    for score in input.scores {
        let title = format!("{}: {}, {}", score.title, method(score), score.scorer.name());
        if let Some(matrix) = &score.confusion {
            files.push((confusion_name(score), charts::confusion(matrix, &title).map_err(refuse)?));
        }
        if !score.per_class.is_empty() {
            let title = format!("{title} ({} of each class)", score.class_metric);
            files.push((bars_name(score), charts::classes(score, &title).map_err(refuse)?));
        }
    }
    let has_page = !input.predictions.is_empty();
    if has_page {
        files.push(("index.html".into(), page::page(&items::runs(input)?)));
    }
    let contents = Contents { scores: input.scores, judged: input.judged, has_page };
    files.push(("report.md".into(), markdown::markdown(&contents)));
    let all = json!({ "scores": input.scores, "judged": input.judged, "paper": paper_tables() });
    files.push(("report.json".into(), format!("{all:#}\n")));
    write_folder(out, |folder| {
        files.iter().try_for_each(|(name, text)| write_bytes(&folder.join(name), text.as_bytes()))
    })
    .map_err(|e: landmarks::Error| refuse(e.to_string()))
}

/// What a run's answers came from, in a few words.
fn method(score: &Score) -> String {
    let answerer = &score.settings["answerer"];
    let name = answerer["model"]["name"].as_str().or(answerer["model"].as_str());
    name.unwrap_or("unnamed model").to_owned()
}

fn confusion_name(score: &Score) -> String {
    format!("confusion-{}", file_name(score))
}

fn bars_name(score: &Score) -> String {
    format!("classes-{}", file_name(score))
}

/// One for each score: what it is about, and the beginning of a digest of what it was made from.
fn file_name(score: &Score) -> String {
    let plain = |text: &str| {
        let plain = text.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' });
        plain.take(40).collect::<String>()
    };
    let digest: String = plain(&score.predictions_sha256).chars().take(8).collect();
    let (benchmark, task) = (plain(&score.benchmark), score.task.name());
    format!("{benchmark}-{task}-{}-{digest}.svg", score.scorer.name())
}

//! `face-llava eval report`

use std::path::{Path, PathBuf};

use clap::Args;
use face_llava::eval::judge::JudgeReport;
use face_llava::eval::report::{ReportInput, write_report};
use face_llava::eval::{EvalError, Score, read_all};
use landmarks::picture::read_file;

use super::super::{Failure, Outcome, busy, complain, say};

/// Bytes of a file of scores.
const MAX_SCORES: u64 = 256 << 20;

#[derive(Args)]
#[command(after_help = "Example:
  face-llava eval report scores.json --predictions raf-db.jsonl --out report

Writes report.md, report.json, a confusion matrix and a bar for each class as pictures, and,
with --predictions, index.html: one page without network that shows pictures with the answers.")]
pub(super) struct Arguments {
    /// Files that `eval score --out` wrote
    #[arg(required = true, value_name = "SCORES.json")]
    scores: Vec<PathBuf>,
    /// Predictions to show; each file is read by the scorer of its first score
    #[arg(long, num_args = 1.., value_name = "FILE.jsonl")]
    predictions: Vec<PathBuf>,
    /// Files that `eval judge` wrote, for Table 10
    #[arg(long, num_args = 1.., value_name = "FILE.jsonl")]
    judgements: Vec<PathBuf>,
    /// Items of each file of predictions that the page shows at most
    #[arg(long, default_value_t = 500, value_name = "N")]
    page_items: usize,
    /// Folder to write, which must not be there yet
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut scores = Vec::new();
    for path in &arguments.scores {
        scores.extend(read(path)?);
    }
    let predictions = read_all(&arguments.predictions)?;
    let judged = match arguments.judgements.as_slice() {
        [] => None,
        paths => Some(JudgeReport::of(paths)?),
    };
    let (page_items, judged) = (arguments.page_items, judged.as_ref());
    let bar = busy("drawing");
    let input = ReportInput { scores: &scores, predictions: &predictions, judged, page_items };
    let written = write_report(&input, &arguments.out);
    bar.finish_and_clear();
    written?;
    let rows = || predictions.iter().flat_map(|of| &of.rows);
    let lost = rows().filter(|row| !Path::new(&row.path).exists()).count();
    if lost > 0 {
        let all = rows().count();
        complain(&format!(
            "note: {lost} of {all} pictures are not found from this folder; index.html goes without them"
        ));
    }
    say(format_args!("written: {}/report.md, report.json and pictures", arguments.out.display()))?;
    Ok(Outcome::Done)
}

fn read(path: &Path) -> Result<Vec<Score>, Failure> {
    let bytes = read_file(path, MAX_SCORES)?;
    let refuse = |e| EvalError::File { path: path.into(), what: format!("not a file of scores: {e}") };
    Ok(serde_json::from_slice(&bytes).map_err(refuse)?)
}

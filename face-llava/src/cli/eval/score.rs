//! `face-llava eval score` and `eval merge`

use std::path::PathBuf;

use clap::Args;
use face_llava::eval::{Asked, EvalError, Score, Scorer, read_all, write_predictions};
use landmarks::files::write_bytes;

use super::super::{Failure, Outcome, not_among, say};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava eval score raf-db.jsonl --scorer strict
  face-llava eval score dfew-0.jsonl dfew-1.jsonl --scorer text-compatible,strict --out scores.json

Shards of a run are taken together.")]
pub(super) struct Arguments {
    /// Files of predictions
    #[arg(required = true, value_name = "FILE.jsonl")]
    files: Vec<PathBuf>,
    /// How answers are read, several separated by commas: text-compatible (the rules that were published with this
    /// family of models), strict (the first explicit label), likelihood (the likeliest label)
    #[arg(long, default_value = "strict", value_delimiter = ',', value_parser = parse_scorer, value_name = "SCORER")]
    scorer: Vec<Scorer>,
    /// Seed of the 95 % intervals
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// Write the scores to this file
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
}

#[derive(Args)]
#[command(after_help = "Example:
  face-llava eval merge dfew-0.jsonl dfew-1.jsonl --out dfew.jsonl")]
pub(super) struct MergeArguments {
    /// All shards of a run
    #[arg(required = true, value_name = "FILE.jsonl")]
    files: Vec<PathBuf>,
    /// Write what the run would have written at once
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// Write over rows that were made otherwise
    #[arg(long)]
    overwrite: bool,
}

fn parse_scorer(name: &str) -> Result<Scorer, String> {
    let names = || Scorer::ALL.map(Scorer::name).join(", ");
    Scorer::parse(name).ok_or_else(|| format!("expected some of {}", names()))
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    if let Some(out) = &arguments.out {
        not_among(out, &arguments.files)?;
    }
    let mut scores = Vec::new();
    for predictions in read_all(&arguments.files)? {
        let asked = Asked::of(&predictions.settings, &arguments.files[0])?;
        for scorer in &arguments.scorer {
            scores.push(asked.score(&predictions, *scorer, arguments.seed)?);
        }
    }
    say(format_args!(
        "{:<18} {:<16} {:<9} {:>8}  {:<18} {:>7} {:>8} {:>7}",
        "", "scorer", "", "", "95 %", "items", "no label", "failed"
    ))?;
    scores.iter().try_for_each(tell)?;
    if let Some(out) = &arguments.out {
        let mut json = serde_json::to_vec_pretty(&scores)?;
        json.push(b'\n');
        write_bytes(out, &json)?;
    }
    Ok(Outcome::Done)
}

/// A line for each figure.
fn tell(score: &Score) -> Result<(), Failure> {
    let (title, scorer) = (format!("{} {}", score.title, score.split), score.scorer.name());
    let counts = format!("{:>7} {:>8} {:>7}", score.items, score.unparsed, score.failed);
    if score.metrics.is_empty() {
        return say(format_args!("{title:<18} {scorer:<16} {:<9} {:>8}  {:<18} {counts}", "none", "-", ""));
    }
    score.metrics.iter().try_for_each(|metric| {
        let interval = format!("[{:.3}, {:.3}]", metric.low, metric.high);
        say(format_args!("{title:<18} {scorer:<16} {:<9} {:>8.3}  {interval:<18} {counts}", metric.name, metric.value))
    })
}

pub(super) fn merge(arguments: &MergeArguments) -> Result<Outcome, Failure> {
    not_among(&arguments.out, &arguments.files)?;
    let mut runs = read_all(&arguments.files)?;
    match (runs.pop(), runs.len()) {
        (Some(predictions), 0) => write_predictions(&predictions, &arguments.out, arguments.overwrite)?,
        _ => {
            let what = "these are files of several runs; merge those of one".into();
            return Err(EvalError::File { path: arguments.out.clone(), what }.into());
        }
    }
    Ok(Outcome::Done)
}

//! `face-llava eval judge`

use std::path::{Path, PathBuf};

use clap::Args;
use face_llava::data::read_records;
use face_llava::eval::judge::{ChatJudge, Judge, JudgeOptions, JudgeReport, ReplayJudge, judge, references};
use face_llava::eval::{Asked, EvalError, Predictions, read_all};

use super::super::{Failure, Outcome, complain, not_among, progress, say};
use super::endpoint::{EndpointOptions, bill};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava eval judge predictions.jsonl --out judged.jsonl --endpoint https://host/v1 \\
    --endpoint-model gpt-4o-2024-08-06 --key-variable KEY --cache cache
  face-llava eval judge predictions.jsonl --replay judged.jsonl --out again.jsonl

Three criteria from 1 to 10: does the reasoning fit what is shown, does it fit the truth, is it
whole. A reply without three such numbers is a missing rating and counts in no mean. The summary
lies in FILE.summary.json.
Exit codes: 0 every answer was judged, 1 an error, or some have to be judged again: give the
same command.")]
pub(super) struct Arguments {
    /// Predictions of a run, all shards of it
    #[arg(required = true, value_name = "FILE.jsonl")]
    files: Vec<PathBuf>,
    /// Write the judgements to this file, or go on with it
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// Start FILE.jsonl afresh
    #[arg(long)]
    overwrite: bool,
    /// An earlier result of this command instead of an endpoint
    #[arg(long, value_name = "FILE.jsonl", conflicts_with = "endpoint", required_unless_present = "endpoint")]
    replay: Option<PathBuf>,
    /// Ratings of each answer; more than one tell how much the judge agrees with itself
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=20))]
    repeats: u8,
    /// Instruction records whose answers are known to be good; an item's is the one of its name, media or row
    #[arg(long, value_name = "RECORDS.json")]
    references: Option<PathBuf>,
    #[command(flatten)]
    endpoint: EndpointOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let beside = arguments.replay.iter().chain(&arguments.references).cloned();
    not_among(&arguments.out, &arguments.files.iter().cloned().chain(beside).collect::<Vec<_>>())?;
    let mut runs = read_all(&arguments.files)?;
    let (Some(predictions), 0) = (runs.pop(), runs.len()) else {
        let what = "these are files of several runs; judge one at a time".into();
        return Err(EvalError::File { path: arguments.out.clone(), what }.into());
    };
    let task = Asked::of(&predictions.settings, &arguments.files[0])?.task;
    let known = arguments.references.as_deref().map(read_records).transpose()?;
    let good = references(known.as_deref().unwrap_or_default(), task);
    if known.is_some() && !predictions.rows.iter().any(|row| good.contains_key(&row.id)) {
        let what = "none of these records is about an item and task of the answers";
        return Err(Failure::Usage(format!("--references: {what}")));
    }
    let options = JudgeOptions {
        repeats: arguments.repeats.into(),
        references: good,
        workers: arguments.endpoint.workers.into(),
        overwrite: arguments.overwrite,
    };
    let who: Box<dyn Judge> = match (&arguments.replay, arguments.endpoint.chat()) {
        (Some(file), _) => Box::new(ReplayJudge::open(file)?),
        (None, Some(chat)) => {
            some_media_there(&predictions)?;
            Box::new(ChatJudge::new(&chat, arguments.endpoint.cache.as_deref())?)
        }
        (None, None) => return Err(Failure::Usage("give --endpoint and --endpoint-model, or --replay".into())),
    };
    let bar = progress(0, 0, "answers");
    let report = judge(&predictions, task, who.as_ref(), &options, &arguments.out, |at| {
        bar.set_length(at.items as u64);
        bar.set_position(at.done as u64);
    });
    bar.finish_and_clear();
    tell(&report?)
}

/// Paths may be relative. Where none leads anywhere, every rating would be missing for good.
fn some_media_there(predictions: &Predictions) -> Result<(), Failure> {
    match predictions.rows.first() {
        Some(first) if !predictions.rows.iter().any(|row| Path::new(&row.path).exists()) => {
            Err(Failure::Usage(format!(
                "{}: not there, nor any other media of these answers; give the command in the folder where they were made",
                first.path
            )))
        }
        _ => Ok(()),
    }
}

fn tell(report: &JudgeReport) -> Result<Outcome, Failure> {
    say(format_args!("{:<14} {:>7} {:>7} {:>8}  media  truth  whole", "", "answers", "rated", "missing"))?;
    for of in &report.tasks {
        let missing: usize = of.missing.values().sum();
        let means = of.means.map_or_else(
            || "    -      -      -".to_owned(),
            |means| means.values().map(|v| format!("{v:>5.2}")).join("  "),
        );
        say(format_args!("{:<14} {:>7} {:>7} {missing:>8}  {means}", of.task.name(), of.items, of.rated))?;
        for (why, count) in &of.missing {
            complain(&format!("{}: {count} ratings missing: {why}", of.task.name()));
        }
        if of.pending > 0 {
            let last = report.fault.as_ref().map_or_else(String::new, |fault| format!(" ({})", fault.message));
            complain(&format!("{}: {} answers are left{last}; give the same command", of.task.name(), of.pending));
        }
    }
    if let Some(agreement) = &report.agreement {
        let alpha = agreement.values().map(|a| a.alpha.map_or("    -".into(), |alpha| format!("{alpha:>5.2}")));
        say(format_args!("agreement of repeats (Krippendorff's alpha) {}", alpha.join("  ")))?;
    }
    complain(&bill(&report.paid));
    let rated = report.tasks.iter().any(|of| of.rated > 0);
    Ok(if report.complete && rated { Outcome::Done } else { Outcome::Failed })
}

//! `face-llava eval list` and `eval check`

use clap::Args;
use face_llava::eval::{BENCHMARKS, check as check_folder};

use super::super::{Failure, Outcome, say};
use super::data::DataOptions;

#[derive(Args)]
#[command(after_help = "Example:
  face-llava eval check --benchmark raf-db --root RAF-DB

Exit codes: 0 all is there, 1 something is missing or wrong.")]
pub(super) struct CheckArguments {
    #[command(flatten)]
    data: DataOptions,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn list() -> Result<Outcome, Failure> {
    say(format_args!("{:<14} {:<13} {:<9} {:>7}", "", "task", "split", "items"))?;
    for known in BENCHMARKS {
        let (mut name, mut task) = (known.name(), known.task().name());
        for split in known.splits() {
            let items = known.published(split).map_or("?".into(), |items| items.to_string());
            say(format_args!("{name:<14} {task:<13} {split:<9} {items:>7}"))?;
            (name, task) = ("", "");
        }
        say(format_args!("  {}", known.layout()))?;
    }
    Ok(Outcome::Done)
}

pub(super) fn check(arguments: &CheckArguments) -> Result<Outcome, Failure> {
    let data = &arguments.data;
    let Some((known, split)) = data.known()? else {
        let items = data.open()?.dataset.items.len();
        if arguments.json {
            say(serde_json::json!({ "items": items }))?;
        } else {
            say(format_args!("{items} items"))?;
        }
        return Ok(Outcome::Done);
    };
    let report = check_folder(known, &data.root, split)?;
    if arguments.json {
        say(serde_json::to_string(&report)?)?;
    } else {
        say(report.to_string().trim_end())?;
    }
    Ok(if report.is_good() { Outcome::Done } else { Outcome::Failed })
}

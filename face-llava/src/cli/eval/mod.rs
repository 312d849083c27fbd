//! `face-llava eval`

mod data;
mod endpoint;
mod judge;
mod list;
mod report;
mod run;
mod score;

use clap::{Args, Subcommand};

use super::{Failure, Outcome};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava eval list
  face-llava eval run --benchmark raf-db --root RAF-DB --likelihood --out raf-db.jsonl
  face-llava eval score raf-db.jsonl --scorer strict,likelihood --out scores.json
  face-llava eval report scores.json --predictions raf-db.jsonl --out report

Predictions come first and hold all that a score needs: scores are computed again without the
model.")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// The nine benchmarks: tasks, splits, items, and how their folders are laid out
    List,
    /// Check a benchmark's folder: files, counts, media
    Check(list::CheckArguments),
    /// Ask about every item of a benchmark: a row for each
    Run(Box<run::Arguments>),
    /// Lay the shards of a run together
    Merge(score::MergeArguments),
    /// Figures from predictions, without the model
    Score(score::Arguments),
    /// Figures beside the paper's, pictures, and a page with the answers
    Report(report::Arguments),
    /// Have the reasoning of answers rated by a model behind an endpoint
    Judge(judge::Arguments),
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match &arguments.command {
        Command::List => list::list(),
        Command::Check(arguments) => list::check(arguments),
        Command::Run(arguments) => run::run(arguments),
        Command::Merge(arguments) => score::merge(arguments),
        Command::Score(arguments) => score::run(arguments),
        Command::Report(arguments) => report::run(arguments),
        Command::Judge(arguments) => judge::run(arguments),
    }
}

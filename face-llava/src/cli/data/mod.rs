//! `face-llava data`

mod build;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use face_llava::data::{self, Fractions};

use super::{Failure, Outcome, complain, plain, say};

/// Problems that are told one by one in words; `--json` tells all.
const TOLD: usize = 50;

#[derive(Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build instruction records from labelled pictures; run again to go on after an interruption
    Build(Box<build::Arguments>),
    /// Check every record: media, points, conversation, labels
    Check(CheckArguments),
    /// Count what a dataset holds
    Stats(StatsArguments),
    /// Write train.json, val.json and test.json, no person in two of them
    Split(SplitArguments),
}

#[derive(Args)]
#[command(after_help = "Exit codes: 0 all records are good, 1 some are not.")]
struct CheckArguments {
    /// Folder that a build wrote, or a file of records
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// One JSON object for each problem
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct StatsArguments {
    /// Folder that a build wrote, or a file of records
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    parts: PartOptions,
}

#[derive(Args)]
#[command(after_help = "The part of a person follows from the seed and the person's name alone:
u = the first eight bytes of SHA-256(\"SEED:PERSON\") / 2^64; test where u < TEST,
val where u < TEST + VAL, else train. Records without a person go by their row's id or picture.")]
struct SplitArguments {
    /// Folder that a build wrote, or a file of records
    #[arg(value_name = "DIR|FILE")]
    records: PathBuf,
    /// Folder to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    #[command(flatten)]
    parts: PartOptions,
}

#[derive(Args)]
struct PartOptions {
    /// Fraction for training
    #[arg(long, default_value_t = 0.85, value_name = "F")]
    train: f64,
    /// Fraction for choices during training
    #[arg(long, default_value_t = 0.05, value_name = "F")]
    val: f64,
    /// Fraction for the final figures
    #[arg(long, default_value_t = 0.10, value_name = "F")]
    test: f64,
    /// Seed of the split
    #[arg(long, default_value_t = data::SPLIT_SEED, value_name = "S")]
    seed: u64,
}

impl PartOptions {
    fn fractions(&self) -> Fractions {
        Fractions { train: self.train, val: self.val, test: self.test }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match &arguments.command {
        Command::Build(arguments) => build::run(arguments),
        Command::Check(arguments) => check(arguments),
        Command::Stats(arguments) => stats(arguments),
        Command::Split(arguments) => split(arguments),
    }
}

fn check(arguments: &CheckArguments) -> Result<Outcome, Failure> {
    let problems = data::check(&arguments.path)?;
    for problem in problems.iter().take(if arguments.json { usize::MAX } else { TOLD }) {
        if arguments.json {
            say(serde_json::to_string(problem)?)?;
        } else {
            let id = if problem.id.is_empty() { String::new() } else { format!(" ({})", problem.id) };
            say(plain(&format!("entry {}{id}: {}: {}", problem.entry, problem.code, problem.message)))?;
        }
    }
    if problems.is_empty() {
        return Ok(Outcome::Done);
    }
    complain(&format!("{}: {} problems", arguments.path.display(), problems.len()));
    Ok(Outcome::Failed)
}

fn stats(arguments: &StatsArguments) -> Result<Outcome, Failure> {
    let stats = data::stats(&arguments.path, &arguments.parts.fractions(), arguments.parts.seed)?;
    if arguments.json {
        say(serde_json::to_string(&stats)?)?;
        return Ok(Outcome::Done);
    }
    say(format_args!(
        "{} records, {} media, {} faces, {} persons",
        stats.records, stats.media, stats.faces, stats.persons
    ))?;
    for (task, of) in &stats.tasks {
        let list = |counts: Vec<(&str, usize)>| {
            counts.into_iter().map(|(name, n)| format!("{name} {n}")).collect::<Vec<_>>().join(", ")
        };
        let mut labels: Vec<(&str, usize)> = of.labels.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        labels.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let [least, mean, most] = of.answer_words;
        say("")?;
        say(format_args!("{task:<14} {} records", of.records))?;
        say(format_args!("  parts        {}", list(of.splits.iter().map(|(name, n)| (*name, *n)).collect())))?;
        say(format_args!("  label from   {}", list(of.origins.iter().map(|(name, n)| (*name, *n)).collect())))?;
        say(format_args!("  answers      {least:.0} to {most:.0} words, {mean:.1} on average"))?;
        say(format_args!("  labels       {}", list(labels)))?;
    }
    Ok(Outcome::Done)
}

fn split(arguments: &SplitArguments) -> Result<Outcome, Failure> {
    let parts = &arguments.parts;
    let report = data::split(&arguments.records, &arguments.out, &parts.fractions(), parts.seed)?;
    for part in &report.parts {
        say(format_args!("{}.json: {} records, {} persons", part.split.name(), part.records, part.persons))?;
    }
    Ok(Outcome::Done)
}

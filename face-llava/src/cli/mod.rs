//! Arguments, exit codes, and one line for every error.

mod ask;
mod bench;
mod chat;
#[cfg(feature = "data")]
mod data;
mod doctor;
#[cfg(feature = "eval")]
mod eval;
#[cfg(feature = "train")]
mod export;
mod faces;
mod inspect;
mod options;
#[cfg(feature = "data")]
mod prices;
mod run;
#[cfg(feature = "train")]
mod train;

use std::io::Write;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use face_llava::{Answer, Error, Media, Session};
use serde_json::{Value, json};

/// Questions about faces, answered by a language model that is guided by face geometry.
///
/// Answers describe perceived expression and appearance, never what a person feels or who they are.
#[derive(Parser)]
#[command(version, after_help = "Exit codes: 0 done, 1 error, 2 wrong usage, 3 no face found.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find the faces in pictures: boxes, scores, 68 landmarks
    Faces(faces::Arguments),
    /// Ask one question about a picture, a video or a folder of frames
    Ask(ask::Arguments),
    /// Ask many questions in the terminal
    Chat(chat::Arguments),
    /// Build, check, count and split instruction datasets
    #[cfg(feature = "data")]
    Data(data::Arguments),
    /// Put one task to many pictures and videos: a row with labels for each
    Run(run::Arguments),
    /// The paper's nine benchmarks: predictions, scores, reports, the judge
    #[cfg(feature = "eval")]
    Eval(eval::Arguments),
    /// Train a model in stages, or the small model by its recipe
    #[cfg(feature = "train")]
    Train(train::Arguments),
    /// Write a model in the hub's layout with upstream names
    #[cfg(feature = "train")]
    Export(export::Arguments),
    /// Add an adapter to its model for good
    #[cfg(feature = "train")]
    Merge(export::MergeArguments),
    /// Time a model's parts
    Bench(bench::Arguments),
    /// Say what a model's folder holds and what would be loaded
    Inspect(inspect::Arguments),
    /// Check devices, features and helper programs, and run a tiny forward pass
    Doctor,
}

/// What a command reports besides its output.
pub(crate) enum Outcome {
    Done,
    NoFace,
    Failed,
}

/// Everything that ends a command early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Model(#[from] face_llava::Error),
    #[error(transparent)]
    Landmarks(#[from] landmarks::Error),
    #[error(transparent)]
    Encoder(#[from] face_encoder::Error),
    #[cfg(feature = "eval")]
    #[error(transparent)]
    Eval(#[from] face_llava::eval::EvalError),
    #[error("{0}")]
    Usage(String),
    #[error("{}: {what}", path.display())]
    Rows { path: std::path::PathBuf, what: String },
    #[error("input: {0}")]
    Input(std::io::Error),
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
    #[error("output: {0}")]
    Json(#[from] serde_json::Error),
}

pub(crate) fn run() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Faces(arguments) => faces::run(&arguments),
        Command::Ask(arguments) => ask::run(&arguments),
        Command::Chat(arguments) => chat::run(&arguments),
        #[cfg(feature = "data")]
        Command::Data(arguments) => data::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        #[cfg(feature = "eval")]
        Command::Eval(arguments) => eval::run(&arguments),
        #[cfg(feature = "train")]
        Command::Train(arguments) => train::run(&arguments),
        #[cfg(feature = "train")]
        Command::Export(arguments) => export::run(&arguments),
        #[cfg(feature = "train")]
        Command::Merge(arguments) => export::run_merge(&arguments),
        Command::Bench(arguments) => bench::run(&arguments),
        Command::Inspect(arguments) => inspect::run(&arguments),
        Command::Doctor => doctor::run(),
    };
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::NoFace) => ExitCode::from(3),
        // Whoever read the output has seen enough.
        Err(Failure::Output(e)) if e.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            complain(&failure.to_string());
            ExitCode::from(match failure {
                Failure::Usage(_) => 2,
                Failure::Model(face_llava::Error::NoFace { .. }) => 3,
                _ => 1,
            })
        }
    }
}

/// One line of text in which foreign names move neither the terminal's cursor nor the direction of writing.
pub(crate) fn plain(text: &str) -> String {
    let turns = |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || turns(c) { '\u{fffd}' } else { c }).collect()
}

/// One line on stderr.
pub(crate) fn complain(message: &str) {
    let message = plain(message);
    // A closed stderr leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "face-llava: {message}");
}

/// A line of output.
pub(crate) fn say(line: impl std::fmt::Display) -> Result<(), Failure> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

/// What was noticed while media were read, by name.
pub(crate) fn warnings(media: &Media) -> Vec<Value> {
    media.warnings.iter().map(|w| json!(w)).chain(media.clip_warnings().iter().map(|w| json!(w))).collect()
}

/// The same in words, but for profiles of colours: most pictures have one, and most of those say what is assumed.
pub(crate) fn warn(media: &Media) {
    for warning in warnings(media).iter().filter_map(Value::as_str).filter(|name| *name != "profile_ignored") {
        complain(&format!("note: {}", warning.replace('_', " ")));
    }
}

/// Encodes media, with a moving line meanwhile.
pub(crate) fn look(session: &mut Session<'_>, media: &Media) -> Result<(), Failure> {
    let bar = busy("looking at the face");
    let seen = session.set_media(media).map(drop);
    bar.finish_and_clear();
    Ok(seen?)
}

/// Asks and writes the answer as it comes. A failed answer is the inner error, a failed output the outer.
pub(crate) fn tell(session: &mut Session<'_>, question: &str) -> Result<Result<Answer, Error>, Failure> {
    let mut out = std::io::stdout();
    let mut written = Ok(());
    let answer = session.ask_stream(question, |piece| {
        if written.is_ok() {
            written = write!(out, "{piece}").and_then(|()| out.flush());
        }
    });
    written?;
    Ok(answer)
}

/// A moving line on stderr while something takes long; nothing where stderr is no terminal.
pub(crate) fn busy(message: impl Into<std::borrow::Cow<'static, str>>) -> indicatif::ProgressBar {
    let bar = indicatif::ProgressBar::new_spinner().with_message(message);
    bar.enable_steady_tick(std::time::Duration::from_millis(120));
    bar
}

/// Refuses an output that is one of the inputs.
pub(crate) fn not_among(out: &std::path::Path, inputs: &[std::path::PathBuf]) -> Result<(), Failure> {
    let whole = |path: &std::path::Path| path.canonicalize().ok();
    match whole(out).filter(|out| inputs.iter().any(|input| whole(input).as_ref() == Some(out))) {
        Some(_) => Err(Failure::Usage(format!("{} is an input, too; name another file to write", out.display()))),
        None => Ok(()),
    }
}

/// A bar on stderr over `total` things of a kind; nothing for a handful, fewer than `least`.
pub(crate) fn progress(total: u64, least: u64, things: &str) -> indicatif::ProgressBar {
    if total < least {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template(&format!("{{bar:40}} {{pos}}/{{len}} {things}, {{eta}} left"));
    indicatif::ProgressBar::new(total).with_style(style.unwrap_or_else(|_| indicatif::ProgressStyle::default_bar()))
}

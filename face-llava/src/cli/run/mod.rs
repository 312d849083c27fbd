//! `face-llava run`

mod inputs;
mod row;
mod row_file;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use face_llava::{
    Error, Media, NamedDevice, Pixels, Prepared, Sampling, Session, SessionOptions, Sessions, Task, check_question,
};
use landmarks::Select;
use landmarks::picture::OpenOptions;
use serde_json::{Value, json};

use self::row::{Row, RowFace, SCHEMA};
use self::row_file::{RowFile, Tally};
#[cfg(feature = "eval")]
use super::busy;
use super::options::{BitsName, DeviceOption, InputOptions, ModelOptions, landmarks_or, parse_select};
use super::{Failure, Outcome, complain, not_among, progress, say, warnings};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava run --task expression photos/ --out expressions.jsonl
  face-llava run --task action-units --all-faces group.jpg
  face-llava run --task age crops/ --whole-image --out ages.jsonl
  face-llava run --task expression photos/ --scorer likelihood --out fast.jsonl
One JSON object for each input, or for each face with --all-faces, in the order of the inputs:
  {\"schema\":1,\"path\":\"a.jpg\",\"task\":\"expression\",
   \"face\":{\"index\":0,\"bbox\":[..],\"score\":0.9,\"of\":1,\"truncated\":false},
   \"label\":\"happiness\",\"raw\":\"Happiness. ..\",\"stop_reason\":\"end_of_answer\",\"unparsed\":false,
   \"scores\":{\"happiness\":0.97, ..},\"landmarks_used\":true,\"error\":null}
Action units and attributes have labels, a list. stop_reason: length, where --max-new-tokens cut
the answer off. unparsed: the words gave no label. warnings: what was noticed in the file, where
there was anything. error: code and message, where there is no answer.
Folders are searched for files with the usual endings of pictures and videos.
An interrupted run goes on where it stopped when the same command is given again. Inputs that failed
for want of a program, a disk or a device have no row in FILE.jsonl yet; they are asked about again
then, and their rows come last.
Exit codes: 0 all well, 1 some input failed, 2 wrong usage, 3 no face in any of them.")]
pub(crate) struct Arguments {
    /// expression, action-units, attributes, age or deepfake
    #[arg(long, value_parser = parse_task)]
    task: Task,
    #[command(flatten)]
    model: ModelOptions,
    /// Pictures, videos, and folders that are searched for them
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Write the rows to this file, or go on with it; its settings lie beside it in FILE.settings.json
    #[arg(long, value_name = "FILE.jsonl")]
    out: Option<PathBuf>,
    /// Start FILE.jsonl afresh
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// A row for each face instead of the chosen one
    #[arg(long, conflicts_with_all = ["face", "whole_image"])]
    all_faces: bool,
    /// Take each picture as the face crop itself
    #[arg(long, conflicts_with = "face")]
    whole_image: bool,
    /// Leave landmarks out
    #[arg(long)]
    no_landmarks: bool,
    /// How the label is found: read out of the answer's words, or the likeliest of the closed set without writing any
    /// (expression, deepfake; saves the time of the writing)
    #[arg(long, value_enum, default_value = "words")]
    scorer: ScorerName,
    /// Report the probability of each label (expression, deepfake); the default
    #[arg(long, overrides_with = "no_scores")]
    scores: bool,
    /// Leave the labels' probabilities out
    #[arg(long)]
    no_scores: bool,
    /// Ask this instead of the task's own question
    #[arg(long, value_name = "QUESTION")]
    question: Option<String>,
    /// Which face: largest, best, or an index from `face-llava faces`; in a clip, the number of a track
    #[arg(long, default_value = "largest", value_parser = parse_select)]
    face: Select,
    #[command(flatten)]
    input: InputOptions,
    /// Longest answer, tokens [default: 64; 256 for the lists of action units and attributes]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Accept pictures that end early
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    device: DeviceOption,
}

/// How a label is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ScorerName {
    Words,
    Likelihood,
}

pub(super) fn parse_task(name: &str) -> Result<Task, String> {
    let names = || Task::ALL.map(Task::name).join(", ");
    Task::parse(name).ok_or_else(|| format!("expected one of {}", names()))
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = arguments.session()?;
    if let Some(out) = &arguments.out {
        not_among(out, &arguments.paths)?;
    }
    let inputs = inputs::list(&arguments.paths);
    if inputs.is_empty() {
        return Err(Failure::Usage("no pictures or videos in the given folders".into()));
    }
    let device = arguments.device.open()?;
    if !arguments.task.knows_clips() && inputs.iter().any(inputs::Input::is_clip) {
        let task = arguments.task.name();
        complain(&format!("note: {task} is learnt from photographs; what is said about clips is a guess"));
    }
    let (mut file, mut done, mut tally) = (None, inputs::Done::default(), Tally::default());
    // Old rows go only where new ones can be made.
    let loaded = if arguments.overwrite { Some(arguments.model.load(&device)?) } else { None };
    if let Some(path) = &arguments.out {
        let settings = arguments.settings(&options, &device)?;
        let opened = RowFile::open(path, &settings, arguments.overwrite, arguments.all_faces)?;
        (file, done, tally) = (Some(opened.file), opened.done, opened.tally);
    }
    let all = inputs.len() as u64;
    let waiting: Vec<_> = inputs.into_iter().filter(|input| !done.take(&input.name)).collect();
    if !waiting.is_empty() {
        let model = loaded.map_or_else(|| arguments.model.load(&device), Ok)?;
        let bar = progress(all, 5, "inputs").with_position(all - waiting.len() as u64);
        let mut sessions = Sessions::new(&model, &options);
        for some in waiting.chunks(sessions.at_once()) {
            let rows = sessions.map(some, |session, input| arguments.rows(session, input));
            for rows in rows {
                // Left out of a file, such inputs are taken up when the same command is given again.
                let later = file.is_some() && rows.iter().any(|row| row.error.as_ref().is_some_and(|e| e.passing));
                if later {
                    tally.postpone();
                }
                for row in rows {
                    if !later {
                        tally.add(row.error.as_ref().map(|e| e.code), row.unparsed, row.stop_reason);
                    }
                    bar.suspend(|| {
                        if let Some(error) = row.error.as_ref().filter(|e| e.code != row::NO_FACE) {
                            complain(&error.message);
                        }
                        let line = serde_json::to_string(&row)?;
                        match &mut file {
                            Some(_) if later => Ok(()),
                            Some(file) => file.write(&line),
                            None => say(&line),
                        }
                    })?;
                }
            }
            bar.inc(some.len() as u64);
        }
        bar.finish_and_clear();
    }
    if let Some(path) = &arguments.out {
        complain(&format!("{}: {tally}", path.display()));
        if tally.has_failed() {
            complain("rows of failed inputs stay as they are; --overwrite asks about all again");
        }
    }
    Ok(tally.outcome())
}

impl Arguments {
    fn question(&self) -> &str {
        self.question.as_deref().unwrap_or(self.task.questions()[0])
    }

    fn scores(&self) -> bool {
        self.task.openings().is_some() && (self.scores || !self.no_scores)
    }

    fn session(&self) -> Result<SessionOptions, Failure> {
        if self.scorer == ScorerName::Likelihood && self.task.openings().is_none() {
            let task = self.task.name();
            return Err(Failure::Usage(format!(
                "--scorer likelihood goes with expression and deepfake, not with {task}"
            )));
        }
        check_question(self.question())?;
        let usual = if matches!(self.task, Task::ActionUnits | Task::Attributes) { 256 } else { 64 };
        let max_new_tokens = self.max_new_tokens.unwrap_or(usual);
        let sampling = Sampling { max_new_tokens, ..Sampling::default() };
        let mut options = self.input.session(!self.whole_image, landmarks_or(self.no_landmarks), sampling)?;
        options.faces.select = self.face;
        Ok(options)
    }

    /// Everything that the rows depend on besides the inputs.
    fn settings(&self, options: &SessionOptions, device: &NamedDevice) -> Result<Value, Failure> {
        Ok(json!({
            "schema": SCHEMA,
            "version": env!("CARGO_PKG_VERSION"),
            "task": self.task,
            "question": self.question(),
            "template": options.template,
            "sampling": options.sampling,
            "model": self.model.name(),
            "identity": self.identity()?,
            "image_tower": self.model.image_tower,
            "video_tower": self.model.video_tower,
            "decoder": self.model.decoder,
            "quantize": self.model.quantize.map(BitsName::bits),
            "detect": options.faces.detect,
            "face": options.faces.select,
            "all_faces": self.all_faces,
            "crop": options.faces.crop,
            "landmarks": !self.no_landmarks,
            "pad_to_square": options.pad_to_square,
            "visual_tokens": options.visual_tokens,
            "scores": self.scores(),
            "scorer": if self.scorer == ScorerName::Words { "words" } else { "likelihood" },
            "lenient": self.lenient,
            "dtype": self.model.precision.name(),
            "device": device.name,
        }))
    }

    /// What the model is, by content: another build may hold other weights, and so may the same folder another day.
    #[cfg(feature = "eval")]
    fn identity(&self) -> Result<Value, Failure> {
        let bar = busy("looking at the weights");
        let identity = face_llava::eval::model_identity(&self.model.open()?);
        bar.finish_and_clear();
        Ok(identity?)
    }

    #[cfg(not(feature = "eval"))]
    #[expect(clippy::unnecessary_wraps, reason = "as with the feature")]
    fn identity(&self) -> Result<Value, Failure> {
        Ok(Value::Null)
    }

    /// The rows of an input; an error is a row.
    fn rows<'r>(&self, session: &mut Session<'_>, input: &'r inputs::Input) -> Vec<Row<'r>> {
        let mut row = Row::new(&input.name, self.task);
        let options = OpenOptions { lenient: self.lenient, ..OpenOptions::default() };
        let media = match Media::open_with(&input.path, &options) {
            Ok(media) => media,
            Err(error) => return vec![row.failed(&error)],
        };
        row.warnings = warnings(&media);
        let model = session.model();
        let faces = &session.options_mut().faces.clone();
        if !self.all_faces {
            return vec![match model.prepare(&media, faces) {
                Ok(prepared) => self.row(session, row, prepared, None),
                Err(error) => row.failed(&error),
            }];
        }
        let each = match model.prepare_all(&media, faces) {
            Ok(each) => each,
            Err(error) => return vec![row.failed(&error)],
        };
        let of = matches!(media.pixels, Pixels::Image(_)).then_some(each.len());
        let rows = each.into_iter().enumerate().map(|(index, prepared)| match prepared {
            Ok(prepared) => self.row(session, row.clone(), prepared, Some(index)),
            Err(error) => row.clone().about(Some(RowFace::unknown(index, of))).failed(&error),
        });
        rows.collect()
    }

    /// The row of a face; an error is one as well, and further faces may follow.
    fn row<'r>(&self, session: &mut Session<'_>, row: Row<'r>, prepared: Prepared, index: Option<usize>) -> Row<'r> {
        let row = row.about(Some(RowFace::new(prepared.faces(), index)));
        self.answer(session, row.clone(), prepared).unwrap_or_else(|error| row.failed(&error))
    }

    fn answer<'r>(&self, session: &mut Session<'_>, row: Row<'r>, prepared: Prepared) -> Result<Row<'r>, Error> {
        session.set_prepared(prepared)?;
        let question = self.question();
        if self.scorer == ScorerName::Likelihood {
            let scores = session.probabilities(self.task, question)?;
            return Ok(row.likeliest(scores, self.scores(), session.landmarks_used()));
        }
        let answer = session.run_with(self.task, question)?;
        let scores = if self.scores() { Some(session.probabilities(self.task, question)?) } else { None };
        Ok(row.answered(answer, scores))
    }
}

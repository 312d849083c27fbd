//! Is every record of a dataset fit for training?

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use landmarks::POINT_COUNT;
use serde::Serialize;

use super::parts::records_file;
use super::points::read_landmarks;
use super::read::RecordsFile;
use super::record::{LandmarksField, Record, Speaker};
use crate::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Media, Task};

/// What placeholders look like in the first question: of pictures, of clips.
const PLACEHOLDERS: [&str; 2] = ["<image>", "<video>"];

/// Something wrong with a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The record's place in its file, from 1.
    pub entry: usize,
    /// Its name.
    pub id: String,
    /// A name for the kind of problem that programs can rely on.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
}

/// Checks every record of a file, or of the folder that a build wrote: media there and readable, 68 finite points for
/// each picture, questions and answers in turn with one placeholder in front, known labels, each name once.
///
/// # Errors
/// Only where the file itself cannot be read.
pub fn check(path: &Path) -> Result<Vec<Problem>, crate::Error> {
    let file = records_file(path);
    let entries = RecordsFile::read(&file)?.entries;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut checker = Checker { folder, media: HashMap::new(), problems: Vec::new() };
    let mut names: HashSet<&str> = HashSet::new();
    for (record, entry) in entries.iter().zip(1..) {
        let record = match record {
            Ok(record) => record,
            Err(fault) => {
                let (id, code) = (String::new(), "no_record");
                checker.problems.push(Problem { entry, id, code, message: fault.to_string() });
                continue;
            }
        };
        let mut problems = Vec::new();
        if !record.id.is_empty() && !names.insert(&record.id) {
            problems.push(("duplicate_id", "the name is taken by an earlier record".to_owned()));
        }
        checker.record(record, &mut problems);
        let named = problems.into_iter();
        checker.problems.extend(named.map(|(code, message)| Problem { entry, id: record.id.clone(), code, message }));
    }
    Ok(checker.problems)
}

type Problems = Vec<(&'static str, String)>;

struct Checker<'a> {
    folder: &'a Path,
    /// Frames of each file, or why it cannot be read: five records share a crop.
    media: HashMap<PathBuf, Result<usize, String>>,
    problems: Vec<Problem>,
}

impl Checker<'_> {
    fn record(&mut self, record: &Record, problems: &mut Problems) {
        let frames = self.frames(record, problems);
        if let Some(landmarks) = &record.landmarks {
            self.landmarks(landmarks, frames, problems);
        }
        conversation(record, problems);
        if let Some(meta) = &record.meta {
            let unknown = meta.labels.iter().filter(|label| !is_known(meta.task, label));
            problems.extend(unknown.map(|l| ("unknown_label", format!("{l:?} is no label of {}", meta.task.name()))));
        }
    }

    fn frames(&mut self, record: &Record, problems: &mut Problems) -> Option<usize> {
        if record.image.is_some() == record.video.is_some() {
            problems.push(("no_media", "give an image or a video".into()));
            return None;
        }
        let path = record.media()?;
        let full = self.folder.join(path);
        let opened = self.media.entry(path.into()).or_insert_with(|| {
            if !full.exists() {
                return Err("is not there".into());
            }
            Media::open(&full).map(|m| m.frames().len()).map_err(|e| e.to_string())
        });
        match opened {
            Ok(frames) if *frames > 1 && record.image.is_some() => {
                problems.push(("bad_media", format!("{}: {frames} frames; name it as a video", path.display())));
                None
            }
            Ok(frames) => Some(*frames),
            Err(why) => {
                problems.push(("bad_media", format!("{}: {why}", path.display())));
                None
            }
        }
    }

    fn landmarks(&self, field: &LandmarksField, frames: Option<usize>, problems: &mut Problems) {
        let read;
        let sets = match field {
            LandmarksField::Points(sets) => sets,
            LandmarksField::Path(path) => match read_landmarks(self.folder.join(path)) {
                Ok(sets) => {
                    read = sets;
                    &read
                }
                Err(error) => return problems.push(("bad_landmarks", error.to_string())),
            },
        };
        if let Some(frames) = frames.filter(|frames| *frames != sets.len()) {
            problems.push(("bad_landmarks", format!("{} sets of points for {frames} frames", sets.len())));
        }
        for set in sets {
            if set.len() != POINT_COUNT {
                problems.push(("bad_landmarks", format!("{} points; expected {POINT_COUNT}", set.len())));
            }
            if set.iter().flatten().any(|v| !v.is_finite() || v.abs() > 4.0) {
                problems.push(("bad_landmarks", "points that are no fractions of the crop".into()));
            }
        }
    }
}

/// Questions and answers in turn; one placeholder, in the first question.
fn conversation(record: &Record, problems: &mut Problems) {
    let turns = &record.conversations;
    let speakers = [Speaker::Human, Speaker::Gpt].into_iter().cycle();
    if turns.is_empty() || turns.len() % 2 == 1 || turns.iter().zip(speakers).any(|(turn, who)| turn.from != who) {
        problems.push(("turns", format!("{} messages that are not questions and answers in turn", turns.len())));
    }
    if turns.iter().any(|turn| turn.value.trim().is_empty()) {
        problems.push(("empty_message", "a message without text".into()));
    }
    let wanted = PLACEHOLDERS[usize::from(record.video.is_some())];
    let placeholders = |text: &str| PLACEHOLDERS.iter().map(|p| text.matches(p).count()).sum::<usize>();
    let first = turns.first().map_or(0, |turn| placeholders(&turn.value));
    let later: usize = turns.iter().skip(1).map(|turn| placeholders(&turn.value)).sum();
    if first != 1 || later > 0 {
        problems.push((
            "placeholders",
            format!("{first} placeholders in the first question and {later} later; expected 1 and 0"),
        ));
    } else if !turns[0].value.contains(wanted) {
        problems.push(("placeholders", format!("the first question holds no {wanted}")));
    }
}

/// Whether a task's label set holds a label.
fn is_known(task: Task, label: &str) -> bool {
    match task {
        Task::Expression => EXPRESSIONS.contains(&label),
        Task::ActionUnits => ACTION_UNITS.iter().any(|(n, _)| label == format!("AU{n}")),
        Task::Attributes => ATTRIBUTES.contains(&label),
        Task::Age => label.parse::<u32>().is_ok_and(|years| years <= 120),
        Task::Deepfake => matches!(label, "real" | "fake"),
    }
}

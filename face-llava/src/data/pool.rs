//! The questions to ask: ours, or a user's file.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::{DataError, Place, Unit};
use super::seed::{pick, sha256};
use crate::Task;

/// Bytes of a user's file.
const MAX_FILE: u64 = 1 << 20;
/// Bytes of a question.
const MAX_QUESTION: usize = 1000;

/// Questions of each task.
#[derive(Clone, Debug)]
pub(crate) struct Pool {
    user: BTreeMap<Task, Vec<String>>,
    /// Digest of the user's file; none for ours.
    pub sha256: Option<String>,
}

impl Pool {
    /// Our questions, or those of a file: lines of `task<TAB>question`, or a JSON map from task to a list of questions.
    /// Tasks that the file leaves out keep ours.
    pub fn open(path: Option<&Path>) -> Result<Self, crate::Error> {
        let Some(path) = path else { return Ok(Self { user: BTreeMap::new(), sha256: None }) };
        let bytes = landmarks::picture::read_file(path, MAX_FILE)?;
        let fail = |number, what: String| {
            crate::Error::from(DataError::Questions {
                place: Place { path: path.into(), number, unit: Unit::Line },
                what,
            })
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| fail(1, "not UTF-8".into()))?;
        let mut user: BTreeMap<Task, Vec<String>> = BTreeMap::new();
        let mut add = |number: u64, task: &str, question: &str| {
            let known = Task::parse(task.trim()).ok_or_else(|| {
                let nearest = super::source::nearest(task.trim(), Task::ALL.map(Task::name));
                fail(number, format!("task {task:?} is not known; nearest: {nearest:?}"))
            })?;
            let question = question.trim();
            if question.is_empty() || question.len() > MAX_QUESTION {
                return Err(fail(number, format!("a question has 1 to {MAX_QUESTION} bytes")));
            }
            if ["<image>", "<video>"].iter().any(|p| question.contains(p)) {
                return Err(fail(number, "a question holds a media placeholder; the builder adds it".into()));
            }
            user.entry(known).or_default().push(question.to_owned());
            Ok(())
        };
        if text.trim_start().starts_with('{') {
            let map: BTreeMap<String, Vec<String>> =
                serde_json::from_str(text).map_err(|e| fail(e.line() as u64, e.to_string()))?;
            for (task, questions) in &map {
                for question in questions {
                    add(1, task, question)?;
                }
            }
        } else {
            for (line, number) in text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty()) {
                let (task, question) =
                    line.split_once('\t').ok_or_else(|| fail(number, "no tab after the task".into()))?;
                add(number, task, question)?;
            }
        }
        Ok(Self { user, sha256: Some(sha256(&bytes)) })
    }

    /// A task's question for an item, the same for the same seed.
    pub fn question(&self, task: Task, seed: u64, id: &str) -> &str {
        let name = format!("question:{id}");
        let user = self.user.get(&task).and_then(|questions| pick(seed, &name, questions));
        let ours = || pick(seed, &name, task.questions()).copied().unwrap_or_default();
        user.map_or_else(ours, String::as_str)
    }
}

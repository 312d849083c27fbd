//! Our own instruction records as a benchmark: whatever people labelled can be measured.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::listing::digest;
use crate::data::{LabelOrigin, Record, read_records};
use crate::eval::{Dataset, EvalError, Item, Truth};
use crate::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Task};

/// Highest age of a label.
const MAX_AGE: f64 = 120.0;

/// The records of a task that have a person's label, one item for each picture or clip; a file of records, or the
/// folder that holds `records.json`. Names of items are the paths in the file.
///
/// # Errors
/// As [`records_of`].
pub fn records(path: &Path, task: Task) -> Result<Dataset, EvalError> {
    records_of(path, task, &[LabelOrigin::Human])
}

/// The same with labels of these origins: manipulated pictures, for one, are [made](LabelOrigin::Made) and need nobody
/// to label them.
///
/// # Errors
/// [`EvalError::File`] for files that are no records, labels outside of the task's set, records of one picture that
/// contradict each other, absent media, and where no record is left.
pub fn records_of(path: &Path, task: Task, origins: &[LabelOrigin]) -> Result<Dataset, EvalError> {
    let file = if path.is_dir() { path.join("records.json") } else { path.into() };
    let fault = |what: String| EvalError::File { path: file.clone(), what };
    let records = read_records(&file).map_err(|e| from_crate(&file, e))?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut items: Vec<Item> = Vec::new();
    let mut first: HashMap<PathBuf, (usize, usize)> = HashMap::new();
    for (record, entry) in records.iter().zip(1..) {
        let Some((media, labels)) = labelled(record, task, origins) else { continue };
        let refuse = |what: String| fault(format!("entry {entry}: {what}"));
        let truth = truth(task, labels).map_err(refuse)?;
        if let Some((earlier, at)) = first.get(media) {
            if items[*at].truth != truth {
                let media = media.display();
                return Err(refuse(format!("its label of {media} is not that of entry {earlier}")));
            }
            continue;
        }
        let full = folder.join(media);
        if !full.exists() {
            return Err(refuse(format!("{} is not there", full.display())));
        }
        first.insert(media.into(), (entry, items.len()));
        items.push(Item { id: name(media), media: full, truth });
    }
    if items.is_empty() {
        let what = format!("none of {} records has such a label for {}", records.len(), task.name());
        return Err(fault(what));
    }
    let digest = digest(&items);
    Ok(Dataset { benchmark: "records", split: "all".into(), items, digest })
}

fn labelled<'a>(record: &'a Record, task: Task, origins: &[LabelOrigin]) -> Option<(&'a Path, &'a [String])> {
    let meta = record.meta.as_ref().filter(|m| m.task == task && origins.contains(&m.origin))?;
    Some((record.media()?, &meta.labels))
}

/// A path with `/` on every system.
fn name(path: &Path) -> String {
    path.iter().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

/// The truth that labels as records hold them stand for.
pub(super) fn truth(task: Task, labels: &[String]) -> Result<Truth, String> {
    let one = || match labels {
        [label] => Ok(label.as_str()),
        _ => Err(format!("{} labels; expected 1", labels.len())),
    };
    let of = |known: &[&str]| {
        let label = one()?;
        let known = known.contains(&label);
        known.then(|| Truth::Label(label.into())).ok_or_else(|| format!("{label:?} is no label of {}", task.name()))
    };
    match task {
        Task::Expression => of(&EXPRESSIONS),
        Task::Deepfake => of(&["real", "fake"]),
        Task::Age => {
            let age = one()?.parse().ok().filter(|age| (0.0..=MAX_AGE).contains(age));
            age.map(Truth::Age).ok_or_else(|| format!("{:?} is no age from 0 to {MAX_AGE}", labels[0]))
        }
        Task::ActionUnits => {
            let unit = |label: &String| {
                let number = label.strip_prefix("AU").and_then(|digits| digits.parse().ok());
                let number = number.filter(|n| ACTION_UNITS.iter().any(|(known, _)| known == n));
                number.ok_or_else(|| format!("{label:?} is no action unit"))
            };
            let mut units: Vec<u8> = labels.iter().map(unit).collect::<Result<_, _>>()?;
            units.sort_unstable();
            units.dedup();
            Ok(Truth::Units(units))
        }
        Task::Attributes => {
            if let Some(label) = labels.iter().find(|label| !ATTRIBUTES.contains(&label.as_str())) {
                return Err(format!("{label:?} is no attribute"));
            }
            Ok(Truth::Attributes(ATTRIBUTES.iter().map(|a| labels.iter().any(|label| label == a)).collect()))
        }
    }
}

/// An error of reading that names its file once.
pub(super) fn from_crate(path: &Path, error: crate::Error) -> EvalError {
    match error {
        crate::Error::Landmarks(landmarks::Error::Io { path, source }) => EvalError::Io { path, source },
        other => {
            let what = other.to_string();
            let named = format!("{}: ", path.display());
            EvalError::File { path: path.into(), what: what.strip_prefix(&named).unwrap_or(&what).into() }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_become_truths_or_say_why_not() {
        let read = |task, labels: &[&str]| truth(task, &labels.iter().map(|l| (*l).to_owned()).collect::<Vec<_>>());
        assert_eq!(read(Task::Expression, &["fear"]), Ok(Truth::Label("fear".into())));
        assert_eq!(read(Task::Deepfake, &["fake"]), Ok(Truth::Label("fake".into())));
        assert_eq!(read(Task::Age, &["34.5"]), Ok(Truth::Age(34.5)));
        assert_eq!(read(Task::ActionUnits, &["AU12", "AU6", "AU12"]), Ok(Truth::Units(vec![6, 12])));
        assert_eq!(read(Task::ActionUnits, &[]), Ok(Truth::Units(Vec::new())));
        let Ok(Truth::Attributes(held)) = read(Task::Attributes, &["Young", "5_o_Clock_Shadow"]) else { panic!() };
        assert!(held[0] && held[39] && held.len() == 40 && held.iter().filter(|h| **h).count() == 2);
        for (task, labels, says) in [
            (Task::Expression, &["joy"][..], "\"joy\" is no label of expression"),
            (Task::Expression, &[], "0 labels; expected 1"),
            (Task::Expression, &["fear", "anger"], "2 labels; expected 1"),
            (Task::Age, &["NaN"], "\"NaN\" is no age from 0 to 120"),
            (Task::Age, &["-1"], "\"-1\" is no age from 0 to 120"),
            (Task::ActionUnits, &["AU99"], "\"AU99\" is no action unit"),
            (Task::ActionUnits, &["12"], "\"12\" is no action unit"),
            (Task::Attributes, &["Bold"], "\"Bold\" is no attribute"),
        ] {
            assert_eq!(read(task, labels).unwrap_err(), says);
        }
    }
}

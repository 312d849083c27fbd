//! The runner: a row for each item, in the dataset's order, whatever happens on the way.

mod options;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use landmarks::files::write_bytes;
use landmarks::picture::read_file;
use serde_json::{Value, json};

pub use options::{PredictOptions, PredictReport, PredictStep};

use super::{Answered, Answerer, Dataset, EvalError, Fault, Item, Prediction};
use crate::{RowFault, RowFile};

/// Form of the rows.
const SCHEMA: u32 = 1;
/// Bytes of a file of predictions.
pub(super) const MAX_FILE: u64 = 4 << 30;
/// Passing failures in a row that end a run: the endpoint is down.
const FAILURES_IN_A_ROW: usize = 8;

/// Asks about every item and writes a row for each to `out`, in the dataset's order, and what the rows depend on to
/// `out.settings.json`. A file begun before is gone on with; the result has the same bytes. What befalls an item is its
/// row.
///
/// # Errors
/// [`EvalError::File`] for other settings than those that the file was begun with, for a file that another process
/// writes, for tasks without likelihoods where those are asked for, and where answers fail again and again for reasons
/// that may pass.
pub fn predict(
    dataset: &Dataset,
    answerer: &mut dyn Answerer,
    options: &PredictOptions,
    out: &Path,
    observe: &mut dyn FnMut(PredictStep<'_>),
) -> Result<PredictReport, EvalError> {
    let refuse = |what: String| EvalError::File { path: out.into(), what };
    let rows = |fault: RowFault| refuse(fault.to_string());
    let labels = match options.openings() {
        Some(labels) if options.likelihood && !labels.is_empty() => Some(labels),
        _ if options.likelihood => {
            let tasks = "only expression and deepfake have labels to score";
            return Err(refuse(format!("no likelihoods for {}: {tasks}", options.task.name())));
        }
        _ => None,
    };
    let shard = options.shard;
    let some = dataset.items.iter().take(options.limit.unwrap_or(usize::MAX)).enumerate();
    let items: Vec<&Item> = some.filter(|(at, _)| at % shard.count == shard.index).map(|(_, item)| item).collect();
    let places: HashMap<&str, usize> = items.iter().enumerate().map(|(at, item)| (item.id.as_str(), at)).collect();
    if places.len() < items.len() {
        return Err(refuse("the dataset names an item twice".into()));
    }

    let mut report = PredictReport { items: items.len(), ..PredictReport::default() };
    let (mut order, mut done, mut stranger) = (Order::default(), vec![false; items.len()], None);
    let settings = settings(dataset, answerer, options);
    let mut file =
        RowFile::open(out, &settings, options.overwrite, |row: Prediction, _| match places.get(row.id.as_str()) {
            Some(place) if !done[*place] => {
                done[*place] = true;
                order.add(*place);
                report.add(&row);
            }
            _ => stranger = Some(row.id),
        })
        .map_err(rows)?;
    if let Some(id) = stranger {
        return Err(refuse(format!("holds a row of {id:?} that does not belong there; the file was changed")));
    }
    let mut count = done.iter().filter(|done| **done).count();
    report.resumed = count;
    observe(PredictStep { done: count, items: items.len(), row: None });

    let mut failures = 0;
    let waiting: Vec<(usize, &Item)> = items.into_iter().enumerate().filter(|(place, _)| !done[*place]).collect();
    for some in waiting.chunks(answerer.at_once().max(1)) {
        let media: Vec<&Path> = some.iter().map(|(_, item)| item.media.as_path()).collect();
        let (mut given, mut broken, mut down) = (0, None, None);
        answerer.answer_each(&media, &options.question, labels.as_deref(), &mut |answer| {
            given += 1;
            let Some((place, item)) = some.get(given - 1).filter(|_| broken.is_none()) else { return };
            if let Some(fault) = answer.as_ref().err().filter(|fault| fault.passing) {
                failures += 1;
                if failures == FAILURES_IN_A_ROW {
                    down = Some(format!("no answers, {failures} times in a row ({fault})"));
                }
                report.pending += 1;
                return;
            }
            failures = 0;
            let row = row(item, answer, options.generate);
            // What comes behind a row that cannot be written is lost with it.
            broken = line(&row, out).and_then(|line| file.write(&line).map_err(rows)).err();
            if broken.is_some() {
                return;
            }
            order.add(*place);
            report.add(&row);
            count += 1;
            observe(PredictStep { done: count, items: report.items, row: Some(&row) });
        });
        if let Some(error) = broken {
            return Err(error);
        }
        if given != media.len() {
            return Err(refuse(format!("the answerer gave {given} answers about {} media", media.len())));
        }
        // After what came together with the failures, which was paid for.
        if let Some(told) = down {
            return Err(refuse(format!("{told}; what is there is kept, run the same command to go on")));
        }
    }
    if order.is_broken {
        sort(out, &places)?;
    }
    Ok(report)
}

/// Whether places came in order.
#[derive(Default)]
struct Order {
    last: Option<usize>,
    is_broken: bool,
}

impl Order {
    fn add(&mut self, place: usize) {
        self.is_broken |= self.last.replace(place).is_some_and(|last| last > place);
    }
}

/// Everything that the rows depend on besides the items' files.
fn settings(dataset: &Dataset, answerer: &dyn Answerer, options: &PredictOptions) -> Value {
    json!({
        "schema": SCHEMA,
        "version": env!("CARGO_PKG_VERSION"),
        "commit": option_env!("GIT_COMMIT"),
        "benchmark": dataset.benchmark,
        "split": dataset.split,
        "dataset_sha256": dataset.digest,
        "items": dataset.items.len().min(options.limit.unwrap_or(usize::MAX)),
        "shard": format!("{}/{}", options.shard.index, options.shard.count),
        "task": options.task,
        "labels": options.labels,
        "question": options.question,
        "likelihood": options.likelihood,
        "generate": options.generate,
        "answerer": answerer.identity(),
    })
}

fn row(item: &Item, answer: Result<Answered, Fault>, generate: bool) -> Prediction {
    let empty = Prediction {
        id: item.id.clone(),
        path: item.media.display().to_string(),
        truth: item.truth.clone(),
        raw: None,
        likelihoods: None,
        landmarks_used: None,
        error: None,
    };
    match answer {
        Ok(Answered { raw, likelihoods, landmarks_used }) => {
            Prediction { raw: generate.then_some(raw), likelihoods: likelihoods.map(rounded), landmarks_used, ..empty }
        }
        Err(Fault { fault, .. }) => Prediction { error: Some(fault), ..empty },
    }
}

/// To six decimals, so that what is read again is what was written. Infinities have no place in JSON.
fn rounded(likelihoods: BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let finite = likelihoods.into_iter().filter(|(_, value)| value.is_finite());
    finite.map(|(label, value)| (label, (value * 1e6).round() / 1e6)).collect()
}

/// A row as a line of the file.
pub(super) fn line(row: &Prediction, out: &Path) -> Result<String, EvalError> {
    serde_json::to_string(row).map_err(|e| EvalError::Io { path: out.into(), source: e.into() })
}

/// Brings rows into the items' order.
fn sort(out: &Path, places: &HashMap<&str, usize>) -> Result<(), EvalError> {
    #[derive(serde::Deserialize)]
    struct Named {
        id: String,
    }
    let refuse = |what: String| EvalError::File { path: out.into(), what };
    let bytes = read_file(out, MAX_FILE).map_err(|e| refuse(e.to_string()))?;
    let mut lines = Vec::new();
    for line in bytes.split_inclusive(|b| *b == b'\n') {
        let named: Named = serde_json::from_slice(line).map_err(|e| refuse(e.to_string()))?;
        lines.push((places.get(named.id.as_str()).copied(), line));
    }
    lines.sort_by_key(|(place, _)| *place);
    let lines: Vec<&[u8]> = lines.into_iter().map(|(_, line)| line).collect();
    write_bytes(out, &lines.concat()).map_err(|e| refuse(e.to_string()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::Task;
    use crate::eval::{PredictionFault, Truth};

    /// Answers with the file's name; some names are trouble.
    struct Echo {
        asked: Vec<String>,
        passing: bool,
        at_once: usize,
    }

    impl Answerer for Echo {
        fn identity(&self) -> Value {
            json!("echo")
        }

        fn answer(&mut self, media: &Path, question: &str, labels: Option<&[(&str, &str)]>) -> Result<Answered, Fault> {
            let name = media.display().to_string();
            self.asked.push(name.clone());
            let fault = PredictionFault { code: "media".into(), message: "broken".into() };
            if name.starts_with("bad") || name.starts_with("late") && self.passing {
                return Err(Fault { fault, passing: name.starts_with("late") });
            }
            let likelihoods = labels.map(|l| l.iter().map(|(label, _)| ((*label).into(), -1.0 / 3.0)).collect());
            Ok(Answered { raw: format!("{question} {name}"), likelihoods, landmarks_used: Some(true) })
        }

        fn at_once(&self) -> usize {
            self.at_once
        }
    }

    fn echo(passing: bool) -> Echo {
        Echo { asked: Vec::new(), passing, at_once: 1 }
    }

    fn dataset(names: &[&str]) -> Dataset {
        let item =
            |name: &&str| Item { id: (*name).into(), media: PathBuf::from(name), truth: Truth::Label("fear".into()) };
        let items = names.iter().map(item).collect();
        Dataset { benchmark: "test", split: "all".into(), items, digest: "0".into() }
    }

    fn options() -> PredictOptions {
        PredictOptions { question: "Well?".into(), ..PredictOptions::new(Task::Expression, &["fear", "anger"]) }
    }

    fn run(dataset: &Dataset, echo: &mut Echo, options: &PredictOptions, out: &Path) -> PredictReport {
        predict(dataset, echo, options, out, &mut |_| ()).unwrap()
    }

    #[test]
    fn a_row_for_each_item_whatever_befalls_it() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("rows");
        let mut seen = Vec::new();
        let options = PredictOptions { likelihood: true, ..options() };
        let report = predict(&dataset(&["a", "bad", "b"]), &mut echo(false), &options, &out, &mut |step| {
            seen.push((step.done, step.row.map(|row| row.id.clone())));
        });
        let report = report.unwrap();
        assert_eq!((report.items, report.answered, report.failed["media"], report.pending), (3, 2, 1, 0));
        assert_eq!(seen, [(0, None), (1, Some("a".into())), (2, Some("bad".into())), (3, Some("b".into()))]);
        let text = std::fs::read_to_string(&out).unwrap();
        let first = r#"{"id":"a","path":"a","truth":{"label":"fear"},"raw":"Well? a","likelihoods":{"anger":-0.333333,"fear":-0.333333},"landmarks_used":true,"error":null}"#;
        assert_eq!(text.lines().next(), Some(first));
        assert!(text.lines().nth(1).unwrap().ends_with(r#""error":{"code":"media","message":"broken"}}"#));
        let settings = RowFile::settings(&out).unwrap();
        assert_eq!((&settings["shard"], &settings["question"]), (&json!("0/1"), &json!("Well?")));
    }

    #[test]
    fn what_is_there_is_not_asked_again() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("rows");
        let data = dataset(&["a", "bad", "b", "c"]);
        run(&data, &mut echo(false), &options(), &out);
        let whole = std::fs::read(&out).unwrap();
        for end in 0..=whole.len() {
            std::fs::write(&out, &whole[..end]).unwrap();
            let mut echo = echo(false);
            let report = run(&data, &mut echo, &options(), &out);
            assert_eq!(std::fs::read(&out).unwrap(), whole, "cut at {end}");
            assert_eq!(report.resumed + echo.asked.len(), 4);
        }
        let other = PredictOptions { limit: Some(2), ..options() };
        let refused = predict(&data, &mut echo(false), &other, &out, &mut |_| ()).unwrap_err();
        assert!(refused.to_string().contains("items: 4 -> 2"), "{refused}");
        std::fs::write(&out, [whole.as_slice(), &whole].concat()).unwrap();
        assert!(predict(&data, &mut echo(false), &options(), &out, &mut |_| ()).is_err(), "a row twice");
        let overwrite = PredictOptions { overwrite: true, ..options() };
        run(&data, &mut echo(false), &overwrite, &out);
        assert_eq!(std::fs::read(&out).unwrap(), whole);
    }

    #[test]
    fn what_may_pass_is_tried_again_and_takes_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (out, whole) = (folder.path().join("rows"), folder.path().join("whole"));
        let data = dataset(&["late 1", "a", "late 2", "b"]);
        run(&data, &mut echo(false), &options(), &whole);
        assert_eq!(run(&data, &mut echo(true), &options(), &out).pending, 2);
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 2);
        assert_eq!(run(&data, &mut echo(false), &options(), &out).pending, 0);
        assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&whole).unwrap());
        let names: Vec<String> = (0..20).map(|i| format!("late {i}")).collect();
        let data = dataset(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let mut echo = echo(true);
        let down = predict(&data, &mut echo, &options(), &folder.path().join("down"), &mut |_| ()).unwrap_err();
        assert!(down.to_string().contains("in a row") && echo.asked.len() == 8, "{down}");
        // Answers that come together with the failures are kept.
        let names: Vec<String> = (0..8).map(|i| format!("late {i}")).chain(["a".into(), "b".into()]).collect();
        let data = dataset(&names.iter().map(String::as_str).collect::<Vec<_>>());
        let out = folder.path().join("together");
        let mut echo = Echo { at_once: 20, ..self::echo(true) };
        assert!(predict(&data, &mut echo, &options(), &out, &mut |_| ()).is_err());
        assert_eq!(std::fs::read_to_string(&out).unwrap().lines().count(), 2);
    }

    #[test]
    fn items_handed_over_together_have_the_same_rows() {
        let folder = tempfile::tempdir().unwrap();
        let data = dataset(&["a", "late 1", "bad", "b", "late 2", "c", "d"]);
        let rows = |at_once: usize| {
            let out = folder.path().join(at_once.to_string());
            for passing in [true, false] {
                let report = run(&data, &mut Echo { at_once, ..echo(passing) }, &options(), &out);
                assert_eq!(report.pending, if passing { 2 } else { 0 });
            }
            std::fs::read(&out).unwrap()
        };
        let one = rows(1);
        assert_eq!(one.split(|b| *b == b'\n').count(), 8);
        assert!([0, 2, 3, 20].into_iter().all(|at_once| rows(at_once) == one));
    }

    #[test]
    fn only_closed_sets_of_words_have_likelihoods() {
        let out = tempfile::tempdir().unwrap();
        let ages = PredictOptions { likelihood: true, ..PredictOptions::new(Task::Age, &[""; 0]) };
        let out = out.path().join("rows");
        let refused = predict(&dataset(&["a"]), &mut echo(false), &ages, &out, &mut |_| ()).unwrap_err();
        assert!(refused.to_string().contains("age") && !out.exists());
    }
}

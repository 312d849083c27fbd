//! The builder: rows in, records out; resumable, in shards, with the same bytes however often it was interrupted.
//!
//! ```text
//! manifest row ─► decode ─► detect ─► filter ─► crop ─► align ─┬─► each task: label ─► question ─► answer ─► rating ─► record
//!                                                              └─► journal-i-of-n.jsonl, media/ ─► (all done) records.json
//! ```

mod assemble;
mod choice;
mod item;
mod journal;
mod look;
mod media;
mod options;
mod settings;

pub use choice::{AnnotatorChoice, RaterChoice};
pub use item::ItemFault;
pub use options::{BuildOptions, BuildReport, Faces, Progress, Shard};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::Value;

use super::annotate::{Annotator, AnnotatorFault, Rater, Usage};
use super::error::DataError;
use super::pool::Pool;
use super::source::{RowFault, Source};
use crate::Task;
use assemble::Assembly;
use item::Workshop;
use journal::{Entry, Journal, Journals, Of, Outcome};
use look::Look;

/// Failures of an endpoint in a row that end a build: it is down, or the model's name is wrong.
const FAILURES_IN_A_ROW: usize = 8;

/// Builds records from a labelled manifest. `progress` is called after each item, from any thread.
///
/// # Errors
/// A bad manifest, settings other than those the folder was begun with, a folder that cannot be written, an endpoint
/// that fails again and again. Bad rows, pictures and answers are no errors: they are counted and listed.
pub fn build(options: &BuildOptions, progress: impl Fn(Progress) + Sync) -> Result<BuildReport, crate::Error> {
    let (annotator, rater) = choice::open(options)?;
    build_with(options, &*annotator, rater.as_deref(), progress)
}

/// [`build`] with an annotator and a rater of your own; the choices in the options are not looked at.
///
/// # Errors
/// As [`build`].
pub fn build_with(
    options: &BuildOptions,
    annotator: &dyn Annotator,
    rater: Option<&dyn Rater>,
    progress: impl Fn(Progress) + Sync,
) -> Result<BuildReport, crate::Error> {
    let plan = Plan::new(options, annotator, rater)?;
    let media = options.out.join(media::FOLDER);
    std::fs::create_dir_all(&media).map_err(DataError::write(&media))?;
    same_shards(&options.out, options.shard)?;
    let lock = journal::lock_shard(&options.out, options.shard)?;
    let before = plan.journals(Of::Shard(options.shard))?;
    let journal = Journal::open(lock, &options.out, options.shard, &plan.settings)?;
    let look = Look::new(options)?;
    let folder = options.source.parent().unwrap_or(Path::new(""));
    let workshop = Workshop { options, pool: &plan.pool, look: &look, annotator, rater, folder };
    let (todo, mut report) = plan.todo(&before);
    drop(before);
    let work = Work {
        plan: &plan,
        workshop: &workshop,
        journal: &journal,
        todo: &todo,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
        state: Mutex::new(State { done: report.resumed, in_a_row: 0, paid: Usage::default(), failure: None }),
        progress: &progress,
        items: report.items,
    };
    progress(Progress { done: report.resumed, items: report.items });
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = if options.workers == 0 { cores } else { options.workers };
    std::thread::scope(|scope| {
        for _ in 0..workers.clamp(1, 256).min(todo.len()) {
            scope.spawn(|| work.run());
        }
    });
    let state = work.state.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let synced = journal.sync();
    if let Some(failure) = state.failure {
        return Err(failure.into());
    }
    synced?;
    report.paid = state.paid;
    let after = plan.journals(Of::All(options.shard.count))?;
    plan.count(options.shard, &after, &mut report);
    if after.slots.iter().all(Option::is_some) {
        plan.assembly().write()?;
        report.complete = true;
    }
    Ok(report)
}

/// Assembles the final files from the journals of all shards, without working on any. The report is about all of them.
///
/// # Errors
/// [`DataError::Unfinished`] where items are missing; else as [`build`].
pub fn merge(options: &BuildOptions) -> Result<BuildReport, crate::Error> {
    let (annotator, rater) = choice::open(options)?;
    let plan = Plan::new(options, &*annotator, rater.as_deref())?;
    same_shards(&options.out, options.shard)?;
    plan.assembly().write()?;
    let all = Shard::default();
    let mut report = plan.report(all);
    plan.count(all, &plan.journals(Of::All(options.shard.count))?, &mut report);
    report.resumed = report.items;
    report.complete = true;
    Ok(report)
}

/// What follows from the options and the manifest.
struct Plan<'a> {
    options: &'a BuildOptions,
    source: Source,
    tasks: Vec<Task>,
    pool: Pool,
    settings: BTreeMap<String, Value>,
}

/// Why there is nothing to ask about.
fn no_tasks(options: &BuildOptions, source: &Source) -> DataError {
    let mut why = String::new();
    if let Some(fault) = source.rows.iter().find_map(|row| row.content.as_ref().err()) {
        why += &format!("; the first fault is {fault}");
    }
    if !source.ignored.is_empty() {
        why += &format!("; columns that are not known: {}", source.ignored.join(", "));
    }
    DataError::NoTasks { path: options.source.clone(), rows: source.rows.len(), why }
}

impl<'a> Plan<'a> {
    fn new(
        options: &'a BuildOptions,
        annotator: &dyn Annotator,
        rater: Option<&dyn Rater>,
    ) -> Result<Self, crate::Error> {
        options.check()?;
        let mut source = Source::open(&options.source)?;
        source.rows.truncate(options.limit.unwrap_or(usize::MAX));
        let mut tasks = options.tasks.clone().unwrap_or_else(|| source.labelled_tasks());
        tasks.sort_unstable();
        tasks.dedup();
        if tasks.is_empty() {
            return Err(no_tasks(options, &source).into());
        }
        let pool = Pool::open(options.questions.as_deref())?;
        let settings = settings::settings(options, &source, &tasks, &pool, annotator, rater);
        Ok(Self { options, source, tasks, pool, settings })
    }

    fn journals(&self, of: Of) -> Result<Journals, DataError> {
        Journals::read(&self.options.out, of, &self.settings, self.source.rows.len(), &self.tasks)
    }

    fn assembly(&self) -> Assembly<'_> {
        Assembly { options: self.options, source: &self.source, tasks: &self.tasks, settings: &self.settings }
    }

    /// Rows of a shard.
    fn rows(&self, shard: Shard) -> impl Iterator<Item = usize> {
        (shard.index..self.source.rows.len()).step_by(shard.count)
    }

    fn report(&self, shard: Shard) -> BuildReport {
        let items = self.rows(shard).count() * self.tasks.len();
        BuildReport { items, ignored_columns: self.source.ignored.clone(), ..BuildReport::default() }
    }

    /// Rows of this shard with their unfinished tasks.
    fn todo(&self, journals: &Journals) -> (Vec<(usize, Vec<Task>)>, BuildReport) {
        let mut report = self.report(self.options.shard);
        // A file may have come since.
        let there = |row: usize| self.source.rows[row].content.is_ok();
        let missing = |code: &Option<String>| code.as_deref() == Some(RowFault::MISSING_FILE);
        let open = |row: usize, task: usize| {
            let slot = journals.slots[row * self.tasks.len() + task].as_ref();
            slot.is_none_or(|slot| slot.passing || (missing(&slot.code) && there(row)))
        };
        let todo: Vec<(usize, Vec<Task>)> = self
            .rows(self.options.shard)
            .map(|row| {
                let tasks = self.tasks.iter().enumerate().filter(|(task, _)| open(row, *task));
                (row, tasks.map(|(_, task)| *task).collect::<Vec<_>>())
            })
            .filter(|(_, tasks)| !tasks.is_empty())
            .collect();
        report.resumed = report.items - todo.iter().map(|(_, tasks)| tasks.len()).sum::<usize>();
        (todo, report)
    }

    /// Kept and rejected items of a shard.
    fn count(&self, shard: Shard, journals: &Journals, report: &mut BuildReport) {
        for row in self.rows(shard) {
            for slot in journals.slots[row * self.tasks.len()..][..self.tasks.len()].iter().flatten() {
                match &slot.code {
                    None => report.kept += 1,
                    Some(code) => {
                        *report.rejected.entry(code.clone()).or_default() += 1;
                        report.pending += usize::from(slot.passing);
                    }
                }
            }
        }
    }
}

/// Refuses a folder that was begun with another number of shards.
fn same_shards(out: &Path, shard: Shard) -> Result<(), DataError> {
    let entries = std::fs::read_dir(out).map_err(DataError::io(out))?;
    for entry in entries {
        let name = entry.map_err(DataError::io(out))?.file_name();
        let count = name.to_str().and_then(|n| n.strip_prefix("journal-")?.strip_suffix(".jsonl"));
        let count = count.and_then(|n| n.split_once("-of-")?.1.parse::<usize>().ok());
        if let Some(count) = count.filter(|count| *count != shard.count) {
            let differences = vec![format!("shards: {count} -> {}", shard.count)];
            return Err(DataError::SettingsChanged { path: out.into(), differences });
        }
    }
    Ok(())
}

/// Rows being worked on by several threads.
struct Work<'a, P> {
    plan: &'a Plan<'a>,
    workshop: &'a Workshop<'a>,
    journal: &'a Journal,
    todo: &'a [(usize, Vec<Task>)],
    next: AtomicUsize,
    stop: AtomicBool,
    state: Mutex<State>,
    progress: &'a P,
    items: usize,
}

struct State {
    done: usize,
    in_a_row: usize,
    paid: Usage,
    failure: Option<DataError>,
}

impl<P: Fn(Progress) + Sync> Work<'_, P> {
    fn run(&self) {
        while !self.stop.load(Ordering::Relaxed) {
            let Some((row, tasks)) = self.todo.get(self.next.fetch_add(1, Ordering::Relaxed)) else { return };
            let done = |entry: Entry, paid, fault| {
                self.journal.push(&entry)?;
                self.finished(&entry, paid, fault)
            };
            if let Err(failure) = self.workshop.row(*row, &self.plan.source.rows[*row], tasks, done) {
                self.stop.store(true, Ordering::Relaxed);
                let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                state.failure.get_or_insert(failure);
            }
        }
    }

    /// Counts a finished item. An error ends the build.
    fn finished(&self, entry: &Entry, paid: Usage, fault: Option<AnnotatorFault>) -> Result<(), DataError> {
        let mut state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        state.done += 1;
        state.paid += paid;
        match (&entry.outcome, &fault) {
            (_, Some(fault)) if fault.is_passing() => state.in_a_row += 1,
            // Rejected before anybody was asked.
            (_, Some(AnnotatorFault::NoLabel { .. } | AnnotatorFault::NotRecorded { .. })) => {}
            (Outcome::Kept(_), _) | (_, Some(_)) => state.in_a_row = 0,
            // Rated too low: somebody answered.
            _ if entry.usage != Usage::default() => state.in_a_row = 0,
            _ => {}
        }
        let (done, failures) = (state.done, state.in_a_row);
        drop(state);
        (self.progress)(Progress { done, items: self.items });
        match fault {
            Some(fault) if failures >= FAILURES_IN_A_ROW => Err(DataError::Annotator { fault, failures }),
            _ => Ok(()),
        }
    }
}

//! The loop: gradients, steps, checkpoints, and going on after an interruption.

use std::fs::{self, TryLockError};
use std::path::Path;
use std::time::Instant;

use burn::module::Module;
use burn::optim::{GradientsParams, ModuleOptimizer};
use burn::tensor::Device;
use landmarks::files::{remove_partial, write_bytes};
use serde_json::Value;

use super::checkpoint::{self, Manifest};
use super::log::{Entry, Log};
use super::optimizer::optimizer;
use super::parameters::{norm, prepare, scale};
use super::share::{Devices, Sum};
use super::{Objective, Optimization, Position, TrainError};
use crate::Error;
use crate::differences::differences;

/// Steps in a row without a finite loss and gradient that end a run.
const MAX_SKIPPED: usize = 10;
const SETTINGS: &str = "settings.json";

/// A run: where it is kept and what it was asked to do.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// Folder of settings, metrics and checkpoints. A run that is there already goes on.
    pub folder: &'a Path,
    /// How the weights are moved.
    pub settings: &'a Optimization,
    /// Everything else that must be the same when the run goes on: data, stage, base model.
    pub identity: Value,
    /// Stop after this many steps altogether, leaving the rest for another time.
    pub stop_at: Option<usize>,
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Steps done.
    pub step: usize,
    /// Steps of the whole run.
    pub steps: usize,
    /// Mean loss of the last step.
    pub loss: f64,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Seconds that the rest will take.
    pub seconds_left: f64,
}

/// Trains a module, or goes on with it, and returns it in its last state. `trained` picks parameters by their path.
///
/// The module and the optimizer lie on the first device. The micro-batches of a step are shared out among all, each of which
/// gets a copy of the weights for it; gradients are added up in the order of the devices.
///
/// # Errors
/// [`TrainError`] for settings, other processes, divergence, nothing to learn and the disk; what the objective refuses.
pub fn train<O: Objective>(
    objective: &O,
    model: O::Model,
    trained: impl Fn(&str) -> bool,
    devices: &[Device],
    run: &Run<'_>,
    observe: &mut dyn FnMut(&Progress),
) -> Result<O::Model, Error> {
    let settings = run.settings;
    settings.check()?;
    let devices: Vec<Device> = devices.iter().map(|device| device.clone().autodiff()).collect();
    let Some((first, others)) = devices.split_first() else {
        return Err(TrainError::Setting { name: "devices", value: "none".into(), expected: "at least one" }.into());
    };
    let _lock = begin(run)?;
    objective.begin()?;
    let steps: usize = (0..settings.epochs).map(|e| objective.batches(e).len().div_ceil(settings.accumulation)).sum();
    let fresh = (prepare(model, first, trained), optimizer(settings, &first.clone().without_autodiff()));
    let (model, optimizer, saved) = checkpoint::resume(run.folder, fresh.0, fresh.1)?;
    let at = saved.unwrap_or_else(|| Manifest { seed: settings.seed, ..Manifest::default() });
    std::thread::scope(|scope| {
        let devices = Devices::start(scope, objective, &model, first, others);
        let mut log = Log::open(run.folder, at.step);
        let (start, mut way) = (Instant::now(), Way::new(model, optimizer, at));
        while way.at.epoch < settings.epochs {
            let all = objective.batches(way.at.epoch);
            while way.at.batch < all.len() {
                if run.stop_at.is_some_and(|stop| way.at.step >= stop) {
                    way.save(run)?;
                    return Ok(way.model);
                }
                let end = (way.at.batch + settings.accumulation).min(all.len());
                let rate = settings.rate(way.at.step, steps);
                let at = Position { epoch: way.at.epoch, batch: way.at.batch };
                let outcome = match step(objective, &way.model, &all[at.batch..end], at, settings, &devices) {
                    Ok(outcome) => outcome,
                    Err(error) => return way.ended(run, error),
                };
                let entry = Entry { step: way.at.step + 1, epoch: at.epoch, rate, ..outcome.entry };
                way = way.after(outcome, rate, end);
                log.add(&entry);
                let pace = start.elapsed().as_secs_f64() / (way.at.step - way.begun) as f64;
                let seconds_left = pace * steps.saturating_sub(way.at.step) as f64;
                observe(&Progress { step: way.at.step, steps, loss: entry.loss, rate, seconds_left });
                if way.skipped_in_a_row == MAX_SKIPPED {
                    let error = way.diverged(run);
                    return way.ended(run, error);
                }
                if way.is_good() && way.at.step.is_multiple_of(settings.save_every) && way.at.step < steps {
                    way.save(run)?;
                    log.draw();
                }
            }
            if !way.learnt {
                return way.ended(run, TrainError::NothingLearnt { path: run.folder.into() }.into());
            }
            way = way.next_epoch();
        }
        if !way.moved {
            return Err(way.diverged(run));
        }
        way.save(run)?;
        log.draw();
        Ok(way.model)
    })
}

/// A run under way: the weights, where they are, and what is known about how they do.
struct Way<M> {
    model: M,
    optimizer: ModuleOptimizer,
    at: Manifest,
    /// Steps that were done before.
    begun: usize,
    /// The last position without trouble. The weights have not moved since, so what ends the run loses nothing.
    good: Manifest,
    /// Whether the weights ever moved; of what was done before, nobody knows.
    moved: bool,
    /// Whether this epoch has taught anything; of one that was begun before, nobody knows.
    learnt: bool,
    skipped_in_a_row: usize,
}

impl<M: Module> Way<M> {
    fn new(model: M, optimizer: ModuleOptimizer, at: Manifest) -> Self {
        let (begun, learnt, good) = (at.step, at.batch > 0, at.clone());
        Self { model, optimizer, at, begun, good, moved: begun > 0, learnt, skipped_in_a_row: 0 }
    }

    /// After a step to micro-batch `end`, the weights moved where it found something.
    fn after(mut self, outcome: Outcome, rate: f64, end: usize) -> Self {
        self.learnt |= outcome.entry.terms > 0;
        if let Some(gradients) = outcome.gradients {
            self.model = self.optimizer.step(rate, self.model, gradients);
            self.moved = true;
            self.skipped_in_a_row = 0;
        } else if outcome.entry.terms > 0 {
            self.at.skipped += 1;
            self.skipped_in_a_row += 1;
        }
        self.at.step += 1;
        self.at.batch = end;
        if self.is_good() {
            self.good = self.at.clone();
        }
        self
    }

    fn next_epoch(mut self) -> Self {
        self.at.epoch += 1;
        self.at.batch = 0;
        self.learnt = false;
        self
    }

    /// Never in the middle of trouble, nor where an epoch has taught nothing so far: checkpoints are of good states.
    fn is_good(&self) -> bool {
        self.skipped_in_a_row == 0 && self.learnt
    }

    fn save(&self, run: &Run<'_>) -> Result<(), Error> {
        checkpoint::save(run.folder, &self.model, &self.optimizer, self.at.clone())
    }

    /// The end of a run by an error, which leaves its last good state.
    fn ended(self, run: &Run<'_>, error: Error) -> Result<M, Error> {
        if self.good.step > self.begun {
            // The error that comes first is the one to know.
            let _ = checkpoint::save(run.folder, &self.model, &self.optimizer, self.good);
        }
        Err(error)
    }

    fn diverged(&self, run: &Run<'_>) -> Error {
        TrainError::Diverged { step: self.at.step, skipped: self.skipped_in_a_row, path: run.folder.to_owned() }.into()
    }
}

/// What a step found.
struct Outcome {
    entry: Entry,
    /// None where something was not finite, or where there was nothing to learn.
    gradients: Option<GradientsParams>,
}

/// The mean gradient over some micro-batches, clipped: what one large batch would give.
fn step<O: Objective>(
    objective: &O,
    model: &O::Model,
    group: &[Vec<usize>],
    at: Position,
    settings: &Optimization,
    devices: &Devices<'_>,
) -> Result<Outcome, Error> {
    let Sum { loss, terms, mut gradients } = devices.add_up(objective, model, group, at)?;
    let mut entry = Entry { loss: loss / terms.max(1) as f64, terms, ..Entry::default() };
    if terms == 0 {
        return Ok(Outcome { entry, gradients: None });
    }
    let mean = 1.0 / terms as f64;
    entry.gradient_norm = norm(model, &gradients, mean);
    if !entry.loss.is_finite() || !entry.gradient_norm.is_finite() {
        return Ok(Outcome { entry, gradients: None });
    }
    // As PyTorch clips.
    let clip = settings.clip_norm.map_or(1.0, |limit| (f64::from(limit) / (entry.gradient_norm + 1e-6)).min(1.0));
    scale(model, &mut gradients, mean * clip);
    Ok(Outcome { entry, gradients: Some(gradients) })
}

/// Takes the folder for this process and checks that the run is the one that was begun there.
fn begin(run: &Run<'_>) -> Result<fs::File, Error> {
    let fail = |source| TrainError::Io { path: run.folder.into(), source };
    fs::create_dir_all(run.folder).map_err(fail)?;
    let lock = fs::File::create(run.folder.join("lock")).map_err(fail)?;
    lock.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => TrainError::Locked { path: run.folder.into() },
        TryLockError::Error(source) => fail(source),
    })?;
    let mut now = run.identity.clone();
    now["optimization"] = run.settings.compared();
    settle(run.folder, &now)?;
    // The run is this process's now: what killed ones were writing is of no use.
    remove_partial(&run.folder.join(checkpoint::FOLDER));
    Ok(lock)
}

/// Notes the settings of what is done in a folder, or checks that they are those it was begun with.
pub(super) fn settle(folder: &Path, now: &Value) -> Result<(), Error> {
    let path = folder.join(SETTINGS);
    if let Ok(bytes) = fs::read(&path) {
        let mut was: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        // What an earlier version did not note cannot be compared.
        if let (Some(was), Some(now)) = (was.as_object_mut(), now.as_object()) {
            for (name, value) in now {
                was.entry(name).or_insert_with(|| value.clone());
            }
        }
        let difference = differences(&was, now).join("; ");
        if !difference.is_empty() {
            return Err(TrainError::SettingsChanged { path: folder.into(), difference }.into());
        }
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(|source| TrainError::Io { path: folder.into(), source })?;
    let text = serde_json::to_vec_pretty(now).unwrap_or_default();
    Ok(write_bytes(&path, &text)?)
}

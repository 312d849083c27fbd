//! Complete states of a run on the disk. A checkpoint is a folder that appears by one rename, after its files and its
//! manifest lie on the disk; whatever is interrupted before that leaves the one before it as the last.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, FloatDType};
use landmarks::files::{write_bytes, write_folder};
use landmarks::weights::{LoadOptions, Weights, collect, load, write};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TrainError;
use crate::Error;
use crate::data::seed::{feed, hex};

/// Where a run keeps them.
pub(super) const FOLDER: &str = "checkpoints";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const MANIFEST: &str = "manifest.json";
/// Checkpoints that are kept.
const KEPT: usize = 2;

/// What a checkpoint says about itself; written last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// Steps done.
    pub step: usize,
    /// Epoch of the next micro-batch.
    pub epoch: usize,
    /// The next micro-batch of that epoch.
    pub batch: usize,
    /// Seed that all random numbers follow from, together with the position.
    pub seed: u64,
    /// Steps left out for a loss or gradient that was not finite.
    pub skipped: usize,
    /// SHA-256 of the model's file.
    pub model: String,
    /// SHA-256 of the optimizer's file.
    pub optimizer: String,
}

fn folder_of(run: &Path, step: usize) -> PathBuf {
    run.join(FOLDER).join(format!("step-{step:08}"))
}

/// Saves model, optimizer and position. `manifest`'s digests are filled in.
///
/// # Errors
/// [`Error::Train`] and [`Error::Landmarks`] where the disk refuses; earlier checkpoints are untouched then.
pub(super) fn save<M: Module>(
    run: &Path,
    model: &M,
    optimizer: &ModuleOptimizer,
    mut manifest: Manifest,
) -> Result<(), Error> {
    let target = folder_of(run, manifest.step);
    if target.exists() {
        return Ok(());
    }
    let parent = run.join(FOLDER);
    let fail = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| Error::Train(TrainError::Io { path, source })
    };
    fs::create_dir_all(&parent).map_err(fail(&parent))?;
    write_folder(&target, |partial| {
        let (model_file, optimizer_file) = (partial.join(MODEL), partial.join(OPTIMIZER));
        write(&model_file, &collect(model, |path| path.into()), FloatDType::F32)?;
        let state = optimizer.into_bytes().map_err(|e| fail(&optimizer_file)(io::Error::other(e.to_string())))?;
        write_bytes(&optimizer_file, &state)?;
        manifest.model = digest_of(&model_file).map_err(fail(&model_file))?;
        manifest.optimizer = digest_of(&optimizer_file).map_err(fail(&optimizer_file))?;
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| fail(&target)(e.into()))?;
        Ok::<_, Error>(write_bytes(&partial.join(MANIFEST), &text)?)
    })?;
    for old in steps(run).unwrap_or_default().into_iter().rev().skip(KEPT) {
        // An old checkpoint that stays is no harm.
        let _ = fs::remove_dir_all(folder_of(run, old));
    }
    Ok(())
}

/// Steps that have a checkpoint, rising.
fn steps(run: &Path) -> io::Result<Vec<usize>> {
    let entries = match fs::read_dir(run.join(FOLDER)) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?.collect::<io::Result<Vec<_>>>()?,
    };
    let step = |entry: &fs::DirEntry| entry.file_name().to_str()?.strip_prefix("step-")?.parse().ok();
    let mut steps: Vec<usize> = entries.iter().filter_map(step).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// SHA-256 of a file.
fn digest_of(path: &Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    feed(&mut hash, File::open(path)?)?;
    Ok(hex(&hash.finalize()))
}

/// Loads the last checkpoint that is whole into `model` and a fresh `optimizer`; they are given back as they are where there
/// are none. Later ones, which are damaged, make room for what takes their place.
///
/// # Errors
/// [`TrainError::Checkpoint`] where there are checkpoints and none is whole, for one that is whole and of something else, and
/// for one that cannot be read, which is no damage; [`TrainError::Io`].
pub(super) fn resume<M: Module>(
    run: &Path,
    model: M,
    optimizer: ModuleOptimizer,
) -> Result<(M, ModuleOptimizer, Option<Manifest>), Error> {
    let mut damaged = Vec::new();
    let steps = steps(run).map_err(|source| TrainError::Io { path: run.join(FOLDER), source })?;
    for step in steps.into_iter().rev() {
        let path = folder_of(run, step);
        match check(&path) {
            Ok(manifest) => {
                for (path, _) in damaged {
                    fs::remove_dir_all(&path).map_err(|source| TrainError::Io { path, source })?;
                }
                let (model, optimizer) =
                    read(&path, model, optimizer).map_err(|what| TrainError::Checkpoint { path, what })?;
                return Ok((model, optimizer, Some(manifest)));
            }
            Err(Fault::Damaged(what)) => damaged.push((path, what)),
            Err(Fault::Unreadable(what)) => return Err(TrainError::Checkpoint { path, what }.into()),
        }
    }
    match damaged.into_iter().next() {
        Some((path, what)) => Err(TrainError::Checkpoint { path, what }.into()),
        None => Ok((model, optimizer, None)),
    }
}

/// Why a checkpoint cannot be used.
enum Fault {
    Damaged(String),
    /// Nothing is known about it: the disk may come back.
    Unreadable(String),
}

/// What a whole checkpoint says about itself.
fn check(folder: &Path) -> Result<Manifest, Fault> {
    let fault = |name: &'static str| {
        move |source: io::Error| match source.kind() {
            ErrorKind::NotFound => Fault::Damaged(format!("{name} is not there")),
            _ => Fault::Unreadable(format!("{name}: {source}; where it stays so, remove this checkpoint")),
        }
    };
    let text = fs::read(folder.join(MANIFEST)).map_err(fault(MANIFEST))?;
    let manifest: Manifest =
        serde_json::from_slice(&text).map_err(|error| Fault::Damaged(format!("{MANIFEST}: {error}")))?;
    for (name, expected) in [(MODEL, &manifest.model), (OPTIMIZER, &manifest.optimizer)] {
        if digest_of(&folder.join(name)).map_err(fault(name))? != *expected {
            return Err(Fault::Damaged(format!("{name} differs from what {MANIFEST} says")));
        }
    }
    Ok(manifest)
}

fn read<M: Module>(folder: &Path, model: M, optimizer: ModuleOptimizer) -> Result<(M, ModuleOptimizer), String> {
    let weights = Weights::open(folder.join(MODEL)).map_err(|e| e.to_string())?;
    let (model, _) = load(model, &weights, &LoadOptions::default(), |path| path.into()).map_err(|e| e.to_string())?;
    let state = fs::read(folder.join(OPTIMIZER)).map_err(|e| format!("{OPTIMIZER}: {e}"))?;
    let optimizer = optimizer.from_bytes(Bytes::from_bytes_vec(state)).map_err(|e| e.to_string())?;
    Ok((model, optimizer))
}

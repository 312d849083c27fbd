//! Complete states of a run on the disk. A checkpoint is a folder that appears by one rename, after its files and its
//! manifest lie on the disk; whatever is interrupted before that leaves the one before it as the last.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::optim::ModuleOptimizer;
use burn::tensor::{Bytes, FloatDType};
use landmarks::files::{write_bytes, write_folder};
use landmarks::weights::{LoadOptions, Weights, collect, load, write};
use serde::{Deserialize, Serialize};

use super::TrainError;
use crate::Error;
use crate::data::seed::sha256;

/// Where a run keeps them.
pub(super) const FOLDER: &str = "checkpoints";
const MODEL: &str = "model.safetensors";
const OPTIMIZER: &str = "optimizer.bpk";
const MANIFEST: &str = "manifest.json";
/// Checkpoints that are kept.
const KEPT: usize = 2;

/// What a checkpoint says about itself; written last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
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
        manifest.model = sha256(&fs::read(&model_file).map_err(fail(&model_file))?);
        manifest.optimizer = sha256(&state);
        let text = serde_json::to_vec_pretty(&manifest).map_err(|e| fail(&target)(e.into()))?;
        Ok::<_, Error>(write_bytes(&partial.join(MANIFEST), &text)?)
    })?;
    for old in steps(run).into_iter().rev().skip(KEPT) {
        // An old checkpoint that stays is no harm.
        let _ = fs::remove_dir_all(folder_of(run, old));
    }
    Ok(())
}

/// Steps that have a checkpoint, rising.
fn steps(run: &Path) -> Vec<usize> {
    let Ok(entries) = fs::read_dir(run.join(FOLDER)) else { return Vec::new() };
    let names = entries.filter_map(|e| e.ok()?.file_name().into_string().ok());
    let mut steps: Vec<usize> = names.filter_map(|n| n.strip_prefix("step-")?.parse().ok()).collect();
    steps.sort_unstable();
    steps
}

/// Loads the last checkpoint that is whole into `model` and a fresh `optimizer`; none where there are none. Later ones, which
/// are damaged, make room for what takes their place.
///
/// # Errors
/// [`TrainError::Checkpoint`] where there are checkpoints and none is whole.
pub(super) fn resume<M: Module>(
    run: &Path,
    model: &M,
    optimizer: &ModuleOptimizer,
) -> Result<Option<(M, ModuleOptimizer, Manifest)>, Error> {
    let mut damaged = Vec::new();
    for step in steps(run).into_iter().rev() {
        let path = folder_of(run, step);
        match read(&path, model, optimizer) {
            Ok(state) => {
                for (path, _) in damaged {
                    fs::remove_dir_all(&path).map_err(|source| TrainError::Io { path, source })?;
                }
                return Ok(Some(state));
            }
            Err(what) => damaged.push((path, what)),
        }
    }
    match damaged.into_iter().next() {
        Some((path, what)) => Err(TrainError::Checkpoint { path, what }.into()),
        None => Ok(None),
    }
}

fn read<M: Module>(
    folder: &Path,
    model: &M,
    optimizer: &ModuleOptimizer,
) -> Result<(M, ModuleOptimizer, Manifest), String> {
    let read = |name: &str| fs::read(folder.join(name)).map_err(|e| format!("{name}: {e}"));
    let manifest: Manifest = serde_json::from_slice(&read(MANIFEST)?).map_err(|e| format!("{MANIFEST}: {e}"))?;
    let state = read(OPTIMIZER)?;
    if sha256(&state) != manifest.optimizer || sha256(&read(MODEL)?) != manifest.model {
        return Err("a file differs from what the manifest says".into());
    }
    let weights = Weights::open(folder.join(MODEL)).map_err(|e| e.to_string())?;
    let options = LoadOptions::default();
    let (model, _) = load(model.clone(), &weights, &options, |path| path.into()).map_err(|e| e.to_string())?;
    let optimizer = optimizer.clone().from_bytes(Bytes::from_bytes_vec(state)).map_err(|e| e.to_string())?;
    Ok((model, optimizer, manifest))
}

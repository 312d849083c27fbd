//! The training loop, on a module small enough to see through: going on after anything.

use std::path::Path;

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use face_llava::Error;
use face_llava::train::{Loss, Objective, Optimization, Position, Run, TrainError, train};
use serde_json::json;

use crate::train::cpu;
use crate::values;

#[derive(Module, Debug)]
struct Line {
    weight: Param<Tensor<1>>,
    frozen: Param<Tensor<1>>,
}

impl Line {
    fn new() -> Self {
        let of = |v: [f32; 2]| Param::from_tensor(Tensor::from_floats(v, &cpu()));
        Self { weight: of([0.0, 0.0]), frozen: of([1.0, 1.0]) }
    }
}

/// Learns y = 3x - 1; some batches may be poisoned, have nothing to learn, or end the run.
struct Points {
    poisoned: fn(Position) -> bool,
    empty: fn(Position) -> bool,
    ends: fn(Position) -> bool,
    batch: usize,
}

impl Objective for Points {
    type Model = Line;

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let mut all: Vec<usize> = (0..64).map(|i| (i * 29 + epoch * 7) % 64).collect();
        all.rotate_left(epoch % 64);
        all.chunks(self.batch).map(<[usize]>::to_vec).collect()
    }

    fn loss(&self, line: &Line, items: &[usize], at: Position, on: &Device) -> Result<Option<Loss>, Error> {
        if (self.ends)(at) {
            return Err(Error::Config("no more".into()));
        }
        if (self.empty)(at) {
            return Ok(None);
        }
        let x: Vec<f32> = items.iter().map(|i| *i as f32 / 32.0 - 1.0).collect();
        let y: Vec<f32> = x.iter().map(|x| 3.0 * x - 1.0).collect();
        let n = items.len();
        let tensor = |v| Tensor::<1>::from_data(TensorData::new(v, [n]), on);
        let weight = line.weight.val() * line.frozen.val();
        let said = tensor(x) * weight.clone().narrow(0, 0, 1) + weight.narrow(0, 1, 1);
        let off = said - tensor(y);
        let poison = if (self.poisoned)(at) { f64::NAN } else { 1.0 };
        Ok(Some(Loss { sum: (off.clone() * off).sum() * poison, terms: n }))
    }
}

const CLEAN: Points = Points { poisoned: |_| false, empty: |_| false, ends: |_| false, batch: 8 };

fn settings() -> Optimization {
    Optimization { epochs: 5, save_every: 3, seed: 1, ..Optimization::new(0.3, 8) }
}

fn fit(points: &Points, folder: &Path, settings: &Optimization, stop_at: Option<usize>) -> Result<Vec<f32>, Error> {
    fit_on(&[cpu()], points, folder, settings, stop_at)
}

fn fit_on(
    devices: &[Device],
    points: &Points,
    folder: &Path,
    settings: &Optimization,
    stop_at: Option<usize>,
) -> Result<Vec<f32>, Error> {
    let run = Run { folder, settings, identity: json!({ "objective": "line" }), stop_at };
    let line = train(points, Line::new(), |path| path == "weight", devices, &run, &mut |_| ())?;
    assert_eq!(values(line.frozen.val()), [1.0, 1.0], "what is not trained stays");
    Ok(values(line.weight.val()))
}

#[test]
fn an_interrupted_run_goes_on_to_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap();
    assert!((whole[0] - 3.0).abs() < 0.5 && (whole[1] + 1.0).abs() < 0.5, "{whole:?}");
    for stop in [1, 2, 3, 7, 8, 20, 39] {
        let parts = folder.path().join(format!("parts-{stop}"));
        fit(&CLEAN, &parts, &settings(), Some(stop)).unwrap();
        assert_eq!(fit(&CLEAN, &parts, &settings(), None).unwrap(), whole, "stopped at {stop}");
        let metrics = |name: &str| std::fs::read_to_string(folder.path().join(name).join("metrics.jsonl")).unwrap();
        assert_eq!(metrics(&format!("parts-{stop}")), metrics("whole"));
    }
    // A finished run is not done again.
    assert_eq!(fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap(), whole);
}

#[test]
fn small_batches_added_up_are_one_large_batch() {
    let folder = tempfile::tempdir().unwrap();
    let large = fit(&Points { batch: 32, ..CLEAN }, &folder.path().join("a"), &settings(), None).unwrap();
    let added = Optimization { accumulation: 4, ..settings() };
    let small = fit(&CLEAN, &folder.path().join("b"), &added, None).unwrap();
    assert!(large.iter().zip(&small).all(|(a, b)| (a - b).abs() < 1e-5), "{large:?} {small:?}");
}

#[test]
fn devices_share_the_batches_of_a_step() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Optimization { accumulation: 4, ..settings() };
    let fit = |name: &str, devices: usize, points: &Points| {
        fit_on(&vec![cpu(); devices], points, &folder.path().join(name), &settings, None)
    };
    let points = Points { batch: 2, ..CLEAN };
    let alone = fit("alone", 1, &points).unwrap();
    // Two, one that has more to do than the others, and more devices than batches.
    for devices in [2, 3, 6] {
        let shared = fit(&format!("{devices}"), devices, &points).unwrap();
        assert!(shared.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-4), "{devices}: {shared:?} {alone:?}");
        assert_eq!(fit(&format!("{devices} again"), devices, &points).unwrap(), shared);
    }
    // The second device never has anything to learn.
    let sparse = Points { empty: |at| at.batch % 2 == 1, ..points };
    assert_eq!(fit("sparse", 2, &sparse).unwrap(), fit("sparse alone", 1, &sparse).unwrap());
    // The third batch of each step falls to the third device.
    let poisoned = Points { poisoned: |at| at.batch % 4 == 2, ..points };
    let error = fit("poisoned", 3, &poisoned).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::Diverged { .. })), "{error}");
    assert!(matches!(fit("none", 0, &points), Err(Error::Train(TrainError::Setting { name: "devices", .. }))));
}

#[test]
fn a_damaged_checkpoint_is_passed_over_for_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap();
    for file in ["model.safetensors", "optimizer.bpk", "manifest.json"] {
        let run = folder.path().join(file);
        fit(&CLEAN, &run, &settings(), Some(10)).unwrap();
        let last = run.join("checkpoints/step-00000010");
        let path = last.join(file);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(fit(&CLEAN, &run, &settings(), None).unwrap(), whole, "{file}");
        // With none left whole the run says so instead of beginning again.
        for step in std::fs::read_dir(run.join("checkpoints")).unwrap() {
            std::fs::write(step.unwrap().path().join(file), "").unwrap();
        }
        let error = fit(&CLEAN, &run, &settings(), None).unwrap_err();
        assert!(matches!(error, Error::Train(TrainError::Checkpoint { .. })), "{error}");
    }
}

#[test]
fn a_checkpoint_that_cannot_be_read_is_not_taken_for_a_damaged_one() {
    let folder = tempfile::tempdir().unwrap();
    fit(&CLEAN, folder.path(), &settings(), Some(10)).unwrap();
    let file = folder.path().join("checkpoints/step-00000010/optimizer.bpk");
    let kept = folder.path().join("kept");
    std::fs::rename(&file, &kept).unwrap();
    std::fs::create_dir(&file).unwrap();
    let error = fit(&CLEAN, folder.path(), &settings(), None).unwrap_err();
    assert!(error.to_string().contains("step-00000010: optimizer.bpk"), "{error}");
    // The disk is back.
    std::fs::remove_dir(&file).unwrap();
    std::fs::rename(&kept, &file).unwrap();
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap();
    assert_eq!(fit(&CLEAN, folder.path(), &settings(), None).unwrap(), whole);
}

#[test]
fn steps_without_finite_loss_are_left_out_and_too_many_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let some = Points { poisoned: |at| at.batch == 2, ..CLEAN };
    let fitted = fit(&some, &folder.path().join("some"), &settings(), None).unwrap();
    assert!(fitted.iter().all(|v| v.is_finite()) && fitted[0] > 1.0, "{fitted:?}");
    // They stay in the metrics when the run goes on.
    let parts = folder.path().join("parts");
    fit(&some, &parts, &settings(), Some(20)).unwrap();
    assert_eq!(fit(&some, &parts, &settings(), None).unwrap(), fitted);
    let metrics = std::fs::read_to_string(parts.join("metrics.jsonl")).unwrap();
    let left_out = metrics.lines().filter(|line| line.contains("\"loss\":null")).count();
    assert_eq!((metrics.lines().count(), left_out), (40, 5));
    let all = Points { poisoned: |at| at.epoch > 0 || at.batch >= 5, ..CLEAN };
    let run = folder.path().join("all");
    let error = fit(&all, &run, &settings(), None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::Diverged { skipped: 10, .. })), "{error}");
    // Everything before the trouble is there, and the mended data go on from it.
    assert!(run.join("checkpoints/step-00000005/manifest.json").exists());
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap();
    assert_eq!(fit(&CLEAN, &run, &settings(), None).unwrap(), whole);
    // A whole epoch may be left out.
    let once = Points { poisoned: |at| at.epoch == 2, batch: 64, ..CLEAN };
    assert!(fit(&once, &folder.path().join("once"), &settings(), None).is_ok());
    // A run too short for ten steps in a row is no less fruitless where none was made.
    let short = Points { poisoned: |_| true, batch: 32, ..CLEAN };
    let settings = Optimization { epochs: 1, ..settings() };
    let error = fit(&short, &folder.path().join("short"), &settings, None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::Diverged { skipped: 2, .. })), "{error}");
}

#[test]
fn an_objective_that_ends_the_run_loses_no_step_before() {
    let folder = tempfile::tempdir().unwrap();
    // Far from any checkpoint.
    let settings = Optimization { save_every: 1000, ..settings() };
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings, None).unwrap();
    let run = folder.path().join("ended");
    let ends = Points { ends: |at| at.epoch == 1 && at.batch == 3, ..CLEAN };
    assert!(matches!(fit(&ends, &run, &settings, None), Err(Error::Config(_))));
    assert!(run.join("checkpoints/step-00000011/manifest.json").exists());
    assert_eq!(fit(&CLEAN, &run, &settings, None).unwrap(), whole);
}

#[test]
fn other_settings_are_refused_with_the_difference() {
    let folder = tempfile::tempdir().unwrap();
    fit(&CLEAN, folder.path(), &settings(), Some(4)).unwrap();
    let other = Optimization { learning_rate: 0.2, ..settings() };
    let error = fit(&CLEAN, folder.path(), &other, None).unwrap_err().to_string();
    assert!(error.contains("optimization.learning_rate: 0.3 -> 0.2"), "{error}");
    let larger = Optimization { micro_batch: 4, accumulation: 2, ..settings() };
    let error = fit(&CLEAN, folder.path(), &larger, None).unwrap_err().to_string();
    assert!(error.contains("micro_batch: 8 -> 4") && error.contains("accumulation: 1 -> 2"), "{error}");
    let bad = Optimization { epochs: 0, ..settings() };
    let error = fit(&CLEAN, &folder.path().join("fresh"), &bad, None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::Setting { name: "epochs", .. })), "{error}");
}

#[test]
fn an_epoch_without_anything_to_learn_ends_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let late = Points { empty: |at| at.epoch == 0 && at.batch > 0 || at.epoch > 1, ..CLEAN };
    let error = fit(&late, folder.path(), &settings(), None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::NothingLearnt { .. })), "{error}");
    let metrics = std::fs::read_to_string(folder.path().join("metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 24, "the third epoch");
    // Given again, it does not pass for finished; nor does it touch what is not its own.
    std::fs::create_dir(folder.path().join("partial-photos")).unwrap();
    let error = fit(&late, folder.path(), &settings(), None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::NothingLearnt { .. })), "{error}");
    assert!(folder.path().join("partial-photos").exists());
}

#[test]
fn lost_metrics_and_a_disk_that_refuses_lose_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let whole = fit(&CLEAN, &folder.path().join("whole"), &settings(), None).unwrap();
    let metrics = std::fs::read_to_string(folder.path().join("whole/metrics.jsonl")).unwrap();
    assert_eq!(metrics.lines().count(), 40);
    assert!(std::fs::read_to_string(folder.path().join("whole/loss.svg")).unwrap().starts_with("<svg"));
    let run = folder.path().join("run");
    fit(&CLEAN, &run, &settings(), Some(9)).unwrap();
    std::fs::remove_file(run.join("metrics.jsonl")).unwrap();
    // A file where the next checkpoint's folder must be made: the disk refuses.
    std::fs::rename(run.join("checkpoints"), run.join("kept")).unwrap();
    std::fs::write(run.join("checkpoints"), "").unwrap();
    assert!(matches!(fit(&CLEAN, &run, &settings(), None), Err(Error::Train(TrainError::Io { .. }))));
    std::fs::remove_file(run.join("checkpoints")).unwrap();
    std::fs::rename(run.join("kept"), run.join("checkpoints")).unwrap();
    assert_eq!(fit(&CLEAN, &run, &settings(), None).unwrap(), whole);
}

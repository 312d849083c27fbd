//! Training: exact labels, what moves and what stays, and going on after anything.

use std::path::{Path, PathBuf};

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, TensorData};
use face_llava::data::{LandmarksField, Message, Record, Speaker};
use face_llava::text::{PromptToken, Template};
use face_llava::train::{
    Course, Example, Features, Instruction, LoraConfig, Loss, Objective, Optimization, Position, Run, Sampling,
    TrainError, Trains, adapt, answer_loss, load_adapter, media_of, merge, save_adapter, train,
};
use face_llava::{Error, FaceLlava, FaceLlavaConfig, LoadOptions, Network};
use landmarks::weights::{NamedTensors, collect};
use serde_json::json;

use crate::{crop, ids, json as fixture_json, model, open_dir, values};

pub fn cpu() -> Device {
    face_llava::open_device("cpu").unwrap().device
}

// ---- the loop, on a module small enough to see through ----

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

/// Learns y = 3x - 1; some batches may be poisoned, or have nothing to learn.
struct Points {
    poisoned: fn(Position) -> bool,
    empty: fn(Position) -> bool,
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

const CLEAN: Points = Points { poisoned: |_| false, empty: |_| false, batch: 8 };

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
    let all = Points { poisoned: |at| at.epoch > 0, ..CLEAN };
    let run = folder.path().join("all");
    let error = fit(&all, &run, &settings(), None).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::Diverged { skipped: 10, .. })), "{error}");
    // The last good state is there, and the mended data go on from it.
    assert!(run.join("checkpoints/step-00000006/manifest.json").exists());
    assert!(fit(&CLEAN, &run, &settings(), None).is_ok());
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

// ---- the model ----

/// A record about the photograph's crop.
pub fn record(id: &str, answer: &str, image: &Path) -> Record {
    let points: Vec<[f32; 2]> =
        serde_json::from_value(fixture_json("tiny-simple/photo.json")["landmarks_68_normalised"].clone()).unwrap();
    let say = |from, value: &str| Message { from, value: value.into() };
    Record {
        id: id.into(),
        image: Some(image.into()),
        video: None,
        landmarks: Some(LandmarksField::Points(vec![points])),
        conversations: vec![say(Speaker::Human, "<image>\nWhat is shown?"), say(Speaker::Gpt, answer)],
        meta: None,
    }
}

pub fn records(n: usize) -> Vec<Record> {
    let answers = ["A smiling face.", "The mouth is open.", "Neutral.", "Two eyes."];
    (0..n).map(|i| record(&i.to_string(), answers[i % 4], &crop())).collect()
}

pub fn course() -> Course {
    Course {
        template: Template::Inference,
        sampling: Sampling::Shuffled,
        micro_batch: 4,
        max_length: 600,
        landmark_dropout: 0.0,
        bad_budget: 0.001,
        seed: 0,
    }
}

/// Lessons about `records` and the network without its towers.
pub fn lessons(records: &[Record], folder: &Path) -> (Result<Instruction, Error>, Network) {
    let FaceLlava { mut network, tokenizer, .. } = model();
    let (media, placed) = media_of(records.iter().map(Ok), Path::new(""));
    let features = Features::new(network.image_tower.take(), network.video_tower.take(), media, false, 1 << 30);
    (Instruction::new(&placed, features, &tokenizer, course(), folder), network)
}

fn learn(
    lessons: &Instruction,
    network: Network,
    trains: &Trains,
    settings: &Optimization,
    folder: &Path,
) -> Result<Network, Error> {
    let run = Run { folder, settings, identity: json!({}), stop_at: None };
    train(lessons, network, |path| trains.contains(path), &[cpu()], &run, &mut |_| ())
}

fn tensors(network: &Network) -> NamedTensors {
    collect(network, |path| path.into())
}

#[test]
fn labels_are_those_of_the_reference() {
    let train = &fixture_json("tiny-simple/cases.json")["train"];
    let tokenizer = model().tokenizer;
    for sample in 0..2 {
        let prompt = train["prompts"][sample].as_str().unwrap();
        let (question, answer) = prompt.split_once("<image>\n").unwrap().1.split_once(" ASSISTANT: ").unwrap();
        let mut record = record("r", answer.trim_end_matches("</s>"), &crop());
        record.conversations[0].value = format!("<image>\n{question}");
        let example = Example::new(&record, Template::Inference, &tokenizer).unwrap();
        let numbers = |key: &str| -> Vec<i64> {
            train[key][sample].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect()
        };
        let ids: Vec<i64> =
            example.tokens.iter().map(|t| if let PromptToken::Text(id) = t { i64::from(*id) } else { -200 }).collect();
        let n = ids.len();
        assert_eq!(ids, numbers("input_ids")[..n], "sample {sample}");
        let labels: Vec<i64> = ids.iter().zip(&example.labelled).map(|(id, on)| if *on { *id } else { -100 }).collect();
        assert_eq!(labels, numbers("labels")[..n], "sample {sample}");
        assert!(numbers("labels")[n..].iter().all(|l| *l == -100), "only padding is left");
    }
}

#[test]
fn eight_records_are_learnt_by_heart() {
    let folder = tempfile::tempdir().unwrap();
    // The same picture throughout: the questions tell the answers apart.
    let mut all = records(8);
    for (i, record) in all.iter_mut().enumerate() {
        record.conversations[0].value = format!("<image>\nQuestion {}?", ["one", "two", "three", "four"][i % 4]);
    }
    let (lessons, network) = lessons(&all, folder.path());
    let settings = Optimization { epochs: 60, ..Optimization::new(1e-2, 4) };
    let run = Run { folder: folder.path(), settings: &settings, identity: json!({}), stop_at: None };
    let mut last = [f64::MAX; 2];
    let trained = |path: &str| Trains::AllButTowers.contains(path);
    train(&lessons.unwrap(), network, trained, &[cpu()], &run, &mut |p| last = [last[1], p.loss]).unwrap();
    assert!(last[0].max(last[1]) < 0.05, "{last:?}");
}

#[test]
fn what_does_not_fit_into_memory_is_seen_again() {
    let folder = tempfile::tempdir().unwrap();
    let other = folder.path().join("other.png");
    image::imageops::flip_horizontal(&image::open(crop()).unwrap()).save(&other).unwrap();
    let all = [record("one", "Neutral.", &crop()), record("two", "Two eyes.", &other)];
    let loss = |limit: usize| {
        let FaceLlava { mut network, tokenizer, .. } = model();
        let (media, placed) = media_of(all.iter().map(Ok), Path::new(""));
        let features = Features::new(network.image_tower.take(), None, media, false, limit);
        let lessons = Instruction::new(&placed, features, &tokenizer, course(), folder.path()).unwrap();
        let of = |item| {
            let loss = lessons.loss(&network, &[item], Position { epoch: 0, batch: 0 }, &cpu().autodiff());
            values(loss.unwrap().unwrap().sum)[0]
        };
        [of(0), of(1), of(0)]
    };
    let (kept, again) = (loss(1 << 30), loss(1));
    assert!(kept[0] != kept[1] && kept[0] == kept[2] && again[0] == again[2], "{kept:?} {again:?}");
    assert!(kept.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-3), "{kept:?} {again:?}");
}

#[test]
fn the_first_stage_moves_landmark_modules_alone() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Optimization { epochs: 3, warmup_ratio: 0.0, ..Optimization::new(1e-3, 4) };
    for bf16 in [false, true] {
        let place = folder.path().join(bf16.to_string());
        let (lessons, network) = lessons(&records(4), &place);
        let lessons = lessons.unwrap();
        let lessons = if bf16 { lessons.in_bfloat16() } else { lessons };
        let before = tensors(&network);
        let after = tensors(&learn(&lessons, network, &Trains::LandmarkModules, &settings, &place).unwrap());
        let moved: Vec<&String> = before.iter().filter(|(name, t)| after[*name] != **t).map(|(name, _)| name).collect();
        assert!(moved.iter().all(|name| name.starts_with("fusion.")), "{moved:?}");
        assert!(moved.len() > 20, "{moved:?}");
    }
}

#[test]
fn a_corrupt_record_is_set_aside_and_many_end_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.png");
    std::fs::write(&bad, "no picture").unwrap();
    let mut all = records(4);
    all.push(record("corrupt", "Neutral.", &bad));
    let run = folder.path().join("one");
    let (lessons, network) = lessons(&all, &run);
    let settings = Optimization { epochs: 2, ..Optimization::new(1e-3, 4) };
    learn(&lessons.unwrap(), network, &Trains::LandmarkModules, &settings, &run).unwrap();
    let quarantine = std::fs::read_to_string(run.join("quarantine.jsonl")).unwrap();
    assert_eq!(quarantine.lines().count(), 1);
    assert!(quarantine.contains("corrupt"));
    // Mended, it is listed no more; not before the run goes on, for until then it may be another process's.
    let (lessons, network) = self::lessons(&records(4), &run);
    assert!(run.join("quarantine.jsonl").exists());
    learn(&lessons.unwrap(), network, &Trains::LandmarkModules, &settings, &run).unwrap();
    assert!(!run.join("quarantine.jsonl").exists());

    all.push(record("second", "Neutral.", &folder.path().join("missing.png")));
    let run = folder.path().join("two");
    let (lessons, network) = self::lessons(&all, &run);
    let error = learn(&lessons.unwrap(), network, &Trains::LandmarkModules, &settings, &run).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::BadBudget { bad: 2, .. })), "{error}");
}

#[test]
fn records_that_cannot_be_examples_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let broken: [fn(&mut Record); 5] = [
        |r| r.conversations.clear(),
        |r| r.conversations.truncate(1),
        |r| r.conversations.swap(0, 1),
        |r| r.conversations[1].value = " ".into(),
        |r| r.video = Some("clip.mp4".into()),
    ];
    let tokenizer = model().tokenizer;
    for (i, spoil) in broken.into_iter().enumerate() {
        let mut record = record("spoilt", "Neutral.", &crop());
        spoil(&mut record);
        let error = Example::new(&record, Template::Training, &tokenizer).unwrap_err();
        assert!(error.to_string().contains("spoilt"), "{i}: {error}");
        let (lessons, _) = lessons(&[record], folder.path());
        assert!(matches!(lessons, Err(Error::Train(TrainError::Empty { .. }))), "{i}");
    }
}

#[test]
fn where_no_token_is_an_answer_there_is_a_loss_of_zero_from_nothing() {
    let network = model().network;
    let tokens: Vec<PromptToken> = [1, 5, 9].map(PromptToken::Text).to_vec();
    let silent = Example { id: "silent".into(), tokens: tokens.clone(), labelled: vec![false; 3] };
    let Loss { sum, terms } = answer_loss(&network, &[&silent], None);
    assert_eq!((sum.into_scalar::<f32>(), terms), (0.0, 0));
    // Beside another it changes nothing; the very first token is asked for by nothing.
    let spoken = Example { id: "spoken".into(), tokens, labelled: vec![true; 3] };
    let (alone, both) = (answer_loss(&network, &[&spoken], None), answer_loss(&network, &[&silent, &spoken], None));
    assert_eq!((alone.terms, both.terms), (2, 2));
    let (alone, both) = (alone.sum.into_scalar::<f32>(), both.sum.into_scalar::<f32>());
    assert!((alone - both).abs() < 1e-4 && alone > 0.0, "{alone} {both}");
}

#[test]
fn a_set_smaller_than_a_batch_is_learnt_and_an_empty_one_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (lessons, network) = lessons(&records(2), &folder.path().join("two"));
    let before = tensors(&network);
    let settings = Optimization { epochs: 3, warmup_ratio: 0.0, ..Optimization::new(1e-3, 4) };
    let after = learn(&lessons.unwrap(), network, &Trains::AllButTowers, &settings, &folder.path().join("two"));
    assert!(tensors(&after.unwrap()) != before);
    let (none, _) = self::lessons(&[], &folder.path().join("none"));
    assert!(matches!(none, Err(Error::Train(TrainError::Empty { .. }))));
}

#[test]
fn adapters_know_their_base_and_merge_into_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = open_dir();
    let config = LoraConfig { rank: 4, alpha: 8.0, ..LoraConfig::default() };
    let (lessons, mut network) = lessons(&records(4), folder.path());
    let before = tensors(&network);
    let ids = ids(&json!([1, 319, 13563, 1546]));
    let logits = |network: &Network| {
        let decoder = &network.decoder.valid();
        values(decoder.logits(decoder.forward_full(decoder.embed(&ids).unsqueeze())))
    };
    let plain = logits(&network);
    network.decoder = adapt(network.decoder, &config, 0).unwrap();
    assert_eq!(logits(&network), plain, "fresh additions add nothing");
    let settings = Optimization { epochs: 4, warmup_ratio: 0.0, ..Optimization::new(1e-2, 4) };
    let trains = Trains::Lora(config.clone());
    let network = learn(&lessons.unwrap(), network, &trains, &settings, folder.path()).unwrap();
    let tuned = logits(&network);
    assert!(tuned.iter().zip(&plain).any(|(a, b)| (a - b).abs() > 1e-3));
    let after = tensors(&network);
    assert!(before.iter().all(|(name, t)| after[name] == *t), "the base stays");

    let adapter = folder.path().join("adapter");
    save_adapter(&network.decoder, &config, &dir, &adapter).unwrap();
    let mut fresh = model().network;
    fresh.decoder = load_adapter(fresh.decoder, &dir, &adapter).unwrap();
    assert_eq!(logits(&fresh), tuned);
    fresh.decoder = merge(fresh.decoder);
    assert!(logits(&fresh).iter().zip(&tuned).all(|(a, b)| (a - b).abs() < 1e-4));

    let path: PathBuf = adapter.join("adapter_config.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let digest = serde_json::from_str::<serde_json::Value>(&text).unwrap()["base_weights_sha256"].clone();
    std::fs::write(&path, text.replace(digest.as_str().unwrap(), "0000")).unwrap();
    let error = load_adapter(model().network.decoder, &dir, &adapter).unwrap_err();
    assert!(matches!(error, Error::Train(TrainError::OtherBase { .. })), "{error}");
    let wrong = LoraConfig { targets: vec!["lm_head".into()], ..config };
    assert!(adapt(model().network.decoder, &wrong, 0).is_err());
    // Onto weights in few bits nothing can be added.
    let few = LoadOptions { quantize: Some(landmarks::quantized::Bits::Int8), ..LoadOptions::default() };
    let decoder = FaceLlava::load(&dir, &few, &cpu()).unwrap().network.decoder;
    assert!(adapt(decoder, &LoraConfig::default(), 0).unwrap_err().to_string().contains("few bits"));
}

#[test]
fn an_exported_model_is_the_model_under_upstream_names() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("exported");
    let (model, dir) = (model(), open_dir());
    let tokenizer = dir.tokenizer_json().unwrap();
    let about = face_llava::train::Description { config: dir.config(), parts: &dir.parts(), tokenizer: &tokenizer };
    face_llava::train::export(&model.network, &about, &out, burn::tensor::FloatDType::F32).unwrap();
    let again = face_llava::ModelDir::open(&out).unwrap();
    let same: &FaceLlavaConfig = again.config();
    assert_eq!(same, dir.config());
    let original = dir.weights();
    for name in again.weights().names() {
        assert_eq!(again.weights().read_f32(name).unwrap(), original.read_f32(name).unwrap(), "{name}");
    }
    let loaded = FaceLlava::load(&again, &LoadOptions { strict: true, ..Default::default() }, &cpu()).unwrap();
    assert_eq!(tensors(&loaded.network), tensors(&model.network));
    // Never over what is there.
    assert!(face_llava::train::export(&model.network, &about, &out, burn::tensor::FloatDType::F16).is_err());
}

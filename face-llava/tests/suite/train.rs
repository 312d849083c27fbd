//! Training a model: exact labels, what moves and what stays, adapters, export.

use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use face_llava::data::{LandmarksField, Message, Record, Speaker};
use face_llava::text::{PromptToken, Template};
use face_llava::train::{
    Course, Example, Features, Instruction, LoraConfig, Loss, Objective, Optimization, Optimizer, Position, Run,
    Sampling, TrainError, Trains, adapt, answer_loss, in_full, load_adapter, media_of, merge, save_adapter, train,
};
use face_llava::{Error, FaceLlava, FaceLlavaConfig, LoadOptions, Network};
use landmarks::weights::{NamedTensors, collect};
use serde_json::json;

use crate::{crop, ids, json as fixture_json, model, open_dir, values};

pub fn cpu() -> Device {
    face_llava::open_device("cpu").unwrap().device
}

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
fn a_model_goes_on_to_the_same_bits() {
    let lora = LoraConfig { rank: 2, ..LoraConfig::default() };
    let plain = Optimization { epochs: 3, warmup_ratio: 0.0, ..Optimization::new(1e-3, 2) };
    // Matrices by one optimizer and the rest by another; steps of two batches, of which an epoch has three.
    let muon = Optimization { optimizer: Optimizer::Muon, ..plain.clone() };
    let added = Optimization { accumulation: 2, ..plain };
    for (name, trains, settings) in [("muon", Trains::AllButTowers, muon), ("lora", Trains::Lora(lora), added)] {
        let folder = tempfile::tempdir().unwrap();
        let fit = |out: &str, stop_at: Option<usize>| {
            let place = folder.path().join(out);
            let FaceLlava { mut network, tokenizer, .. } = model();
            let all = records(6);
            let (media, placed) = media_of(all.iter().map(Ok), Path::new(""));
            let features = Features::new(network.image_tower.take(), None, media, false, 1 << 30);
            let course = Course { micro_batch: 2, landmark_dropout: 0.5, ..course() };
            let lessons = Instruction::new(&placed, features, &tokenizer, course, &place).unwrap();
            if let Trains::Lora(config) = &trains {
                network.decoder = adapt(network.decoder, config, 0).unwrap();
            }
            let run = Run { folder: &place, settings: &settings, identity: json!({}), stop_at };
            tensors(&train(&lessons, network, |path| trains.contains(path), &[cpu()], &run, &mut |_| ()).unwrap())
        };
        let whole = fit("whole", None);
        for stop in [1, 3] {
            let parts = format!("parts-{stop}");
            assert!(fit(&parts, Some(stop)) != whole);
            assert!(fit(&parts, None) == whole, "{name} stopped at {stop}");
        }
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
    let mut decoder = FaceLlava::load(&dir, &few, &cpu()).unwrap().network.decoder;
    assert!(in_full(&mut decoder).is_err() && in_full(&mut fresh.decoder).is_ok());
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

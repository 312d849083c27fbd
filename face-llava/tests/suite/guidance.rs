//! What the decoder learns from the tower's own head.

use std::path::Path;

use burn::tensor::{FloatDType, TensorData};
use face_llava::data::Record;
use face_llava::train::{Features, Guidance, Instruction, Objective, Position, Pupil, media_of};
use face_llava::{EXPRESSIONS, FaceLlava, Network};
use landmarks::weights::{LoadOptions, Weights, collect, load, write};
use serde_json::json;

use crate::train::{course, cpu, record};
use crate::{crop, model, values};

/// Heads that see one expression in every picture, by so much more than any other.
fn convinced(class: usize, by: f32, network: &Network, folder: &Path) -> Pupil {
    let config = network.image_tower.as_ref().unwrap().config();
    let pupil = Pupil::new(config, EXPRESSIONS.len(), &cpu());
    let mut tensors = collect(&pupil, |path| path.into());
    let (weight, bias) = (tensors["classes.weight"].shape().to_vec(), EXPRESSIONS.len());
    let zeros = TensorData::new(vec![0.0_f32; weight.iter().product()], weight);
    tensors.insert("classes.weight".into(), zeros);
    let sure: Vec<f32> = (0..bias).map(|i| if i == class { by } else { 0.0 }).collect();
    tensors.insert("classes.bias".into(), TensorData::new(sure, [bias]));
    let file = folder.join("pupil.safetensors");
    write(&file, &tensors, FloatDType::F32).unwrap();
    load(pupil, &Weights::open(&file).unwrap(), &LoadOptions::default(), |path| path.into()).unwrap().0
}

#[test]
fn guided_answers_begin_as_the_tower_judges() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["neutral", "neutral", "neutral", "anger"];
    let records: Vec<Record> = names
        .iter()
        .enumerate()
        .map(|(i, label)| {
            let meta = json!({"task": "expression", "labels": [label], "origin": "human", "source_id": "s"});
            let answer = if *label == "anger" { "Anger." } else { "Neutral." };
            Record { meta: Some(serde_json::from_value(meta).unwrap()), ..record(&i.to_string(), answer, &crop()) }
        })
        .collect();
    let loss = |guide: Option<(&str, f32, Guidance)>, item: usize| {
        let FaceLlava { mut network, tokenizer, .. } = model();
        let guide = guide.map(|(seen, by, guidance)| {
            let class = EXPRESSIONS.iter().position(|name| *name == seen).unwrap();
            (convinced(class, by, &network, folder.path()), guidance)
        });
        let (media, placed) = media_of(records.iter().map(Ok), Path::new(""));
        let features = Features::new(network.image_tower.take(), network.video_tower.take(), media, false, 1 << 30);
        let mut lessons = Instruction::new(&placed, features, &tokenizer, course(), folder.path()).unwrap();
        if let Some((pupil, guidance)) = guide {
            lessons = lessons.guided(pupil, guidance);
        }
        let at = Position { epoch: 0, batch: 0 };
        values(lessons.loss(&network, &[item], at, &cpu().autodiff()).unwrap().unwrap().sum)[0]
    };
    let wholly = Guidance { share: 1.0, weight: 1.0, scale: 1.0, alpha: 0.0, recall: 0.0 };
    let near = |a: f32, b: f32| assert!((a - b).abs() < 1e-3, "{a} {b}");
    let (plain_neutral, plain_anger) = (loss(None, 0), loss(None, 3));
    near(loss(Some(("neutral", 50.0, wholly)), 0), plain_neutral);
    near(loss(Some(("neutral", 50.0, Guidance { share: 0.0, ..wholly })), 3), plain_anger);
    // One picture, one question: what both answers begin with has the same probabilities, so what one loses by the other's
    // first token, the other gains.
    let neutral = loss(Some(("anger", 50.0, wholly)), 0) - plain_neutral;
    let anger = loss(Some(("neutral", 50.0, wholly)), 3) - plain_anger;
    assert!(neutral.abs() > 1e-3, "{neutral}");
    near(neutral, -anger);
    near(loss(Some(("neutral", 50.0, Guidance { share: 0.5, ..wholly })), 3) - plain_anger, anger / 2.0);
    // What one begins with counts for another token or for three.
    let thrice = Guidance { weight: 3.0, ..wholly };
    let by_label = loss(Some(("neutral", 50.0, Guidance { share: 0.0, ..thrice })), 3);
    assert!(by_label > plain_anger);
    near(loss(Some(("neutral", 50.0, thrice)), 3) - by_label, 3.0 * anger);
    // Three quarters are neutral and one is angry: with logits ln 3 apart, what was drawn evenly is judged evenly.
    let even = Guidance { alpha: 1.0, ..wholly };
    near(loss(Some(("anger", 3.0_f32.ln(), even)), 3) - plain_anger, anger / 2.0);
    let scaled = Guidance { scale: 2.0, ..even };
    near(loss(Some(("anger", 3.0_f32.ln() / 2.0, scaled)), 3) - plain_anger, anger / 2.0);
    // One half of the mean recall over a quarter of the pictures, one half over three quarters: 3 against 5 / 3.
    let recalled = Guidance { recall: 1.0, ..wholly };
    near(loss(Some(("neutral", 1.8_f32.ln(), recalled)), 3) - plain_anger, anger / 2.0);
}

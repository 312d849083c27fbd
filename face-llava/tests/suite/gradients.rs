//! One training step on the autodiff device against PyTorch's autograd.

use std::collections::HashMap;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, Device, FloatDType, Gradients, Tensor};
use face_llava::text::PromptToken;
use face_llava::train::{Example, Instruction, LoraConfig, Loss, Objective, Position, adapt, answer_loss};
use face_llava::{FaceLlava, LoadOptions, Network};
use frgca::Fusion;
use serde_json::Value;

use crate::train::{lessons, records};
use crate::{device, error, json, open_dir, reference, tensor, values};

/// As promised.
const GRADIENTS: f64 = 1e-3;
const LOSS: f32 = 1e-4;

#[test]
fn loss_and_gradients_match() {
    let device = device().autodiff();
    let model = FaceLlava::load(&open_dir(), &LoadOptions::default(), &device).unwrap();
    let (reference, case) = (reference(), json("tiny-simple/cases.json"));
    let train = &case["train"];
    let network = &model.network;
    let pixels = tensor(&reference, "image.pixel_values", [2, 3, 224, 224], &device);
    let landmarks = tensor(&reference, "image.landmarks", [2, 68, 2], &device);
    let tower = network.image_tower.as_ref().unwrap().images(pixels).detach();
    let features = network.fusion.as_ref().unwrap().fuse(network.projector.forward(tower), landmarks).unwrap();

    let examples = [0, 1].map(|sample| {
        let pairs =
            train["input_ids"][sample].as_array().unwrap().iter().zip(train["labels"][sample].as_array().unwrap());
        let place = |(id, label): (&Value, &Value)| match id.as_i64().unwrap() {
            -200 => (PromptToken::Media(0), false),
            id => (PromptToken::Text(id as u32), label.as_i64().unwrap() >= 0),
        };
        let (tokens, labelled) = pairs.map(place).unzip();
        Example { id: sample.to_string(), tokens, labelled }
    });
    let Loss { sum, terms } = answer_loss(network, &examples.each_ref(), Some(features));
    let loss = sum / terms as f32;
    let expected = train["loss"].as_f64().unwrap() as f32;
    let found = loss.clone().into_scalar::<f32>();
    assert!((found - expected).abs() < LOSS, "{found} {expected}");

    let grads = loss.backward();
    let fusion = network.fusion.as_ref().unwrap();
    let attention = &fusion.attention;
    let check = |name: &str, grad: Vec<f32>| {
        let worst = error(&grad, &reference.read_f32(&format!("train.grad.model.{name}")).unwrap());
        assert!(worst <= GRADIENTS, "{name}: {worst}");
    };
    let grad = |param: &Tensor<2>| values(param.grad(&grads).unwrap());
    check("global_landmarks_projector.weight", grad(&fusion.global.as_ref().unwrap().layers[0].weight.val()));
    check("landmarks_projector.region_layers.lips.weight", grad(&fusion.local.layers[7].weight.val()));
    check("landmarks_cross_attn.linear_proj.weight", grad(&attention.linear_proj.weight.val()));
    let packed = [&attention.q_proj, &attention.k_proj, &attention.v_proj].map(|l| grad(&l.weight.val())).concat();
    check("landmarks_cross_attn.cross_attn.attn.in_proj_weight", packed);

    // Private parts are reached by their path.
    let mut found = Found { path: Vec::new(), grads: &grads, gradients: Default::default() };
    network.visit(&mut found);
    for (path, name) in [
        ("projector.layers.0.weight", "mm_projector.0.weight"),
        ("decoder.layers.0.self_attn.q_proj.weight", "layers.0.self_attn.q_proj.weight"),
        ("decoder.norm.gamma", "norm.weight"),
    ] {
        check(name, found.gradients.remove(path).unwrap());
    }
    let towers = found.gradients.keys().filter(|path| path.contains("tower")).count();
    assert_eq!(towers, 0, "the towers are frozen");
}

struct Found<'a> {
    path: Vec<String>,
    grads: &'a Gradients,
    gradients: HashMap<String, Vec<f32>>,
}

impl ModuleVisitor for Found<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.into());
    }
    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(grad) = param.val().grad(self.grads) {
            assert_eq!(grad.dtype(), DType::F32);
            self.gradients.insert(self.path.join("."), values(grad));
        }
    }
}

/// Loss and all gradients of one batch.
fn gradients(lessons: &Instruction, network: &Network, on: &Device) -> (f32, HashMap<String, Vec<f32>>) {
    let start = Position { epoch: 0, batch: 0 };
    let Loss { sum, terms } = lessons.loss(network, &[0, 1, 2, 3], start, on).unwrap().unwrap();
    let loss = sum / terms as f32;
    let grads = loss.backward();
    let mut found = Found { path: Vec::new(), grads: &grads, gradients: HashMap::new() };
    network.visit(&mut found);
    (loss.into_scalar(), found.gradients)
}

#[test]
fn bfloat16_finds_nearly_the_gradients_of_full_precision() {
    let folder = tempfile::tempdir().unwrap();
    let device = device().autodiff();
    if !device.supports_dtype(FloatDType::BF16) {
        assert!(std::env::var("FACE_LLAVA_DEVICE").is_ok_and(|name| name != "cpu"), "every CPU computes in it");
        return;
    }
    let (lessons, _) = lessons(&records(4), folder.path());
    let mut network = FaceLlava::load(&open_dir(), &LoadOptions::default(), &device).unwrap().network;
    network.decoder = adapt(network.decoder, &LoraConfig::default(), 0).unwrap();
    let lessons = lessons.unwrap();
    let (full_loss, full) = gradients(&lessons, &network, &device);
    let (loss, found) = gradients(&lessons.in_bfloat16(), &network, &device);
    assert!(loss != full_loss && (loss / full_loss - 1.0).abs() < 0.01, "{loss} {full_loss}");
    assert!(full.keys().any(|path| path.contains("lora")) && found.len() == full.len());
    let dot = |a: &HashMap<String, Vec<f32>>, b: &HashMap<String, Vec<f32>>| -> f64 {
        let product =
            |(path, x): (&String, &Vec<f32>)| x.iter().zip(&b[path]).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        a.iter().map(product).sum()
    };
    let cosine = dot(&found, &full) / (dot(&found, &found) * dot(&full, &full)).sqrt();
    assert!(cosine > 0.999, "{cosine}");
}

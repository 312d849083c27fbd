//! Steps of training at the small model's shapes, one for each line on stdin, so that a script can interleave them with
//! another program: `training tower` (pre-training, 64 pictures) or `training decoder` (32 answers over 160 places).
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::exit)]

use std::io::stdin;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::Instant;

use burn::module::Module;
use burn::tensor::{Device, Distribution, Tensor};
use face_encoder::ops::cross_entropy;
use face_llava::decoder::Llama;
use face_llava::train::{Loss, MiniRecipe, Objective, Optimization, Position, Pupil, Run, train};
use face_llava::{Error, open_device};

const PICTURES: usize = 64;
const ANSWERS: usize = 32;
const PLACES: usize = 160;

/// Times each step from the line that asks for it.
struct Asked<M, F> {
    loss: F,
    started: Mutex<Instant>,
    model: PhantomData<fn() -> M>,
}

impl<M: Module, F: Fn(&M) -> Loss + Sync> Asked<M, F> {
    fn run(loss: F, model: M, device: &Device) -> Result<M, Error> {
        let asked = Self { loss, started: Mutex::new(Instant::now()), model: PhantomData };
        let folder = tempfile::tempdir().expect("temporary folder");
        let settings = Optimization { epochs: 1, warmup_ratio: 0.0, ..Optimization::new(1e-3, 1) };
        let run = Run { folder: folder.path(), settings: &settings, identity: serde_json::json!({}), stop_at: None };
        train(&asked, model, |_| true, std::slice::from_ref(device), &run, &mut |progress| {
            println!("{:.2} {}", asked.started.lock().unwrap().elapsed().as_secs_f64() * 1000.0, progress.loss);
        })
    }
}

impl<M: Module, F: Fn(&M) -> Loss + Sync> Objective for Asked<M, F> {
    type Model = M;

    fn batches(&self, _: usize) -> Vec<Vec<usize>> {
        vec![vec![0]; 1 << 16]
    }

    fn loss(&self, model: &M, _: &[usize], _: Position, _: &Device) -> Result<Option<Loss>, Error> {
        if stdin().read_line(&mut String::new()).unwrap_or(0) == 0 {
            std::process::exit(0);
        }
        *self.started.lock().unwrap() = Instant::now();
        Ok(Some((self.loss)(model)))
    }
}

fn main() -> Result<(), Error> {
    // As the program does.
    landmarks::memory::keep_freed_blocks();
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().expect("usage: training tower|decoder [DEVICE]");
    let device = open_device(&arguments.next().unwrap_or_else(|| "cpu".into()))?.device;
    let recorded = device.clone().autodiff();
    let recipe = MiniRecipe::default();
    if what == "tower" {
        let config = recipe.tower();
        let pixels =
            Tensor::<4>::random([PICTURES, 3, config.image_size, config.image_size], Distribution::Default, &recorded);
        let points = Tensor::<3>::random([PICTURES, 68, 2], Distribution::Default, &recorded);
        let labels: Vec<Option<u32>> = (0..PICTURES as u32).map(|i| Some(i % 7)).collect();
        let loss = |pupil: &Pupil| {
            let (logits, seen) = pupil.forward(pixels.clone());
            let off = (seen - points.clone()).abs().sum() * (10.0 / 68.0);
            Loss { sum: cross_entropy(logits, &labels) + off, terms: PICTURES }
        };
        Asked::run(loss, Pupil::new(&config, 7, &device), &device)?;
    } else {
        let config = recipe.config().llama;
        let (vocabulary, width) = (config.vocab, config.width);
        let ids: Vec<i32> = (0..ANSWERS * PLACES).map(|i| (i * 31 % vocabulary) as i32).collect();
        let next: Vec<Option<u32>> = ids.iter().map(|id| Some((id * 7 % vocabulary as i32) as u32)).collect();
        let ids: Vec<u32> = ids.into_iter().map(|id| id as u32).collect();
        let loss = |llama: &Llama| {
            let embeddings = llama.embed(&ids).reshape([ANSWERS, PLACES, width]);
            let hidden = llama.forward_full(embeddings).reshape([ANSWERS * PLACES, width]);
            Loss { sum: cross_entropy(llama.logits(hidden), &next), terms: next.len() }
        };
        Asked::run(loss, config.init(&device), &device)?;
    }
    Ok(())
}

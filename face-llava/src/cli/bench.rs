//! `face-llava bench`

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};
use clap::{Args, ValueEnum};
use face_encoder::{TowerConfig, VisionProjectorConfig};
use face_llava::decoder::LlamaConfig;
use face_llava::{FaceLlavaConfig, Network, Parts};
use frgca::{FrgcaConfig, Variant};
use landmarks::Linears;
use landmarks::quantized::{Bits, Quantized};

use super::options::{BitsName, DeviceOption, ModelOptions};
use super::{Failure, Outcome, busy, say};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava bench
  face-llava bench --model FaceLLaVA --quantize int4
  face-llava bench --random 7b --quantize int4 --runs 3
Medians of several runs. Prefill reads a prompt at once, decoding writes one token after the other.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Random weights of a known shape in place of a model
    #[arg(long, value_name = "SHAPE", conflicts_with = "model")]
    random: Option<Shape>,
    /// Positions of the prompt, visual tokens included
    #[arg(long, default_value_t = 313, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    prompt: u32,
    /// Tokens to write
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    new: u32,
    /// Pictures that go through the tower at once
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pictures: u32,
    /// Runs of each part
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    runs: u32,
    #[command(flatten)]
    device: DeviceOption,
}

/// Published shapes.
#[derive(Clone, Copy, ValueEnum)]
enum Shape {
    /// Face-LLaVA: Vicuna 7B, ViT-L/14
    #[value(name = "7b")]
    SevenB,
    /// TinyLlama's decoder, 1.1 billion weights, and the same tower
    #[value(name = "1b")]
    OneB,
}

impl Shape {
    fn decoder(self) -> LlamaConfig {
        let common = |width, mlp_width, layers, heads, kv_heads| LlamaConfig {
            vocab: 32_000,
            width,
            mlp_width,
            layers,
            heads,
            kv_heads,
            context: 4096,
            norm_eps: 1e-5,
            rope_theta: 10_000.0,
        };
        match self {
            Self::SevenB => common(4096, 11_008, 32, 32, 32),
            Self::OneB => common(2048, 5632, 22, 32, 4),
        }
    }

    fn network(self, bits: Option<Bits>, device: &Device) -> Network {
        let (llama, tower) = (self.decoder(), TowerConfig::vit_l_14());
        let width = llama.width;
        let config = FaceLlavaConfig {
            tower_width: tower.width,
            select_layer: tower.select_layer,
            projector: VisionProjectorConfig { d_input: tower.width, d_output: width, layers: 2 },
            frgca: FrgcaConfig::new(width, Variant::Simple),
            image_tower: None,
            video_tower: None,
            pad_to_square: false,
            face_crop: None,
            eos: 2,
            bos: 1,
            llama,
        };
        let parts = Parts { image_tower: Some(tower), video_tower: None, landmarks: true };
        let mut network = config.init(&parts, device);
        if let Some(bits) = bits {
            fill(&mut network.decoder, |path| if path == "lm_head" { Bits::Int8 } else { bits });
            network.image_tower.iter_mut().for_each(|tower| fill(tower, |_| Bits::Int8));
        }
        network
    }
}

/// Random weights straight in few bits: their numbers in full would not fit into memory.
fn fill(module: &mut impl Linears, bits: impl Fn(&str) -> Bits) {
    for (seed, (path, layer)) in module.linears_mut().enumerate() {
        if let &[rows, columns] = &layer.weight.lazy_shape().to_vec()[..] {
            layer.quantize(Quantized::random(rows, columns, bits(&path), seed as u64));
        }
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let device = arguments.device.open()?;
    let start = Instant::now();
    let network = match arguments.random {
        Some(shape) => {
            let bar = busy("making weights");
            let network = shape.network(arguments.model.quantize.map(BitsName::bits), &device.device);
            bar.finish_and_clear();
            network
        }
        None => arguments.model.load(&device)?.network,
    };
    let loaded = start.elapsed().as_secs_f64();
    say(format_args!("{:<34}{loaded:>10.2} s", "loading"))?;
    let median = |what: &mut dyn FnMut()| {
        // The first run of each shape makes room and chooses kernels.
        what();
        let mut times: Vec<f64> = (0..arguments.runs).map(|_| time(what)).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    };
    let mut first = 0.0;
    if let Some(tower) = &network.image_tower {
        let (n, size) = (arguments.pictures as usize, tower.config().image_size);
        let pixels = Tensor::<4>::random([n, 3, size, size], Distribution::Default, &device.device);
        let landmarks = Tensor::<3>::random([n, 68, 2], Distribution::Default, &device.device);
        let mut failed = None;
        let seconds = median(&mut || match network.image_features(pixels.clone(), Some(landmarks.clone())) {
            Ok(tokens) => wait(tokens.sum()),
            Err(error) => failed = Some(error),
        });
        if let Some(error) = failed {
            return Err(error.into());
        }
        first += seconds / n as f64;
        let name = format!("tower to visual tokens, {n} pictures");
        say(format_args!("{name:<34}{:>10.1} ms{:>12.2} pictures/s", seconds * 1e3, n as f64 / seconds))?;
    }
    let decoder = &network.decoder;
    let (prompt, new, d) = (arguments.prompt as usize, arguments.new as usize, decoder.config().width);
    if prompt + new > decoder.config().context {
        return Err(Failure::Usage(format!("the model's context is {} positions", decoder.config().context)));
    }
    let embeddings = Tensor::<3>::random([1, prompt, d], Distribution::Normal(0.0, 0.02), &device.device);
    let mut cache = decoder.cache(1);
    let last = |embeddings: Tensor<3>, cache: &mut _| {
        let hidden = decoder.forward(embeddings, cache, &[0]);
        let l = hidden.dims()[1];
        wait(decoder.logits(hidden.narrow(1, l - 1, 1)).sum());
    };
    let seconds = median(&mut || {
        cache.truncate(0);
        last(embeddings.clone(), &mut cache);
    });
    first += seconds;
    let name = format!("prefill, {prompt} positions");
    say(format_args!("{name:<34}{:>10.1} ms{:>12.2} tokens/s", seconds * 1e3, prompt as f64 / seconds))?;
    say(format_args!("{:<34}{:>10.1} ms", "picture to first token", first * 1e3))?;
    let seconds = median(&mut || {
        cache.truncate(prompt);
        (0..new).for_each(|i| last(decoder.embed(&[i as u32 + 3]).unsqueeze(), &mut cache));
    });
    let name = format!("decoding, {new} tokens");
    say(format_args!("{name:<34}{:>10.1} ms{:>12.2} tokens/s", seconds * 1e3, new as f64 / seconds))?;
    let answer = first + seconds;
    say(format_args!("{:<34}{:>10.1} ms{:>12.2} pictures/s", "picture to whole answer", answer * 1e3, 1.0 / answer))?;
    if let Some(peak) = peak() {
        say(format_args!("{:<34}{peak:>10.0} MiB", "peak memory"))?;
    }
    Ok(Outcome::Done)
}

fn time(what: &mut dyn FnMut()) -> f64 {
    let start = Instant::now();
    what();
    start.elapsed().as_secs_f64()
}

/// Until the value is there.
fn wait(sum: Tensor<1>) {
    let _ = sum.into_data();
}

/// The most memory that this process had, MiB; only Linux tells.
fn peak() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? / 1024.0)
}

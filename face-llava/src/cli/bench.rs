//! `face-llava bench`

use std::time::Instant;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Distribution, FloatDType, Tensor};
use clap::{Args, ValueEnum};
use face_encoder::{TowerConfig, VisionProjectorConfig};
use face_llava::decoder::{KvCache, Llama, LlamaConfig, Tree};
use face_llava::{FaceLlavaConfig, Network, Parts};
use frgca::{FrgcaConfig, Variant};
use landmarks::Linears;
use landmarks::quantized::{Bits, Quantized};
use serde_json::{Map, Value};

use super::options::{BitsName, DeviceOption, ModelOptions, Precision};
use super::{Failure, Outcome, busy, say};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava bench
  face-llava bench --model FaceLLaVA --quantize int4
  face-llava bench --random 7b --quantize int4 --runs 3
Medians of several runs. Prefill reads a prompt at once, decoding writes one token after the
other.")]
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
    /// One JSON object in place of the table
    #[arg(long)]
    json: bool,
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
            fill(&mut network.decoder, |path| Llama::bits(path, bits));
            network.image_tower.iter_mut().for_each(|tower| fill(tower, |_| Bits::Int8));
            network.fusion.iter_mut().for_each(|fusion| fill(fusion, |_| Bits::Int8));
            fill(&mut network.projector, |_| Bits::Int8);
        }
        network
    }
}

/// Random weights straight in few bits: their numbers in full would not fit into memory.
fn fill(module: &mut impl Linears, bits: impl Fn(&str) -> Bits) {
    for (seed, (path, layer)) in module.linears_mut().enumerate() {
        if let &[rows, columns] = &layer.weight.lazy_shape().to_vec()[..]
            && Quantized::fits(rows, columns)
        {
            layer.quantize(Quantized::random(rows, columns, bits(&path), seed as u64));
        }
    }
}

/// Casts every parameter.
struct Cast(FloatDType);

impl ModuleMapper for Cast {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.cast(self.0))
    }
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let device = arguments.device.open()?;
    let start = Instant::now();
    let network = match arguments.random {
        Some(shape) => {
            let bar = busy("making weights");
            let network = shape.network(arguments.model.quantize.map(BitsName::bits), &device.device);
            let network = match arguments.model.precision {
                Precision::F32 => network,
                narrow => network.map(&mut Cast(narrow.into())),
            };
            bar.finish_and_clear();
            network
        }
        None => arguments.model.load(&device)?.network,
    };
    let mut table = Table { json: arguments.json.then(Map::new) };
    table.seconds("load", "loading", start.elapsed().as_secs_f64(), None)?;
    let picture = tower(arguments, &network, &device.device, &mut table)?;
    decoder(arguments, &network.decoder, picture, &device.device, &mut table)?;
    if let Some(peak) = peak() {
        table.put("peak_mib", "peak memory", peak, "MiB", None)?;
    }
    table.finish()?;
    Ok(Outcome::Done)
}

/// Seconds from one picture to its visual tokens; zero without a tower.
fn tower(arguments: &Arguments, network: &Network, device: &Device, table: &mut Table) -> Result<f64, Failure> {
    let Some(tower) = &network.image_tower else { return Ok(0.0) };
    let (n, size) = (arguments.pictures as usize, tower.config().image_size);
    let pixels = Tensor::<4>::random([n, 3, size, size], Distribution::Default, device);
    let landmarks = Tensor::<3>::random([n, 68, 2], Distribution::Default, device);
    let mut failed = None;
    let seconds = arguments.median(&mut || match network.image_features(pixels.clone(), Some(landmarks.clone())) {
        Ok(tokens) => wait(tokens.sum()),
        Err(error) => failed = Some(error),
    });
    if let Some(error) = failed {
        return Err(error.into());
    }
    let name = format!("tower to visual tokens, {n} pictures");
    table.seconds("tower", &name, seconds, Some((n as f64, "pictures/s")))?;
    Ok(seconds / n as f64)
}

/// Prompts and answers; `picture` are the seconds to a picture's visual tokens.
fn decoder(
    arguments: &Arguments,
    decoder: &Llama,
    picture: f64,
    device: &Device,
    table: &mut Table,
) -> Result<(), Failure> {
    let (prompt, new, d) = (arguments.prompt as usize, arguments.new as usize, decoder.config().width);
    let question = QUESTION.min(prompt / 2);
    let labels = labels(question);
    if prompt + new.max(labels.len()) > decoder.config().context {
        return Err(Failure::Usage(format!("the model's context is {} positions", decoder.config().context)));
    }
    let embeddings = Tensor::<3>::random([1, prompt, d], Distribution::Normal(0.0, 0.02), device).cast(decoder.dtype());
    let mut cache = decoder.cache(1);
    let last = |embeddings: Tensor<3>, cache: &mut _| {
        let hidden = decoder.forward(embeddings, cache, &[0]);
        let l = hidden.dims()[1];
        wait(decoder.logits(hidden.narrow(1, l - 1, 1)).sum());
    };
    let prefill = arguments.median(&mut || {
        cache.truncate(0);
        last(embeddings.clone(), &mut cache);
    });
    let name = format!("prefill, {prompt} positions");
    table.seconds("prefill", &name, prefill, Some((prompt as f64, "tokens/s")))?;
    table.seconds("first_token", "picture to first token", picture + prefill, None)?;
    let decoding = arguments.median(&mut || {
        cache.truncate(prompt);
        (0..new).for_each(|i| last(decoder.embed(&[i as u32 + 3]).unsqueeze(), &mut cache));
    });
    table.seconds("decoding", &format!("decoding, {new} tokens"), decoding, Some((new as f64, "tokens/s")))?;
    let answer = picture + prefill + decoding;
    table.seconds("answer", "picture to whole answer", answer, Some((1.0, "pictures/s")))?;
    // A question and the labels go through together, behind everything that does not change with the question.
    let questions = |count: usize, cache: &mut KvCache| {
        cache.truncate(0);
        decoder.forward(embeddings.clone().narrow(1, 0, prompt - question), cache, &[0]);
        for _ in 0..count {
            let hidden = decoder.forward_tree(decoder.embed(labels.tokens()).unsqueeze(), cache, &labels);
            let asked = labels.len() + 1 - question;
            wait(decoder.logits(hidden.narrow(1, question - 1, asked)).sum());
        }
    };
    let label = picture + arguments.median(&mut || questions(1, &mut cache));
    table.seconds("label", "picture to label by likelihood", label, Some((1.0, "pictures/s")))?;
    let four = picture + arguments.median(&mut || questions(4, &mut cache));
    let name = format!("four labels, {:.2} x faster than alone", 4.0 * label / four);
    table.seconds("four_labels", &name, four, Some((4.0, "labels/s")))
}

/// Positions behind the picture: a line break, a question of nine tokens (the mean of the pool's), the six of `ASSISTANT:`.
const QUESTION: usize = 16;

/// A question and seven labels, three of them of three tokens and four of two, as Llama's vocabulary has the seven
/// expressions. The full stop after each is asked for, what follows it is not.
fn labels(question: usize) -> Tree {
    let mut tree = Tree::default();
    for label in 0..7 {
        let tokens = [10 + label, 20 + label, 30 + label];
        let answer = tokens.into_iter().take(if label < 3 { 3 } else { 2 });
        tree.insert(std::iter::repeat_n(3, question).chain(answer));
    }
    tree
}

/// Lines as they come, or one object at the end.
struct Table {
    json: Option<Map<String, Value>>,
}

impl Table {
    fn put(&mut self, key: &str, name: &str, value: f64, unit: &str, rate: Option<String>) -> Result<(), Failure> {
        match &mut self.json {
            Some(json) => {
                json.insert(key.into(), value.into());
                Ok(())
            }
            None => say(format_args!("{name:<40}{value:>10.1} {unit:<4}{}", rate.unwrap_or_default())),
        }
    }

    /// A time, and how many of something that is for each second.
    fn seconds(&mut self, key: &str, name: &str, seconds: f64, of: Option<(f64, &str)>) -> Result<(), Failure> {
        let rate = of.map(|(count, unit)| format!("{:>10.2} {unit}", count / seconds));
        self.put(&format!("{key}_ms"), name, seconds * 1e3, "ms", rate)
    }

    fn finish(self) -> Result<(), Failure> {
        self.json.map_or(Ok(()), |json| say(Value::from(json)))
    }
}

impl Arguments {
    /// Seconds of the middle run.
    fn median(&self, what: &mut dyn FnMut()) -> f64 {
        // The first run of each shape makes room and chooses kernels.
        what();
        let mut times: Vec<f64> = (0..self.runs).map(|_| time(what)).collect();
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    }
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

//! The small model, from labelled photographs to a folder: one call, resumable at every step.
//!
//! ```text
//! labels.csv ─► data/ ─► split/ ─► tokenizer.json
//!                          └─► tower/ ─► base/ (decoder and projector) ─► stage1/ (landmark modules) ─► stage2/ ─► model/
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, FloatDType};
use face_encoder::{Activation, Tower, TowerConfig, VisionProjectorConfig};
use frgca::{FrgcaConfig, Variant};
use image::RgbImage;
use landmarks::CropRule;
use landmarks::files::write_bytes;
use landmarks::weights::{LoadOptions, Weights, collect, load, write};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::augment::random;
use super::example::FRAMES;
use super::{
    Augmentation, Course, Description, Features, Instruction, Lesson, LessonPlan, Optimization, Optimizer, Progress,
    Pupil, Run, Sampling, TrainingMedia, Trains, export, initialise, media_of, train, words,
};
use crate::data::{self, BuildOptions, Faces, Fractions, Message, Record, Speaker, read_records};
use crate::decoder::LlamaConfig;
use crate::text::{Template, Tokenizer};
use crate::{EXPRESSIONS, Error, FaceLlavaConfig, Parts, Task};

/// Bytes of tower output kept in memory.
const FEATURE_MEMORY: usize = 6 << 30;
/// Purpose of the random numbers.
const CLIPS: u64 = 6;

/// Numbers of the recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MiniRecipe {
    /// Seed of everything.
    pub seed: u64,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Width of towers and decoder.
    pub width: usize,
    /// Layers of the towers.
    pub tower_layers: usize,
    /// Layers of the decoder.
    pub decoder_layers: usize,
    /// Times through the pictures for the tower.
    pub tower_epochs: usize,
    /// Records in an epoch of the other steps.
    pub records: usize,
    /// Epochs of decoder and projector, of the landmark modules, and of all but the towers.
    pub epochs: [usize; 3],
    /// Versions of each picture that the decoder learns from.
    pub versions: usize,
    /// Clips made of single pictures.
    pub clips: usize,
    /// Pictures of the source that are used; all where nothing is said.
    pub limit: Option<usize>,
}

impl Default for MiniRecipe {
    fn default() -> Self {
        Self {
            seed: 0,
            vocab: 768,
            width: 160,
            tower_layers: 4,
            decoder_layers: 3,
            tower_epochs: 44,
            records: 12_000,
            epochs: [6, 2, 4],
            versions: 3,
            clips: 256,
            limit: None,
        }
    }
}

/// What a recipe is busy with.
#[derive(Clone, Debug)]
pub enum Event {
    /// A step begins.
    Step(&'static str),
    /// Pictures of the dataset done.
    Built(usize, usize),
    /// A step of training done.
    Trained(Progress),
    /// Something to know.
    Note(String),
}

/// Trains the small model on a labelled manifest (`labels.csv` with `image`, `expression`, `person`) and gives the folder
/// of the finished model. What lies in `out` already is not done again.
///
/// # Errors
/// Those of every step.
pub fn mini(
    recipe: &MiniRecipe,
    manifest: &Path,
    out: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event),
) -> Result<PathBuf, Error> {
    let model = out.join("model");
    if model.join("config.json").exists() {
        return Ok(model);
    }
    observe(Event::Step("building the dataset"));
    let records = dataset(recipe, manifest, out, device, observe)?;
    let words: Vec<String> = records.iter().flat_map(|r| r.conversations.iter().map(|m| m.value.clone())).collect();
    let tokenizer_json = words::learn_vocabulary(&words_and_prompts(words), recipe.vocab)?;
    write_bytes(&out.join("tokenizer.json"), &tokenizer_json)?;
    let config = recipe.config();
    let tokenizer = Tokenizer::from_bytes(&tokenizer_json, config.llama.vocab, config.bos, config.eos)?;

    observe(Event::Step("pre-training the tower"));
    let tower = tower(recipe, &records, &out.join("split"), out, device, observe)?;
    let parts = Parts {
        image_tower: Some(recipe.tower()),
        video_tower: Some(TowerConfig { frames: Some(FRAMES), ..recipe.tower() }),
        landmarks: true,
    };
    let video = inflate(&tower, device)?;

    let mut records = records;
    records.extend(clips(recipe, &records, &out.join("split"), &out.join("clips"))?);
    // What the towers see is the same for all three: once is enough.
    let (media, places) = media_of(&records, &out.join("split"))?;
    let features = Features::new(Some(tower.clone()), Some(video.clone()), media, false, FEATURE_MEMORY)
        .cropped(config.face_crop)
        .augmented(recipe.augmentation(), recipe.versions, recipe.seed);
    let features = Arc::new(features);
    let mut network = initialise(config.init(&Parts::default(), device), 2 * recipe.decoder_layers, recipe.seed);
    for (i, (name, step)) in ["base", "stage1", "stage2"].into_iter().zip(recipe.steps()).enumerate() {
        observe(Event::Step(match i {
            0 => "teaching the decoder to answer from visual tokens",
            1 => "stage 1: landmark modules",
            _ => "stage 2: all but the towers",
        }));
        if i == 1 {
            network.fusion = Some(initialise(config.frgca.init(device), 1, recipe.seed));
        }
        let folder = out.join(name);
        let course = recipe.course(i);
        let identity = json!({ "step": name, "recipe": recipe });
        let lessons = Instruction::new(&records, &places, features.clone(), &tokenizer, course, &folder, device)?;
        let run = Run { folder: &folder, settings: &step, identity, stop_at: None };
        let trains = if i == 1 { Trains::LandmarkModules } else { Trains::AllButTowers };
        let trained = |path: &str| trains.contains(path);
        network = train(&lessons, network, trained, device, &run, &mut |p| observe(Event::Trained(*p)))?;
    }
    observe(Event::Step("writing the model"));
    network.image_tower = Some(tower);
    network.video_tower = Some(video);
    let about = Description { config: &config, parts: &parts, tokenizer: &tokenizer_json };
    export(&network, &about, &model, FloatDType::F16)?;
    Ok(model)
}

impl MiniRecipe {
    fn tower(&self) -> TowerConfig {
        TowerConfig {
            width: self.width,
            layers: self.tower_layers,
            heads: 4,
            mlp_width: 4 * self.width,
            image_size: 96,
            patch_size: 12,
            activation: Activation::Gelu,
            norm_eps: 1e-5,
            frames: None,
            select_layer: -1,
        }
    }

    fn config(&self) -> FaceLlavaConfig {
        let width = self.width;
        FaceLlavaConfig {
            llama: LlamaConfig {
                vocab: self.vocab,
                width,
                mlp_width: 8 * width / 3 / 16 * 16,
                layers: self.decoder_layers,
                heads: 4,
                kv_heads: 4,
                context: 1024,
                norm_eps: 1e-5,
                rope_theta: 10_000.0,
            },
            tower_width: width,
            select_layer: -1,
            projector: VisionProjectorConfig { d_input: width, d_output: width, layers: 2 },
            frgca: FrgcaConfig::new(width, Variant::Simple),
            image_tower: Some("face-llava/mini-image".into()),
            video_tower: Some("face-llava/mini-video".into()),
            pad_to_square: false,
            face_crop: Some(CropRule::Aligned),
            eos: 2,
            bos: 1,
        }
    }

    fn augmentation(&self) -> Augmentation {
        Augmentation { degrees: 5.0, scale: 0.06, shift: 0.04, mirror: true, light: 0.25, blur: 0.1 }
    }

    /// Of the decoder, the landmark modules, all but the towers.
    fn steps(&self) -> [Optimization; 3] {
        [(2e-3, 0), (1e-3, 1), (6e-4, 2)].map(|(rate, i)| Optimization {
            optimizer: Optimizer::Muon,
            warmup_ratio: 0.05,
            weight_decay: 0.02,
            beta_2: 0.98,
            epochs: self.epochs[i],
            seed: self.seed + i as u64,
            save_every: 200,
            ..Optimization::new(rate, 32)
        })
    }

    fn course(&self, step: usize) -> Course {
        let tasks = BTreeMap::from([
            (Task::Expression, 0.5),
            (Task::ActionUnits, 0.17),
            (Task::Attributes, 0.15),
            (Task::Age, 0.03),
            (Task::Deepfake, 0.15),
        ]);
        Course {
            template: Template::Inference,
            sampling: Sampling::Balanced { alpha: 0.5, tasks, records: self.records },
            micro_batch: 32,
            max_length: 900,
            // The base never sees landmarks; the last stage keeps it able to do without.
            landmark_dropout: [1.0, 0.0, 0.15][step],
            bad_budget: 0.001,
            seed: self.seed + step as u64,
        }
    }
}

/// Builds, splits, and gives the training part; its paths are relative to the split's folder.
fn dataset(
    recipe: &MiniRecipe,
    manifest: &Path,
    out: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event),
) -> Result<Vec<Record>, Error> {
    let mut options = BuildOptions::new(manifest, out.join("data"), device.clone());
    options.tasks = Some(Task::ALL.to_vec());
    options.faces = Faces::Whole;
    options.seed = recipe.seed;
    options.limit = recipe.limit;
    let (send, receive) = std::sync::mpsc::channel();
    let report = std::thread::scope(|scope| {
        let building = scope.spawn(move || {
            data::build(&options, |p: data::Progress| {
                // Nobody listening is no reason to stop.
                let _ = send.send((p.done, p.items));
            })
        });
        for (done, items) in receive {
            observe(Event::Built(done, items));
        }
        building.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })?;
    if !report.rejected.is_empty() {
        observe(Event::Note(format!("left out while building: {:?}", report.rejected)));
    }
    let split = data::split(&out.join("data"), &out.join("split"), &Fractions::default(), recipe.seed)?;
    for part in &split.parts {
        observe(Event::Note(format!("{}: {} records of {} persons", part.split.name(), part.records, part.persons)));
    }
    read_records(out.join("split/train.json"))
}

/// The texts that the vocabulary is learnt from: everything said, and the wording around it.
fn words_and_prompts(mut texts: Vec<String>) -> Vec<String> {
    for text in &mut texts {
        *text = text.replace("<image>", "").replace("<video>", "").trim().to_owned();
    }
    let frame = crate::text::Conversation { template: Template::Inference, media: 0, turns: Vec::new() };
    let system: String = frame
        .pieces()
        .into_iter()
        .filter_map(|piece| if let crate::text::Piece::Text(text) = piece { Some(text) } else { None })
        .collect();
    texts.extend(std::iter::repeat_n(format!("{system}USER:\n ASSISTANT:"), 100));
    texts
}

/// Records of single pictures that a person has labelled with an expression: what the tower is taught.
fn labelled(records: &[Record], folder: &Path) -> Result<(Vec<TrainingMedia>, Vec<usize>), Error> {
    let human: Vec<(Record, usize)> = records
        .iter()
        .filter_map(|r| {
            let meta = r.meta.as_ref().filter(|m| m.task == Task::Expression)?;
            let class = EXPRESSIONS.iter().position(|e| Some(*e) == meta.labels.first().map(String::as_str))?;
            Some((r.clone(), class))
        })
        .collect();
    let (records, classes): (Vec<Record>, Vec<usize>) = human.into_iter().unzip();
    let (media, places) = media_of(&records, folder)?;
    let mut labels = vec![0; media.len()];
    for (place, class) in places.iter().zip(classes) {
        if let Some(place) = place {
            labels[*place] = class;
        }
    }
    Ok((media, labels))
}

fn tower(
    recipe: &MiniRecipe,
    records: &[Record],
    split: &Path,
    out: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event),
) -> Result<Tower, Error> {
    let config = recipe.tower();
    let file = out.join("tower.safetensors");
    if file.exists() {
        let weights = Weights::open(&file)?;
        return Ok(load(config.init(device), &weights, &LoadOptions::default(), |path| path.into())?.0);
    }
    let plan = LessonPlan {
        augmentation: recipe.augmentation(),
        alpha: 0.5,
        label_smoothing: 0.1,
        points: 10.0,
        micro_batch: 64,
        seed: recipe.seed,
        crop: Some(CropRule::Aligned),
    };
    let (media, labels) = labelled(records, split)?;
    let (lesson, bad) = Lesson::new(&media, &labels, EXPRESSIONS.len(), config.image_size, plan.clone(), device);
    if let Some((place, error)) = bad.first() {
        let path = media[*place].path.display();
        observe(Event::Note(format!("{} pictures cannot be used, first {path}: {error}", bad.len())));
    }
    let settings = Optimization {
        optimizer: Optimizer::Muon,
        warmup_ratio: 0.02,
        weight_decay: 0.05,
        beta_2: 0.98,
        epochs: recipe.tower_epochs,
        seed: recipe.seed,
        save_every: 200,
        ..Optimization::new(3e-3, 64)
    };
    let folder = out.join("tower");
    let identity = json!({ "step": "tower", "recipe": recipe, "plan": plan });
    let run = Run { folder: &folder, settings: &settings, identity, stop_at: None };
    let pupil = initialise(Pupil::new(&config, EXPRESSIONS.len(), device), 2 * config.layers, recipe.seed);
    let pupil = train(&lesson, pupil, |_| true, device, &run, &mut |p| observe(Event::Trained(*p)))?;
    let val = read_records(split.join("val.json"))?;
    let (media, labels) = labelled(&val, split)?;
    let (lesson, _) = Lesson::new(&media, &labels, EXPRESSIONS.len(), config.image_size, plan, device);
    let seen = lesson.predict(&pupil);
    observe(Event::Note(format!("tower on the validation part: {}", accuracy(&seen, lesson.labels()))));
    let pupil = burn::module::Module::valid(&pupil);
    write(&file, &collect(&pupil.tower, |path| path.into()), FloatDType::F32)?;
    let weights = Weights::open(&file)?;
    Ok(load(config.init(device), &weights, &LoadOptions::default(), |path| path.into())?.0)
}

/// Accuracy and the recall of each class, in words.
fn accuracy(seen: &[usize], labels: &[usize]) -> String {
    let right = |class: Option<usize>| {
        let of = seen.iter().zip(labels).filter(|(_, label)| class.is_none_or(|c| c == **label));
        let (all, right) = of.fold((0, 0), |(all, right), (s, l)| (all + 1, right + usize::from(s == l)));
        format!("{right}/{all}")
    };
    let classes = EXPRESSIONS.iter().enumerate().map(|(i, name)| format!("{name} {}", right(Some(i))));
    format!("{} right; {}", right(None), classes.collect::<Vec<_>>().join(", "))
}

/// The image tower with attention over time that adds nothing yet.
fn inflate(image: &Tower, device: &Device) -> Result<Tower, Error> {
    let config = TowerConfig { frames: Some(FRAMES), ..image.config().clone() };
    let mut tensors = collect(image, |path| path.into());
    for (name, shape) in
        collect(&config.init(device), |path| path.into()).into_iter().map(|(n, t)| (n, t.shape().to_vec()))
    {
        if let Some((layer, leaf)) = name.split_once(".temporal.") {
            // Fresh projections as the layer's own, an output of zero.
            let like = leaf.strip_prefix("attn.").map(|leaf| format!("{layer}.self_attn.{leaf}"));
            let own = like.filter(|_| !leaf.contains("out_proj")).and_then(|like| tensors.get(&like).cloned());
            let ones = leaf == "norm.weight";
            let value = if ones { 1.0_f32 } else { 0.0 };
            let plain = burn::tensor::TensorData::new(vec![value; shape.iter().product()], shape);
            tensors.insert(name, own.unwrap_or(plain));
        }
    }
    let folder = tempfile::tempdir().map_err(|source| super::TrainError::Io { path: std::env::temp_dir(), source })?;
    let file = folder.path().join("video.safetensors");
    write(&file, &tensors, FloatDType::F32)?;
    Ok(load(config.init(device), &Weights::open(&file)?, &LoadOptions::default(), |path| path.into())?.0)
}

/// Clips of one picture each, drifting a little: the form of a clip, so that the decoder has met it.
fn clips(recipe: &MiniRecipe, records: &[Record], split: &Path, folder: &Path) -> Result<Vec<Record>, Error> {
    let drift =
        Augmentation { degrees: 2.0, scale: 0.02, shift: 0.02, light: 0.05, mirror: false, ..recipe.augmentation() };
    let drift = Augmentation { blur: 0.0, ..drift };
    let expressive: Vec<&Record> =
        records.iter().filter(|r| r.meta.as_ref().is_some_and(|m| m.task == Task::Expression)).collect();
    let step = (expressive.len() / recipe.clips.max(1)).max(1);
    let mut out = Vec::new();
    for record in expressive.into_iter().step_by(step).take(recipe.clips) {
        let (media, _) = media_of(std::slice::from_ref(record), split)?;
        let Some((media, points)) = media.first().and_then(|m| Some((m, m.landmarks.as_ref()?.first()?))) else {
            continue;
        };
        let name = record.id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let clip = folder.join(&name);
        let opened = crate::Media::open(&media.path)?;
        let picture: &RgbImage = &opened.frames()[0];
        let mut sets = Vec::new();
        let fail = |source| super::TrainError::Io { path: clip.clone(), source };
        std::fs::create_dir_all(&clip).map_err(fail)?;
        for frame in 0..FRAMES {
            let change = drift.draw(&mut random(recipe.seed, CLIPS, (out.len() * FRAMES + frame) as u64));
            landmarks::draw::save(&change.picture(picture), &clip.join(format!("{frame}.png")))?;
            let moved = change.landmarks(points, picture.width(), picture.height());
            sets.push(moved.iter().map(|p| [p.x, p.y]).collect());
        }
        let video = Path::new("..").join(folder.file_name().unwrap_or_default()).join(&name);
        let spoken = record.conversations.iter().map(|m| match m.from {
            Speaker::Human => {
                let text = m.value.replace("<image>", "<video>").replace("picture", "video");
                Message { from: m.from, value: text }
            }
            Speaker::Gpt => m.clone(),
        });
        out.push(Record {
            id: format!("clip-{}", record.id),
            image: None,
            video: Some(video),
            landmarks: Some(data::LandmarksField::Points(sets)),
            conversations: spoken.collect(),
            meta: record.meta.clone(),
        });
    }
    Ok(out)
}

//! The small model, from labelled photographs to a folder: one call, resumable at every step.
//!
//! ```text
//! labels.csv ─► data/ ─► split/ ─► tokenizer.json
//!                          └─► teacher/ ─► tower/ ─► base/ (decoder and projector) ─► stage1/ (landmark modules) ─► stage2/ ─► model/
//! ```

mod data;
mod numbers;
mod tower;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use burn::tensor::{Device, FloatDType};
use face_encoder::TowerConfig;
use landmarks::files::write_bytes;
use landmarks::picture::read_file;
use serde_json::json;

pub use numbers::MiniRecipe;

use super::example::FRAMES;
use super::run::settle;
use super::{Description, Features, Instruction, Progress, Run, Trains, export, initialise, media_of, train, words};
use crate::data::seed::sha256;
use crate::data::source::MAX_MANIFEST;
use crate::text::Tokenizer;
use crate::{Error, Parts};

/// Bytes of tower output kept in memory.
const FEATURE_MEMORY: usize = 6 << 30;

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
/// Those of every step; [`super::TrainError::SettingsChanged`] where `out` was begun with another recipe or manifest.
pub fn mini(
    recipe: &MiniRecipe,
    manifest: &Path,
    out: &Path,
    device: &Device,
    observe: &mut dyn FnMut(Event),
) -> Result<PathBuf, Error> {
    let manifest_sha256 = sha256(&read_file(manifest, MAX_MANIFEST)?);
    settle(out, &json!({ "recipe": recipe, "numbers": recipe.numbers(), "manifest": manifest_sha256 }))?;
    let model = out.join("model");
    if model.join("config.json").exists() {
        return Ok(model);
    }
    observe(Event::Step("building the dataset"));
    let mut records = data::dataset(recipe, manifest, out, device, observe)?;
    let words: Vec<String> = records.iter().flat_map(|r| r.conversations.iter().map(|m| m.value.clone())).collect();
    let tokenizer_json = words::learn_vocabulary(&data::words_and_prompts(words), recipe.vocab)?;
    write_bytes(&out.join("tokenizer.json"), &tokenizer_json)?;
    let config = recipe.config();
    let tokenizer = Tokenizer::from_bytes(&tokenizer_json, config.llama.vocab, config.bos, config.eos)?;

    let mut pupil = tower::pretrain(recipe, &records, &out.join("split"), out, device, observe)?;
    let parts = Parts {
        image_tower: Some(recipe.tower()),
        video_tower: Some(TowerConfig { frames: Some(FRAMES), ..recipe.tower() }),
        landmarks: true,
    };
    pupil.tower = tower::colour_blind(&pupil.tower, device)?;
    let (image, video) = (pupil.tower.clone(), tower::inflate(&pupil.tower, device)?);

    records.extend(data::clips(recipe, &records, &out.join("split"), &out.join("clips"))?);
    // What the towers see is the same for all three: once is enough.
    let (media, placed) = media_of(records.iter().map(Ok), &out.join("split"));
    let features = Features::new(Some(image.clone()), Some(video.clone()), media, false, FEATURE_MEMORY)
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
        let identity = json!({ "step": name, "recipe": recipe, "guidance": recipe.guidance(i) });
        let lessons = Instruction::new(&placed, features.clone(), &tokenizer, course, &folder)?
            .guided(pupil.clone(), recipe.guidance(i));
        let run = Run { folder: &folder, settings: &step, identity, stop_at: None };
        let trains = if i == 1 { Trains::LandmarkModules } else { Trains::AllButTowers };
        let trained = |path: &str| trains.contains(path);
        network = train(&lessons, network, trained, std::slice::from_ref(device), &run, &mut |p| {
            observe(Event::Trained(*p))
        })?;
    }
    observe(Event::Step("writing the model"));
    network.image_tower = Some(image);
    network.video_tower = Some(video);
    let about = Description { config: &config, parts: &parts, tokenizer: &tokenizer_json };
    export(&network, &about, &model, FloatDType::F16)?;
    Ok(model)
}

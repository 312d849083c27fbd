//! A model's folder: configuration, tokenizer, weights, and where its towers are.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use face_encoder::TowerConfig;
use face_encoder::video::VideoOptions;
use frgca::Frgca;
use landmarks::picture::read_file;
use landmarks::weights::{LoadOptions, LoadReport, Weights};

use crate::network::Parts;
use crate::text::Tokenizer;
use crate::weights::{IMAGE_TOWER, LANGUAGEBIND, Sources, TowerSource, VIDEO_TOWER, is_of_decoder, unexpected};
use crate::{Error, FaceLlavaConfig};

/// A tokenizer.json holds a few MiB.
const MAX_TOKENIZER: u64 = 32 << 20;
/// A config.json holds a few KiB.
const MAX_CONFIG: u64 = 4 << 20;

/// Folder of the image tower, as published.
pub(crate) const IMAGE_FOLDER: &str = "LanguageBind_Image";
/// Folder of the video tower, as published.
pub(crate) const VIDEO_FOLDER: &str = "LanguageBind_Video_merge";

/// One of the two towers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Image,
    Video,
}

impl Kind {
    fn folder(self) -> &'static str {
        match self {
            Self::Image => IMAGE_FOLDER,
            Self::Video => VIDEO_FOLDER,
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Image => IMAGE_TOWER,
            Self::Video => VIDEO_TOWER,
        }
    }

    fn published(self) -> TowerConfig {
        match self {
            Self::Image => TowerConfig::vit_l_14(),
            Self::Video => TowerConfig::vit_l_14_video(),
        }
    }
}

/// A tower's shape and, where they are not in the checkpoint, its weights.
#[derive(Debug)]
pub(crate) struct TowerFiles {
    kind: Kind,
    pub config: TowerConfig,
    own: Option<Weights>,
}

impl TowerFiles {
    pub fn source<'a>(&'a self, checkpoint: &'a Weights) -> TowerSource<'a> {
        match &self.own {
            Some(weights) => TowerSource { weights, prefix: LANGUAGEBIND, shared: LANGUAGEBIND },
            None => {
                // Embedded video towers may leave out what they share with the image tower.
                let shared = if self.kind == Kind::Video { IMAGE_TOWER } else { self.kind.prefix() };
                TowerSource { weights: checkpoint, prefix: self.kind.prefix(), shared }
            }
        }
    }

    /// Where its weights come from, in words.
    pub fn origin(&self) -> String {
        self.own.as_ref().map_or_else(|| "the checkpoint".into(), |w| w.path().display().to_string())
    }
}

/// Folders that replace a checkpoint's own towers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TowerFolders {
    /// A `LanguageBind_Image` folder.
    pub image: Option<PathBuf>,
    /// A `LanguageBind_Video_merge` folder.
    pub video: Option<PathBuf>,
}

/// A model's folder, opened: headers are read, weights are not.
#[derive(Debug)]
pub struct ModelDir {
    pub(crate) path: PathBuf,
    pub(crate) config: FaceLlavaConfig,
    pub(crate) weights: Weights,
    pub(crate) image_tower: Option<TowerFiles>,
    pub(crate) video_tower: Option<TowerFiles>,
    /// A GGUF file in place of the checkpoint's decoder.
    pub(crate) decoder: Option<Weights>,
    /// tokenizer.json, where the model lies in the program itself.
    tokenizer: Option<&'static [u8]>,
}

impl ModelDir {
    /// Opens a folder as the hub keeps it: config.json, tokenizer.json, weights in one file or in shards. Nothing is
    /// fetched.
    ///
    /// # Errors
    /// [`Error::ModelDir`], [`Error::Config`], [`Error::Landmarks`] for weights.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &TowerFolders::default())
    }

    /// The same with towers from other folders.
    ///
    /// # Errors
    /// As [`ModelDir::open`].
    pub fn open_with(path: impl AsRef<Path>, towers: &TowerFolders) -> Result<Self, Error> {
        let path = path.as_ref();
        if !path.is_dir() {
            let what = "no such folder; give the folder that holds config.json".into();
            return Err(Error::ModelDir { path: path.into(), what });
        }
        let config = FaceLlavaConfig::from_json(&text(&path.join("config.json"))?)?;
        let weights = Weights::open(path)?;
        let tower = |kind, named: bool, folder: &Option<PathBuf>| tower(path, kind, named, folder, &weights, &config);
        Ok(Self {
            image_tower: tower(Kind::Image, config.image_tower.is_some(), &towers.image)?,
            video_tower: tower(Kind::Video, config.video_tower.is_some(), &towers.video)?,
            path: path.into(),
            config,
            weights,
            decoder: None,
            tokenizer: None,
        })
    }

    /// The same model with its decoder from a GGUF file, as llama.cpp's users have it (Q4_0, Q8_0, Q4_K, Q6_K, F16, BF16,
    /// F32). Its shape is that of config.json.
    ///
    /// # Errors
    /// [`Error::Landmarks`] for the file.
    pub fn with_decoder(self, file: impl AsRef<Path>) -> Result<Self, Error> {
        Ok(Self { decoder: Some(Weights::open(file)?), ..self })
    }

    /// The small trained model inside this program, for trying everything out: docs/model-card.md says what it can do.
    ///
    /// # Errors
    /// None, if the program was built from whole files.
    #[cfg(feature = "mini")]
    pub fn mini() -> Result<Self, Error> {
        let config = FaceLlavaConfig::from_json(include_str!("../weights/mini/config.json"))?;
        let tower = |kind, json: &str| -> Result<Option<TowerFiles>, Error> {
            Ok(Some(TowerFiles { kind, config: TowerConfig::from_json(json, config.select_layer)?, own: None }))
        };
        Ok(Self {
            path: PathBuf::from("mini"),
            weights: Weights::from_static("mini", include_bytes!("../weights/mini/model.safetensors"))?,
            image_tower: tower(Kind::Image, include_str!("../weights/mini/LanguageBind_Image/config.json"))?,
            video_tower: tower(Kind::Video, include_str!("../weights/mini/LanguageBind_Video_merge/config.json"))?,
            config,
            decoder: None,
            tokenizer: Some(include_bytes!("../weights/mini/tokenizer.json")),
        })
    }

    /// The folder; `mini` for the model inside this program.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The configuration.
    pub fn config(&self) -> &FaceLlavaConfig {
        &self.config
    }

    /// The weights, towers in their own folders aside.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// What would be loaded.
    pub fn parts(&self) -> Parts {
        let shape = |t: &Option<TowerFiles>| t.as_ref().map(|t| t.config.clone());
        Parts {
            image_tower: shape(&self.image_tower),
            video_tower: shape(&self.video_tower),
            landmarks: Frgca::is_in(&self.weights, "model."),
        }
    }

    /// `(name, origin)` of each tower that would be loaded.
    pub fn tower_origins(&self) -> Vec<(&'static str, String)> {
        [("image", &self.image_tower), ("video", &self.video_tower)]
            .into_iter()
            .filter_map(|(name, tower)| tower.as_ref().map(|t| (name, t.origin())))
            .collect()
    }

    /// The content of tokenizer.json.
    ///
    /// # Errors
    /// [`Error::ModelDir`] where it is missing.
    pub fn tokenizer_json(&self) -> Result<Cow<'static, [u8]>, Error> {
        if let Some(inside) = self.tokenizer {
            return Ok(inside.into());
        }
        let file = self.path.join("tokenizer.json");
        if file.exists() {
            return Ok(read_file(&file, MAX_TOKENIZER)?.into());
        }
        let what = if self.path.join("tokenizer.model").exists() {
            "only tokenizer.model is here; transformers' LlamaTokenizerFast.from_pretrained(DIR).save_pretrained(DIR) \
             writes the tokenizer.json that is needed"
        } else {
            "tokenizer.json is missing"
        };
        Err(Error::ModelDir { path: self.path.clone(), what: what.into() })
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::ModelDir`] where it is missing.
    pub fn tokenizer(&self) -> Result<Tokenizer, Error> {
        Tokenizer::from_bytes(&self.tokenizer_json()?, self.config.llama.vocab, self.config.bos, self.config.eos)
    }
}

fn text(path: &Path) -> Result<String, Error> {
    let bad = |what: &str| Error::ModelDir { path: path.into(), what: what.into() };
    if !path.exists() {
        return Err(bad("missing; a model folder holds config.json, tokenizer.json and weights"));
    }
    String::from_utf8(read_file(path, MAX_CONFIG)?).map_err(|_| bad("not UTF-8 text"))
}

/// Weights: the folder asked for, else the checkpoint, else a folder inside or beside the model's. Shape: that folder's
/// config.json, else the published one where the checkpoint's weights agree with it.
fn tower(
    model: &Path,
    kind: Kind,
    named: bool,
    asked: &Option<PathBuf>,
    weights: &Weights,
    config: &FaceLlavaConfig,
) -> Result<Option<TowerFiles>, Error> {
    let inside = weights.has_prefix(kind.prefix());
    let near = [model.join(kind.folder()), model.join("..").join(kind.folder())];
    let near = near.into_iter().find(|f| f.join("config.json").exists());
    let folder = asked.clone().or(near);
    let from_folder = asked.is_some() || !inside;
    let files = match folder {
        Some(folder) => {
            let shape = TowerConfig::from_json(&text(&folder.join("config.json"))?, config.select_layer)?;
            let own = if from_folder { Some(Weights::open(&folder)?) } else { None };
            TowerFiles { kind, config: shape, own }
        }
        None if inside => {
            let shape = TowerConfig { select_layer: config.select_layer, ..kind.published() };
            shape.check()?;
            let embedding = weights.info(&format!("{}embeddings.class_embedding", kind.prefix()));
            if embedding.is_none_or(|info| info.shape != [shape.width]) {
                let what = format!(
                    "the {} tower is not the published ViT-L/14 and nothing describes it: put its {} folder beside \
                     the model",
                    if kind == Kind::Image { "image" } else { "video" },
                    kind.folder()
                );
                return Err(Error::ModelDir { path: model.into(), what });
            }
            TowerFiles { kind, config: shape, own: None }
        }
        None if named => {
            let what = format!(
                "the tower {} is named but not here: put the folder {} inside or beside the model, or pass --{}-tower",
                kind.folder(),
                kind.folder(),
                if kind == Kind::Image { "image" } else { "video" }
            );
            return Err(Error::ModelDir { path: model.into(), what });
        }
        None => return Ok(None),
    };
    if files.config.width != config.tower_width {
        let (width, expected) = (files.config.width, config.tower_width);
        let what = format!("the tower has width {width}, mm_hidden_size is {expected}");
        return Err(Error::ModelDir { path: model.into(), what });
    }
    let shown = VideoOptions::default().frames;
    if let Some(frames) = files.config.frames.filter(|frames| *frames < shown) {
        let what = format!("the video tower takes {frames} frames, and clips are shown as {shown}");
        return Err(Error::ModelDir { path: model.into(), what });
    }
    Ok(Some(files))
}

impl ModelDir {
    /// Checks names and shapes of everything that would be loaded, without reading it.
    ///
    /// # Errors
    /// As [`crate::FaceLlava::load`], for weights.
    pub fn check(&self, device: &Device) -> Result<LoadReport, Error> {
        let options = LoadOptions { headers_only: true, ..LoadOptions::default() };
        Ok(self.config.init(&self.parts(), device).load(self.sources(), &options, None)?.1)
    }

    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources {
            checkpoint: &self.weights,
            image: self.image_tower.as_ref().map(|t| t.source(&self.weights)),
            video: self.video_tower.as_ref().map(|t| t.source(&self.weights)),
            decoder: self.decoder.as_ref(),
        }
    }

    /// Tensors of the checkpoint, and of a decoder from elsewhere, that nothing has used so far.
    pub fn unused(&self) -> Vec<String> {
        let mut unused = unexpected(&self.weights);
        if let Some(decoder) = &self.decoder {
            unused.retain(|name| !is_of_decoder(name));
            unused.extend(decoder.unused());
        }
        unused
    }
}

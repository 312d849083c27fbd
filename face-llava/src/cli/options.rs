//! Options that several commands share.

use std::path::{Path, PathBuf};

use burn::tensor::FloatDType;
use clap::{Args, ValueEnum};
use face_llava::text::Template;
use face_llava::{
    FaceLlava, FaceOptions, LandmarkSource, LoadOptions, Media, ModelDir, NamedDevice, Sampling, SessionOptions,
    TowerFolders, open_device,
};
use landmarks::picture::{OpenOptions, read_file};
use landmarks::quantized::Bits;
use landmarks::weights::LoadOptions as WeightOptions;
use landmarks::{CropRule, Select, UnitLandmarks};

use super::{Failure, busy, complain};

/// Margin of the centred crop, in sides of the box.
const MARGIN: f32 = 0.25;
/// 68 points take a few KiB, eight frames of them little more.
const MAX_LANDMARKS: u64 = 1 << 20;

/// Where to run.
#[derive(Args)]
pub(crate) struct DeviceOption {
    /// auto, cpu, wgpu, cuda or cuda:N
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    pub device: String,
}

impl DeviceOption {
    pub fn open(&self) -> Result<NamedDevice, Failure> {
        Ok(open_device(&self.device)?)
    }
}

/// Which model.
#[derive(Args)]
pub(crate) struct ModelOptions {
    /// Folder of the model: config.json, tokenizer.json, weights; without it the small model inside this program
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// LanguageBind_Image folder to take the image tower from
    #[arg(long, value_name = "DIR")]
    pub image_tower: Option<PathBuf>,
    /// LanguageBind_Video_merge folder to take the video tower from
    #[arg(long, value_name = "DIR")]
    pub video_tower: Option<PathBuf>,
    /// GGUF file, as llama.cpp has it, to take the language model's weights from
    #[arg(long, value_name = "FILE.gguf", requires = "model")]
    pub decoder: Option<PathBuf>,
    /// Refuse a checkpoint with tensors that nothing uses
    #[arg(long)]
    pub strict: bool,
    /// Load weights that hold NaN or infinity
    #[arg(long)]
    pub allow_nonfinite: bool,
    /// Round weights as they are read, to take less memory and time on the CPU: int8 changes answers rarely, int4 sometimes
    #[arg(long, value_name = "BITS")]
    pub quantize: Option<BitsName>,
    /// Type of the numbers that are computed with; f16 and bf16 are for GPUs, where they take half the memory
    #[arg(long, value_enum, default_value = "f32", value_name = "TYPE")]
    pub precision: Precision,
}

/// Types of numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Precision {
    F32,
    F16,
    Bf16,
}

impl Precision {
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        }
    }
}

impl From<Precision> for FloatDType {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::F32,
            Precision::F16 => Self::F16,
            Precision::Bf16 => Self::BF16,
        }
    }
}

/// Bits of a weight.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum BitsName {
    Int8,
    Int4,
}

impl BitsName {
    pub fn bits(self) -> Bits {
        match self {
            Self::Int8 => Bits::Int8,
            Self::Int4 => Bits::Int4,
        }
    }
}

impl ModelOptions {
    pub fn open(&self) -> Result<ModelDir, Failure> {
        let towers = TowerFolders { image: self.image_tower.clone(), video: self.video_tower.clone() };
        match &self.model {
            Some(folder) => {
                let dir = ModelDir::open_with(folder, &towers)?;
                Ok(match &self.decoder {
                    Some(file) => dir.with_decoder(file)?,
                    None => dir,
                })
            }
            None if towers != TowerFolders::default() => {
                Err(Failure::Usage("--image-tower and --video-tower go with --model".into()))
            }
            None => inside(),
        }
    }

    /// The folder as given, or the name of the model inside.
    pub fn name(&self) -> String {
        self.model.as_ref().map_or_else(|| "mini".into(), |folder| folder.display().to_string())
    }

    /// Loads the model and says on stderr what is worth knowing.
    pub fn load(&self, device: &NamedDevice) -> Result<FaceLlava, Failure> {
        self.load_from(&self.open()?, device)
    }

    /// The same where the folder is open already.
    pub fn load_from(&self, dir: &ModelDir, device: &NamedDevice) -> Result<FaceLlava, Failure> {
        let weights = WeightOptions {
            allow_nonfinite: self.allow_nonfinite,
            dtype: self.precision.into(),
            ..WeightOptions::default()
        };
        let options = LoadOptions { weights, strict: self.strict, quantize: self.quantize.map(BitsName::bits) };
        let bar = busy("loading the model");
        let model = FaceLlava::load(dir, &options, &device.device);
        bar.finish_and_clear();
        let model = model?;
        let report = &model.report;
        if !report.unused.is_empty() {
            complain(&format!("note: {} tensors are not used, first {:?}", report.unused.len(), report.unused[0]));
        }
        // The small model's attention over time adds nothing, and says so in its card.
        if let Some(name) = report.weights.all_zero.first().filter(|_| self.model.is_some()) {
            complain(&format!(
                "warning: {} weights are zero throughout, first {name:?}",
                report.weights.all_zero.len()
            ));
        }
        if report.weights.overflowed > 0 {
            complain(&format!("warning: {} weights overflowed to infinity", report.weights.overflowed));
        }
        if !report.has_landmarks {
            complain("note: this checkpoint has no landmark modules; answers do not use face geometry");
        }
        if self.model.is_none() {
            complain("note: this is the small demonstration model, see docs/model-card.md; --model DIR takes another");
        }
        Ok(model)
    }
}

#[cfg(feature = "mini")]
fn inside() -> Result<ModelDir, Failure> {
    Ok(ModelDir::mini()?)
}

#[cfg(not(feature = "mini"))]
fn inside() -> Result<ModelDir, Failure> {
    Err(Failure::Usage("this program was built without a model inside: give --model DIR".into()))
}

/// Wording of the prompt.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum TemplateName {
    Inference,
    Training,
}

impl TemplateName {
    pub fn template(self) -> Template {
        match self {
            Self::Inference => Template::Inference,
            Self::Training => Template::Training,
        }
    }
}

/// How the face square is laid.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum CropName {
    /// The authors' crop tool, which the published model was trained on
    Authors,
    /// Centred with a margin, black beyond the border
    Centered,
    /// Turned and scaled so that eyes and mouth lie in fixed places, as the small model inside wants it
    Aligned,
}

impl CropName {
    pub fn rule(self) -> CropRule {
        match self {
            Self::Authors => CropRule::Authors,
            Self::Centered => CropRule::Centered { margin: MARGIN },
            Self::Aligned => CropRule::Aligned,
        }
    }
}

/// How picture and question are laid before the model.
#[derive(Args)]
pub(crate) struct InputOptions {
    /// How the square around the face is laid; as the model wants it where nothing is said
    #[arg(long, value_enum)]
    pub crop: Option<CropName>,
    /// Lay pictures into squares of grey, as training does
    #[arg(long)]
    pub pad: bool,
    /// Wording of the prompt
    #[arg(long, value_enum, default_value = "inference")]
    pub template: TemplateName,
    /// Keep only the N patches nearest to brows, nose, eyes and mouth: faster, and less to see; for models with landmark
    /// modules
    #[arg(long, value_name = "N", conflicts_with = "no_landmarks", value_parser = clap::value_parser!(u32).range(1..))]
    visual_tokens: Option<u32>,
}

impl InputOptions {
    /// A session of questions that stand alone, about the largest face.
    pub fn session(
        &self,
        detect: bool,
        landmarks: LandmarkSource,
        sampling: Sampling,
    ) -> Result<SessionOptions, Failure> {
        // Before anything is loaded: a wrong setting must not cost a minute.
        sampling.check()?;
        let crop = self.crop.map(CropName::rule);
        Ok(SessionOptions {
            template: self.template.template(),
            sampling,
            faces: FaceOptions { detect, crop, landmarks, ..FaceOptions::default() },
            history: false,
            pad_to_square: self.pad,
            visual_tokens: self.visual_tokens.map(|n| n as usize),
        })
    }
}

/// Landmarks of the pictures themselves, or none.
pub(crate) fn landmarks_or(without: bool) -> LandmarkSource {
    if without { LandmarkSource::Without } else { LandmarkSource::Found }
}

/// How faces are found and answers chosen.
#[derive(Args)]
pub(crate) struct AskOptions {
    /// Landmarks from a JSON file: 68 [x, y] pairs in [0, 1] of the crop, or one such array for each sampled frame
    #[arg(long, value_name = "FILE.json", conflicts_with = "no_landmarks")]
    landmarks: Option<PathBuf>,
    /// Leave landmarks out
    #[arg(long)]
    no_landmarks: bool,
    /// Take the picture as the face crop itself
    #[arg(long, visible_alias = "whole-image")]
    no_detect: bool,
    /// Which face: largest, best, or an index from `face-llava faces`; in a clip, the number of a track
    #[arg(long, default_value = "largest", value_parser = parse_select)]
    face: Select,
    #[command(flatten)]
    input: InputOptions,
    /// Longest answer, tokens
    #[arg(long, default_value_t = 256, value_name = "N")]
    max_new_tokens: usize,
    /// 0 for the most likely answer; the authors' script uses 0.1
    #[arg(long, default_value_t = 0.0, value_name = "T")]
    temperature: f64,
    /// Only the K most likely tokens; 0 for all
    #[arg(long, default_value_t = 0, value_name = "K")]
    top_k: usize,
    /// Only the most likely tokens that reach this probability together
    #[arg(long, default_value_t = 1.0, value_name = "P")]
    top_p: f64,
    /// Divides the score of tokens that occurred already
    #[arg(long, default_value_t = 1.0, value_name = "R")]
    repetition_penalty: f64,
    /// Seed of the random numbers
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// End the answer at this string; may be given several times
    #[arg(long, value_name = "STRING")]
    stop: Vec<String>,
    /// Accept pictures that end early
    #[arg(long)]
    lenient: bool,
}

pub(crate) fn parse_select(text: &str) -> Result<Select, String> {
    match text {
        "largest" => Ok(Select::Largest),
        "best" => Ok(Select::Best),
        index => index.parse().map(Select::Index).map_err(|_| "expected largest, best or an index".into()),
    }
}

impl AskOptions {
    pub fn media(&self, path: &Path) -> Result<Media, Failure> {
        Ok(Media::open_with(path, &OpenOptions { lenient: self.lenient, ..OpenOptions::default() })?)
    }

    pub fn session(&self, history: bool) -> Result<SessionOptions, Failure> {
        let landmarks = match &self.landmarks {
            Some(path) => LandmarkSource::Given(read_landmarks(path)?),
            None => landmarks_or(self.no_landmarks),
        };
        let sampling = Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            repetition_penalty: self.repetition_penalty,
            seed: self.seed,
            max_new_tokens: self.max_new_tokens,
            stop: self.stop.clone(),
            ..Sampling::default()
        };
        let mut options = self.input.session(!self.no_detect, landmarks, sampling)?;
        options.faces.select = self.face;
        options.history = history;
        Ok(options)
    }
}

/// One set of 68 points, or a list of sets.
fn read_landmarks(path: &Path) -> Result<Vec<UnitLandmarks>, Failure> {
    let bytes = read_file(path, MAX_LANDMARKS)?;
    let text = String::from_utf8_lossy(&bytes);
    if let Ok(sets) = serde_json::from_str::<Vec<UnitLandmarks>>(&text) {
        return Ok(sets);
    }
    Ok(vec![UnitLandmarks::from_json(&text)?])
}

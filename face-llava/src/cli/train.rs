//! `face-llava train`

use std::path::{Path, PathBuf};

use burn::tensor::{Device, FloatDType};
use clap::{Args, ValueEnum};
use face_llava::data::RecordsFile;
use face_llava::text::{PromptToken, Tokenizer};
use face_llava::train::{
    Course, Event, Features, Instruction, LoraConfig, MiniRecipe, Progress, Run, Sampling, Stage, TrainError, Trains,
    adapt, in_full, initialise, media_of, mini, save_adapter, train, trained_values,
};
use face_llava::{FaceLlava, LoadOptions, ModelDir, NamedDevice, TowerFolders, open_device};
use indicatif::{ProgressBar, ProgressStyle};
use landmarks::CropRule;
use serde_json::json;

use super::options::{DeviceOption, TemplateName};
use super::{Failure, Outcome, complain, say};

/// Bytes of tower output kept in memory.
const FEATURE_MEMORY: usize = 8 << 30;

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava train --recipe mini --data expressions/labels.csv --out mini
  face-llava train --stage landmarks --model Video-LLaVA --data train.json --out stage1
  face-llava train --stage all --model stage1/model --data train.json --out stage2 --batch 16
  face-llava train --stage lora --model FaceLLaVA --data train.json --out adapter --rank 64
  face-llava train --stage all --model FaceLLaVA --data train.json --out check --dry-run
A run that was interrupted goes on when the same command is given again.")]
pub(crate) struct Arguments {
    /// A whole recipe: every step from labelled photographs to a model
    #[arg(long, value_enum, conflicts_with = "StageOptions", required_unless_present = "stage")]
    recipe: Option<Recipe>,
    /// Records (JSON list or lines), or for a recipe the labelled manifest
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Folder of the run: settings, metrics, loss curve, checkpoints, and the trained model
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Seed of order and sampling; a recipe's split has its own
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// For a recipe: use only this many pictures
    #[arg(long, value_name = "N", requires = "recipe")]
    limit: Option<usize>,
    #[command(flatten)]
    of_a_stage: StageOptions,
    #[command(flatten)]
    device: DeviceOption,
}

/// What a recipe sets itself.
#[derive(Args)]
struct StageOptions {
    /// What is trained
    #[arg(long, value_enum, requires = "model")]
    stage: Option<StageName>,
    /// Folder of the model to start from
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// LanguageBind_Image folder to take the image tower from
    #[arg(long, value_name = "DIR")]
    image_tower: Option<PathBuf>,
    /// LanguageBind_Video_merge folder to take the video tower from
    #[arg(long, value_name = "DIR")]
    video_tower: Option<PathBuf>,
    /// Peak learning rate [default: the stage's own]
    #[arg(long, value_name = "RATE")]
    lr: Option<f64>,
    /// Examples that go through the network at once [default: the stage's own]
    #[arg(long, value_name = "N")]
    batch: Option<usize>,
    /// Batches to a step [default: one for each device]
    #[arg(long, value_name = "N")]
    accumulation: Option<usize>,
    /// Times through the data
    #[arg(long, default_value_t = 1, value_name = "N")]
    epochs: usize,
    /// Steps between checkpoints; what comes after the last one is lost with an interruption
    #[arg(long, default_value_t = 5000, value_name = "N")]
    save_every: usize,
    /// Rank of the low-rank additions [default: 64]
    #[arg(long, value_name = "R")]
    rank: Option<usize>,
    /// The additions are multiplied by alpha / rank [default: 16]
    #[arg(long, value_name = "A")]
    alpha: Option<f64>,
    /// Layers that get additions, as q_proj,v_proj [default: all seven of the decoder]
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    targets: Option<Vec<String>>,
    /// Part of the records that may be unusable
    #[arg(long, default_value_t = 0.001, value_name = "FRACTION", value_parser = fraction)]
    bad_budget: f64,
    /// Wording of the prompts: as the authors train, or as their inference asks
    #[arg(long, value_enum, default_value = "training")]
    template: TemplateName,
    /// Compute cheap intermediate values again instead of keeping them: less memory, more time
    #[arg(long)]
    gradient_checkpointing: bool,
    /// Compute in bfloat16, for GPUs; weights and their steps stay in full precision
    #[arg(long)]
    bf16: bool,
    /// More devices, as --device names them, that take their share of a step's batches
    #[arg(long, value_delimiter = ',', value_name = "DEVICES")]
    more_devices: Vec<String>,
    /// Print the first example's tokens and labels, and train nothing
    #[arg(long)]
    dry_run: bool,
}

fn fraction(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "not a number")?;
    if (0.0..=1.0).contains(&value) { Ok(value) } else { Err("expected a number from 0 to 1".into()) }
}

impl StageOptions {
    /// What the options ask for, before anything is loaded.
    fn stage(&self, name: StageName, seed: u64, devices: usize) -> Result<Stage, Failure> {
        let mut stage = match name {
            StageName::Landmarks => Stage::landmark_modules(),
            StageName::All => Stage::fine_tuning(),
            StageName::Lora => {
                let default = LoraConfig::default();
                Stage::lora(LoraConfig {
                    rank: self.rank.unwrap_or(default.rank),
                    alpha: self.alpha.unwrap_or(default.alpha),
                    targets: self.targets.clone().unwrap_or(default.targets),
                })
            }
        };
        if name != StageName::Lora && (self.rank.is_some() || self.alpha.is_some() || self.targets.is_some()) {
            return Err(Failure::Usage("--rank, --alpha and --targets go with --stage lora".into()));
        }
        let settings = &mut stage.optimization;
        settings.learning_rate = self.lr.unwrap_or(settings.learning_rate);
        settings.micro_batch = self.batch.unwrap_or(settings.micro_batch);
        settings.accumulation = self.accumulation.unwrap_or(devices);
        settings.epochs = self.epochs;
        settings.seed = seed;
        settings.save_every = self.save_every;
        if (1..devices).contains(&settings.accumulation) {
            return Err(Failure::Usage(format!(
                "--accumulation {} leaves some of {devices} devices without a batch",
                settings.accumulation
            )));
        }
        stage.check().map_err(face_llava::Error::from)?;
        Ok(stage)
    }

    /// The first device and those beside it, as the stage wants them.
    fn devices(&self, first: NamedDevice) -> Result<Vec<Device>, Failure> {
        let mut devices = vec![first];
        for name in &self.more_devices {
            devices.push(open_device(name)?);
        }
        let wanted = |NamedDevice { device, name }| {
            if self.bf16 && !device.supports_dtype(FloatDType::BF16) {
                return Err(Failure::Usage(format!("{name} does not compute in bfloat16; leave --bf16 out")));
            }
            let device = device.autodiff();
            Ok(if self.gradient_checkpointing { device.gradient_checkpointing() } else { device })
        };
        devices.into_iter().map(wanted).collect()
    }
}

#[derive(Clone, Copy, ValueEnum)]
enum Recipe {
    /// The small model that is inside this program
    Mini,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum StageName {
    /// The landmark modules alone: the paper's first stage
    Landmarks,
    /// All but the towers: the paper's second stage
    All,
    /// Low-rank additions to the decoder
    Lora,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    match (arguments.recipe, arguments.of_a_stage.stage) {
        (Some(Recipe::Mini), _) => recipe(arguments),
        (None, Some(stage)) => self::stage(arguments, stage),
        (None, None) => Err(Failure::Usage("give --recipe or --stage".into())),
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}");
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length(progress.steps as u64);
    bar.set_position(progress.step as u64);
    let Progress { loss, rate, seconds_left, .. } = progress;
    bar.set_message(format!("loss {loss:.3}, rate {rate:.1e}, {:.0} min left", seconds_left / 60.0));
}

fn recipe(arguments: &Arguments) -> Result<Outcome, Failure> {
    let device = arguments.device.open()?.device;
    let recipe = MiniRecipe { seed: arguments.seed, limit: arguments.limit, ..MiniRecipe::default() };
    let bar = bar();
    let model = mini(&recipe, &arguments.data, &arguments.out, &device, &mut |event| match event {
        Event::Step(name) => bar.suspend(|| complain(name)),
        Event::Note(text) => bar.suspend(|| complain(&text)),
        Event::Built(done, items) => {
            bar.set_length(items as u64);
            bar.set_position(done as u64);
        }
        Event::Trained(progress) => show(&bar, &progress),
    })?;
    bar.finish_and_clear();
    say(format_args!("{}", model.display()))?;
    Ok(Outcome::Done)
}

fn stage(arguments: &Arguments, name: StageName) -> Result<Outcome, Failure> {
    let options = &arguments.of_a_stage;
    let devices = options.devices(arguments.device.open()?)?;
    // The frozen towers record no gradients.
    let device = devices[0].clone().without_autodiff();
    let towers = TowerFolders { image: options.image_tower.clone(), video: options.video_tower.clone() };
    let dir = ModelDir::open_with(options.model.clone().unwrap_or_default(), &towers)?;
    let stage = options.stage(name, arguments.seed, devices.len())?;
    let out = arguments.out.join(if name == StageName::Lora { "adapter" } else { "model" });
    // The run is the one that was begun here: what it has written before is what it would write now.
    if out.exists() && !arguments.out.join("checkpoints").exists() && !options.dry_run {
        let out = out.display();
        return Err(Failure::Usage(format!(
            "{out} is there without the checkpoints of a run that made it: give another --out, or remove it"
        )));
    }

    let file = RecordsFile::read(&arguments.data)?;
    let records = file.entries.iter().map(|entry| entry.as_ref().map_err(ToString::to_string));
    let (media, placed) = media_of(records, arguments.data.parent().unwrap_or(Path::new(".")));
    let with_points = media.iter().any(|media| media.landmarks.is_some());
    if name == StageName::Landmarks && !with_points {
        return Err(face_llava::Error::from(TrainError::NoLandmarks { path: arguments.data.clone() }).into());
    }
    let FaceLlava { mut network, tokenizer, config, .. } = FaceLlava::load(&dir, &LoadOptions::default(), &device)?;
    in_full(&mut network.decoder).map_err(face_llava::Error::from)?;
    if name == StageName::Landmarks && network.fusion.is_none() {
        network.fusion = Some(initialise(config.frgca.init(&device), 1, arguments.seed));
        complain("note: the model has no landmark modules; fresh ones are trained");
    }
    if with_points && network.fusion.is_none() {
        complain(
            "note: the model has no landmark modules, so the records' landmarks go unused; --stage landmarks adds them",
        );
    }
    let without = media.iter().filter(|media| media.landmarks.is_none()).count();
    if config.face_crop == Some(CropRule::Aligned) && without > 0 {
        complain(&format!(
            "note: {without} of {} pictures and clips have no landmarks, so faces in them are not turned into place as this \
             model sees them when it is asked; `face-llava data build` finds landmarks",
            media.len()
        ));
    }
    let (image, video) = (network.image_tower.take(), network.video_tower.take());
    let features = Features::new(image.clone(), video.clone(), media, config.pad_to_square, FEATURE_MEMORY)
        .cropped(config.face_crop);
    let course = Course {
        template: options.template.template(),
        sampling: Sampling::Shuffled,
        micro_batch: stage.optimization.micro_batch,
        max_length: config.llama.context.min(3072),
        landmark_dropout: 0.0,
        bad_budget: options.bad_budget,
        seed: arguments.seed,
    };
    let lessons = Instruction::new(&placed, features, &tokenizer, course, &arguments.out)?;
    let lessons = if options.bf16 { lessons.in_bfloat16() } else { lessons };
    if options.dry_run {
        return dry_run(&lessons, &tokenizer);
    }
    if let Trains::Lora(config) = &stage.trains {
        network.decoder = adapt(network.decoder, config, arguments.seed)?;
    }
    let identity = json!({
        "stage": stage.trains,
        "model": dir.path(),
        "image_tower": options.image_tower,
        "video_tower": options.video_tower,
        "data": arguments.data,
        "records": file.sha256,
        // Landmarks may lie in files of their own.
        "examples": lessons.examples().len(),
        "template": options.template.template(),
        "bf16": options.bf16.then_some(true),
    });
    let run = Run { folder: &arguments.out, settings: &stage.optimization, identity, stop_at: None };
    let bar = bar();
    let trains = stage.trains.clone();
    let trained = |path: &str| trains.contains(path);
    let mut network = train(&lessons, network, trained, &devices, &run, &mut |p| show(&bar, p))?;
    bar.finish_and_clear();
    complain(&format!("{} values were trained", trained_values(&network)));
    if !out.exists() {
        if let Trains::Lora(config) = &stage.trains {
            save_adapter(&network.decoder, config, &dir, &out)?;
        } else {
            network.image_tower = image;
            network.video_tower = video;
            super::export::write_model(&network, &dir, &out, FloatDType::F32)?;
        }
    }
    say(format_args!("{}", out.display()))?;
    Ok(Outcome::Done)
}

/// The first example: each token and whether it is learnt.
fn dry_run(lessons: &Instruction, tokenizer: &Tokenizer) -> Result<Outcome, Failure> {
    let Some(example) = lessons.examples().first() else { return Ok(Outcome::Failed) };
    say(format_args!("{} examples; the first, {:?}: token, text, learnt", lessons.examples().len(), example.id))?;
    for (token, labelled) in example.tokens.iter().zip(&example.labelled) {
        let mark = if *labelled { "learnt" } else { "" };
        match token {
            PromptToken::Text(id) => say(format_args!("{id}\t{:?}\t{mark}", tokenizer.token(*id)))?,
            PromptToken::Media(n) => say(format_args!("-\t[picture or frame {n}]\t{mark}"))?,
        }
    }
    Ok(Outcome::Done)
}

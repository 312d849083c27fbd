//! `face-llava inspect`

use std::path::PathBuf;

use burn::module::Module;
use clap::Args;
use face_llava::{ModelDir, Parts, TowerFolders, open_device};

use super::{Failure, Outcome, say};

#[derive(Args)]
#[command(after_help = "Example:
  face-llava inspect FaceLLaVA")]
pub(crate) struct Arguments {
    /// Folder of the model
    #[arg(value_name = "DIR")]
    model: PathBuf,
    /// LanguageBind_Image folder to take the image tower from
    #[arg(long, value_name = "DIR")]
    image_tower: Option<PathBuf>,
    /// LanguageBind_Video_merge folder to take the video tower from
    #[arg(long, value_name = "DIR")]
    video_tower: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let towers = TowerFolders { image: arguments.image_tower.clone(), video: arguments.video_tower.clone() };
    let dir = ModelDir::open_with(&arguments.model, &towers)?;
    let (config, parts) = (dir.config(), dir.parts());
    let llama = &config.llama;
    say(format_args!("{}", dir.path().display()))?;
    say(format_args!(
        "  decoder: {} layers, width {}, {} heads ({} for keys), vocabulary {}, context {}",
        llama.layers, llama.width, llama.heads, llama.kv_heads, llama.vocab, llama.context
    ))?;
    for (name, origin) in dir.tower_origins() {
        let tower = if name == "image" { &parts.image_tower } else { &parts.video_tower };
        if let Some(t) = tower {
            let (used, layers, width) = (t.computed_layers(), t.layers, t.width);
            say(format_args!("  {name} tower: {used} of {layers} layers, width {width}, from {origin}"))?;
        }
    }
    landmark_line(&dir, &parts)?;

    let device = open_device("auto")?.device;
    let parameters = config.init(&parts, &device).num_params();
    say(format_args!(
        "  {:.1} M parameters; {} in f32, {} in f16",
        parameters as f64 / 1e6,
        mebibytes(parameters * 4),
        mebibytes(parameters * 2)
    ))?;
    let mut complete = true;
    let mut check = |what: &str, result: Result<(), String>| {
        complete &= result.is_ok();
        say(format_args!("  {what}: {}", result.err().unwrap_or_else(|| "complete".into())))
    };
    check("weights", dir.check(&device).map(drop).map_err(|e| e.to_string()))?;
    let tokenizer = dir.tokenizer().map(drop);
    check("tokenizer", tokenizer.map_err(|e| e.to_string()))?;
    let unused = dir.unused();
    if !unused.is_empty() {
        say(format_args!("  not used: {} tensors, first {:?}", unused.len(), unused[0]))?;
    }
    Ok(if complete { Outcome::Done } else { Outcome::Failed })
}

fn landmark_line(dir: &ModelDir, parts: &Parts) -> Result<(), Failure> {
    let frgca = &dir.config().frgca;
    if parts.landmarks {
        let (variant, scale) = (frgca.attention.variant, frgca.attention.branch_scale);
        say(format_args!("  landmark modules: {:?} regions, {variant:?} cross-attention, scale {scale}", frgca.local))
    } else {
        say("  landmark modules: none in the checkpoint; answers do not use face geometry")
    }
}

fn mebibytes(bytes: usize) -> String {
    format!("{:.0} MiB", bytes as f64 / f64::from(1 << 20))
}

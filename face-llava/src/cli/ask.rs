//! `face-llava ask`

use std::path::PathBuf;

use clap::Args;
use face_llava::{Answer, LandmarkSource, NamedDevice, SessionOptions};
use landmarks::CropRule;
use serde::Serialize;
use serde_json::{Value, json};

use super::options::{AskOptions, BitsName, DeviceOption, ModelOptions};
use super::{Failure, Outcome, busy, complain, look, say, tell, warn, warnings};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava ask --model FaceLLaVA photo.jpg \"What emotion is shown?\"
  face-llava ask --model FaceLLaVA clip.mp4 \"Describe the expression.\" --json
  face-llava ask --model FaceLLaVA crop.png \"Guess the age.\" --no-detect --landmarks points.json")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Picture, video, animation or folder of frames
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The question
    #[arg(value_name = "QUESTION")]
    question: String,
    /// Print one JSON object with the text, tokens, face, settings and timings
    #[arg(long)]
    json: bool,
    /// Report the log-probabilities of the K most likely tokens
    #[arg(long, default_value_t = 0, value_name = "K", requires = "json")]
    logprobs: usize,
    #[command(flatten)]
    ask: AskOptions,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Serialize)]
struct Output<'a> {
    #[serde(flatten)]
    answer: &'a Answer,
    device: &'a str,
    settings: Value,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<Value>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let mut options = arguments.ask.session(false)?;
    options.sampling.logprobs = arguments.logprobs;
    options.sampling.check()?;
    let media = arguments.ask.media(&arguments.file)?;
    let device = arguments.device.open()?;
    let model = arguments.model.load(&device)?;
    let mut session = model.session(options.clone());
    look(&mut session, &media)?;
    if arguments.json {
        let bar = busy("answering");
        let answer = session.ask(&arguments.question);
        bar.finish_and_clear();
        let warnings = warnings(&media);
        let crop = options.faces.crop.or(model.config.face_crop).unwrap_or_default();
        let settings = settings(&options, crop, arguments, &device);
        say(serde_json::to_string(&Output { answer: &answer?, device: &device.name, settings, warnings })?)?;
    } else {
        warn(&media);
        let answer = tell(&mut session, &arguments.question)??;
        say("")?;
        complain(&summary(&answer, &device));
    }
    Ok(Outcome::Done)
}

fn settings(options: &SessionOptions, crop: CropRule, arguments: &Arguments, device: &NamedDevice) -> Value {
    json!({
        "model": arguments.model.name(),
        "template": options.template,
        "sampling": options.sampling,
        "detect": options.faces.detect,
        "face": options.faces.select,
        "crop": crop,
        "landmarks": match options.faces.landmarks {
            LandmarkSource::Found => "found",
            LandmarkSource::Given(_) => "given",
            LandmarkSource::Without => "left out",
        },
        "pad_to_square": options.pad_to_square,
        "visual_tokens": options.visual_tokens,
        "dtype": arguments.model.precision.name(),
        "quantize": arguments.model.quantize.map(BitsName::bits),
        "decoder": arguments.model.decoder,
        "device": device.name,
        "version": env!("CARGO_PKG_VERSION"),
    })
}

/// One line about how the answer came about.
pub(crate) fn summary(answer: &Answer, device: &NamedDevice) -> String {
    let t = &answer.timings_ms;
    format!(
        "{} on {}; {}; {:.1} s to the first word, {:.0} ms a token",
        if answer.landmarks_used { "landmarks used" } else { "landmarks not used" },
        device.name,
        match answer.face.iter().find(|f| f.seen).or(answer.face.first()).map(|f| (f.bbox, f.of)) {
            Some((Some(_), of)) => format!("1 of {of} faces"),
            _ => "the whole picture taken as the face".into(),
        },
        (t.decode + t.detect + t.landmarks + t.tower + t.prefill) / 1000.0,
        t.per_token,
    )
}

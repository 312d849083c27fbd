//! `face-llava eval run`

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use face_llava::data::Shard;
use face_llava::eval::{
    Answerer, EndpointAnswerer, PredictOptions, PredictReport, SessionAnswerer, model_identity, predict,
};
use face_llava::{Sampling, SessionOptions};
use serde_json::json;

use super::super::options::{BitsName, DeviceOption, InputOptions, ModelOptions, landmarks_or};
use super::super::{Failure, Outcome, busy, complain, not_among, progress};
use super::data::{DataOptions, Opened};
use super::endpoint::{EndpointOptions, bill};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava eval run --benchmark raf-db --root RAF-DB --out raf-db.jsonl --likelihood
  face-llava eval run --benchmark dfew --root DFEW --out dfew-0.jsonl --shard 0/4
  face-llava eval run --benchmark celeba --root CelebA --out celeba.jsonl \\
    --endpoint http://localhost:8000/v1 --endpoint-model qwen-vl
  face-llava eval run --benchmark held-out --root labels.csv --out own.jsonl
  face-llava eval run --benchmark records --root test.json --task age --out ages.jsonl

One JSON object for each item, in the benchmark's order; what they were made with lies in
FILE.settings.json. An interrupted run goes on where it stopped when the same command is given
again, and ends with the same bytes.
Exit codes: 0 every item has its row, 1 an error, or no item was answered, or some have to be
asked about again.")]
#[command(group(ArgGroup::new("elsewhere").args(["endpoint"]).conflicts_with_all(["ModelOptions", "InputOptions", "DeviceOption"])))]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataOptions,
    /// Write the rows to this file, or go on with it
    #[arg(long, value_name = "FILE.jsonl")]
    out: PathBuf,
    /// Start FILE.jsonl afresh
    #[arg(long)]
    overwrite: bool,
    /// Ask this instead of the benchmark's own question
    #[arg(long, value_name = "QUESTION")]
    question: Option<String>,
    /// Only the first items
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// The part of the items to do, INDEX/COUNT with the index from 0; `eval merge` lays them together
    #[arg(long, default_value = "0/1", value_name = "I/N", value_parser = |text: &str| Shard::parse(text).map_err(|e| e.to_string()))]
    shard: Shard,
    /// The log-likelihood of each label as well (expression, deepfake)
    #[arg(long, conflicts_with = "endpoint")]
    likelihood: bool,
    /// Only likelihoods, no words
    #[arg(long, requires = "likelihood")]
    no_generate: bool,
    /// Leave landmarks out
    #[arg(long, conflicts_with = "endpoint")]
    no_landmarks: bool,
    /// Take each picture as the face crop itself
    #[arg(long, conflicts_with = "endpoint")]
    whole_image: bool,
    /// Longest answer of the model, tokens
    #[arg(long, default_value_t = 256, value_name = "N", conflicts_with = "endpoint")]
    max_new_tokens: usize,
    #[command(flatten)]
    input: InputOptions,
    #[command(flatten)]
    model: ModelOptions,
    #[command(flatten)]
    device: DeviceOption,
    #[command(flatten)]
    endpoint: EndpointOptions,
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let session = arguments.session()?;
    not_among(&arguments.out, std::slice::from_ref(&arguments.data.root))?;
    let opened = arguments.data.open()?;
    if let Some(chat) = arguments.endpoint.chat() {
        let EndpointOptions { cache, workers, .. } = &arguments.endpoint;
        let mut answerer = EndpointAnswerer::new(&chat, cache.as_deref(), (*workers).into())?;
        let outcome = arguments.ask(&opened, &mut answerer);
        complain(&bill(&answerer.paid()));
        return outcome;
    }
    let device = arguments.device.open()?;
    let dir = arguments.model.open()?;
    let model = arguments.model.load_from(&dir, &device)?;
    let bar = busy("looking at the weights");
    let identity = model_identity(&dir);
    bar.finish_and_clear();
    let mut identity = identity?;
    // Cards of a kind give the same numbers.
    identity["backend"] = device.name.split(':').next().unwrap_or_default().into();
    identity["quantize"] = json!(arguments.model.quantize.map(BitsName::bits));
    identity["precision"] = arguments.model.precision.name().into();
    arguments.ask(&opened, &mut SessionAnswerer::new(&model, &identity, session, !arguments.no_generate))
}

impl Arguments {
    fn session(&self) -> Result<SessionOptions, Failure> {
        let sampling = Sampling { max_new_tokens: self.max_new_tokens, ..Sampling::default() };
        self.input.session(!self.whole_image, landmarks_or(self.no_landmarks), sampling)
    }

    fn ask(&self, opened: &Opened, answerer: &mut dyn Answerer) -> Result<Outcome, Failure> {
        let options = PredictOptions {
            question: self.question.as_deref().unwrap_or(opened.question).into(),
            likelihood: self.likelihood,
            generate: !self.no_generate,
            limit: self.limit,
            shard: self.shard,
            overwrite: self.overwrite,
            ..PredictOptions::new(opened.task, &opened.labels)
        };
        let bar = progress(0, 0, "items");
        let report = predict(&opened.dataset, answerer, &options, &self.out, &mut |step| {
            bar.set_length(step.items as u64);
            bar.set_position(step.done as u64);
            if let Some(error) = step.row.and_then(|row| row.error.as_ref()) {
                bar.suspend(|| complain(&error.message));
            }
        });
        bar.finish_and_clear();
        let report = report?;
        complain(&format!("{}: {}", self.out.display(), told(&report)));
        let whole = report.pending == 0 && report.answered > 0 || report.items == 0;
        Ok(if whole { Outcome::Done } else { Outcome::Failed })
    }
}

fn told(report: &PredictReport) -> String {
    let failed: Vec<String> = report.failed.iter().map(|(code, n)| format!("{code} {n}")).collect();
    let failed = if failed.is_empty() { "0 failed".into() } else { format!("failed: {}", failed.join(", ")) };
    let again = match report.pending {
        0 => String::new(),
        pending => format!("; {pending} to be asked about again: give the same command"),
    };
    format!(
        "{} items, {} of them done before; {} answered, {failed}{again}",
        report.items, report.resumed, report.answered
    )
}

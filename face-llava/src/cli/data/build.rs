//! `face-llava data build`

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use face_llava::Task;
use face_llava::data::{
    AnnotatorChoice, BuildOptions, BuildReport, ChatOptions, Faces, Progress, RaterChoice, Shard, build, merge,
};

use super::super::options::{CropName, DeviceOption};
use super::super::prices::{Prices, parse_rate};
use super::super::{Failure, Outcome, complain, not_among, progress, say};

#[derive(Args)]
#[command(after_help = "The manifest is CSV or a JSON list of objects with these columns, as many as there are:
  image or video   a path beside the manifest, or in a folder images/ there
  expression       one of happiness, sadness, neutral, anger, surprise, disgust, fear
  action_units     numbers, separated by space, ; or +, as 6;12; none where a coder saw none
  attributes       CelebA's names, separated by ;, as Smiling;Eyeglasses; or none
  age              years
  deepfake         real or fake
  id, person       the row's name (its path where there is none), an anonymous name for splits; rows
                   about one picture need one, or they may come into several parts
  source, licence  where the picture is from
What is empty is no label: action units and attributes then come from the points, weakly.

Examples:
  face-llava data build labels.csv --out dataset
  face-llava data build crops.csv --out dataset --tasks expression,deepfake --whole-image
  face-llava data build labels.csv --out dataset --shard 0/4
  face-llava data build labels.csv --out dataset --model qwen-vl --rater-model qwen-vl \\
    --endpoint http://localhost:8000/v1

Exit codes: 0 done, 1 an error, a build without a single record, or items that may succeed
later; rejected items are in rejected.jsonl.")]
pub(super) struct Arguments {
    /// Labelled manifest, CSV or JSON
    #[arg(value_name = "MANIFEST")]
    source: PathBuf,
    /// Folder to write; a folder begun before is gone on with
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Tasks, separated by commas: expression, action-units, attributes, age, deepfake, or all; by default those with labels
    #[arg(long, value_delimiter = ',', value_parser = parse_task, value_name = "TASKS")]
    tasks: Option<Vec<Tasks>>,
    /// Decides questions, forms of sentences and self-blending
    #[arg(long, default_value_t = 0, value_name = "S")]
    seed: u64,
    /// What to do with pictures of several faces
    #[arg(long, value_enum, default_value = "single", conflicts_with = "whole_image")]
    face: FaceName,
    /// Take the pictures as face crops themselves
    #[arg(long)]
    whole_image: bool,
    /// How the square is laid around a face
    #[arg(long, value_enum, default_value = "authors")]
    crop: CropName,
    /// Reject faces below this score, 0 to 1
    #[arg(long, default_value_t = 0.5, value_name = "SCORE")]
    min_face_score: f32,
    /// Fraction of the pictures without a deepfake label that are blended with themselves
    #[arg(long, default_value_t = 0.5, value_name = "FRACTION")]
    self_blend: f64,
    /// Your questions: lines of task, tab, question; or a JSON map from task to a list
    #[arg(long, value_name = "FILE")]
    questions: Option<PathBuf>,
    /// Only the first rows
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Name of the collection, where the manifest does not say
    #[arg(long, value_name = "NAME")]
    source_name: Option<String>,
    /// Its licence, where the manifest does not say
    #[arg(long, value_name = "LICENCE")]
    licence: Option<String>,
    /// The part of the rows to do, INDEX/COUNT with the index from 0; by default what Slurm or Kubernetes says
    #[arg(long, value_name = "I/N", value_parser = |text: &str| Shard::parse(text).map_err(|e| e.to_string()))]
    shard: Option<Shard>,
    /// Work on nothing: assemble, where all shards are done; goes with --shard 0/N
    #[arg(long)]
    merge: bool,
    /// Rows in work at a time; 0 for one on each core; endpoints bear more
    #[arg(long, default_value_t = 0, value_name = "N")]
    workers: usize,
    #[command(flatten)]
    annotator: AnnotatorOptions,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Args)]
#[command(
    next_help_heading = "Who writes and rates the answers (by default sentences from labels and geometry, not rated)"
)]
struct AnnotatorOptions {
    /// Base address of a chat-completions endpoint, as http://localhost:8000/v1 (https in programs built with
    /// `--features tls`)
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// Model that writes the answers
    #[arg(long, value_name = "NAME", requires = "endpoint", conflicts_with = "replay")]
    model: Option<String>,
    /// Model that rates them
    #[arg(long, value_name = "NAME", conflicts_with = "replay_ratings")]
    rater_model: Option<String>,
    /// Endpoint of the rater, where it is another one
    #[arg(long, value_name = "URL", requires = "rater_model")]
    rater_endpoint: Option<String>,
    /// Environment variable that holds the endpoint's key
    #[arg(long, value_name = "NAME", visible_alias = "key-variable")]
    key_env: Option<String>,
    /// The same for the rater's endpoint, where that is another one
    #[arg(long, value_name = "NAME", requires = "rater_endpoint")]
    rater_key_env: Option<String>,
    /// Recorded answers instead: JSON lines of id (the record's, as ROW#expression) and text
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Recorded ratings instead: JSON lines of id and rating (label_accuracy, media_consistency, label_consistency,
    /// overall)
    #[arg(long, value_name = "FILE")]
    replay_ratings: Option<PathBuf>,
    /// Lowest score that each of the four ratings must reach, 1 to 10
    #[arg(long, default_value_t = 6, value_name = "SCORE")]
    min_score: u8,
    /// Folder of answers that were paid for [default: DIR/cache]
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Seconds for one request
    #[arg(long, default_value_t = 60.0, value_name = "S", value_parser = seconds)]
    timeout: f64,
    /// Requests for one answer at most
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=20))]
    attempts: u32,
    /// Seconds before the second attempt; doubles with each
    #[arg(long, default_value_t = 1.0, value_name = "S", value_parser = seconds)]
    pause: f64,
    /// Requests a minute to an endpoint, all workers together
    #[arg(long, value_name = "N", value_parser = parse_rate)]
    requests_per_minute: Option<f64>,
    /// Prices of a million tokens, sent and received, as 0.15,0.6
    #[arg(long, value_name = "IN,OUT")]
    prices: Option<Prices>,
    /// The same for the rater, where it differs
    #[arg(long, value_name = "IN,OUT")]
    rater_prices: Option<Prices>,
    /// Longest answer, tokens
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_tokens: u32,
    /// 0 for the most likely answer
    #[arg(long, default_value_t = 0.0, value_name = "T", value_parser = temperature)]
    temperature: f64,
}

#[derive(Clone, Copy, ValueEnum)]
enum FaceName {
    /// Reject them, as the authors do
    Single,
    /// Take the largest
    Largest,
}

/// One task or all.
#[derive(Clone, Copy)]
enum Tasks {
    One(Task),
    All,
}

fn parse_task(text: &str) -> Result<Tasks, String> {
    let names = Task::ALL.map(Task::name).join(", ");
    match text {
        "all" => Ok(Tasks::All),
        name => Task::parse(name).map(Tasks::One).ok_or_else(|| format!("expected {names} or all")),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected seconds".to_owned())?;
    if (0.001..=3600.0).contains(&value) { Ok(value) } else { Err("expected 0.001 to 3600 seconds".into()) }
}

fn temperature(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "expected a number".to_owned())?;
    if (0.0..=10.0).contains(&value) { Ok(value) } else { Err("expected 0 to 10".into()) }
}

pub(super) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    for written in ["records.json", "rejected.jsonl", "manifest.json"] {
        not_among(&arguments.out.join(written), std::slice::from_ref(&arguments.source))?;
    }
    let options = options(arguments)?;
    if arguments.merge {
        return tell(&options, &merge(&options)?, true);
    }
    let bar = progress(0, 0, "items");
    let report = build(&options, |at: Progress| {
        bar.set_length(at.items as u64);
        bar.set_position(at.done as u64);
    });
    bar.finish_and_clear();
    tell(&options, &report?, false)
}

fn tell(options: &BuildOptions, report: &BuildReport, merged: bool) -> Result<Outcome, Failure> {
    if !report.ignored_columns.is_empty() {
        complain(&format!("note: columns that nothing uses: {}", report.ignored_columns.join(", ")));
    }
    let rejected: Vec<String> = report.rejected.iter().map(|(code, n)| format!("{code} {n}")).collect();
    let out = options.out.display();
    say(format_args!("{} of {} items kept; {} were finished before", report.kept, report.items, report.resumed))?;
    if !rejected.is_empty() {
        say(format_args!("rejected: {}", rejected.join(", ")))?;
    }
    if report.paid.requests > 0 {
        let p = &report.paid;
        let tokens = format!("{} tokens sent, {} received", p.prompt_tokens, p.completion_tokens);
        say(format_args!("{} requests, {tokens}, cost {:.4}", p.requests, p.cost))?;
    }
    if report.complete {
        say(format_args!("written: {out}/records.json, rejected.jsonl, manifest.json"))?;
    } else {
        say(format_args!("this shard is done; {out}/records.json comes when all {} are", options.shard.count))?;
    }
    if report.pending > 0 {
        let how = if merged { "the shards' commands again" } else { "the same command" };
        complain(&format!("{} of the rejected may succeed later: give {how}", report.pending));
        return Ok(Outcome::Failed);
    }
    // A shard may be unlucky; a whole build without a record is none.
    Ok(if report.kept > 0 || options.shard.count > 1 { Outcome::Done } else { Outcome::Failed })
}

fn options(arguments: &Arguments) -> Result<BuildOptions, Failure> {
    let device = arguments.device.open()?.device;
    let chosen = |tasks: &Vec<Tasks>| {
        let each = tasks.iter().flat_map(|tasks| match tasks {
            Tasks::One(task) => vec![*task],
            Tasks::All => Task::ALL.to_vec(),
        });
        each.collect::<Vec<_>>()
    };
    let shard = match arguments.shard {
        Some(shard) => shard,
        None => Shard::from_environment(|name| std::env::var(name).ok())
            .map_err(face_llava::Error::from)?
            .unwrap_or_default(),
    };
    let (annotator, rater) = who(&arguments.annotator)?;
    Ok(BuildOptions {
        tasks: arguments.tasks.as_ref().map(chosen),
        seed: arguments.seed,
        faces: match (arguments.whole_image, arguments.face) {
            (true, _) => Faces::Whole,
            (false, FaceName::Single) => Faces::Single,
            (false, FaceName::Largest) => Faces::Largest,
        },
        crop: arguments.crop.rule(),
        min_face_score: arguments.min_face_score,
        self_blend: arguments.self_blend,
        questions: arguments.questions.clone(),
        annotator,
        rater,
        min_rating: arguments.annotator.min_score,
        cache: arguments.annotator.cache.clone(),
        shard,
        workers: arguments.workers,
        limit: arguments.limit,
        source_name: arguments.source_name.clone(),
        licence: arguments.licence.clone(),
        ..BuildOptions::new(&arguments.source, &arguments.out, device)
    })
}

fn who(given: &AnnotatorOptions) -> Result<(AnnotatorChoice, Option<RaterChoice>), Failure> {
    let chat = |url: &str, model: &str, key: &Option<String>, prices: Option<Prices>| ChatOptions {
        key_variable: key.clone(),
        timeout: Duration::from_secs_f64(given.timeout),
        attempts: given.attempts,
        pause: Duration::from_secs_f64(given.pause),
        requests_per_minute: given.requests_per_minute,
        prompt_price: prices.unwrap_or_default().sent,
        completion_price: prices.unwrap_or_default().received,
        max_tokens: given.max_tokens,
        temperature: given.temperature,
        ..ChatOptions::new(url, model)
    };
    if given.endpoint.is_some() && given.model.is_none() && given.rater_model.is_none() {
        return Err(Failure::Usage("--endpoint needs --model (who writes) or --rater-model (who rates)".into()));
    }
    let annotator = match (&given.replay, &given.model, &given.endpoint) {
        (Some(file), _, _) => AnnotatorChoice::Replay(file.clone()),
        (None, Some(model), Some(url)) => AnnotatorChoice::Chat(chat(url, model, &given.key_env, given.prices)),
        _ => AnnotatorChoice::Offline,
    };
    let rater = match (&given.replay_ratings, &given.rater_model) {
        (Some(file), _) => Some(RaterChoice::Replay(file.clone())),
        (None, Some(model)) => {
            let url = given.rater_endpoint.as_ref().or(given.endpoint.as_ref());
            let url = url.ok_or_else(|| Failure::Usage("--rater-model needs --endpoint or --rater-endpoint".into()))?;
            let prices = given.rater_prices.or(given.prices);
            // A key is for the endpoint it was given for.
            let own = given.endpoint.is_some() && given.endpoint.as_ref() != Some(url);
            let key = if own || given.rater_key_env.is_some() { &given.rater_key_env } else { &given.key_env };
            Some(RaterChoice::Chat(chat(url, model, key, prices)))
        }
        _ => None,
    };
    Ok((annotator, rater))
}

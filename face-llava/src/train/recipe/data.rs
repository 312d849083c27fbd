//! What the small model learns from: the built dataset's training part, and clips made of single pictures.

use std::path::Path;

use burn::tensor::Device;
use image::RgbImage;

use super::{Event, MiniRecipe};
use crate::data::{self, BuildOptions, Faces, Fractions, Message, Record, Speaker, capital, read_records};
use crate::text::{Conversation, Piece, Template};
use crate::train::augment::random;
use crate::train::example::FRAMES;
use crate::train::{Augmentation, TrainError, TrainingMedia, media_of};
use crate::{EXPRESSIONS, Error, Task};

/// Purpose of the random numbers.
const CLIPS: u64 = 6;

/// Builds, splits, and gives the training part; its paths are relative to the split's folder.
pub(super) fn dataset(
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
    let split = data::split(&out.join("data"), &out.join("split"), &Fractions::default(), recipe.split_seed)?;
    for part in &split.parts {
        observe(Event::Note(format!("{}: {} records of {} persons", part.split.name(), part.records, part.persons)));
    }
    read_records(out.join("split/train.json"))
}

/// Times that each answer's first word stands among the texts: often enough to become one token, so that rare labels are no
/// harder to say than frequent ones.
const LABELS: usize = 2000;

/// The texts that the vocabulary is learnt from: everything said, and the wording around it.
pub(super) fn words_and_prompts(mut texts: Vec<String>) -> Vec<String> {
    for text in &mut texts {
        *text = text.replace("<image>", "").replace("<video>", "").trim().to_owned();
    }
    let frame = Conversation { template: Template::Inference, media: 0, turns: Vec::new() };
    let system: String = frame
        .pieces()
        .into_iter()
        .filter_map(|piece| if let Piece::Text(text) = piece { Some(text) } else { None })
        .collect();
    texts.extend(std::iter::repeat_n(format!("{system}USER:\n ASSISTANT:"), 100));
    let labels = EXPRESSIONS.map(|label| capital(label) + ".").join(" ");
    texts.extend(std::iter::repeat_n(labels, LABELS));
    texts
}

/// Records of single pictures that a person has labelled with an expression: what the tower is taught.
pub(super) fn labelled(records: &[Record], folder: &Path) -> (Vec<TrainingMedia>, Vec<usize>) {
    let human = records.iter().filter_map(|r| {
        let meta = r.meta.as_ref().filter(|m| m.task == Task::Expression)?;
        let class = EXPRESSIONS.iter().position(|e| Some(*e) == meta.labels.first().map(String::as_str))?;
        Some((r, class))
    });
    let (records, classes): (Vec<&Record>, Vec<usize>) = human.unzip();
    let (media, placed) = media_of(records.into_iter().map(Ok), folder);
    let mut labels = vec![0; media.len()];
    for (placed, class) in placed.iter().zip(classes) {
        if let Ok((_, Some(place))) = placed {
            labels[*place] = class;
        }
    }
    (media, labels)
}

/// Clips of one picture each, drifting a little: the form of a clip, so that the decoder has met it.
pub(super) fn clips(
    recipe: &MiniRecipe,
    records: &[Record],
    split: &Path,
    folder: &Path,
) -> Result<Vec<Record>, Error> {
    let drift =
        Augmentation { degrees: 2.0, scale: 0.02, shift: 0.02, light: 0.05, mirror: false, ..recipe.augmentation() };
    let drift = Augmentation { blur: 0.0, ..drift };
    let expressive: Vec<&Record> =
        records.iter().filter(|r| r.meta.as_ref().is_some_and(|m| m.task == Task::Expression)).collect();
    let step = (expressive.len() / recipe.clips.max(1)).max(1);
    let mut out = Vec::new();
    for record in expressive.into_iter().step_by(step).take(recipe.clips) {
        let (media, _) = media_of([Ok(record)], split);
        let Some((media, points)) = media.first().and_then(|m| Some((m, m.landmarks.as_ref()?.first()?))) else {
            continue;
        };
        let name = record.id.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        let clip = folder.join(&name);
        let opened = crate::Media::open(&media.path)?;
        let picture: &RgbImage = &opened.frames()[0];
        let mut sets = Vec::new();
        let fail = |source| TrainError::Io { path: clip.clone(), source };
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

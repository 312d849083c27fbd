//! What the page shows of each item.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::thumbnail;
use rayon::prelude::*;
use serde::Serialize;

use super::ReportInput;
use crate::eval::score::CS_YEARS;
use crate::eval::{Asked, EvalError, Parsed, Prediction, Predictions, Scorer, Truth};
use crate::{ATTRIBUTES, Media};

/// Longer side of the pictures, pixels.
const SIDE: u32 = 128;
const QUALITY: u8 = 75;

/// A file of predictions.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub title: String,
    pub task: &'static str,
    pub scorer: &'static str,
    /// Items of the run; the page may show fewer.
    pub of: usize,
    pub items: Vec<Shown>,
}

/// An item.
#[derive(Debug, Serialize)]
pub(super) struct Shown {
    pub id: String,
    pub truth: String,
    /// What was read of the answer.
    pub label: String,
    pub state: State,
    pub raw: String,
    /// A `data:` URL; empty where the media cannot be opened any more.
    pub picture: String,
}

/// How an answer compares with the truth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Right,
    Wrong,
    /// Nothing could be read.
    Unparsed,
    /// No answer.
    Failed,
}

/// Every file of predictions, at most so many items of each, spread evenly.
pub(super) fn runs(input: &ReportInput<'_>) -> Result<Vec<Run>, EvalError> {
    input.predictions.iter().map(|predictions| run(predictions, input)).collect()
}

fn run(predictions: &Predictions, input: &ReportInput<'_>) -> Result<Run, EvalError> {
    let rows = &predictions.rows;
    let asked = Asked::of(&predictions.settings, Path::new("predictions"))?;
    let score = input.scores.iter().find(|s| s.settings == predictions.settings && s.items == rows.len());
    let wordless = rows.iter().all(|row| row.raw.is_none()) && rows.iter().any(|row| row.likelihoods.is_some());
    let scorer = score.map_or(if wordless { Scorer::Likelihood } else { Scorer::Strict }, |score| score.scorer);
    let count = rows.len().min(input.page_items);
    let spread = (0..count).into_par_iter().map(|at| &rows[at * rows.len() / count]);
    let items = spread.map(|row| Ok(shown(row, asked.read(scorer, row)?))).collect::<Result<_, EvalError>>()?;
    let title = format!("{} ({})", asked.title(), asked.split);
    Ok(Run { title, task: asked.task.name(), scorer: scorer.name(), of: rows.len(), items })
}

fn shown(row: &Prediction, parsed: Parsed) -> Shown {
    let state = match (&row.error, right(&row.truth, &parsed)) {
        (Some(_), _) => State::Failed,
        (None, None) => State::Unparsed,
        (None, Some(right)) => {
            if right {
                State::Right
            } else {
                State::Wrong
            }
        }
    };
    let error = row.error.as_ref().map(|error| format!("{}: {}", error.code, error.message));
    Shown {
        id: row.id.clone(),
        truth: truth(&row.truth),
        label: label(&parsed),
        state,
        raw: row.raw.clone().or(error).unwrap_or_default(),
        picture: picture(Path::new(&row.path)).unwrap_or_default(),
    }
}

/// Whether a reading is the truth: every unit, every attribute, an age to five years. None without a
/// reading.
fn right(truth: &Truth, parsed: &Parsed) -> Option<bool> {
    match (truth, parsed) {
        (_, Parsed::Unparsed) => None,
        (Truth::Label(truth), Parsed::Label(read)) => Some(truth == read),
        (Truth::Units(truth), Parsed::Units(read)) => Some(truth == read),
        (Truth::Attributes(truth), Parsed::Attributes(read)) => {
            Some(truth.iter().zip(read).all(|(truth, read)| *read == Some(*truth)))
        }
        (Truth::Age(truth), Parsed::Age(read)) => Some((truth - read).abs() <= CS_YEARS),
        _ => Some(false),
    }
}

fn truth(truth: &Truth) -> String {
    match truth {
        Truth::Label(label) => label.clone(),
        Truth::Units(units) => words(units.iter().map(|unit| format!("AU{unit}"))),
        Truth::Attributes(present) => attributes(present.iter().map(|present| Some(*present))),
        Truth::Age(years) => years.to_string(),
    }
}

fn label(parsed: &Parsed) -> String {
    match parsed {
        Parsed::Label(label) => label.clone(),
        Parsed::Units(units) => words(units.iter().map(|unit| format!("AU{unit}"))),
        Parsed::Attributes(read) => attributes(read.iter().copied()),
        Parsed::Age(years) => years.to_string(),
        Parsed::Unparsed => String::new(),
    }
}

fn attributes(flags: impl Iterator<Item = Option<bool>>) -> String {
    let present = ATTRIBUTES.iter().zip(flags).filter(|(_, flag)| *flag == Some(true));
    words(present.map(|(name, _)| (*name).to_owned()))
}

fn words(all: impl Iterator<Item = String>) -> String {
    let all: Vec<String> = all.collect();
    if all.is_empty() { "none".into() } else { all.join(", ") }
}

/// The picture, or the middle frame of the clip, small.
fn picture(path: &Path) -> Option<String> {
    let media = Media::open(path).ok()?;
    let frame = media.frames().get(media.frames().len() / 2)?;
    let longest = frame.width().max(frame.height()).max(1);
    let side = |side: u32| if longest > SIDE { (side * SIDE).div_ceil(longest) } else { side };
    let small = thumbnail(frame, side(frame.width()), side(frame.height()));
    let mut bytes = Cursor::new(Vec::new());
    JpegEncoder::new_with_quality(&mut bytes, QUALITY).encode_image(&small).ok()?;
    Some(format!("data:image/jpeg;base64,{}", STANDARD.encode(bytes.get_ref())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_are_compared_with_truths() {
        let mut present = vec![false; 40];
        present[31] = true;
        let smiling = Truth::Attributes(present);
        let mut read = vec![Some(false); 40];
        read[31] = Some(true);
        // As for the figures, what was not answered is not right.
        let mut short = read.clone();
        short[0] = None;
        for (truth, parsed, expected) in [
            (Truth::Label("fear".into()), Parsed::Label("fear".into()), Some(true)),
            (Truth::Label("fear".into()), Parsed::Label("anger".into()), Some(false)),
            (Truth::Label("fear".into()), Parsed::Unparsed, None),
            (Truth::Units(vec![1, 4]), Parsed::Units(vec![1]), Some(false)),
            (Truth::Units(vec![]), Parsed::Units(vec![]), Some(true)),
            (Truth::Age(30.0), Parsed::Age(35.0), Some(true)),
            (Truth::Age(30.0), Parsed::Age(35.5), Some(false)),
            (smiling.clone(), Parsed::Attributes(read.clone()), Some(true)),
            (smiling.clone(), Parsed::Attributes(short), Some(false)),
            (smiling.clone(), Parsed::Attributes(vec![Some(false); 40]), Some(false)),
        ] {
            assert_eq!(right(&truth, &parsed), expected, "{truth:?} {parsed:?}");
        }
        assert_eq!((truth(&smiling), label(&Parsed::Attributes(read))), ("Smiling".into(), "Smiling".into()));
        assert_eq!(label(&Parsed::Units(vec![])), "none");
    }

    #[test]
    fn pictures_are_small_and_missing_ones_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        image::RgbImage::new(600, 200).save(&path).unwrap();
        let url = picture(&path).unwrap();
        let bytes = STANDARD.decode(url.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
        let decoded = landmarks::picture::decode(&bytes, &landmarks::picture::OpenOptions::default()).unwrap();
        assert_eq!(decoded.rgb.dimensions(), (128, 43));
        assert_eq!(picture(&folder.path().join("b.png")), None);
    }
}

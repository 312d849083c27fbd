//! Answers and ratings that were recorded before, from a file: no model, no network, the same result.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use super::key::content_key;
use super::{Annotator, AnnotatorFault, Priced, Rater, Request, Usage};
use crate::data::error::{DataError, Place, Unit};
use crate::data::record::Rating;
use crate::data::seed::sha256;

/// Bytes of a recording.
const MAX_FILE: u64 = 4 << 30;

/// A line of a recording: `id` (a record's name) or `key` (digest of the request), with `text`, `rating` or both.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    rating: Option<Rating>,
    #[serde(default)]
    usage: Usage,
}

/// Answers from a file of JSON lines.
#[derive(Debug)]
pub struct Replay {
    identity: String,
    texts: HashMap<String, (String, Usage)>,
    ratings: HashMap<String, (Rating, Usage)>,
}

impl Replay {
    /// Reads a recording.
    ///
    /// # Errors
    /// [`DataError::Record`] with the line that is none of a recording.
    pub fn open(path: &Path) -> Result<Self, crate::Error> {
        let bytes = landmarks::picture::read_file(path, MAX_FILE)?;
        let (mut texts, mut ratings) = (HashMap::new(), HashMap::new());
        let lines = bytes.split(|b| *b == b'\n').zip(1..).filter(|(line, _)| !line.trim_ascii().is_empty());
        for (line, number) in lines {
            let fail =
                |source| DataError::Record { place: Place { path: path.into(), number, unit: Unit::Line }, source };
            let line: Line = serde_json::from_slice(line).map_err(fail)?;
            let Some(name) = line.key.or(line.id) else {
                return Err(fail(serde::de::Error::missing_field("id")).into());
            };
            // What a line took is told once: with its text, where it has one.
            let rated = if line.text.is_some() { Usage::default() } else { line.usage };
            if let Some(rating) = line.rating {
                if rating.scores().iter().any(|s| !(1..=10).contains(s)) {
                    return Err(fail(serde::de::Error::custom("a score outside 1 to 10")).into());
                }
                ratings.insert(name.clone(), (rating, rated));
            }
            if let Some(text) = line.text {
                texts.insert(name, (text, line.usage));
            }
        }
        Ok(Self { identity: format!("replay {}", sha256(&bytes)), texts, ratings })
    }

    fn find<'a, T>(
        map: &'a HashMap<String, (T, Usage)>,
        request: &Request<'_>,
    ) -> Result<&'a (T, Usage), AnnotatorFault> {
        let found = map.get(request.id).or_else(|| map.get(&content_key(request)));
        found.ok_or_else(|| AnnotatorFault::NotRecorded { id: request.id.into() })
    }
}

impl Annotator for Replay {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn annotate(&self, request: &Request<'_>) -> Result<Priced<String>, AnnotatorFault> {
        let (text, usage) = Self::find(&self.texts, request)?;
        super::chat::check_answer(text)?;
        Ok(Priced { value: text.clone(), usage: *usage, paid: Usage::default() })
    }
}

impl Rater for Replay {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn rate(&self, request: &Request<'_>, _answer: &str) -> Result<Priced<Rating>, AnnotatorFault> {
        let (rating, usage) = Self::find(&self.ratings, request)?;
        Ok(Priced { value: *rating, usage: *usage, paid: Usage::default() })
    }
}

//! From a record to token ids and labels.

use crate::Error;
use crate::data::{Record, Speaker};
use crate::text::{Conversation, PromptToken, Template, Tokenizer, Turn};

use super::TrainError;

/// Frames of a clip, as the towers were trained.
pub(super) const FRAMES: usize = 8;

/// A record as tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Its name.
    pub id: String,
    /// The prompt and the answers.
    pub tokens: Vec<PromptToken>,
    /// For each token whether it is part of an answer: what the model learns to say.
    pub labelled: Vec<bool>,
}

impl Example {
    /// Tokens of a record. Placeholders in its text are cut out; where media go follows from the record alone.
    ///
    /// # Errors
    /// [`TrainError::Record`], [`Error::Tokenizer`].
    pub fn new(record: &Record, template: Template, tokenizer: &Tokenizer) -> Result<Self, Error> {
        let refuse = |what: &str| TrainError::Record { id: record.id.clone(), what: what.into() };
        let media = match (&record.image, &record.video) {
            (Some(_), None) => 1,
            (None, Some(_)) => FRAMES,
            (None, None) => 0,
            _ => return Err(refuse("it has a picture and a clip").into()),
        };
        let (pairs, rest) = record.conversations.as_chunks::<2>();
        if pairs.is_empty() || !rest.is_empty() {
            return Err(refuse("questions and answers do not take turns").into());
        }
        let mut turns = Vec::with_capacity(pairs.len());
        for [question, answer] in pairs {
            if (question.from, answer.from) != (Speaker::Human, Speaker::Gpt) {
                return Err(refuse("questions and answers do not take turns").into());
            }
            let question = question.value.replace("<image>", "").replace("<video>", "").trim().to_owned();
            if answer.value.trim().is_empty() {
                return Err(refuse("an answer is empty").into());
            }
            turns.push(Turn { question, answer: Some(answer.value.trim().to_owned()) });
        }
        let pieces = Conversation { template, media, turns }.pieces();
        let (tokens, labelled) = tokenizer.encode_labelled(&pieces)?.into_iter().unzip();
        Ok(Self { id: record.id.clone(), tokens, labelled })
    }

    /// Places in the model's input, `per_media` to each picture or frame.
    pub fn length(&self, per_media: usize) -> usize {
        self.tokens.iter().map(|t| if matches!(t, PromptToken::Media(_)) { per_media } else { 1 }).sum()
    }
}

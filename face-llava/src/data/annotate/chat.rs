//! A model behind an endpoint that speaks the chat-completions protocol with pictures.

use std::path::Path;
use std::time::Duration;

use image::RgbImage;

use super::cache::Store;
use super::complete::{Prompt, unfenced};
use super::http::{Client, quote};
use super::{Annotator, AnnotatorFault, Priced, Rater, Request, prompts};
use crate::data::error::DataError;
use crate::data::record::{LabelOrigin, Rating};

/// Bytes of an answer.
const MAX_ANSWER: usize = 4000;
/// Words that betray the label.
const BETRAYING: [&str; 6] = ["the label", "given label", "provided label", "labeled", "labelled", "ground truth"];

/// An endpoint and how it is used. The key comes from the environment, never from here.
#[derive(Clone, Debug, PartialEq)]
pub struct ChatOptions {
    /// Base, as `https://host/v1`; `/chat/completions` is added.
    pub url: String,
    /// The model's name.
    pub model: String,
    /// The environment variable with the key; none for endpoints without.
    pub key_variable: Option<String>,
    /// For one request, all included.
    pub timeout: Duration,
    /// Requests for one answer at most.
    pub attempts: u32,
    /// Before the second attempt; doubles with each.
    pub pause: Duration,
    /// All workers together; nobody else unless told so ([`Chat::in_turn_with`]).
    pub requests_per_minute: Option<f64>,
    /// Price of a million tokens sent.
    pub prompt_price: f64,
    /// Price of a million tokens received.
    pub completion_price: f64,
    /// Longest answer.
    pub max_tokens: u32,
    /// 0 for the most likely answer.
    pub temperature: f64,
}

impl ChatOptions {
    /// An endpoint and a model with the usual limits, without a key.
    pub fn new(url: impl Into<String>, model: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            model: model.into(),
            key_variable: None,
            timeout: Duration::from_secs(60),
            attempts: 5,
            pause: Duration::from_secs(1),
            requests_per_minute: None,
            prompt_price: 0.0,
            completion_price: 0.0,
            max_tokens: 300,
            temperature: 0.0,
        }
    }
}

/// The endpoint, ready to be asked. Writes answers and rates them.
pub struct Chat {
    pub(super) client: Client,
    pub(crate) options: ChatOptions,
    pub(super) store: Option<Store>,
}

impl Chat {
    /// Checks the address, the key and the folder `cache` of earlier replies; asks nothing. What was asked and paid for
    /// once is not asked again where there is such a folder.
    ///
    /// # Errors
    /// [`AnnotatorFault::NoTls`], [`AnnotatorFault::NoKey`], [`AnnotatorFault::Refused`] for other addresses,
    /// [`AnnotatorFault::Storage`] for a folder that cannot be written.
    pub fn new(options: &ChatOptions, cache: Option<&Path>) -> Result<Self, crate::Error> {
        let client = Client::new(options).map_err(DataError::from)?;
        Ok(Self { client, options: options.clone(), store: cache.map(Store::open).transpose()? })
    }

    /// Keeps to one rate of requests together with another, where both ask the same endpoint.
    #[must_use]
    pub fn in_turn_with(mut self, other: &Self) -> Self {
        self.client.in_turn_with(&other.client);
        self
    }

    /// One question with pictures; what is found in the whole text that comes back.
    fn ask<T>(
        &self,
        (system, text): (&str, String),
        frames: &[RgbImage],
        read: impl FnOnce(String) -> Result<T, AnnotatorFault>,
    ) -> Result<Priced<T>, AnnotatorFault> {
        let prompt = Prompt { system: Some(system), text: &text, frames, seed: None };
        self.complete(&prompt)?.read(|completion| read(completion.whole()?))
    }

    /// Model, endpoint and settings, with the digest of what is asked.
    pub(super) fn name(&self, prompt: &str) -> String {
        let o = &self.options;
        format!(
            "chat {} at {} (temperature {}, {} tokens, prompt {prompt})",
            o.model, o.url, o.temperature, o.max_tokens
        )
    }
}

impl Annotator for Chat {
    fn identity(&self) -> String {
        self.name(&prompts::annotate_digest())
    }

    fn annotate(&self, request: &Request<'_>) -> Result<Priced<String>, AnnotatorFault> {
        if request.origin == LabelOrigin::None {
            return Err(AnnotatorFault::NoLabel { task: request.task });
        }
        self.ask(prompts::annotate(request), request.frames, |answer| check_answer(&answer).map(|()| answer))
    }
}

impl Rater for Chat {
    fn identity(&self) -> String {
        self.name(&prompts::rate_digest())
    }

    fn rate(&self, request: &Request<'_>, answer: &str) -> Result<Priced<Rating>, AnnotatorFault> {
        self.ask(prompts::rate(request, answer), request.frames, |reply| rating(&reply))
    }
}

/// Refuses answers that are empty, endless, hold placeholders or tell that a label was given.
pub(super) fn check_answer(answer: &str) -> Result<(), AnnotatorFault> {
    let lower = answer.to_lowercase();
    let what = if answer.trim().is_empty() {
        "empty".into()
    } else if answer.len() > MAX_ANSWER {
        format!("{} bytes, over the limit of {MAX_ANSWER}", answer.len())
    } else if ["<image>", "<video>", "</s>"].iter().any(|p| lower.contains(p)) {
        "it holds a placeholder".into()
    } else if let Some(word) = BETRAYING.iter().find(|word| lower.contains(**word)) {
        format!("it speaks of {word:?}")
    } else {
        return Ok(());
    };
    Err(AnnotatorFault::Reply { what })
}

/// Four whole numbers from 1 to 10, or none at all.
fn rating(reply: &str) -> Result<Rating, AnnotatorFault> {
    let fail = |what: String| AnnotatorFault::Rating { what: format!("{what}: {}", quote(reply)) };
    let rating: Rating = serde_json::from_str(unfenced(reply)).map_err(|e| fail(e.to_string()))?;
    match rating.scores().iter().find(|score| !(1..=10).contains(*score)) {
        Some(score) => Err(fail(format!("a score of {score}"))),
        None => Ok(rating),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_are_four_whole_numbers_or_refused() {
        let good = r#"{"label_accuracy":10,"media_consistency":9,"label_consistency":1,"overall":7,"reason":"x"}"#;
        assert_eq!(rating(good).unwrap().scores(), [10, 9, 1, 7]);
        assert!(rating(&format!("```json\n{good}\n```")).is_ok());
        for bad in [
            "",
            "9/10",
            "{}",
            r#"{"label_accuracy":10,"media_consistency":9,"label_consistency":1}"#,
            &good.replace("10", "11"),
            &good.replace("10", "0"),
            &good.replace("10", "9.5"),
            &good.replace("10", "\"10\""),
            &good.replace("10", "null"),
            &good.replace("10", "-1"),
            &format!("Sure! {good}"),
            &format!("[{good}]"),
        ] {
            assert!(matches!(rating(bad), Err(AnnotatorFault::Rating { .. })), "{bad}");
        }
    }

    #[test]
    fn answers_that_betray_the_label_are_refused() {
        assert!(check_answer("Happiness. The lip corners are up.").is_ok());
        for bad in ["", "  ", "As the label says, happy.", "Look: <image>", &"a".repeat(5000)] {
            assert!(check_answer(bad).is_err(), "{bad}");
        }
    }
}

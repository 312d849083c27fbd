//! Whoever answers: this model in a session, or another behind an endpoint.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use super::PredictionFault;

/// Answers questions about media.
pub trait Answerer {
    /// Model, weights and settings: whatever changes the answers. Part of the predictions' settings.
    fn identity(&self) -> Value;

    /// The answer about one picture, video or folder of frames. `labels` are names, with the words that the model would
    /// say for each: where they are given, their log-likelihoods are asked for.
    ///
    /// # Errors
    /// [`Fault`]; the item has no answer, the others go on.
    fn answer(&mut self, media: &Path, question: &str, labels: Option<&[(&str, &str)]>) -> Result<Answered, Fault>;

    /// Media that [`Answerer::answer_each`] is best given together.
    fn at_once(&self) -> usize {
        1
    }

    /// The same about several media. `each` gets their answers as they come, one for each and in their order: what it got is
    /// kept, whatever happens to the rest.
    fn answer_each(
        &mut self,
        media: &[&Path],
        question: &str,
        labels: Option<&[(&str, &str)]>,
        each: &mut dyn FnMut(Result<Answered, Fault>),
    ) {
        media.iter().for_each(|media| each(self.answer(media, question, labels)));
    }
}

/// What came back about one item.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answered {
    /// The words; empty where only likelihoods were asked for.
    pub raw: String,
    /// Log-likelihood of each label, by name; none for answerers that have no logits.
    pub likelihoods: Option<BTreeMap<String, f64>>,
    /// Whether face geometry guided the visual tokens; none for other models.
    pub landmarks_used: Option<bool>,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", fault.code, fault.message)]
pub struct Fault {
    /// The kind and the words for it.
    pub fault: PredictionFault,
    /// Whether the same question may be answered later: such items are not stored, and tried again on resume.
    pub passing: bool,
}

/// Asked again, this crate would say the same, unless something else was at fault.
impl From<crate::Error> for Fault {
    fn from(error: crate::Error) -> Self {
        let passing = error.is_passing();
        Self { fault: PredictionFault { code: error.code().into(), message: error.to_string() }, passing }
    }
}

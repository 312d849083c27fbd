//! From the words of an answer to what is compared with the truth.

mod likelihood;
mod lists;
mod strict;
mod text_compatible;

use serde::{Deserialize, Serialize};

use super::{EvalError, Prediction};
use crate::Task;

/// How answers are read. Figures of different scorers are not comparable, so results name theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scorer {
    /// The rules of the scorer that was published with this family of models, with their quirks: ties go to the
    /// first in a fixed order, `happiness` where there is no hint. The word lists are ours.
    TextCompatible,
    /// The first explicit label; answers without one are wrong.
    Strict,
    /// The likeliest label of the closed set; nothing is generated.
    Likelihood,
}

/// What was read out of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Parsed {
    /// One label of the closed set.
    Label(String),
    /// Action units by number, ascending, of those that the benchmark counts.
    Units(Vec<u8>),
    /// Whether each attribute of the closed set is there; none where that was not answered.
    Attributes(Vec<Option<bool>>),
    /// Years.
    Age(f64),
    /// No answer, or none that could be read.
    Unparsed,
}

impl Scorer {
    /// All three.
    pub const ALL: [Self; 3] = [Self::TextCompatible, Self::Strict, Self::Likelihood];

    /// The name on the command line and in results.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TextCompatible => "text-compatible",
            Self::Strict => "strict",
            Self::Likelihood => "likelihood",
        }
    }

    /// The scorer of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scorer| scorer.name() == name)
    }

    /// Goes up by one whenever rules or word lists change what is read.
    pub const fn version(self) -> u32 {
        match self {
            Self::TextCompatible | Self::Likelihood => 1,
            Self::Strict => 2,
        }
    }

    /// Whether items that give no reading are left out of the figures, as the published scorer does; otherwise they
    /// count as wrong.
    pub const fn leaves_out(self) -> bool {
        matches!(self, Self::TextCompatible)
    }

    /// Reads an answer. `labels` is the benchmark's closed set, see [`Benchmark::labels`](super::Benchmark::labels).
    ///
    /// # Errors
    /// [`EvalError::Row`] where [`Self::Likelihood`] finds no likelihoods, or the task has no single label.
    pub fn read(self, task: Task, labels: &[&str], prediction: &Prediction) -> Result<Parsed, EvalError> {
        if self == Self::Likelihood {
            return Ok(likelihood::label(task, labels, prediction)?.map_or(Parsed::Unparsed, Parsed::Label));
        }
        let answer = prediction.raw.as_deref().filter(|_| prediction.error.is_none());
        Ok(answer.and_then(|answer| self.words(task, labels, answer)).unwrap_or(Parsed::Unparsed))
    }

    /// Reads words.
    fn words(self, task: Task, labels: &[&str], answer: &str) -> Option<Parsed> {
        let strict = self == Self::Strict;
        Some(match task {
            Task::Expression | Task::Deepfake if strict => Parsed::Label(strict::label(task, labels, answer)?),
            Task::Expression => Parsed::Label(text_compatible::expression(labels, answer)?),
            Task::Deepfake => Parsed::Label(text_compatible::verdict(labels, answer)?),
            Task::ActionUnits if strict => Parsed::Units(strict::units(labels, answer)?),
            Task::ActionUnits => Parsed::Units(text_compatible::units(labels, answer)),
            Task::Attributes if strict => Parsed::Attributes(strict::attributes(labels, answer)?),
            Task::Attributes => Parsed::Attributes(text_compatible::attributes(labels, answer)),
            Task::Age if strict => Parsed::Age(strict::age(answer)?),
            Task::Age => Parsed::Age(text_compatible::age(answer)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{PredictionFault, Truth};

    #[test]
    fn names_are_read_back_and_stored() {
        for scorer in Scorer::ALL {
            assert_eq!(Scorer::parse(scorer.name()), Some(scorer));
            assert_eq!(serde_json::to_value(scorer).unwrap(), scorer.name());
        }
        assert_eq!(Scorer::parse("Strict"), None);
    }

    #[test]
    fn items_without_words_are_not_read() {
        let fault = PredictionFault { code: "media".into(), message: "broken".into() };
        let mut prediction = Prediction {
            id: "a".into(),
            path: String::new(),
            truth: Truth::Label("fear".into()),
            raw: None,
            likelihoods: None,
            landmarks_used: None,
            error: None,
        };
        for (raw, error) in [(None, None), (Some("AU1 real 30 happy"), Some(fault))] {
            (prediction.raw, prediction.error) = (raw.map(Into::into), error);
            for task in Task::ALL {
                for scorer in [Scorer::TextCompatible, Scorer::Strict] {
                    assert_eq!(
                        scorer.read(task, &["AU1", "real", "happiness"], &prediction).unwrap(),
                        Parsed::Unparsed
                    );
                }
            }
        }
    }
}

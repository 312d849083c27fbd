//! What a judge said about one answer; a line of the result.

use serde::{Deserialize, Serialize};

use super::Scores;
use crate::Task;
use crate::data::Usage;
use crate::eval::PredictionFault;

/// All ratings of one answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judgement {
    /// The item's name.
    pub id: String,
    /// What the question was about.
    pub task: Task,
    /// SHA-256 of what was judged, in words: task, question, truth, reference, answer; none where there was no answer.
    pub digest: Option<String>,
    /// One for each repeat.
    pub ratings: Vec<Rated>,
}

/// One rating and what it took.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rated {
    /// Numbers, or why there are none.
    #[serde(flatten)]
    pub rating: Rating,
    /// Requests, tokens, money.
    #[serde(default, skip_serializing_if = "is_free")]
    pub usage: Usage,
}

/// Numbers, or why there are none. What is missing is never a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rating {
    /// Three numbers.
    Scores(Scores),
    /// Why there are none.
    Missing(PredictionFault),
}

fn is_free(usage: &Usage) -> bool {
    *usage == Usage::default()
}

impl Judgement {
    /// The ratings that are there.
    pub fn scores(&self) -> impl Iterator<Item = &Scores> {
        self.ratings.iter().filter_map(|rated| match &rated.rating {
            Rating::Scores(scores) => Some(scores),
            Rating::Missing(_) => None,
        })
    }

    /// Why others are not.
    pub fn missing(&self) -> impl Iterator<Item = &PredictionFault> {
        self.ratings.iter().filter_map(|rated| match &rated.rating {
            Rating::Scores(_) => None,
            Rating::Missing(fault) => Some(fault),
        })
    }
}

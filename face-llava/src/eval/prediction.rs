//! A line of predictions, and the file of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Truth;

/// What was answered about one item; one line for each item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// The item's name.
    pub id: String,
    /// Its file, as it was opened.
    pub path: String,
    /// The right answer.
    pub truth: Truth,
    /// The words of the answer; none where there was an error, or where nothing was generated.
    pub raw: Option<String>,
    /// Log-likelihood of each label of the closed set after the prompt, where asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub likelihoods: Option<BTreeMap<String, f64>>,
    /// Whether face geometry guided the visual tokens; none for other models.
    pub landmarks_used: Option<bool>,
    /// Why there is no answer.
    pub error: Option<PredictionFault>,
}

/// Why an item has no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictionFault {
    /// The kind, for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// All predictions of a run with what they were made with (`FILE.settings.json`).
#[derive(Clone, Debug)]
pub struct Predictions {
    /// Benchmark, split, question, model, dataset and weights by hash, sampling, version.
    pub settings: Value,
    /// In the dataset's order.
    pub rows: Vec<Prediction>,
}

//! Three whole numbers with reasons, or nothing at all.

use serde::{Deserialize, Serialize};

use crate::data::AnnotatorFault;
use crate::data::annotate::{quote, unfenced};

/// Something for each of the paper's three criteria.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Criteria<T> {
    /// Does the reasoning fit what is shown? (Reason-video consistency.)
    pub media_consistency: T,
    /// Does it fit the truth? (Reason-GT consistency.)
    pub truth_consistency: T,
    /// Is it whole? (Reasoning completeness.)
    pub completeness: T,
}

impl<T> Criteria<T> {
    /// One value for each, made from its place.
    pub(super) fn each(mut of: impl FnMut(usize) -> T) -> Self {
        Self { media_consistency: of(0), truth_consistency: of(1), completeness: of(2) }
    }

    /// In the order of the fields.
    pub fn values(&self) -> [&T; 3] {
        [&self.media_consistency, &self.truth_consistency, &self.completeness]
    }
}

/// A judge's rating of one answer. What is read into one has been checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Reply")]
pub struct Scores {
    /// From 1 (bad) to 10 (good).
    #[serde(flatten)]
    pub values: Criteria<u8>,
    /// Why.
    pub reason: Reason,
}

/// Why a rating is as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Reason {
    /// For all three.
    One(String),
    /// For each.
    Each(Criteria<String>),
}

/// The schema: these fields, all of them, and no others.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reply {
    media_consistency: u8,
    truth_consistency: u8,
    completeness: u8,
    reason: Reason,
}

impl TryFrom<Reply> for Scores {
    type Error = String;

    fn try_from(reply: Reply) -> Result<Self, String> {
        let Reply { media_consistency, truth_consistency, completeness, reason } = reply;
        let values = Criteria { media_consistency, truth_consistency, completeness };
        match values.values().into_iter().find(|score| !(1..=10).contains(*score)) {
            Some(score) => Err(format!("a score of {score}")),
            None => Ok(Self { values, reason }),
        }
    }
}

impl Scores {
    /// Reads a judge's reply.
    ///
    /// # Errors
    /// [`AnnotatorFault::Rating`] for anything but the object that the rubric asks for, with or without a fence.
    pub fn parse(reply: &str) -> Result<Self, AnnotatorFault> {
        serde_json::from_str(unfenced(reply))
            .map_err(|e| AnnotatorFault::Rating { what: format!("{e}: {}", quote(reply)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratings_are_three_whole_numbers_with_a_reason_or_none() {
        let good = r#"{"media_consistency":10,"truth_consistency":9,"completeness":1,"reason":"x"}"#;
        let scores = Scores::parse(good).unwrap();
        assert_eq!(scores.values.values(), [&10, &9, &1]);
        assert_eq!(serde_json::to_string(&scores).unwrap(), good);
        let each = r#"{"media_consistency":"a","truth_consistency":"b","completeness":"c"}"#;
        let each = good.replace("\"x\"", each);
        let scores = Scores::parse(&format!("```json\n{each}\n```")).unwrap();
        assert!(matches!(&scores.reason, Reason::Each(reasons) if reasons.completeness == "c"));
        assert_eq!(serde_json::to_string(&scores).unwrap(), each);
        for bad in [
            "",
            "10, 9, 1",
            "null",
            "{}",
            &good.replace(",\"reason\":\"x\"", ""),
            &good.replace("\"x\"", "null"),
            &good.replace("\"x\"", "{}"),
            &good.replace("\"completeness\":1,", ""),
            &good.replace("\"completeness\":1", "\"completeness\":1,\"overall\":5"),
            &good.replace("\"completeness\":1", "\"completeness\":1,\"completeness\":2"),
            &good.replace("10", "11"),
            &good.replace("10", "0"),
            &good.replace("10", "-1"),
            &good.replace("10", "9.5"),
            &good.replace("10", "10.0"),
            &good.replace("10", "1e1"),
            &good.replace("10", "266"),
            &good.replace("10", "\"10\""),
            &good.replace("10", "null"),
            &good.replace("10", "NaN"),
            &good.replace("10", "[10]"),
            &format!("Sure! {good}"),
            &format!("{good} I hope this helps."),
            &format!("```json\n{good}\n``` Note that"),
            &format!("[{good}]"),
            &good[..good.len() - 1],
        ] {
            assert!(matches!(Scores::parse(bad), Err(AnnotatorFault::Rating { .. })), "{bad}");
        }
    }
}

//! What the judge is told: the rubric, and the item as a JSON object, so that no answer can pose as part of the rubric.

use std::borrow::Cow;

use serde::Serialize;

use super::Case;
use crate::data::seed::sha256;
use crate::eval::Truth;
use crate::{ACTION_UNITS, ATTRIBUTES};

/// The three criteria and what their numbers mean.
pub const RUBRIC: &str = include_str!("rubric.txt");

/// SHA-256 of the rubric's text.
pub fn rubric_sha256() -> String {
    sha256(RUBRIC.as_bytes())
}

#[derive(Serialize)]
struct Message<'a> {
    task: Cow<'a, str>,
    question: &'a str,
    truth: String,
    reference: Option<&'a str>,
    answer: &'a str,
}

/// The user's message about a case.
pub(super) fn message(case: &Case<'_>) -> Result<String, serde_json::Error> {
    let task = Cow::Owned(case.task.name().replace('-', " "));
    let (question, reference, answer) = (case.question, case.reference, case.answer);
    serde_json::to_string(&Message { task, question, truth: words(case.truth), reference, answer })
}

/// A truth in words.
fn words(truth: &Truth) -> String {
    match truth {
        Truth::Label(label) => label.replace('_', " "),
        Truth::Units(units) if units.is_empty() => "no action unit is active".into(),
        Truth::Units(units) => units.iter().map(unit).collect::<Vec<_>>().join(", "),
        Truth::Attributes(present) => {
            let names = ATTRIBUTES.iter().zip(present).filter(|(_, present)| **present);
            let names: Vec<String> = names.map(|(name, _)| name.replace('_', " ")).collect();
            let names = if names.is_empty() { "none".into() } else { names.join(", ") };
            format!("present of CelebA's forty attributes: {names}")
        }
        Truth::Age(years) => format!("{years} years"),
    }
}

fn unit(number: &u8) -> String {
    match ACTION_UNITS.iter().find(|(known, _)| known == number) {
        Some((_, name)) => format!("AU{number} ({name})"),
        None => format!("AU{number}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truths_are_told_in_words() {
        let mut present = vec![false; 40];
        assert_eq!(words(&Truth::Attributes(present.clone())), "present of CelebA's forty attributes: none");
        (present[0], present[39]) = (true, true);
        for (truth, told) in [
            (Truth::Label("happiness".into()), "happiness"),
            (Truth::Units(vec![]), "no action unit is active"),
            (Truth::Units(vec![1, 99]), "AU1 (Inner Brow Raiser), AU99"),
            (Truth::Attributes(present), "present of CelebA's forty attributes: 5 o Clock Shadow, Young"),
            (Truth::Age(31.0), "31 years"),
        ] {
            assert_eq!(words(&truth), told);
        }
    }

    #[test]
    fn the_rubric_asks_for_what_is_read() {
        for name in ["media_consistency", "truth_consistency", "completeness", "reason"] {
            assert!(RUBRIC.contains(name), "{name}");
        }
        assert_eq!(rubric_sha256().len(), 64);
    }
}

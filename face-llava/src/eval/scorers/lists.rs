//! The words that the text-compatible scorer takes for a label.

use std::sync::LazyLock;

use serde::Deserialize;

/// Our own lists, as long as those of the public scorer, which are not ours to copy; some words stand in several.
static LISTS: LazyLock<Lists> =
    LazyLock::new(|| serde_json::from_str(include_str!("synonyms.json")).unwrap_or_default());

/// Classes in the order in which they are tried.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Lists {
    /// The seven expressions.
    pub expressions: Vec<Class>,
    /// Real and fake.
    pub verdicts: Vec<Class>,
}

/// A label and the words that stand for it, in lower case.
#[derive(Debug, Deserialize)]
pub(super) struct Class {
    pub label: String,
    words: Vec<String>,
}

impl Class {
    /// Whether a word stands for the label.
    pub fn holds(&self, word: &str) -> bool {
        self.words.iter().any(|w| w == word)
    }
}

/// The lists of the file.
pub(super) fn lists() -> &'static Lists {
    &LISTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EXPRESSIONS;

    #[test]
    fn every_class_has_its_list() {
        let order: Vec<&str> = lists().expressions.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(order, ["happiness", "sadness", "surprise", "anger", "neutral", "disgust", "fear"]);
        assert!(EXPRESSIONS.iter().all(|e| order.contains(e)));
        assert!(lists().expressions.iter().all(|c| (20..=45).contains(&c.words.len()) && c.holds(&c.label)));
        let verdicts: Vec<&str> = lists().verdicts.iter().map(|c| c.label.as_str()).collect();
        assert_eq!(verdicts, ["real", "fake"]);
    }

    #[test]
    fn words_are_plain_and_occur_once_in_a_list() {
        for class in lists().expressions.iter().chain(&lists().verdicts) {
            let mut words = class.words.clone();
            words.sort();
            words.dedup();
            assert_eq!(words.len(), class.words.len(), "{}", class.label);
            assert!(words.iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase())), "{}", class.label);
        }
    }
}

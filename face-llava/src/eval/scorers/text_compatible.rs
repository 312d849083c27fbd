//! The scorer that the family of these models published (EmoLA's, reused by the authors), rule by rule.
//!
//! Expressions:
//! 1. The answer is trimmed and lower-cased, and gets a dot at its end where it has none. Where nothing is left after
//!    trimming it cannot be read.
//! 2. Sentences end at white space behind `.` or `?`, but not behind two letters with dots ("e.g. "). Those that hold
//!    one of [`NEGATIONS`] anywhere, also within a word ("nose", "know"), are dropped. Where none is left, all stay.
//! 3. The first sentence goes up to the first `.`, `!` or `?`; where a line break comes before, the answer cannot be
//!    read. Its words are gone through from left to right: the first that stands in a list decides; of several lists
//!    the first in the order happiness, sadness, surprise, anger, neutral, disgust, fear.
//! 4. Otherwise the words of all lists are counted in the rest, and the most frequent class wins; ties, and answers
//!    without any such word, go to the first in that order: happiness.
//!
//! Classes outside of the benchmark's closed set are left out of 3 and 4. Answers that cannot be read, and items
//! without an answer, are left out of the figures.
//!
//! Action units: `AU` and digits right behind it, case and all, anywhere; the digits must be written as the benchmark
//! writes them ("AU 12" and "AU06" are no units), units outside of its list are ignored, denials too.
//!
//! The rest has no published rules; these are ours, as simple as those: deepfake by steps 1 and 2, then the first word
//! of the lists for real and fake; age is the first number of one to three digits; an attribute is there where its
//! name occurs, in words or with underscores, denied or not.

use super::lists::{Class, lists};

/// Sentences with one of them are dropped.
const NEGATIONS: [&str; 9] = ["not", "no", "isn't ", "nothing", "cannot", "won't", "shouldn't", "neither", "nor"];

/// Rules 1 to 4.
pub(super) fn expression(labels: &[&str], answer: &str) -> Option<String> {
    let text = affirmed(answer)?;
    let (first, rest) = text.split_at(text.find(['.', '!', '?'])?);
    if first.contains('\n') {
        return None;
    }
    let classes: Vec<&Class> = lists().expressions.iter().filter(|c| labels.contains(&c.label.as_str())).collect();
    let decided = words(first).find_map(|word| classes.iter().find(|class| class.holds(word)));
    let hits = |class: &Class| words(rest).filter(|word| class.holds(word)).count();
    // The last of equal maxima is taken, so from the back it is the first.
    let class = decided.or_else(|| classes.iter().rev().max_by_key(|class| hits(class)))?;
    Some(class.label.clone())
}

/// `real` or `fake`.
pub(super) fn verdict(labels: &[&str], answer: &str) -> Option<String> {
    let text = affirmed(answer)?;
    let class = words(&text).find_map(|word| lists().verdicts.iter().find(|class| class.holds(word)))?;
    labels.contains(&class.label.as_str()).then(|| class.label.clone())
}

/// The benchmark's units that occur, ascending.
pub(super) fn units(labels: &[&str], answer: &str) -> Vec<u8> {
    let numbers = answer.match_indices("AU").map(|(at, au)| digits(&answer[at + au.len()..]));
    let mut units: Vec<u8> = numbers
        .filter(|number| labels.iter().any(|label| label.strip_prefix("AU") == Some(*number)))
        .filter_map(|number| number.parse().ok())
        .collect();
    units.sort_unstable();
    units.dedup();
    units
}

/// Each attribute, by its name.
pub(super) fn attributes(labels: &[&str], answer: &str) -> Vec<Option<bool>> {
    let plain = |text: &str| {
        let text = text.to_lowercase().replace('_', " ");
        format!(" {} ", words(&text).collect::<Vec<_>>().join(" "))
    };
    let answer = plain(answer);
    labels.iter().map(|label| Some(answer.contains(&plain(label)))).collect()
}

/// Years.
pub(super) fn age(answer: &str) -> Option<f64> {
    let mut numbers = answer.split(|c: char| !c.is_ascii_digit());
    numbers.find(|n| (1..=3).contains(&n.len()))?.parse().ok()
}

/// Rules 1 and 2.
fn affirmed(answer: &str) -> Option<String> {
    let mut text = answer.trim().to_lowercase();
    if text.is_empty() {
        return None;
    }
    if !text.ends_with('.') {
        text.push('.');
    }
    let mut kept = sentences(&text);
    kept.retain(|sentence| !NEGATIONS.iter().any(|negation| sentence.contains(negation)));
    Some(if kept.is_empty() { text } else { kept.join(" ") })
}

/// Parts a text at the white space behind sentences, which is lost.
fn sentences(text: &str) -> Vec<&str> {
    let chars: Vec<(usize, char)> = text.char_indices().collect();
    let mut sentences = Vec::new();
    let mut start = 0;
    for (i, (at, c)) in chars.iter().enumerate() {
        let ended = match &chars[..i] {
            [.., (_, a), (_, '.'), (_, b), (_, '.' | '?')] => !(is_word(*a) && is_word(*b)),
            [.., (_, '.' | '?')] => true,
            _ => false,
        };
        if ended && c.is_whitespace() {
            sentences.push(&text[start..*at]);
            start = at + c.len_utf8();
        }
    }
    sentences.push(&text[start..]);
    sentences
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c| !is_word(c)).filter(|word| !word.is_empty())
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn digits(text: &str) -> &str {
    &text[..text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len())]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ATTRIBUTES, EXPRESSIONS};

    fn read(answer: &str) -> String {
        expression(&EXPRESSIONS, answer).unwrap_or_else(|| "?".into())
    }

    #[test]
    fn the_first_word_of_the_first_sentence_decides() {
        assert_eq!(read("Sad, then happy"), "sadness");
        assert_eq!(read("The man looks FURIOUS! He is happy."), "anger");
        assert_eq!(read("Content."), "happiness", "of two lists the first");
        assert_eq!(read("Stern."), "anger");
    }

    #[test]
    fn sentences_with_a_negation_anywhere_are_dropped() {
        assert_eq!(read("The nose is wrinkled in disgust. She is afraid."), "fear");
        assert_eq!(read("Is she not sad? Afraid."), "fear");
        assert_eq!(read("Not sad! Afraid."), "sadness", "an exclamation mark ends no sentence here, all is kept");
        assert_eq!(read("He is not happy."), "happiness", "nothing is left, so all is kept");
        assert_eq!(read("It isn't. Angry."), "anger", "no space behind it, and yet no word of a list");
        assert_eq!(read("It isn't joy. Angry."), "anger");
        assert_eq!(read("It isn\u{2019}t joy. Angry."), "happiness", "a curly apostrophe denies nothing");
    }

    #[test]
    fn the_rest_is_counted_and_ties_go_to_the_front() {
        assert_eq!(read("A face. Fear and dread, a smile."), "fear");
        assert_eq!(read("A face. Fear, sorrow."), "sadness");
        assert_eq!(read("A face."), "happiness");
        assert_eq!(read("..."), "happiness");
        assert_eq!(read("A face. Gasp. Gasp. Worry."), "fear", "a word counts for each of its lists");
    }

    #[test]
    fn what_cannot_be_read() {
        assert_eq!(read(" \n "), "?");
        assert_eq!(read("Emotion:\nsad."), "?");
        assert_eq!(read("Emotion.\nSad."), "sadness");
    }

    #[test]
    fn dots_within_a_sentence() {
        assert_eq!(sentences("e.g. a b. c? d"), ["e.g. a b.", "c?", "d"]);
        assert_eq!(sentences("a.  b. "), ["a.", " b.", ""]);
        assert_eq!(sentences("\u{e9}.\u{a0}\u{e8}"), ["\u{e9}.", "\u{e8}"]);
    }

    #[test]
    fn classes_outside_of_the_set_do_not_count() {
        let six = ["neutral", "happiness", "sadness", "anger", "fear", "disgust"];
        assert_eq!(expression(&six, "Surprise, fear.").unwrap(), "fear");
        assert_eq!(expression(&["sadness", "fear"], "Who knows").unwrap(), "sadness");
        assert!(expression(&["contempt"], "Contempt").is_none());
    }

    #[test]
    fn units_are_written_in_one_way() {
        let labels = ["AU1", "AU2", "AU12"];
        assert_eq!(units(&labels, "AU12, AU2 and AU12"), [2, 12]);
        assert!(units(&labels, "AU 12, au12, AU012, AU4, AU, AU99999, Lip Corner Puller").is_empty());
        assert_eq!(units(&labels, "no beAU1"), [1]);
    }

    #[test]
    fn tasks_without_published_rules() {
        let set = ["real", "fake"];
        assert_eq!(verdict(&set, "The video is manipulated, not real.").unwrap(), "fake");
        assert_eq!(verdict(&set, "I do not doubt it. Genuine.").unwrap(), "real");
        assert!(verdict(&set, "A video.").is_none());
        assert_eq!(age("About 34 to 40 years, photographed in 1990"), Some(34.0));
        assert_eq!(age("In 1990, at 34.5"), Some(34.0));
        assert_eq!(age("An adult"), None);
        let given = attributes(&ATTRIBUTES, "A female with a 5 o'clock shadow, big_nose, not Smiling");
        let given: Vec<&str> =
            ATTRIBUTES.into_iter().zip(given).filter(|(_, g)| *g == Some(true)).map(|g| g.0).collect();
        assert_eq!(given, ["5_o_Clock_Shadow", "Big_Nose", "Smiling"]);
    }
}

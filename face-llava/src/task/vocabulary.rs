//! The labels of each task as they are written in words.

use super::mentions::{Event, events, says_none};
use super::words::{Token, split};
use super::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Task, age};

/// Forms of each expression, in the order of [`EXPRESSIONS`].
const EXPRESSION_FORMS: [&[&str]; 7] = [
    &["happiness", "happy"],
    &["sadness", "sad"],
    &["neutral"],
    &["anger", "angry"],
    &["surprise", "surprised"],
    &["disgust", "disgusted"],
    &["fear", "afraid", "fearful"],
];
const VERDICT_FORMS: [&[&str]; 2] = [
    &["real", "genuine", "authentic", "unaltered", "unmanipulated"],
    &["fake", "manipulated", "manipulation", "deepfake", "forged", "altered", "tampered", "doctored"],
];
const VERDICTS: [&str; 2] = ["real", "fake"];

impl Task {
    /// The labels that an answer in free text gives, strictly read: whole words of the closed set, denied ones left
    /// out. Nothing where it gives none or says that it cannot tell; an empty list where it says that there is none
    /// of them.
    ///
    /// - expression and deepfake: the first label
    /// - action units: `AU12`, ascending, from numbers and FACS names
    /// - attributes: CelebA's names, in the dataset's order
    /// - age: years, the middle of a range ("in the 30s" is 34.5)
    pub fn labels_of(self, answer: &str) -> Option<Vec<String>> {
        let tokens = split(answer);
        match self {
            Self::Expression => {
                let label = first(&events(&tokens, &|t, i| form(&EXPRESSION_FORMS, t, i)))?;
                Some(vec![EXPRESSIONS[label].to_owned()])
            }
            Self::Deepfake => {
                let events = events(&tokens, &|t, i| form(&VERDICT_FORMS, t, i));
                let label = first(&events).or_else(|| opposite(&events))?;
                Some(vec![VERDICTS[label].to_owned()])
            }
            Self::ActionUnits => {
                let name = |i: usize| format!("AU{}", ACTION_UNITS[i].0);
                several(&tokens, &events(&tokens, &action_unit), name)
            }
            Self::Attributes => several(&tokens, &events(&tokens, &attribute), |i| ATTRIBUTES[i].to_owned()),
            Self::Age => {
                let years = age::years(&tokens)?;
                Some(vec![years.to_string()])
            }
        }
    }
}

/// The first label that is not denied, unless the answer says up to the end of its sentence that it cannot tell.
pub(super) fn first(events: &[Event]) -> Option<usize> {
    let mut doubtful = false;
    for (i, event) in events.iter().enumerate() {
        match *event {
            Event::CannotTell { .. } => doubtful = true,
            Event::Turn => doubtful = false,
            Event::Mention { denied: true, .. } => (),
            Event::Mention { label, sentence, .. } => {
                let doubted = events[i..].contains(&Event::CannotTell { sentence });
                return (!doubtful && !doubted).then_some(label);
            }
        }
    }
    None
}

/// "Not real" is fake, where one of the two is denied and nothing else is said.
fn opposite(events: &[Event]) -> Option<usize> {
    let mut denied = None;
    for event in events {
        match *event {
            Event::Mention { label, denied: true, .. } if denied.is_none_or(|d| d == label) => denied = Some(label),
            Event::Turn => (),
            _ => return None,
        }
    }
    denied.map(|label| 1 - label)
}

/// Every label whose first mention is not denied.
fn several(tokens: &[Token], events: &[Event], name: impl Fn(usize) -> String) -> Option<Vec<String>> {
    let mut given = std::collections::BTreeMap::new();
    let mut doubtful = false;
    for event in events {
        match *event {
            Event::Mention { label, denied, .. } => {
                given.entry(label).or_insert(!denied);
            }
            Event::CannotTell { .. } => doubtful = true,
            Event::Turn => (),
        }
    }
    let labels: Vec<String> = given.iter().filter(|(_, given)| **given).map(|(label, _)| name(*label)).collect();
    let said = !labels.is_empty() || (!doubtful && (!given.is_empty() || says_none(tokens)));
    said.then_some(labels)
}

/// A label of one word.
fn form(forms: &[&[&str]], tokens: &[Token], i: usize) -> Option<(usize, usize)> {
    // "Real-time" is another word.
    let token = tokens.get(i).filter(|t| !t.is_joined())?;
    let label = forms.iter().position(|forms| forms.contains(&token.text()))?;
    Some((label, 1))
}

/// `AU12`, `AU 12`, `AUs 6 and 12`, or a FACS name.
fn action_unit(tokens: &[Token], i: usize) -> Option<(usize, usize)> {
    let text = tokens.get(i)?.text();
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let number: u8 = text[..end].parse().ok()?;
        ACTION_UNITS.iter().position(|(n, _)| *n == number)
    };
    let number = |i: usize| digits(tokens.get(i)?.text());
    if text == "au" {
        return number(i + 1).map(|label| (label, 2));
    }
    if let Some(label) = text.strip_prefix("au").and_then(digits) {
        return Some((label, 1));
    }
    // A number in a list that "AUs" opens, or that a plus adds ("AU6+12").
    if text.starts_with(|c: char| c.is_ascii_digit()) && in_list(tokens, i) {
        return number(i).map(|label| (label, 1));
    }
    let names = ACTION_UNITS.iter().map(|(_, name)| *name);
    longest(names, tokens, i)
}

/// Whether only numbers and connectives lie between this number and the "AUs" or the plus before it.
fn in_list(tokens: &[Token], i: usize) -> bool {
    let numeric = |t: &Token| t.text().starts_with(|c: char| c.is_ascii_digit());
    if i > 1 && tokens[i - 1].text() == "+" {
        return numeric(&tokens[i - 2]) || tokens[i - 2].text().starts_with("au");
    }
    let connective = |t: &Token| matches!(t.text(), "and" | "or" | "&") || matches!(t, Token::Comma | Token::Colon);
    let before = tokens[..i].iter().rev().take(40).find(|t| !numeric(t) && !connective(t));
    before.is_some_and(|t| t.text() == "aus")
}

fn attribute(tokens: &[Token], i: usize) -> Option<(usize, usize)> {
    longest(ATTRIBUTES.into_iter(), tokens, i)
}

/// The longest name that stands here; words of a name are parted by spaces, underscores or hyphens.
fn longest<'a>(names: impl Iterator<Item = &'a str>, tokens: &[Token], i: usize) -> Option<(usize, usize)> {
    let taken = |name: &str| {
        let mut at = i;
        for part in name.split([' ', '_']) {
            // "Wearing a hat".
            if at > i && matches!(tokens.get(at)?.text(), "a" | "an") {
                at += 1;
            }
            let word = tokens.get(at)?.text();
            let same = |word: &str| word.eq_ignore_ascii_case(part) || spelling(word).eq_ignore_ascii_case(part);
            if !same(word) {
                // "5 o'clock shadow" is written as one word there, as two here.
                let (o, clock) = (part.eq_ignore_ascii_case("o"), part.eq_ignore_ascii_case("clock"));
                match word {
                    "o'clock" if o => continue,
                    "o'clock" if clock => (),
                    _ => return None,
                }
            }
            at += 1;
        }
        (!tokens[at - 1].is_joined()).then_some(at - i)
    };
    let found = names.enumerate().filter_map(|(label, name)| Some((label, taken(name)?)));
    found.max_by_key(|(_, taken)| *taken)
}

/// The dataset's spelling of a word.
fn spelling(word: &str) -> &str {
    match word {
        "grey" => "gray",
        "blonde" => "blond",
        "moustache" => "mustache",
        word => word,
    }
}

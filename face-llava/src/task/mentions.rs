//! Which labels an answer mentions, and whether it affirms or denies them.
//!
//! Rules over words, sentence by sentence; there is no grammar behind them. A denial before a label ("no AU4", "not
//! happy") holds over the list that follows; one behind ("AU4 and AU9 are absent") over the labels since the last
//! statement. Questions state nothing.

use super::phrases::{ABSENT, DENIALS, LINKS, LIST_WORDS, PRESENT, TELLING, TURNS, UNABLE};
use super::words::Token;

/// Words that a look ahead passes at most.
const FAR: usize = 12;

/// What an answer says, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A label, by the number that the vocabulary gives it.
    Mention { label: usize, denied: bool, sentence: usize },
    /// "Cannot tell", in many wordings.
    CannotTell { sentence: usize },
    /// "But": what follows stands against what came before.
    Turn,
}

/// Finds a label at a place of the tokens: its number and how many tokens it takes.
pub(super) type Find<'a> = &'a dyn Fn(&[Token], usize) -> Option<(usize, usize)>;

/// Everything that an answer says about the labels of a vocabulary.
pub(super) fn events(tokens: &[Token], find: Find<'_>) -> Vec<Event> {
    let mut events = Vec::new();
    let sentences = tokens.split_inclusive(|t| matches!(t, Token::End(_)));
    for (sentence, tokens) in sentences.enumerate() {
        if tokens.last() != Some(&Token::End(true)) {
            let (group, events) = (Vec::new(), &mut events);
            Reader { tokens, find, sentence, events, group, denying: false, heading: false }.read();
        }
    }
    events
}

/// Whether the words say that there is none of them: "None.", "No action units are active."
pub(super) fn says_none(tokens: &[Token]) -> bool {
    let is_kind = |t: &Token| matches!(t.text(), "action" | "aus" | "au" | "units" | "attributes" | "features");
    tokens.iter().enumerate().any(|(i, token)| match token.text() {
        "none" => true,
        "no" => tokens[i + 1..].iter().take(4).any(is_kind),
        _ => false,
    })
}

struct Reader<'a> {
    tokens: &'a [Token],
    find: Find<'a>,
    sentence: usize,
    events: &'a mut Vec<Event>,
    /// Mentions since the last statement; a denial behind them holds for all.
    group: Vec<usize>,
    /// Whether labels to come are denied.
    denying: bool,
    /// Whether a heading denies them: "Absent: AU4, AU9".
    heading: bool,
}

/// What a stretch between commas held.
#[derive(Clone, Copy, Default)]
struct Stretch {
    tokens: usize,
    labels: bool,
}

impl<'a> Reader<'a> {
    fn read(mut self) {
        let (mut i, mut depth, mut stretch) = (0, 0usize, Stretch::default());
        while i < self.tokens.len() {
            if let Some((label, taken)) = (self.find)(self.tokens, i) {
                self.mention(label, i, taken);
                stretch = Stretch { tokens: stretch.tokens + 1, labels: true };
                i += taken.max(1);
                continue;
            }
            match &self.tokens[i] {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Comma | Token::Dash if depth == 0 && stretch.tokens > 0 => {
                    self.comma(i, stretch);
                    stretch = Stretch::default();
                }
                // "No: she is happy."
                Token::Colon if i > 0 && self.text(i - 1) == "no" => self.denying = false,
                Token::Colon => self.heading = self.denying,
                Token::Word(_) => {
                    stretch.tokens += 1;
                    i += self.word(i, depth);
                    continue;
                }
                _ => (),
            }
            i += 1;
        }
    }

    fn mention(&mut self, label: usize, at: usize, taken: usize) {
        self.group.push(self.events.len());
        self.events.push(Event::Mention { label, denied: self.denying, sentence: self.sentence });
        // "No beard or eyeglasses": the name of the first denies the second.
        if self.text(at) == "no" && matches!(self.text(at + taken), "or" | "nor") {
            self.denying = true;
        }
    }

    /// A denied list goes on over its commas; everything else ends there.
    fn comma(&mut self, at: usize, stretch: Stretch) {
        if !matches!(self.tokens[at - 1], Token::Colon) {
            self.denying &= stretch.labels && self.list_goes_on(at + 1);
        }
    }

    /// Whether the next stretch belongs to a denied list: labels only under a heading, otherwise labels that an "or"
    /// joins before the list ends ("no AU4, AU9 or AU15", but not "no eyeglasses, young").
    fn list_goes_on(&self, from: usize) -> bool {
        let (mut i, mut depth, mut labels, mut or) = (from, 0usize, false, false);
        while i < self.tokens.len() && i < from + 2 * FAR {
            if let Some((_, taken)) = (self.find)(self.tokens, i) {
                labels = true;
                i += taken.max(1);
                continue;
            }
            match &self.tokens[i] {
                Token::Open => depth += 1,
                Token::Close => depth = depth.saturating_sub(1),
                Token::Comma | Token::Dash if depth == 0 && labels && self.heading => break,
                Token::Word(word) if depth == 0 => {
                    or |= matches!(word.text.as_str(), "or" | "nor");
                    if !LIST_WORDS.contains(&word.text.as_str()) {
                        break;
                    }
                }
                _ => (),
            }
            i += 1;
        }
        let ends = self.tokens.get(i).is_none_or(|t| !matches!(t, Token::Word(_)));
        labels && (or || (self.heading && ends))
    }

    /// Reads a word and returns how many tokens it took.
    fn word(&mut self, i: usize, depth: usize) -> usize {
        let text = self.text(i);
        if let Some(taken) = self.cannot_tell(i) {
            self.events.push(Event::CannotTell { sentence: self.sentence });
            self.deny_group();
            self.denying = true;
            return taken;
        }
        let next = self.text(i + 1);
        let relative = matches!(text, "who" | "which" | "that" | "with" | "because") && !self.group.is_empty();
        if relative {
            self.group.clear();
            self.denying = false;
        } else if TURNS.contains(&text) && !(text == "instead" && next == "of") || self.new_clause(i) {
            self.events.extend((text != "and").then_some(Event::Turn));
            self.group.clear();
            self.denying = false;
        } else if DENIALS.contains(&text) || text.ends_with("n't") {
            self.denial(i);
        } else if (text == "rather" && next == "than") || (text == "instead" && next == "of") || text == "whether" {
            self.group.clear();
            self.denying = true;
        } else if ABSENT.contains(&text) || (text == "0" && matches!(self.tokens[i.saturating_sub(1)], Token::Colon)) {
            let heads = i == 0 || !matches!(self.tokens[i - 1], Token::Word(_));
            if matches!(self.tokens.get(i + 1), Some(Token::Colon)) || (self.group.is_empty() && heads) {
                self.group.clear();
                self.denying = true;
            } else {
                self.deny_group();
            }
        } else if PRESENT.contains(&text) {
            self.denying &= self.group.is_empty();
            self.group.clear();
        } else if depth == 0 && !LIST_WORDS.contains(&text) && !LINKS.contains(&text) {
            // What is said from here on is said of something else.
            self.group.clear();
        }
        1
    }

    /// "Not", "no" and their kind: of what comes next, or of what came before.
    fn denial(&mut self, i: usize) {
        let text = self.text(i);
        let mut ahead = (i + 1..self.tokens.len().min(i + 1 + FAR)).map(|n| self.text(n));
        let next = ahead.next().unwrap_or_default();
        let doubt = |t: &str| matches!(t, "doubt" | "question");
        if matches!(next, "only" | "just" | "merely" | "absent") || doubt(next) || ahead.next().is_some_and(doubt) {
            return;
        }
        let ends = !matches!(self.tokens.get(i + 1), Some(Token::Word(_)));
        let said = ends || (text != "no" && self.state_ahead(i + 1));
        if said && !self.group.is_empty() {
            self.deny_group();
        } else {
            self.group.clear();
            self.denying = true;
        }
    }

    /// Whether a word of state ("active") comes before the clause ends or a label comes.
    fn state_ahead(&self, from: usize) -> bool {
        for i in from..self.tokens.len().min(from + FAR) {
            let text = self.text(i);
            if PRESENT.contains(&text) || ABSENT.contains(&text) {
                return true;
            }
            let mark = matches!(self.tokens[i], Token::Comma | Token::Dash | Token::Close | Token::End(_));
            if mark || self.is_label(i) || TURNS.contains(&text) || self.new_clause(i) {
                return false;
            }
        }
        false
    }

    fn deny_group(&mut self) {
        for at in self.group.drain(..) {
            if let Some(Event::Mention { denied, .. }) = self.events.get_mut(at) {
                *denied = true;
            }
        }
    }

    /// "And" before a verb or a subject.
    fn new_clause(&self, i: usize) -> bool {
        let subjects = ["is", "are", "was", "has", "have", "shows", "looks", "seems", "appears", "with", "she", "he"];
        self.text(i) == "and" && (subjects.contains(&self.text(i + 1)) || matches!(self.text(i + 1), "they" | "it"))
    }

    /// "Cannot be determined", "hard to say", "do not know", "unclear"; returns the tokens taken.
    fn cannot_tell(&self, i: usize) -> Option<usize> {
        let text = self.text(i);
        if matches!(text, "unclear" | "unknown" | "undetermined" | "indeterminate") {
            return Some(1);
        }
        if !(UNABLE.contains(&text) || text == "not" || text.ends_with("n't")) {
            return None;
        }
        let telling = (1..=4).find(|n| TELLING.contains(&self.text(i + n)))?;
        // Labels and marks in between belong to another phrase.
        let clear = (1..telling).all(|n| matches!(self.tokens[i + n], Token::Word(_)) && !self.is_label(i + n));
        clear.then_some(telling + 1)
    }

    fn is_label(&self, i: usize) -> bool {
        (self.find)(self.tokens, i).is_some()
    }

    fn text(&self, i: usize) -> &'a str {
        self.tokens.get(i).map_or("", Token::text)
    }
}

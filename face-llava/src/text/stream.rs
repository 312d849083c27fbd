//! Tokens to text as they come: whole characters only, stop strings held back.

use super::Tokenizer;

/// Strings that end an answer. They are never part of it, whatever tokens spell them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StopStrings(Vec<String>);

impl StopStrings {
    /// Empty strings are ignored.
    pub fn new(strings: impl IntoIterator<Item = String>) -> Self {
        Self(strings.into_iter().filter(|s| !s.is_empty()).collect())
    }

    /// Where the first stop string begins.
    fn find(&self, text: &str) -> Option<usize> {
        self.0.iter().filter_map(|s| text.find(s.as_str())).min()
    }

    /// Bytes at the end of the text that may be the beginning of a stop string.
    fn held_back(&self, text: &str) -> usize {
        let held = |s: &String| (1..s.len()).rev().find(|&n| s.is_char_boundary(n) && text.ends_with(&s[..n]));
        self.0.iter().filter_map(held).max().unwrap_or(0)
    }
}

/// Turns a growing list of tokens into text. What it emits, joined, is what [`Tokenizer::decode`] gives for the whole
/// list (up to a stop string).
#[derive(Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    stop: StopStrings,
    /// Bytes of characters that are not complete yet.
    bytes: Vec<u8>,
    /// Text not emitted yet.
    pending: String,
    /// Whether any token has been turned into text.
    begun: bool,
    stopped: bool,
}

impl<'a> TextStream<'a> {
    /// An empty stream.
    pub fn new(tokenizer: &'a Tokenizer, stop: StopStrings) -> Self {
        Self { tokenizer, stop, bytes: Vec::new(), pending: String::new(), begun: false, stopped: false }
    }

    /// Whether a stop string was met.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Adds a token and returns the text that is certain now, possibly none.
    pub fn push(&mut self, id: u32) -> String {
        if self.stopped || self.tokenizer.is_special(id) {
            return String::new();
        }
        match self.tokenizer.byte(id) {
            Some(byte) => {
                self.bytes.push(byte);
                // Nothing that follows makes a stop string undone.
                if std::str::from_utf8(&self.bytes)
                    .is_ok_and(|run| self.stop.find(&(self.pending.clone() + run)).is_some())
                {
                    self.flush_bytes();
                }
            }
            None => {
                self.flush_bytes();
                let text = self.tokenizer.token(id);
                self.add(&text);
            }
        }
        self.emit(false)
    }

    /// The rest of the text.
    pub fn finish(&mut self) -> String {
        self.flush_bytes();
        self.emit(true)
    }

    /// A run of byte tokens is text if it is UTF-8 as a whole, else one replacement character for each byte.
    fn flush_bytes(&mut self) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = std::mem::take(&mut self.bytes);
        let count = bytes.len();
        let text = String::from_utf8(bytes).unwrap_or_else(|_| "\u{fffd}".repeat(count));
        self.add(&text);
    }

    fn add(&mut self, text: &str) {
        let text = if self.begun { text } else { text.strip_prefix(' ').unwrap_or(text) };
        self.begun = true;
        self.pending.push_str(text);
    }

    fn emit(&mut self, last: bool) -> String {
        if let Some(at) = self.stop.find(&self.pending) {
            self.stopped = true;
            self.pending.truncate(at);
            return std::mem::take(&mut self.pending);
        }
        let held = if last || self.stopped { 0 } else { self.stop.held_back(&self.pending) };
        let certain = self.pending.len() - held;
        self.pending.drain(..certain).collect()
    }
}

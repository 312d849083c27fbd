//! An answer as words and the marks that matter between them.

/// A word or a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Word(Word),
    Comma,
    /// A dash that joins no words.
    Dash,
    Colon,
    Open,
    Close,
    /// The end of a sentence or line; true for questions.
    End(bool),
}

/// Letters and digits in lower case, apostrophes within; numbers keep their decimal point. `+`, `&` and `%` are words of
/// their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub text: String,
    /// Whether a hyphen joins it to the next word.
    pub joined: bool,
}

impl Token {
    /// The text of a word, nothing for marks.
    pub fn text(&self) -> &str {
        if let Self::Word(word) = self { &word.text } else { "" }
    }

    /// Whether a hyphen joins it to the next word.
    pub fn is_joined(&self) -> bool {
        matches!(self, Self::Word(word) if word.joined)
    }
}

/// Splits text. A line break ends a sentence, but before an item of a list it counts as a comma.
pub(super) fn split(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let at = |i: usize| chars.get(i).copied().unwrap_or(' ');
    let mut tokens = Vec::new();
    let mut i = 0;
    while i < chars.len() {
        let c = chars[i];
        if c.is_alphanumeric() {
            let start = i;
            while continues_word(at(i.saturating_sub(1)), at(i), at(i + 1)) || i == start {
                i += 1;
            }
            let joined = is_hyphen(at(i)) && at(i + 1).is_alphanumeric();
            let text: String = chars[start..i].iter().collect();
            tokens.push(Token::Word(Word { text: text.to_lowercase().replace(['\u{2019}', '\u{2bc}'], "'"), joined }));
            i += usize::from(joined);
            continue;
        }
        match c {
            ',' => tokens.push(Token::Comma),
            '-' | '\u{2013}' | '\u{2014}' => tokens.push(Token::Dash),
            ':' => tokens.push(Token::Colon),
            '(' | '[' => tokens.push(Token::Open),
            ')' | ']' => tokens.push(Token::Close),
            '.' | '!' | ';' => tokens.push(Token::End(false)),
            '?' => tokens.push(Token::End(true)),
            '\n' => {
                while at(i + 1).is_whitespace() && i + 1 < chars.len() {
                    i += 1;
                }
                let item = matches!(at(i + 1), '-' | '*' | '\u{2022}') && at(i + 2) == ' ';
                tokens.push(if item { Token::Comma } else { Token::End(false) });
            }
            '+' | '&' | '%' => tokens.push(Token::Word(Word { text: c.to_string(), joined: false })),
            _ => (),
        }
        i += 1;
    }
    tokens
}

fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}' | '\u{2011}' | '\u{2013}')
}

/// Whether `c` belongs to the word that `before` belongs to.
fn continues_word(before: char, c: char, after: char) -> bool {
    let within = before.is_alphanumeric() && after.is_alphanumeric();
    match c {
        '\'' | '\u{2019}' | '\u{2bc}' => within,
        '.' => before.is_ascii_digit() && after.is_ascii_digit(),
        c => c.is_alphanumeric(),
    }
}

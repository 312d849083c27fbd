//! The tokenizer of a checkpoint (tokenizer.json).

use std::path::Path;

use super::{Piece, PromptToken, StopStrings, TextStream};
use crate::Error;

/// A tokenizer.json holds a few MiB.
const MAX_FILE: u64 = 32 << 20;

/// Words, accents and what hardly any vocabulary has a token for.
const PROBE: &str = "Two words, d\u{e9}j\u{e0} vu \u{1f600}.\n";

/// Encodes typed pieces and decodes tokens.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    bos: u32,
    eos: u32,
    /// The byte that a byte-fallback token stands for, by id.
    bytes: Vec<Option<u8>>,
    special: Vec<bool>,
}

impl Tokenizer {
    /// Reads tokenizer.json. `vocab` is the number of embeddings; every token must have one.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], [`Error::Landmarks`] for files that cannot be read.
    pub fn open(path: &Path, vocab: usize, bos: u32, eos: u32) -> Result<Self, Error> {
        Self::from_bytes(&landmarks::picture::read_file(path, MAX_FILE)?, vocab, bos, eos)
    }

    /// The same for the content of a file.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn from_bytes(bytes: &[u8], vocab: usize, bos: u32, eos: u32) -> Result<Self, Error> {
        let fail = |e: tokenizers::Error| Error::Tokenizer(e.to_string());
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(fail)?;
        inner.with_truncation(None).map_err(fail)?;
        inner.with_padding(None);
        // What a user types is text, never a control token.
        inner.set_encode_special_tokens(true);
        let tokens = inner.get_vocab(true);
        let largest = tokens.values().copied().max().unwrap_or(0) as usize;
        if tokens.is_empty() || largest >= vocab {
            return Err(Error::Tokenizer(format!(
                "its {} tokens reach id {largest}, the model has {vocab} embeddings: it belongs to another model",
                tokens.len()
            )));
        }
        let mut byte_of = vec![None; vocab];
        for (token, id) in &tokens {
            let hex = token.strip_prefix("<0x").and_then(|t| t.strip_suffix('>'));
            byte_of[*id as usize] = hex.and_then(|h| u8::from_str_radix(h, 16).ok());
        }
        let mut special = vec![false; vocab];
        for (id, token) in inner.get_added_tokens_decoder() {
            special[id as usize] = token.special;
        }
        let tokenizer = Self { inner, bos, eos, bytes: byte_of, special };
        tokenizer.check_spelling()?;
        Ok(tokenizer)
    }

    /// Answers are spelt token by token, as SentencePiece's vocabularies allow; of others they would be unreadable.
    fn check_spelling(&self) -> Result<(), Error> {
        let mut stream = TextStream::new(self, StopStrings::default());
        // What it has no tokens for says nothing.
        let Ok(ids) = self.encode_text(PROBE) else { return Ok(()) };
        let mut spelt: String = ids.iter().map(|id| stream.push(*id)).collect();
        spelt.push_str(&stream.finish());
        if spelt != self.decode(&ids)? {
            return Err(Error::Tokenizer(format!(
                "it spells {PROBE:?} as {spelt:?}; only SentencePiece's kind can be used"
            )));
        }
        Ok(())
    }

    /// Tokens of plain text; control tokens in it are spelt out.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode_text(&self, text: &str) -> Result<Vec<u32>, Error> {
        let encoding = self.inner.encode_fast(text, false).map_err(|e| Error::Tokenizer(e.to_string()))?;
        Ok(encoding.get_ids().to_vec())
    }

    /// A whole prompt: the begin token, then each piece. Text between two markers is encoded in one go, as the authors'
    /// code does.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn encode(&self, pieces: &[Piece]) -> Result<Vec<PromptToken>, Error> {
        Ok(self.encode_labelled(pieces)?.into_iter().map(|(token, _)| token).collect())
    }

    /// The same, telling of each token whether it belongs to an answer: the text before an end of answer, and that end
    /// itself. This is what a model is trained to say.
    ///
    /// # Errors
    /// [`Error::Tokenizer`], also where a token would straddle the beginning of an answer.
    pub fn encode_labelled(&self, pieces: &[Piece]) -> Result<Vec<(PromptToken, bool)>, Error> {
        let mut out = vec![(PromptToken::Text(self.bos), false)];
        let (mut text, mut answer_at, mut media) = (String::new(), None, 0);
        for (i, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Text(t) => {
                    if pieces.get(i + 1) == Some(&Piece::EndOfAnswer) {
                        answer_at = Some(text.len());
                    }
                    text.push_str(t);
                }
                Piece::Media => {
                    self.flush(&mut text, None, &mut out)?;
                    out.push((PromptToken::Media(media), false));
                    media += 1;
                }
                Piece::EndOfAnswer => {
                    self.flush(&mut text, answer_at.take(), &mut out)?;
                    out.push((PromptToken::Text(self.eos), true));
                }
            }
        }
        self.flush(&mut text, None, &mut out)?;
        Ok(out)
    }

    /// Encodes and empties `text`; what lies from byte `answer_at` on is an answer.
    fn flush(
        &self,
        text: &mut String,
        answer_at: Option<usize>,
        out: &mut Vec<(PromptToken, bool)>,
    ) -> Result<(), Error> {
        let ids = self.encode_text(text)?;
        let before = match answer_at {
            Some(at) => self.encode_text(&text[..at])?,
            None => Vec::new(),
        };
        if !ids.starts_with(&before) {
            return Err(Error::Tokenizer(
                "a token straddles the beginning of an answer: its label would be wrong".into(),
            ));
        }
        let labelled = |i| answer_at.is_some() && i >= before.len();
        out.extend(ids.iter().enumerate().map(|(i, id)| (PromptToken::Text(*id), labelled(i))));
        text.clear();
        Ok(())
    }

    /// The text of tokens, control tokens left out.
    ///
    /// # Errors
    /// [`Error::Tokenizer`].
    pub fn decode(&self, ids: &[u32]) -> Result<String, Error> {
        self.inner.decode(ids, true).map_err(|e| Error::Tokenizer(e.to_string()))
    }

    /// The token that ends an answer.
    pub fn eos(&self) -> u32 {
        self.eos
    }

    /// The byte behind a byte-fallback token.
    pub(super) fn byte(&self, id: u32) -> Option<u8> {
        self.bytes.get(id as usize).copied().flatten()
    }

    pub(super) fn is_special(&self, id: u32) -> bool {
        self.special.get(id as usize).copied().unwrap_or(true)
    }

    /// A token as it is spelt, spaces shown as spaces.
    pub fn token(&self, id: u32) -> String {
        self.inner.id_to_token(id).unwrap_or_default().replace('\u{2581}', " ")
    }
}

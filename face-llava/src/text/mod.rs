//! Text to tokens and back; no tensors here.

mod conversation;
mod stream;
mod tokenizer;

pub use conversation::{Conversation, Joining, Piece, Template, Turn};
pub use stream::{StopStrings, TextStream};
pub use tokenizer::Tokenizer;

/// One place of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PromptToken {
    /// A token of the vocabulary.
    Text(u32),
    /// All features of the n-th picture or frame.
    Media(usize),
}

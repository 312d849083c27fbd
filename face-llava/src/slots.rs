//! The prompt of a session as positions of the decoder: tokens of text and rows of visual features.

use burn::tensor::Tensor;
use frgca::Fusion;

use crate::text::{Conversation, Piece, PromptToken, Turn};
use crate::{Error, Session};

/// A position of the prompt, comparable between questions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slot {
    /// A token.
    Text(u32),
    /// Row of a block of the current media.
    Visual(usize, usize),
}

impl<F: Fusion> Session<'_, F> {
    /// The prompt with media placeholders expanded to their exact number of visual tokens; with an answer, up to its
    /// last token.
    pub(crate) fn slots(&self, question: &str, answer: Option<&str>) -> Result<Vec<Slot>, Error> {
        let blocks = self.media.as_ref().map_or(&[][..], |m| &m.blocks);
        let mut turns = if self.options.history { self.turns.clone() } else { Vec::new() };
        turns.push(Turn { question: question.to_owned(), answer: answer.map(str::to_owned) });
        let conversation = Conversation { template: self.options.template, media: blocks.len(), turns };
        let mut pieces = conversation.pieces();
        pieces.pop_if(|piece| *piece == Piece::EndOfAnswer);
        let tokens = self.model.tokenizer.encode(&pieces)?;
        let mut slots = Vec::new();
        for token in tokens {
            match token {
                PromptToken::Text(id) => slots.push(Slot::Text(id)),
                PromptToken::Media(i) => slots.extend((0..blocks[i].dims()[0]).map(|row| Slot::Visual(i, row))),
            }
        }
        Ok(slots)
    }

    /// Embeddings `[1, L, D]` of some slots: runs of text and runs of visual rows, in order.
    pub(crate) fn embeddings(&self, slots: &[Slot]) -> Tensor<3> {
        let decoder = &self.model.network.decoder;
        let blocks = self.media.as_ref().map_or(&[][..], |m| &m.blocks);
        let same_run = |a: &Slot, b: &Slot| match (a, b) {
            (Slot::Text(_), Slot::Text(_)) => true,
            (Slot::Visual(i, _), Slot::Visual(j, _)) => i == j,
            _ => false,
        };
        let runs = slots.chunk_by(same_run).map(|run| match run[0] {
            Slot::Visual(block, row) => blocks[block].clone().narrow(0, row, run.len()),
            Slot::Text(_) => {
                let id = |slot: &Slot| if let Slot::Text(id) = slot { *id } else { 0 };
                decoder.embed(&run.iter().map(id).collect::<Vec<_>>())
            }
        });
        Tensor::cat(runs.collect(), 0).unsqueeze()
    }

    /// Makes the cache hold a beginning of some slots, all but the last of them at most: the last position is computed
    /// again, its logits are needed. What it shares with them stays; what stands before the first media is computed
    /// where it is not there, by itself: it serves other media too, and bits must not depend on whether it was there.
    /// Returns how many slots were there, and how many are there now.
    pub(crate) fn begin(&mut self, slots: &[Slot]) -> (usize, usize) {
        let shared = self.cached.iter().zip(slots).take_while(|(a, b)| a == b).count();
        let reused = shared.min(slots.len().saturating_sub(1));
        let head = slots.iter().position(|slot| matches!(slot, Slot::Visual(..))).unwrap_or(0);
        if reused >= head {
            self.keep(reused);
            return (reused, reused);
        }
        self.keep(0);
        self.append(&slots[..head]);
        (0, head)
    }

    /// Puts slots into the cache.
    pub(crate) fn append(&mut self, slots: &[Slot]) {
        let embeddings = self.embeddings(slots);
        self.model.network.decoder.forward(embeddings, &mut self.cache, &[0]);
        self.cached.extend_from_slice(slots);
    }

    fn keep(&mut self, slots: usize) {
        self.cache.truncate(slots);
        self.cached.truncate(slots);
    }

    /// Forgets what the cache holds from the first media on.
    pub(crate) fn forget_media(&mut self) {
        let head = self.cached.iter().position(|slot| matches!(slot, Slot::Visual(..)));
        self.keep(head.unwrap_or(self.cached.len()));
    }
}

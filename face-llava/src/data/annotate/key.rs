//! Names of requests by what they hold: the same question about the same pixels has the same name everywhere.

use sha2::{Digest, Sha256};

use super::Request;
use crate::data::seed::hex;

/// SHA-256 over the task, the question, the labels and the pixels.
pub(super) fn content_key(request: &Request<'_>) -> String {
    let mut key = Key::new();
    key.part(request.task.name().as_bytes()).part(request.question.as_bytes());
    for label in request.labels {
        key.part(label.as_bytes());
    }
    for frame in request.frames {
        key.part(&frame.width().to_le_bytes()).part(frame.as_raw());
    }
    key.finish()
}

/// A digest over parts; lengths are part of it, so that no two lists of parts run together.
pub(super) struct Key(Sha256);

impl Key {
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    pub fn part(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

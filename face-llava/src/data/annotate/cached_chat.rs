//! A chat endpoint behind a folder of its replies: whatever was asked and paid for once is not asked again.

use std::path::Path;

use super::cache::Store;
use super::complete::{Completion, Prompt};
use super::key::Key;
use super::{AnnotatorFault, Chat, ChatOptions, Priced};

/// An endpoint, and replies that came earlier where there is a folder for them.
pub(crate) struct CachedChat {
    chat: Chat,
    store: Option<Store>,
}

impl CachedChat {
    /// # Errors
    /// As [`Chat::new`]; [`AnnotatorFault::Storage`] where the folder cannot be made.
    pub fn new(options: &ChatOptions, folder: Option<&Path>) -> Result<Self, crate::Error> {
        Ok(Self { chat: Chat::new(options)?, store: folder.map(Store::open).transpose()? })
    }

    /// How the endpoint is used.
    pub fn options(&self) -> &ChatOptions {
        &self.chat.options
    }

    /// One question with pictures. Replies that cannot be used are kept like the others: they were paid for as well.
    pub fn complete(&self, prompt: &Prompt<'_>) -> Result<Priced<Completion>, AnnotatorFault> {
        let ask = || {
            let (value, usage) = self.chat.complete(prompt)?;
            Ok(Priced { value, usage, paid: usage })
        };
        let Some(store) = &self.store else { return ask() };
        store.get(self.key(prompt), ask)
    }

    /// A name made of all that is sent.
    fn key(&self, prompt: &Prompt<'_>) -> Key {
        let seed = prompt.seed.map_or_else(String::new, |seed| seed.to_string());
        let mut key = Key::new();
        key.part(b"complete").part(self.chat.name("below").as_bytes()).part(seed.as_bytes());
        key.part(prompt.system.unwrap_or_default().as_bytes()).part(prompt.text.as_bytes());
        for frame in prompt.frames {
            key.part(&frame.width().to_le_bytes()).part(frame.as_raw());
        }
        key
    }
}

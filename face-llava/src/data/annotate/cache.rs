//! Replies that were paid for, kept by content: a rerun pays nothing.

use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use serde::{Deserialize, Serialize};

use super::complete::Completion;
use super::key::Key;
use super::{AnnotatorFault, Priced, Usage};
use crate::data::error::DataError;

/// A folder of replies.
pub(super) struct Store {
    folder: PathBuf,
}

/// What a file of the folder holds.
#[derive(Serialize, Deserialize)]
struct Kept {
    value: Completion,
    usage: Usage,
}

impl Store {
    /// # Errors
    /// [`AnnotatorFault::Storage`] where the folder cannot be made: better to know before anything is paid.
    pub fn open(folder: &Path) -> Result<Self, crate::Error> {
        let made = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
        let path = folder.display().to_string();
        made.map_err(|e| DataError::from(AnnotatorFault::Storage { path, what: e.to_string() }))?;
        Ok(Self { folder: folder.into() })
    }

    /// What lies under this name, or what is asked for now and put there. Replies that turn out to be of no use are kept
    /// like the others, faults of the endpoint are not; what cannot be kept is a reply all the same, and paid for.
    pub fn get(
        &self,
        key: Key,
        ask: impl FnOnce() -> Result<Priced<Completion>, AnnotatorFault>,
    ) -> Result<Priced<Completion>, AnnotatorFault> {
        let key = key.finish();
        let folder = self.folder.join(&key[..2]);
        let path = folder.join(format!("{key}.json"));
        // A damaged file is as good as none: the question is asked again.
        let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept>(&bytes).ok());
        if let Some(Kept { value, usage }) = kept {
            return Ok(Priced { value, usage, paid: Usage::default() });
        }
        let reply = ask()?;
        // Without a message and a count of tokens, something broke on the way, for which nobody pays.
        let Usage { prompt_tokens, completion_tokens, .. } = reply.usage;
        if !reply.value.is_message() && (prompt_tokens, completion_tokens) == (0, 0) {
            return Ok(reply);
        }
        let kept = Kept { value: reply.value.clone(), usage: reply.usage };
        if let (Ok(bytes), Ok(())) = (serde_json::to_vec(&kept), std::fs::create_dir_all(&folder)) {
            let _ = write_bytes(&path, &bytes);
        }
        Ok(reply)
    }
}

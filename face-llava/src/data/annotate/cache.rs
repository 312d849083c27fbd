//! Answers that were paid for, kept by content: a rerun pays nothing.

use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::key::{Key, content_key};
use super::{Annotator, AnnotatorFault, Priced, Rater, Request, Usage};
use crate::data::error::DataError;
use crate::data::record::Rating;

/// An annotator or rater behind a folder of its answers.
pub(crate) struct Cached<A> {
    inner: A,
    store: Store,
}

/// A folder of answers.
pub(super) struct Store {
    folder: PathBuf,
}

/// What a file of the folder holds.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    value: T,
    usage: Usage,
}

impl<A> Cached<A> {
    /// # Errors
    /// As [`Store::open`].
    pub fn new(inner: A, folder: &Path) -> Result<Self, crate::Error> {
        Ok(Self { inner, store: Store::open(folder)? })
    }
}

impl Store {
    /// # Errors
    /// [`AnnotatorFault::Storage`] where the folder cannot be made: better to know before anything is paid.
    pub fn open(folder: &Path) -> Result<Self, crate::Error> {
        let made = std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop));
        made.map_err(|e| DataError::from(storage(folder, &e.to_string())))?;
        Ok(Self { folder: folder.into() })
    }

    /// What lies under this name, or what is asked for now and put there. Faults are not kept; what cannot be kept is an
    /// answer all the same, and paid for.
    pub fn get<T: Serialize + DeserializeOwned + Clone>(
        &self,
        key: Key,
        ask: impl FnOnce() -> Result<Priced<T>, AnnotatorFault>,
    ) -> Result<Priced<T>, AnnotatorFault> {
        let key = key.finish();
        let folder = self.folder.join(&key[..2]);
        let path = folder.join(format!("{key}.json"));
        // A damaged file is as good as none: the answer is asked for again.
        let kept = std::fs::read(&path).ok().and_then(|bytes| serde_json::from_slice::<Kept<T>>(&bytes).ok());
        if let Some(Kept { value, usage }) = kept {
            return Ok(Priced { value, usage, paid: Usage::default() });
        }
        let answer = ask()?;
        let kept = Kept { value: answer.value.clone(), usage: answer.usage };
        if let (Ok(bytes), Ok(())) = (serde_json::to_vec(&kept), std::fs::create_dir_all(&folder)) {
            let _ = write_bytes(&path, &bytes);
        }
        Ok(answer)
    }
}

fn storage(path: &Path, what: &str) -> AnnotatorFault {
    AnnotatorFault::Storage { path: path.display().to_string(), what: what.into() }
}

impl<A: Annotator> Annotator for Cached<A> {
    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn annotate(&self, request: &Request<'_>) -> Result<Priced<String>, AnnotatorFault> {
        let mut key = Key::new();
        key.part(b"annotate").part(self.identity().as_bytes()).part(content_key(request).as_bytes());
        self.store.get(key, || self.inner.annotate(request))
    }
}

impl<A: Rater> Rater for Cached<A> {
    fn identity(&self) -> String {
        self.inner.identity()
    }

    fn rate(&self, request: &Request<'_>, answer: &str) -> Result<Priced<Rating>, AnnotatorFault> {
        let mut key = Key::new();
        key.part(b"rate").part(self.identity().as_bytes()).part(content_key(request).as_bytes());
        key.part(answer.as_bytes());
        self.store.get(key, || self.inner.rate(request, answer))
    }
}

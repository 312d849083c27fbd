//! Bytes at an offset, from a file or from the program itself.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::picture::regular_file;

/// Read with plain file calls, never memory-mapped: a file replaced meanwhile is an error, not a crash.
#[derive(Debug)]
pub(crate) enum Source {
    File { file: Mutex<File>, len: u64, path: PathBuf },
    Static(&'static [u8]),
}

impl Source {
    pub fn open(path: &Path) -> Result<Self, Error> {
        let len = regular_file(path)?.len();
        let file = File::open(path).map_err(|source| Error::Io { path: path.into(), source })?;
        Ok(Self::File { file: Mutex::new(file), len, path: path.into() })
    }

    pub fn len(&self) -> u64 {
        match self {
            Self::File { len, .. } => *len,
            Self::Static(bytes) => bytes.len() as u64,
        }
    }

    /// Fills `buf` from `offset`; the range must have been checked against [`Source::len`].
    pub fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<(), Error> {
        match self {
            Self::File { file, path, .. } => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                file.seek(SeekFrom::Start(offset))
                    .and_then(|_| file.read_exact(buf))
                    .map_err(|source| Error::Io { path: path.clone(), source })
            }
            Self::Static(bytes) => {
                let start = offset as usize;
                buf.copy_from_slice(&bytes[start..start + buf.len()]);
                Ok(())
            }
        }
    }
}

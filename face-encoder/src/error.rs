//! What can go wrong, and what to do about it.

use std::path::PathBuf;

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A tower's configuration is wrong.
    #[error("the vision tower's config is invalid: {0}")]
    Config(String),
    /// Pictures or weights.
    #[error(transparent)]
    Picture(#[from] landmarks::Error),
    /// A program that is not there.
    #[error("{program} is not installed: `apt-get install ffmpeg` (or your system's package of that name) brings it")]
    MissingProgram {
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
    },
    /// A video without pictures.
    #[error("{}: no video frames in it: {detail}", path.display())]
    NoFrames {
        /// The file or folder.
        path: PathBuf,
        /// What was found.
        detail: String,
    },
    /// A video that breaks off or is damaged beyond the tolerance.
    #[error("{}: only {decoded} of {expected} frames could be decoded; at most 30 % may be missing", path.display())]
    BrokenVideo {
        /// The file.
        path: PathBuf,
        /// Frames decoded.
        decoded: usize,
        /// Frames announced.
        expected: usize,
    },
    /// More work than the limits allow.
    #[error("{}: {what} {value} is over the limit of {limit}", path.display())]
    VideoLimit {
        /// The file or folder.
        path: PathBuf,
        /// What is too large.
        what: &'static str,
        /// Its value.
        value: u64,
        /// The limit.
        limit: u64,
    },
    /// Decoding takes longer than the limit.
    #[error("{}: decoding it takes longer than the limit of {seconds} s", path.display())]
    TooSlow {
        /// The file.
        path: PathBuf,
        /// The limit.
        seconds: u64,
    },
    /// ffmpeg failed.
    #[error("{}: {program} failed: {detail}", path.display())]
    Program {
        /// The file.
        path: PathBuf,
        /// `ffmpeg` or `ffprobe`.
        program: &'static str,
        /// The last line it wrote.
        detail: String,
    },
    /// Reading failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// An animation that cannot be decoded.
    #[error("{}: the animation cannot be decoded: {source}", path.display())]
    Animation {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        source: image::ImageError,
    },
}

impl Error {
    /// Whether the same may succeed later: a program can be installed, a disk come back.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Picture(error) => error.is_passing(),
            Self::Io { source, .. } => landmarks::may_pass(source),
            Self::MissingProgram { .. } => true,
            _ => false,
        }
    }
}

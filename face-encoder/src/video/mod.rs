//! Frames of a video: any container through the `ffmpeg` program, animations and folders of pictures natively.

mod animation;
mod ffmpeg;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use image::RgbImage;
use landmarks::picture::{self, OpenOptions};
use serde::Serialize;

use crate::Error;

/// Limits on untrusted videos.
#[derive(Clone, Copy, Debug)]
pub struct VideoOptions {
    /// Frames taken.
    pub frames: usize,
    /// Frames decoded at most.
    pub max_frames: usize,
    /// Bytes of the file at most.
    pub max_file_bytes: u64,
    /// Seconds that decoding a video or an animation may take.
    pub max_seconds: u64,
    /// Limits on each frame, and on each picture of a folder.
    pub picture: OpenOptions,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            frames: 8,
            max_frames: 10_000,
            max_file_bytes: 512 << 20,
            max_seconds: 30,
            picture: OpenOptions::default(),
        }
    }
}

/// Frames sampled from a video.
#[derive(Clone, Debug)]
pub struct Clip {
    /// The sampled frames; repeated where the video is shorter.
    pub frames: Vec<RgbImage>,
    /// Which frame of the video each one is, from 0.
    pub indices: Vec<usize>,
    /// When each one is shown, seconds, by its index and the file's mean rate of frames; unknown for folders.
    pub times: Option<Vec<f64>>,
    /// Frames of the video.
    pub total: usize,
    /// What was noticed.
    pub warnings: Vec<ClipWarning>,
}

/// Something worth knowing about a clip that was read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClipWarning {
    /// Fewer frames than asked for; some are repeated.
    FramesRepeated,
    /// Some frames could not be decoded and were passed over.
    FramesSkipped,
}

/// Indices of `count` frames out of `total`, evenly spread from the first to the last, cut to whole numbers: numpy's
/// `linspace(0, total - 1, count, dtype=int)`.
pub fn sample_indices(total: usize, count: usize) -> Vec<usize> {
    let last = total.saturating_sub(1);
    let step = last as f64 / count.saturating_sub(1).max(1) as f64;
    (0..count).map(|i| if i > 0 && i + 1 == count { last } else { (i as f64 * step) as usize }).collect()
}

/// Reads evenly spread frames of a video file, an animation or a folder of pictures (in the order of their names).
///
/// Frames are counted and picked by index, whatever their time stamps; one frame at a time is in memory beside the
/// picked ones.
///
/// # Errors
/// [`Error`], naming the file, the limit or the missing program.
pub fn open_clip(path: impl AsRef<Path>, options: &VideoOptions) -> Result<Clip, Error> {
    let path = path.as_ref();
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if meta.is_dir() {
        return folder(path, options);
    }
    picture::regular_file(path)?;
    limit(path, "file size in bytes", meta.len(), options.max_file_bytes)?;
    match animation::open(path, options)? {
        Some(clip) => Ok(clip),
        None => ffmpeg::open(path, options),
    }
}

/// Whether a path is a clip rather than a single picture: a folder, an animation, or no picture at all.
///
/// # Errors
/// [`Error::Io`], [`Error::Picture`].
pub fn is_clip(path: &Path) -> Result<bool, Error> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if meta.is_dir() {
        return Ok(true);
    }
    picture::regular_file(path)?;
    ffmpeg::looks_like_video(path)
}

/// How long decoding may take from now on.
#[derive(Clone, Copy, Debug)]
struct TimeLimit {
    seconds: u64,
    start: Instant,
}

impl TimeLimit {
    fn start(options: &VideoOptions) -> Self {
        Self { seconds: options.max_seconds, start: Instant::now() }
    }

    fn left(self) -> Duration {
        Duration::from_secs(self.seconds).saturating_sub(self.start.elapsed())
    }

    fn check(self, path: &Path) -> Result<(), Error> {
        if self.left().is_zero() { Err(Error::TooSlow { path: path.into(), seconds: self.seconds }) } else { Ok(()) }
    }
}

fn limit(path: &Path, what: &'static str, value: u64, limit: u64) -> Result<(), Error> {
    if value > limit { Err(Error::VideoLimit { path: path.into(), what, value, limit }) } else { Ok(()) }
}

fn folder(path: &Path, options: &VideoOptions) -> Result<Clip, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if !hidden && entry.path().is_file() {
            files.push(entry.path());
        }
        limit(path, "number of files", files.len() as u64, options.max_frames as u64)?;
    }
    if files.is_empty() {
        return Err(Error::NoFrames { path: path.into(), detail: "the folder holds no pictures".into() });
    }
    files.sort_by_cached_key(|file| (natural(&file.file_name().unwrap_or_default().to_string_lossy()), file.clone()));
    let indices = sample_indices(files.len(), options.frames);
    let open = |&i: &usize| Ok(picture::open_with(&files[i], &options.picture)?.rgb);
    let frames = indices.iter().map(open).collect::<Result<_, Error>>()?;
    Ok(Clip { frames, warnings: repeated(files.len(), options), indices, times: None, total: files.len() })
}

/// A name as people sort it: numbers by value, so that `2.png` comes before `10.png`.
fn natural(name: &str) -> Vec<(u128, String)> {
    let mut pieces = vec![(0, String::new())];
    let mut rest = name;
    while let Some(first) = rest.chars().next() {
        let digits = first.is_ascii_digit();
        let end = rest.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        match (digits, pieces.last_mut()) {
            (false, Some((_, text))) => piece.clone_into(text),
            _ => pieces.push((piece.parse().unwrap_or(u128::MAX), String::new())),
        }
        rest = after;
    }
    pieces
}

fn repeated(total: usize, options: &VideoOptions) -> Vec<ClipWarning> {
    if total < options.frames { vec![ClipWarning::FramesRepeated] } else { Vec::new() }
}

/// Keeps the frames whose index is wanted while a stream of frames goes by.
struct Picker {
    indices: Vec<usize>,
    picked: Vec<Option<RgbImage>>,
    seen: usize,
}

impl Picker {
    fn new(total: usize, count: usize) -> Self {
        let indices = sample_indices(total, count);
        Self { picked: vec![None; indices.len()], indices, seen: 0 }
    }

    fn wants_next(&self) -> bool {
        self.indices.contains(&self.seen)
    }

    fn push(&mut self, frame: impl FnOnce() -> RgbImage) {
        if self.wants_next() {
            let frame = frame();
            for (index, slot) in self.indices.iter().zip(&mut self.picked) {
                if *index == self.seen {
                    *slot = Some(frame.clone());
                }
            }
        }
        self.seen += 1;
    }

    fn finish(self) -> Option<(Vec<RgbImage>, Vec<usize>)> {
        Some((self.picked.into_iter().collect::<Option<Vec<_>>>()?, self.indices))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_sorted_by_number() {
        let mut names = ["10.png", "2.png", "b1.png", "a-10-2.png", "a-2-10.png", "a-2-9.png", "a.png", "02.png", "1"];
        names.sort_by_key(|name| (natural(name), *name));
        let sorted = ["1", "02.png", "2.png", "10.png", "a-2-9.png", "a-2-10.png", "a-10-2.png", "a.png", "b1.png"];
        assert_eq!(names, sorted);
    }

    #[test]
    fn indices_are_numpys() {
        assert_eq!(sample_indices(20, 8), [0, 2, 5, 8, 10, 13, 16, 19]);
        assert_eq!(sample_indices(8, 8), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(sample_indices(3, 8), [0, 0, 0, 0, 1, 1, 1, 2]);
        assert_eq!(sample_indices(1, 8), [0; 8]);
        assert_eq!(sample_indices(60, 8), [0, 8, 16, 25, 33, 42, 50, 59]);
        assert_eq!(sample_indices(5, 1), [0]);
    }
}

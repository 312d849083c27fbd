//! What a run reads: files as named, folders searched.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Endings of files that a folder is searched for; what a file is, its content decides.
const PICTURES: [&str; 9] = ["jpg", "jpeg", "png", "apng", "webp", "gif", "bmp", "tif", "tiff"];
const CLIPS: [&str; 17] = [
    "mp4", "m4v", "mov", "avi", "mkv", "webm", "mpg", "mpeg", "m2v", "vob", "mts", "m2ts", "ogv", "wmv", "asf", "flv",
    "3gp",
];

/// A file to open.
#[derive(Debug)]
pub(super) struct Input {
    pub path: PathBuf,
    /// The path as rows name it.
    pub name: String,
}

impl Input {
    /// Whether the name is a video's.
    pub fn is_clip(&self) -> bool {
        ends(&self.path, &CLIPS)
    }
}

/// How many times each input has its rows already.
#[derive(Debug, Default)]
pub(super) struct Done(HashMap<String, usize>);

impl Done {
    pub fn add(&mut self, name: String) {
        *self.0.entry(name).or_insert(0) += 1;
    }

    /// Whether an input is done; an input that is named twice is done twice.
    pub fn take(&mut self, name: &str) -> bool {
        match self.0.get_mut(name) {
            Some(times) if *times > 0 => {
                *times -= 1;
                true
            }
            _ => false,
        }
    }
}

/// Files as given; in place of a folder the media in it and below, by name.
pub(super) fn list(paths: &[PathBuf]) -> Vec<Input> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.is_dir() { search(path, &mut inputs) } else { push(path.clone(), &mut inputs) }
    }
    inputs
}

fn push(path: PathBuf, inputs: &mut Vec<Input>) {
    // `photos` and `./photos` are the same to rows.
    let name = path.strip_prefix(".").unwrap_or(&path).to_string_lossy().into_owned();
    inputs.push(Input { path, name });
}

fn search(folder: &Path, inputs: &mut Vec<Input>) {
    let Ok(entries) = std::fs::read_dir(folder) else {
        // Opening it says why.
        return push(folder.into(), inputs);
    };
    let mut entries: Vec<_> = entries.flatten().collect();
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        // Links to folders are passed over: they may lead in circles.
        if hidden {
            continue;
        } else if entry.file_type().is_ok_and(|t| t.is_dir()) {
            search(&path, inputs);
        } else if (ends(&path, &PICTURES) || ends(&path, &CLIPS)) && !path.is_dir() {
            push(path, inputs);
        }
    }
}

fn ends(path: &Path, endings: &[&str]) -> bool {
    let ending = path.extension().map(|e| e.to_string_lossy().to_lowercase());
    ending.is_some_and(|e| endings.contains(&e.as_str()))
}

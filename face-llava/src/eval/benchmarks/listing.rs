//! What a benchmark's lists name: items whose media are there, and those that are not.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use super::lists::At;
use crate::data::seed::hex;
use crate::eval::{Dataset, EvalError, Item, Truth};

/// Files of a folder, at most.
const MAX_FILES: usize = 1_000_000;
/// What git-lfs puts in place of a file until it is fetched.
const POINTER: &[u8] = b"version https://git-lfs";

/// The items of a split in the order of its list.
#[derive(Debug, Default)]
pub struct Listing {
    /// Those whose media are there.
    pub items: Vec<Item>,
    /// Those whose media are not.
    pub missing: Vec<Missing>,
    seen: HashSet<String>,
}

/// An item without its media.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// The list that names it.
    pub list: PathBuf,
    /// Where, counted from 1.
    pub line: usize,
    /// Where the media are expected.
    pub media: PathBuf,
    /// What is wrong with them.
    pub why: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {} {}", self.list.display(), self.line, self.media.display(), self.why)
    }
}

impl Listing {
    /// Adds an item whose media are at one of several places, the first of them the usual one.
    pub(super) fn push(&mut self, at: At<'_>, id: String, places: &[PathBuf], truth: Truth) -> Result<(), EvalError> {
        if !self.seen.insert(id.clone()) {
            return Err(at.fault(format!("{id} is named a second time")));
        }
        if let Some(media) = places.iter().find(|place| lack(place).is_none()) {
            self.items.push(Item { id, media: media.clone(), truth });
            return Ok(());
        }
        let media = places.iter().find(|place| place.exists()).or(places.first()).cloned().unwrap_or_default();
        let why = lack(&media).unwrap_or("is not there");
        self.missing.push(Missing { list: at.path.into(), line: at.line, media, why });
        Ok(())
    }

    /// Items of the list.
    pub fn len(&self) -> usize {
        self.items.len() + self.missing.len()
    }

    /// Whether the list names nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The dataset, where all media are there.
    ///
    /// # Errors
    /// [`EvalError::Line`] with the first item whose media are not, [`EvalError::File`] without items.
    pub fn dataset(self, benchmark: &'static str, root: &Path, split: &str) -> Result<Dataset, EvalError> {
        if let Some(first) = self.missing.first() {
            let (absent, all) = (self.missing.len(), self.len());
            let what = format!("{} {}; so it is with {absent} of {all} items", first.media.display(), first.why);
            return Err(EvalError::Line { path: first.list.clone(), line: first.line, what });
        }
        if self.items.is_empty() {
            return Err(EvalError::File { path: root.into(), what: format!("no items of the split {split}") });
        }
        let digest = digest(&self.items);
        Ok(Dataset { benchmark, split: split.into(), items: self.items, digest })
    }
}

/// SHA-256 over a line `ID<tab>TRUTH<newline>` of each item, truths as JSON.
pub(super) fn digest(items: &[Item]) -> String {
    let mut hash = Sha256::new();
    for item in items {
        let truth = serde_json::to_string(&item.truth).unwrap_or_default();
        hash.update(format!("{}\t{truth}\n", item.id));
    }
    hex(&hash.finalize())
}

/// What a file or folder lacks to be media.
fn lack(path: &Path) -> Option<&'static str> {
    let Ok(meta) = std::fs::metadata(path) else { return Some("is not there") };
    if meta.is_dir() {
        let empty = std::fs::read_dir(path).map_or(true, |mut entries| entries.next().is_none());
        return empty.then_some("is empty");
    }
    match meta.len() {
        0 => Some("is empty"),
        1..=512 if is_pointer(path) => Some("is a pointer of git-lfs; run git lfs pull"),
        _ => None,
    }
}

fn is_pointer(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = std::fs::File::open(path).and_then(|f| f.take(POINTER.len() as u64).read_to_end(&mut head));
    read.is_ok() && head == POINTER
}

/// Pictures of a folder by the number at the end of their names; nothing where there is no folder.
pub(super) fn numbered(folder: &Path) -> Result<BTreeMap<u32, PathBuf>, EvalError> {
    let mut numbered = BTreeMap::new();
    for path in pictures(folder)? {
        let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
        let digits = stem.len() - stem.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let Ok(number) = stem[stem.len() - digits..].parse() else { continue };
        if let Some(other) = numbered.insert(number, path.clone()) {
            let what = format!("it has the same number as {}", other.display());
            return Err(EvalError::File { path, what });
        }
    }
    Ok(numbered)
}

/// Pictures of a folder by name, sorted; nothing where there is no folder.
pub(super) fn pictures(folder: &Path) -> Result<Vec<PathBuf>, EvalError> {
    let io = |source| EvalError::Io { path: folder.into(), source };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
        let kind = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
        if !hidden && matches!(kind.as_deref(), Some("jpg" | "jpeg" | "png" | "bmp")) {
            files.push(path);
        }
        if files.len() > MAX_FILES {
            return Err(EvalError::File { path: folder.into(), what: format!("more than {MAX_FILES} pictures") });
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_are_told_from_what_stands_in_for_them() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("frames")).unwrap();
        std::fs::write(at("empty.mp4"), b"").unwrap();
        std::fs::write(at("pointer.flv"), b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n").unwrap();
        std::fs::write(at("good.flv"), b"FLV\x01").unwrap();
        assert_eq!(lack(&at("nothing")), Some("is not there"));
        assert_eq!(lack(&at("frames")), Some("is empty"));
        assert_eq!(lack(&at("empty.mp4")), Some("is empty"));
        assert_eq!(lack(&at("pointer.flv")), Some("is a pointer of git-lfs; run git lfs pull"));
        assert_eq!(lack(&at("good.flv")), None);

        let mut listing = Listing::default();
        let line = |line| At { path: Path::new("list.txt"), line };
        let truth = || Truth::Label("real".into());
        listing.push(line(1), "a".into(), &[at("nothing"), at("good.flv")], truth()).unwrap();
        listing.push(line(2), "b".into(), &[at("nothing"), at("pointer.flv")], truth()).unwrap();
        listing.push(line(3), "c".into(), &[at("nothing"), at("nowhere")], truth()).unwrap();
        assert!(listing.push(line(4), "c".into(), &[], truth()).is_err());
        assert_eq!((listing.items.len(), listing.missing.len(), listing.len()), (1, 2, 3));
        assert!(listing.missing[0].to_string().ends_with("pointer.flv is a pointer of git-lfs; run git lfs pull"));
        assert_eq!(listing.missing[1].media, at("nothing"));
        let error = listing.dataset("x", folder.path(), "test").unwrap_err().to_string();
        assert!(error.starts_with("list.txt:2: ") && error.ends_with("; so it is with 2 of 3 items"), "{error}");
    }

    #[test]
    fn pictures_are_found_by_number() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| std::fs::write(folder.path().join(name), b"x").unwrap();
        for name in ["clip_0002.png", "clip_0010.png", "notes.txt", ".hidden_0003.png", "cover.png", "é.jpg"] {
            write(name);
        }
        let found = numbered(folder.path()).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [2, 10]);
        write("2.jpg");
        assert!(numbered(folder.path()).is_err());
        assert!(numbered(&folder.path().join("nowhere")).unwrap().is_empty());
    }

    #[test]
    fn the_digest_is_over_ids_and_truths() {
        let item = |id: &str, media: &str, age| Item { id: id.into(), media: media.into(), truth: Truth::Age(age) };
        let one = digest(&[item("a", "here", 21.0)]);
        assert_eq!(one, digest(&[item("a", "there", 21.0)]));
        assert_ne!(one, digest(&[item("b", "here", 21.0)]));
        assert_ne!(one, digest(&[item("a", "here", 22.0)]));
        assert_eq!(one, crate::data::seed::sha256(b"a\t{\"age\":21.0}\n"));
    }
}

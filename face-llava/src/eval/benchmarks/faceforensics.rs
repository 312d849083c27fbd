//! FaceForensics++ (Rössler et al., ICCV 2019): real videos and four ways to manipulate them.
//!
//! Published at <https://github.com/ondyari/FaceForensics>. Layout, as the owners' script downloads it:
//!
//! - `original_sequences/youtube/c40/videos/953.mp4`
//! - `manipulated_sequences/Deepfakes/c40/videos/953_974.mp4`, the same for `Face2Face`, `FaceSwap`, `NeuralTextures`
//! - `splits/test.json`, `val.json`, `train.json`, which lie in the repository under `dataset/splits/`: pairs of
//!   numbers; both videos of a pair were manipulated with the other one as the source. They are also found in the folder
//!   itself
//!
//! Official: 70 pairs for the test and 70 for validation, that is 140 real and 4 x 140 manipulated videos each. The
//! paper's baselines are the published figures for the strong compression (c40). FaceShifter and DeepFakeDetection, which
//! were added later, are no part of them. Whether the paper takes all five kinds in these shares is not known.

use std::path::Path;

use super::lists::{self, At};
use super::{Benchmark, Listing};
use crate::Task;
use crate::eval::{EvalError, Truth};

/// Of the published test videos, whatever their compression.
const TEST_DIGEST: &str = "2756ab2990d1f242d00ce06e05ac491e5b50f1f4e1aafe083cdb84947b70e574";

const METHODS: [&str; 4] = ["Deepfakes", "Face2Face", "FaceSwap", "NeuralTextures"];

pub(super) struct FaceForensics;

impl Benchmark for FaceForensics {
    fn name(&self) -> &'static str {
        "faceforensics"
    }

    fn title(&self) -> &'static str {
        "FaceForensics++"
    }

    fn task(&self) -> Task {
        Task::Deepfake
    }

    fn labels(&self) -> &'static [&'static str] {
        &["real", "fake"]
    }

    fn splits(&self) -> &'static [&'static str] {
        &["test-c40", "test-c23", "test-raw", "val-c40", "val-c23", "val-raw"]
    }

    fn published(&self, split: &str) -> Option<usize> {
        self.splits().contains(&split).then_some(70 * 2 * (1 + METHODS.len()))
    }

    fn known_digest(&self, split: &str) -> Option<&'static str> {
        split.starts_with("test-").then_some(TEST_DIGEST)
    }

    fn layout(&self) -> &'static str {
        "splits/test.json, original_sequences/youtube/c40/videos/953.mp4 and \
         manipulated_sequences/{Deepfakes,Face2Face,FaceSwap,NeuralTextures}/c40/videos/953_974.mp4; \
         https://github.com/ondyari/FaceForensics"
    }

    fn list(&self, root: &Path, split: &str) -> Result<Listing, EvalError> {
        lists::split(self.name(), self.splits(), split)?;
        let (part, quality) = split.split_once('-').unwrap_or((split, "c40"));
        let file = format!("{part}.json");
        let (inside, beside) = (root.join("splits").join(&file), root.join(&file));
        let path = if beside.is_file() && !inside.is_file() { beside } else { inside };
        let text = lists::read(&path, "a split of FaceForensics++; it lies in the owners' repository, dataset/splits")?;
        let pairs: Vec<[String; 2]> = serde_json::from_str(&text)
            .map_err(|e| At { path: &path, line: e.line().max(1) }.fault(format!("no list of pairs: {e}")))?;
        let mut listing = Listing::default();
        for [a, b] in &pairs {
            let at = |id: &str| At { path: &path, line: line_of(&text, id) };
            let number = |id: &str| id.len() == 3 && id.bytes().all(|c| c.is_ascii_digit());
            if let Some(bad) = [a, b].into_iter().find(|id| !number(id)) {
                return Err(at(bad).fault(format!("video {bad:?}; expected a number of three digits")));
            }
            for (kind, name, label) in videos(a, b) {
                let folder = if label == "real" { "original_sequences" } else { "manipulated_sequences" };
                let media = root.join(folder).join(kind).join(quality).join("videos");
                let places = [media.join(format!("{name}.mp4")), media.join(&name)];
                listing.push(at(&name[..3]), format!("{kind}/{name}"), &places, Truth::Label(label.into()))?;
            }
        }
        Ok(listing)
    }
}

/// The videos of a pair: folder, name and label.
fn videos(a: &str, b: &str) -> Vec<(&'static str, String, &'static str)> {
    let mut videos = vec![("youtube", a.to_owned(), "real"), ("youtube", b.to_owned(), "real")];
    for method in METHODS {
        videos.push((method, format!("{a}_{b}"), "fake"));
        videos.push((method, format!("{b}_{a}"), "fake"));
    }
    videos
}

/// The line that first names a video.
fn line_of(text: &str, id: &str) -> usize {
    let at = text.find(&format!("\"{id}\"")).unwrap_or(0);
    1 + text[..at].matches('\n').count()
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    /// The published pairs.
    const PAIRS: &str = "\
        953974 012026 078955 623630 919015 367371 847906 529633 418507 227169 389480 821812 670661 158379 423421 \
        352319 579701 488399 695422 288321 705707 306278 865739 995233 755759 467462 314347 741731 970973 634660 \
        494445 706479 186170 176190 380358 214255 454527 425485 388308 384932 035036 257420 924917 114102 732691 \
        550452 280249 842714 625650 024073 044945 896128 862047 607683 517521 682669 138142 552851 376381 000003 \
        048029 724725 608675 386154 220219 801855 161141 949868 880135 429404";

    #[test]
    fn the_published_test_has_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        let mut json = String::from("[\n");
        for (i, pair) in PAIRS.split_whitespace().enumerate() {
            let comma = if i == 0 { "" } else { ",\n" };
            write!(json, "{comma}  [\n    \"{}\",\n    \"{}\"\n  ]", &pair[..3], &pair[3..]).unwrap();
        }
        std::fs::write(folder.path().join("test.json"), json + "\n]").unwrap();
        let mut listing = FaceForensics.list(folder.path(), "test-c40").unwrap();
        assert_eq!(Some(listing.len()), FaceForensics.published("test-c40"));
        // Lines 3 and 4 hold the first pair, 7 and 8 the second one.
        let of = |media: &str| listing.missing.iter().find(|m| m.media.ends_with(media)).unwrap().line;
        assert_eq!((of("953.mp4"), of("974_953.mp4"), of("012_026.mp4")), (3, 4, 7));
        listing.items = listing.missing.iter().map(item).collect();
        assert_eq!(super::super::listing::digest(&listing.items), TEST_DIGEST);
    }

    fn item(missing: &super::super::Missing) -> crate::eval::Item {
        let parts: Vec<_> = missing.media.iter().rev().take(4).map(|p| p.to_str().unwrap()).collect();
        let id = format!("{}/{}", parts[3], parts[0].trim_end_matches(".mp4"));
        let label = if parts[3] == "youtube" { "real" } else { "fake" };
        crate::eval::Item { id, media: missing.media.clone(), truth: Truth::Label(label.into()) }
    }
}

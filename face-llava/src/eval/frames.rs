//! Media as endpoints get them: as they are, but few and small.

use std::path::Path;

use image::RgbImage;
use image::imageops::{FilterType, resize};

use super::Fault;
use crate::Media;

/// Frames of a clip at most.
const MAX_FRAMES: usize = 8;
/// Pixels on a side at most.
const MAX_SIDE: u32 = 512;

/// A picture, or frames of a clip in order. No face is looked for.
///
/// # Errors
/// Media that cannot be opened.
pub(super) fn frames(media: &Path) -> Result<Vec<RgbImage>, Fault> {
    let opened = Media::open(media)?;
    Ok(opened.frames().iter().take(MAX_FRAMES).map(shrink).collect())
}

/// A picture that fits into the square, with its proportions.
fn shrink(picture: &RgbImage) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= MAX_SIDE {
        return picture.clone();
    }
    let side = |side: u32| (u64::from(side) * u64::from(MAX_SIDE)).div_ceil(u64::from(longest)) as u32;
    resize(picture, side(width), side(height), FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_made_smaller_but_never_larger() {
        let size = |width, height| shrink(&RgbImage::new(width, height)).dimensions();
        assert_eq!(size(512, 20), (512, 20));
        assert_eq!(size(1024, 768), (512, 384));
        assert_eq!(size(9, 16_000), (1, 512));
    }

    #[test]
    fn clips_are_a_few_frames_and_rubbish_is_a_lasting_fault() {
        let folder = tempfile::tempdir().unwrap();
        let clip = folder.path().join("clip");
        std::fs::create_dir(&clip).unwrap();
        for frame in 0..20 {
            RgbImage::new(16, 16).save(clip.join(format!("{frame:02}.png"))).unwrap();
        }
        assert_eq!(frames(&clip).unwrap().len(), 8);
        std::fs::write(folder.path().join("a.png"), "no picture").unwrap();
        for name in ["a.png", "none.png"] {
            let fault = frames(&folder.path().join(name)).unwrap_err();
            assert!(!fault.passing && fault.to_string().contains(name), "{fault}");
        }
        let missing = face_encoder::Error::MissingProgram { program: "ffmpeg" };
        assert!(Fault::from(crate::Error::from(missing)).passing, "it can be installed");
    }
}

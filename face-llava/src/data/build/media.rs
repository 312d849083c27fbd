//! Crops on the disk, under names that depend on the row alone.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use image::{ImageFormat, RgbImage};
use landmarks::files::write_bytes;

use crate::data::error::DataError;
use crate::data::record::Record;
use crate::data::seed::sha256;

/// Folder of the crops inside the output.
pub(super) const FOLDER: &str = "media";
/// Letters of a row's name that are kept.
const LETTERS: usize = 48;

/// `media/<name>-<digest>.png`, or a folder of frames for a clip.
pub(super) fn path(id: &str, altered: bool, is_video: bool) -> PathBuf {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let start = id.chars().count().saturating_sub(LETTERS);
    let name: String = id.chars().skip(start).map(plain).collect();
    let (suffix, ending) = (if altered { "-fake" } else { "" }, if is_video { "" } else { ".png" });
    Path::new(FOLDER).join(format!("{name}-{}{suffix}{ending}", &sha256(id.as_bytes())[..8]))
}

/// Writes a record's crops, each whole or not at all.
pub(super) fn write(out: &Path, record: &Record, frames: &[RgbImage]) -> Result<(), DataError> {
    if let (Some(image), [frame]) = (&record.image, frames) {
        return png(&out.join(image), frame);
    }
    let folder = out.join(record.media().unwrap_or(Path::new(FOLDER)));
    std::fs::create_dir_all(&folder).map_err(DataError::write(&folder))?;
    frames.iter().enumerate().try_for_each(|(i, frame)| png(&folder.join(format!("{i:03}.png")), frame))
}

fn png(path: &Path, picture: &RgbImage) -> Result<(), DataError> {
    let mut bytes = Cursor::new(Vec::new());
    let grey = picture.pixels().all(|p| p.0[0] == p.0[1] && p.0[1] == p.0[2]);
    let encoded = if grey {
        image::imageops::grayscale(picture).write_to(&mut bytes, ImageFormat::Png)
    } else {
        picture.write_to(&mut bytes, ImageFormat::Png)
    };
    encoded.map_err(|e| DataError::write(path)(std::io::Error::other(e)))?;
    write_bytes(path, bytes.get_ref()).map_err(|e| match e {
        landmarks::Error::Io { source, .. } => DataError::write(path)(source),
        other => DataError::write(path)(std::io::Error::other(other)),
    })
}

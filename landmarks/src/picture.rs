//! Opening pictures: every decoder behind limits, EXIF orientation applied, RGB out.

use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Rgb, RgbImage, RgbaImage};

use crate::Error;

/// Limits on untrusted pictures. Checked before anything is allocated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenOptions {
    /// Bytes of the file.
    pub max_file_bytes: u64,
    /// Pixels on either side.
    pub max_side: u32,
    /// Pixels in all.
    pub max_pixels: u64,
    /// Bytes that a decoder may allocate.
    pub max_alloc: u64,
    /// Smallest side, pixels.
    pub min_side: u32,
    /// Accept a JPEG that ends before its end marker, with [`Warning::Truncated`].
    pub lenient: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 64 << 20,
            max_side: 16_384,
            max_pixels: 50_000_000,
            max_alloc: 512 << 20,
            min_side: 8,
            lenient: false,
        }
    }
}

/// Something worth knowing about a picture that was opened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Warning {
    /// The file is an animation; this is its first frame.
    FirstFrameOnly,
    /// The EXIF block could not be read; the picture is taken as upright.
    ExifIgnored,
    /// An ICC profile is present; colours are taken as sRGB.
    ProfileIgnored,
    /// Transparent pixels were laid over white.
    AlphaOverWhite,
    /// The file ends early; missing parts are grey.
    Truncated,
}

/// An upright RGB picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// Pixels, RGB u8, row-major, origin top-left.
    pub rgb: RgbImage,
    /// What was noticed while opening.
    pub warnings: Vec<Warning>,
}

/// Opens a picture with the default limits.
///
/// 16-bit samples are scaled to 8, grey is repeated over RGB, palettes are resolved, CMYK and YCCK JPEGs are converted,
/// transparent pixels are laid over white, the EXIF orientation is applied. The content decides the format, not the
/// file's name.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`], [`Error::FileTooLarge`], [`Error::UnknownPicture`], [`Error::Decode`],
/// [`Error::PictureSize`], [`Error::TruncatedPicture`].
pub fn open(path: impl AsRef<Path>) -> Result<Picture, Error> {
    open_with(path, &OpenOptions::default())
}

/// [`open`] with limits of your own.
///
/// # Errors
/// As [`open`].
pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Picture, Error> {
    let path = path.as_ref();
    decode(&read_file(path, options.max_file_bytes)?, options).map_err(|e| e.at(path))
}

/// Reads a whole regular file of at most `limit` bytes.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`] for folders, pipes and devices, [`Error::FileTooLarge`].
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let meta = regular_file(path)?;
    if meta.len() > limit {
        return Err(Error::FileTooLarge { path: path.into(), bytes: meta.len(), limit });
    }
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    File::open(path)
        .and_then(|f| f.take(limit + 1).read_to_end(&mut bytes))
        .map_err(|source| Error::Io { path: path.into(), source })?;
    if bytes.len() as u64 > limit {
        return Err(Error::FileTooLarge { path: path.into(), bytes: bytes.len() as u64, limit });
    }
    Ok(bytes)
}

/// Metadata of a path that must be a regular file: opening a pipe or a device could hang.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`].
pub fn regular_file(path: &Path) -> Result<std::fs::Metadata, Error> {
    let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
    if meta.is_file() { Ok(meta) } else { Err(Error::NotAFile { path: path.into() }) }
}

/// Decodes a picture from bytes.
///
/// # Errors
/// As [`open`], without the file ones.
pub fn decode(bytes: &[u8], options: &OpenOptions) -> Result<Picture, Error> {
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|e| Error::Decode { path: None, source: e.into() })?;
    let format = reader.format().ok_or_else(|| unknown(bytes))?;
    if !format.reading_enabled() {
        return Err(unknown(bytes));
    }
    if format == ImageFormat::Tiff && has_second_page(bytes) == Some(true) {
        return Err(Error::UnknownPicture { path: None, hint: "a TIFF of several pages: save the page you mean" });
    }
    reader.limits(options.decoder_limits());
    let fail = |source| Error::Decode { path: None, source };
    let mut decoder = reader.into_decoder().map_err(fail)?;
    let (width, height) = decoder.dimensions();
    options.check_size(width, height)?;

    let mut warnings = Vec::new();
    if is_animated(format, bytes) {
        warnings.push(Warning::FirstFrameOnly);
    }
    let orientation = orientation(&mut decoder, &mut warnings);
    if matches!(decoder.icc_profile(), Ok(Some(_))) {
        warnings.push(Warning::ProfileIgnored);
    }
    if format == ImageFormat::Jpeg && !jpeg_is_complete(bytes) {
        if !options.lenient {
            return Err(Error::TruncatedPicture { path: None });
        }
        warnings.push(Warning::Truncated);
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(fail)?;
    image.apply_orientation(orientation);
    if !image.color().has_alpha() {
        return Ok(Picture { rgb: image.into_rgb8(), warnings });
    }
    let rgba = image.into_rgba8();
    if rgba.pixels().any(|p| p[3] != 255) {
        warnings.push(Warning::AlphaOverWhite);
    }
    Ok(Picture { rgb: over_white(&rgba), warnings })
}

impl OpenOptions {
    /// The same limits in the decoders' own type.
    pub fn decoder_limits(&self) -> image::Limits {
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(self.max_side);
        limits.max_image_height = Some(self.max_side);
        limits.max_alloc = Some(self.max_alloc);
        limits
    }

    /// Checks the size that a header claims.
    ///
    /// # Errors
    /// [`Error::PictureSize`].
    pub fn check_size(&self, width: u32, height: u32) -> Result<(), Error> {
        let fits = width.min(height) >= self.min_side
            && width.max(height) <= self.max_side
            && u64::from(width) * u64::from(height) <= self.max_pixels;
        if fits { Ok(()) } else { Err(Error::PictureSize { path: None, width, height, limits: *self }) }
    }
}

fn orientation(decoder: &mut impl ImageDecoder, warnings: &mut Vec<Warning>) -> Orientation {
    let found = match decoder.exif_metadata().ok().flatten() {
        Some(chunk) => {
            // Some writers leave JPEG's prefix where the format has none.
            let chunk = chunk.strip_prefix(b"Exif\0\0").unwrap_or(&chunk);
            Orientation::from_exif_chunk(chunk).or(is_tiff_block(chunk).then_some(Orientation::NoTransforms))
        }
        None => decoder.orientation().ok(),
    };
    found.unwrap_or_else(|| {
        warnings.push(Warning::ExifIgnored);
        Orientation::NoTransforms
    })
}

fn is_tiff_block(chunk: &[u8]) -> bool {
    chunk.starts_with(b"II*\0") || chunk.starts_with(b"MM\0*")
}

/// The entropy-coded data must be followed by an end marker: decoders fill what is missing with grey otherwise. What
/// comes after it, such as the clip of a motion photo, is not the picture's.
fn jpeg_is_complete(bytes: &[u8]) -> bool {
    let (mut at, mut scanned) = (2, false);
    while let Some(found) = bytes.get(at..).and_then(|rest| rest.iter().position(|b| *b == 0xff)) {
        at += found + 1;
        match bytes.get(at) {
            // A stuffed byte of the scan, a restart, padding: none of them begins a segment.
            Some(0x00 | 0x01 | 0xd0..=0xd7) => at += 1,
            Some(0xff) => {}
            Some(0xd9) => return scanned,
            Some(marker) => {
                scanned |= *marker == 0xda;
                let Some(&[high, low]) = bytes.get(at + 1..at + 3) else { return false };
                at += 1 + usize::from(u16::from_be_bytes([high, low]));
            }
            None => return false,
        }
    }
    false
}

/// Whether the first directory of a TIFF points to another one; none where the file ends before that.
fn has_second_page(bytes: &[u8]) -> Option<bool> {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, n: usize| {
        let field = bytes.get(at..at.checked_add(n)?)?;
        let join = |acc, b: &u8| acc << 8 | usize::from(*b);
        Some(if little { field.iter().rev().fold(0, join) } else { field.iter().fold(0, join) })
    };
    let directory = number(4, 4)?;
    let entries = number(directory, 2)?;
    Some(number(directory + 2 + 12 * entries, 4)? != 0)
}

fn is_animated(format: ImageFormat, bytes: &[u8]) -> bool {
    let mut head = bytes.get(..4096).unwrap_or(bytes).windows(4);
    match format {
        ImageFormat::Png => head.any(|w| w == b"acTL"),
        ImageFormat::WebP => head.any(|w| w == b"ANIM"),
        // A second graphic control block announces a second frame.
        ImageFormat::Gif => bytes.windows(4).filter(|w| *w == [0x21, 0xf9, 0x04, w[3]]).nth(1).is_some(),
        _ => false,
    }
}

/// RGB, laid over white where the picture has an alpha channel.
pub fn flatten(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    over_white(&image.into_rgba8())
}

fn over_white(rgba: &RgbaImage) -> RgbImage {
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0.map(u32::from);
        Rgb([r, g, b].map(|c| ((c * a + 255 * (255 - a) + 127) / 255) as u8))
    })
}

fn unknown(bytes: &[u8]) -> Error {
    let hint = match bytes {
        [] => "the file is empty",
        b if b.starts_with(b"version https://git-lfs") => "a git-LFS pointer: fetch the file itself",
        b if b.len() > 11 && &b[4..8] == b"ftyp" => "HEIC, AVIF or video: convert pictures to PNG or JPEG first",
        b if b.starts_with(b"<") => "text such as SVG or an HTML page",
        b if b.is_ascii() => "a text file",
        _ => "supported are PNG, JPEG, WebP, GIF, BMP and TIFF",
    };
    Error::UnknownPicture { path: None, hint }
}

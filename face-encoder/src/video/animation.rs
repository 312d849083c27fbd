//! GIF, animated WebP and animated PNG.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageFormat, ImageResult};

use super::{Clip, Picker, VideoOptions, limit, repeated};
use crate::Error;

/// The clip, or none where the file is no animation.
pub(super) fn open(path: &Path, options: &VideoOptions) -> Result<Option<Clip>, Error> {
    let mut head = Vec::new();
    let io = |source| Error::Io { path: path.into(), source };
    File::open(path).and_then(|f| f.take(64).read_to_end(&mut head)).map_err(io)?;
    let Ok(format @ (ImageFormat::Gif | ImageFormat::Png | ImageFormat::WebP)) = image::guess_format(&head) else {
        return Ok(None);
    };
    let fail = |source| Error::Animation { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut frames = |picker: Option<&mut Picker>| -> Result<Option<(usize, Vec<f64>)>, Error> {
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let Some(frames) = decoder(format, &mut file, options).map_err(fail)? else { return Ok(None) };
        walk(frames, picker, path, options).map(Some)
    };
    // Once to count, once to pick: only the picked frames are ever held.
    let Some((total, times)) = frames(None)? else { return Ok(None) };
    let mut picker = Picker::new(total, options.frames);
    frames(Some(&mut picker))?;
    let (frames, indices) = picker
        .finish()
        .filter(|_| total > 0)
        .ok_or_else(|| Error::NoFrames { path: path.into(), detail: "the animation is empty".into() })?;
    let times = Some(indices.iter().map(|&i| times[i]).collect());
    Ok(Some(Clip { frames, indices, times, total, warnings: repeated(total, options) }))
}

fn decoder<'a, R: Read + Seek + std::io::BufRead>(
    format: ImageFormat,
    file: &'a mut R,
    options: &VideoOptions,
) -> ImageResult<Option<Frames<'a>>> {
    let limits = options.picture.decoder_limits();
    Ok(match format {
        ImageFormat::Gif => {
            let mut gif = GifDecoder::new(file)?;
            gif.set_limits(limits)?;
            Some(gif.into_frames())
        }
        ImageFormat::WebP => {
            let mut webp = WebPDecoder::new(file)?;
            webp.set_limits(limits)?;
            webp.has_animation().then(|| webp.into_frames())
        }
        _ => {
            let png = PngDecoder::with_limits(file, limits)?;
            if png.is_apng()? { Some(png.apng()?.into_frames()) } else { None }
        }
    })
}

/// Counts the frames and notes when each is shown; hands them to the picker.
fn walk(
    frames: Frames<'_>,
    mut picker: Option<&mut Picker>,
    path: &Path,
    options: &VideoOptions,
) -> Result<(usize, Vec<f64>), Error> {
    let (mut times, mut now) = (Vec::new(), 0.0);
    for frame in frames {
        let frame = frame.map_err(|source| Error::Animation { path: path.into(), source })?;
        let (width, height) = frame.buffer().dimensions();
        options.picture.check_size(width, height).map_err(|e| e.at(path))?;
        times.push(now);
        limit(path, "number of frames", times.len() as u64, options.max_frames as u64)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        now += f64::from(numerator) / f64::from(denominator.max(1)) / 1000.0;
        if let Some(picker) = picker.as_deref_mut() {
            picker.push(|| landmarks::picture::flatten(DynamicImage::from(frame.into_buffer())));
        }
    }
    Ok((times.len(), times))
}

//! GIF, animated WebP and animated PNG.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use image::codecs::{gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{AnimationDecoder, DynamicImage, Frames, ImageDecoder, ImageFormat};

use super::{Clip, Picker, TimeLimit, VideoOptions, limit, repeated};
use crate::Error;

/// Whether a GIF shows more than one frame, as far as it can be decoded.
pub(super) fn gif_moves(path: &Path) -> Result<bool, Error> {
    let io = |source| Error::Io { path: path.into(), source };
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let Ok(Some(frames)) = decoder(ImageFormat::Gif, &mut file, path, &VideoOptions::default()) else {
        return Ok(false);
    };
    let first: Vec<_> = frames.take(2).collect();
    Ok(first.len() != 1 || first[0].is_err())
}

/// The clip, or none where the file is no animation.
pub(super) fn open(path: &Path, options: &VideoOptions) -> Result<Option<Clip>, Error> {
    let mut head = Vec::new();
    let io = |source| Error::Io { path: path.into(), source };
    File::open(path).and_then(|f| f.take(64).read_to_end(&mut head)).map_err(io)?;
    let Ok(format @ (ImageFormat::Gif | ImageFormat::Png | ImageFormat::WebP)) = image::guess_format(&head) else {
        return Ok(None);
    };
    let time = TimeLimit::start(options);
    let mut file = BufReader::new(File::open(path).map_err(io)?);
    let mut frames = |picker: Option<&mut Picker>| -> Result<Option<(usize, Vec<f64>)>, Error> {
        file.seek(SeekFrom::Start(0)).map_err(io)?;
        let Some(frames) = decoder(format, &mut file, path, options)? else { return Ok(None) };
        walk(frames, picker, path, options, time).map(Some)
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

/// The frames of an animation whose size is within the limits.
fn decoder<'a, R: Read + Seek + BufRead>(
    format: ImageFormat,
    file: &'a mut R,
    path: &Path,
    options: &VideoOptions,
) -> Result<Option<Frames<'a>>, Error> {
    let fail = |source| Error::Animation { path: path.into(), source };
    let limits = options.picture.decoder_limits();
    // Before anything is made room for: not every decoder knows limits.
    let check = |(width, height)| options.picture.check_size(width, height).map_err(|e| e.at(path));
    Ok(match format {
        ImageFormat::Gif => {
            let mut gif = GifDecoder::new(file).map_err(fail)?;
            check(gif.dimensions())?;
            gif.set_limits(limits).map_err(fail)?;
            Some(gif.into_frames())
        }
        ImageFormat::WebP => {
            let mut webp = WebPDecoder::new(file).map_err(fail)?;
            check(webp.dimensions())?;
            webp.set_limits(limits).map_err(fail)?;
            webp.has_animation().then(|| webp.into_frames())
        }
        _ => {
            let png = PngDecoder::with_limits(file, limits).map_err(fail)?;
            check(png.dimensions())?;
            let animated = png.is_apng().map_err(fail)?;
            if animated { Some(png.apng().map_err(fail)?.into_frames()) } else { None }
        }
    })
}

/// Counts the frames and notes when each is shown; hands them to the picker.
fn walk(
    frames: Frames<'_>,
    mut picker: Option<&mut Picker>,
    path: &Path,
    options: &VideoOptions,
    time: TimeLimit,
) -> Result<(usize, Vec<f64>), Error> {
    let (mut times, mut now) = (Vec::new(), 0.0);
    for frame in frames {
        let frame = frame.map_err(|source| Error::Animation { path: path.into(), source })?;
        time.check(path)?;
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

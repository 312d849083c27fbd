//! Frames of animations, folders and containers, good and bad.

use std::path::{Path, PathBuf};
use std::process::Command;

use face_encoder::Error;
use face_encoder::video::{ClipWarning, VideoOptions, is_clip, open_clip};
use image::codecs::gif::GifEncoder;
use image::{Delay, Frame, Rgb, RgbImage, RgbaImage};
use tempfile::TempDir;

/// Frame `i` is a grey that tells its number.
fn grey(i: usize) -> u8 {
    (10 + 9 * i) as u8
}

fn gif(folder: &TempDir, frames: usize) -> PathBuf {
    let path = folder.path().join("clip.gif");
    let mut encoder = GifEncoder::new(std::fs::File::create(&path).unwrap());
    for i in 0..frames {
        let picture = RgbaImage::from_pixel(24, 16, image::Rgba([grey(i), grey(i), grey(i), 255]));
        let frame = Frame::from_parts(picture, 0, 0, Delay::from_numer_denom_ms(100, 1));
        encoder.encode_frame(frame).unwrap();
    }
    drop(encoder);
    path
}

fn numbers(frames: &[RgbImage]) -> Vec<usize> {
    frames.iter().map(|f| (f.get_pixel(5, 5).0[0] as f32 / 9.0 - 10.0 / 9.0).round() as usize).collect()
}

fn open(path: &Path) -> Result<face_encoder::video::Clip, Error> {
    open_clip(path, &VideoOptions::default())
}

#[test]
fn a_gif_is_sampled_evenly_with_times() {
    let folder = tempfile::tempdir().unwrap();
    let path = gif(&folder, 20);
    assert!(is_clip(&path).unwrap());
    let clip = open(&path).unwrap();
    assert_eq!((clip.total, clip.indices.as_slice()), (20, [0, 2, 5, 8, 10, 13, 16, 19].as_slice()));
    assert_eq!(numbers(&clip.frames), clip.indices);
    assert!((clip.times.unwrap()[2] - 0.5).abs() < 1e-6);
    assert!(clip.warnings.is_empty());
}

#[test]
fn animated_png_and_webp_are_clips() {
    let folder = tempfile::tempdir().unwrap();
    for (extra, name) in [(["-f", "apng"].as_slice(), "a.png"), (&["-c:v", "libwebp_anim", "-lossless", "1"], "a.webp")]
    {
        let path = container(&folder, extra, name);
        assert!(is_clip(&path).unwrap(), "{name}");
        let clip = open(&path).unwrap();
        assert_eq!((clip.total, clip.frames[0].dimensions()), (20, (64, 48)), "{name}");
        assert_eq!(numbers(&clip.frames), clip.indices, "{name}");
    }
}

#[test]
fn short_animations_repeat_frames_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let clip = open(&gif(&folder, 3)).unwrap();
    assert_eq!(numbers(&clip.frames), [0, 0, 0, 0, 1, 1, 1, 2]);
    assert_eq!(clip.warnings, [ClipWarning::FramesRepeated]);
}

#[test]
fn a_folder_is_read_in_the_order_of_names() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..9 {
        let picture = RgbImage::from_pixel(20, 20, Rgb([grey(i); 3]));
        picture.save(folder.path().join(format!("frame_{i:03}.png"))).unwrap();
    }
    std::fs::write(folder.path().join(".hidden"), b"no picture").unwrap();
    let clip = open(folder.path()).unwrap();
    assert_eq!(numbers(&clip.frames), [0, 1, 2, 3, 4, 5, 6, 8]);
    let few = VideoOptions { max_frames: 5, ..Default::default() };
    assert!(matches!(open_clip(folder.path(), &few), Err(Error::VideoLimit { limit: 5, .. })));
    std::fs::write(folder.path().join("frame_000.png"), b"no picture").unwrap();
    assert!(open(folder.path()).unwrap_err().to_string().contains("frame_000.png"));
}

#[test]
fn nothing_to_see_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(open(folder.path()), Err(Error::NoFrames { .. })));
    assert!(matches!(open(Path::new("/nonexistent")), Err(Error::Io { .. })));
    assert!(open(Path::new("/dev/null")).is_err());
    let path = gif(&folder, 20);
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(open(&path), Err(Error::Animation { .. } | Error::NoFrames { .. })));
    let small = VideoOptions { max_file_bytes: 10, ..Default::default() };
    assert!(matches!(open_clip(&path, &small), Err(Error::VideoLimit { .. })));
}

fn ffmpeg(arguments: &[&str], output: &Path) {
    let done = Command::new("ffmpeg").args(["-v", "error", "-y"]).args(arguments).arg(output).status();
    assert!(done.is_ok_and(|s| s.success()), "these tests need the ffmpeg program: apt-get install ffmpeg");
}

/// Twenty grey frames in a container.
fn container(folder: &TempDir, extra: &[&str], name: &str) -> PathBuf {
    let path = folder.path().join(name);
    let frames = folder.path().join(format!("{name}.frames"));
    std::fs::create_dir(&frames).unwrap();
    for i in 0..20 {
        RgbImage::from_pixel(64, 48, Rgb([grey(i); 3])).save(frames.join(format!("{i:02}.png"))).unwrap();
    }
    let pattern = frames.join("%02d.png");
    let mut arguments = vec!["-framerate", "10", "-i", pattern.to_str().unwrap()];
    arguments.extend(extra);
    ffmpeg(&arguments, &path);
    path
}

#[test]
fn containers_are_read_through_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    for (extra, name) in [
        (["-c:v", "mpeg4", "-q:v", "2"].as_slice(), "a.mp4"),
        (["-c:v", "mjpeg", "-q:v", "2"].as_slice(), "a.avi"),
        (["-c:v", "ffv1"].as_slice(), "a.mkv"),
        (["-c:v", "ffv1", "-pix_fmt", "yuv422p10le"].as_slice(), "ten_bits.mkv"),
    ] {
        let path = container(&folder, extra, name);
        assert!(is_clip(&path).unwrap(), "{name}");
        let clip = open(&path).unwrap();
        assert_eq!((clip.total, clip.frames[0].dimensions()), (20, (64, 48)), "{name}");
        assert_eq!(numbers(&clip.frames), clip.indices, "{name}");
        assert!((clip.times.unwrap()[7] - 1.9).abs() < 0.01, "{name}");
    }
}

#[test]
fn other_containers_are_known_and_single_pictures_are_none() {
    let folder = tempfile::tempdir().unwrap();
    for (extra, name) in [
        (["-c:v", "wmv2", "-q:v", "2"].as_slice(), "a.wmv"),
        (["-c:v", "mpeg2video", "-q:v", "2", "-r", "25"].as_slice(), "a.ts"),
        (["-c:v", "mpeg2video", "-q:v", "2", "-r", "25", "-f", "mpeg2video"].as_slice(), "a.m2v"),
        (["-c:v", "mjpeg", "-q:v", "2"].as_slice(), "a.mov"),
    ] {
        let path = container(&folder, extra, name);
        assert!(is_clip(&path).unwrap(), "{name}");
        assert!(open(&path).unwrap().total >= 20, "{name}");
    }
    assert!(!is_clip(&gif(&folder, 1)).unwrap());
    assert!(is_clip(&gif(&folder, 2)).unwrap());
}

/// Frames before the cut are in the file, for those after it lean on them, and never shown.
#[test]
fn clips_cut_without_decoding_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (whole, cut) = (folder.path().join("whole.mp4"), folder.path().join("cut.mp4"));
    let moving = ["-f", "lavfi", "-i", "testsrc=size=64x48:rate=10:duration=2"];
    ffmpeg(&[moving.as_slice(), &["-c:v", "mpeg4", "-q:v", "2", "-g", "20"]].concat(), &whole);
    ffmpeg(&["-ss", "1.2", "-i", whole.to_str().unwrap(), "-c", "copy"], &cut);
    let clip = open(&cut).unwrap();
    assert_eq!((clip.total, clip.warnings.as_slice()), (8, [].as_slice()));
    // Frames that are never shown count for the limit: they have to be decoded.
    let few = VideoOptions { max_frames: clip.total, ..Default::default() };
    assert!(matches!(open_clip(&cut, &few), Err(Error::VideoLimit { .. })));
}

#[test]
fn a_cover_is_no_clip() {
    let folder = tempfile::tempdir().unwrap();
    let (cover, song) = (folder.path().join("cover.png"), folder.path().join("song.m4a"));
    RgbImage::from_pixel(64, 48, Rgb([90; 3])).save(&cover).unwrap();
    let inputs = ["-f", "lavfi", "-i", "sine=duration=1", "-i", cover.to_str().unwrap(), "-map", "0", "-map", "1"];
    ffmpeg(&[inputs.as_slice(), &["-c:a", "aac", "-c:v", "png", "-disposition:v", "attached_pic"]].concat(), &song);
    assert!(matches!(open(&song), Err(Error::NoFrames { .. })));
}

#[test]
fn nothing_takes_longer_than_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    let none = VideoOptions { max_seconds: 0, ..Default::default() };
    for path in [gif(&folder, 20), container(&folder, &["-c:v", "mpeg4"], "a.mp4")] {
        assert!(matches!(open_clip(&path, &none), Err(Error::TooSlow { seconds: 0, .. })));
    }
}

/// A header that claims more than the limits, before room is made for it.
#[test]
fn animations_of_any_size_are_refused_by_their_header() {
    let folder = tempfile::tempdir().unwrap();
    let path = gif(&folder, 2);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[6..10].copy_from_slice(&[0xff; 4]);
    std::fs::write(&path, bytes).unwrap();
    let error = open(&path).unwrap_err();
    assert!(matches!(error, Error::Picture(landmarks::Error::PictureSize { width: 65_535, .. })), "{error}");
}

#[test]
fn rotation_is_honoured() {
    let folder = tempfile::tempdir().unwrap();
    let plain = container(&folder, &["-c:v", "mpeg4", "-q:v", "2"], "plain.mp4");
    let turned = folder.path().join("turned.mp4");
    let plain = plain.to_str().unwrap();
    // Since version 6 an option says it, before that a tag.
    let tag = ["-v", "error", "-y", "-i", plain, "-c", "copy", "-metadata:s:v:0", "rotate=90"];
    let option = ["-v", "error", "-y", "-display_rotation", "90", "-i", plain, "-c", "copy"];
    let made = |arguments: &[&str]| {
        Command::new("ffmpeg").args(arguments).arg(&turned).output().is_ok_and(|o| o.status.success())
    };
    assert!(made(&option) || made(&tag));
    assert_eq!(open(&turned).unwrap().frames[0].dimensions(), (48, 64));
}

#[test]
fn broken_and_silent_containers_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    let path = container(&folder, &["-c:v", "mpeg4", "-q:v", "2"], "whole.mp4");
    let bytes = std::fs::read(&path).unwrap();
    // The index of an mp4 stands at its end.
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    assert!(matches!(open(&path), Err(Error::Program { program: "ffprobe", .. })));

    let sound = folder.path().join("sound.mp4");
    ffmpeg(&["-f", "lavfi", "-i", "sine=duration=1", "-c:a", "aac"], &sound);
    assert!(matches!(open(&sound), Err(Error::NoFrames { .. })));

    let text = folder.path().join("text.mp4");
    std::fs::write(&text, "not a video").unwrap();
    assert!(matches!(open(&text), Err(Error::Program { .. } | Error::NoFrames { .. })));

    let many = container(&folder, &["-c:v", "ffv1"], "many.mkv");
    let few = VideoOptions { max_frames: 5, ..Default::default() };
    assert!(matches!(open_clip(&many, &few), Err(Error::VideoLimit { .. })));
}

/// Frames whose data is gone are in the file and cannot be decoded.
#[test]
fn damage_is_passed_over_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = container(&folder, &["-c:v", "mjpeg", "-q:v", "2"], "damaged.avi");
    let whole = std::fs::read(&path).unwrap();
    let place = |name: &[u8; 4]| whole.windows(4).position(|w| w == name).unwrap();
    let chunks = (place(b"movi")..place(b"idx1")).filter(|&i| whole[i..i + 4] == *b"00dc");
    let frames: Vec<(usize, usize)> =
        chunks.map(|i| (i + 8, u32::from_le_bytes(whole[i + 4..i + 8].try_into().unwrap()) as usize)).collect();
    assert_eq!(frames.len(), 20);
    let damaged = |lost: std::ops::Range<usize>| {
        let mut bytes = whole.clone();
        for &(start, length) in &frames[lost] {
            bytes[start..start + length].fill(0);
        }
        std::fs::write(&path, bytes).unwrap();
        open(&path)
    };
    let clip = damaged(5..8).unwrap();
    assert_eq!((clip.total, clip.warnings.as_slice()), (17, [ClipWarning::FramesSkipped].as_slice()));
    assert!(numbers(&clip.frames).iter().all(|n| !(5..8).contains(n)));
    assert!(matches!(damaged(5..15), Err(Error::BrokenVideo { decoded: 10, expected: 20, .. })));
}

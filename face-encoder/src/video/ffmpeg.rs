//! Any container, through the `ffmpeg` and `ffprobe` programs.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use image::RgbImage;
use serde::Deserialize;

use super::{Clip, ClipWarning, Picker, TimeLimit, VideoOptions, animation, limit, repeated};
use crate::Error;

/// Share of the frames that may be missing.
const MAX_MISSING: f64 = 0.3;

/// How Matroska, Ogg, Flash, MPEG (program and elementary streams) and Windows Media begin.
const KNOWN: [&[u8]; 6] = [
    b"\x1a\x45\xdf\xa3",
    b"OggS",
    b"FLV\x01",
    b"\x00\x00\x01\xba",
    b"\x00\x00\x01\xb3",
    b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
];

/// Whether a file is no supported picture, or an animated one.
pub(super) fn looks_like_video(path: &Path) -> Result<bool, Error> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|f| f.take(4096).read_to_end(&mut head))
        .map_err(|source| Error::Io { path: path.into(), source })?;
    let has = |needle: &[u8]| head.windows(needle.len()).any(|w| w == needle);
    let container = head.get(4..8) == Some(b"ftyp") && !has(b"avif") && !has(b"heic") && !has(b"mif1");
    // QuickTime before it had types, transport streams in packets of 188 bytes, with and without four more.
    let atoms: [&[u8]; 5] = [b"moov", b"mdat", b"wide", b"skip", b"pnot"];
    let quicktime = head.get(4..8).is_some_and(|atom| atoms.contains(&atom));
    let packets = |first: usize, length: usize| (0..4).all(|i| head.get(first + i * length) == Some(&0x47));
    let transport = packets(0, 188) || packets(4, 192);
    if head.starts_with(b"GIF8") {
        return animation::gif_moves(path);
    }
    let avi = head.starts_with(b"RIFF") && head.get(8..12) == Some(b"AVI ");
    let animated = has(b"acTL") || (head.starts_with(b"RIFF") && has(b"ANIM"));
    let known = KNOWN.iter().any(|magic| head.starts_with(magic));
    Ok(container || quicktime || transport || avi || animated || known)
}

#[derive(Deserialize)]
struct Probe {
    #[serde(default)]
    streams: Vec<Stream>,
    #[serde(default)]
    packets: Vec<Packet>,
}

#[derive(Deserialize)]
struct Packet {
    #[serde(default)]
    flags: String,
}

#[derive(Deserialize)]
struct Stream {
    width: u32,
    height: u32,
    #[serde(default)]
    avg_frame_rate: String,
    #[serde(default)]
    side_data_list: Vec<SideData>,
}

#[derive(Deserialize)]
struct SideData {
    rotation: Option<f64>,
}

pub(super) fn open(path: &Path, options: &VideoOptions) -> Result<Clip, Error> {
    let time = TimeLimit::start(options);
    let (stream, expected) = probe(path, options, time)?;
    let none = |detail: &str| Error::NoFrames { path: path.into(), detail: detail.into() };
    if expected == 0 {
        return Err(none("the video stream is empty"));
    }
    let quarter =
        stream.side_data_list.iter().find_map(|s| s.rotation).is_some_and(|r| (r / 90.0).round() as i64 % 2 != 0);
    let (width, height) = if quarter { (stream.height, stream.width) } else { (stream.width, stream.height) };
    options.picture.check_size(width, height).map_err(|e| e.at(path))?;

    let decode = |total| decode(path, [width, height], Picker::new(total, options.frames), options, time);
    let mut picker = decode(expected)?;
    let total = picker.seen;
    if total == 0 {
        return Err(none("nothing could be decoded"));
    }
    if (total as f64) < expected as f64 * (1.0 - MAX_MISSING) {
        return Err(Error::BrokenVideo { path: path.into(), decoded: total, expected });
    }
    let mut warnings = repeated(total, options);
    if total != expected {
        warnings.push(ClipWarning::FramesSkipped);
        // The spread was over frames that are not there.
        picker = decode(total)?;
    }
    let (frames, indices) = picker.finish().ok_or_else(|| none("the frames changed while they were read"))?;
    let times = rate(&stream.avg_frame_rate).map(|rate| indices.iter().map(|&i| i as f64 / rate).collect());
    Ok(Clip { frames, indices, times, total, warnings })
}

fn rate(text: &str) -> Option<f64> {
    let (n, d) = text.split_once('/')?;
    let rate = n.parse::<f64>().ok()? / d.parse::<f64>().ok()?;
    (rate.is_finite() && rate > 0.0).then_some(rate)
}

/// The video stream, cover pictures aside, and how many frames it should give.
fn probe(path: &Path, options: &VideoOptions, time: TimeLimit) -> Result<(Stream, usize), Error> {
    let most = options.max_frames.saturating_add(1);
    let mut command = Command::new("ffprobe");
    command
        .args(["-v", "error", "-protocol_whitelist", "file", "-select_streams", "V:0", "-of", "json"])
        .args(["-show_entries", "packet=flags:stream=width,height,avg_frame_rate:stream_side_data=rotation"])
        .args(["-read_intervals", &format!("%+#{most}")])
        .arg("-i")
        .arg(input(path));
    let mut child = Running::start(&mut command, "ffprobe", time, path)?;
    let mut text = String::new();
    // A packet takes sixty bytes, in transport streams more than twice as many.
    let bytes = 256_u64.saturating_mul(most as u64).saturating_add(1 << 20);
    child.stdout().take(bytes).read_to_string(&mut text).map_err(|source| Error::Io { path: path.into(), source })?;
    child.finish()?;
    let probe = serde_json::from_str(&text).unwrap_or(Probe { streams: Vec::new(), packets: Vec::new() });
    limit(path, "number of frames", probe.packets.len() as u64, options.max_frames as u64)?;
    // What was cut off at the beginning without decoding anew is still there and never shown.
    let shown = probe.packets.iter().filter(|packet| !packet.flags.contains('D')).count();
    let none = || Error::NoFrames { path: path.into(), detail: "there is no video stream".into() };
    Ok((probe.streams.into_iter().next().ok_or_else(none)?, shown))
}

fn decode(
    path: &Path,
    [width, height]: [u32; 2],
    mut picker: Picker,
    options: &VideoOptions,
    time: TimeLimit,
) -> Result<Picker, Error> {
    let mut command = Command::new("ffmpeg");
    // A change of resolution in mid-stream is scaled to the first one, so every frame has the same length.
    command
        .args(["-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe", "-i"])
        .arg(input(path))
        .args(["-map", "0:V:0", "-fps_mode", "passthrough", "-vf", &format!("scale={width}:{height}:flags=bicubic")])
        .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    let mut child = Running::start(&mut command, "ffmpeg", time, path)?;
    let mut frame = vec![0; width as usize * height as usize * 3];
    while picker.seen < options.max_frames {
        match child.stdout().read_exact(&mut frame) {
            Ok(()) => picker.push(|| RgbImage::from_raw(width, height, frame.clone()).unwrap_or_default()),
            Err(e) if e.kind() == ErrorKind::UnexpectedEof => break,
            Err(source) => return Err(Error::Io { path: path.into(), source }),
        }
    }
    // Else the end may be that of the time.
    time.check(path)?;
    // Damaged frames make ffmpeg complain; how many came through decides.
    if picker.seen == 0 {
        child.finish()?;
    }
    Ok(picker)
}

/// `file:` keeps ffmpeg from taking a name for an address.
fn input(path: &Path) -> std::ffi::OsString {
    let mut input = std::ffi::OsString::from("file:");
    input.push(path);
    input
}

/// A child process that never outlives its deadline or its owner.
struct Running<'a> {
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    messages: File,
    program: &'static str,
    time: TimeLimit,
    path: &'a Path,
    /// Dropped with the rest, it tells the watching thread that there is nothing left to watch.
    _owned: Sender<()>,
}

impl<'a> Running<'a> {
    fn start(command: &mut Command, program: &'static str, time: TimeLimit, path: &'a Path) -> Result<Self, Error> {
        let io = |source: std::io::Error| match source.kind() {
            ErrorKind::NotFound => Error::MissingProgram { program },
            _ => Error::Io { path: path.into(), source },
        };
        // To a file, not a pipe: a program that complains a lot must not wait for somebody to listen.
        let beside = |source| Error::Io { path: std::env::temp_dir(), source };
        let messages = tempfile::tempfile().map_err(beside)?;
        let said = messages.try_clone().map_err(beside)?;
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(said).spawn().map_err(io)?;
        let stdout = child.stdout.take().ok_or_else(|| io(ErrorKind::BrokenPipe.into()))?;
        let child = Arc::new(Mutex::new(child));
        let (owned, ended) = mpsc::channel();
        let watched = child.clone();
        let running = Self { child, stdout, messages, program, time, path, _owned: owned };
        let watch = move || {
            if ended.recv_timeout(time.left()) == Err(RecvTimeoutError::Timeout) {
                // Whoever reads from it finds the end.
                kill(&watched);
            }
        };
        std::thread::Builder::new().spawn(watch).map_err(io)?;
        Ok(running)
    }

    fn stdout(&mut self) -> &mut ChildStdout {
        &mut self.stdout
    }

    /// Waits for the end; a failure carries the last line that the program wrote.
    fn finish(&mut self) -> Result<(), Error> {
        let io = |source| Error::Io { path: self.path.into(), source };
        // It has closed its output and is about to end; if not, the deadline ends it.
        let status = loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            if let Some(status) = ended.map_err(io)? {
                break status;
            }
            std::thread::sleep(Duration::from_millis(1));
        };
        self.time.check(self.path)?;
        if status.success() {
            return Ok(());
        }
        let mut text = Vec::new();
        self.messages.seek(SeekFrom::Start(0)).map_err(io)?;
        self.messages.by_ref().take(64 << 10).read_to_end(&mut text).map_err(io)?;
        let text = String::from_utf8_lossy(&text);
        let detail = text.lines().rev().find(|l| !l.trim().is_empty()).unwrap_or("no reason given").to_owned();
        Err(Error::Program { path: self.path.into(), program: self.program, detail })
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        kill(&self.child);
        // Already gone is fine.
        let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
    }
}

fn kill(child: &Mutex<Child>) {
    // Already gone is fine.
    let _ = child.lock().unwrap_or_else(PoisonError::into_inner).kill();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_nothing_is_not_waited_for() {
        let time = TimeLimit::start(&VideoOptions { max_seconds: 0, ..Default::default() });
        let mut command = Command::new("sleep");
        let mut silent = Running::start(command.arg("1000"), "sleep", time, Path::new("clip")).unwrap();
        assert_eq!(silent.stdout().read_to_end(&mut Vec::new()).unwrap(), 0);
        assert!(matches!(silent.finish(), Err(Error::TooSlow { seconds: 0, .. })));
    }
}

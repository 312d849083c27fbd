//! `face-llava run`: rows in the order of the inputs, going on after interruptions, exit codes.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::{astronaut, crop, encoder_fixture, fixture};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_face-llava"));
    command.arg("run").arg("--model").arg(fixture("tiny-simple/checkpoint"));
    command.arg("--image-tower").arg(encoder_fixture("LanguageBind_Image"));
    command.arg("--video-tower").arg(encoder_fixture("LanguageBind_Video_merge"));
    command.args(["--max-new-tokens", "3"]).args(arguments);
    command
}

fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn code(output: &Output) -> i32 {
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(!message.contains("internal error"), "{message}");
    output.status.code().unwrap()
}

fn rows(text: &[u8]) -> Vec<Value> {
    String::from_utf8(text.to_vec()).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A copy of the face crop.
    fn face(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::copy(crop(), &path).unwrap();
        path
    }

    /// A picture without a face.
    fn blank(&self, name: &str) -> PathBuf {
        image::RgbImage::new(64, 64).save(self.path(name)).unwrap();
        self.path(name)
    }

    /// Two faces side by side.
    fn couple(&self, name: &str) -> PathBuf {
        let face = image::imageops::crop_imm(&landmarks::open(astronaut()).unwrap().rgb, 70, 0, 300, 300).to_image();
        let mut both = image::RgbImage::new(2 * face.width(), face.height());
        image::imageops::replace(&mut both, &face, 0, 0);
        image::imageops::replace(&mut both, &face, i64::from(face.width()), 0);
        both.save(self.path(name)).unwrap();
        self.path(name)
    }
}

#[test]
fn a_row_for_each_input_in_their_order() {
    let folder = Folder::new();
    let (blank, bad, photo) = (folder.blank("z.png"), folder.path("bad.png"), astronaut());
    std::fs::write(&bad, "no picture").unwrap();
    let inputs = [text(&photo), text(&blank), text(&bad), "/nonexistent.png", text(&photo)];
    let output = run(&[["--task", "expression"].as_slice(), &inputs].concat());
    assert_eq!(code(&output), 1);
    let rows = rows(&output.stdout);
    assert_eq!(rows.iter().map(|r| r["path"].as_str().unwrap()).collect::<Vec<_>>(), inputs);
    let codes: Vec<_> = rows.iter().map(|r| r["error"]["code"].as_str().unwrap_or("")).collect();
    assert_eq!(codes, ["", "no_face", "input", "media", ""]);
    let (first, none) = (&rows[0], &rows[1]);
    assert_eq!((first["schema"].as_u64(), first["face"]["index"].as_u64()), (Some(1), Some(0)));
    assert_eq!(first["face"]["bbox"].as_array().unwrap().len(), 4);
    assert!(first["raw"].is_string() && first["landmarks_used"] == true && first["unparsed"].is_boolean());
    assert!(first.get("label").is_some() && first.get("labels").is_none());
    let shares: Vec<f64> = first["scores"].as_object().unwrap().values().map(|v| v.as_f64().unwrap()).collect();
    assert!(shares.len() == 7 && (shares.iter().sum::<f64>() - 1.0).abs() < 1e-4);
    assert!(none["raw"].is_null() && none["label"].is_null() && none["face"].is_null(), "no made-up answer");
    assert_eq!(rows[4], rows[0]);
    // One line for each failure; no face is none.
    assert_eq!(String::from_utf8_lossy(&output.stderr).lines().count(), 2);
}

#[test]
fn rows_do_not_depend_on_the_number_of_threads() {
    let folder = Folder::new();
    let (couple, blank, photo) = (folder.couple("b.png"), folder.blank("c.png"), astronaut());
    // More than the sessions take at once, so that every one of them answers about every picture.
    let inputs = [text(&photo), text(&couple), text(&blank)].repeat(9);
    let arguments = [["--task", "expression", "--all-faces"].as_slice(), &inputs].concat();
    let outputs = ["1", "2", "3"].map(|threads| {
        let output = command(&arguments).env("RAYON_NUM_THREADS", threads).output().unwrap();
        assert_eq!(code(&output), 0);
        output.stdout
    });
    assert_eq!(rows(&outputs[0]).len(), 9 * 4);
    assert!(outputs[1] == outputs[0] && outputs[2] == outputs[0]);
}

#[test]
fn folders_are_searched_by_name() {
    let folder = Folder::new();
    for name in ["b/2.png", "b/1.PNG", "a.png", "c.png"] {
        folder.face(name);
    }
    std::fs::write(folder.path("notes.txt"), "no media").unwrap();
    std::fs::write(folder.path(".hidden.png"), "no media").unwrap();
    let root = folder.0.path();
    let output = run(&["--task", "age", "--whole-image", text(root), "--no-landmarks"]);
    assert_eq!(code(&output), 0);
    let rows = rows(&output.stdout);
    let found: Vec<_> =
        rows.iter().map(|r| Path::new(r["path"].as_str().unwrap()).strip_prefix(root).unwrap()).collect();
    assert_eq!(found, ["a.png", "b/1.PNG", "b/2.png", "c.png"].map(Path::new));
    for row in &rows {
        assert!(row["face"]["bbox"].is_null() && row["landmarks_used"] == false && row.get("scores").is_none());
    }
    let empty = Folder::new();
    assert_eq!(code(&run(&["--task", "age", text(empty.0.path())])), 2);
}

#[test]
fn options_change_the_rows() {
    let crop = crop();
    let one = |arguments: &[&str]| {
        let output = run(&[arguments, &[text(&crop), "--whole-image"]].concat());
        assert_eq!(code(&output), 0);
        rows(&output.stdout).remove(0)
    };
    let plain = one(&["--task", "deepfake"]);
    assert_eq!(plain["scores"].as_object().unwrap().keys().collect::<Vec<_>>(), ["fake", "real"]);
    assert_eq!(plain["landmarks_used"], true);
    for scorer in ["words", "likelihood"] {
        assert!(one(&["--task", "deepfake", "--scorer", scorer, "--no-scores"]).get("scores").is_none());
    }
    assert!(one(&["--task", "action-units"])["labels"].is_array());
    assert_ne!(one(&["--task", "deepfake", "--question", "Why is the sky blue?"])["scores"], plain["scores"]);
    for wrong in [
        ["--task", "identity"].as_slice(),
        &["--task", "age", "--overwrite"],
        &["--task", "age", "--all-faces"],
        &["--task", "age", "--face", "eyes"],
        &[],
    ] {
        assert_eq!(code(&run(&[wrong, &[text(&crop), "--whole-image"]].concat())), 2, "{wrong:?}");
    }
    assert_eq!(code(&run(&["--task", "age", text(&crop), "--question", " ", "--whole-image"])), 1);
    let help = run(&["--help"]);
    assert!(String::from_utf8(help.stdout).unwrap().contains("Examples"));
}

#[test]
fn no_face_anywhere_is_told() {
    let folder = Folder::new();
    let (blank, out) = (folder.blank("blank.png"), folder.path("rows.jsonl"));
    let arguments = ["--task", "expression", text(&blank), text(&blank), "--out", text(&out)];
    for _ in 0..2 {
        assert_eq!(code(&run(&arguments)), 3);
        assert_eq!(rows(&std::fs::read(&out).unwrap()).len(), 2);
    }
}

#[test]
fn every_face_has_its_row_and_a_cut_is_mended() {
    let folder = Folder::new();
    let (couple, blank, out) = (folder.couple("couple.png"), folder.blank("blank.png"), folder.path("rows.jsonl"));
    let clip = folder.path("clip.gif");
    let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(std::fs::File::create(&clip).unwrap(), 10);
    let frame = image::DynamicImage::from(landmarks::open(&couple).unwrap().rgb).into_rgba8();
    encoder.encode_frames((0..2).map(|_| image::Frame::new(frame.clone()))).unwrap();
    drop(encoder);
    let arguments =
        ["--task", "age", "--all-faces", "--out", text(&out), text(&couple), text(&blank), text(&clip), text(&couple)];
    assert_eq!(code(&run(&arguments)), 0);
    let whole = std::fs::read(&out).unwrap();
    let rows = rows(&whole);
    let indices: Vec<_> = rows.iter().map(|r| r["face"]["index"].as_u64()).collect();
    assert_eq!(indices, [Some(0), Some(1), None, Some(0), Some(1), Some(0), Some(1)]);
    assert_ne!(rows[0]["face"]["bbox"], rows[1]["face"]["bbox"]);
    // Each is what is said about it alone.
    let alone = run(&["--task", "age", "--face", "1", text(&couple)]);
    assert_eq!(self::rows(&alone.stdout), rows[1..2]);
    let mended = |arguments: &[&str], whole: &[u8], keep: usize| {
        let end = whole.split_inclusive(|b| *b == b'\n').take(keep).map(<[u8]>::len).sum::<usize>();
        std::fs::write(&out, &whole[..end]).unwrap();
        assert_eq!(code(&run(arguments)), 0);
        assert_eq!(std::fs::read(&out).unwrap(), whole, "after {keep} rows");
    };
    // Between the faces of the clip; then anywhere in pictures alone, which take less time.
    mended(&arguments, &whole, 4);
    let pictures = ["--task", "age", "--all-faces", "--out", text(&out), text(&couple), text(&blank), text(&couple)];
    assert_eq!(code(&run(&[pictures.as_slice(), &["--overwrite"]].concat())), 0);
    let whole = std::fs::read(&out).unwrap();
    (0..=5).for_each(|keep| mended(&pictures, &whole, keep));
}

#[test]
fn inputs_that_may_succeed_later_have_no_row_yet() {
    let folder = Folder::new();
    let (photo, clip, out) = (folder.face("a.png"), folder.path("b.mp4"), folder.path("rows.jsonl"));
    // As much of a video as says that it is one.
    std::fs::write(&clip, [b"\0\0\0\x18ftypisom".as_slice(), &[0; 64]].concat()).unwrap();
    for more in ["--whole-image", "--all-faces"] {
        let arguments = ["--task", "age", more, "--overwrite", "--out", text(&out), text(&clip), text(&photo)];
        let without = command(&arguments).env("PATH", folder.path("no programs")).output().unwrap();
        let said = String::from_utf8_lossy(&without.stderr).into_owned();
        assert!(code(&without) == 1 && said.contains("not installed") && said.contains("1 to be asked"), "{said}");
        let paths =
            |out: &Path| rows(&std::fs::read(out).unwrap()).iter().map(|r| r["path"].clone()).collect::<Vec<_>>();
        assert_eq!(paths(&out), [text(&photo)]);
        // With the programs it is known what is wrong with it.
        let again: Vec<&str> = arguments.into_iter().filter(|a| *a != "--overwrite").collect();
        assert_eq!(code(&run(&again)), 1);
        assert_eq!(paths(&out), [text(&photo), text(&clip)]);
    }
}

#[test]
fn a_run_goes_on_where_it_stopped() {
    let folder = Folder::new();
    let names: Vec<PathBuf> = (0..5).map(|i| folder.face(&format!("faces/{i}.png"))).collect();
    std::fs::write(&names[2], "damaged").unwrap();
    let (faces, out) = (folder.path("faces"), folder.path("rows.jsonl"));
    let arguments = ["--task", "expression", "--whole-image", text(&faces), "--out", text(&out)];
    assert_eq!(code(&run(&arguments)), 1);
    let whole = std::fs::read(&out).unwrap();
    assert_eq!(rows(&whole).len(), 5);
    let line = whole.iter().position(|b| *b == b'\n').unwrap();
    for end in [0, 10, line, line + 1, line + 7, whole.len() - 1, whole.len()] {
        std::fs::write(&out, &whole[..end]).unwrap();
        assert_eq!(code(&run(&arguments)), 1, "the failed row counts");
        assert_eq!(std::fs::read(&out).unwrap(), whole, "cut at {end}");
    }
    // What is done is not done again.
    let edited = String::from_utf8(whole.clone()).unwrap().replacen("\"raw\":\"", "\"raw\":\"kept ", 1);
    std::fs::write(&out, &edited).unwrap();
    run(&arguments);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), edited);
    assert_eq!(code(&run(&[arguments.as_slice(), &["--overwrite"]].concat())), 1);
    assert_eq!(std::fs::read(&out).unwrap(), whole);
    // A further input is added.
    let more = folder.face("more.png");
    run(&[arguments.as_slice(), &[text(&more)]].concat());
    let grown = std::fs::read(&out).unwrap();
    assert!(grown.starts_with(&whole) && rows(&grown).len() == 6);
}

#[test]
fn a_killed_run_leaves_whole_rows() {
    let folder = Folder::new();
    let (crop, out) = (crop(), folder.path("rows.jsonl"));
    let inputs: Vec<&str> = std::iter::repeat_n(text(&crop), 12).collect();
    let arguments = [["--task", "expression", "--whole-image", "--out", text(&out)].as_slice(), &inputs].concat();
    // With one session rows come one by one.
    let mut child = command(&arguments).env("RAYON_NUM_THREADS", "1").stderr(Stdio::null()).spawn().unwrap();
    let lines = || std::fs::read(&out).map_or(0, |b| b.iter().filter(|b| **b == b'\n').count());
    while lines() < 3 && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let left = lines();
    assert!((3..12).contains(&left), "{left} rows when killed");
    assert_eq!(code(&run(&arguments)), 0);
    let resumed = std::fs::read(&out).unwrap();
    assert_eq!(code(&run(&[arguments.as_slice(), &["--overwrite"]].concat())), 0);
    assert_eq!(std::fs::read(&out).unwrap(), resumed);
    assert_eq!(rows(&resumed).len(), 12);
}

#[test]
fn rows_of_another_kind_are_refused() {
    let folder = Folder::new();
    let (crop, out) = (crop(), folder.path("rows.jsonl"));
    let run = |more: &[&str]| {
        let output = run(&[["--whole-image", text(&crop), "--out", text(&out)].as_slice(), more].concat());
        (code(&output), String::from_utf8(output.stderr).unwrap())
    };
    assert_eq!(run(&["--task", "expression"]).0, 0);
    let whole = std::fs::read(&out).unwrap();
    for (change, name) in [
        (["--task", "deepfake"].as_slice(), "task"),
        (&["--task", "expression", "--question", "Well?"], "question"),
        (&["--task", "expression", "--no-landmarks"], "landmarks"),
        (&["--task", "expression", "--no-scores"], "scores"),
    ] {
        let (code, message) = run(change);
        assert!(code == 1 && message.contains(name) && message.contains("--overwrite"), "{message}");
    }
    let locked = std::fs::File::open(&out).unwrap();
    locked.lock().unwrap();
    let (code, message) = run(&["--task", "expression", "--overwrite"]);
    assert!(code == 1 && message.contains("another process"), "{message}");
    drop(locked);
    assert_eq!(std::fs::read(&out).unwrap(), whole);
    let garbled = [b"not a row\n".as_slice(), &whole].concat();
    std::fs::write(&out, &garbled).unwrap();
    assert!(run(&["--task", "expression"]).1.contains("line 1"));
    std::fs::remove_file(folder.path("rows.jsonl.settings.json")).unwrap();
    assert_eq!(run(&["--task", "expression"]).0, 1, "a file that this command did not write");
    assert_eq!(std::fs::read(&out).unwrap(), garbled);
    let (code, message) = run(&["--task", "expression", "--overwrite"]);
    assert!(code == 1 && message.contains("holds no rows"), "{message}");
    assert_eq!(std::fs::read(&out).unwrap(), garbled);
    std::fs::write(&out, &whole).unwrap();
    assert_eq!(run(&["--task", "expression", "--overwrite"]).0, 0);
    assert_eq!(std::fs::read(&out).unwrap(), whole);
}

#[test]
fn old_rows_go_only_where_new_ones_can_be_made() {
    let folder = Folder::new();
    let (face, out) = (folder.face("faces/face.png"), folder.path("rows.jsonl"));
    let arguments = ["--task", "expression", "--whole-image", text(&face), "--out", text(&out)];
    assert_eq!(code(&run(&arguments)), 0);
    let whole = std::fs::read(&out).unwrap();
    let nowhere = folder.path("nowhere");
    let elsewhere = Command::new(env!("CARGO_BIN_EXE_face-llava"))
        .args(["run", "--overwrite", "--model", text(&nowhere)])
        .args(arguments)
        .output()
        .unwrap();
    assert_eq!(code(&elsewhere), 1);
    assert_eq!(code(&run(&[arguments.as_slice(), &["--overwrite", "--question", " "]].concat())), 1);
    assert_eq!(std::fs::read(&out).unwrap(), whole);
    let output = run(&["--task", "expression", "--whole-image", text(&face), "--out", "/dev/null"]);
    assert!(code(&output) == 1 && String::from_utf8_lossy(&output.stderr).contains("not a file"));
}

#[test]
fn a_folder_is_the_same_however_it_is_named() {
    let folder = Folder::new();
    folder.face("faces/face.png");
    for path in ["faces", "./faces"] {
        let arguments = ["--task", "expression", "--whole-image", path, "--out", "rows.jsonl"];
        assert_eq!(code(&command(&arguments).current_dir(folder.0.path()).output().unwrap()), 0);
    }
    assert_eq!(rows(&std::fs::read(folder.path("rows.jsonl")).unwrap()).len(), 1);
}

#[test]
fn the_likeliest_label_needs_no_words() {
    let folder = Folder::new();
    let face = folder.face("face.png");
    let words = rows(&run(&["--task", "expression", "--whole-image", text(&face)]).stdout);
    let output = run(&["--task", "expression", "--whole-image", "--scorer", "likelihood", text(&face)]);
    let fast = rows(&output.stdout);
    assert_eq!(code(&output), 0);
    assert_eq!(fast[0]["scores"], words[0]["scores"]);
    let best =
        fast[0]["scores"].as_object().unwrap().iter().max_by(|a, b| a.1.as_f64().partial_cmp(&b.1.as_f64()).unwrap());
    assert_eq!(fast[0]["label"].as_str(), best.map(|(label, _)| label.as_str()));
    assert!(fast[0]["raw"].is_null() && fast[0]["unparsed"] == false && fast[0]["face"].is_object());
    let output = run(&["--task", "age", "--scorer", "likelihood", text(&face)]);
    assert!(code(&output) == 2 && String::from_utf8_lossy(&output.stderr).contains("expression and deepfake"));
}

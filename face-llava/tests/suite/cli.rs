//! The program itself: output, exit codes, messages of one line.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::{astronaut, crop, encoder_fixture, fixture, ids, json};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_face-llava")).args(arguments).output().unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Exit code; stdout; stderr.
fn said(output: &Output) -> (i32, String, String) {
    let utf8 = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), utf8(&output.stdout), utf8(&output.stderr))
}

fn model_arguments() -> Vec<String> {
    [
        ("--model", fixture("tiny-simple/checkpoint")),
        ("--image-tower", encoder_fixture("LanguageBind_Image")),
        ("--video-tower", encoder_fixture("LanguageBind_Video_merge")),
    ]
    .into_iter()
    .flat_map(|(flag, path)| [flag.to_owned(), text(&path).to_owned()])
    .collect()
}

fn ask(arguments: &[&str]) -> Output {
    let model = model_arguments();
    let mut all = vec!["ask"];
    all.extend(model.iter().map(String::as_str));
    all.extend(arguments);
    run(&all)
}

#[test]
fn ask_prints_one_object_with_the_reference_tokens() {
    let photo = json("tiny-simple/photo.json");
    let folder = tempfile::tempdir().unwrap();
    let points = folder.path().join("points.json");
    std::fs::write(&points, photo["landmarks_68_normalised"].to_string()).unwrap();
    let question = photo["question"].as_str().unwrap();
    let crop = crop();
    for (flags, name, used) in [
        (["--landmarks", text(&points)].as_slice(), "with_landmarks", true),
        (["--no-landmarks"].as_slice(), "without_landmarks", false),
    ] {
        let mut arguments =
            vec![text(&crop), question, "--no-detect", "--json", "--max-new-tokens", "24", "--logprobs", "2"];
        arguments.extend(flags);
        let (code, out, err) = said(&ask(&arguments));
        assert_eq!(code, 0, "{err}");
        let answer: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(ids(&answer["token_ids"]), ids(&photo[name]["greedy_new_ids"]));
        assert_eq!(answer["text"], photo[name]["text"]);
        assert_eq!(answer["landmarks_used"], used);
        assert_eq!(answer["stop_reason"], "length");
        for key in ["face", "device", "settings", "logprobs"] {
            assert!(!answer[key].is_null(), "{key}");
        }
        for phase in ["decode", "detect", "landmarks", "tower", "prefill", "per_token"] {
            assert!(answer["timings_ms"][phase].is_number(), "{phase}");
        }
    }
}

#[test]
fn ask_in_words_tells_how_on_stderr() {
    let photo = astronaut();
    let (code, out, err) = said(&ask(&[text(&photo), "What emotion is shown?", "--max-new-tokens", "3"]));
    assert_eq!(code, 0, "{err}");
    assert_eq!(out.lines().count(), 1);
    assert!(err.contains("landmarks used on") && err.contains("1 of 1 faces"), "{err}");
}

#[test]
fn faces_prints_boxes_and_points_and_draws() {
    let folder = tempfile::tempdir().unwrap();
    let (photo, drawn) = (astronaut(), folder.path().join("drawn.png"));
    let (code, out, err) = said(&run(&["faces", text(&photo), "--json", "--overlay", text(&drawn)]));
    assert_eq!(code, 0, "{err}");
    let row: Value = serde_json::from_str(&out).unwrap();
    let face = &row["faces"][0];
    assert_eq!(face["bbox"].as_array().unwrap().len(), 4);
    assert_eq!(face["points"].as_array().unwrap().len(), 68);
    assert!(face["score"].as_f64().unwrap() > 0.9);
    assert_eq!((row["width"].as_u64(), row["pass"].as_str()), (Some(512), Some("whole")));
    assert_eq!(landmarks::open(&drawn).unwrap().rgb.dimensions(), (512, 512));
    let (code, out, _) = said(&run(&["faces", text(&photo)]));
    assert!(code == 0 && out.contains("1 face found") && out.contains("score 0.92"));
}

#[test]
fn one_bad_picture_does_not_stop_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let (bad, photo) = (folder.path().join("bad\njpg.png"), astronaut());
    std::fs::write(&bad, "no picture").unwrap();
    let (code, out, err) = said(&run(&["faces", "--json", text(&bad), text(&photo)]));
    assert_eq!(code, 1);
    assert_eq!(err.lines().count(), 1, "{err:?}");
    let rows: Vec<Value> = out.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert!(rows[0]["error"].as_str().unwrap().contains("text"));
    assert_eq!(rows[1]["faces"].as_array().unwrap().len(), 1);
}

#[test]
fn exit_codes_tell_what_happened() {
    let folder = tempfile::tempdir().unwrap();
    let blank = folder.path().join("blank.png");
    image::RgbImage::new(64, 64).save(&blank).unwrap();
    let (blank, photo, crop) = (text(&blank).to_owned(), astronaut(), crop());
    let code = |output: Output| {
        let (code, out, err) = said(&output);
        assert!(out.is_empty() || code == 3, "{out}");
        assert!(err.lines().count() == 1 || code == 2 || code == 3, "{err:?}");
        assert!(!err.contains("panicked"), "{err}");
        code
    };
    assert_eq!(code(run(&["faces", &blank])), 3);
    assert_eq!(code(ask(&[&blank, "What?"])), 3);
    assert_eq!(code(run(&["faces"])), 2);
    assert_eq!(code(run(&["faces", &blank, text(&photo), "--overlay", "x.png"])), 2);
    assert_eq!(code(run(&["nothing"])), 2);
    assert_eq!(code(run(&["faces", "/nonexistent.png"])), 1);
    assert_eq!(code(run(&["faces", &blank, "--overlay", &blank])), 2);
    // Nothing writes over what it reads.
    let manifest = folder.path().join("manifest.json");
    std::fs::write(&manifest, "[]").unwrap();
    assert_eq!(code(run(&["data", "build", text(&manifest), "--out", text(folder.path())])), 2);
    assert_eq!(code(run(&["run", "--task", "age", &blank, "--out", &blank, "--overwrite"])), 2);
    let held_out = ["eval", "run", "--benchmark", "held-out", "--overwrite"];
    let same = ["--root", text(&manifest), "--out", text(&manifest)];
    assert_eq!(code(run(&[held_out.as_slice(), &same].concat())), 2);
    assert_eq!(std::fs::read(&manifest).unwrap(), b"[]");
    assert_eq!(code(run(&["data", "build", "labels.csv", "--out", "x", "--endpoint", "http://127.0.0.1:9/v1"])), 2);
    assert_eq!(code(ask(&[text(&photo), "What?", "--face", "7"])), 1);
    assert_eq!(code(ask(&[text(&photo), " "])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--temperature", "-1"])), 2);
    assert_eq!(code(ask(&[text(&photo), "What?", "--logprobs", "3"])), 2);
    let recipe = ["train", "--recipe", "mini", "--data", "labels.csv", "--out", "mini"];
    for of_a_stage in ["--dry-run", "--epochs=2", "--model=x", "--targets=q_proj", "--template=training"] {
        assert_eq!(code(run(&[recipe.as_slice(), &[of_a_stage]].concat())), 2);
    }
    assert_eq!(code(ask(&[text(&photo), "What?", "--temperature=-1"])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--temperature=NaN"])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--top-p=2"])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--max-new-tokens=0"])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--device=cuda:9"])), 1);
    assert_eq!(code(ask(&[text(&photo), "What?", "--device=toaster"])), 1);
    assert_eq!(code(run(&["ask", "--model", "/nonexistent", text(&photo), "What?"])), 1);
    assert_eq!(code(ask(&[text(&crop), "What?", "--no-detect", "--landmarks", text(&photo)])), 1);
}

#[test]
fn a_closed_pipe_is_no_error() {
    use std::io::Read;
    let photo = astronaut();
    let arguments: Vec<&str> = std::iter::repeat_n(text(&photo), 12).collect();
    let mut child = Command::new(env!("CARGO_BIN_EXE_face-llava"))
        .arg("faces")
        .arg("--json")
        .args(arguments)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    child.stdout.take().unwrap().read_exact(&mut first).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(said(&output), (0, String::new(), String::new()));
}

#[test]
fn chat_answers_line_by_line() {
    use std::io::Write;
    let photo = astronaut();
    let mut child = Command::new(env!("CARGO_BIN_EXE_face-llava"))
        .arg("chat")
        .args(model_arguments())
        .args([text(&photo), "--max-new-tokens", "3"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"Guess the age.\n \nWhy?\n").unwrap();
    let (code, out, _) = said(&child.wait_with_output().unwrap());
    assert_eq!((code, out.lines().count()), (0, 2), "{out}");
}

#[test]
fn inspect_and_doctor_tell_what_is_there() {
    let folder = fixture("tiny-simple/checkpoint");
    let (image, video) = (encoder_fixture("LanguageBind_Image"), encoder_fixture("LanguageBind_Video_merge"));
    let towers = ["--image-tower", text(&image), "--video-tower", text(&video)];
    let mut arguments = vec!["inspect", text(&folder)];
    arguments.extend(towers);
    let (code, out, err) = said(&run(&arguments));
    assert_eq!(code, 0, "{out}{err}");
    assert!(out.contains("3 of 4 layers") && out.contains("weights: complete") && out.contains("landmark modules"));
    let (code, out, _) = said(&run(&["doctor"]));
    assert!(code == 0 && out.contains("device cpu: works"), "{out}");
}

#[test]
fn every_command_shows_examples() {
    let commands = "faces, ask, chat, run, inspect, bench, data build, train, export, merge, eval, eval check, \
                    eval run, eval merge, eval score, eval report, eval judge";
    for command in commands.split(", ") {
        let arguments: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let (code, out, _) = said(&run(&arguments));
        assert!(code == 0 && out.contains("Example"), "{command}");
    }
}

#[test]
fn a_model_is_exported_in_few_bits_asked_in_half_precision_and_timed() {
    let folder = tempfile::tempdir().unwrap();
    let few = folder.path().join("few");
    let done = |arguments: &[&str]| {
        let (code, out, err) = said(&run(arguments));
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    };
    done(&["export", "--quantize", "int8", "--out", text(&few)]);
    let photo = astronaut();
    for how in [["--model", text(&few)], ["--precision", "bf16"]] {
        let answer = done(&[["ask", text(&photo), "What emotion is shown?"].as_slice(), &how].concat());
        assert!(answer.starts_with("Happiness."), "{how:?}: {answer}");
    }
    let times: Value = serde_json::from_str(&done(&["bench", "--runs", "1", "--json"])).unwrap();
    for what in ["load_ms", "tower_ms", "prefill_ms", "decoding_ms", "label_ms"] {
        assert!(times[what].as_f64().unwrap() > 0.0, "{what}: {times}");
    }
}

//! `face-llava train`, killed and shared out.

use std::path::Path;

use crate::train::records;

/// Writes the file of records that the program trains on, and gives its arguments.
fn command(folder: &Path, out: &str) -> std::process::Command {
    let data = folder.join("records.json");
    std::fs::write(&data, serde_json::to_vec(&records(8)).unwrap()).unwrap();
    let towers = crate::fixture("tiny-simple/checkpoint");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_face-llava"));
    command
        .args(["train", "--stage", "landmarks", "--batch", "2", "--epochs", "3", "--lr", "0.001", "--save-every", "1"])
        .arg("--model")
        .arg(towers)
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(folder.join(out))
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null());
    command
}

#[test]
fn a_program_killed_again_and_again_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    assert!(command(folder.path(), "whole").status().unwrap().success());
    let model = |out: &str| std::fs::read(folder.path().join(out).join("model/model.safetensors")).unwrap();
    // Times that a fixed sequence spreads over the life of the process.
    let mut kills = 0;
    let finished = (0..60_u64).any(|i| {
        let mut child = command(folder.path(), "killed").spawn().unwrap();
        let patience = std::time::Duration::from_millis(200 + i * 7919 % 1500 + 40 * i);
        std::thread::sleep(patience);
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            return true;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        false
    });
    assert!(finished && kills > 0, "{kills} kills");
    assert_eq!(model("killed"), model("whole"));
}

#[test]
fn the_program_shares_steps_among_devices_and_computes_in_bfloat16() {
    let folder = tempfile::tempdir().unwrap();
    let run = |out: &str, options: &[&str]| {
        assert!(command(folder.path(), out).args(options).status().unwrap().success(), "{options:?}");
        let file = folder.path().join(out).join("model/model.safetensors");
        let steps = std::fs::read_to_string(folder.path().join(out).join("metrics.jsonl")).unwrap().lines().count();
        (steps, std::fs::read(file).unwrap())
    };
    // Eight records, two at a time, three times.
    let (steps, alone) = run("alone", &["--accumulation", "2"]);
    assert_eq!(steps, 6);
    assert!(run("shared", &["--more-devices", "cpu"]) == (6, alone.clone()));
    assert!(run("bf16", &["--accumulation", "2", "--bf16"]).1 != alone);
}

#[test]
fn a_dry_run_shows_tokens_and_labels() {
    let folder = tempfile::tempdir().unwrap();
    let output = command(folder.path(), "dry").arg("--dry-run").stdout(std::process::Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("8 examples"), "{text}");
    assert!(text.contains("[picture or frame 0]") && text.contains("▁") | text.contains("\" A\""), "{text}");
    let learnt: Vec<&str> = text.lines().filter(|l| l.ends_with("learnt") && l.contains('\t')).collect();
    assert!(learnt.last().unwrap().contains("</s>"), "{text}");
}

//! `face-llava train`, killed and shared out.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::train::records;

/// Writes the file of records that the program trains on, and gives its arguments.
fn command(folder: &Path, out: &str) -> Command {
    let data = folder.join("records.json");
    std::fs::write(&data, serde_json::to_vec(&records(8)).unwrap()).unwrap();
    stage("landmarks", folder, out)
}

/// Trains on the records that are there.
fn stage(name: &str, folder: &Path, out: &str) -> Command {
    let data = folder.join("records.json");
    let towers = crate::fixture("tiny-simple/checkpoint");
    let mut command = Command::new(env!("CARGO_BIN_EXE_face-llava"));
    command
        .args(["train", "--stage", name, "--batch", "2", "--epochs", "3", "--lr", "0.001", "--save-every", "1"])
        .arg("--model")
        .arg(towers)
        .arg("--data")
        .arg(&data)
        .arg("--out")
        .arg(folder.join(out))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn succeeds(mut command: Command) {
    assert!(command.status().unwrap().success());
}

/// What a command that has to fail says.
fn complaint(mut command: Command) -> String {
    let output = command.stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    said
}

#[test]
fn a_program_killed_again_and_again_ends_in_the_same_bytes() {
    let folder = tempfile::tempdir().unwrap();
    succeeds(command(folder.path(), "whole"));
    let model = |out: &str| std::fs::read(folder.path().join(out).join("model/model.safetensors")).unwrap();
    let checkpoints = folder.path().join("killed/checkpoints");
    let last = || {
        let entries = std::fs::read_dir(&checkpoints).into_iter().flatten().flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|name| name.starts_with("step-")).max()
    };
    let mut kills = 0;
    let finished = (0..60_u64).any(|i| {
        let before = last();
        let mut child = command(folder.path(), "killed").spawn().unwrap();
        // Somewhere after another checkpoint has appeared: in a step, or while the next one is written.
        while last() <= before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(i * 7919 % 40));
        if child.try_wait().unwrap().is_some_and(|status| status.success()) {
            return true;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
        false
    });
    assert!(finished && kills > 2, "{kills} kills");
    assert_eq!(model("killed"), model("whole"));
    // Nothing half written stays, and a finished run is no error.
    succeeds(command(folder.path(), "killed"));
    let names = std::fs::read_dir(checkpoints).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    assert!(names.into_iter().all(|name| name.starts_with("step-")));
}

#[test]
fn unusable_entries_are_set_aside_by_place_and_other_records_are_another_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("records.json");
    let mut entries: Vec<Value> = records(5).iter().map(|r| serde_json::to_value(r).unwrap()).collect();
    // Nobody has a name, as in the authors' files; the fifth shows a face of 67 points and the sixth is no record.
    entries.iter_mut().for_each(|e| drop(e.as_object_mut().unwrap().remove("id")));
    entries[4]["landmarks"][0].as_array_mut().unwrap().pop();
    entries[4]["image"] = "other.png".into();
    entries.push(json!({ "conversations": 3 }));
    std::fs::write(&data, serde_json::to_vec(&entries).unwrap()).unwrap();
    let said = complaint(stage("landmarks", folder.path(), "strict"));
    assert!(said.contains("2 of 6 records") && said.contains("entry 5"), "{said}");
    let mut unclear = stage("landmarks", folder.path(), "unclear");
    let unclear = unclear.args(["--bad-budget", "nan"]).stderr(Stdio::piped()).output().unwrap();
    assert!(unclear.status.code() == Some(2) && String::from_utf8(unclear.stderr).unwrap().contains("bad-budget"));
    let lenient = || {
        let mut command = stage("landmarks", folder.path(), "lenient");
        command.args(["--bad-budget", "0.5"]);
        command
    };
    succeeds(lenient());
    let text = std::fs::read_to_string(folder.path().join("lenient/quarantine.jsonl")).unwrap();
    let bad: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&bad[0]["entry"], &bad[1]["entry"], bad.len()), (&json!(5), &json!(6), 2));
    assert!(bad[0]["error"].as_str().unwrap().contains("67"), "{text}");

    entries.pop();
    std::fs::write(&data, serde_json::to_vec(&entries).unwrap()).unwrap();
    let said = complaint(lenient());
    assert!(said.contains("other settings: records:"), "{said}");
    // Without any picture nothing can be learnt.
    entries.iter_mut().for_each(|e| e["image"] = "none.png".into());
    std::fs::write(&data, serde_json::to_vec(&entries).unwrap()).unwrap();
    let mut none = stage("all", folder.path(), "none");
    none.args(["--bad-budget", "1"]);
    assert!(complaint(none).contains("without anything to learn"));
    assert!(!folder.path().join("none/model").exists());
    // Nor landmark modules without landmarks.
    entries.iter_mut().for_each(|e| drop(e.as_object_mut().unwrap().remove("landmarks")));
    std::fs::write(&data, serde_json::to_vec(&entries).unwrap()).unwrap();
    assert!(complaint(stage("landmarks", folder.path(), "pointless")).contains("no record has landmarks"));
}

#[test]
fn an_adapter_follows_from_the_seed_and_merges() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("records.json"), serde_json::to_vec(&records(4)).unwrap()).unwrap();
    let adapter = |out: &str, seed: &str| {
        let mut command = stage("lora", folder.path(), out);
        command.args(["--rank", "2", "--gradient-checkpointing", "--seed", seed]);
        succeeds(command);
        std::fs::read(folder.path().join(out).join("adapter/adapter_model.safetensors")).unwrap()
    };
    let one = adapter("one", "1");
    assert!(one == adapter("again", "1") && one != adapter("two", "2"));
    let mut merge = Command::new(env!("CARGO_BIN_EXE_face-llava"));
    merge.arg("merge").stdout(Stdio::null()).arg("--model").arg(crate::fixture("tiny-simple/checkpoint"));
    merge.arg("--adapter").arg(folder.path().join("one/adapter")).arg("--out").arg(folder.path().join("merged"));
    succeeds(merge);
    // Each weight is the base's and what was learnt about it.
    let of = |path: &Path| landmarks::weights::Weights::open(path).unwrap();
    let base = of(&crate::fixture("tiny-simple/checkpoint"));
    let learnt = of(&folder.path().join("one/adapter/adapter_model.safetensors"));
    let merged = of(&folder.path().join("merged/model.safetensors"));
    let name = "model.layers.0.self_attn.q_proj.weight";
    let [down, up] = ["A", "B"].map(|side| {
        learnt.read_f32(&format!("base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight")).unwrap()
    });
    let (was, is) = (base.read_f32(name).unwrap(), merged.read_f32(name).unwrap());
    let width = down.len() / 2;
    let mut moved = 0.0_f32;
    for (i, (was, is)) in was.iter().zip(&is).enumerate() {
        let (row, column) = (i / width, i % width);
        let added: f32 = (0..2).map(|r| up[2 * row + r] * down[r * width + column]).sum::<f32>() * 16.0 / 2.0;
        // In half precision.
        assert!((was + added - is).abs() < 1e-3 * (1.0 + is.abs()), "{i}: {was} and {added}, not {is}");
        moved = moved.max(added.abs());
    }
    assert!(moved > 1e-2, "{moved}");
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
    let output = command(folder.path(), "dry").arg("--dry-run").stdout(Stdio::piped()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with("8 examples"), "{text}");
    assert!(text.contains("[picture or frame 0]") && text.contains("▁") | text.contains("\" A\""), "{text}");
    let learnt: Vec<&str> = text.lines().filter(|l| l.ends_with("learnt") && l.contains('\t')).collect();
    assert!(learnt.last().unwrap().contains("</s>"), "{text}");
    // A tower may lie elsewhere.
    let with_tower = |tower: &Path| {
        let mut command = command(folder.path(), "dry");
        command.args(["--dry-run", "--image-tower"]).arg(tower);
        command
    };
    succeeds(with_tower(&crate::encoder_fixture("LanguageBind_Image")));
    assert!(complaint(with_tower(Path::new("nowhere"))).contains("nowhere"));
    // What cannot be meant is refused before anything is loaded.
    let refused = |options: &[&str]| {
        let output = command(folder.path(), "dry").args(options).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{options:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(refused(&["--rank", "2"]).contains("--stage lora"));
    assert!(refused(&["--more-devices", "cpu", "--accumulation", "1"]).contains("without a batch"));
    // A model that was there before is not this run's.
    std::fs::create_dir_all(folder.path().join("dry/model")).unwrap();
    let output = command(folder.path(), "dry").stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("without the checkpoints"));
}

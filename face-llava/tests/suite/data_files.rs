//! The files around a build: manifests in, records out, their parts and what is wrong with them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use face_llava::data::{
    self, BuildOptions, DataError, Fractions, LabelOrigin, LandmarksField, Record, Split, read_records,
};
use face_llava::{Error, Task};
use image::RgbImage;
use serde_json::Value;

use crate::data::{Set, fails};

fn rejected(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("rejected.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn bad_manifests_are_errors_with_file_and_reason() {
    let set = Set::new(1);
    let error = |text: &str| {
        set.manifest(text);
        let error = fails(&set.options("out"));
        (error.code(), error.to_string())
    };
    for (text, code, says) in [
        ("", "empty_manifest", "no rows"),
        ("image,expression\n", "empty_manifest", "no rows"),
        ("[]", "empty_manifest", "no rows"),
        ("{\"image\": 1}", "manifest", "list of objects"),
        ("[{]", "manifest", "line 1"),
        ("image\0,expression\n1,2\n", "manifest", "no text"),
        ("image,expression,expression\na,b,\n", "manifest", "two columns are named \"expression\""),
        ("image,person\na,\"b\nc,d\n", "manifest", "line 2: a cell of several lines"),
        ("path,expression\na,b\n", "columns", "no column \"image\""),
        ("image,expresion\na,b\n", "columns", "did you mean \"expression\""),
        ("Image,expression\na,b\n", "columns", "did you mean \"image\""),
        ("image,license\na,b\n", "columns", "did you mean \"licence\""),
        ("image,sex\n00.png,x\n", "no_tasks", "--tasks"),
    ] {
        let (found, message) = error(text);
        assert_eq!(found, code, "{text:?}: {message}");
        assert!(message.contains(says) && message.contains("labels.csv"), "{text:?}: {message}");
    }
    std::fs::remove_file(set.path("labels.csv")).unwrap();
    assert!(matches!(data::build(&set.options("out"), |_| ()), Err(Error::Landmarks(landmarks::Error::Io { .. }))));
}

#[test]
fn a_bad_row_is_listed_and_the_others_go_on() {
    let set = Set::new(2);
    std::fs::write(set.path("broken.png"), b"\x89PNG\r\n\x1a\n....").unwrap();
    std::fs::write(set.path("text.jpg"), b"no picture").unwrap();
    RgbImage::new(64, 64).save(set.path("black.png")).unwrap();
    set.manifest(
        "image,expression,age,action_units,attributes,extra\n\
         00.png,happiness,,,,\n\
         00.png,happiness,,,,\n\
         none.png,neutral,,,,\n\
         01.png,hapiness,,,,\n\
         ./01.png,neutral,130,,,\n\
         .//01.png,neutral,,13,,\n\
         .///01.png,neutral,,,Smilling,\n\
         broken.png,neutral,,,,\n\
         text.jpg,neutral,,,,\n\
         black.png,neutral,,,,\n\
         ,neutral,,,,\n\
         01.png,neutral\n\
         ././01.png,Neutral,34,AU12 25,smiling;young,\n",
    );
    let tasks = Some(vec![Task::Expression]);
    let options = BuildOptions { tasks, ..set.options("out") };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.items, report.kept, report.pending), (13, 2, 0));
    assert_eq!(report.ignored_columns, ["extra"]);
    let rejected = rejected(&set.path("out"));
    let codes: Vec<&str> = rejected.iter().map(|r| r["code"].as_str().unwrap()).collect();
    let expected = [
        "duplicate_id",
        "missing_file",
        "unknown_label",
        "bad_age",
        "unknown_label",
        "unknown_label",
        "bad_picture",
        "bad_picture",
        "low_quality",
        "no_media",
        "bad_row",
    ];
    assert_eq!(codes, expected);
    let says = |at: usize, text: &str| {
        let message = rejected[at]["message"].as_str().unwrap();
        assert!(message.contains(text) && message.contains("labels.csv:"), "{message}");
        assert!(!message.contains(set.folder.path().to_str().unwrap()), "{message}");
    };
    says(0, "taken by labels.csv:2");
    says(1, "none.png");
    says(2, "nearest: \"happiness\"");
    says(4, "nearest: \"AU12\"");
    says(5, "nearest: \"Smiling\"");
    let manifest: Value = serde_json::from_slice(&std::fs::read(set.path("out/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["counts"]["kept"], 2);
    assert_eq!(manifest["counts"]["rejected"]["unknown_label"], 3);
    assert_eq!(manifest["source"]["licence"][0], "unknown");
    // A file that comes later is taken up, all else stays as it is.
    std::fs::copy(set.path("00.png"), set.path("none.png")).unwrap();
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.resumed, report.kept, report.rejected.get("missing_file")), (12, 3, None));
}

#[test]
fn manifests_tell_the_licence_of_every_row() {
    let set = Set::new(3);
    set.manifest("image,expression,licence\n00.png,happiness,CC0\n01.png,neutral,\n02.png,sadness,\n");
    let said = |out: &str, licence: Option<&str>| {
        let licence = licence.map(str::to_owned);
        data::build(&BuildOptions { licence, ..set.options(out) }, |_| ()).unwrap();
        let manifest: Value =
            serde_json::from_slice(&std::fs::read(set.path(out).join("manifest.json")).unwrap()).unwrap();
        manifest["source"]["licence"].clone()
    };
    assert_eq!(said("a", None), serde_json::json!(["CC0", "unknown"]));
    assert_eq!(said("b", Some("non-commercial")), serde_json::json!(["CC0", "non-commercial"]));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_clip() {
    let set = Set::new(1);
    assert!(Command::new("mkfifo").arg(set.path("pipe.mp4")).status().unwrap().success());
    set.manifest("video,image,expression\npipe.mp4,,happiness\n,00.png,happiness\n");
    let report =
        data::build(&BuildOptions { tasks: Some(vec![Task::Expression]), ..set.options("out") }, |_| ()).unwrap();
    assert_eq!((report.items, report.kept), (2, 1));
    assert_eq!(rejected(&set.path("out"))[0]["code"], "bad_picture");
}

#[test]
fn json_manifests_and_labels_of_every_task() {
    let set = Set::new(1);
    std::fs::create_dir(set.path("images")).unwrap();
    std::fs::rename(set.path("00.png"), set.path("images/a.png")).unwrap();
    set.manifest(
        r#"[{"image": "a.png", "id": "first", "expression": "Fear", "action_units": [25, 12], "attributes": ["Young"],
            "age": 34, "deepfake": "fake", "person": "p1", "source": "s", "licence": "CC0"}]"#,
    );
    assert_eq!(data::build(&set.options("out"), |_| ()).unwrap().kept, 5);
    let records = read_records(set.path("out/records.json")).unwrap();
    let answers: Vec<&str> = records.iter().map(|r| r.conversations[1].value.as_str()).collect();
    assert!(answers[0].starts_with("Fear. "), "{answers:?}");
    assert!(answers[1].starts_with("AU12 (Lip Corner Puller), AU25 (Lips Part). "), "{answers:?}");
    assert!(answers[2].starts_with("Young; "), "{answers:?}");
    assert!(answers[3].starts_with("34 years old"), "{answers:?}");
    assert!(answers[4].starts_with("Fake: "), "{answers:?}");
    assert!(records.iter().all(|r| r.meta.as_ref().unwrap().origin == LabelOrigin::Human));
    assert_eq!(records[0].id, "first#expression");
}

#[test]
fn users_questions_replace_ours() {
    let set = Set::new(2);
    let options = BuildOptions { questions: Some(set.path("questions.txt")), ..set.options("out") };
    std::fs::write(set.path("questions.txt"), "expression\tHow does it look?\n\nage\tHow old?\n").unwrap();
    data::build(&options, |_| ()).unwrap();
    let records = read_records(set.path("out/records.json")).unwrap();
    assert!(records.iter().all(|r| r.conversations[0].value == "<image>\nHow does it look?"));
    for (text, says) in [
        ("expresion\tx\n", "nearest: \"expression\""),
        ("expression x\n", "no tab"),
        ("expression\t<image> x\n", "placeholder"),
        ("{\"age\": [\"\"]}", "1 to 1000 bytes"),
    ] {
        std::fs::write(set.path("questions.txt"), text).unwrap();
        let error = fails(&options);
        assert!(error.code() == "questions" && error.to_string().contains(says), "{error}");
    }
}

#[test]
fn splits_have_no_person_in_common() {
    let set = Set::new(1);
    let record = |i: usize| {
        let id = format!("r{i}");
        serde_json::json!({
            "id": id, "image": "media/a.png", "conversations": [],
            "meta": { "task": "age", "labels": [], "origin": "none", "person": format!("p{}", i / 3), "source_id": id }
        })
    };
    let all: Vec<Value> = (0..300).map(record).collect();
    std::fs::write(set.path("records.json"), serde_json::to_vec(&all).unwrap()).unwrap();
    let fractions = Fractions { train: 0.6, val: 0.2, test: 0.2 };
    let report = data::split(&set.path("records.json"), &set.path("parts"), &fractions, 5).unwrap();
    let mut seen: BTreeMap<String, Split> = BTreeMap::new();
    let mut count = 0;
    for part in &report.parts {
        let records = read_records(set.path("parts").join(format!("{}.json", part.split.name()))).unwrap();
        assert_eq!(records.len(), part.records);
        count += records.len();
        for record in records {
            assert_eq!(record.image.as_deref(), Some(Path::new("../media/a.png")));
            let person = record.meta.unwrap().person.unwrap();
            assert_eq!(data::split_of(&person, 5, &fractions), part.split);
            assert_eq!(*seen.entry(person).or_insert(part.split), part.split);
        }
    }
    assert_eq!(count, 300);
    let share = report.parts[0].persons as f64 / 100.0;
    assert!((share - 0.6).abs() < 0.15, "{share}");
    // What is said about one picture goes into one part, whatever the records are called.
    let about =
        |i: usize| serde_json::json!({ "id": format!("r{i}"), "image": format!("{}.png", i % 2), "conversations": [] });
    std::fs::write(set.path("theirs.json"), serde_json::to_vec(&(0..40).map(about).collect::<Vec<_>>()).unwrap())
        .unwrap();
    let halves = Fractions { train: 1.0, val: 0.0, test: 0.0 };
    assert_eq!(data::split(&set.path("theirs.json"), &set.path("theirs"), &halves, 5).unwrap().parts[0].persons, 2);
    // Records are not split over themselves.
    let part = set.path("parts/train.json");
    let whole = std::fs::read(&part).unwrap();
    let error = data::split(&part, &set.path("parts"), &fractions, 8).unwrap_err();
    assert!(error.to_string().contains("--out") && std::fs::read(&part).unwrap() == whole, "{error}");
    // What cannot be written whole leaves no part of the split before.
    let parts = set.path("parts");
    std::fs::remove_file(parts.join("test.json")).unwrap();
    std::fs::create_dir_all(parts.join("test.json/in the way")).unwrap();
    assert!(data::split(&set.path("records.json"), &parts, &fractions, 6).is_err());
    assert!(["train.json", "val.json", "split.json"].iter().all(|name| !parts.join(name).exists()));
    std::fs::remove_dir_all(parts).unwrap();
    // A part of no size may be empty.
    let all_for_training = Fractions { train: 1.0, val: 0.0, test: 0.0 };
    assert!(data::split(&set.path("records.json"), &set.path("parts"), &all_for_training, 5).is_ok());
    std::fs::write(set.path("few.json"), serde_json::to_vec(&all[..3]).unwrap()).unwrap();
    let error = data::split(&set.path("few.json"), &set.path("few"), &fractions, 5).unwrap_err();
    assert!(matches!(error, Error::Data(DataError::EmptySplit { records: 3, persons: 1, .. })), "{error}");
    assert!(!set.path("few").exists());
    assert!(data::split(&set.path("few.json"), &set.path("few"), &Fractions { train: 0.5, ..fractions }, 5).is_err());
}

#[test]
fn the_authors_records_load_and_ours_come_back() {
    let set = Set::new(2);
    let theirs = r#"[{"image": ["a.jpg"], "landmarks_2d": "a.npy", "conversations":
        [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Happy."}]},
        {"id": "x", "video": "b.mp4", "conversations": []}]"#;
    std::fs::write(set.path("theirs.json"), theirs).unwrap();
    let records = read_records(set.path("theirs.json")).unwrap();
    assert_eq!(records[0].landmarks, Some(LandmarksField::Path("a.npy".into())));
    assert!(records[0].media() == Some(Path::new("a.jpg")) && records[0].meta.is_none());
    assert!(records[1].media() == Some(Path::new("b.mp4")));
    data::build(&set.all_tasks("out"), |_| ()).unwrap();
    let ours = read_records(set.path("out/records.json")).unwrap();
    let lines: Vec<String> = ours.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
    std::fs::write(set.path("lines.jsonl"), lines.join("\n")).unwrap();
    assert_eq!(read_records(set.path("lines.jsonl")).unwrap(), ours);
    for (text, says) in [
        ("[{\"conversations\": []}, {\"conversations\": 3}]", "entry 2"),
        ("[{\"image\": [\"a.jpg\", \"b.jpg\"], \"conversations\": []}]", "2 pictures"),
        ("{\"conversations\": []}\n{\"conv", "bad.json:2"),
        ("[{\"conversations\": []},", "bad.json:1"),
    ] {
        std::fs::write(set.path("bad.json"), text).unwrap();
        let error = read_records(set.path("bad.json")).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn checks_name_each_bad_record() {
    let set = Set::new(1);
    data::build(&set.all_tasks("out"), |_| ()).unwrap();
    let good = read_records(set.path("out/records.json")).unwrap().remove(0);
    let code = |change: &dyn Fn(&mut Record)| {
        let mut record = good.clone();
        change(&mut record);
        let path = set.path("out/changed.json");
        std::fs::write(&path, serde_json::to_vec(&vec![record]).unwrap()).unwrap();
        data::check(&path).unwrap().iter().map(|p| p.code).collect::<Vec<_>>()
    };
    assert!(code(&|_| ()).is_empty());
    assert_eq!(code(&|r| r.image = None), ["no_media"]);
    assert_eq!(code(&|r| r.image = Some("media/none.png".into())), ["bad_media"]);
    assert_eq!(code(&|r| r.image = Some("manifest.json".into())), ["bad_media"]);
    // Two frames are no picture.
    std::fs::create_dir(set.path("out/clip")).unwrap();
    for name in ["0.png", "1.png"] {
        std::fs::copy(set.path("00.png"), set.path("out/clip").join(name)).unwrap();
    }
    assert_eq!(code(&|r| r.image = Some("clip".into())), ["bad_media"]);
    assert_eq!(code(&|r| r.conversations.truncate(1)), ["turns"]);
    assert_eq!(code(&|r| r.conversations.swap(0, 1)), ["turns", "placeholders"]);
    assert_eq!(code(&|r| r.conversations[1].value = "<image>".into()), ["placeholders"]);
    assert_eq!(code(&|r| r.conversations[0].value = "What?".into()), ["placeholders"]);
    assert_eq!(code(&|r| r.conversations[0].value = "<video>\nWhat?".into()), ["placeholders"]);
    assert_eq!(code(&|r| r.conversations[1].value = " ".into()), ["empty_message"]);
    assert_eq!(code(&|r| r.meta.as_mut().unwrap().labels = vec!["joy".into()]), ["unknown_label"]);
    let points = |sets| move |r: &mut Record| r.landmarks = Some(LandmarksField::Points(sets));
    for sets in [vec![vec![[0.5; 2]; 67]], vec![], vec![vec![[120.0; 2]; 68]], vec![vec![[0.5; 2]; 68]; 2]] {
        let change = points(sets);
        assert_eq!(code(&|r| change.clone()(r)), ["bad_landmarks"]);
    }
    // Points in a file: absent, of a list too short, whole.
    let file = |r: &mut Record| r.landmarks = Some(LandmarksField::Path("points.json".into()));
    assert_eq!(code(&file), ["bad_landmarks"]);
    for (points, codes) in [(67, vec!["bad_landmarks"]), (68, vec![])] {
        std::fs::write(set.path("out/points.json"), serde_json::to_vec(&vec![[0.5; 2]; points]).unwrap()).unwrap();
        assert_eq!(code(&file), codes);
    }
    let broken = format!("{}\n{{\"conversations\": 3}}\n", serde_json::to_string(&good).unwrap());
    std::fs::write(set.path("out/broken.jsonl"), broken).unwrap();
    let problems = data::check(&set.path("out/broken.jsonl")).unwrap();
    assert_eq!((problems.len(), problems[0].code, problems[0].entry), (1, "no_record", 2));
    let twice = serde_json::to_vec(&vec![good.clone(), good.clone()]).unwrap();
    std::fs::write(set.path("out/twice.json"), twice).unwrap();
    let problems = data::check(&set.path("out/twice.json")).unwrap();
    assert_eq!((problems.len(), problems[0].code, problems[0].entry), (1, "duplicate_id", 2));
    let output = Command::new(env!("CARGO_BIN_EXE_face-llava"))
        .args(["data", "check", set.path("out/twice.json").to_str().unwrap(), "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("duplicate_id"));
}

//! Building datasets: the same bytes however often it is interrupted, and a name for everything that goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use face_llava::data::{
    self, BuildOptions, DataError, Faces, Fractions, LabelOrigin, LandmarksField, Record, Shard, Split, read_records,
};
use face_llava::{Error, Task};
use image::RgbImage;
use serde_json::Value;

use crate::{crop, device};

/// A folder with a manifest and small pictures of one face, each a little different.
pub(crate) struct Set {
    pub folder: tempfile::TempDir,
}

impl Set {
    /// `rows` pictures; every other one mirrored, each a little darker.
    pub fn new(rows: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let face = image::open(crop()).unwrap().into_rgb8();
        let face = image::imageops::resize(&face, 96, 96, image::imageops::FilterType::Triangle);
        let mut manifest = String::from("image,expression,person\n");
        for row in 0..rows {
            let picture = if row % 2 == 0 { face.clone() } else { image::imageops::flip_horizontal(&face) };
            let picture = image::imageops::brighten(&picture, -4 * row as i32);
            picture.save(folder.path().join(format!("{row:02}.png"))).unwrap();
            manifest += &format!("{row:02}.png,{},p{}\n", ["happiness", "neutral", "sadness"][row % 3], row / 2);
        }
        std::fs::write(folder.path().join("labels.csv"), manifest).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn manifest(&self, text: &str) {
        std::fs::write(self.path("labels.csv"), text).unwrap();
    }

    /// Whole pictures, into a folder of this name.
    pub fn options(&self, out: &str) -> BuildOptions {
        let options = BuildOptions::new(self.path("labels.csv"), self.path(out), device());
        BuildOptions { faces: Faces::Whole, ..options }
    }

    pub fn all_tasks(&self, out: &str) -> BuildOptions {
        BuildOptions { tasks: Some(Task::ALL.to_vec()), ..self.options(out) }
    }

    fn command(&self, out: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_face-llava"));
        command.args(["data", "build", "--whole-image", "--tasks", "all", "--device", "cpu"]);
        command.arg(self.path("labels.csv")).arg("--out").arg(self.path(out));
        command
    }
}

fn fails(options: &BuildOptions) -> DataError {
    match data::build(options, |_| ()) {
        Err(Error::Data(error)) => error,
        other => panic!("{other:?}"),
    }
}

/// All files of a finished build but journals, locks and caches.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let (path, name) = entry.map(|e| (e.path(), e.file_name().into_string().unwrap())).unwrap();
        if path.is_dir() && name == "media" {
            all.extend(files(&path).into_iter().map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else if path.is_file() && !name.starts_with("journal-") && !name.starts_with(".lock-") {
            all.insert(name, std::fs::read(&path).unwrap());
        }
    }
    all
}

fn assert_same(a: &Path, b: &Path) {
    let (a, b) = (files(a), files(b));
    assert_eq!(a.keys().collect::<Vec<_>>(), b.keys().collect::<Vec<_>>());
    for (name, bytes) in &a {
        assert!(b[name] == *bytes, "{name} differs");
    }
    assert!(a.contains_key("records.json") && a.contains_key("manifest.json") && a.contains_key("rejected.jsonl"));
}

fn rejected(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("rejected.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn records_carry_answers_that_begin_with_the_label() {
    let set = Set::new(4);
    let report = data::build(&set.all_tasks("out"), |_| ()).unwrap();
    assert_eq!((report.items, report.kept, report.complete), (20, 20, true));
    let records = read_records(set.path("out/records.json")).unwrap();
    assert_eq!(records.len(), 20);
    for record in &records {
        let meta = record.meta.as_ref().unwrap();
        let [question, answer] = record.conversations.as_slice() else { panic!("{record:?}") };
        assert!(meta.task.questions().iter().any(|q| question.value == format!("<image>\n{q}")), "{question:?}");
        let words = answer.value.split_whitespace().count();
        assert!((8..=40).contains(&words), "{words}: {}", answer.value);
        let begins = match (meta.task, meta.labels.first()) {
            (Task::Expression, Some(label)) => format!("{}{}. ", label[..1].to_uppercase(), &label[1..]),
            (Task::ActionUnits, Some(label)) => format!("{label} ("),
            (Task::ActionUnits, None) => "No action unit is clearly active. ".into(),
            (Task::Attributes, None) => "No listed attribute stands out; ".into(),
            (Task::Attributes, Some(label)) => {
                let words = label.replace('_', " ").to_lowercase();
                format!("{}{}", words[..1].to_uppercase(), &words[1..])
            }
            (Task::Age, None) => "I cannot tell the age".into(),
            (Task::Deepfake, Some(label)) => format!("{}{}: ", label[..1].to_uppercase(), &label[1..]),
            other => panic!("{other:?}"),
        };
        assert!(answer.value.starts_with(&begins), "{begins:?} {:?}", answer.value);
        let origin = match meta.task {
            Task::Expression => LabelOrigin::Human,
            Task::ActionUnits | Task::Attributes => LabelOrigin::Geometry,
            Task::Age => LabelOrigin::None,
            Task::Deepfake => LabelOrigin::Made,
        };
        assert_eq!(meta.origin, origin);
        let Some(LandmarksField::Points(sets)) = &record.landmarks else { panic!("{record:?}") };
        assert!(sets.len() == 1 && sets[0].len() == 68);
    }
    assert!(data::check(&set.path("out")).unwrap().is_empty());
    let stats = data::stats(&set.path("out"), &Fractions::default(), 0).unwrap();
    assert_eq!((stats.records, stats.persons, stats.tasks.len()), (20, 2, 5));
}

#[test]
fn a_build_that_was_killed_again_and_again_equals_an_undisturbed_one() {
    let set = Set::new(10);
    data::build(&set.all_tasks("whole"), |_| ()).unwrap();
    let mut kills = 0;
    for attempt in 0..200u64 {
        let mut child = set.command("killed").stdout(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(40 + attempt * 37 % 220));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 0, "nothing was interrupted");
    assert!(set.command("killed").output().unwrap().status.success());
    assert_same(&set.path("whole"), &set.path("killed"));
    let journal = std::fs::read_to_string(set.path("killed/journal-0-of-1.jsonl")).unwrap();
    let items: Vec<(u64, String)> = journal
        .lines()
        .skip(1)
        .map(|line| {
            let entry: Value = serde_json::from_str(line).unwrap();
            (entry["row"].as_u64().unwrap(), entry["task"].as_str().unwrap().to_owned())
        })
        .collect();
    assert_eq!(items.len(), 50, "finished items are not repeated");
    assert_eq!(items.iter().collect::<BTreeSet<_>>().len(), 50);
}

#[test]
fn shards_together_equal_one_build_whoever_comes_last() {
    let set = Set::new(5);
    data::build(&set.all_tasks("one"), |_| ()).unwrap();
    let shard = |index| BuildOptions { shard: Shard { index, count: 2 }, ..set.all_tasks("two") };
    let late = data::build(&shard(1), |_| ()).unwrap();
    assert_eq!((late.complete, late.items), (false, 10));
    assert!(!set.path("two/records.json").exists());
    assert!(matches!(data::merge(&shard(0)), Err(Error::Data(DataError::Unfinished { missing: 15, items: 25, .. }))));
    assert!(data::build(&shard(0), |_| ()).unwrap().complete);
    assert_same(&set.path("one"), &set.path("two"));
    // Both at once, on a folder that is done: each assembles, the bytes stay.
    std::thread::scope(|scope| {
        for index in 0..2 {
            let options = shard(index);
            scope.spawn(move || assert!(data::build(&options, |_| ()).unwrap().complete));
        }
    });
    assert!(data::merge(&shard(0)).unwrap().complete);
    assert_same(&set.path("one"), &set.path("two"));
    // Another number of shards does not fit what is there.
    let error = fails(&BuildOptions { shard: Shard { index: 0, count: 3 }, ..set.all_tasks("two") });
    assert!(error.to_string().contains("shards: 2 -> 3"), "{error}");
}

#[test]
fn shards_come_from_schedulers() {
    let from = |pairs: &[(&str, &str)]| {
        let map: BTreeMap<String, String> = pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect();
        Shard::from_environment(|name| map.get(name).cloned())
    };
    assert_eq!(from(&[]).unwrap(), None);
    let slurm = [("SLURM_ARRAY_TASK_ID", "7"), ("SLURM_ARRAY_TASK_COUNT", "4"), ("SLURM_ARRAY_TASK_MIN", "5")];
    assert_eq!(from(&slurm).unwrap(), Some(Shard { index: 2, count: 4 }));
    let kubernetes = [("JOB_COMPLETION_INDEX", "3"), ("JOB_COMPLETIONS", "4")];
    assert_eq!(from(&kubernetes).unwrap(), Some(Shard { index: 3, count: 4 }));
    assert!(from(&kubernetes[..1]).is_err());
    assert!(from(&[("SLURM_ARRAY_TASK_ID", "9"), ("SLURM_ARRAY_TASK_COUNT", "4")]).is_err());
    assert!(Shard::parse("4/4").is_err() && Shard::parse("x").is_err() && Shard::parse("0/4").is_ok());
}

#[test]
fn other_settings_are_refused_with_the_difference() {
    let set = Set::new(2);
    data::build(&set.options("out"), |_| ()).unwrap();
    let before = files(&set.path("out"));
    let error = fails(&BuildOptions { seed: 3, self_blend: 0.25, ..set.options("out") });
    assert_eq!(error.code(), "settings_changed");
    let text = error.to_string();
    assert!(text.contains("seed: 0 -> 3") && text.contains("self_blend: 0.5 -> 0.25"), "{text}");
    set.manifest("image,expression,person\n00.png,anger,p0\n");
    assert!(fails(&set.options("out")).to_string().contains("source: "));
    assert_eq!(files(&set.path("out")), before);
}

#[test]
fn a_torn_last_line_is_cut_and_a_changed_one_is_named() {
    let set = Set::new(3);
    data::build(&set.options("out"), |_| ()).unwrap();
    let journal = set.path("out/journal-0-of-1.jsonl");
    let whole = files(&set.path("out"));
    let text = std::fs::read_to_string(&journal).unwrap();
    for cut in [1, 20, 300] {
        std::fs::write(&journal, &text[..text.len() - cut]).unwrap();
        let report = data::build(&set.options("out"), |_| ()).unwrap();
        assert_eq!((report.resumed, report.kept), (2, 3));
        assert_eq!(files(&set.path("out")), whole);
    }
    let changed = text.replacen("\"row\":", "\"raw\":", 1);
    std::fs::write(&journal, changed).unwrap();
    let error = fails(&set.options("out"));
    assert!(error.code() == "journal" && error.to_string().contains("journal-0-of-1.jsonl:2"), "{error}");
}

#[test]
fn two_processes_do_not_share_a_shard() {
    let set = Set::new(1);
    std::fs::create_dir(set.path("out")).unwrap();
    let lock = std::fs::File::create(set.path("out/.lock-0-of-1")).unwrap();
    lock.lock().unwrap();
    assert!(matches!(fails(&set.options("out")), DataError::Busy { .. }));
    drop(lock);
    assert!(data::build(&set.options("out"), |_| ()).unwrap().complete);
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
    let report = data::build(&BuildOptions { tasks, ..set.options("out") }, |_| ()).unwrap();
    assert_eq!((report.items, report.kept), (13, 2));
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
fn faces_are_found_filtered_and_cropped() {
    let set = Set::new(1);
    let photo = image::open(crate::astronaut()).unwrap().into_rgb8();
    photo.save(set.path("one.png")).unwrap();
    let near = image::imageops::crop_imm(&photo, 100, 10, 256, 256).to_image();
    let mut two = RgbImage::new(512, 256);
    image::imageops::replace(&mut two, &near, 0, 0);
    image::imageops::replace(&mut two, &near, 256, 0);
    two.save(set.path("two.png")).unwrap();
    RgbImage::from_pixel(300, 300, image::Rgb([90, 120, 90])).save(set.path("none.png")).unwrap();
    set.manifest("image,expression\none.png,happiness\ntwo.png,happiness\nnone.png,happiness\n");
    let single = BuildOptions { faces: Faces::Single, ..set.options("single") };
    let report = data::build(&single, |_| ()).unwrap();
    assert_eq!(report.kept, 1, "{report:?}");
    assert_eq!((report.rejected["several_faces"], report.rejected["no_face"]), (1, 1));
    let record = &read_records(set.path("single/records.json")).unwrap()[0];
    let written = image::open(set.path("single").join(record.image.as_ref().unwrap())).unwrap().into_rgb8();
    let reference = image::open(crop()).unwrap().into_rgb8();
    let apart: u64 = written.iter().zip(reference.iter()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert!(apart / (256 * 256 * 3) < 3, "the crop is the reference's to a pixel: {apart}");
    let largest = BuildOptions { faces: Faces::Largest, ..set.options("largest") };
    assert_eq!(data::build(&largest, |_| ()).unwrap().kept, 2);
    let sure = BuildOptions { faces: Faces::Largest, min_face_score: 0.999, ..set.options("sure") };
    assert_eq!(data::build(&sure, |_| ()).unwrap().rejected["low_score"], 2);
}

#[test]
fn clips_become_folders_of_frames() {
    let set = Set::new(3);
    std::fs::create_dir(set.path("clip")).unwrap();
    for (i, name) in ["00.png", "01.png", "02.png"].iter().enumerate() {
        std::fs::copy(set.path(name), set.path("clip").join(format!("{i}.png"))).unwrap();
    }
    set.manifest("video,expression\nclip,surprise\n");
    data::build(&set.options("out"), |_| ()).unwrap();
    let records = read_records(set.path("out/records.json")).unwrap();
    let record = &records[0];
    assert!(record.conversations[0].value.starts_with("<video>\n"));
    let frames = std::fs::read_dir(set.path("out").join(record.video.as_ref().unwrap())).unwrap().count();
    let Some(LandmarksField::Points(sets)) = &record.landmarks else { panic!("{record:?}") };
    assert_eq!(sets.len(), frames);
    assert!(data::check(&set.path("out")).unwrap().is_empty());
}

#[test]
fn a_full_disk_keeps_what_is_finished() {
    let set = Set::new(6);
    data::build(&set.all_tasks("whole"), |_| ()).unwrap();
    let journal = std::fs::metadata(set.path("whole/journal-0-of-1.jsonl")).unwrap().len();
    // No file may grow beyond half the journal; the crops are smaller.
    let limit = journal / 2 / 512;
    let arguments: Vec<String> = set.command("full").get_args().map(|a| format!("'{}'", a.to_str().unwrap())).collect();
    let script = format!(
        "trap '' XFSZ; ulimit -f {limit}; exec {} {} --workers 1",
        env!("CARGO_BIN_EXE_face-llava"),
        arguments.join(" ")
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let message = said(&output);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("cannot be written") && message.contains("finished items are kept"), "{message}");
    let text = std::fs::read_to_string(set.path("full/journal-0-of-1.jsonl")).unwrap();
    assert!(text.ends_with('\n') && text.lines().count() > 2, "the half line was taken back");
    assert!(!set.path("full/records.json").exists());
    let report = data::build(&set.all_tasks("full"), |_| ()).unwrap();
    assert_eq!(report.resumed, text.lines().count() - 1);
    assert_same(&set.path("whole"), &set.path("full"));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error() {
    let set = Set::new(1);
    std::fs::write(set.path("file"), b"").unwrap();
    let error = fails(&set.options("file/out"));
    assert!(matches!(error, DataError::Write { .. }), "{error}");
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
    let theirs = r#"[{"image": "a.jpg", "landmarks_2d": "a.npy", "conversations":
        [{"from": "human", "value": "<image>\nWhat?"}, {"from": "gpt", "value": "Happy."}]},
        {"id": "x", "video": "b.mp4", "conversations": []}]"#;
    std::fs::write(set.path("theirs.json"), theirs).unwrap();
    let records = read_records(set.path("theirs.json")).unwrap();
    assert_eq!(records[0].landmarks, Some(LandmarksField::Path("a.npy".into())));
    assert!(records[0].meta.is_none() && records[1].media() == Some(Path::new("b.mp4")));
    data::build(&set.all_tasks("out"), |_| ()).unwrap();
    let ours = read_records(set.path("out/records.json")).unwrap();
    let lines: Vec<String> = ours.iter().map(|r| serde_json::to_string(r).unwrap()).collect();
    std::fs::write(set.path("lines.jsonl"), lines.join("\n")).unwrap();
    assert_eq!(read_records(set.path("lines.jsonl")).unwrap(), ours);
    for (text, says) in [
        ("[{\"conversations\": []}, {\"conversations\": 3}]", "entry 2"),
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
    assert_eq!(code(&|r| r.conversations.truncate(1)), ["turns"]);
    assert_eq!(code(&|r| r.conversations.swap(0, 1)), ["turns", "placeholders"]);
    assert_eq!(code(&|r| r.conversations[1].value = "<image>".into()), ["placeholders"]);
    assert_eq!(code(&|r| r.conversations[0].value = "What?".into()), ["placeholders"]);
    assert_eq!(code(&|r| r.conversations[1].value = " ".into()), ["empty_message"]);
    assert_eq!(code(&|r| r.meta.as_mut().unwrap().labels = vec!["joy".into()]), ["unknown_label"]);
    let points = |sets| move |r: &mut Record| r.landmarks = Some(LandmarksField::Points(sets));
    for sets in [vec![vec![[0.5; 2]; 67]], vec![], vec![vec![[120.0; 2]; 68]], vec![vec![[0.5; 2]; 68]; 2]] {
        let change = points(sets);
        assert_eq!(code(&|r| change.clone()(r)), ["bad_landmarks"]);
    }
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

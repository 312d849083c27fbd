//! Building datasets: the same bytes however often it is interrupted, and a name for everything that goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use face_llava::data::{
    self, BuildOptions, DataError, Faces, Fractions, LabelOrigin, LandmarksField, Shard, read_records,
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
        // One row after the other, and no shard that this machine's scheduler might name.
        command.args(["data", "build", "--whole-image", "--tasks", "all", "--device", "cpu", "--workers", "1"]);
        for name in ["SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "JOB_COMPLETION_INDEX", "JOB_COMPLETIONS"] {
            command.env_remove(name);
        }
        command.arg(self.path("labels.csv")).arg("--out").arg(self.path(out));
        command
    }
}

/// The same command under limits that a shell sets.
fn limited(limits: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits}; exec \"$@\""), "sh"]).arg(command.get_program()).args(command.get_args());
    for (name, _) in command.get_envs() {
        shell.env_remove(name);
    }
    shell
}

pub(crate) fn fails(options: &BuildOptions) -> DataError {
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
            (Task::Attributes, None) => "No attributes stand out; ".into(),
            (Task::Attributes, Some(label)) => {
                let words = label.replace('_', " ").to_lowercase();
                format!("{}{}", words[..1].to_uppercase(), &words[1..])
            }
            (Task::Age, None) => "I cannot tell the age".into(),
            (Task::Deepfake, Some(label)) => format!("{}{}: ", label[..1].to_uppercase(), &label[1..]),
            other => panic!("{other:?}"),
        };
        // What the reader of answers reads out of it.
        let read = meta.task.labels_of(&answer.value);
        let cannot = meta.origin == LabelOrigin::None;
        assert_eq!(read, (!cannot).then(|| meta.labels.clone()), "{}", answer.value);
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
    let journal = set.path("killed/journal-0-of-1.jsonl");
    let written = || std::fs::metadata(&journal).map_or(0, |meta| meta.len());
    let mut kills = 0;
    for attempt in 0..200u64 {
        let before = written();
        let mut child = set.command("killed").stdout(Stdio::null()).spawn().unwrap();
        // Somewhere after it has written more than there was.
        while written() <= before && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(2));
        }
        std::thread::sleep(Duration::from_millis(attempt * 37 % 60));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            break;
        }
        child.kill().unwrap();
        child.wait().unwrap();
        kills += 1;
    }
    assert!(kills > 2, "{kills} interruptions");
    assert!(set.command("killed").output().unwrap().status.success());
    assert_same(&set.path("whole"), &set.path("killed"));
    let journal = std::fs::read_to_string(journal).unwrap();
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
fn processes_side_by_side_equal_one_build_though_one_is_killed() {
    let set = Set::new(10);
    data::build(&set.all_tasks("one"), |_| ()).unwrap();
    let start = |variables: [(&str, &str); 2]| {
        let mut command = set.command("two");
        command.envs(variables).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let slurm = || start([("SLURM_ARRAY_TASK_ID", "0"), ("SLURM_ARRAY_TASK_COUNT", "2")]);
    let mut other = start([("JOB_COMPLETION_INDEX", "1"), ("JOB_COMPLETIONS", "2")]);
    let mut killed = slurm();
    let journal = |index| set.path(&format!("two/journal-{index}-of-2.jsonl"));
    let finished = |index| std::fs::read_to_string(journal(index)).map_or(0, |text| text.lines().count());
    while finished(0) < 3 && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    killed.kill().unwrap();
    assert!(!killed.wait().unwrap().success(), "killed in the middle");
    assert!(other.wait().unwrap().success());
    assert!(!set.path("two/records.json").exists());
    let before = finished(0);
    assert!(slurm().wait().unwrap().success());
    assert_same(&set.path("one"), &set.path("two"));
    // Disjoint and complete, nothing a second time: a line of settings, and 25 items each.
    assert!(before >= 3 && (finished(0), finished(1)) == (26, 26), "{before}");
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

/// However many machines took part, a process has but a few files open.
#[cfg(unix)]
#[test]
fn more_shards_than_files_that_may_be_open_are_assembled() {
    let set = Set::new(5);
    data::build(&set.all_tasks("one"), |_| ()).unwrap();
    let count = 96;
    for index in 0..5 {
        data::build(&BuildOptions { shard: Shard { index, count }, ..set.all_tasks("many") }, |_| ()).unwrap();
    }
    // Shards without a row: their journals hold the settings alone.
    let journal = |index| set.path(&format!("many/journal-{index}-of-{count}.jsonl"));
    let text = std::fs::read_to_string(journal(0)).unwrap();
    for index in 5..count {
        std::fs::write(journal(index), text.lines().next().unwrap().to_owned() + "\n").unwrap();
    }
    std::fs::remove_file(set.path("many/records.json")).unwrap();
    let mut merge = set.command("many");
    merge.args(["--merge", "--shard", &format!("0/{count}")]);
    let output = limited("ulimit -n 48", &merge).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    assert_same(&set.path("one"), &set.path("many"));
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
    // Frames without a face are none for clips either.
    image::RgbImage::new(64, 64).save(set.path("clip/1.png")).unwrap();
    let report = data::build(&set.options("black"), |_| ()).unwrap();
    assert_eq!((report.kept, report.rejected["low_quality"]), (0, 1));
}

#[test]
fn a_full_disk_keeps_what_is_finished() {
    let set = Set::new(6);
    data::build(&set.all_tasks("whole"), |_| ()).unwrap();
    let journal = std::fs::metadata(set.path("whole/journal-0-of-1.jsonl")).unwrap().len();
    // No file may grow beyond half the journal; the crops are smaller.
    let limit = journal / 2 / 512;
    let limits = format!("trap '' XFSZ; ulimit -f {limit}");
    let output = limited(&limits, &set.command("full")).output().unwrap();
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

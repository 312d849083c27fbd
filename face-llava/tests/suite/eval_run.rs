//! `face-llava eval`: predictions that survive being killed, shards, scores, reports.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use face_llava::eval::{BENCHMARKS, Score, model_identity, read_all, read_predictions, write_predictions};
use face_llava::{ModelDir, RowFile};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::eval_layouts::Layouts;
use crate::server::{Reply, Server};
use crate::{crop, encoder_fixture, fixture, open_dir, towers};

fn eval(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_face-llava")).arg("eval").args(arguments).output().unwrap()
}

fn good(arguments: &[&str]) -> String {
    let output = eval(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bad(arguments: &[&str]) -> String {
    let output = eval(arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && !message.contains("internal error"), "{arguments:?}: {message}");
    message
}

/// `eval run` with the small random model.
fn command(benchmark: &str, root: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_face-llava"));
    command.args(["eval", "run", "--benchmark", benchmark, "--root"]).arg(root);
    command.arg("--model").arg(fixture("tiny-simple/checkpoint"));
    command.arg("--image-tower").arg(encoder_fixture("LanguageBind_Image"));
    command.arg("--video-tower").arg(encoder_fixture("LanguageBind_Video_merge"));
    command.args(["--whole-image", "--max-new-tokens", "3", "--out"]).arg(out).args(more);
    command
}

/// RAF-DB with some faces of its test part.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(items: usize) -> Self {
        let bench = Self(tempfile::tempdir().unwrap());
        let face = landmarks::open(crop()).unwrap().rgb;
        for folder in ["EmoLabel", "Image/aligned"] {
            std::fs::create_dir_all(bench.path(folder)).unwrap();
        }
        let mut list = String::new();
        for i in 1..=items {
            // Darker and darker, so that each answer is the item's own.
            let picture = image::imageops::brighten(&face, -3 * (i as i32 % 60));
            let small = image::imageops::thumbnail(&picture, 64, 64);
            small.save(bench.path(&format!("Image/aligned/test_{i:04}_aligned.jpg"))).unwrap();
            list += &format!("test_{i:04}.jpg {}\n", 1 + i % 7);
        }
        std::fs::write(bench.path("EmoLabel/list_patition_label.txt"), list).unwrap();
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn rows(&self, name: &str) -> Vec<Value> {
        let text = String::from_utf8(self.read(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn command(&self, out: &str, more: &[&str]) -> Command {
        command("raf-db", self.0.path(), &self.path(out), more)
    }

    fn run(&self, out: &str, more: &[&str]) -> (bool, String) {
        let output = self.command(out, more).output().unwrap();
        let message = String::from_utf8(output.stderr).unwrap();
        assert!(!message.contains("internal error"), "{message}");
        (output.status.success(), message)
    }
}

#[test]
fn from_a_folder_to_a_report() {
    let bench = Bench::new(8);
    std::fs::write(bench.path("Image/aligned/test_0003_aligned.jpg"), "no picture").unwrap();
    let (done, message) = bench.run("rows", &["--likelihood"]);
    assert!(done && message.contains("8 items") && message.contains("7 answered"), "{message}");
    let rows = bench.rows("rows");
    assert_eq!(rows.len(), 8);
    assert!(rows[2]["raw"].is_null() && rows[2]["error"]["code"] == "input", "{}", rows[2]);
    assert_eq!(rows[0]["likelihoods"].as_object().unwrap().len(), 7);
    assert!(rows[0]["raw"].is_string() && rows[0]["landmarks_used"] == true);
    let settings = RowFile::settings(&bench.path("rows")).unwrap();
    assert_eq!((&settings["benchmark"], &settings["items"]), (&json!("raf-db"), &json!(8)));
    assert_eq!(settings["answerer"]["model"]["weights_sha256"].as_str().unwrap().len(), 64);
    assert_eq!(settings["answerer"]["detect"], false);

    let (rows, scores) = (bench.text("rows"), bench.text("scores.json"));
    let all = "text-compatible,strict,likelihood";
    let table = good(&["score", &rows, "--scorer", all, "--out", &scores]);
    assert!(table.contains("RAF-DB") && table.lines().count() >= 4, "{table}");
    let read: Vec<Score> = serde_json::from_slice(&bench.read("scores.json")).unwrap();
    assert!(read.len() == 3 && read.iter().all(|score| score.items == 8 && score.failed == 1));
    assert_eq!(read[2].confusion.as_ref().unwrap().counts.iter().flatten().sum::<u64>(), 8);

    let out = bench.text("report");
    good(&["report", &scores, "--predictions", &rows, "--out", &out]);
    let report = String::from_utf8(bench.read("report/report.md")).unwrap();
    assert!(report.contains("| zero-shot | Face-LLaVA | 0.780 |") && report.contains("**checkpoint** (likelihood"));
    let json: Value = serde_json::from_slice(&bench.read("report/report.json")).unwrap();
    assert_eq!((json["scores"].as_array().unwrap().len(), json["paper"][0]["table"].as_u64()), (3, Some(3)));
    let pictures = report.split("](").filter_map(|part| part.split(')').next()).filter(|name| name.ends_with(".svg"));
    let pictures: Vec<&str> = pictures.collect();
    assert!(pictures.len() >= 6 && pictures.iter().all(|name| bench.path("report").join(name).exists()));
    let page = String::from_utf8(bench.read("report/index.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg;base64,/9j/").count(), 7);
    assert!(bad(&["report", &scores, "--out", &out]).contains("is there already"));
    assert!(bad(&["report", &rows, "--out", &bench.text("x")]).contains("not a file of scores"));
}

/// The model inside, from finding the face to the report.
#[cfg(feature = "mini")]
#[test]
fn all_nine_stand_in_one_report() {
    let layouts = Layouts::new();
    let out = tempfile::tempdir().unwrap();
    let path = |name: &str| out.path().join(name);
    let mut files = Vec::new();
    for known in BENCHMARKS {
        let rows = path(known.name());
        let mut command = Command::new(env!("CARGO_BIN_EXE_face-llava"));
        command.args(["eval", "run", "--benchmark", known.name(), "--root"]).arg(layouts.root(known.name()));
        let output = command.arg("--out").arg(&rows).output().unwrap();
        assert!(output.status.success(), "{}: {}", known.name(), String::from_utf8_lossy(&output.stderr));
        let read = read_predictions(&rows).unwrap().rows;
        let expected = Layouts::expected(known.name());
        assert_eq!(read.iter().map(|row| (row.id.clone(), row.truth.clone())).collect::<Vec<_>>(), expected);
        assert!(read.iter().all(|row| row.raw.is_some() && row.landmarks_used == Some(true)), "{read:?}");
        files.push(rows.to_str().unwrap().to_owned());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let (scores, report) = (path("scores"), path("report"));
    let (scores, report) = (scores.to_str().unwrap(), report.to_str().unwrap());
    let score = ["score", "--scorer", "text-compatible,strict", "--out", scores];
    let table = good(&[score.as_slice(), &files].concat());
    assert_eq!(serde_json::from_slice::<Vec<Score>>(&std::fs::read(scores).unwrap()).unwrap().len(), 18);
    good(&[["report", scores, "--out", report, "--predictions"].as_slice(), &files].concat());
    let text = std::fs::read_to_string(path("report/report.md")).unwrap();
    assert!(!text.contains("No run."));
    for known in BENCHMARKS {
        assert!(table.contains(known.title()) && text.contains(&format!("### {}\n", known.title())));
    }
    for heading in ["Table 3", "Table 4", "Table 5", "Table 10"] {
        assert!(text.contains(&format!("## {heading}:")), "{heading}");
    }
    let listed = good(&["list"]);
    assert!(BENCHMARKS.iter().all(|known| listed.contains(known.name()) && listed.contains(known.layout())));
    let check = eval(&["check", "--benchmark", "dfew", "--root", layouts.root("dfew").to_str().unwrap()]);
    let told = String::from_utf8(check.stdout).unwrap();
    assert!(check.status.code() == Some(1) && told.contains("the published dataset has 2341"), "{told}");
}

#[test]
fn data_of_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::copy(crop(), path("a.png")).unwrap();
    let rows: String = (0..40).map(|person| format!("{person},a.png,happiness,person {person}\n")).collect();
    std::fs::write(path("labels.csv"), format!("id,image,expression,person\n{rows}")).unwrap();
    let record = json!([{ "id": "1", "image": "a.png", "conversations": [],
        "meta": { "task": "age", "labels": ["31"], "origin": "human", "source_id": "1" } }]);
    std::fs::write(path("test.json"), record.to_string()).unwrap();
    let run = |benchmark, root: &str, out: &str, more: &[&str]| {
        let more = [["--no-landmarks"].as_slice(), more].concat();
        command(benchmark, &path(root), &path(out), &more).output().unwrap().status.code()
    };
    assert_eq!(run("held-out", "labels.csv", "own", &["--likelihood"]), Some(0));
    assert_eq!(run("records", "test.json", "ages", &["--task", "age"]), Some(0));
    let own = read_predictions(&path("own")).unwrap();
    assert!((1..20).contains(&own.rows.len()) && own.settings["benchmark"] == "held-out");
    let text = |name: &str| path(name).to_str().unwrap().to_owned();
    good(&["score", &text("own"), &text("ages"), "--out", &text("scores")]);
    good(&["report", &text("scores"), "--out", &text("report")]);
    let report = std::fs::read_to_string(path("report/report.md")).unwrap();
    assert!(report.contains("### held-out: expression") && report.contains("### records: age"));
    for wrong in [["--task", "age"], ["--split", "test"]] {
        assert_eq!(run("held-out", "labels.csv", "x", &wrong), Some(2));
    }
    assert_eq!(run("records", "test.json", "x", &[]), Some(2));
    assert_eq!(run("raf-db", ".", "x", &["--task", "age"]), Some(2));
    assert!(bad(&["check", "--benchmark", "rafdb", "--root", "."]).contains("raf-db, disfa"));
}

#[test]
fn a_model_is_what_it_holds() {
    let identity = model_identity(&open_dir()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("tiny-simple/checkpoint")).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let copy = || model_identity(&ModelDir::open_with(folder.path(), &towers()).unwrap()).unwrap();
    let differences = |other: &Value| {
        let names = identity.as_object().unwrap().keys().filter(|name| identity[*name] != other[*name]);
        names.cloned().collect::<Vec<_>>()
    };
    assert_eq!(identity.as_object().unwrap().len(), 6);
    assert_eq!(differences(&copy()), ["name"]);
    let weights = folder.path().join("model-00002-of-00002.safetensors");
    let mut bytes = std::fs::read(&weights).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&weights, bytes).unwrap();
    assert_eq!(differences(&copy()), ["name", "weights_sha256"]);
}

#[test]
fn kills_change_nothing() {
    let bench = Bench::new(40);
    let more = ["--no-landmarks", "--likelihood"];
    assert!(bench.run("whole", &more).0);
    let whole = bench.read("whole");
    let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(5);
    let length = || std::fs::metadata(bench.path("rows")).map_or(0, |m| m.len());
    let cut = |to: u64| {
        std::fs::OpenOptions::new().write(true).open(bench.path("rows")).and_then(|file| file.set_len(to)).unwrap();
    };
    let mut kills = 0;
    while kills < 8 {
        let (before, rows) = (length(), random.random_range(1..4));
        // With one session rows come one by one.
        let mut command = bench.command("rows", &more);
        let mut child = command.env("RAYON_NUM_THREADS", "1").stderr(Stdio::null()).spawn().unwrap();
        // Anywhere between two rows, or in the middle of one.
        while length() < before + rows * 250 && child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
        std::thread::sleep(Duration::from_millis(random.random_range(0..20)));
        let late = child.try_wait().unwrap().is_some();
        child.kill().unwrap();
        child.wait().unwrap();
        kills += u64::from(!late);
        if late {
            cut(length() / 2);
        } else if kills % 4 == 0 && length() > 0 {
            // A system that goes down may lose the end of the last row.
            cut(length().saturating_sub(random.random_range(0..60)));
        }
    }
    cut(length().min(whole.len() as u64 - 1));
    assert!(read_predictions(&bench.path("rows")).is_err(), "not finished");
    assert!(bench.run("rows", &more).0);
    assert!(bench.read("rows") == whole);
    assert_eq!(bench.read("rows.settings.json"), bench.read("whole.settings.json"));
}

#[test]
fn shards_laid_together_are_the_whole() {
    let bench = Bench::new(7);
    let more = ["--no-landmarks", "--likelihood"];
    assert!(bench.run("whole", &more).0);
    let names = ["0", "1", "2"];
    for name in names {
        assert!(bench.run(name, &[more.as_slice(), &["--shard", &format!("{name}/3")]].concat()).0);
    }
    let count = |name: &str| bench.rows(name).len();
    assert_eq!(names.map(count), [3, 2, 2]);
    let paths = names.map(|name| bench.text(name));
    let mixed = [&paths[1], &paths[2], &paths[0]].map(String::as_str);
    good(&[["merge"].as_slice(), &mixed, &["--out", &bench.text("merged")]].concat());
    for ending in ["", ".settings.json"] {
        assert!(bench.read(&format!("merged{ending}")) == bench.read(&format!("whole{ending}")));
    }
    let score = |files: &[&str]| good(&[["score", "--scorer", "likelihood"].as_slice(), files].concat());
    assert_eq!(score(&mixed), score(&[&bench.text("whole")]));
    assert!(bad(&["score", &paths[0], &paths[2]]).contains("shard 1/3 of this run is missing"));
    assert!(bad(&["score", &paths[0], &paths[0]]).contains("given twice"));
    assert!(bad(&["merge", &paths[0], &bench.text("whole"), "--out", &bench.text("x")]).contains("missing"));
    let both = [bench.text("whole"), bench.text("whole")];
    assert!(bad(&["merge", &both[0], &both[1], "--out", &bench.text("x")]).contains("several runs"));
    assert_eq!(read_all(&both).unwrap().len(), 2);
    // Rows of another run are not written over unless it is said.
    let merge = [["merge"].as_slice(), &mixed, &["--out", &both[0]]].concat();
    let settings = String::from_utf8(bench.read("whole.settings.json")).unwrap();
    let other = settings.replace("\"question\": \"", "\"question\": \"So: ");
    std::fs::write(bench.path("whole.settings.json"), other).unwrap();
    let refused = bad(&merge);
    assert!(refused.contains("question: ") && refused.contains("--overwrite"), "{refused}");
    good(&[merge.as_slice(), &["--overwrite"]].concat());
    assert!(
        ["", ".settings.json"].iter().all(|e| bench.read(&format!("merged{e}")) == bench.read(&format!("whole{e}")))
    );
}

#[test]
fn rows_of_another_kind_are_refused() {
    let bench = Bench::new(2);
    let run = |more: &[&str]| bench.run("rows", &[["--no-landmarks"].as_slice(), more].concat());
    assert!(run(&[]).0);
    let whole = bench.read("rows");
    for (change, name) in [
        (["--question", "Well?"].as_slice(), "question"),
        (&["--likelihood"], "likelihood"),
        (&["--limit", "1"], "items"),
        (&["--shard", "0/2"], "shard"),
        (&["--crop", "aligned"], "answerer.crop"),
        (&["--template", "training"], "answerer.template"),
    ] {
        let (done, message) = run(change);
        assert!(!done && message.contains(name) && message.contains("--overwrite"), "{message}");
    }
    let locked = std::fs::File::open(bench.path("rows")).unwrap();
    locked.lock().unwrap();
    assert!(run(&[]).1.contains("another process"));
    drop(locked);
    // The same data under other labels is other data.
    let list = String::from_utf8(bench.read("EmoLabel/list_patition_label.txt")).unwrap();
    std::fs::write(bench.path("EmoLabel/list_patition_label.txt"), list.replace(".jpg 2", ".jpg 3")).unwrap();
    assert!(run(&[]).1.contains("dataset_sha256"));
    assert!(bench.read("rows") == whole);
    assert!(run(&["--overwrite", "--limit", "1", "--question", "Well?"]).0);
    assert_eq!(bench.rows("rows").len(), 1);
    for wrong in [["--no-generate"].as_slice(), &["--shard", "2/2"], &["--endpoint", "http://localhost:1/v1"]] {
        assert_eq!(bench.command("x", wrong).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn likelihoods_without_words() {
    let bench = Bench::new(3);
    assert!(bench.run("rows", &["--no-landmarks", "--likelihood", "--no-generate"]).0);
    assert!(bench.run("both", &["--no-landmarks", "--likelihood"]).0);
    let likelihoods = |name: &str| bench.rows(name).iter().map(|row| row["likelihoods"].clone()).collect::<Vec<_>>();
    assert_eq!(likelihoods("rows"), likelihoods("both"));
    assert!(bench.rows("rows").iter().all(|row| row["raw"].is_null() && row["error"].is_null()));
    assert!(bad(&["score", &bench.text("rows")]).contains("--scorer likelihood"));
    good(&["score", &bench.text("rows"), "--scorer", "likelihood", "--out", &bench.text("scores")]);
    good(&["report", &bench.text("scores"), "--predictions", &bench.text("rows"), "--out", &bench.text("report")]);
    let page = String::from_utf8(bench.read("report/index.html")).unwrap();
    assert!(page.contains("\"scorer\":\"likelihood\""));
}

#[test]
fn foreign_words_stay_words() {
    let bench = Bench::new(2);
    assert!(bench.run("rows", &["--no-landmarks"]).0);
    let mut predictions = read_predictions(&bench.path("rows")).unwrap();
    let markup = "</script><script>alert(1)</script> | ![x](http://x.example) `";
    predictions.rows[0].raw = Some(markup.into());
    predictions.rows[1].id = markup.into();
    predictions.settings["question"] = markup.into();
    predictions.settings["answerer"]["model"]["name"] = markup.into();
    write_predictions(&predictions, &bench.path("marked"), false).unwrap();
    let (rows, scores, out) = (bench.text("marked"), bench.text("scores"), bench.text("report"));
    good(&["score", &rows, "--out", &scores]);
    good(&["report", &scores, "--predictions", &rows, "--out", &out]);
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(path.ends_with("report.json") || path.ends_with("report.md") || !text.contains("<script>alert"));
    }
    // Settings stand between backticks, of which they hold none themselves.
    let report = String::from_utf8(bench.read("report/report.md")).unwrap();
    let (code, words): (Vec<&str>, Vec<&str>) = report.lines().partition(|line| line.starts_with("- "));
    assert!(code.iter().all(|line| line.matches('`').count() == 2));
    assert!(words.iter().all(|line| !line.contains("<script>") && !line.contains("![x]")));
    assert!(words.iter().any(|line| line.contains("\\!\\[x\\](http")));
}

#[test]
fn another_model_and_a_judge_behind_endpoints() {
    let bench = Bench::new(3);
    let server = Server::new(|_, body| {
        let judged = body["messages"].as_array().unwrap().len() == 2;
        let scores = r#"{"media_consistency":8,"truth_consistency":6,"completeness":7,"reason":"as it looks"}"#;
        Reply::Text(if judged { scores } else { "Happiness. The lip corners are up." }.into())
    });
    let endpoint = ["--endpoint", &server.url, "--endpoint-model", "tester"];
    let (root, rows, judged) = (bench.0.path().to_str().unwrap(), bench.text("rows"), bench.text("judged"));
    let run = ["run", "--benchmark", "raf-db", "--root", root, "--out", &rows];
    good(&[run.as_slice(), &endpoint].concat());
    assert!(bench.rows("rows").iter().all(|row| row["raw"] == "Happiness. The lip corners are up."));
    assert_eq!(RowFile::settings(&bench.path("rows")).unwrap()["answerer"]["model"], "tester");
    // What only one kind of answerer knows is refused for the other, rather than ignored.
    for (option, value) in [("--max-new-tokens", "9"), ("--model", "m"), ("--crop", "aligned"), ("--device", "cpu")] {
        assert!(bad(&[run.as_slice(), &endpoint, &[option, value]].concat()).contains(option), "{option}");
    }
    assert!(bad(&[run.as_slice(), &["--max-tokens", "9"]].concat()).contains("--endpoint"));
    good(&["score", &rows, "--out", &bench.text("scores")]);
    let told = good(&[["judge", &rows, "--repeats", "2", "--out", &judged].as_slice(), &endpoint].concat());
    assert!(told.contains("8.00   6.00   7.00"), "{told}");
    assert_eq!(server.asked(), 3 + 6);
    good(&["judge", &rows, "--repeats", "2", "--replay", &judged, "--out", &bench.text("again")]);
    assert!(bench.read("again") == bench.read("judged") && server.asked() == 9);
    assert_eq!(eval(&["judge", &rows, "--out", &bench.text("x")]).status.code(), Some(2));
    // From elsewhere no picture would be found.
    let moved = String::from_utf8(bench.read("rows")).unwrap().replace(root, "elsewhere");
    std::fs::write(bench.path("moved"), moved).unwrap();
    std::fs::copy(bench.path("rows.settings.json"), bench.path("moved.settings.json")).unwrap();
    let lost = bench.text("lost");
    let refused = bad(&[["judge", &bench.text("moved"), "--out", &lost].as_slice(), &endpoint].concat());
    assert!(refused.contains("elsewhere") && refused.contains("not there") && !Path::new(&lost).exists(), "{refused}");
    let out = bench.text("report");
    good(&["report", &bench.text("scores"), "--judgements", &judged, "--out", &out]);
    let report = String::from_utf8(bench.read("report/report.md")).unwrap();
    assert!(report.contains("| this run | **judged answers** | **8.00** | - | - | - | - | - |"), "{report}");
    assert!(report.contains("**tester** (strict, 3 of 3 items)") && !Path::new(&out).join("index.html").exists());
}

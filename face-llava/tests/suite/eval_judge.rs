//! The judge and other models behind endpoints, as they are on bad days.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use face_llava::Task;
use face_llava::data::{ChatOptions, Usage};
use face_llava::eval::judge::{
    ChatJudge, Criteria, Judge, JudgeOptions, JudgeReport, RUBRIC, ReplayJudge, judge, rubric_sha256,
};
use face_llava::eval::{Answerer, EndpointAnswerer, EvalError, Prediction, PredictionFault, Predictions, Truth};
use image::{Rgb, RgbImage};
use serde_json::{Value, json};

use crate::server::{Reply, Server};

/// A folder with pictures and answers about them.
struct Bench {
    folder: tempfile::TempDir,
    predictions: Predictions,
}

impl Bench {
    /// One item for each answer, named after it.
    fn new(answers: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let row = |(i, answer): (usize, &&str)| {
            let path = folder.path().join(format!("{i}.png"));
            RgbImage::from_pixel(16, 16, Rgb([i as u8, 0, 0])).save(&path).unwrap();
            Prediction {
                id: format!("item {answer}"),
                path: path.to_str().unwrap().into(),
                truth: Truth::Label("happiness".into()),
                raw: Some((*answer).into()),
                likelihoods: None,
                landmarks_used: None,
                error: None,
            }
        };
        let rows = answers.iter().enumerate().map(row).collect();
        Self { folder, predictions: Predictions { settings: json!({ "question": "What is shown?" }), rows } }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// With one worker, so that the server counts what comes when.
    fn judge(&self, by: &dyn Judge, repeats: usize, out: &str) -> Result<JudgeReport, EvalError> {
        let options = JudgeOptions { repeats, workers: 1, ..JudgeOptions::default() };
        judge(&self.predictions, Task::Expression, by, &options, &self.path(out), |_| ())
    }

    /// Judgements, settings and summary.
    fn files(&self, out: &str) -> [String; 3] {
        ["", ".settings.json", ".summary.json"]
            .map(|ending| std::fs::read_to_string(self.path(&format!("{out}{ending}"))).unwrap())
    }

    fn lines(&self, out: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path(out)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn scores(media: u8, truth: u8, completeness: u8) -> String {
    let reason = "as it looks";
    json!({ "media_consistency": media, "truth_consistency": truth, "completeness": completeness, "reason": reason })
        .to_string()
}

/// What a request says about the item.
fn asked(body: &Value) -> Value {
    serde_json::from_str(body["messages"][1]["content"][0]["text"].as_str().unwrap()).unwrap()
}

/// Rates an answer that is a number by that number.
fn good(_: usize, body: &Value) -> Reply {
    let n: u8 = asked(body)["answer"].as_str().unwrap().parse().unwrap();
    Reply::Text(scores(n, 10 - n, 5))
}

fn chat(options: &ChatOptions) -> ChatJudge {
    ChatJudge::new(options, None).unwrap()
}

fn means(report: &JudgeReport) -> Option<[f64; 3]> {
    report.tasks[0].means.map(|means| means.values().map(|mean| *mean))
}

#[test]
fn answers_are_judged_by_media_truth_and_rubric_and_paid_for_once() {
    let (bench, server) = (Bench::new(&["2", "5", "8"]), Server::new(good));
    let cached = ChatJudge::new(&server.options(), Some(&bench.path("cache"))).unwrap();
    let references = BTreeMap::from([("item 5".to_owned(), "Happiness. The corners are up.".to_owned())]);
    let options = JudgeOptions { references, ..JudgeOptions::default() };
    let mut seen = Vec::new();
    let mut run = |out: &str| {
        let observe = |at: face_llava::data::Progress| seen.push((at.done, at.items));
        judge(&bench.predictions, Task::Expression, &cached, &options, &bench.path(out), observe).unwrap()
    };
    let report = run("a.jsonl");
    assert_eq!((means(&report), report.complete), (Some([5.0, 5.0, 5.0]), true));
    assert_eq!(report.all.means, report.tasks[0].means);
    assert_eq!((report.all.over.as_slice(), report.agreement), ([Task::Expression].as_slice(), None));
    assert_eq!((report.usage.requests, report.usage.prompt_tokens, report.usage.completion_tokens), (3, 3000, 300));
    assert!(report.paid == report.usage && (report.usage.cost - 0.009).abs() < 1e-12, "{report:?}");
    assert_eq!(report.judge["rubric"], rubric_sha256());
    assert_eq!((&report.judge["model"], &report.judge["temperature"]), (&json!("tester"), &json!(0.0)));
    // Elsewhere with the same cache: nothing is asked, nothing paid, the same bytes.
    let again = run("b.jsonl");
    assert_eq!((again.paid, server.asked()), (Usage::default(), 3));
    assert_eq!(
        (&JudgeReport { paid: report.paid, ..again }, bench.files("a.jsonl")),
        (&report, bench.files("b.jsonl"))
    );
    assert_eq!(seen, [(0, 3), (1, 3), (2, 3), (3, 3)].repeat(2));
    let bodies = server.bodies.lock().unwrap();
    let body = bodies.iter().find(|body| asked(body)["answer"] == "5").unwrap();
    assert_eq!(body["messages"][0]["content"], RUBRIC);
    let told = json!({
        "task": "expression", "question": "What is shown?", "truth": "happiness",
        "reference": "Happiness. The corners are up.", "answer": "5",
    });
    assert_eq!((asked(body), &body["seed"]), (told, &Value::Null));
    let parts = body["messages"][1]["content"].as_array().unwrap();
    assert!(parts.len() == 2 && parts[1]["image_url"]["url"].as_str().unwrap().starts_with("data:image/png;base64,"));
}

#[test]
fn what_is_no_rating_is_counted_as_missing_and_never_as_a_number() {
    let good = ["7", "3"];
    let bad = [
        ("prose", "bad_rating"),
        ("nothing", "bad_rating"),
        ("zero", "bad_rating"),
        ("eleven", "bad_rating"),
        ("half", "bad_rating"),
        ("chatty", "bad_rating"),
        ("cut", "bad_reply"),
        ("filter", "bad_reply"),
        ("refusal", "bad_reply"),
        ("html", "bad_reply"),
        ("list", "bad_reply"),
        ("endless", "bad_reply"),
        ("policy", "refused"),
        ("large", "refused"),
    ];
    let answers: Vec<&str> = good.into_iter().chain(bad.map(|(answer, _)| answer)).collect();
    let server = Server::new(|_, body| {
        let raw = |text: &str| Reply::Raw(200, "x: y", text.into());
        let ended = |text: Value, finish: &str| {
            let usage = json!({ "prompt_tokens": 1000, "completion_tokens": 100 });
            let choice = json!({ "message": text, "finish_reason": finish });
            raw(&json!({ "choices": [choice], "usage": usage }).to_string())
        };
        match asked(body)["answer"].as_str().unwrap() {
            "prose" => Reply::Text("I would say 9, 9 and 9.".into()),
            "nothing" => Reply::Text(String::new()),
            "zero" => Reply::Text(scores(0, 9, 9)),
            "eleven" => Reply::Text(scores(9, 11, 9)),
            "half" => Reply::Text(scores(9, 8, 9).replace('8', "8.5")),
            "chatty" => Reply::Text(format!("Sure! {}", scores(9, 9, 9))),
            "cut" => ended(json!({ "content": scores(9, 9, 9) }), "length"),
            "filter" => ended(json!({ "content": scores(9, 9, 9) }), "content_filter"),
            "refusal" => ended(json!({ "content": null, "refusal": "I do not look at faces." }), "stop"),
            "html" => raw("<html>bad gateway</html>"),
            "list" => raw("[]"),
            "endless" => raw(&"9".repeat(2 << 20)),
            "policy" => Reply::Raw(400, "x: y", "content_policy_violation".into()),
            "large" => Reply::Raw(413, "x: y", "too large".into()),
            "7" => Reply::Text(format!("```json\n{}\n```", scores(7, 8, 9))),
            _ => Reply::Text(scores(3, 2, 1)),
        }
    });
    let mut bench = Bench::new(&answers);
    // No answer, and a picture that is gone.
    bench.predictions.rows[0].id = "seven".into();
    let row = |id: &str, raw: Option<&str>, error: Option<PredictionFault>| Prediction {
        id: id.into(),
        path: "gone.png".into(),
        raw: raw.map(Into::into),
        error,
        ..bench.predictions.rows[0].clone()
    };
    let fault = PredictionFault { code: "no_face".into(), message: "no face found".into() };
    let more = [row("failed", None, Some(fault)), row("unasked", None, None), row("gone", Some("9"), None)];
    bench.predictions.rows.extend(more);
    let report = bench.judge(&chat(&server.options()), 1, "out.jsonl").unwrap();
    let task = &report.tasks[0];
    assert_eq!((means(&report), task.items, task.rated, task.pending), (Some([5.0, 5.0, 5.0]), 19, 2, 0));
    let missing = [("bad_rating", 6), ("bad_reply", 6), ("media", 1), ("no_answer", 2), ("refused", 2)];
    assert_eq!(task.missing, missing.map(|(code, n)| (code.to_owned(), n)).into());
    // Each once: what cannot be used is not asked for again, and paid for where there was a reply.
    assert_eq!((server.asked(), report.usage.requests), (16, 12));
    let lines = bench.lines("out.jsonl");
    assert_eq!(lines.len(), 19);
    let said = |at: usize| lines[at]["ratings"][0]["missing"]["message"].as_str().unwrap().to_owned();
    assert!(said(8).contains("cut off") && said(9).contains("withheld") && said(10).contains("do not look at faces"));
    for (at, (answer, code)) in bad.iter().enumerate() {
        let rating = &lines[at + 2]["ratings"][0];
        assert_eq!((&rating["missing"]["code"], &rating["scores"]), (&json!(code), &Value::Null), "{answer}");
    }
    // None at all: no mean, no number anywhere.
    let server = Server::new(|_, _| Reply::Text("No.".into()));
    let report = bench.judge(&chat(&server.options()), 2, "none.jsonl").unwrap();
    assert_eq!((means(&report), report.all.means, report.all.over.len(), report.agreement), (None, None, 0, None));
    assert_eq!(report.tasks[0].missing["bad_rating"], 32);
    assert!(bench.files("none.jsonl")[2].contains("\"means\": null"));
}

#[test]
fn repeats_tell_how_far_a_judge_agrees_with_itself() {
    let bench = Bench::new(&["2", "8"]);
    let server = Server::new(|_, body| {
        let n: u8 = asked(body)["answer"].as_str().unwrap().parse().unwrap();
        match (n, body["seed"].as_u64()) {
            (8, Some(2)) => Reply::Text("no rating".into()),
            (n, seed) => Reply::Text(scores(n + seed.unwrap_or(0) as u8, n, 5)),
        }
    });
    let by = ChatJudge::new(&server.options(), Some(&bench.path("cache"))).unwrap();
    bench.judge(&by, 1, "one.jsonl").unwrap();
    let report = bench.judge(&by, 3, "three.jsonl").unwrap();
    // The first ratings were there already.
    assert_eq!((server.asked(), report.paid.requests, report.usage.requests), (6, 4, 6));
    // Each answer counts once: the mean of 2, 3, 4 and of 8, 9.
    assert_eq!(means(&report), Some([5.75, 5.0, 5.0]));
    assert_eq!((report.tasks[0].rated, report.tasks[0].missing["bad_rating"]), (2, 1));
    let Criteria { media_consistency, truth_consistency, completeness } = report.agreement.unwrap();
    assert_eq!((media_consistency.pairs, media_consistency.equal), (4, 0.0));
    assert!((media_consistency.mean_difference - 1.25).abs() < 1e-12);
    // By hand: 12 / 2 + 2 / 1 = 8 within, 2 * 5 * 38.8 / 4 = 97 between.
    assert!((media_consistency.alpha.unwrap() - (1.0 - 8.0 / 97.0)).abs() < 1e-12, "{media_consistency:?}");
    assert_eq!((truth_consistency.equal, truth_consistency.alpha), (1.0, Some(1.0)));
    assert_eq!((completeness.equal, completeness.alpha), (1.0, None));
}

#[test]
fn busy_and_silent_endpoints_are_waited_for_and_what_they_left_is_done_later() {
    let bench = Bench::new(&["1", "2", "3", "4"]);
    let up = Arc::new(AtomicBool::new(false));
    let server = Server::new({
        let up = up.clone();
        move |n, body| match (asked(body)["answer"].as_str().unwrap(), up.load(Ordering::SeqCst)) {
            ("1", false) if n == 0 => Reply::Raw(429, "retry-after: 0.03", "slow down".into()),
            ("2", false) => Reply::Raw(429, "retry-after: 0", "slow down".into()),
            ("3", false) => Reply::Close,
            _ => good(n, body),
        }
    });
    let by = chat(&server.options());
    let report = bench.judge(&by, 1, "out.jsonl").unwrap();
    assert_eq!((report.complete, report.tasks[0].pending, report.tasks[0].rated), (false, 2, 2));
    assert_eq!((server.asked(), report.fault.unwrap().code), (2 + 3 + 3 + 1, "endpoint".into()));
    assert_eq!(bench.lines("out.jsonl").len(), 2);
    up.store(true, Ordering::SeqCst);
    let report = bench.judge(&by, 1, "out.jsonl").unwrap();
    assert_eq!((report.complete, report.paid.requests, means(&report)), (true, 2, Some([2.5, 7.5, 5.0])));
    // The same as if nothing had happened, order included.
    bench.judge(&by, 1, "calm.jsonl").unwrap();
    assert_eq!(bench.files("out.jsonl"), bench.files("calm.jsonl"));
    // Asked again when all is done: nothing happens.
    let asked = server.asked();
    bench.judge(&by, 1, "out.jsonl").unwrap();
    assert_eq!((server.asked(), bench.files("out.jsonl")), (asked, bench.files("calm.jsonl")));
}

#[test]
fn an_endpoint_that_is_down_ends_the_run() {
    let answers: Vec<String> = (1..=12).map(|n| n.to_string()).collect();
    let bench = Bench::new(&answers.iter().map(String::as_str).collect::<Vec<_>>());
    let silent = Server::new(|_, _| Reply::Hang);
    let options = ChatOptions { timeout: Duration::from_millis(200), attempts: 1, ..silent.options() };
    let error = bench.judge(&chat(&options), 1, "out.jsonl").unwrap_err().to_string();
    assert!(error.contains("8 times in a row") && error.contains("timeout"), "{error}");
    // One more may have been in work.
    assert!(silent.asked() <= 9 && bench.lines("out.jsonl").is_empty(), "{}", silent.asked());
    // A wrong key is not the answers' fault either.
    let closed = Server::new(|_, _| Reply::Raw(401, "x: y", "key".into()));
    let error = bench.judge(&chat(&closed.options()), 1, "key.jsonl").unwrap_err().to_string();
    assert!(error.contains("401") && (8..=9).contains(&closed.asked()), "{error}");
}

#[test]
fn a_recording_gives_the_same_result_without_an_endpoint() {
    let mut bench = Bench::new(&["2", "5", "none", "8"]);
    let server = Server::new(|n, body| match asked(body)["answer"].as_str().unwrap() {
        "none" => Reply::Text("rubbish".into()),
        _ => good(n, body),
    });
    let live = bench.judge(&chat(&server.options()), 2, "live.jsonl").unwrap();
    let asked = server.asked();
    // Media are not needed.
    bench.predictions.rows.iter_mut().for_each(|row| row.path = "gone.png".into());
    let replay = ReplayJudge::open(&bench.path("live.jsonl")).unwrap();
    let replayed = bench.judge(&replay, 2, "replayed.jsonl").unwrap();
    assert_eq!((replayed.paid, server.asked()), (Usage::default(), asked));
    assert_eq!(JudgeReport { paid: live.paid, ..replayed }, live);
    assert_eq!(bench.files("replayed.jsonl"), bench.files("live.jsonl"));
    // Another answer under the same name was never judged, nor was a third rating asked for.
    bench.predictions.rows[0].raw = Some("9".into());
    let other = bench.judge(&replay, 3, "other.jsonl").unwrap();
    assert_eq!((other.tasks[0].missing["not_recorded"], other.tasks[0].rated), (3 + 3, 2));
    // Lines alone will do; the judge is known by its recording then.
    std::fs::copy(bench.path("live.jsonl"), bench.path("bare.jsonl")).unwrap();
    let bare = ReplayJudge::open(&bench.path("bare.jsonl")).unwrap();
    assert_eq!(bare.identity()["replay"].as_str().unwrap().len(), 64);
    std::fs::write(bench.path("bad.jsonl"), bench.files("live.jsonl")[0].replacen(":2,", ":0,", 1)).unwrap();
    let error = ReplayJudge::open(&bench.path("bad.jsonl")).unwrap_err().to_string();
    assert!(error.contains("bad.jsonl:1") && error.contains("a score of 0"), "{error}");
}

#[test]
fn going_on_after_any_interruption_gives_the_same_bytes() {
    let mut bench = Bench::new(&["2", "5", "none", "8", "4"]);
    bench.predictions.rows[3].raw = None;
    let server = Server::new(|n, body| match asked(body)["answer"].as_str().unwrap() {
        "none" => Reply::Text("rubbish".into()),
        _ => good(n, body),
    });
    bench.judge(&chat(&server.options()), 2, "whole.jsonl").unwrap();
    let whole = bench.files("whole.jsonl");
    let replay = ReplayJudge::open(&bench.path("whole.jsonl")).unwrap();
    // Killed after so many bytes.
    bench.judge(&replay, 2, "cut.jsonl").unwrap();
    for bytes in (0..whole[0].len()).step_by(61) {
        std::fs::write(bench.path("cut.jsonl"), &whole[0][..bytes]).unwrap();
        let _ = std::fs::remove_file(bench.path("cut.jsonl.summary.json"));
        bench.judge(&replay, 2, "cut.jsonl").unwrap();
        assert!(bench.files("cut.jsonl") == whole, "{bytes} bytes");
    }
    // Stopped between two items, with several in work.
    let options = JudgeOptions { repeats: 2, workers: 3, ..JudgeOptions::default() };
    for stop in 1..5 {
        let out = bench.path(&format!("stopped{stop}.jsonl"));
        let run = |stop: usize| {
            let observe = |at: face_llava::data::Progress| assert!(at.done < stop, "stopped");
            judge(&bench.predictions, Task::Expression, &replay, &options, &out, observe)
        };
        assert!(catch_unwind(AssertUnwindSafe(|| run(stop))).is_err());
        assert_eq!(bench.lines(&format!("stopped{stop}.jsonl")).len(), stop);
        run(usize::MAX).unwrap();
        assert!(bench.files(&format!("stopped{stop}.jsonl")) == whole, "{stop}");
    }
}

#[test]
fn a_file_is_gone_on_with_only_as_it_was_begun() {
    let mut bench = Bench::new(&["2", "5"]);
    let server = Server::new(good);
    let by = chat(&server.options());
    bench.judge(&by, 1, "out.jsonl").unwrap();
    let refused =
        |bench: &Bench, by: &dyn Judge, repeats| bench.judge(by, repeats, "out.jsonl").unwrap_err().to_string();
    let warm = chat(&ChatOptions { temperature: 0.7, ..server.options() });
    assert!(refused(&bench, &warm, 1).contains("judge.temperature: 0.0 -> 0.7"));
    assert!(refused(&bench, &by, 2).contains("repeats: 1 -> 2"));
    let settings = bench.files("out.jsonl")[1].clone();
    std::fs::remove_file(bench.path("out.jsonl.settings.json")).unwrap();
    assert!(refused(&bench, &by, 1).contains("unknown"));
    std::fs::write(bench.path("out.jsonl.settings.json"), settings).unwrap();
    let lines = bench.files("out.jsonl")[0].clone();
    std::fs::write(bench.path("out.jsonl"), format!("{{}}\n{lines}")).unwrap();
    assert!(refused(&bench, &by, 1).contains("out.jsonl:1: not a judgement"));
    std::fs::write(bench.path("out.jsonl"), &lines).unwrap();
    let file = std::fs::File::open(bench.path("out.jsonl")).unwrap();
    file.lock().unwrap();
    assert!(refused(&bench, &by, 1).contains("another process"));
    drop(file);
    bench.predictions.rows[1].raw = Some("6".into());
    assert!(refused(&bench, &by, 1).contains("predictions: "));
    bench.predictions.rows[1].id = bench.predictions.rows[0].id.clone();
    assert!(refused(&bench, &by, 1).contains("twice"));
}

#[test]
fn the_mean_over_all_is_the_plain_mean_over_tasks() {
    let server = Server::new(good);
    let by = chat(&server.options());
    let options = JudgeOptions::default();
    let benches = [
        (Task::Expression, Bench::new(&["1", "2", "3"])),
        (Task::Age, Bench::new(&["8"])),
        (Task::Expression, Bench::new(&["6"])),
    ];
    let outs = benches.each_ref().map(|(task, bench)| {
        let out = bench.path("out.jsonl");
        judge(&bench.predictions, *task, &by, &options, &out, |_| ()).unwrap();
        out
    });
    let report = JudgeReport::of(&outs).unwrap();
    assert_eq!(
        report.tasks.iter().map(|t| (t.task, t.items)).collect::<Vec<_>>(),
        [(Task::Expression, 4), (Task::Age, 1)]
    );
    assert_eq!(means(&report).unwrap()[0], 3.0);
    assert_eq!((report.all.over.len(), report.all.means.unwrap().media_consistency), (2, 5.5));
    assert_eq!((report.usage.requests, report.complete), (5, true));
    let warm = chat(&ChatOptions { temperature: 0.7, ..server.options() });
    let other = benches[1].1.path("warm.jsonl");
    judge(&benches[1].1.predictions, Task::Age, &warm, &options, &other, |_| ()).unwrap();
    let error = JudgeReport::of(&[&outs[0], &other]).unwrap_err().to_string();
    assert!(error.contains("warm.jsonl") && error.contains("judge.temperature"), "{error}");
}

#[test]
fn other_models_answer_behind_an_endpoint() {
    let bench = Bench::new(&["a"]);
    let picture = PathBuf::from(&bench.predictions.rows[0].path);
    let server = Server::new(|_, body| {
        let ended = |message: Value, finish: &str| {
            let choice = json!({ "message": message, "finish_reason": finish });
            Reply::Raw(200, "x: y", json!({ "choices": [choice] }).to_string())
        };
        match body["messages"][0]["content"][0]["text"].as_str().unwrap() {
            "long" => ended(json!({ "content": "Happiness, because" }), "length"),
            "filter" => ended(json!({ "content": "" }), "content_filter"),
            "refused" => Reply::Raw(400, "x: y", "policy".into()),
            "busy" => Reply::Raw(503, "x: y", "busy".into()),
            _ => Reply::Text(" Happiness. ".into()),
        }
    });
    let open = || EndpointAnswerer::new(&server.options(), Some(&bench.path("cache")), 1).unwrap();
    let mut model = open();
    assert_eq!((&model.identity()["model"], &model.identity()["temperature"]), (&json!("tester"), &json!(0.0)));
    let labels = [("happiness", "Happiness.")];
    let answered = model.answer(&picture, "What is shown?", Some(&labels)).unwrap();
    assert_eq!((answered.raw.as_str(), answered.likelihoods, answered.landmarks_used), ("Happiness.", None, None));
    assert_eq!(model.paid().requests, 1);
    {
        let body = &server.bodies.lock().unwrap()[0];
        let content = &body["messages"][0]["content"];
        assert_eq!((body["messages"].as_array().unwrap().len(), &content[0]["text"]), (1, &json!("What is shown?")));
        assert!(content[1]["image_url"]["url"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"));
    }
    // From the cache, in another process's place.
    let mut again = open();
    assert_eq!(again.answer(&picture, "What is shown?", None).unwrap().raw, "Happiness.");
    assert_eq!((again.paid(), server.asked()), (Usage::default(), 1));
    assert_eq!(model.answer(&picture, "long", None).unwrap().raw, "Happiness, because");
    let mut fault = |media: &Path, question: &str| {
        let fault = model.answer(media, question, None).unwrap_err();
        (fault.fault.code.clone(), fault.passing)
    };
    assert_eq!(fault(&picture, "filter"), ("bad_reply".into(), false));
    assert_eq!(fault(&picture, "refused"), ("refused".into(), false));
    assert_eq!(fault(&picture, "busy"), ("endpoint".into(), true));
    assert_eq!(fault(&bench.path("none.png"), "x"), ("media".into(), false));
    // A clip goes as its frames.
    let clip = bench.path("clip");
    std::fs::create_dir(&clip).unwrap();
    (0..3).for_each(|i| RgbImage::new(16, 16).save(clip.join(format!("{i}.png"))).unwrap());
    model.answer(&clip, "clip", None).unwrap();
    let bodies = server.bodies.lock().unwrap();
    assert_eq!(bodies.last().unwrap()["messages"][0]["content"].as_array().unwrap().len(), 9);
}

#[test]
fn questions_are_under_way_at_the_same_time_and_answers_in_order() {
    let bench = Bench::new(&["a", "b", "c"]);
    let mut media: Vec<PathBuf> = bench.predictions.rows.iter().map(|row| PathBuf::from(&row.path)).collect();
    media.insert(1, bench.path("none.png"));
    // Nobody of the first three gets an answer before all of them ask.
    let meeting = Barrier::new(3);
    let server = Server::new(move |n, body| {
        if n < 3 {
            meeting.wait();
        }
        Reply::Text(body["messages"][0]["content"][1]["image_url"]["url"].as_str().unwrap().into())
    });
    let mut model = EndpointAnswerer::new(&server.options(), None, 4).unwrap();
    assert_eq!(model.at_once(), 16);
    let paths: Vec<&Path> = media.iter().map(PathBuf::as_path).collect();
    let mut answers = Vec::new();
    model.answer_each(&paths, "What is shown?", None, &mut |answer| answers.push(answer));
    assert_eq!(model.paid().requests, 3);
    assert_eq!(answers[1].as_ref().unwrap_err().fault.code, "media");
    for (path, together) in paths.iter().zip(&answers) {
        assert_eq!(&model.answer(path, "What is shown?", None), together);
    }
    assert!(answers[0] != answers[2] && answers[2] != answers[3]);
}

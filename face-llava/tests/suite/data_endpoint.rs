//! Annotators behind chat endpoints that answer well, badly, late or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use face_llava::data::annotate::Usage;
use face_llava::data::{
    self, AnnotatorChoice, AnnotatorFault, BuildOptions, ChatOptions, DataError, LabelOrigin, RaterChoice, read_records,
};
use face_llava::{Error, Task};
use serde_json::{Value, json};

use crate::data::Set;
use crate::server::{Reply, Server};

fn good(_: usize, body: &Value) -> Reply {
    let rates = body["messages"][0]["content"].as_str().unwrap().starts_with("You check");
    let rating = r#"{"label_accuracy":10,"media_consistency":9,"label_consistency":10,"overall":8,"reason":"fits"}"#;
    Reply::Text(if rates { rating.into() } else { "Happiness. The lip corners are pulled up.".into() })
}

fn chat(set: &Set, out: &str, server: &Server) -> BuildOptions {
    let annotator = AnnotatorChoice::Chat(server.options());
    BuildOptions { annotator, workers: 1, ..set.options(out) }
}

/// One row; the code of its rejection.
fn rejection(behaviour: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static) -> (String, String, usize) {
    rejection_within(Duration::from_secs(30), behaviour)
}

/// The same of an endpoint that is waited for no longer than this.
fn rejection_within(
    timeout: Duration,
    behaviour: impl Fn(usize, &Value) -> Reply + Send + Sync + 'static,
) -> (String, String, usize) {
    let (set, server) = (Set::new(1), Server::new(behaviour));
    let annotator = AnnotatorChoice::Chat(ChatOptions { timeout, ..server.options() });
    let report = data::build(&BuildOptions { annotator, ..chat(&set, "out", &server) }, |_| ()).unwrap();
    assert_eq!((report.kept, report.complete), (0, true));
    let text = std::fs::read_to_string(set.path("out/rejected.jsonl")).unwrap();
    let line: Value = serde_json::from_str(text.trim()).unwrap();
    let get = |key: &str| line[key].as_str().unwrap().to_owned();
    (get("code"), get("message"), server.asked())
}

#[test]
fn answers_and_ratings_are_asked_for_once_and_cost_what_they_cost() {
    let (set, server) = (Set::new(3), Server::new(good));
    let rater = Some(RaterChoice::Chat(server.options()));
    let options = BuildOptions { rater, cache: Some(set.path("cache")), ..chat(&set, "out", &server) };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.kept, server.asked()), (3, 6));
    let paid = report.paid;
    assert_eq!((paid.requests, paid.prompt_tokens, paid.completion_tokens), (6, 6000, 600));
    assert!((paid.cost - 0.018).abs() < 1e-12, "{paid:?}");
    let record = &read_records(set.path("out/records.json")).unwrap()[0];
    assert_eq!(record.conversations[1].value, "Happiness. The lip corners are pulled up.");
    assert_eq!(record.meta.as_ref().unwrap().rating.unwrap().scores(), [10, 9, 10, 8]);
    // The picture travels with the question; the key of nobody does.
    let body = server.bodies.lock().unwrap()[0].clone();
    let parts = body["messages"][1]["content"].as_array().unwrap();
    assert!(parts[0]["text"].as_str().unwrap().contains("Label: expression = happiness"));
    assert!(parts[1]["image_url"]["url"].as_str().unwrap().starts_with("data:image/png;base64,iVBOR"));
    // Elsewhere, with the same cache: nothing is asked, nothing paid, the same bytes but for nothing.
    let again = BuildOptions { out: set.path("again"), ..options.clone() };
    let report = data::build(&again, |_| ()).unwrap();
    assert_eq!((report.kept, report.paid, server.asked()), (3, Usage::default(), 6));
    for name in ["records.json", "manifest.json", "rejected.jsonl"] {
        let read = |out: &str| std::fs::read(set.path(out).join(name)).unwrap();
        assert!(read("out") == read("again"), "{name}");
    }
    // A damaged answer is asked for again.
    let file = walk(&set.path("cache")).remove(0);
    std::fs::write(&file, b"{\"value\":").unwrap();
    let third = BuildOptions { out: set.path("third"), ..options };
    assert_eq!(data::build(&third, |_| ()).unwrap().paid.requests, 1);
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let inner = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    inner.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}

#[test]
fn ratings_below_the_threshold_and_ratings_that_are_none_are_rejected() {
    let set = Set::new(4);
    let server = Server::new(|_, _| Reply::Text("Neutral. All is level.".into()));
    let rater = Server::new(|n, _| {
        let scores = ["[10,9,10,6]", "[10,5,10,10]", "[10,9,10]", "[10,9,10,11]"][n];
        let scores: Vec<u8> = serde_json::from_str(scores).unwrap();
        let names = ["label_accuracy", "media_consistency", "label_consistency", "overall"];
        Reply::Text(json!(names.into_iter().zip(scores).collect::<std::collections::BTreeMap<_, _>>()).to_string())
    });
    let (rates, cache) = (Some(RaterChoice::Chat(rater.options())), Some(set.path("cache")));
    let options = BuildOptions { rater: rates, cache, ..chat(&set, "out", &server) };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!(report.kept, 1);
    assert_eq!((report.rejected["low_rating"], report.rejected["bad_rating"]), (1, 2));
    // Ratings that are none were paid for as well.
    assert_eq!((report.paid.requests, server.asked(), rater.asked()), (8, 4, 4));
    let manifest: Value = serde_json::from_slice(&std::fs::read(set.path("out/manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest["usage"]["requests"], 8);
    // They are kept like the others: elsewhere nothing is asked and paid a second time, and the costs are told the same.
    let report = data::build(&BuildOptions { out: set.path("again"), ..options }, |_| ()).unwrap();
    assert_eq!((report.paid, server.asked(), rater.asked()), (Usage::default(), 4, 4));
    // Not so what broke on the way: no message, and nothing counted.
    let (one, broken) = (Set::new(1), Server::new(|_, _| Reply::Raw(200, "x: y", r#"{"error": "overloaded"}"#.into())));
    for out in ["out", "again"] {
        let options = BuildOptions { cache: Some(one.path("cache")), ..chat(&one, out, &broken) };
        let report = data::build(&options, |_| ()).unwrap();
        assert_eq!((report.rejected["endpoint"], report.pending), (1, 1));
    }
    assert_eq!(broken.asked(), 6);
    let read = |out: &str| std::fs::read(set.path(out).join("manifest.json")).unwrap();
    assert!(read("out") == read("again"));
}

#[test]
fn low_ratings_are_signs_of_life() {
    let set = Set::new(15);
    let server = Server::new(|_, _| Reply::Text("All is level.".into()));
    // For every third row a rating that is too low, for the others none.
    let rater = Server::new(|_, body| {
        let low = r#"{"label_accuracy":2,"media_consistency":2,"label_consistency":2,"overall":2,"reason":"no"}"#;
        let happy = body["messages"][1]["content"][0]["text"].as_str().unwrap().contains("happiness");
        if happy { Reply::Text(low.into()) } else { Reply::Raw(500, "x: y", "down".into()) }
    });
    let options = BuildOptions { rater: Some(RaterChoice::Chat(rater.options())), ..chat(&set, "out", &server) };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.rejected["low_rating"], report.rejected["endpoint"], report.pending), (5, 10, 10));
}

#[test]
fn rubbish_is_rejected_and_not_asked_for_again() {
    let raw = |text: &'static str| move |_: usize, _: &Value| Reply::Raw(200, "x: y", text.into());
    for (code, says, (found, message, asked)) in [
        ("bad_reply", "not JSON", rejection(raw("<html>hello</html>"))),
        ("bad_reply", "no message", rejection(raw("{\"choices\": []}"))),
        ("bad_reply", "no message", rejection(raw("[]"))),
        ("bad_reply", "empty", rejection(|_, _| Reply::Text("  ".into()))),
        ("bad_reply", "the label", rejection(|_, _| Reply::Text("As the label says.".into()))),
        ("bad_reply", "over the limit", rejection(|_, _| Reply::Text("a".repeat(9000)))),
        ("bad_reply", "more than", rejection(|_, _| Reply::Raw(200, "x: y", "a".repeat(2 << 20)))),
        ("refused", "status 400", rejection(|_, _| Reply::Raw(400, "x: y", "policy".into()))),
        ("refused", "status 401", rejection(|_, _| Reply::Raw(401, "x: y", "key".into()))),
        ("refused", "status 302", rejection(|_, _| Reply::Raw(302, "location: http://127.0.0.1:1/", String::new()))),
    ] {
        assert_eq!((found.as_str(), asked), (code, 1), "{message}");
        assert!(message.contains(says), "{says}: {message}");
    }
    let cut = json!({ "choices": [{ "message": { "content": "Happi" }, "finish_reason": "length" }] }).to_string();
    assert!(rejection(move |_, _| Reply::Raw(200, "x: y", cut.clone())).1.contains("cut off"));
}

#[test]
fn passing_failures_are_tried_again_a_few_times() {
    for behaviour in [
        |_: usize, _: &Value| Reply::Raw(500, "x: y", "down".into()),
        |_: usize, _: &Value| Reply::Raw(429, "retry-after: 0", "slow".into()),
        |_: usize, _: &Value| Reply::Close,
    ] {
        let (code, message, asked) = rejection(behaviour);
        assert_eq!((code.as_str(), asked), ("endpoint", 3), "{message}");
        assert!(message.contains("asked 3 times"), "{message}");
    }
    let (code, message, _) = rejection_within(Duration::from_millis(200), |_, _| Reply::Hang);
    assert!(code == "endpoint" && message.contains("timeout"), "{message}");
    // An endpoint that wants an hour is not waited for.
    let (code, _, asked) = rejection(|_, _| Reply::Raw(429, "retry-after: 3600", String::new()));
    assert_eq!((code.as_str(), asked), ("endpoint", 1));
}

#[test]
fn retry_after_is_honoured_and_a_second_run_finishes_what_failed() {
    let (set, server) = (
        Set::new(1),
        Server::new(|n, body| if n == 0 { Reply::Raw(429, "retry-after: 1", String::new()) } else { good(n, body) }),
    );
    let start = Instant::now();
    assert_eq!(data::build(&chat(&set, "out", &server), |_| ()).unwrap().kept, 1);
    assert!(start.elapsed() >= Duration::from_secs(1));
    // Down in the first run, up in the second: only then is the item done.
    let set = Set::new(2);
    let up = Arc::new(AtomicUsize::new(0));
    let server = Server::new({
        let up = up.clone();
        move |n, body| {
            if up.load(Ordering::SeqCst) == 0 { Reply::Raw(503, "x: y", String::new()) } else { good(n, body) }
        }
    });
    let report = data::build(&chat(&set, "out", &server), |_| ()).unwrap();
    assert_eq!(report.rejected["endpoint"], 2);
    up.store(1, Ordering::SeqCst);
    let report = data::build(&chat(&set, "out", &server), |_| ()).unwrap();
    assert_eq!((report.kept, report.resumed, report.rejected.len()), (2, 0, 0));
}

#[test]
fn an_endpoint_that_is_down_ends_the_build_with_everything_finished_kept() {
    let (set, server) = (
        Set::new(12),
        Server::new(|n, body| if n < 2 { good(n, body) } else { Reply::Raw(500, "x: y", "down".into()) }),
    );
    let mut options = chat(&set, "out", &server);
    let Err(Error::Data(error)) = data::build(&options, |_| ()) else { panic!("it went on") };
    assert!(matches!(error, DataError::Annotator { fault: AnnotatorFault::Endpoint { .. }, failures: 8 }), "{error}");
    assert!(!set.path("out/records.json").exists());
    let server = Server::new(good);
    options.annotator = AnnotatorChoice::Chat(server.options());
    let Err(Error::Data(error)) = data::build(&options, |_| ()) else { panic!("another endpoint is another setting") };
    assert_eq!(error.code(), "settings_changed");
}

#[test]
fn items_that_nobody_is_asked_about_are_no_signs_of_life() {
    let (set, server) = (Set::new(12), Server::new(|_, _| Reply::Raw(500, "x: y", "down".into())));
    // Ages have no labels here.
    let tasks = Some(vec![Task::Expression, Task::Age]);
    let options = BuildOptions { tasks, ..chat(&set, "out", &server) };
    assert!(matches!(data::build(&options, |_| ()), Err(Error::Data(DataError::Annotator { failures: 8, .. }))));
}

#[test]
fn requests_keep_to_the_rate() {
    let (set, server) = (Set::new(4), Server::new(good));
    let chat_options = ChatOptions { requests_per_minute: Some(200.0), ..server.options() };
    let options = BuildOptions { annotator: AnnotatorChoice::Chat(chat_options), ..chat(&set, "out", &server) };
    let start = Instant::now();
    let options = BuildOptions { workers: 4, ..options };
    assert_eq!(data::build(&options, |_| ()).unwrap().kept, 4);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
    // Who writes and who rates ask the same endpoint, which bears no more for that.
    let AnnotatorChoice::Chat(asked) = &options.annotator else { unreachable!() };
    let rater = Some(RaterChoice::Chat(asked.clone()));
    let start = Instant::now();
    let both = BuildOptions { rater, limit: Some(2), out: set.path("both"), cache: None, ..options };
    assert_eq!(data::build(&both, |_| ()).unwrap().kept, 2);
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

#[test]
fn what_cannot_be_asked_is_said_before_anything_is_done() {
    let set = Set::new(1);
    let code = |chat: ChatOptions| {
        let options = BuildOptions { annotator: AnnotatorChoice::Chat(chat), ..set.options("out") };
        let error = data::build(&options, |_| ()).unwrap_err();
        assert!(!set.path("out/records.json").exists());
        (error.code(), error.to_string())
    };
    if !cfg!(feature = "tls") {
        let (found, message) = code(ChatOptions::new("https://example.org/v1", "m"));
        assert!(found == "no_tls" && message.contains("--features tls"), "{message}");
    }
    let key_variable = Some("FACE_LLAVA_NO_SUCH_KEY".to_owned());
    let (found, message) = code(ChatOptions { key_variable, ..ChatOptions::new("http://127.0.0.1:9", "m") });
    assert!(found == "no_key" && message.contains("FACE_LLAVA_NO_SUCH_KEY"), "{message}");
    assert_eq!(code(ChatOptions::new("ftp://x", "m")).0, "refused");
}

#[test]
fn keys_travel_with_requests_and_are_written_nowhere() {
    let (set, server) = (Set::new(2), Server::new(good));
    // A variable that every test has.
    let variable = "CARGO_MANIFEST_DIR";
    let key = std::env::var(variable).unwrap();
    let annotator = AnnotatorChoice::Chat(ChatOptions { key_variable: Some(variable.into()), ..server.options() });
    let options = BuildOptions { annotator, cache: Some(set.path("cache")), ..chat(&set, "out", &server) };
    assert_eq!(data::build(&options, |_| ()).unwrap().kept, 2);
    assert_eq!(*server.authorizations.lock().unwrap(), [format!("Bearer {key}"), format!("Bearer {key}")]);
    let files = [walk(&set.path("out")), walk(&set.path("cache"))].concat();
    assert!(files.len() > 6);
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(key.len()).any(|w| w == key.as_bytes()), "{}", file.display());
    }
    // Without a key nobody is named.
    data::build(&chat(&set, "other", &server), |_| ()).unwrap();
    assert_eq!((server.asked(), server.authorizations.lock().unwrap().len()), (4, 2));
}

#[test]
fn nothing_is_invented_where_there_is_no_label() {
    let (set, server) = (Set::new(1), Server::new(good));
    let options = BuildOptions { tasks: Some(vec![Task::Age]), ..chat(&set, "out", &server) };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.rejected["no_label"], server.asked()), (1, 0));
}

#[test]
fn recorded_answers_are_replayed() {
    let set = Set::new(3);
    let lines = [
        r#"{"id": "00.png#expression", "text": "Happiness. Seen before.", "rating": {"label_accuracy": 9, "media_consistency": 9, "label_consistency": 9, "overall": 9}}"#,
        r#"{"id": "01.png#expression", "text": "Neutral. Seen before.", "rating": {"label_accuracy": 9, "media_consistency": 9, "label_consistency": 9, "overall": 2}}"#,
    ];
    std::fs::write(set.path("replay.jsonl"), lines.join("\n")).unwrap();
    let file = set.path("replay.jsonl");
    let (annotator, rater) = (AnnotatorChoice::Replay(file.clone()), Some(RaterChoice::Replay(file.clone())));
    let options = BuildOptions { annotator, rater, ..set.options("out") };
    let report = data::build(&options, |_| ()).unwrap();
    assert_eq!((report.kept, report.rejected["low_rating"], report.rejected["not_recorded"]), (1, 1, 1));
    let records = read_records(set.path("out/records.json")).unwrap();
    assert_eq!(records[0].conversations[1].value, "Happiness. Seen before.");
    assert_eq!(records[0].meta.as_ref().unwrap().origin, LabelOrigin::Human);
    for bad in ["{\"text\": \"no name\"}", "{\"id\": 1}", "{", r#"{"id": "a", "rating": {"overall": 1}}"#] {
        std::fs::write(&file, bad).unwrap();
        let error = data::build(&options, |_| ()).unwrap_err();
        assert!(error.code() == "record" && error.to_string().contains("replay.jsonl:1"), "{error}");
    }
}

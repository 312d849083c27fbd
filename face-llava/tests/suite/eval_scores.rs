//! Scorers against an independent reading of the same answers, figures against scikit-learn's.

use face_llava::eval::metrics::percentile;
use face_llava::eval::{MetricValue, Parsed, Prediction, Predictions, Protocol, Score, Scorer, Truth, score};
use face_llava::{ATTRIBUTES, Task};
use serde_json::{Value, json};

use crate::json as fixture;

/// Figures by two ways of adding up the same counts.
const TOLERANCE: f64 = 1e-12;
/// Ends of intervals from 1000 draws and from 5000 others, as a part of the interval's width. One end spreads by 2 % of it.
const INTERVAL_TOLERANCE: f64 = 0.1;

fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|v| v.as_str().unwrap()).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn prediction(id: usize, truth: Truth, raw: impl Into<String>) -> Prediction {
    Prediction {
        id: id.to_string(),
        path: format!("{id}.png"),
        truth,
        raw: Some(raw.into()),
        likelihoods: None,
        landmarks_used: None,
        error: None,
    }
}

fn run(task: Task, labels: &[&str], scorer: Scorer, rows: Vec<Prediction>) -> Score {
    let protocol = Protocol { benchmark: "own", title: "Own", split: "test", task, labels };
    score(&protocol, &Predictions { settings: json!({}), rows }, scorer, 1).unwrap()
}

fn metric<'a>(score: &'a Score, name: &str) -> &'a MetricValue {
    score.metrics.iter().find(|m| m.name == name).unwrap()
}

fn assert_metric(score: &Score, name: &str, expected: &Value) {
    let MetricValue { value, low, high, .. } = metric(score, name);
    let reference = expected[name].as_f64().unwrap();
    assert!((value - reference).abs() < TOLERANCE, "{name}: {value}, scikit-learn {reference}");
    assert!(low <= value && value <= high, "{name}: {low} {value} {high}");
    let interval = &expected[format!("{name}_interval")];
    if !interval.is_null() {
        let interval = numbers(interval);
        let allowed = INTERVAL_TOLERANCE * (interval[1] - interval[0]);
        let far = (low - interval[0]).abs().max((high - interval[1]).abs());
        assert!(far < allowed, "{name}: {low} {high}, numpy {interval:?}");
    }
}

fn assert_all(ours: impl IntoIterator<Item = f64>, expected: &Value) {
    let (ours, expected): (Vec<f64>, _) = (ours.into_iter().collect(), numbers(expected));
    assert_eq!(ours.len(), expected.len());
    let close = ours.iter().zip(&expected).all(|(a, b)| (a - b).abs() < TOLERANCE);
    assert!(close, "{ours:?}, scikit-learn {expected:?}");
}

/// What was read, in the form that the fixture has.
fn plain(parsed: Parsed, labels: &[&str]) -> Value {
    match parsed {
        Parsed::Label(label) => json!(label),
        Parsed::Units(units) => json!(units),
        Parsed::Attributes(given) => {
            let given = labels.iter().zip(given).filter(|(_, given)| *given == Some(true));
            json!(given.map(|(label, _)| label).collect::<Vec<_>>())
        }
        Parsed::Age(years) => json!(years),
        Parsed::Unparsed => Value::Null,
    }
}

#[test]
fn text_compatible_reads_what_the_independent_implementation_reads() {
    let answers = fixture("eval/answers.json");
    let rows = answers["answers"].as_array().unwrap();
    assert!(rows.len() >= 120, "{}", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let task = Task::parse(row[0].as_str().unwrap()).unwrap();
        let labels = strings(&answers["labels"][row[1].as_str().unwrap()]);
        let prediction = prediction(0, Truth::Age(0.0), row[2].as_str().unwrap());
        let read = plain(Scorer::TextCompatible.read(task, &labels, &prediction).unwrap(), &labels);
        if read != row[3] {
            wrong.push(format!("{row}: read {read}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn expressions() {
    let expected = &fixture("eval/metrics.json")["expression"];
    let labels = strings(&expected["labels"]);
    let reads = expected["read"].as_array().unwrap().iter();
    let rows = strings(&expected["truth"]).into_iter().zip(reads).enumerate();
    let row = |(id, (truth, read)): (usize, (&str, &Value))| {
        prediction(id, Truth::Label(truth.into()), read.as_str().unwrap_or("I cannot tell."))
    };
    let score = run(Task::Expression, &labels, Scorer::Strict, rows.map(row).collect());
    assert_metric(&score, "UAR", expected);
    assert_metric(&score, "WAR", expected);
    let matrix = score.confusion.unwrap();
    assert_eq!(json!(matrix.counts), expected["confusion"]);
    assert_eq!(score.unparsed as u64, matrix.counts.iter().map(|row| row[7]).sum::<u64>());
    let classes = 0..labels.len();
    assert_all(classes.clone().map(|c| matrix.recall(c).unwrap_or(0.0)), &expected["recall"]);
    assert_all(classes.clone().map(|c| matrix.precision(c).unwrap_or(0.0)), &expected["precision"]);
    assert_all(classes.clone().map(|c| matrix.f1(c)), &expected["f1"]);
    assert_eq!(json!(classes.map(|c| matrix.support(c)).collect::<Vec<_>>()), expected["support"]);
    assert_eq!(score.per_class.len(), 6, "fear has no items and no recall");
    for (class, value) in score.per_class.iter().zip(numbers(&expected["recall"])) {
        assert!((class.value - value).abs() < TOLERANCE, "{class:?}");
    }
}

#[test]
fn action_units() {
    let expected = &fixture("eval/metrics.json")["action_units"];
    let units = |name: &str| serde_json::from_value::<Vec<Vec<u8>>>(expected[name].clone()).unwrap();
    let words = |units: &[u8]| match units {
        [] => "None.".to_owned(),
        units => units.iter().map(|u| format!("AU{u}")).collect::<Vec<_>>().join(", "),
    };
    let rows = units("truth").into_iter().zip(units("read")).enumerate();
    let rows: Vec<_> = rows.map(|(id, (truth, read))| prediction(id, Truth::Units(truth), words(&read))).collect();
    for scorer in [Scorer::Strict, Scorer::TextCompatible] {
        let score = run(Task::ActionUnits, &strings(&expected["labels"]), scorer, rows.clone());
        assert_metric(&score, "F1", expected);
        assert_all(score.per_class.iter().map(|c| c.value), &expected["f1"]);
        assert_eq!(json!(score.per_class.iter().map(|c| c.support).collect::<Vec<_>>()), expected["support"]);
    }
}

#[test]
fn attributes() {
    let expected = &fixture("eval/metrics.json")["attributes"];
    let flags = |name: &str| {
        let rows = serde_json::from_value::<Vec<Vec<u8>>>(expected[name].clone()).unwrap();
        rows.into_iter().map(|row| row.into_iter().map(|flag| flag == 1).collect::<Vec<bool>>()).collect::<Vec<_>>()
    };
    let list = |flags: &[bool]| {
        let given = ATTRIBUTES.into_iter().zip(flags).filter(|(_, given)| **given);
        given.map(|(label, _)| label).collect::<Vec<_>>().join(", ")
    };
    let one_by_one = |flags: &[bool]| {
        let answers = ATTRIBUTES.into_iter().zip(flags);
        answers.map(|(label, given)| format!("{label}: {}\n", if *given { "yes" } else { "no" })).collect::<String>()
    };
    let run = |scorer, words: &dyn Fn(&[bool]) -> String| {
        let rows = flags("truth").into_iter().zip(flags("read")).enumerate();
        let row = |(id, (truth, read)): (_, (_, Vec<bool>))| prediction(id, Truth::Attributes(truth), words(&read));
        run(Task::Attributes, &ATTRIBUTES, scorer, rows.map(row).collect())
    };
    for score in [run(Scorer::Strict, &list), run(Scorer::Strict, &one_by_one), run(Scorer::TextCompatible, &list)] {
        assert_metric(&score, "mAcc", expected);
        assert_all(score.per_class.iter().map(|c| c.value), &expected["accuracy"]);
    }
}

#[test]
fn ages() {
    let expected = &fixture("eval/metrics.json")["ages"];
    let reads = expected["read"].as_array().unwrap().iter();
    let words = |read: &Value| read.as_u64().map_or("An adult.".into(), |years| format!("{years} years old."));
    let rows = numbers(&expected["truth"]).into_iter().zip(reads).enumerate();
    let rows = rows.map(|(id, (truth, read))| prediction(id, Truth::Age(truth), words(read)));
    let score = run(Task::Age, &[], Scorer::Strict, rows.collect());
    assert_metric(&score, "MAE", expected);
    assert_metric(&score, "CS(5)", expected);
}

#[test]
fn deepfakes() {
    let expected = &fixture("eval/metrics.json")["deepfake"];
    let scores = expected["likelihoods"].as_array().unwrap().iter();
    let row = |(id, (truth, scores)): (usize, (&str, &Value))| Prediction {
        likelihoods: Some(serde_json::from_value(scores.clone()).unwrap()),
        ..prediction(id, Truth::Label(truth.into()), "Real: it is.")
    };
    let mut rows: Vec<_> = strings(&expected["truth"]).into_iter().zip(scores).enumerate().map(row).collect();
    let likelihood = run(Task::Deepfake, &["real", "fake"], Scorer::Likelihood, rows.clone());
    assert_metric(&likelihood, "accuracy", expected);
    assert_metric(&likelihood, "AUC", expected);
    let strict = run(Task::Deepfake, &["real", "fake"], Scorer::Strict, rows.clone());
    assert_metric(&strict, "AUC", expected);
    rows[3].likelihoods = None;
    let without = run(Task::Deepfake, &["real", "fake"], Scorer::Strict, rows);
    assert_eq!(without.metrics.iter().map(|m| m.name.as_str()).collect::<Vec<_>>(), ["accuracy"]);
}

#[test]
fn percentiles() {
    let expected = &fixture("eval/metrics.json")["percentiles"];
    let values = numbers(&expected["values"]);
    let ours = numbers(&expected["percents"]).into_iter().map(|p| percentile(&values, p).unwrap());
    assert_all(ours, &expected["expected"]);
}

#[test]
fn the_order_of_the_rows_changes_no_figure() {
    let answers = fixture("eval/answers.json");
    let labels = strings(&answers["labels"]["seven"]);
    let rows = answers["answers"].as_array().unwrap().iter().filter(|row| row[1] == "seven").enumerate();
    let row =
        |(id, row): (usize, &Value)| prediction(id, Truth::Label(labels[id % 7].into()), row[2].as_str().unwrap());
    let mut rows: Vec<_> = rows.map(row).collect();
    for scorer in [Scorer::TextCompatible, Scorer::Strict] {
        let forth = run(Task::Expression, &labels, scorer, rows.clone());
        rows.reverse();
        let back = run(Task::Expression, &labels, scorer, rows.clone());
        assert_eq!(forth.confusion, back.confusion);
        assert_eq!(metric(&forth, "UAR").value, metric(&back, "UAR").value);
        assert_ne!(forth.predictions_sha256, back.predictions_sha256);
        let counted = forth.confusion.unwrap().counts.iter().flatten().sum::<u64>();
        assert_eq!(counted as usize, forth.counted);
        assert_eq!(forth.items - forth.counted, if scorer.leaves_out() { forth.unparsed } else { 0 });
    }
}

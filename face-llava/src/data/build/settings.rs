//! Everything that decides the output, to be compared when a build is resumed and to be told in the manifest.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Value, json};

use super::options::BuildOptions;
use crate::Task;
use crate::data::annotate::{Annotator, Rater};
use crate::data::error::DataError;
use crate::data::pool::Pool;
use crate::data::source::Source;

/// The settings of a build, without the shard.
pub(crate) fn settings(
    options: &BuildOptions,
    source: &Source,
    tasks: &[Task],
    pool: &Pool,
    annotator: &dyn Annotator,
    rater: Option<&dyn Rater>,
) -> BTreeMap<String, Value> {
    let tasks: Vec<&str> = tasks.iter().map(|t| t.name()).collect();
    let all = [
        ("annotator", json!(annotator.identity())),
        ("crop", json!(options.crop)),
        ("faces", json!(options.faces)),
        ("limit", json!(options.limit)),
        ("min_face_score", json!(options.min_face_score)),
        ("min_score", json!(rater.map(|_| options.min_rating))),
        ("questions", json!(pool.sha256)),
        ("rater", json!(rater.map(|r| r.identity()))),
        ("seed", json!(options.seed)),
        ("self_blend", json!(options.self_blend)),
        ("source", json!(source.sha256)),
        ("tasks", json!(tasks)),
        ("tool", json!(concat!("face-llava ", env!("CARGO_PKG_VERSION")))),
    ];
    all.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Refuses other settings, naming each that differs.
pub(crate) fn compare(
    path: &Path,
    before: &BTreeMap<String, Value>,
    now: &BTreeMap<String, Value>,
) -> Result<(), DataError> {
    // As read from a file: numbers that are written and read again may come back a hair apart.
    let now = serde_json::to_vec(now).and_then(|json| serde_json::from_slice(&json)).unwrap_or_else(|_| now.clone());
    let none = Value::Null;
    let names = before.keys().chain(now.keys().filter(|name| !before.contains_key(*name)));
    let differing = names.filter_map(|name| {
        let (old, new) = (before.get(name).unwrap_or(&none), now.get(name).unwrap_or(&none));
        (old != new).then(|| format!("{name}: {old} -> {new}"))
    });
    let differences: Vec<String> = differing.collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(DataError::SettingsChanged { path: path.parent().unwrap_or(path).into(), differences })
}

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
use crate::differences::differences;

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
        ("licence", json!(options.licence)),
        ("limit", json!(options.limit)),
        ("min_face_score", json!(options.min_face_score)),
        ("min_score", json!(rater.map(|_| options.min_rating))),
        ("questions", json!(pool.sha256)),
        ("rater", json!(rater.map(|r| r.identity()))),
        ("seed", json!(options.seed)),
        ("self_blend", json!(options.self_blend)),
        ("source", json!(source.sha256)),
        ("source_name", json!(options.source_name)),
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
    let differences = differences(&json!(before), &json!(now));
    if differences.is_empty() {
        return Ok(());
    }
    Err(DataError::SettingsChanged { path: path.parent().unwrap_or(path).into(), differences })
}

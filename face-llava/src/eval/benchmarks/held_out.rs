//! The part of a labelled manifest that training never saw.

use std::path::Path;

use super::listing::digest;
use super::records::{from_crate, truth};
use crate::Task;
use crate::data::source::Source;
use crate::data::{Fractions, Split, Unit, split_of};
use crate::eval::{Dataset, EvalError, Item};

/// The expressions of a manifest's people who belong to the test, as `data split` parts them by default: a tenth, by the
/// seed and the person's name (the row's where it names no person). Rows without an expression are passed over. Names of
/// items are those of the rows.
///
/// # Errors
/// [`EvalError::File`] for files that are no manifest and where nobody belongs to the test; [`EvalError::Line`] for bad
/// rows, absent pictures among them.
pub fn held_out(manifest: &Path, seed: u64) -> Result<Dataset, EvalError> {
    let source = Source::open(manifest).map_err(|e| from_crate(manifest, e))?;
    let fractions = Fractions::default();
    let fault = |what: String| EvalError::File { path: manifest.into(), what };
    let mut items = Vec::new();
    for row in source.rows {
        let place = row.place;
        let refuse = |what: String| match place.unit {
            Unit::Entry => fault(format!("entry {}: {what}", place.number)),
            Unit::Line => {
                EvalError::Line { path: manifest.into(), line: usize::try_from(place.number).unwrap_or(0), what }
            }
        };
        let content = row.content.map_err(|e| {
            let what = e.to_string();
            refuse(what.strip_prefix(&format!("{place}: ")).unwrap_or(&what).into())
        })?;
        let person = content.person.as_deref().unwrap_or(&row.id);
        let Some(labels) = content.labels.names(Task::Expression) else { continue };
        if split_of(person, seed, &fractions) == Split::Test {
            let truth = truth(Task::Expression, &labels).map_err(refuse)?;
            items.push(Item { id: row.id, media: content.media, truth });
        }
    }
    if items.is_empty() {
        return Err(fault(format!("nobody with an expression belongs to the test with seed {seed}; take another one")));
    }
    let digest = digest(&items);
    Ok(Dataset { benchmark: "held-out", split: Split::Test.name().into(), items, digest })
}

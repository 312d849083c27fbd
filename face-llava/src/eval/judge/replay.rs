//! A judge's earlier words: no endpoint, nothing to pay, the same result.

use std::collections::HashMap;
use std::path::Path;

use serde_json::{Value, json};

use super::{Case, Judge, Judgement, Rating, file};
use crate::Task;
use crate::data::annotate::Priced;
use crate::data::{AnnotatorFault, Usage};
use crate::eval::{EvalError, Fault};

/// Ratings from a file of judgements.
#[derive(Debug)]
pub struct ReplayJudge {
    identity: Value,
    judgements: HashMap<(Task, String), Judgement>,
}

impl ReplayJudge {
    /// Reads the result of an earlier run. Where its settings lie beside it, the judge is the one that they name.
    ///
    /// # Errors
    /// [`EvalError::Io`], and [`EvalError::Line`] with the line that is no judgement.
    pub fn open(path: &Path) -> Result<Self, EvalError> {
        let judgements = file::read(path)?;
        let identity = match file::settings(path)? {
            Some(settings) => settings.judge,
            None => json!({ "replay": file::digest(path)? }),
        };
        let judgements = judgements.into_iter().map(|judgement| ((judgement.task, judgement.id.clone()), judgement));
        Ok(Self { identity, judgements: judgements.collect() })
    }
}

impl Judge for ReplayJudge {
    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn rate(&self, case: &Case<'_>, repeat: usize) -> Result<Priced<Rating>, Fault> {
        let found = self.judgements.get(&(case.task, case.id.to_owned()));
        let found = found.filter(|judgement| judgement.digest.as_ref() == Some(&case.digest()));
        let Some(rated) = found.and_then(|judgement| judgement.ratings.get(repeat)) else {
            return Err(AnnotatorFault::NotRecorded { id: case.id.into() }.into());
        };
        Ok(Priced { value: rated.rating.clone(), usage: rated.usage, paid: Usage::default() })
    }
}

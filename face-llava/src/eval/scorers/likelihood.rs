//! The likeliest label of the closed set; the words of the answer do not matter.

use std::collections::BTreeMap;

use crate::Task;
use crate::eval::{EvalError, Prediction};

/// The label with the highest log-likelihood, of equal ones the first of the closed set. Nothing for failed items.
///
/// # Errors
/// [`EvalError::Row`] where the predictions hold no likelihoods of these labels, or the task has no single label.
pub(super) fn label(task: Task, labels: &[&str], prediction: &Prediction) -> Result<Option<String>, EvalError> {
    let refuse = |what: String| EvalError::Row { id: prediction.id.clone(), what };
    if !matches!(task, Task::Expression | Task::Deepfake) {
        let what = "the likelihood scorer chooses one label: take another scorer for";
        return Err(refuse(format!("{what} {}", task.name())));
    }
    if prediction.error.is_some() {
        return Ok(None);
    }
    let Some(likelihoods) = &prediction.likelihoods else {
        return Err(refuse("no likelihoods; make the predictions with `--likelihood`, or take another scorer".into()));
    };
    let mut best = None;
    for label in labels {
        let value =
            finite(likelihoods, label).ok_or_else(|| refuse(format!("no likelihood of the label {label:?}")))?;
        if best.is_none_or(|(_, highest)| value > highest) {
            best = Some((label, value));
        }
    }
    Ok(best.map(|(label, _)| (*label).to_owned()))
}

fn finite(likelihoods: &BTreeMap<String, f64>, label: &str) -> Option<f64> {
    likelihoods.get(label).copied().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::{PredictionFault, Truth};

    const SET: [&str; 3] = ["sadness", "happiness", "fear"];

    fn prediction(values: &[(&str, f64)]) -> Prediction {
        Prediction {
            id: "a".into(),
            path: String::new(),
            truth: Truth::Label("fear".into()),
            raw: Some("Fear.".into()),
            likelihoods: Some(values.iter().map(|(label, value)| ((*label).into(), *value)).collect()),
            landmarks_used: None,
            error: None,
        }
    }

    #[test]
    fn the_highest_wins_and_ties_go_to_the_front_of_the_set() {
        let read = |values: &[(&str, f64)]| label(Task::Expression, &SET, &prediction(values)).unwrap().unwrap();
        assert_eq!(read(&[("happiness", -2.0), ("sadness", -3.0), ("fear", -4.0), ("anger", 0.0)]), "happiness");
        assert_eq!(read(&[("happiness", -2.0), ("sadness", -2.0), ("fear", -2.0)]), "sadness");
        assert_eq!(read(&[("happiness", -2.0), ("sadness", -3.0), ("fear", -2.0)]), "happiness");
    }

    #[test]
    fn what_is_missing_is_named() {
        let fail = |prediction: &Prediction| label(Task::Expression, &SET, prediction).unwrap_err().to_string();
        let mut without = prediction(&[]);
        assert!(fail(&without).contains("\"sadness\""));
        assert!(
            fail(&prediction(&[("sadness", 0.0), ("happiness", f64::NAN), ("fear", 0.0)])).contains("\"happiness\"")
        );
        without.likelihoods = None;
        assert!(fail(&without).contains("--likelihood"));
        assert!(label(Task::Age, &SET, &without).unwrap_err().to_string().contains("age"));
        without.error = Some(PredictionFault { code: "media".into(), message: "broken".into() });
        assert_eq!(label(Task::Expression, &SET, &without).unwrap(), None);
    }
}

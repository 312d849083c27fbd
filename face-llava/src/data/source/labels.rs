//! What people said about a picture, in the closed sets of the tasks.

use serde::Serialize;

use super::{Cells, Place, RowFault, nearest};
use crate::{ACTION_UNITS, ATTRIBUTES, EXPRESSIONS, Task};

/// Labels of one row; what nobody labelled is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Labels {
    /// One of [`EXPRESSIONS`].
    pub expression: Option<String>,
    /// Numbers of [`ACTION_UNITS`], ascending; empty where a coder saw none.
    pub action_units: Option<Vec<u8>>,
    /// Names of [`ATTRIBUTES`] that hold, in that order.
    pub attributes: Option<Vec<String>>,
    /// Whole years.
    pub age: Option<u32>,
    /// Whether the picture is fake.
    pub fake: Option<bool>,
}

impl Labels {
    /// Whether there is one for the task.
    pub fn has(&self, task: Task) -> bool {
        match task {
            Task::Expression => self.expression.is_some(),
            Task::ActionUnits => self.action_units.is_some(),
            Task::Attributes => self.attributes.is_some(),
            Task::Age => self.age.is_some(),
            Task::Deepfake => self.fake.is_some(),
        }
    }

    /// As records name them.
    pub fn names(&self, task: Task) -> Option<Vec<String>> {
        match task {
            Task::Expression => self.expression.as_ref().map(|e| vec![e.clone()]),
            Task::ActionUnits => {
                self.action_units.as_ref().map(|units| units.iter().map(|n| format!("AU{n}")).collect())
            }
            Task::Attributes => self.attributes.clone(),
            Task::Age => self.age.map(|years| vec![years.to_string()]),
            Task::Deepfake => self.fake.map(|fake| vec![if fake { "fake" } else { "real" }.into()]),
        }
    }

    pub(super) fn read(place: &Place, cells: &Cells) -> Result<Self, RowFault> {
        let unknown = |kind, label: &str, nearest| RowFault::UnknownLabel {
            place: place.clone(),
            kind,
            label: label.into(),
            nearest,
        };
        let expression = cells.get("expression").map(|cell| {
            let known = EXPRESSIONS.iter().find(|e| cell.eq_ignore_ascii_case(e));
            known.map(|e| (*e).to_owned()).ok_or_else(|| unknown("expression", &cell, nearest(&cell, EXPRESSIONS)))
        });
        let action_units = cells.get("action_units").map(|cell| {
            let split = |c: char| c.is_whitespace() || matches!(c, ';' | '+' | ',');
            let words = cell.split(split).filter(|w| !w.is_empty() && !is_none(w));
            let mut units = words.map(|w| action_unit(w).ok_or_else(|| unknown("action unit", w, nearest_unit(w))));
            let mut units: Vec<u8> = units.by_ref().collect::<Result<_, _>>()?;
            units.sort_unstable();
            units.dedup();
            Ok(units)
        });
        let attributes = cells.get("attributes").map(|cell| {
            let words = cell.split(';').map(str::trim).filter(|w| !w.is_empty() && !is_none(w));
            let mut held = words.map(|word| {
                let name = word.replace(' ', "_");
                let at = ATTRIBUTES.iter().position(|a| a.eq_ignore_ascii_case(&name));
                at.ok_or_else(|| unknown("attribute", word, nearest(&name, ATTRIBUTES)))
            });
            let mut held: Vec<usize> = held.by_ref().collect::<Result<_, _>>()?;
            held.sort_unstable();
            held.dedup();
            Ok(held.into_iter().map(|at| ATTRIBUTES[at].to_owned()).collect())
        });
        let age = cells.get("age").map(|cell| {
            let years = cell.parse().ok().filter(|years| *years <= 120);
            years.ok_or_else(|| RowFault::Age { place: place.clone(), value: cell })
        });
        let fake = cells.get("deepfake").map(|cell| match cell.to_ascii_lowercase().as_str() {
            "fake" => Ok(true),
            "real" => Ok(false),
            _ => Err(unknown("deepfake", &cell, nearest(&cell, ["real", "fake"]))),
        });
        Ok(Self {
            expression: expression.transpose()?,
            action_units: action_units.transpose()?,
            attributes: attributes.transpose()?,
            age: age.transpose()?,
            fake: fake.transpose()?,
        })
    }
}

fn is_none(word: &str) -> bool {
    word.eq_ignore_ascii_case("none") || word == "0"
}

/// `12`, `AU12` or `au12`.
fn action_unit(word: &str) -> Option<u8> {
    let digits = word.strip_prefix("AU").or_else(|| word.strip_prefix("au")).unwrap_or(word);
    let number: u8 = digits.parse().ok()?;
    ACTION_UNITS.iter().any(|(known, _)| *known == number).then_some(number)
}

fn nearest_unit(word: &str) -> String {
    let digits: String = word.chars().filter(char::is_ascii_digit).collect();
    let number = digits.parse::<u32>().unwrap_or(0);
    let by = |unit: &&(u8, &str)| u32::from(unit.0).abs_diff(number);
    ACTION_UNITS.iter().min_by_key(by).map_or_else(String::new, |(n, _)| format!("AU{n}"))
}

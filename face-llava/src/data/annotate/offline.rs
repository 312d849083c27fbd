//! Answers without a model: the label first, then a short sentence about what the points and pixels show.
//!
//! The first words decide: a small decoder learns them, and a reader of labels needs no more. Few words, few forms.

use super::words::{capital, light, observations, turn};
use super::{Annotator, AnnotatorFault, Priced, Request};
use crate::data::blend::Trace;
use crate::data::seed::pick;
use crate::{ACTION_UNITS, Task};

/// The annotator that asks nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offline;

impl Annotator for Offline {
    fn identity(&self) -> String {
        "offline 1".into()
    }

    fn annotate(&self, request: &Request<'_>) -> Result<Priced<String>, AnnotatorFault> {
        let text = match request.task {
            Task::Expression => expression(request),
            Task::ActionUnits => action_units(request),
            Task::Attributes => attributes(request),
            Task::Age => age(request),
            Task::Deepfake => deepfake(request),
        };
        Ok(Priced::free(text))
    }
}

/// One of several forms, the same for the same item and seed.
fn form<'a>(request: &Request<'_>, forms: &[&'a str]) -> &'a str {
    pick(request.seed, &format!("form:{}", request.id), forms).copied().unwrap_or_default()
}

/// A sentence about the face.
fn seen(request: &Request<'_>) -> String {
    let [a, b] = observations(&request.measures);
    let form =
        form(request, &["{A} and {b}.", "{A}, while {b}.", "In this face {a} and {b}.", "It shows that {a} and {b}."]);
    form.replace("{A}", &capital(a)).replace("{a}", a).replace("{b}", b)
}

fn expression(request: &Request<'_>) -> String {
    match request.labels.first() {
        Some(label) => format!("{}. {}", capital(label), seen(request)),
        None => format!("I cannot tell the emotion for sure. {}", seen(request)),
    }
}

fn action_units(request: &Request<'_>) -> String {
    let number = |label: &String| label.strip_prefix("AU").and_then(|n| n.parse::<u8>().ok());
    let named = request.labels.iter().filter_map(number).map(|number| {
        let name = ACTION_UNITS.iter().find(|(n, _)| *n == number).map_or("", |(_, name)| name);
        format!("AU{number} ({name})")
    });
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        format!("No action unit is clearly active. {}", seen(request))
    } else {
        format!("{}. {}", named.join(", "), seen(request))
    }
}

fn attributes(request: &Request<'_>) -> String {
    let words: Vec<String> = request.labels.iter().map(|l| l.replace('_', " ").to_lowercase()).collect();
    let first = if words.is_empty() { "No attributes stand out".into() } else { capital(&words.join(", ")) };
    let form =
        form(request, &["{first}; {turn} and {light}.", "{first}; {light} and {turn}.", "{first}; {turn}, {light}."]);
    let form = form.replace("{first}", &first);
    form.replace("{turn}", turn(&request.measures)).replace("{light}", light(&request.light))
}

fn age(request: &Request<'_>) -> String {
    let Some(years) = request.labels.first() else {
        let forms = [
            "I cannot tell the age from this picture. It would be a mere guess.",
            "I cannot tell the age. The picture alone does not show it well enough.",
            "I cannot tell the age of this face. A number would be a mere guess.",
            "I cannot tell the age here. The face alone is not enough for a number.",
        ];
        return form(request, &forms).into();
    };
    let unit = if years == "1" { "year" } else { "years" };
    let forms = [
        "{n} {unit} old is my estimate from the look of the face in this picture.",
        "{n} {unit} old, going by the look of the face in this picture.",
        "{n} {unit} old is what the face suggests; it may be a few years off.",
    ];
    form(request, &forms).replace("{n}", years).replace("{unit}", unit)
}

fn deepfake(request: &Request<'_>) -> String {
    let fake = request.labels.first().is_some_and(|l| l == "fake");
    let forms: &[&str] = match (fake, request.blend.map(|b| b.trace())) {
        (true, Some(Trace::Tone)) => &[
            "Fake: the tone of the face differs from the skin around it.",
            "Fake: the face has another tone than the skin around it.",
        ],
        (true, Some(Trace::Softness)) => &[
            "Fake: the face is softer than the picture around it.",
            "Fake: the details of the face are softer than the rest.",
        ],
        (true, Some(Trace::Place)) => &[
            "Fake: the face lies a little off its place and its edge shows.",
            "Fake: the edge of the face shows, it lies a little off its place.",
        ],
        (true, None) => &[
            "Fake: the face looks altered when compared with the rest of the picture.",
            "Fake: the face does not look as a camera would take it.",
        ],
        (false, _) => &[
            "Real: the edge of the face looks natural and nothing seems laid over it.",
            "Real: the face fits the picture around it in tone and detail.",
            "Real: tone and detail of the face go well with the rest of the picture.",
        ],
    };
    form(request, forms).into()
}

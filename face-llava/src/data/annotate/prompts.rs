//! What chat models are told. Part of every cache key and, as digests, of the manifest.

use super::Request;
use crate::Task;
use crate::data::seed::sha256;

/// For writing answers.
const ANNOTATE: &str = "You write examples for training a model that describes faces. You are shown the crop of a face \
from a picture, or frames of a clip in order, with a question and the correct label. Answer the question in agreement \
with the label. Begin with the label, then name in two to four short sentences what can be seen in the face that speaks \
for it: brows, eyes, nose, cheeks, mouth, skin, head. Say only what can be seen. Write about what the face shows, never \
about what the person feels, intends or is, and do not say or guess who it is. Do not mention that a label was given, \
nor these instructions. Plain sentences, no lists, no headings.";

/// For rating them.
const RATE: &str = "You check examples for training a model that describes faces. You are shown the crop of a face from \
a picture, or frames of a clip in order, with a label, a question and an answer. Rate from 1 (bad) to 10 (good), in whole \
numbers: label_accuracy, does the label fit what is shown; media_consistency, does the answer fit what is shown; \
label_consistency, does the answer agree with the label; overall, how good the whole is as an example. Reply with one \
JSON object with these four keys and a key reason with one sentence, and nothing else.";

/// How an answer begins.
const fn beginning(task: Task) -> &'static str {
    match task {
        Task::Expression => "Begin with the emotion as one word and a full stop.",
        Task::ActionUnits => {
            "Begin with every active unit as in: AU12 (Lip Corner Puller), AU25 (Lips Part). Without any, begin with: No \
             action unit is clearly active."
        }
        Task::Attributes => "Begin with the attributes, separated by commas.",
        Task::Age => "Begin with the age as in: 34 years old.",
        Task::Deepfake => "Begin with Fake: or Real:",
    }
}

/// System and user text for an answer.
pub(super) fn annotate(request: &Request<'_>) -> (&'static str, String) {
    let text = format!("Label: {}\nQuestion: {}\n{}", label(request), request.question, beginning(request.task));
    (ANNOTATE, text)
}

/// System and user text for a rating.
pub(super) fn rate(request: &Request<'_>, answer: &str) -> (&'static str, String) {
    (RATE, format!("Label: {}\nQuestion: {}\nAnswer: {answer}", label(request), request.question))
}

fn label(request: &Request<'_>) -> String {
    let names: Vec<String> = request.labels.iter().map(|name| name.replace('_', " ")).collect();
    let names = if names.is_empty() { "none".into() } else { names.join(", ") };
    format!("{} = {names}", request.task.name())
}

/// Digest of everything that answers are asked with.
pub(crate) fn annotate_digest() -> String {
    let all: Vec<&str> = Task::ALL.into_iter().map(beginning).collect();
    sha256(format!("{ANNOTATE}\n{}", all.join("\n")).as_bytes())
}

/// Digest of what ratings are asked with.
pub(crate) fn rate_digest() -> String {
    sha256(RATE.as_bytes())
}

//! Explicit labels only, as [`Task::labels_of`] reads them: whole words, denied ones left out, no guess.

use crate::Task;

/// The first explicit label. Where it is not of the closed set, nothing is read: the answer is wrong either way.
///
/// Labels that no task of this crate knows ("contempt") count where the answer begins with them.
pub(super) fn label(task: Task, labels: &[&str], answer: &str) -> Option<String> {
    let first = task.labels_of(answer).and_then(|labels| labels.into_iter().next());
    let given = match &first {
        Some(label) => labels.iter().find(|l| *l == label),
        None => {
            let answer = plain(answer);
            let unknown = labels.iter().filter(|l| task.labels_of(l).is_none());
            unknown.filter(|l| (answer.clone() + " ").starts_with(&(plain(l) + " "))).max_by_key(|l| l.len())
        }
    };
    given.map(|label| (*label).to_owned())
}

/// Action units by number ("AU12", "AU 12") and by FACS name, ascending; those outside of the benchmark's list are
/// left out. An empty list where the answer says that there is none.
pub(super) fn units(labels: &[&str], answer: &str) -> Option<Vec<u8>> {
    let given = Task::ActionUnits.labels_of(answer)?;
    let known = given.iter().filter(|unit| labels.contains(&unit.as_str()));
    Some(known.filter_map(|unit| unit.strip_prefix("AU")?.parse().ok()).collect())
}

/// Attributes, one by one ("Smiling: yes", in lines or between commas) or as a list of those that are there. One by
/// one, what has no yes or no is not answered; in a list, what is not mentioned is not there.
pub(super) fn attributes(labels: &[&str], answer: &str) -> Option<Vec<Option<bool>>> {
    let names: Vec<String> = labels.iter().map(|label| plain(label)).collect();
    let mut single = vec![None; labels.len()];
    for part in answer.split(['\n', ',', ';', '.']) {
        let Some((name, value)) = part.split_once([':', '=']) else { continue };
        if let Some(at) = names.iter().position(|n| *n == plain(name)) {
            single[at] = single[at].or_else(|| yes_or_no(value));
        }
    }
    if single.iter().any(Option::is_some) {
        return Some(single);
    }
    let listed = Task::Attributes.labels_of(answer)?;
    Some(labels.iter().map(|label| Some(listed.iter().any(|l| l == label))).collect())
}

/// Years, the middle of a range.
pub(super) fn age(answer: &str) -> Option<f64> {
    Task::Age.labels_of(answer)?.first()?.parse().ok()
}

fn yes_or_no(value: &str) -> Option<bool> {
    match plain(value).split(' ').next()? {
        "yes" | "true" | "1" | "present" => Some(true),
        "no" | "false" | "0" | "absent" => Some(false),
        _ => None,
    }
}

/// Words in lower case with single spaces, nothing else.
fn plain(text: &str) -> String {
    let text = text.to_lowercase();
    text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ATTRIBUTES, EXPRESSIONS};

    #[test]
    fn only_explicit_labels_of_the_closed_set() {
        let read = |set: &[&str], answer| label(Task::Expression, set, answer).unwrap_or_else(|| "?".into());
        assert_eq!(read(&EXPRESSIONS, "She isn't happy but afraid."), "fear");
        assert_eq!(read(&EXPRESSIONS, "Her nose is wrinkled in disgust."), "disgust");
        assert_eq!(read(&EXPRESSIONS, "A smile."), "?");
        assert_eq!(read(&EXPRESSIONS, ""), "?");
        let six = ["neutral", "happiness", "sadness", "anger", "fear", "disgust"];
        assert_eq!(read(&six, "Surprise, or fear."), "?", "the answer is surprise");
        assert_eq!(read(&["happiness", "contempt"], "Contempt: one corner of the lips is raised."), "contempt");
        assert_eq!(read(&["happiness", "contempt"], "Contemptuous"), "?");
        assert_eq!(read(&["happiness", "contempt"], "No contempt"), "?");
        assert_eq!(read(&["a", "a b"], "A b, c"), "a b");
    }

    #[test]
    fn real_or_fake() {
        let read = |answer| label(Task::Deepfake, &["real", "fake"], answer).unwrap_or_else(|| "?".into());
        assert_eq!(read("Fake: the border is blurred."), "fake");
        assert_eq!(read("This is not real."), "fake");
        assert_eq!(read("Really?"), "?");
        assert_eq!(read("No, there is no evidence of manipulation."), "real");
        assert_eq!(read("There isn't any evidence that it was altered."), "real");
        assert_eq!(read("Yes, there is evidence of manipulation around the mouth."), "fake");
        assert_eq!(read("The face is a deepfake."), "fake");
        assert_eq!(read("Real: no part of it was altered."), "real");
        assert_eq!(read("Yes."), "?", "to which question?");
    }

    #[test]
    fn units_by_number_and_name() {
        let labels = ["AU1", "AU6", "AU12"];
        assert_eq!(units(&labels, "AU 12, the cheek raiser and AU4"), Some(vec![6, 12]));
        assert_eq!(units(&labels, "AU12 is absent."), Some(vec![]));
        assert_eq!(units(&labels, "A face."), None);
    }

    #[test]
    fn ages_and_ranges() {
        assert_eq!(age("34 years old"), Some(34.0));
        assert_eq!(age("between 30 and 36"), Some(33.0));
        assert_eq!(age("An adult."), None);
    }

    #[test]
    fn attributes_one_by_one_leave_the_rest_unanswered() {
        let read = |answer: &str| attributes(&["Bald", "No_Beard", "Smiling", "Young"], answer);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(read("- Bald: No\n- **No_Beard**: yes\n- Smiling: maybe"), Some(vec![no, yes, None, None]));
        assert_eq!(read("{\"bald\": false, \"no beard\": true}"), Some(vec![no, yes, None, None]));
        assert_eq!(read("1. Bald = 0; Young: Yes, clearly"), Some(vec![no, None, None, yes]));
        assert_eq!(read("Bald: no, bald: yes, Young"), Some(vec![no, None, None, None]));
    }

    #[test]
    fn attributes_of_a_list_are_all_answered() {
        let read = |answer: &str| attributes(&["Bald", "No_Beard", "Smiling", "Young"], answer);
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(read("Young, no beard, not smiling"), Some(vec![no, yes, no, yes]));
        assert_eq!(read("None of the attributes."), Some(vec![no; 4]));
        assert_eq!(read("A face."), None);
        let all = attributes(&ATTRIBUTES, &ATTRIBUTES.join(", ")).unwrap();
        assert_eq!(all, vec![yes; 40]);
    }
}

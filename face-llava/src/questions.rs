//! The pool of questions of each task, in our own words.

use crate::Task;

const EXPRESSION: [&str; 10] = [
    "What emotion is shown?",
    "Which expression does the face show?",
    "How does the face look: happy, sad, neutral, angry, surprised, disgusted or fearful?",
    "Name the emotion that the face shows.",
    "Describe the expression and say what it rests on.",
    "What expression can be seen here?",
    "Tell me the facial expression.",
    "Which emotion would a viewer see in this face?",
    "Read the expression of this face.",
    "What does the face express?",
];

const ACTION_UNITS: [&str; 10] = [
    "Which facial action units are active?",
    "List the active action units.",
    "What action units can be seen in this face?",
    "Name the facial action units with their numbers.",
    "Which parts of the face move, as action units?",
    "Give the FACS action units of this face.",
    "Which AUs are present?",
    "Code the face in action units.",
    "What muscle actions does the face show?",
    "Tell me the action units and what they are called.",
];

const ATTRIBUTES: [&str; 10] = [
    "Describe the facial attributes.",
    "What can be seen in this face?",
    "Which attributes does the face have?",
    "List the visible features of the face.",
    "Describe the face in a few words.",
    "What does the face look like?",
    "Name the facial attributes that are visible.",
    "Which features stand out in this face?",
    "Tell me about the look of this face.",
    "Give a short description of the face.",
];

const AGE: [&str; 10] = [
    "Guess the age of the person.",
    "How old does the person look?",
    "What age would you say?",
    "Estimate the age of this face.",
    "Give the apparent age in years.",
    "About how many years old does this face look?",
    "Which age does the face suggest?",
    "Tell me the apparent age and why.",
    "How old might this person be?",
    "State the age that the face appears to have.",
];

const DEEPFAKE: [&str; 10] = [
    "Is there any evidence of manipulation?",
    "Is this face real or fake?",
    "Was this picture altered?",
    "Does the face look manipulated?",
    "Can you see traces of editing on the face?",
    "Is the face genuine?",
    "Check the face for signs of a fake.",
    "Has the face been blended in?",
    "Real or fake?",
    "Tell me whether this face was tampered with.",
];

impl Task {
    /// The question that any model answers with a label: "yes" and "no" are none.
    pub const fn question_for_a_label(self) -> &'static str {
        self.questions()[if matches!(self, Self::Deepfake) { 1 } else { 0 }]
    }

    /// Ten ways to ask for this task; the first is the one asked by default.
    pub const fn questions(self) -> &'static [&'static str; 10] {
        match self {
            Self::Expression => &EXPRESSION,
            Self::ActionUnits => &ACTION_UNITS,
            Self::Attributes => &ATTRIBUTES,
            Self::Age => &AGE,
            Self::Deepfake => &DEEPFAKE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_short_and_asked_once() {
        let all: Vec<&str> = Task::ALL.into_iter().flat_map(|t| t.questions()).copied().collect();
        for (i, question) in all.iter().enumerate() {
            assert!(question.len() <= 100 && question.is_ascii(), "{question}");
            assert!(!all[..i].contains(question), "{question}");
        }
    }
}

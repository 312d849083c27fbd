//! The five tasks of the paper, their closed label sets, and labels read from free text.

mod age;
mod answer;
mod mentions;
mod phrases;
mod vocabulary;
mod words;

pub use answer::{AnswerSettings, TaskAnswer};
use serde::{Deserialize, Serialize};

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// The expression as it is perceived.
    Expression,
    /// Facial action units (FACS) that are active.
    ActionUnits,
    /// Visible attributes.
    Attributes,
    /// Apparent age in years.
    Age,
    /// Whether the picture was manipulated.
    Deepfake,
}

/// The seven expressions of DFEW, FERV39k and RAF-DB, in DFEW's order.
pub const EXPRESSIONS: [&str; 7] = ["happiness", "sadness", "neutral", "anger", "surprise", "disgust", "fear"];

const EXPRESSION_OPENINGS: [(&str, &str); 7] = [
    ("happiness", "Happiness."),
    ("sadness", "Sadness."),
    ("neutral", "Neutral."),
    ("anger", "Anger."),
    ("surprise", "Surprise."),
    ("disgust", "Disgust."),
    ("fear", "Fear."),
];

/// Action units of the DISFA and BP4D benchmarks and closed eyes: number and FACS name.
pub const ACTION_UNITS: [(u8, &str); 16] = [
    (1, "Inner Brow Raiser"),
    (2, "Outer Brow Raiser"),
    (4, "Brow Lowerer"),
    (6, "Cheek Raiser"),
    (7, "Lid Tightener"),
    (9, "Nose Wrinkler"),
    (10, "Upper Lip Raiser"),
    (12, "Lip Corner Puller"),
    (14, "Dimpler"),
    (15, "Lip Corner Depressor"),
    (17, "Chin Raiser"),
    (23, "Lip Tightener"),
    (24, "Lip Pressor"),
    (25, "Lips Part"),
    (26, "Jaw Drop"),
    (43, "Eyes Closed"),
];

/// CelebA's forty attributes in the dataset's order.
pub const ATTRIBUTES: [&str; 40] = [
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
];

impl Task {
    /// All five.
    pub const ALL: [Self; 5] = [Self::Expression, Self::ActionUnits, Self::Attributes, Self::Age, Self::Deepfake];

    /// The name on the command line and in records.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expression => "expression",
            Self::ActionUnits => "action-units",
            Self::Attributes => "attributes",
            Self::Age => "age",
            Self::Deepfake => "deepfake",
        }
    }

    /// How answers to the single-choice tasks (expression, deepfake) begin, for scoring: `(label, text)`; none for
    /// the others.
    pub const fn openings(self) -> Option<&'static [(&'static str, &'static str)]> {
        match self {
            Self::Expression => Some(&EXPRESSION_OPENINGS),
            Self::Deepfake => Some(&[("real", "Real:"), ("fake", "Fake:")]),
            Self::ActionUnits | Self::Attributes | Self::Age => None,
        }
    }

    /// Whether the paper's training data have clips for the task, and not photographs alone.
    pub const fn knows_clips(self) -> bool {
        matches!(self, Self::Expression | Self::Deepfake)
    }

    /// The task of a name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|task| task.name() == name)
    }
}

//! One line of output.

use face_llava::{Error, FrameFace, StopReason, Task, TaskAnswer};
use landmarks::BBox;
use serde::{Serialize, Serializer};
use serde_json::Value;

/// Version of the rows' layout.
pub(super) const SCHEMA: u32 = 1;
/// Code of the error for media without a face.
pub(super) const NO_FACE: &str = "no_face";

/// What is known about one input, or one face of it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row<'a> {
    schema: u32,
    path: &'a str,
    task: Task,
    pub face: Option<RowFace>,
    #[serde(flatten)]
    labels: Labels,
    /// The model's words.
    raw: Option<String>,
    /// Why the words ended.
    pub stop_reason: Option<StopReason>,
    /// Whether the words gave no label.
    pub unparsed: Option<bool>,
    /// The probability of each label against the others, 0 to 1; they add up to 1.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_map")]
    scores: Option<Vec<(&'static str, f64)>>,
    landmarks_used: Option<bool>,
    /// What was noticed while the input was read.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Value>,
    pub error: Option<RowError>,
}

/// One label, or a set of them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Labels {
    Label(Option<String>),
    Labels(Vec<String>),
}

/// The face that a row is about.
#[derive(Clone, Debug, Serialize)]
pub(super) struct RowFace {
    /// Its index in the picture, or its track's in the clip; absent where the picture was taken as the crop.
    index: Option<usize>,
    /// `[x, y, width, height]`, pixels; in clips of the first sampled frame that shows it.
    bbox: Option<BBox>,
    /// The detector's confidence.
    score: Option<f32>,
    /// Faces in the picture; absent for clips.
    pub of: Option<usize>,
    /// Whether part of the crop lies outside the picture.
    truncated: bool,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct RowError {
    pub code: &'static str,
    pub message: String,
    /// Whether the input may be answered about later.
    #[serde(skip)]
    pub passing: bool,
}

impl<'a> Row<'a> {
    /// A row that says nothing yet.
    pub fn new(path: &'a str, task: Task) -> Self {
        let labels = match task {
            Task::ActionUnits | Task::Attributes => Labels::Labels(Vec::new()),
            Task::Expression | Task::Age | Task::Deepfake => Labels::Label(None),
        };
        Self {
            schema: SCHEMA,
            path,
            task,
            face: None,
            labels,
            raw: None,
            stop_reason: None,
            unparsed: None,
            scores: None,
            landmarks_used: None,
            warnings: Vec::new(),
            error: None,
        }
    }

    /// The row of an input that failed, or shows no face.
    pub fn failed(self, error: &Error) -> Self {
        let (code, message, passing) = (error.code(), error.to_string(), error.is_passing());
        Self { error: Some(RowError { code, message, passing }), ..self }
    }

    /// Names the face that it is about.
    pub fn about(self, face: Option<RowFace>) -> Self {
        Self { face, ..self }
    }

    /// The row of an answer.
    pub fn answered(self, answer: TaskAnswer, scores: Option<Vec<(&'static str, f64)>>) -> Self {
        let labels = match self.labels {
            Labels::Label(_) => Labels::Label(answer.labels.into_iter().next()),
            Labels::Labels(_) => Labels::Labels(answer.labels),
        };
        Self {
            labels,
            raw: Some(answer.raw),
            stop_reason: Some(answer.stop_reason),
            unparsed: Some(answer.unparsed),
            scores,
            landmarks_used: Some(answer.landmarks_used),
            ..self
        }
    }

    /// The row of the likeliest label, with all labels' probabilities where they are wanted; nothing was said.
    pub fn likeliest(self, scores: Vec<(&'static str, f64)>, wanted: bool, landmarks_used: bool) -> Self {
        let best = scores.iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(label, _)| (*label).to_owned());
        Self {
            labels: Labels::Label(best),
            unparsed: Some(false),
            scores: wanted.then_some(scores),
            landmarks_used: Some(landmarks_used),
            ..self
        }
    }
}

impl RowFace {
    /// A face that nothing is known of but its index, and how many there are in a picture.
    pub fn unknown(index: usize, of: Option<usize>) -> Self {
        Self { index: Some(index), bbox: None, score: None, of, truncated: false }
    }

    /// From the faces of the frames; `track` is known where every face is asked for.
    pub fn new(frames: &[FrameFace], track: Option<usize>) -> Self {
        let shown = frames.iter().find(|f| f.seen).or(frames.first());
        let picture = frames.len() == 1;
        Self {
            index: if picture { shown.and_then(|f| f.index) } else { track },
            bbox: shown.and_then(|f| f.bbox),
            score: shown.and_then(|f| f.score),
            of: shown.filter(|f| picture && f.index.is_some()).map(|f| f.of),
            truncated: shown.is_some_and(|f| f.truncated),
        }
    }
}

/// Probabilities to six digits, as an object in the order of the labels.
fn as_map<S: Serializer>(scores: &Option<Vec<(&'static str, f64)>>, serializer: S) -> Result<S::Ok, S::Error> {
    let round = |p: f64| format!("{p:.5e}").parse().unwrap_or(p);
    serializer.collect_map(scores.iter().flatten().map(|(label, p)| (label, round(*p))))
}

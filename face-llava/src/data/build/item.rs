//! From a row to its records: look once, then ask for each task.

use std::path::{Path, PathBuf};

use image::RgbImage;

use super::journal::{Entry, Outcome, Rejection};
use super::look::{Look, Seen};
use super::media;
use super::options::BuildOptions;
use crate::Task;
use crate::data::annotate::{Annotator, AnnotatorFault, Priced, Rater, Request, Usage};
use crate::data::blend::Blend;
use crate::data::error::DataError;
use crate::data::pool::Pool;
use crate::data::record::{LabelOrigin, LandmarksField, Message, Meta, Record, Speaker};
use crate::data::seed::unit;
use crate::data::source::{Row, RowFault, SourceRow};

/// Why an item became no record. The others go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemFault {
    /// The row is bad.
    #[error(transparent)]
    Row(#[from] RowFault),
    /// The picture cannot be read.
    #[error(transparent)]
    Picture(#[from] landmarks::Error),
    /// The clip cannot be read.
    #[error(transparent)]
    Media(#[from] crate::Error),
    /// The picture shows no face.
    #[error("no face found")]
    NoFace,
    /// Where one face is wanted.
    #[error("{faces} faces; --face largest takes the largest")]
    SeveralFaces {
        /// How many.
        faces: usize,
    },
    /// The detector is not sure.
    #[error("the face's score is {score:.2}, below {limit:.2}")]
    LowScore {
        /// Its score.
        score: f32,
        /// The limit.
        limit: f32,
    },
    /// Too small, or hardly recognised by the aligner.
    #[error("the face is too small or its points are guesses")]
    LowQuality,
    /// Points that coincide.
    #[error("the points found are no face's")]
    BadPoints,
    /// No answer or rating.
    #[error(transparent)]
    Annotator(#[from] AnnotatorFault),
    /// The rating is too low.
    #[error("rated {scores:?}, below {limit}")]
    LowRating {
        /// The four scores.
        scores: [u8; 4],
        /// The limit.
        limit: u8,
    },
    /// A backend panicked over this picture.
    #[error("the aligner failed over this picture")]
    Internal,
}

impl ItemFault {
    /// A name for the kind of fault that programs can rely on.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Row(fault) => fault.code(),
            Self::Picture(_) => "bad_picture",
            Self::Media(crate::Error::NoFace { .. }) | Self::NoFace => "no_face",
            Self::Media(_) => "bad_media",
            Self::SeveralFaces { .. } => "several_faces",
            Self::LowScore { .. } => "low_score",
            Self::LowQuality => "low_quality",
            Self::BadPoints => "bad_points",
            Self::Annotator(fault) => fault.code(),
            Self::LowRating { .. } => "low_rating",
            Self::Internal => "internal",
        }
    }

    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Annotator(fault) => fault.is_passing(),
            Self::Media(error) => error.is_passing(),
            Self::Picture(error) => error.is_passing(),
            _ => false,
        }
    }
}

/// What all rows share.
pub(super) struct Workshop<'a> {
    pub options: &'a BuildOptions,
    pub pool: &'a Pool,
    pub look: &'a Look,
    pub annotator: &'a dyn Annotator,
    pub rater: Option<&'a dyn Rater>,
    /// Folder of the manifest, left out of messages: they must read the same wherever it lies.
    pub folder: &'a Path,
}

/// The record's name.
pub(super) fn record_id(row: &SourceRow, task: Task) -> String {
    format!("{}#{}", row.id, task.name())
}

/// The label of a task for one face, and where it comes from.
struct Label {
    names: Vec<String>,
    origin: LabelOrigin,
    blend: Option<Blend>,
}

/// What an item's replies took when they were made, and what they took now.
#[derive(Default)]
struct Bill {
    usage: Usage,
    paid: Usage,
}

impl Bill {
    /// A reply, its price noted.
    fn take<T>(&mut self, reply: Result<Priced<T>, AnnotatorFault>) -> Result<T, AnnotatorFault> {
        let mut note = |usage, paid| {
            self.usage += usage;
            self.paid += paid;
        };
        match &reply {
            Ok(reply) => note(reply.usage, reply.paid),
            Err(AnnotatorFault::Paid(reply)) => note(reply.usage, reply.paid),
            Err(_) => {}
        }
        reply.map(|reply| reply.value)
    }
}

impl Workshop<'_> {
    /// Looks at a row's face and does the given tasks. `done` gets each finished item and what it cost now.
    ///
    /// # Errors
    /// What `done` returns, and [`DataError::Write`] where crops cannot be written.
    pub fn row(
        &self,
        index: usize,
        row: &SourceRow,
        tasks: &[Task],
        mut done: impl FnMut(Entry, Usage, Option<AnnotatorFault>) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let looked = match &row.content {
            Err(fault) => Err((ItemFault::Row(fault.clone()), None)),
            Ok(content) => self.look.at(content).map(|(seen, digest)| (content, seen, digest)).map_err(|fault| *fault),
        };
        let (content, seen, digest) = match looked {
            Ok(looked) => looked,
            Err((fault, digest)) => {
                for task in tasks {
                    let rejected = self.rejected(row, *task, &fault);
                    let (input, outcome) = (digest.clone(), Outcome::Rejected(rejected));
                    let entry = Entry { row: index, task: *task, input, usage: Usage::default(), outcome };
                    done(entry, Usage::default(), None)?;
                }
                return Ok(());
            }
        };
        let mut written = false;
        for task in tasks {
            let mut bill = Bill::default();
            let made = self.item(row, content, &seen, *task, &mut bill);
            let (outcome, fault) = match made {
                Ok((record, altered)) => {
                    if let Some(frames) = &altered {
                        media::write(&self.options.out, &record, frames)?;
                    } else if !written {
                        media::write(&self.options.out, &record, &seen.frames)?;
                        written = true;
                    }
                    (Outcome::Kept(Box::new(record)), None)
                }
                Err(fault) => {
                    let rejected = self.rejected(row, *task, &fault);
                    let fault = if let ItemFault::Annotator(fault) = fault { Some(fault) } else { None };
                    (Outcome::Rejected(rejected), fault)
                }
            };
            let (input, usage) = (Some(digest.clone()), bill.usage);
            done(Entry { row: index, task: *task, input, usage, outcome }, bill.paid, fault)?;
        }
        Ok(())
    }

    fn rejected(&self, row: &SourceRow, task: Task, fault: &ItemFault) -> Rejection {
        let message = match fault {
            ItemFault::Row(_) => fault.to_string(),
            _ => format!("{}: {fault}", row.place),
        };
        let folder = format!("{}/", self.folder.display());
        let message = if folder == "/" { message } else { message.replace(&folder, "") };
        let passing = fault.is_passing();
        Rejection { id: record_id(row, task), task, code: fault.code().into(), message, passing }
    }

    /// A record, and the altered frames where the builder made them.
    fn item(
        &self,
        row: &SourceRow,
        content: &Row,
        seen: &Seen,
        task: Task,
        bill: &mut Bill,
    ) -> Result<(Record, Option<Vec<RgbImage>>), ItemFault> {
        let id = record_id(row, task);
        let label = self.label(row, content, seen, task);
        let altered: Option<Vec<RgbImage>> = label.blend.map(|blend| {
            let each = seen.frames.iter().zip(&seen.points);
            each.map(|(frame, points)| blend.apply(frame, points)).collect()
        });
        let question = self.pool.question(task, self.options.seed, &id);
        let request = Request {
            id: &id,
            task,
            question,
            labels: &label.names,
            origin: label.origin,
            frames: altered.as_deref().unwrap_or(&seen.frames),
            points: &seen.points,
            measures: seen.measures,
            light: seen.light,
            blend: label.blend.as_ref(),
            seed: self.options.seed,
        };
        let answer = bill.take(self.annotator.annotate(&request))?;
        let rating = match self.rater {
            None => None,
            Some(rater) => {
                let rating = bill.take(rater.rate(&request, &answer))?;
                let (scores, limit) = (rating.scores(), self.options.min_rating);
                if scores.iter().any(|s| *s < limit) {
                    return Err(ItemFault::LowRating { scores, limit });
                }
                Some(rating)
            }
        };
        let path = media::path(&row.id, altered.is_some(), seen.is_video);
        let (image, video): (Option<PathBuf>, Option<PathBuf>) =
            if seen.is_video { (None, Some(path)) } else { (Some(path), None) };
        let placeholder = if seen.is_video { "<video>" } else { "<image>" };
        let asked = Message { from: Speaker::Human, value: format!("{placeholder}\n{question}") };
        let told = Message { from: Speaker::Gpt, value: answer };
        let points = seen.points.iter().map(|set| set.iter().map(|p| [p.x, p.y]).collect());
        let landmarks = Some(LandmarksField::Points(points.collect()));
        let meta = Meta {
            task,
            labels: label.names,
            origin: label.origin,
            person: content.person.clone(),
            source_id: row.id.clone(),
            rating,
        };
        let record = Record { id, image, video, landmarks, conversations: vec![asked, told], meta: Some(meta) };
        Ok((record, altered))
    }

    /// A person's label where there is one; else what geometry, pixels or the builder itself tell.
    fn label(&self, row: &SourceRow, content: &Row, seen: &Seen, task: Task) -> Label {
        if let Some(names) = content.labels.names(task) {
            return Label { names, origin: LabelOrigin::Human, blend: None };
        }
        let weak = |names| Label { names, origin: LabelOrigin::Geometry, blend: None };
        match task {
            Task::Expression | Task::Age => Label { names: Vec::new(), origin: LabelOrigin::None, blend: None },
            Task::ActionUnits => {
                weak(seen.measures.action_units().into_iter().map(|unit| format!("AU{unit}")).collect())
            }
            Task::Attributes => {
                let mut names: Vec<String> = seen.measures.attributes().into_iter().map(Into::into).collect();
                if seen.light.is_blurry() {
                    names.push("Blurry".into());
                }
                names.sort_by_key(|name| crate::ATTRIBUTES.iter().position(|a| a == name));
                weak(names)
            }
            Task::Deepfake => {
                let seed = self.options.seed;
                let fake = unit(seed, &format!("fake:{}", row.id)) < self.options.self_blend;
                let names = vec![if fake { "fake" } else { "real" }.to_owned()];
                Label { names, origin: LabelOrigin::Made, blend: fake.then(|| Blend::draw(seed, &row.id)) }
            }
        }
    }
}

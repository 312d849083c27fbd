//! Learning to answer: the objective of both of the paper's stages and of LoRA.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use burn::tensor::{Device, FloatDType, Tensor, activation};
use landmarks::{UnitLandmarks, UnitPoint};
use rand::RngExt;
use serde::{Deserialize, Serialize};

use super::augment::random;
use super::batch::{Opening, opening_loss};
use super::features::{Features, TrainingMedia, join};
use super::order::{Sampling, batches, order};
use super::parameters::cast;
use super::quarantine::Quarantine;
use super::{Example, Loss, Objective, Position, Pupil, TrainError};
use crate::data::{LandmarksField, Record};
use crate::text::{PromptToken, Template, Tokenizer};
use crate::{EXPRESSIONS, Error, Network, Task};

/// Purpose of the random numbers.
const DROP_LANDMARKS: u64 = 3;

/// How records become a course of lessons.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Course {
    /// Wording of the prompts; the authors train with [`Template::Training`].
    pub template: Template,
    /// How an epoch goes through the records.
    pub sampling: Sampling,
    /// Examples that go through the network at once.
    pub micro_batch: usize,
    /// Longest input, visual tokens included; longer records are left out.
    pub max_length: usize,
    /// Part of the batches that are shown without landmarks, so that the model can do without.
    pub landmark_dropout: f64,
    /// Part of the records that may be unusable.
    pub bad_budget: f64,
    /// Seed of the order.
    pub seed: u64,
}

/// How the tower's own head guides what answers about expressions begin with.
///
/// `alpha` and `recall` make of the head's judgement the answer that serves accuracy and mean recall best: an expression of
/// probability `p` that is right in a share `s` of the pictures gains `p` for the accuracy and, one of `K` that are told
/// apart, `p / (K s)` for the mean of their recalls.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Guidance {
    /// How much of it is the head's judgement rather than the label.
    pub share: f64,
    /// How much it counts where every other token of an answer counts 1: sentences are long and soon known by heart.
    pub weight: f64,
    /// The head's logits are multiplied by it: one taught with smoothed and mixed labels is less sure than it is right
    /// (temperature scaling, arXiv 1706.04599).
    pub scale: f64,
    /// `alpha * ln(s)` is added to the scaled logits: with the `alpha` of its own lessons ([`super::LessonPlan::alpha`]) rare
    /// expressions become as rare as they are (logit adjustment, arXiv 2007.07314).
    pub alpha: f64,
    /// How much the mean recall counts where accuracy counts 1: the judgement is multiplied by `1 + recall / (K s)`. Expressions
    /// in less than 1.5 % of the pictures are none of the `K`.
    pub recall: f64,
}

/// An expression in a smaller share of the pictures is not learnt well enough to be favoured: the small model's tower, taught by
/// a hundred disgusted faces, knew one of twelve of unseen persons at most, and called twenty others so.
const TOLD_APART: f64 = 0.015;

impl Guidance {
    /// What is added to the logits of expressions that stand for so many examples each; those without any are never named.
    fn raised(&self, counts: &[f64]) -> Vec<f32> {
        let all: f64 = counts.iter().sum();
        let shares: Vec<f64> = counts.iter().map(|count| count / all).collect();
        let told_apart = |share: f64| share >= TOLD_APART;
        let averaged = shares.iter().filter(|share| told_apart(**share)).count() as f64;
        let raise = |share: f64| {
            let gain = if told_apart(share) { self.recall / (averaged * share) } else { 0.0 };
            if share > 0.0 { self.alpha * share.ln() + gain.ln_1p() } else { f64::NEG_INFINITY }
        };
        shares.into_iter().map(|share| raise(share) as f32).collect()
    }
}

/// Records, tokenised, with what the frozen towers make of their media.
#[derive(Debug)]
pub struct Instruction {
    examples: Vec<Example>,
    /// Place of each example's record in its file, from 1.
    entries: Vec<usize>,
    /// Place of each example's media among the features'.
    media: Vec<Option<usize>>,
    weights: Option<(Vec<f64>, usize)>,
    /// The expression that each example is about.
    expressions: Vec<Option<usize>>,
    guide: Option<Guide>,
    dtype: FloatDType,
    features: Arc<Features>,
    course: Course,
    bad: Mutex<Quarantine>,
}

/// A record and the place of what it looks at among the media; or why it cannot be used.
pub type Placed<'a> = Result<(&'a Record, Option<usize>), String>;

/// What records look at, each picture or clip once, and which of them each record looks at. Points come with the first
/// record that has them; a record whose points cannot be used is unusable.
pub fn media_of<'a>(
    records: impl IntoIterator<Item = Result<&'a Record, String>>,
    folder: &Path,
) -> (Vec<TrainingMedia>, Vec<Placed<'a>>) {
    let mut known: HashMap<&Path, usize> = HashMap::new();
    let mut media: Vec<TrainingMedia> = Vec::new();
    let place = |record: Result<&'a Record, String>| {
        let record = record?;
        let Some(path) = record.media() else { return Ok((record, None)) };
        let met = known.get(path).copied();
        let wanted = met.is_none_or(|place: usize| media[place].landmarks.is_none());
        let landmarks = match &record.landmarks {
            Some(field) if wanted => Some(points(field, folder).map_err(|e| e.to_string())?),
            _ => None,
        };
        let place = met.unwrap_or_else(|| {
            let is_video = record.video.is_some();
            media.push(TrainingMedia { path: folder.join(path), is_video, landmarks: None });
            media.len() - 1
        });
        known.insert(path, place);
        if landmarks.is_some() {
            media[place].landmarks = landmarks;
        }
        Ok((record, Some(place)))
    };
    let placed = records.into_iter().map(place).collect();
    (media, placed)
}

fn points(field: &LandmarksField, folder: &Path) -> Result<Vec<UnitLandmarks>, Error> {
    let sets = match field {
        LandmarksField::Points(sets) => sets.clone(),
        LandmarksField::Path(path) => crate::data::read_landmarks(folder.join(path))?,
    };
    let unit = |set: Vec<[f32; 2]>| {
        let points: Vec<UnitPoint> = set.into_iter().map(|[x, y]| UnitPoint::new(x, y)).collect();
        let points = UnitLandmarks::try_from(points)?;
        points.check()?;
        Ok(points)
    };
    let points: Result<Vec<UnitLandmarks>, landmarks::Error> = sets.into_iter().map(unit).collect();
    Ok(points?)
}

/// The expression that a record is about, by its place in [`EXPRESSIONS`].
fn expression(record: &Record) -> Option<usize> {
    let meta = record.meta.as_ref().filter(|meta| meta.task == Task::Expression)?;
    EXPRESSIONS.iter().position(|name| meta.labels.first().is_some_and(|label| label == name))
}

/// What an example's first answer begins with.
fn opening(example: &Example) -> Option<u32> {
    let place = example.labelled.iter().position(|labelled| *labelled)?;
    if let PromptToken::Text(id) = example.tokens[place] { Some(id) } else { None }
}

/// What the tower's own head thinks of expressions, for the decoder to learn.
#[derive(Debug)]
struct Guide {
    pupil: Pupil,
    /// What the answer of each expression begins with.
    tokens: Vec<Option<u32>>,
    guidance: Guidance,
    /// Added to the logits of each.
    raised: Vec<f32>,
}

impl Guide {
    /// What the answer of each picture, if it is about an expression, should begin with; shares add up to the weight.
    ///
    /// # Shapes
    /// - features `[B, N, D]`: the tower's output, without gradients
    fn openings(&self, features: Tensor<3>, expressions: &[Option<usize>]) -> Vec<Option<Opening>> {
        let features = features.to_device(&self.pupil.tower.device());
        let raised = Tensor::<1>::from_floats(self.raised.as_slice(), &features.device()).unsqueeze();
        let Guidance { share, weight, scale, .. } = self.guidance;
        let judged = activation::softmax(self.pupil.judge(features) * scale + raised, 1);
        let judged: Vec<f32> = judged.into_data().iter().collect();
        let (by_head, by_label) = ((weight * share) as f32, (weight * (1.0 - share)) as f32);
        let all = judged.chunks(self.tokens.len()).zip(expressions).map(|(shares, expression)| {
            let mut shares: Vec<f32> = shares.iter().map(|share| share * by_head).collect();
            shares[(*expression)?] += by_label;
            Some(self.tokens.iter().zip(shares).filter_map(|(token, share)| Some(((*token)?, share))).collect())
        });
        all.collect()
    }
}

impl Instruction {
    /// Tokenises records, placed by [`media_of`]; `folder` is the run's, for the list of unusable records.
    ///
    /// # Errors
    /// [`TrainError::Empty`], [`TrainError::BadBudget`], [`TrainError::Setting`] for such a budget.
    pub fn new(
        records: &[Placed<'_>],
        features: impl Into<Arc<Features>>,
        tokenizer: &Tokenizer,
        course: Course,
        folder: &Path,
    ) -> Result<Self, Error> {
        let features = features.into();
        let fail = |source| TrainError::Io { path: folder.into(), source };
        std::fs::create_dir_all(folder).map_err(fail)?;
        let mut bad = Quarantine::new(folder, records.len(), course.bad_budget)?;
        let (mut examples, mut entries, mut media, mut used) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (placed, entry) in records.iter().zip(1..) {
            let (record, place) = match placed {
                Ok(placed) => *placed,
                Err(why) => {
                    bad.add(entry, "", why)?;
                    continue;
                }
            };
            let made = Example::new(record, course.template, tokenizer).and_then(|example| {
                let per_media = match place {
                    Some(_) => {
                        let kind = if record.video.is_some() { "video" } else { "image" };
                        features.tokens(record.video.is_some()).ok_or(Error::NoTower { kind })?
                    }
                    None => 0,
                };
                let length = example.length(per_media);
                if length > course.max_length {
                    let what = format!("{length} tokens with its media, over the limit of {}", course.max_length);
                    return Err(TrainError::Record { id: record.id.clone(), what }.into());
                }
                Ok(example)
            });
            match made {
                Ok(example) => {
                    examples.push(example);
                    entries.push(entry);
                    media.push(place);
                    used.push(record);
                }
                Err(error) => bad.add(entry, &record.id, &error.to_string())?,
            }
        }
        if examples.is_empty() {
            bad.begin()?;
            return Err(TrainError::Empty { path: folder.into() }.into());
        }
        let draws = match &course.sampling {
            Sampling::Balanced { records, .. } => *records,
            Sampling::Shuffled => examples.len(),
        };
        let weights = course.sampling.weights(&used).map(|weights| (weights, draws));
        let expressions = used.iter().map(|record| expression(record)).collect();
        let bad = Mutex::new(bad);
        let (guide, dtype) = (None, FloatDType::F32);
        Ok(Self { examples, entries, media, weights, expressions, guide, dtype, features, course, bad })
    }

    /// The network computes in bfloat16, the weights stay as they are kept (mixed precision, arXiv 1710.03740; bfloat16 needs
    /// no scaling of the loss).
    pub const fn in_bfloat16(mut self) -> Self {
        self.dtype = FloatDType::BF16;
        self
    }

    /// What an answer about the expression in a picture should begin with becomes partly the judgement of the tower's own
    /// head, which was taught with far more versions of each picture.
    pub fn guided(mut self, pupil: Pupil, guidance: Guidance) -> Self {
        let (mut tokens, mut counts) = (vec![None; EXPRESSIONS.len()], vec![0.0_f64; EXPRESSIONS.len()]);
        for (example, expression) in self.examples.iter().zip(&self.expressions) {
            if let Some(expression) = expression {
                tokens[*expression] = opening(example);
                counts[*expression] += 1.0;
            }
        }
        let raised = guidance.raised(&counts);
        self.guide = Some(Guide { pupil, tokens, guidance, raised });
        self
    }

    /// The examples.
    pub fn examples(&self) -> &[Example] {
        &self.examples
    }

    /// Kind of the media and whether there are points: what a batch must agree in.
    fn kind(&self, example: usize) -> (bool, bool, bool) {
        match self.media[example].map(|place| &self.features.media()[place]) {
            Some(media) => (true, media.is_video, media.landmarks.is_some()),
            None => (false, false, false),
        }
    }

    fn bad(&self) -> MutexGuard<'_, Quarantine> {
        self.bad.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, example: usize, why: &str) -> Result<(), Error> {
        self.bad().add(self.entries[example], &self.examples[example].id, why)
    }
}

impl Objective for Instruction {
    type Model = Network;

    fn batches(&self, epoch: usize) -> Vec<Vec<usize>> {
        let Course { micro_batch, seed, .. } = self.course;
        let weights = self.weights.as_ref().map(|(weights, draws)| (weights.as_slice(), *draws));
        let order = order(self.examples.len(), weights, seed, epoch);
        batches(&order, micro_batch, seed, epoch, |i| (self.kind(i), self.examples[i].tokens.len()))
    }

    fn begin(&self) -> Result<(), Error> {
        self.bad().begin()
    }

    fn loss(&self, network: &Network, items: &[usize], at: Position, on: &Device) -> Result<Option<Loss>, Error> {
        let (mut examples, mut seen, mut expressions) = (Vec::new(), Vec::new(), Vec::new());
        for &item in items {
            match self.media[item].map(|place| self.features.get(place, at.epoch)) {
                Some(Err(why)) => {
                    self.refuse(item, &why)?;
                    continue;
                }
                Some(Ok(features)) => {
                    let frames = self.examples[item].tokens.iter();
                    let frames = frames.filter(|t| matches!(t, PromptToken::Media(_))).count();
                    if features.shape[0] != frames {
                        self.refuse(item, &format!("{} frames, {frames} expected", features.shape[0]))?;
                        continue;
                    }
                    seen.push(features);
                }
                None => (),
            }
            examples.push(&self.examples[item]);
            expressions.push(self.expressions[item]);
        }
        if examples.is_empty() {
            return Ok(None);
        }
        let network = &cast(network, self.dtype);
        let (mut visual, mut openings) = (None, Vec::new());
        if !seen.is_empty() {
            let (features, points) = join(&seen, on);
            let pictures = seen.iter().all(|seen| seen.shape[0] == 1);
            if let Some(guide) = self.guide.as_ref().filter(|_| pictures) {
                openings = guide.openings(features.clone().inner(), &expressions);
            }
            let position = ((at.epoch as u64) << 32) | at.batch as u64;
            let shown = !random(self.course.seed, DROP_LANDMARKS, position)
                .random_bool(self.course.landmark_dropout.clamp(0.0, 1.0));
            visual = Some(network.visual_tokens(features.cast(self.dtype), points.filter(|_| shown))?);
        }
        Ok(Some(opening_loss(network, &examples, visual, &openings)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_weigh_what_they_gain_and_those_too_rare_to_be_learnt_nothing_for_the_recall() {
        // Halves but for one in two hundred, and one that nothing shows.
        let counts = [100.0, 99.0, 1.0, 0.0];
        let near = |found: &[f32], expected: [f64; 4]| {
            for (found, expected) in found.iter().zip(expected) {
                assert!(*found == expected as f32 || (f64::from(*found) - expected).abs() < 1e-6, "{found} {expected}");
            }
        };
        let none = f64::NEG_INFINITY;
        let guidance = Guidance { share: 1.0, weight: 1.0, scale: 1.0, alpha: 0.0, recall: 1.0 };
        let gain = |share: f64| (1.0 + 1.0 / (2.0 * share)).ln();
        near(&guidance.raised(&counts), [gain(0.5), gain(0.495), 0.0, none]);
        let guidance = Guidance { alpha: 0.5, recall: 0.0, ..guidance };
        near(&guidance.raised(&counts), [0.5 * 0.5_f64.ln(), 0.5 * 0.495_f64.ln(), 0.5 * 0.005_f64.ln(), none]);
    }
}

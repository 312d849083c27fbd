//! Questions about media: encoded once, asked about many times.

use std::time::Instant;

use burn::tensor::{Tensor, TensorData};
use face_encoder::{image_pixels, pad_to_square, video_pixels};
use frgca::{Frgca, Fusion};
use landmarks::UnitLandmarks;
use serde::Serialize;

use crate::decoder::KvCache;
use crate::generate::{Sampler, Sampling, Step, StopReason, logprobs};
use crate::media::{FaceOptions, FrameFace, How, Media, Prepared, ms};
use crate::pruning::{in_view, prune};
use crate::slots::Slot;
use crate::text::{StopStrings, Template, TextStream, Turn};
use crate::{Error, FaceLlava};

/// Longest question, bytes.
const MAX_QUESTION: usize = 64 << 10;

/// Settings of a [`Session`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    /// Wording of the prompt.
    pub template: Template,
    /// How answers are chosen.
    pub sampling: Sampling,
    /// How faces are found.
    pub faces: FaceOptions,
    /// Keep earlier questions and answers in the prompt; otherwise every question stands alone.
    pub history: bool,
    /// Lay pictures into squares of the mean colour, as training does; the authors' inference does not.
    pub pad_to_square: bool,
    /// Keep only that many patches of each picture or frame, those nearest to brows, nose, eyes and mouth; all where
    /// nothing is said. Shortens the prompt, and changes answers.
    pub visual_tokens: Option<usize>,
}

/// Milliseconds of each phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Opening the file.
    pub decode: f64,
    /// Finding the face.
    pub detect: f64,
    /// Finding its points.
    pub landmarks: f64,
    /// Tower, projector and fusion.
    pub tower: f64,
    /// The prompt through the decoder, up to the first token.
    pub prefill: f64,
    /// Each further token, on average.
    pub per_token: f64,
}

/// An answer and how it came about.
#[derive(Clone, Debug, Serialize)]
pub struct Answer {
    /// The text, stop strings and surrounding white space removed.
    pub text: String,
    /// All tokens, without the end token.
    pub token_ids: Vec<u32>,
    /// Why it ended.
    pub stop_reason: StopReason,
    /// Whether face geometry guided the visual tokens.
    pub landmarks_used: bool,
    /// The face or, for clips, the face in each sampled frame.
    pub face: Vec<FrameFace>,
    /// Log-probabilities, where asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub logprobs: Vec<Step>,
    /// Tokens of the prompt, media included.
    pub prompt_tokens: usize,
    /// Of those, tokens whose keys and values were there from the question before.
    pub reused_tokens: usize,
    /// Milliseconds of each phase; those of the media are paid once.
    pub timings_ms: Timings,
}

/// The visual tokens of the current media.
#[derive(Debug)]
pub(crate) struct Encoded {
    /// `[N, D]` for each picture or frame.
    pub(crate) blocks: Vec<Tensor<2>>,
    /// How they came about.
    pub(crate) how: How,
    pub(crate) pad_to_square: bool,
    pub(crate) visual_tokens: Option<usize>,
    faces: Vec<FrameFace>,
    landmarks_used: bool,
    timings: Timings,
}

/// A conversation about one picture or clip at a time.
#[derive(Debug)]
pub struct Session<'a, F: Fusion = Frgca> {
    pub(crate) model: &'a FaceLlava<F>,
    pub(crate) options: SessionOptions,
    pub(crate) media: Option<Encoded>,
    pub(crate) turns: Vec<Turn>,
    pub(crate) cache: KvCache,
    /// What the cache holds.
    pub(crate) cached: Vec<Slot>,
}

impl<'a, F: Fusion> Session<'a, F> {
    pub(crate) fn new(model: &'a FaceLlava<F>, options: SessionOptions) -> Self {
        let cache = model.network.decoder.cache(1);
        Self { model, options, media: None, turns: Vec::new(), cache, cached: Vec::new() }
    }

    /// The model that it asks.
    pub fn model(&self) -> &'a FaceLlava<F> {
        self.model
    }

    /// The settings; changes hold from the next question or media on.
    pub fn options_mut(&mut self) -> &mut SessionOptions {
        &mut self.options
    }

    /// Finds, crops and aligns the face and encodes it. The conversation starts afresh.
    ///
    /// # Errors
    /// As [`FaceLlava::prepare`] and [`Session::set_prepared`].
    pub fn set_media(&mut self, media: &Media) -> Result<&[FrameFace], Error> {
        self.clear();
        let prepared = self.model.prepare(media, &self.options.faces)?;
        self.set_prepared(prepared)
    }

    /// The same with what [`FaceLlava::prepare`] made of it.
    ///
    /// # Errors
    /// [`Error::NoTower`], [`Error::Fusion`], [`Error::Backend`]; [`Error::Setting`] for `visual_tokens`, and for clips of more
    /// frames than the tower reads.
    pub fn set_prepared(&mut self, prepared: Prepared) -> Result<&[FrameFace], Error> {
        self.clear();
        let network = &self.model.network;
        let (start, device) = (Instant::now(), &self.model.device);
        // Another fusion, or none, may have taken the place of the one that they were prepared for.
        let points = prepared.landmarks.filter(|_| network.fusion.is_some());
        let landmarks = points.as_deref().map(|sets| landmark_tensor(sets, device));
        let landmarks_used = landmarks.is_some();
        let SessionOptions { pad_to_square: pad, visual_tokens, .. } = self.options;
        let refused = |name, value: usize, expected| Error::Setting { name, value: value as f64, expected };
        match visual_tokens {
            Some(0) => return Err(refused("visual_tokens", 0, "1 or more")),
            Some(keep) if !landmarks_used => {
                let expected = "a model with landmark modules, and landmarks, which tell what to keep";
                return Err(refused("visual_tokens", keep, expected));
            }
            _ => {}
        }
        let (features, of_tower) = if prepared.is_video {
            let tower = network.video_tower.as_ref().ok_or(Error::NoTower { kind: "video" })?.config();
            let frames = prepared.crops.len();
            if tower.frames.is_some_and(|most| frames > most) {
                return Err(refused("frames of the clip", frames, "no more than the video tower reads"));
            }
            let pixels = video_pixels(&prepared.crops, tower.image_size, device);
            (network.video_features(pixels, landmarks)?, tower.patches() + 1)
        } else {
            let tower = network.image_tower.as_ref().ok_or(Error::NoTower { kind: "image" })?.config();
            let crop = &prepared.crops[0];
            let square = if pad { pad_to_square(crop) } else { crop.clone() };
            let pixels = image_pixels(&square, tower.image_size, device).unsqueeze();
            (network.image_features(pixels, landmarks)?, tower.patches())
        };
        device.sync().map_err(|e| Error::Backend(e.to_string()))?;
        let blocks = features.iter_dim(0).map(|block| block.squeeze_dim(0));
        let blocks = match visual_tokens.zip(points) {
            Some((keep, points)) => {
                // Clips are never padded.
                let pad = pad && !prepared.is_video;
                let seen = points.iter().zip(&prepared.crops).map(|(set, crop)| in_view(set, crop.dimensions(), pad));
                blocks.zip(seen).map(|(block, set)| prune(block, of_tower, &set, keep)).collect::<Result<_, _>>()?
            }
            None => blocks.collect(),
        };
        let timings = Timings {
            decode: prepared.decode_ms,
            detect: prepared.detect_ms,
            landmarks: prepared.landmarks_ms,
            tower: ms(start),
            ..Timings::default()
        };
        let media = self.media.insert(Encoded {
            blocks,
            how: prepared.how,
            pad_to_square: pad,
            visual_tokens,
            faces: prepared.faces,
            landmarks_used,
            timings,
        });
        Ok(&media.faces)
    }

    /// Whether face geometry guides the visual tokens of the current media.
    pub fn landmarks_used(&self) -> bool {
        self.media.as_ref().is_some_and(|m| m.landmarks_used)
    }

    /// Forgets earlier questions and answers. The media stay, encoded as they are: for conversations that outgrow the context.
    pub fn forget_turns(&mut self) {
        self.turns.clear();
    }

    /// Forgets media and conversation.
    pub fn clear(&mut self) {
        self.media = None;
        self.turns.clear();
        self.forget_media();
    }

    /// Asks a question.
    ///
    /// # Errors
    /// [`Error::Question`], [`Error::Setting`], [`Error::Context`], [`Error::Tokenizer`], [`Error::NonFinite`],
    /// [`Error::Backend`].
    pub fn ask(&mut self, question: &str) -> Result<Answer, Error> {
        self.ask_stream(question, |_| ())
    }

    /// Asks a question and hands the answer on, piece by piece; a piece never splits a character.
    ///
    /// # Errors
    /// As [`Session::ask`].
    pub fn ask_stream(&mut self, question: &str, mut on_text: impl FnMut(&str)) -> Result<Answer, Error> {
        check_question(question)?;
        let sampling = self.options.sampling.clone();
        sampling.check()?;
        let slots = self.slots(question, None)?;
        let context = self.model.network.decoder.config().context;
        if slots.len().saturating_add(sampling.max_new_tokens) > context {
            return Err(Error::Context { prompt: slots.len(), new: sampling.max_new_tokens, context });
        }
        let answer = self.generate(&slots, &sampling, &mut on_text)?;
        if self.options.history {
            self.turns.push(Turn { question: question.to_owned(), answer: Some(answer.text.clone()) });
        }
        Ok(answer)
    }

    fn generate(
        &mut self,
        slots: &[Slot],
        sampling: &Sampling,
        on_text: &mut impl FnMut(&str),
    ) -> Result<Answer, Error> {
        let (tokenizer, network) = (&self.model.tokenizer, &self.model.network);
        let start = Instant::now();
        let (reused_tokens, begun) = self.begin(slots);
        let text_ids = |slots: &[Slot]| -> Vec<u32> {
            slots.iter().filter_map(|s| if let Slot::Text(id) = s { Some(*id) } else { None }).collect()
        };
        let mut seen = text_ids(slots);
        let mut sampler = Sampler::new(sampling);
        let mut stream = TextStream::new(tokenizer, StopStrings::new(sampling.stop.iter().cloned()));
        let (mut token_ids, mut steps, mut text) = (Vec::new(), Vec::new(), String::new());
        let (mut pending, mut prefill, mut passes) = (slots[begun..].to_vec(), 0.0, 0);
        let mut said = |piece: String| {
            if !piece.is_empty() {
                on_text(&piece);
                text.push_str(&piece);
            }
        };
        let stop_reason = loop {
            let embeddings = self.embeddings(&pending);
            let mut rows = network.next_logits(embeddings, &mut self.cache, &[0], token_ids.len())?;
            self.cached.append(&mut pending);
            passes += 1;
            let logits = rows.swap_remove(0);
            let id = sampler.choose(&logits, &seen);
            if passes == 1 {
                prefill = ms(start);
            }
            if id == tokenizer.eos() {
                break StopReason::EndOfAnswer;
            }
            if sampling.logprobs > 0 {
                steps.push(logprobs(&logits, id, sampling.logprobs, |id| tokenizer.token(id)));
            }
            token_ids.push(id);
            seen.push(id);
            said(stream.push(id));
            if stream.is_stopped() {
                break StopReason::StopString;
            }
            if token_ids.len() == sampling.max_new_tokens {
                break StopReason::Length;
            }
            pending.push(Slot::Text(id));
        };
        said(stream.finish());
        let stop_reason = if stream.is_stopped() { StopReason::StopString } else { stop_reason };
        let media = self.media.as_ref();
        let mut timings = media.map(|m| m.timings).unwrap_or_default();
        timings.prefill = prefill;
        timings.per_token = (ms(start) - prefill) / f64::from((passes - 1).max(1));
        Ok(Answer {
            text: text.trim().to_owned(),
            token_ids,
            stop_reason,
            landmarks_used: self.landmarks_used(),
            face: media.map(|m| m.faces.clone()).unwrap_or_default(),
            logprobs: steps,
            prompt_tokens: slots.len(),
            reused_tokens,
            timings_ms: timings,
        })
    }
}

/// What every question is checked for before it is asked: neither empty nor beyond the limit.
///
/// # Errors
/// [`Error::Question`].
pub fn check_question(question: &str) -> Result<(), Error> {
    if question.trim().is_empty() || question.len() > MAX_QUESTION {
        return Err(Error::Question { bytes: question.len(), limit: MAX_QUESTION });
    }
    Ok(())
}

/// `[n, 68, 2]`.
pub(crate) fn landmark_tensor(sets: &[UnitLandmarks], device: &burn::tensor::Device) -> Tensor<3> {
    let values: Vec<f32> = sets.iter().flat_map(|set| set.iter().flat_map(|p| [p.x, p.y])).collect();
    Tensor::from_data(TensorData::new(values, [sets.len(), 68, 2]), device)
}

//! This crate's models as the answering side.

use std::collections::BTreeMap;
use std::path::Path;

use frgca::{Frgca, Fusion};
use serde_json::{Value, json};

use super::{Answered, Answerer, Fault};
use crate::data::seed::sha256;
use crate::weights::digest_of;
use crate::{Error, FaceLlava, LandmarkSource, Media, ModelDir, Session, SessionOptions, Sessions};

/// Asks a model in sessions side by side. No item knows of those before it.
#[derive(Debug)]
pub struct SessionAnswerer<'a, F: Fusion = Frgca> {
    sessions: Sessions<'a, F>,
    identity: Value,
    generate: bool,
}

impl<'a, F: Fusion> SessionAnswerer<'a, F> {
    /// `identity` is what [`model_identity`] says about the model. Without `generate`, no words are asked for, only
    /// likelihoods.
    pub fn new(model: &'a FaceLlava<F>, identity: &Value, mut options: SessionOptions, generate: bool) -> Self {
        options.history = false;
        let faces = &options.faces;
        let identity = json!({
            "model": identity,
            "template": options.template,
            "sampling": options.sampling,
            "detect": faces.detect,
            "face": faces.select,
            "crop": faces.crop.or(model.config.face_crop).unwrap_or_default(),
            "landmarks": faces.landmarks != LandmarkSource::Without,
            "pad_to_square": options.pad_to_square,
            "visual_tokens": options.visual_tokens,
        });
        Self { sessions: Sessions::new(model, &options), identity, generate }
    }
}

/// One question about one item.
fn ask<F: Fusion>(
    session: &mut Session<'_, F>,
    media: &Path,
    question: &str,
    labels: Option<&[(&str, &str)]>,
    generate: bool,
) -> Result<Answered, Error> {
    session.set_media(&Media::open(media)?)?;
    let likelihoods = match labels {
        Some(labels) => {
            let words: Vec<&str> = labels.iter().map(|(_, words)| *words).collect();
            let names = labels.iter().map(|(name, _)| (*name).to_owned());
            Some(names.zip(session.score(question, &words)?).collect::<BTreeMap<_, _>>())
        }
        None => None,
    };
    let raw = if generate { session.ask(question)?.text } else { String::new() };
    Ok(Answered { raw, likelihoods, landmarks_used: Some(session.landmarks_used()) })
}

impl<F: Fusion + Sync> Answerer for SessionAnswerer<'_, F> {
    fn identity(&self) -> Value {
        self.identity.clone()
    }

    fn answer(&mut self, media: &Path, question: &str, labels: Option<&[(&str, &str)]>) -> Result<Answered, Fault> {
        self.several(&[media], question, labels).remove(0)
    }

    fn at_once(&self) -> usize {
        self.sessions.at_once()
    }

    fn answer_each(
        &mut self,
        media: &[&Path],
        question: &str,
        labels: Option<&[(&str, &str)]>,
        each: &mut dyn FnMut(Result<Answered, Fault>),
    ) {
        self.several(media, question, labels).into_iter().for_each(each);
    }
}

impl<F: Fusion + Sync> SessionAnswerer<'_, F> {
    fn several(
        &mut self,
        media: &[&Path],
        question: &str,
        labels: Option<&[(&str, &str)]>,
    ) -> Vec<Result<Answered, Fault>> {
        let generate = self.generate;
        self.sessions.map(media, |session, media| Ok(ask(session, media, question, labels, generate)?))
    }
}

/// What a model is, by content: SHA-256 of its configuration, its tokenizer and its weights. Weights are taken by name
/// and value, so the same ones in other files, or inside the program, are the same.
///
/// Reading all weights takes a while for large models.
///
/// # Errors
/// [`Error::ModelDir`] without a tokenizer, [`Error::Landmarks`] for weights that cannot be read.
pub fn model_identity(dir: &ModelDir) -> Result<Value, Error> {
    let mut identity = json!({
        "name": dir.path().file_name().map(|name| name.to_string_lossy()),
        "config_sha256": sha256(format!("{:?} {:?}", dir.config(), dir.parts()).as_bytes()),
        "tokenizer_sha256": sha256(&dir.tokenizer_json()?),
        "weights_sha256": digest_of(dir.weights())?,
    });
    for (tower, files) in [("image_tower_sha256", &dir.image_tower), ("video_tower_sha256", &dir.video_tower)] {
        let source = files.as_ref().map(|files| files.source(dir.weights()).weights);
        // Towers in the checkpoint are part of its weights.
        if let Some(weights) = source.filter(|weights| !std::ptr::eq(*weights, dir.weights())) {
            identity[tower] = digest_of(weights)?.into();
        }
    }
    if let Some(decoder) = &dir.decoder {
        identity["decoder_sha256"] = digest_of(decoder)?.into();
    }
    Ok(identity)
}

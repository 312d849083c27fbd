//! Other models as the answering side: anything that speaks the chat-completions protocol with pictures.

use std::path::Path;

use serde_json::{Value, json};

use super::frames::frames;
use super::work::in_order;
use super::{Answered, Answerer, Fault, PredictionFault};
use crate::data::annotate::{Chat, Completion, Priced, Prompt};
use crate::data::{AnnotatorFault, ChatOptions, Usage};

/// Questions for each worker that are handed over together.
const TURNS: usize = 4;

/// A model behind an endpoint. It is asked the bare question with the media, as they are; no face is looked for.
///
/// The same question about the same pixels gives the same answer where there is a cache; without one that depends on
/// the endpoint, and on a temperature of 0, which [`ChatOptions::new`] sets.
pub struct EndpointAnswerer {
    chat: Chat,
    workers: usize,
    paid: Usage,
}

impl EndpointAnswerer {
    /// Checks address, key and cache; asks nothing. `workers` questions are under way at a time.
    ///
    /// # Errors
    /// A bad address, a missing key, a cache that cannot be written.
    pub fn new(options: &ChatOptions, cache: Option<&Path>, workers: usize) -> Result<Self, crate::Error> {
        Ok(Self { chat: Chat::new(options, cache)?, workers: workers.max(1), paid: Usage::default() })
    }

    /// What was paid for answers so far, cached ones excepted.
    pub fn paid(&self) -> Usage {
        self.paid
    }
}

/// A reply as an answer, noted with what was `paid` before.
fn take(reply: Result<Priced<Completion>, Fault>, paid: &mut Usage) -> Result<Answered, Fault> {
    let reply = reply?;
    *paid += reply.paid;
    // A long answer counts as far as it goes, as for the model itself.
    Ok(Answered { raw: reply.value.beginning()?, ..Answered::default() })
}

fn ask(chat: &Chat, media: &Path, question: &str) -> Result<Priced<Completion>, Fault> {
    let frames = frames(media)?;
    Ok(chat.complete(&Prompt { system: None, text: question, frames: &frames, seed: None })?)
}

impl Answerer for EndpointAnswerer {
    fn identity(&self) -> Value {
        chat_identity(&self.chat.options)
    }

    /// Endpoints give no likelihoods of labels, whatever is asked for.
    fn answer(&mut self, media: &Path, question: &str, _labels: Option<&[(&str, &str)]>) -> Result<Answered, Fault> {
        take(ask(&self.chat, media, question), &mut self.paid)
    }

    /// Several for each worker, so that few wait for the slowest.
    fn at_once(&self) -> usize {
        TURNS * self.workers
    }

    fn answer_each(
        &mut self,
        media: &[&Path],
        question: &str,
        _labels: Option<&[(&str, &str)]>,
        each: &mut dyn FnMut(Result<Answered, Fault>),
    ) {
        let Self { chat, workers, paid } = self;
        let one = |media: &&Path| ask(chat, media, question);
        let Ok(()) = in_order(media, *workers, one, |_, reply| {
            each(take(reply, paid));
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

/// Everything about an endpoint that decides its answers.
pub(super) fn chat_identity(options: &ChatOptions) -> Value {
    json!({
        "endpoint": options.url,
        "model": options.model,
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
    })
}

impl From<AnnotatorFault> for Fault {
    fn from(fault: AnnotatorFault) -> Self {
        let passing = fault.is_passing();
        Self { fault: PredictionFault { code: fault.code().into(), message: fault.to_string() }, passing }
    }
}

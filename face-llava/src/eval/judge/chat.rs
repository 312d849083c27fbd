//! A judge behind a chat endpoint: a service, or a server on this machine.

use std::path::Path;

use serde_json::{Value, json};

use super::rubric::{RUBRIC, message, rubric_sha256};
use super::{Case, Judge, Rating, Scores};
use crate::data::ChatOptions;
use crate::data::annotate::{Chat, Priced, Prompt};
use crate::eval::endpoint::chat_identity;
use crate::eval::{Fault, PredictionFault};

/// A model that is shown the media and the rubric.
pub struct ChatJudge {
    chat: Chat,
}

impl ChatJudge {
    /// Checks address, key and cache; asks nothing. Three ratings with a reason each take 150 to 250 tokens.
    ///
    /// # Errors
    /// A bad address, a missing key, a cache that cannot be written.
    pub fn new(options: &ChatOptions, cache: Option<&Path>) -> Result<Self, crate::Error> {
        Ok(Self { chat: Chat::new(options, cache)? })
    }
}

impl Judge for ChatJudge {
    fn identity(&self) -> Value {
        let mut identity = chat_identity(&self.chat.options);
        identity["rubric"] = json!(rubric_sha256());
        identity
    }

    /// The first rating is asked for without a seed, later ones with their number as seed. At a temperature of 0 most
    /// models say the same again; agreement over repeats means something above that.
    fn rate(&self, case: &Case<'_>, repeat: usize) -> Result<Priced<Rating>, Fault> {
        let text = message(case).map_err(|e| Fault {
            fault: PredictionFault { code: "input".into(), message: e.to_string() },
            passing: false,
        })?;
        let seed = (repeat > 0).then_some(repeat as u64);
        let reply = self.chat.complete(&Prompt { system: Some(RUBRIC), text: &text, frames: case.frames()?, seed })?;
        let rating = match reply.value.whole().and_then(|text| Scores::parse(&text)) {
            Ok(scores) => Rating::Scores(scores),
            Err(fault) => Rating::Missing(Fault::from(fault).fault),
        };
        Ok(Priced { value: rating, usage: reply.usage, paid: reply.paid })
    }
}

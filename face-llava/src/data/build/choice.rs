//! Which annotator and which rater.

use std::path::PathBuf;

use super::options::BuildOptions;
use crate::data::annotate::{Annotator, Chat, ChatOptions, Offline, Rater, Replay};

/// Who writes the answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum AnnotatorChoice {
    /// Sentences from labels and geometry; no model, no network.
    #[default]
    Offline,
    /// A chat endpoint.
    Chat(ChatOptions),
    /// Recorded answers, JSON lines.
    Replay(PathBuf),
}

/// Who rates the answers.
#[derive(Clone, Debug, PartialEq)]
pub enum RaterChoice {
    /// A chat endpoint.
    Chat(ChatOptions),
    /// Recorded ratings, JSON lines.
    Replay(PathBuf),
}

/// Who writes, and who rates if anybody does.
type Voices = (Box<dyn Annotator>, Option<Box<dyn Rater>>);

/// Opens what the options name; what costs something lies behind a cache.
pub(super) fn open(options: &BuildOptions) -> Result<Voices, crate::Error> {
    let folder = options.cache.clone().unwrap_or_else(|| options.out.join("cache"));
    let asked = match &options.annotator {
        AnnotatorChoice::Chat(chat) => Some(Chat::new(chat, Some(&folder))?),
        AnnotatorChoice::Offline | AnnotatorChoice::Replay(_) => None,
    };
    let rater: Option<Box<dyn Rater>> = match &options.rater {
        None => None,
        Some(RaterChoice::Chat(chat)) => {
            let rater = Chat::new(chat, Some(&folder))?;
            Some(Box::new(match &asked {
                Some(asked) => rater.in_turn_with(asked),
                None => rater,
            }))
        }
        Some(RaterChoice::Replay(path)) => Some(Box::new(Replay::open(path)?)),
    };
    let annotator: Box<dyn Annotator> = match (asked, &options.annotator) {
        (Some(chat), _) => Box::new(chat),
        (None, AnnotatorChoice::Replay(path)) => Box::new(Replay::open(path)?),
        (None, _) => Box::new(Offline),
    };
    Ok((annotator, rater))
}

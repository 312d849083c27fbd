//! Questions and answers in the shape that the model was trained on.

use serde::{Deserialize, Serialize};

/// Whose wording introduces the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Template {
    /// The authors' inference script (`llava_v1`): "a curious human", frames joined by spaces.
    #[default]
    Inference,
    /// The authors' training script (`v1`): "a curious user", frames without anything between.
    Training,
}

/// What stands between the placeholders of a video's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Joining {
    /// One space.
    Spaces,
    /// Nothing.
    None,
}

/// A part of a prompt. Media placeholders exist only as [`Piece::Media`]: text can never make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Plain text.
    Text(String),
    /// The next picture or frame.
    Media,
    /// The end of an answer.
    EndOfAnswer,
}

/// One exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    /// What was asked.
    pub question: String,
    /// What was answered; none for the question at hand.
    pub answer: Option<String>,
}

/// A conversation about some media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conversation {
    /// Its wording.
    pub template: Template,
    /// Pictures (1) or frames (8) before the first question; 0 for text alone.
    pub media: usize,
    /// The exchanges so far.
    pub turns: Vec<Turn>,
}

impl Template {
    fn system(self) -> String {
        let human = match self {
            Self::Inference => "human",
            Self::Training => "user",
        };
        format!(
            "A chat between a curious {human} and an artificial intelligence assistant. The assistant gives helpful, \
             detailed, and polite answers to the {human}'s questions."
        )
    }

    /// How the template joins frames.
    pub fn joining(self) -> Joining {
        match self {
            Self::Inference => Joining::Spaces,
            Self::Training => Joining::None,
        }
    }
}

impl Conversation {
    /// The prompt, piece by piece, ending where the answer begins.
    pub fn pieces(&self) -> Vec<Piece> {
        let text = |t: &str| Piece::Text(t.to_owned());
        let mut pieces = vec![Piece::Text(self.template.system()), text(" ")];
        for (i, turn) in self.turns.iter().enumerate() {
            pieces.push(text("USER: "));
            if i == 0 && self.media > 0 {
                for frame in 0..self.media {
                    if frame > 0 && self.template.joining() == Joining::Spaces {
                        pieces.push(text(" "));
                    }
                    pieces.push(Piece::Media);
                }
                pieces.push(text("\n"));
            }
            pieces.push(text(&turn.question));
            pieces.push(text(" ASSISTANT:"));
            if let Some(answer) = &turn.answer {
                pieces.push(Piece::Text(format!(" {answer}")));
                pieces.push(Piece::EndOfAnswer);
            }
        }
        pieces
    }
}

//! `face-llava chat`

use std::io::{BufRead, IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use face_llava::Error;

use super::ask::summary;
use super::options::{AskOptions, DeviceOption, ModelOptions};
use super::{Failure, Outcome, complain, look, say, tell, warn};

/// What begins a new conversation about the same picture.
const NEW: &str = "/new";

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava chat --model FaceLLaVA photo.jpg
  printf 'What is the age?\\nWhy?\\n' | face-llava chat --model FaceLLaVA photo.jpg
A line with /new forgets earlier questions and answers, and goes on about the same picture. An empty line at a
terminal, or the end of input, ends the conversation.")]
pub(crate) struct Arguments {
    #[command(flatten)]
    model: ModelOptions,
    /// Picture, video, animation or folder of frames
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    ask: AskOptions,
    #[command(flatten)]
    device: DeviceOption,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    let options = arguments.ask.session(true)?;
    let media = arguments.ask.media(&arguments.file)?;
    let device = arguments.device.open()?;
    let model = arguments.model.load(&device)?;
    let mut session = model.session(options);
    look(&mut session, &media)?;
    warn(&media);
    let (stdin, mut out) = (std::io::stdin(), std::io::stdout());
    let interactive = stdin.is_terminal();
    loop {
        if interactive {
            write!(out, "> ")?;
            out.flush()?;
        }
        let mut question = String::new();
        let read = stdin.lock().read_line(&mut question).map_err(Failure::Input)?;
        let blank = question.trim().is_empty();
        if read == 0 || blank && interactive {
            return Ok(Outcome::Done);
        }
        if blank {
            continue;
        }
        if question.trim() == NEW {
            session.forget_turns();
            continue;
        }
        let answer = tell(&mut session, question.trim())?;
        say("")?;
        match answer {
            Ok(answer) if interactive => complain(&summary(&answer, &device)),
            Ok(_) => (),
            // A question too long is no reason to lose the conversation.
            Err(error @ Error::Context { .. }) if interactive => complain(&format!("{error}; {NEW} begins a new one")),
            Err(error) if interactive => complain(&error.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
}

//! Questions about a photograph: the face is found, cropped, aligned and encoded once.

use clap::Parser;
use face_llava::{FaceLlava, LoadOptions, Media, SessionOptions, open_device};
use face_llava_examples::Inputs;

/// Ask about a photograph.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// Questions
    #[arg(long, default_values = ["What emotion is shown?", "Guess the age of the person."])]
    question: Vec<String>,
}

fn main() -> Result<(), face_llava::Error> {
    let arguments = Arguments::parse();
    let device = open_device("auto")?;
    let model = FaceLlava::load(&arguments.inputs.open_model()?, &LoadOptions::default(), &device.device)?;
    let mut session = model.session(SessionOptions::default());
    session.options_mut().sampling.max_new_tokens = 48;
    for face in session.set_media(&Media::open(&arguments.inputs.file)?)? {
        println!("face of {} at {:?}", face.of, face.bbox);
    }
    for question in &arguments.question {
        let answer = session.ask(question)?;
        println!("{question}\n  {} (landmarks used: {})", answer.text, answer.landmarks_used);
        println!("  {} of {} prompt tokens were there already", answer.reused_tokens, answer.prompt_tokens);
    }
    Ok(())
}

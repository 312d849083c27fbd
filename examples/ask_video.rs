//! A question about a clip: eight frames, the face followed through them, the answer streamed.

use std::io::Write;

use clap::Parser;
use face_llava::{FaceLlava, LoadOptions, Media, SessionOptions, open_device};
use face_llava_examples::Inputs;
use image::{Frame, RgbaImage, codecs::gif::GifEncoder};

/// Ask about a clip; given a picture, about an animation in which the camera moves over it.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    inputs: Inputs,
    /// The question
    #[arg(long, default_value = "What emotion is shown in the video?")]
    question: String,
}

/// Ten frames of a window that moves over a picture.
fn pan(picture: &RgbaImage) -> Result<Vec<u8>, image::ImageError> {
    let (w, h) = (picture.width() * 3 / 4, picture.height() * 3 / 4);
    let mut gif = Vec::new();
    let mut encoder = GifEncoder::new_with_speed(&mut gif, 20);
    for step in 0..10 {
        let window = image::imageops::crop_imm(picture, step * (picture.width() - w) / 10, 0, w, h).to_image();
        encoder.encode_frame(Frame::new(window))?;
    }
    drop(encoder);
    Ok(gif)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::parse();
    let mut media = Media::open(&arguments.inputs.file)?;
    if media.frames().len() == 1 {
        let path = std::env::temp_dir().join(format!("ask_video_{}.gif", std::process::id()));
        std::fs::write(&path, pan(&image::DynamicImage::from(media.frames()[0].clone()).into_rgba8())?)?;
        media = Media::open(&path)?;
        std::fs::remove_file(&path)?;
    }
    let device = open_device("auto")?;
    let model = FaceLlava::load(&arguments.inputs.open_model()?, &LoadOptions::default(), &device.device)?;
    let mut session = model.session(SessionOptions::default());
    session.options_mut().sampling.max_new_tokens = 48;
    for (i, face) in session.set_media(&media)?.iter().enumerate() {
        println!("frame {i}: {:?}{}", face.bbox, if face.seen { "" } else { " (not seen, carried on)" });
    }
    print!("{}\n  ", arguments.question);
    let answer = session.ask_stream(&arguments.question, |piece| {
        print!("{piece}");
        // Losing the progress of a line is no loss.
        let _ = std::io::stdout().flush();
    })?;
    println!("\n{} prompt tokens, landmarks used: {}", answer.prompt_tokens, answer.landmarks_used);
    Ok(())
}

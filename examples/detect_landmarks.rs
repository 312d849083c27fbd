//! Finds the faces in a picture and draws their boxes and 68 landmarks.

use std::path::PathBuf;

use burn::tensor::Device;
use clap::Parser;
use landmarks::{FaceFinder, Region, draw};

/// Find the faces in a picture and draw them.
#[derive(Parser)]
struct Arguments {
    /// The picture
    #[arg(default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/astronaut.png"))]
    file: PathBuf,
    /// Where to write the drawing
    #[arg(long, default_value = "faces.png")]
    out: PathBuf,
}

fn main() -> Result<(), landmarks::Error> {
    let arguments = Arguments::parse();
    let picture = landmarks::open(&arguments.file)?;
    let finder = FaceFinder::new(Default::default(), &Device::flex())?;
    let found = finder.find(&picture.rgb)?;
    for face in &found.faces {
        println!("face {}: {:?}, score {:.2}, turned by {:.0} degrees", face.index, face.bbox, face.score, face.roll);
        for region in Region::ALL {
            let first = face.points[region.points().start];
            println!(
                "  {:<9} {:>2} points from ({:.0}, {:.0})",
                region.name(),
                region.points().len(),
                first.x,
                first.y
            );
        }
    }
    draw::save(&draw::overlay(&picture.rgb, &found.faces), &arguments.out)?;
    println!("{} faces drawn to {}", found.faces.len(), arguments.out.display());
    Ok(())
}

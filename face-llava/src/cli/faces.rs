//! `face-llava faces`

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::ProgressBar;
use landmarks::picture::{OpenOptions, Warning, open_with};
use landmarks::{DetectorOptions, FaceFinder, Faces, Search, draw};
use serde::Serialize;

use super::options::DeviceOption;
use super::{Failure, Outcome, complain, not_among, progress, say};

#[derive(Args)]
#[command(after_help = "Examples:
  face-llava faces photo.jpg
  face-llava faces --json *.jpg > faces.jsonl
  face-llava faces --overlay out.png group.jpg
  face-llava faces --tiles crowd.jpg        small faces, slower")]
pub(crate) struct Arguments {
    /// Pictures
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// One JSON object for each picture: boxes [x, y, width, height] and points in pixels of the upright picture
    #[arg(long)]
    json: bool,
    /// Draw boxes, regions and points onto a copy of the (single) picture
    #[arg(long, value_name = "OUT.png")]
    overlay: Option<PathBuf>,
    /// Search overlapping windows too: finds small faces
    #[arg(long)]
    tiles: bool,
    /// Smallest score, 0 to 1
    #[arg(long, default_value_t = 0.5, value_name = "SCORE")]
    min_score: f32,
    /// Weights of FAN (2DFAN4-*.pth.tar or safetensors) for more exact points
    #[arg(long, value_name = "FILE")]
    fan: Option<PathBuf>,
    /// Accept pictures that end early
    #[arg(long)]
    lenient: bool,
    #[command(flatten)]
    device: DeviceOption,
}

#[derive(Serialize)]
struct Row<'a> {
    path: Cow<'a, str>,
    width: u32,
    height: u32,
    #[serde(flatten)]
    faces: &'a Faces,
    #[serde(skip_serializing_if = "<[Warning]>::is_empty")]
    warnings: &'a [Warning],
}

/// The same row for a picture that failed: one row in, one row out.
#[derive(Serialize)]
struct ErrorRow<'a> {
    path: Cow<'a, str>,
    error: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Outcome, Failure> {
    if arguments.overlay.is_some() && arguments.files.len() != 1 {
        return Err(Failure::Usage("--overlay draws one picture; give one file".into()));
    }
    if let Some(out) = &arguments.overlay {
        not_among(out, &arguments.files)?;
    }
    if !(0.0..=1.0).contains(&arguments.min_score) {
        return Err(Failure::Usage("--min-score lies between 0 and 1".into()));
    }
    let device = arguments.device.open()?.device;
    let search = if arguments.tiles { Search::Tiles } else { Search::Whole };
    let options = DetectorOptions { min_score: arguments.min_score, search, ..DetectorOptions::default() };
    let finder = match &arguments.fan {
        Some(path) => FaceFinder::with_fan(path, options, &device)?,
        None => FaceFinder::new(options, &device)?,
    };
    let bar = progress(arguments.files.len() as u64, 20, "pictures");
    let (mut found, mut failed) = (0, false);
    for path in &arguments.files {
        match one(path, arguments, &finder, &bar) {
            Ok(count) => found += count,
            Err(Failure::Output(e)) => return Err(Failure::Output(e)),
            Err(failure) => {
                failed = true;
                bar.suspend(|| complain(&failure.to_string()));
                if arguments.json {
                    say(serde_json::to_string(&ErrorRow {
                        path: path.to_string_lossy(),
                        error: failure.to_string(),
                    })?)?;
                }
            }
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(match (failed, found) {
        (true, _) => Outcome::Failed,
        (false, 0) => Outcome::NoFace,
        _ => Outcome::Done,
    })
}

fn one(path: &Path, arguments: &Arguments, finder: &FaceFinder, bar: &ProgressBar) -> Result<usize, Failure> {
    let options = OpenOptions { lenient: arguments.lenient, ..OpenOptions::default() };
    let picture = open_with(path, &options)?;
    let faces = finder.find(&picture.rgb)?;
    if let Some(out) = &arguments.overlay {
        draw::save(&draw::overlay(&picture.rgb, &faces.faces), out)?;
    }
    let (width, height) = picture.rgb.dimensions();
    bar.suspend(|| {
        if arguments.json {
            let row = Row { path: path.to_string_lossy(), width, height, faces: &faces, warnings: &picture.warnings };
            return say(serde_json::to_string(&row)?);
        }
        say(format_args!("{}: {}x{}, {} found", path.display(), width, height, plural(faces.faces.len())))?;
        for face in &faces.faces {
            let b = face.bbox;
            say(format_args!(
                "  face {}: box [{:.0}, {:.0}, {:.0}, {:.0}], score {:.2}, roll {:.0} degrees{}{}",
                face.index,
                b.x,
                b.y,
                b.width,
                b.height,
                face.score,
                face.roll,
                if face.truncated { ", cut by the border" } else { "" },
                if face.low_quality { ", low quality" } else { "" },
            ))?;
        }
        Ok(())
    })?;
    Ok(faces.faces.len())
}

fn plural(faces: usize) -> String {
    if faces == 1 { "1 face".into() } else { format!("{faces} faces") }
}

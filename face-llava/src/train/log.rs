//! What happened at each step: lines of JSON, and the loss as a picture.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use landmarks::files::write_bytes;
use plotters::prelude::{ChartBuilder, Color, IntoDrawingArea, LineSeries, RGBColor, SVGBackend, WHITE};
use serde::{Deserialize, Deserializer, Serialize};

const METRICS: &str = "metrics.jsonl";
const CURVE: &str = "loss.svg";
const BLUE: RGBColor = RGBColor(30, 100, 200);
const PALE: RGBColor = RGBColor(190, 210, 240);

/// One step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Steps done with this one.
    pub step: usize,
    /// Times through the data before it.
    pub epoch: usize,
    /// Mean loss over its terms. JSON has no number for one that is not finite: null.
    #[serde(deserialize_with = "or_nan")]
    pub loss: f64,
    /// Learning rate.
    pub rate: f64,
    /// Norm of the gradient before clipping, written as the loss is.
    #[serde(deserialize_with = "or_nan")]
    pub gradient_norm: f64,
    /// Answer tokens or pictures.
    pub terms: usize,
}

fn or_nan<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or(f64::NAN))
}

/// The metrics of a run. Losing them is no reason to lose the run: what cannot be written is left out.
pub(super) struct Log {
    folder: PathBuf,
    entries: Vec<Entry>,
    file: Option<File>,
}

impl Log {
    /// Goes on after `step`; what an interrupted run wrote beyond its last checkpoint is dropped.
    pub fn open(folder: &Path, step: usize) -> Self {
        let path = folder.join(METRICS);
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let read = text.lines().filter_map(|line| Some((line, serde_json::from_str::<Entry>(line).ok()?)));
        // As they were written: numbers that are read and written again may differ in their last digit.
        let (lines, entries): (Vec<&str>, Vec<Entry>) = read.filter(|(_, entry)| entry.step <= step).unzip();
        let lines: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let file =
            write_bytes(&path, lines.as_bytes()).ok().and_then(|()| OpenOptions::new().append(true).open(&path).ok());
        Self { folder: folder.into(), entries, file }
    }

    pub fn add(&mut self, entry: &Entry) {
        self.entries.push(*entry);
        if let (Some(file), Ok(line)) = (&mut self.file, serde_json::to_string(entry)) {
            let _ = writeln!(file, "{line}");
        }
    }

    /// Draws the loss of every step and its running mean.
    pub fn draw(&self) {
        let learnt: Vec<(f64, f64)> = self
            .entries
            .iter()
            .filter(|e| e.terms > 0 && e.loss.is_finite())
            .map(|e| (e.step as f64, e.loss))
            .collect();
        let Some((last, _)) = learnt.last().copied() else { return };
        let highest = learnt.iter().map(|(_, loss)| *loss).fold(0.0, f64::max);
        let mut mean = learnt[0].1;
        let smooth = learnt.iter().map(|(step, loss)| {
            mean += 0.05 * (loss - mean);
            (*step, mean)
        });
        let smooth: Vec<(f64, f64)> = smooth.collect();
        let mut svg = String::new();
        let drawn = (|| -> Result<(), Box<dyn std::error::Error>> {
            let area = SVGBackend::with_string(&mut svg, (900, 480)).into_drawing_area();
            area.fill(&WHITE)?;
            let mut chart = ChartBuilder::on(&area)
                .caption("Loss", ("sans-serif", 22))
                .margin(16)
                .x_label_area_size(40)
                .y_label_area_size(56)
                .build_cartesian_2d(0.0..last.max(1.0), 0.0..highest * 1.05 + 1e-9)?;
            chart.configure_mesh().x_desc("step").y_desc("loss").light_line_style(WHITE).draw()?;
            chart.draw_series(LineSeries::new(learnt, PALE))?;
            chart.draw_series(LineSeries::new(smooth, BLUE.stroke_width(2)))?;
            area.present()?;
            Ok(())
        })();
        if drawn.is_ok() {
            let _ = write_bytes(&self.folder.join(CURVE), svg.as_bytes());
        }
    }
}

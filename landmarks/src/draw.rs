//! Faces drawn onto a picture: boxes, the nine regions, the 68 points.

use std::path::Path;

use image::RgbImage;
use tiny_skia::{Color, FillRule, Paint, PathBuilder, Pixmap, PremultipliedColorU8, Stroke, Transform};

use crate::files::write_bytes;
use crate::{BBox, Error, Face, PixelLandmarks, Region};

/// A colour for each region, in token order.
const COLORS: [[u8; 3]; 9] = [
    [240, 240, 240], // face
    [255, 183, 77],  // eyebrow1
    [255, 138, 101], // eyebrow2
    [129, 212, 250], // nose
    [77, 182, 172],  // nostril
    [149, 117, 205], // eye1
    [121, 134, 203], // eye2
    [240, 98, 146],  // lips
    [174, 213, 129], // teeth
];
const BOX: [u8; 3] = [255, 235, 59];

/// A copy of the picture with every face's box, regions and points.
pub fn overlay(picture: &RgbImage, faces: &[Face]) -> RgbImage {
    let Some(mut canvas) = Canvas::new(picture) else { return picture.clone() };
    for face in faces {
        canvas.bbox(&face.bbox);
        canvas.regions(&face.points, face.bbox.width);
    }
    canvas.into_picture()
}

/// Writes a picture whole or not at all; the ending of the name decides the format.
///
/// # Errors
/// [`Error::Write`], [`Error::Io`].
pub fn save(picture: &RgbImage, path: &Path) -> Result<(), Error> {
    let fail = |source| Error::Write { path: path.into(), source };
    let format = image::ImageFormat::from_path(path).map_err(fail)?;
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).map_err(fail)?;
    write_bytes(path, bytes.get_ref())
}

struct Canvas(Pixmap);

impl Canvas {
    fn new(picture: &RgbImage) -> Option<Self> {
        let mut map = Pixmap::new(picture.width(), picture.height())?;
        for (to, from) in map.pixels_mut().iter_mut().zip(picture.pixels()) {
            let [r, g, b] = from.0;
            *to = PremultipliedColorU8::from_rgba(r, g, b, 255)?;
        }
        Some(Self(map))
    }

    fn into_picture(self) -> RgbImage {
        let (w, h) = (self.0.width(), self.0.height());
        let raw = self.0.pixels().iter().flat_map(|p| [p.red(), p.green(), p.blue()]).collect();
        RgbImage::from_raw(w, h, raw).unwrap_or_default()
    }

    fn stroke(&mut self, path: PathBuilder, color: [u8; 3], width: f32) {
        if let Some(path) = path.finish() {
            let stroke = Stroke { width, ..Stroke::default() };
            self.0.stroke_path(&path, &paint(color), &stroke, Transform::identity(), None);
        }
    }

    fn bbox(&mut self, b: &BBox) {
        let mut path = PathBuilder::new();
        path.move_to(b.x, b.y);
        path.line_to(b.x + b.width, b.y);
        path.line_to(b.x + b.width, b.y + b.height);
        path.line_to(b.x, b.y + b.height);
        path.close();
        self.stroke(path, BOX, (b.width / 80.0).clamp(1.0, 6.0));
    }

    fn regions(&mut self, points: &PixelLandmarks, face_width: f32) {
        let line = (face_width / 120.0).clamp(0.8, 4.0);
        for (region, color) in Region::ALL.into_iter().zip(COLORS) {
            let mut outline = PathBuilder::new();
            let mut dots = PathBuilder::new();
            for (i, p) in points[region.points()].iter().enumerate() {
                if i == 0 {
                    outline.move_to(p.x, p.y)
                } else {
                    outline.line_to(p.x, p.y)
                }
                dots.push_circle(p.x, p.y, 1.6 * line);
            }
            if region.is_closed() {
                outline.close();
            }
            self.stroke(outline, color, line);
            if let Some(dots) = dots.finish() {
                self.0.fill_path(&dots, &paint(color), FillRule::Winding, Transform::identity(), None);
            }
        }
    }
}

fn paint(color: [u8; 3]) -> Paint<'static> {
    let [r, g, b] = color;
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    paint.set_color(Color::from_rgba8(r, g, b, 255));
    paint
}

//! From a file to the face crops and landmarks that the network reads.

mod sight;

use std::path::{Path, PathBuf};
use std::time::Instant;

use face_encoder::video::{Clip, ClipWarning, VideoOptions, is_clip, open_clip};
use image::RgbImage;
use landmarks::picture::{OpenOptions, Warning, open_with};
use landmarks::{BBox, CropRule, FaceCrop, FaceFinder, PixelLandmarks, Select, UnitLandmarks};
use serde::Serialize;

use self::sight::{Clock, Sight, Sighting};
use crate::Error;

/// How the face is found and cropped.
#[derive(Clone, Debug, PartialEq)]
pub struct FaceOptions {
    /// Look for a face and crop it; otherwise the picture is the crop.
    pub detect: bool,
    /// Which face, where there are several; in clips, which track (`best` is the largest there).
    pub select: Select,
    /// How the square is laid around it; as the model wants it where nothing is said.
    pub crop: Option<CropRule>,
    /// Where landmarks come from.
    pub landmarks: LandmarkSource,
}

/// Where landmarks come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum LandmarkSource {
    /// Found in the picture.
    #[default]
    Found,
    /// Given, one set for each picture or sampled frame, in fractions of the crop.
    Given(Vec<UnitLandmarks>),
    /// Left out.
    Without,
}

impl Default for FaceOptions {
    fn default() -> Self {
        Self { detect: true, select: Select::Largest, crop: None, landmarks: LandmarkSource::default() }
    }
}

/// A picture or the sampled frames of a clip.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// One picture.
    Image(RgbImage),
    /// Frames of a clip.
    Video(Clip),
}

/// Media as opened, before any face is looked for.
#[derive(Clone, Debug)]
pub struct Media {
    /// What was decoded.
    pub pixels: Pixels,
    /// What was noticed while opening a picture.
    pub warnings: Vec<Warning>,
    path: PathBuf,
    decode_ms: f64,
}

impl Media {
    /// Opens a picture, an animation, a video or a folder of frames; the content decides which.
    ///
    /// # Errors
    /// [`Error::Landmarks`] for pictures, [`Error::Encoder`] for videos.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        Self::open_with(path, &OpenOptions::default())
    }

    /// The same with limits of your own.
    ///
    /// # Errors
    /// As [`Media::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &OpenOptions) -> Result<Self, Error> {
        let (path, start) = (path.as_ref(), Instant::now());
        let (pixels, warnings) = if is_clip(path)? {
            let options = VideoOptions { picture: *options, ..VideoOptions::default() };
            (Pixels::Video(open_clip(path, &options)?), Vec::new())
        } else {
            let picture = open_with(path, options)?;
            (Pixels::Image(picture.rgb), picture.warnings)
        };
        Ok(Self { pixels, warnings, path: path.into(), decode_ms: ms(start) })
    }

    /// A picture that is in memory already.
    pub fn from_image(image: RgbImage) -> Self {
        Self { pixels: Pixels::Image(image), warnings: Vec::new(), path: PathBuf::from("picture"), decode_ms: 0.0 }
    }

    /// A clip that is in memory already; its model tells how many frames it reads at most
    /// ([`TowerConfig::frames`](face_encoder::TowerConfig::frames)).
    pub fn from_clip(clip: Clip) -> Self {
        Self { pixels: Pixels::Video(clip), warnings: Vec::new(), path: PathBuf::from("clip"), decode_ms: 0.0 }
    }

    /// Pictures or sampled frames.
    pub fn frames(&self) -> &[RgbImage] {
        match &self.pixels {
            Pixels::Image(image) => std::slice::from_ref(image),
            Pixels::Video(clip) => &clip.frames,
        }
    }

    /// What was noticed while reading a clip.
    pub fn clip_warnings(&self) -> &[ClipWarning] {
        match &self.pixels {
            Pixels::Image(_) => &[],
            Pixels::Video(clip) => &clip.warnings,
        }
    }
}

/// The face in one picture or frame.
#[derive(Clone, Debug, Serialize)]
pub struct FrameFace {
    /// `[x, y, width, height]`, pixels; absent where the picture was taken as the crop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bbox: Option<BBox>,
    /// The detector's confidence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    /// The face's index in its picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<usize>,
    /// The square that was cropped, pixels.
    pub crop: BBox,
    /// Whether part of the square lies outside the picture.
    pub truncated: bool,
    /// False where a frame shows no face and the last one seen was used.
    pub seen: bool,
    /// Faces in the picture.
    pub of: usize,
    /// Too small, or its points are guesses; not known where the picture was taken as the crop or nobody wanted points.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub low_quality: bool,
}

/// The face of a picture or clip, found, cropped and aligned: ready for a session
/// ([`FaceLlava::prepare`](crate::FaceLlava::prepare)).
#[derive(Clone, Debug)]
pub struct Prepared {
    pub(crate) how: How,
    pub(crate) crops: Vec<RgbImage>,
    pub(crate) landmarks: Option<Vec<UnitLandmarks>>,
    pub(crate) faces: Vec<FrameFace>,
    pub(crate) is_video: bool,
    pub(crate) decode_ms: f64,
    pub(crate) detect_ms: f64,
    pub(crate) landmarks_ms: f64,
}

impl Prepared {
    /// Where the face is: one for a picture, one for each sampled frame of a clip.
    pub fn faces(&self) -> &[FrameFace] {
        &self.faces
    }
}

/// How a face was found and cropped.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How {
    pub detect: bool,
    pub select: Select,
    pub crop: CropRule,
}

/// Milliseconds since.
pub(crate) fn ms(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1000.0
}

impl Media {
    /// Finds the face, crops it and gives its landmarks in fractions of the crop. `wanted` is false where the model has
    /// no use for landmarks.
    pub(crate) fn prepare(
        &self,
        finder: &FaceFinder,
        options: &FaceOptions,
        wanted: bool,
        model_crop: Option<CropRule>,
    ) -> Result<Prepared, Error> {
        let (how, align) = self.how(options, wanted, model_crop)?;
        let mut clock = Clock::default();
        let seen = if options.detect {
            let sight = Sight::new(&self.pixels, finder, &mut clock)?;
            let index = sight.choose(options.select).ok_or_else(|| self.no_face(options.select, sight.count()))?;
            sight.face(index, finder, how.crop, align, &mut clock)?
        } else {
            let start = Instant::now();
            let whole = self.frames().iter().map(|frame| whole(frame, finder, how.crop, align));
            let whole = whole.collect::<Result<_, Error>>()?;
            clock.landmarks_ms = ms(start);
            whole
        };
        self.prepared(how, seen, options, wanted, clock)
    }

    /// The same for every face, or every track of a clip, which are looked for once.
    pub(crate) fn prepare_all(
        &self,
        finder: &FaceFinder,
        options: &FaceOptions,
        wanted: bool,
        model_crop: Option<CropRule>,
    ) -> Result<Vec<Result<Prepared, Error>>, Error> {
        if !options.detect {
            return Ok(vec![self.prepare(finder, options, wanted, model_crop)]);
        }
        let (how, align) = self.how(options, wanted, model_crop)?;
        let mut clock = Clock::default();
        let sight = Sight::new(&self.pixels, finder, &mut clock)?;
        if sight.count() == 0 {
            return Err(self.no_face(Select::Largest, 0));
        }
        let one = |index: usize| {
            let (how, mut clock) = (How { select: Select::Index(index), ..how }, clock);
            let seen = sight.face(index, finder, how.crop, align, &mut clock)?;
            self.prepared(how, seen, options, wanted, clock)
        };
        Ok((0..sight.count()).map(one).collect())
    }

    /// How faces are found, and whether they are aligned for the model; media without pixels are refused.
    fn how(&self, options: &FaceOptions, wanted: bool, model_crop: Option<CropRule>) -> Result<(How, bool), Error> {
        let crop = options.crop.or(model_crop).unwrap_or_default();
        if self.frames().is_empty() {
            return Err(self.no_face(Select::Largest, 0));
        }
        if let Some((width, height)) = self.frames().iter().map(RgbImage::dimensions).find(|(w, h)| *w == 0 || *h == 0)
        {
            let (path, limits) = (Some(self.path.clone()), OpenOptions::default());
            return Err(landmarks::Error::PictureSize { path, width, height, limits }.into());
        }
        let how = How { detect: options.detect, select: options.select, crop };
        Ok((how, wanted && options.landmarks == LandmarkSource::Found))
    }

    fn prepared(
        &self,
        how: How,
        seen: Vec<Sighting>,
        options: &FaceOptions,
        wanted: bool,
        clock: Clock,
    ) -> Result<Prepared, Error> {
        let (mut crops, mut points, mut faces) = (Vec::new(), Vec::new(), Vec::new());
        for (crop, landmarks, face) in seen {
            crops.push(crop.image);
            points.extend(landmarks);
            faces.push(face);
        }
        let landmarks = match &options.landmarks {
            _ if !wanted => None,
            LandmarkSource::Without => None,
            LandmarkSource::Found => Some(points),
            LandmarkSource::Given(sets) => Some(given(sets, crops.len())?),
        };
        let is_video = matches!(self.pixels, Pixels::Video(_));
        let Clock { detect_ms, landmarks_ms } = clock;
        Ok(Prepared { how, crops, landmarks, faces, is_video, decode_ms: self.decode_ms, detect_ms, landmarks_ms })
    }

    fn no_face(&self, select: Select, of: usize) -> Error {
        let media = self.path.display().to_string();
        match select {
            Select::Index(index) if of > 0 => Error::FaceIndex { media, index, of },
            _ => Error::NoFace { media },
        }
    }
}

/// A picture that is known to be a crop of a face, turned into what a model with this rule reads.
pub(crate) fn recrop(picture: &RgbImage, points: Option<&PixelLandmarks>, rule: CropRule) -> Result<FaceCrop, Error> {
    Ok(match (rule, points) {
        (CropRule::Aligned, Some(points)) => FaceCrop::aligned(picture, points)?,
        _ => FaceCrop::whole(picture),
    })
}

/// A frame as the crop itself.
fn whole(frame: &RgbImage, finder: &FaceFinder, rule: CropRule, align: bool) -> Result<Sighting, Error> {
    let needed = align || rule == CropRule::Aligned;
    let points = if needed { Some(finder.align_crop(frame)?) } else { None };
    let crop = recrop(frame, points.as_ref(), rule)?;
    let landmarks = points.filter(|_| align).map(|points| crop.landmarks(&points));
    let face = FrameFace {
        bbox: None,
        score: None,
        index: None,
        crop: crop.square,
        truncated: false,
        seen: true,
        of: 1,
        low_quality: false,
    };
    Ok((crop, landmarks, face))
}

fn given(sets: &[UnitLandmarks], frames: usize) -> Result<Vec<UnitLandmarks>, Error> {
    if sets.len() != frames {
        return Err(Error::LandmarkFrames { given: sets.len(), frames });
    }
    for set in sets {
        set.check_given()?;
    }
    Ok(sets.to_vec())
}

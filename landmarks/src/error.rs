//! What can go wrong, and what to do about it.

use std::path::{Path, PathBuf};

use crate::picture::OpenOptions;
use crate::weights::WeightsFault;

/// Errors of this crate. Finding no face is not among them: it is an empty list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A folder, pipe or device where a file is expected.
    #[error("{}: not a regular file; give the path of a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// A file over its limit.
    #[error("{}: {bytes} bytes, over the limit of {limit}", path.display())]
    FileTooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// Content that is no supported picture.
    #[error("{}: not a supported picture: {hint}", at(path))]
    UnknownPicture {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// What it looks like and what to do.
        hint: &'static str,
    },
    /// A decoder gave up.
    #[error("{}: the picture cannot be decoded: {source}", at(path))]
    Decode {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// The decoder's reason.
        source: image::ImageError,
    },
    /// A JPEG without its end.
    #[error(
        "{}: the JPEG ends early; fetch it again (with --lenient, `faces`, `ask`, `chat` and `run` take what is there)",
        at(path)
    )]
    TruncatedPicture {
        /// The file, where there is one.
        path: Option<PathBuf>,
    },
    /// A picture too large or too small.
    #[error(
        "{}: {width}x{height} pixels; allowed are sides from {} to {} and {} pixels in all: resize it first",
        at(path), limits.min_side, limits.max_side, limits.max_pixels
    )]
    PictureSize {
        /// The file, where there is one.
        path: Option<PathBuf>,
        /// Width, pixels.
        width: u32,
        /// Height, pixels.
        height: u32,
        /// The limits in force.
        limits: OpenOptions,
    },
    /// A face box that makes no sense for the picture.
    #[error("box {bbox:?} [x, y, width, height] is not a box inside the {width}x{height} picture")]
    BadBox {
        /// The box.
        bbox: [f32; 4],
        /// Picture's width.
        width: u32,
        /// Picture's height.
        height: u32,
    },
    /// Not 68 points.
    #[error("{count} points{}; expected 68 [x, y] pairs in iBUG order", scheme(*count))]
    LandmarkCount {
        /// Points given.
        count: usize,
    },
    /// Points that look like pixels.
    #[error("point {index} is ({x}, {y}): that looks like pixels; expected fractions of the crop, 0 to 1")]
    LandmarkUnits {
        /// The point.
        index: usize,
        /// Its x.
        x: f32,
        /// Its y.
        y: f32,
    },
    /// Points of a face turned inside out.
    #[error(
        "the points are those of a mirrored face: expected x before y, and the 68 iBUG points, the subject's right side first"
    )]
    LandmarkOrder,
    /// NaN or infinity among the points.
    #[error("point {index} is not a finite number")]
    LandmarkNotFinite {
        /// The point.
        index: usize,
    },
    /// Landmarks that are not JSON pairs.
    #[error("landmarks: expected a JSON array of 68 [x, y] pairs: {0}")]
    LandmarkJson(#[source] serde_json::Error),
    /// A file of weights is unusable.
    #[error("{}: {fault}", path.display())]
    Weights {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        fault: WeightsFault,
    },
    /// Weights that the module needs and the file lacks.
    #[error("{}: {count} tensors are missing, first {names:?}; nearest to the first: {nearest:?}", path.display())]
    MissingTensors {
        /// The file or folder.
        path: PathBuf,
        /// How many.
        count: usize,
        /// The first twenty.
        names: Vec<String>,
        /// The most similar name that is there.
        nearest: String,
    },
    /// A tensor of another shape.
    #[error("{}: {name:?} has shape {found:?}; the configuration demands {expected:?}", path.display())]
    TensorShape {
        /// The file or folder.
        path: PathBuf,
        /// The tensor.
        name: String,
        /// The module's shape.
        expected: Vec<usize>,
        /// The file's shape.
        found: Vec<usize>,
    },
    /// A tensor that holds no floats of 16, 32 or 64 bits.
    #[error("{name:?} holds values of a type that is not read; floats of 16, 32 or 64 bits are needed")]
    TensorDtype {
        /// The tensor.
        name: String,
    },
    /// NaN or infinity among the weights.
    #[error("{name:?} is not finite at index {index}: the file is damaged (--allow-nonfinite loads it all the same)")]
    NonFiniteWeight {
        /// The tensor.
        name: String,
        /// Row-major index.
        index: usize,
    },
    /// An activation became NaN or infinite.
    #[error("{network} gave a value that is not finite")]
    NonFiniteOutput {
        /// The network.
        network: &'static str,
    },
    /// A picture could not be written.
    #[error("{}: the picture cannot be written: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: image::ImageError,
    },
}

impl Error {
    /// The same error with the file it is about.
    #[must_use]
    pub fn at(mut self, file: &Path) -> Self {
        if let Self::UnknownPicture { path, .. }
        | Self::Decode { path, .. }
        | Self::TruncatedPicture { path }
        | Self::PictureSize { path, .. } = &mut self
        {
            *path = Some(file.into());
        }
        self
    }

    /// Whether the same may succeed later, see [`may_pass`].
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if may_pass(source))
    }
}

/// Whether a failure to read is the disk's or the network's rather than that of the file: what is not there, is no file or
/// may not be read stays so until somebody changes it.
pub fn may_pass(source: &std::io::Error) -> bool {
    use std::io::ErrorKind as Kind;
    !matches!(
        source.kind(),
        Kind::NotFound
            | Kind::PermissionDenied
            | Kind::NotADirectory
            | Kind::IsADirectory
            | Kind::InvalidFilename
            | Kind::InvalidInput
            | Kind::InvalidData
            | Kind::UnexpectedEof
    )
}

fn at(path: &Option<PathBuf>) -> String {
    path.as_ref().map_or_else(|| "picture".into(), |p| p.display().to_string())
}

fn scheme(count: usize) -> &'static str {
    match count {
        5 => ", as five-point detectors give",
        21 | 98 | 106 | 478 | 468 => ", another scheme of landmarks",
        67 => ", one too few",
        69 => ", one too many",
        136 => ", a flat list of 136 numbers or two faces",
        _ => "",
    }
}

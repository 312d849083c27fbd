//! Faces in pictures: where they are, their 68 landmarks, and the square crop that face models read.
//!
//! ```text
//! open ──► FaceFinder::find ──► Face { bbox, score, points } ──► crop_face ──► FaceCrop { image, landmarks in [0,1] }
//!            │ Detector (BlazeFace)                                 
//!            └ MeshAligner (468 points, 68 of them) or FanAligner
//! ```
//!
//! Networks are burn modules; the device decides where they run, and the crate itself names no backend: turn one on in
//! your application (`burn/flex`, `burn/wgpu`, `burn/cuda`). The detector's and the mesh's weights are embedded.
//!
//! Points and boxes are in pixels of the upright picture, origin at the top-left corner, x before y; [`UnitPoint`]s are
//! fractions of a crop. Finding no face is an empty list.
//!
//! ```
//! use burn::tensor::Device;
//! use landmarks::{FaceFinder, Select};
//!
//! # fn main() -> Result<(), landmarks::Error> {
//! let finder = FaceFinder::new(Default::default(), &Device::flex())?;
//! let picture = landmarks::open("../examples/assets/astronaut.png")?;
//! let found = finder.find(&picture.rgb)?;
//! for face in found.select(Select::Largest) {
//!     println!("{:?} score {:.2}, left eye at {:?}", face.bbox, face.score, face.points[42]);
//! }
//! assert_eq!(found.faces.len(), 1);
//! # Ok(())
//! # }
//! ```

pub mod blazeface;
pub mod draw;
pub mod face_mesh;
pub mod fan;
pub mod files;
pub mod memory;
pub mod picture;
pub mod quantized;
pub mod weights;

mod crop;
mod detector;
mod error;
mod finder;
mod geometry;
mod linear;
mod mesh_aligner;
#[cfg(feature = "cpu")]
mod separable;
mod topology;
mod track;
mod warp;

pub use crop::{CROP, CropRule, FaceCrop, crop_face};
pub use detector::{Detection, Detections, Detector, DetectorOptions, Pass, Search};
pub use error::{Error, may_pass};
pub use finder::{Face, FaceFinder, Faces, Select};
pub use geometry::{Affine, BBox, Landmarks, PixelLandmarks, Point, UnitLandmarks, UnitPoint};
pub use linear::{Linear, LinearConfig, Linears, LowRank, for_many_rows, indices};
pub use mesh_aligner::{MESH_TO_68, Mesh, MeshAligner};
pub use picture::open;
pub use topology::{MIRROR, POINT_COUNT, REGION_COUNT, Region};
pub use track::{Track, Tracker, TrackerOptions};
pub use warp::warp;

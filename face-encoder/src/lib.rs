//! Pixels to patch features: CLIP's vision tower, LanguageBind's towers for images and videos, the projector into a
//! language model, preprocessing, and frames of videos.
//!
//! ```text
//! RgbImage ─► image_pixels [3, S, S] ─► Tower::images [B, N, D] ──────┐
//! open_clip ─► video_pixels [T, 3, S, S] ─► Tower::videos [B, T, 1 + N, D] ─► VisionProjector
//! ```
//!
//! Letters in shapes: B batch, T frames, N patches, D width, S side of the input in pixels.
//!
//! ```
//! use burn::tensor::Device;
//! use face_encoder::{TowerConfig, image_pixels};
//!
//! let device = Device::flex();
//! let config = TowerConfig { width: 64, layers: 2, heads: 4, mlp_width: 128, ..TowerConfig::vit_l_14() };
//! let tower = config.init(&device);
//! let picture = image::RgbImage::new(256, 256);
//! let features = tower.images(image_pixels(&picture, 224, &device).unsqueeze());
//! assert_eq!(features.dims(), [1, 256, 64]);
//! ```

mod activation;
mod config;
mod error;
pub mod ops;
mod preprocess;
mod projector;
mod tower;
pub mod video;
mod weights;

pub use config::{Activation, TowerConfig};
pub use error::Error;
pub use preprocess::{MEAN, STD, image_pixels, pad_to_square, video_pixels};
pub use projector::{VisionProjector, VisionProjectorConfig, projector_layers};
pub use tower::Tower;

//! Face-region-guided cross-attention (Face-LLaVA, arXiv 2504.07198): the patch features of a face attend to nine
//! tokens made of its 68 landmarks, so that a language model reads visual tokens which know the face's geometry.
//!
//! ```text
//! landmarks [B, 68, 2] ─► LandmarkProjector (nine local tokens + one global, added) ─► [B, R, D] ──┐ keys, values
//! features  [B, N, D]  ─────────────────────────────── queries ──────────────────► CrossAttention ─► [B, N, D]
//! ```
//!
//! Tensors in, tensors out: landmarks are fractions of the face crop, x before y, in iBUG order. [`Frgca`] joins both
//! parts; [`Fusion`] is what a model needs of it, so that a research variant can take its place.
//!
//! ```
//! use burn::tensor::{Device, Distribution, Tensor};
//! use frgca::{FrgcaConfig, Fusion, Variant};
//!
//! let device = Device::flex();
//! let frgca = FrgcaConfig::new(64, Variant::Simple).init(&device);
//! let features = Tensor::<3>::random([1, 256, 64], Distribution::Default, &device);
//! let landmarks = Tensor::<3>::random([1, 68, 2], Distribution::Default, &device);
//! assert_eq!(frgca.fuse(features, landmarks).unwrap().dims(), [1, 256, 64]);
//! ```

mod attention;
mod projector;
mod proximity;
mod weights;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
use landmarks::{Linear, Linears};
use serde::{Deserialize, Serialize};

pub use attention::{CrossAttention, CrossAttentionConfig, Variant};
pub use projector::{LandmarkProjector, LandmarkProjectorConfig, ProjectorKind};
pub use proximity::{PatchGrid, masked_bias, paper_bias};

/// Errors of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Tokens that are no square grid of patches, with or without a class token.
    #[error("{tokens} tokens are no square grid of patches, with or without a class token; expected 256 or 257")]
    Grid {
        /// Tokens given.
        tokens: usize,
    },
    /// The `masked` variant on images.
    #[error(
        "this checkpoint uses the `masked` cross-attention as released, which works on video only ({tokens} tokens, \
         class token needed): ask about a video, or pass --no-landmarks"
    )]
    MaskedNeedsClassToken {
        /// Tokens given.
        tokens: usize,
    },
    /// A bias by regions, and tokens that are none.
    #[error("{tokens} landmark tokens; the `masked` and `paper` cross-attentions need nine, one a region")]
    Regions {
        /// Tokens of each face.
        tokens: usize,
    },
    /// Landmarks of the wrong shape.
    #[error("landmarks have shape {shape:?}; expected [batch {batch}, 68, 2]")]
    Landmarks {
        /// Shape given.
        shape: [usize; 3],
        /// Batch of the features.
        batch: usize,
    },
    /// Weights that cannot be loaded.
    #[error(transparent)]
    Weights(#[from] landmarks::Error),
}

/// What guides visual tokens by landmarks. Implemented by [`Frgca`]; implement it for a module of your own to put
/// another fusion into the model.
pub trait Fusion: Module {
    /// Informs features by landmarks.
    ///
    /// # Shapes
    /// - features `[B, N, D]`: 256 patches of an image, or a class token and 256 patches of a video frame
    /// - landmarks `[B, 68, 2]`: fractions of the crop
    /// - output `[B, N, D]`, or `[B, N + 1, D]` where a landmark token is appended
    ///
    /// # Errors
    /// [`Error`] where shapes do not fit the variant.
    fn fuse(&self, features: Tensor<3>, landmarks: Tensor<3>) -> Result<Tensor<3>, Error>;
}

/// Configuration of [`Frgca`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrgcaConfig {
    /// Width of features and tokens, D.
    pub width: usize,
    /// How each region becomes a token.
    pub local: ProjectorKind,
    /// How the whole face becomes a token, added to each local one.
    pub global: Option<ProjectorKind>,
    /// The attention.
    pub attention: CrossAttentionConfig,
    /// Append the global token to the features.
    pub landmark_token: bool,
}

impl FrgcaConfig {
    /// The released configuration: nine regions, a global token, eight heads.
    pub fn new(width: usize, variant: Variant) -> Self {
        Self {
            width,
            local: ProjectorKind::Regions,
            global: Some(ProjectorKind::Linear),
            attention: CrossAttentionConfig::new(width, variant),
            landmark_token: false,
        }
    }

    /// The module without weights.
    pub fn init(&self, device: &Device) -> Frgca {
        let projector = |kind| LandmarkProjectorConfig { width: self.width, kind }.init(device);
        Frgca {
            local: projector(self.local),
            global: self.global.map(projector),
            attention: self.attention.init(device),
            landmark_token: self.landmark_token,
        }
    }
}

/// Landmark projectors and cross-attention.
#[derive(Module, Debug)]
pub struct Frgca {
    /// Nine tokens, one a region.
    pub local: LandmarkProjector,
    /// One token for the face.
    pub global: Option<LandmarkProjector>,
    /// The attention.
    pub attention: CrossAttention,
    landmark_token: bool,
}

impl Linears for Frgca {
    fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let Self { local, global, attention, .. } = self;
        let projectors = std::iter::once(("local", local)).chain(global.iter_mut().map(|global| ("global", global)));
        let layers = projectors.flat_map(|(name, projector)| {
            let layers = projector.layers.iter_mut().enumerate();
            layers.map(move |(i, layer)| (format!("{name}.layers.{i}"), layer))
        });
        let CrossAttention { q_proj, k_proj, v_proj, out_proj, linear_proj, .. } = attention;
        let own = [("q_proj", q_proj), ("k_proj", k_proj), ("v_proj", v_proj), ("linear_proj", linear_proj)];
        let own = own.into_iter().chain(out_proj.iter_mut().map(|layer| ("out_proj", layer)));
        layers.chain(own.map(|(name, layer)| (format!("attention.{name}"), layer)))
    }
}

impl Frgca {
    /// The tokens that features attend to: local ones, each with the global one added.
    ///
    /// # Shapes
    /// - landmarks `[B, 68, 2]`
    /// - output `[B, R, D]`
    pub fn region_tokens(&self, landmarks: Tensor<3>) -> Tensor<3> {
        let local = self.local.forward(landmarks.clone());
        match &self.global {
            Some(global) => local + global.forward(landmarks),
            None => local,
        }
    }
}

impl Fusion for Frgca {
    fn fuse(&self, features: Tensor<3>, landmarks: Tensor<3>) -> Result<Tensor<3>, Error> {
        let ([batch, ..], shape) = (features.dims(), landmarks.dims());
        if shape != [batch, 68, 2] {
            return Err(Error::Landmarks { shape, batch });
        }
        let tokens = self.region_tokens(landmarks.clone());
        let out = self.attention.forward(features, tokens, landmarks.clone())?;
        Ok(match (&self.global, self.landmark_token) {
            (Some(global), true) => Tensor::cat(vec![out, global.forward(landmarks)], 1),
            _ => out,
        })
    }
}

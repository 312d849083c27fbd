//! The cross-attention: as released, as released with its mask, and as the paper draws it.

use burn::module::Module;
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::module::attention;
use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Device, Tensor};
use landmarks::{Linear, LinearConfig, REGION_COUNT};
use serde::{Deserialize, Serialize};

use crate::{Error, masked_bias, paper_bias};

/// Which cross-attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The release's default: multi-head attention with its own output layer, inner residual and layer norm, no mask.
    Simple,
    /// The release's other one: no output layer, its mask as it is, video only.
    Masked,
    /// The paper's figure: additive proximity mask, no inner residual, no norm.
    Paper,
}

/// Configuration of a [`CrossAttention`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CrossAttentionConfig {
    /// Width of features and tokens, D.
    pub width: usize,
    /// Heads; 8 in the release.
    pub heads: usize,
    /// Which one.
    pub variant: Variant,
    /// Factor of the branch: 0.1 as released, 0.001 in the first weights, 1 in the paper's figure.
    pub branch_scale: f64,
}

impl CrossAttentionConfig {
    /// Eight heads and the variant's own branch scale.
    pub fn new(width: usize, variant: Variant) -> Self {
        let branch_scale = if variant == Variant::Paper { 1.0 } else { 0.1 };
        Self { width, heads: 8, variant, branch_scale }
    }

    /// The module without weights.
    ///
    /// # Panics
    /// If the heads do not divide the width.
    pub fn init(&self, device: &Device) -> CrossAttention {
        assert!(self.width.is_multiple_of(self.heads), "{} heads do not divide width {}", self.heads, self.width);
        let layer = || LinearConfig::new(self.width, self.width).init(device);
        CrossAttention {
            q_proj: layer(),
            k_proj: layer(),
            v_proj: layer(),
            out_proj: (self.variant == Variant::Simple).then(layer),
            norm: (self.variant != Variant::Paper).then(|| LayerNormConfig::new(self.width).init(device)),
            linear_proj: layer(),
            config: *self,
        }
    }
}

/// Features attend to region tokens.
#[derive(Module, Debug)]
pub struct CrossAttention {
    /// Queries, from features.
    pub q_proj: Linear,
    /// Keys, from tokens.
    pub k_proj: Linear,
    /// Values, from tokens.
    pub v_proj: Linear,
    /// The attention's own output layer, [`Variant::Simple`] only.
    pub out_proj: Option<Linear>,
    /// After the inner residual; absent in [`Variant::Paper`].
    pub norm: Option<LayerNorm>,
    /// The branch's output layer.
    pub linear_proj: Linear,
    #[module(skip)]
    config: CrossAttentionConfig,
}

impl CrossAttention {
    /// # Shapes
    /// - features `[B, N, D]`
    /// - tokens `[B, R, D]`
    /// - landmarks `[B, 68, 2]`, for the mask
    /// - output `[B, N, D]`
    ///
    /// # Errors
    /// As [`masked_bias`] and [`paper_bias`]; [`Error::Regions`] where these meet other tokens than one a region.
    pub fn forward(&self, features: Tensor<3>, tokens: Tensor<3>, landmarks: Tensor<3>) -> Result<Tensor<3>, Error> {
        let [b, n, d] = features.dims();
        let regions = tokens.dims()[1];
        if self.config.variant != Variant::Simple && regions != REGION_COUNT {
            return Err(Error::Regions { tokens: regions });
        }
        let bias = match self.config.variant {
            Variant::Simple => None,
            Variant::Masked => Some(masked_bias(landmarks, n)?),
            Variant::Paper => Some(paper_bias(landmarks, n)?),
        };
        let heads = self.config.heads;
        let split = |x: Tensor<3>| {
            let [b, len, d] = x.dims();
            x.reshape([b, len, heads, d / heads]).swap_dims(1, 2)
        };
        let attended = attention(
            split(self.q_proj.forward(features.clone())),
            split(self.k_proj.forward(tokens.clone())),
            split(self.v_proj.forward(tokens)),
            None,
            bias.map(|m| m.cast(features.dtype()).unsqueeze_dim(1)),
            AttentionModuleOptions::default(),
        );
        let mut branch = attended.swap_dims(1, 2).reshape([b, n, d]);
        if let Some(out_proj) = &self.out_proj {
            branch = out_proj.forward(branch);
        }
        if let Some(norm) = &self.norm {
            branch = norm.forward(features.clone() + branch);
        }
        Ok(features + self.linear_proj.forward(branch) * self.config.branch_scale)
    }

    /// The configuration it was made from.
    pub fn config(&self) -> &CrossAttentionConfig {
        &self.config
    }
}

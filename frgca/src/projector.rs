//! From landmarks to tokens.

use burn::module::Module;
use burn::tensor::{Device, Tensor, activation};
use landmarks::{Linear, LinearConfig, POINT_COUNT, Region};
use serde::{Deserialize, Serialize};

/// How landmarks become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProjectorKind {
    /// One linear layer for each of the nine regions: nine tokens (`landmarks_region_projector`).
    Regions,
    /// One linear layer over all points: one token (`linear`).
    Linear,
    /// That many linear layers with GELU between: one token (`mlpNx_gelu`).
    Mlp(usize),
}

/// Configuration of a [`LandmarkProjector`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LandmarkProjectorConfig {
    /// Width of a token, D.
    pub width: usize,
    /// The kind.
    pub kind: ProjectorKind,
}

/// Makes tokens of landmarks.
#[derive(Module, Debug)]
pub struct LandmarkProjector {
    /// One layer a region, or the layers of a perceptron over all points.
    pub layers: Vec<Linear>,
    #[module(skip)]
    kind: ProjectorKind,
}

impl LandmarkProjectorConfig {
    /// The module without weights.
    pub fn init(&self, device: &Device) -> LandmarkProjector {
        let layer = |input| LinearConfig::new(input, self.width).init(device);
        let layers = match self.kind {
            ProjectorKind::Regions => Region::ALL.iter().map(|r| layer(2 * r.points().len())).collect(),
            ProjectorKind::Linear => vec![layer(2 * POINT_COUNT)],
            ProjectorKind::Mlp(depth) => {
                (0..depth).map(|i| layer(if i == 0 { 2 * POINT_COUNT } else { self.width })).collect()
            }
        };
        LandmarkProjector { layers, kind: self.kind }
    }
}

impl LandmarkProjector {
    /// # Shapes
    /// - landmarks `[B, 68, 2]`
    /// - output `[B, R, D]`; R is 9 for [`ProjectorKind::Regions`], else 1
    pub fn forward(&self, landmarks: Tensor<3>) -> Tensor<3> {
        let [b, points, _] = landmarks.dims();
        if self.kind == ProjectorKind::Regions {
            let tokens = Region::ALL.iter().zip(&self.layers).map(|(region, layer)| {
                let range = region.points();
                let n = range.len();
                layer.forward(landmarks.clone().narrow(1, range.start, n).reshape([b, 1, 2 * n]))
            });
            return Tensor::cat(tokens.collect(), 1);
        }
        let mut x = landmarks.reshape([b, 1, 2 * points]);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(if i == 0 { x } else { activation::gelu(x) });
        }
        x
    }

    /// The kind it was made as.
    pub fn kind(&self) -> ProjectorKind {
        self.kind
    }
}

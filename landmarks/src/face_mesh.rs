//! The 468-point face mesh: MediaPipe's face landmark network (arXiv 1907.06724).

use burn::module::Module;
use burn::nn::conv::Conv2d;
use burn::nn::{PRelu, PReluConfig};
use burn::tensor::{Device, Tensor};

use crate::Error;
use crate::blazeface::{Block, conv, load_embedded, stem};

/// Side of the input, pixels.
pub const INPUT: usize = 192;
/// Points of the mesh.
pub const MESH_POINTS: usize = 468;

/// `(in, out, stride)` of the fourteen shared blocks.
const TRUNK: [(usize, usize, usize); 14] = [
    (16, 16, 1),
    (16, 16, 1),
    (16, 32, 2),
    (32, 32, 1),
    (32, 32, 1),
    (32, 64, 2),
    (64, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 128, 1),
    (128, 128, 2),
    (128, 128, 1),
    (128, 128, 1),
];
const REDUCE: (usize, usize, usize) = (128, 128, 2);
const KEEP: (usize, usize, usize) = (128, 128, 1);

/// From the trunk's 6x6 map to one answer.
#[derive(Module, Debug)]
struct Branch {
    reduce: Vec<Block>,
    narrow: Conv2d,
    narrow_prelu: PRelu,
    last: Block,
    head: Conv2d,
}

impl Branch {
    fn new(reduce: &[(usize, usize, usize)], outputs: usize, device: &Device) -> Self {
        Self {
            reduce: reduce.iter().map(|&b| Block::new(b, true, device)).collect(),
            narrow: conv([128, 32], 1, 1, false, device),
            narrow_prelu: PReluConfig::new().with_num_parameters(32).init(device),
            last: Block::new((32, 32, 1), true, device),
            head: conv([32, outputs], 3, 1, false, device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.reduce.iter().fold(x, |x, block| block.forward(x));
        let x = self.last.forward(self.narrow_prelu.forward(self.narrow.forward(x)));
        self.head.forward(x).flatten(1, 3)
    }
}

/// Configuration of [`FaceMesh`]: the published network has no choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct FaceMeshConfig;

/// The landmark network. [`crate::MeshAligner`] adds the rotated crop and the way back to the picture.
#[derive(Module, Debug)]
pub struct FaceMesh {
    stem: Conv2d,
    stem_prelu: PRelu,
    trunk: Vec<Block>,
    points: Branch,
    presence: Branch,
}

impl FaceMeshConfig {
    /// The network without weights.
    pub fn init(&self, device: &Device) -> FaceMesh {
        FaceMesh {
            stem: conv([3, 16], 3, 2, true, device),
            stem_prelu: PReluConfig::new().with_num_parameters(16).init(device),
            trunk: TRUNK.iter().map(|&b| Block::new(b, true, device)).collect(),
            points: Branch::new(&[REDUCE, KEEP, KEEP], MESH_POINTS * 3, device),
            presence: Branch::new(&[REDUCE], 1, device),
        }
    }

    /// The network with the embedded weights.
    ///
    /// # Errors
    /// As [`crate::weights::load`].
    pub fn pretrained(&self, device: &Device) -> Result<FaceMesh, Error> {
        load_embedded(self.init(device), "face_mesh")
    }
}

impl FaceMesh {
    /// Mesh points and presence logits.
    ///
    /// # Shapes
    /// - pixels `[B, 3, 192, 192]`, RGB in [0, 1]
    /// - points `[B, 1404]`: x, y, z of 468 points, in input pixels
    /// - presence `[B, 1]`: logit
    pub fn forward(&self, pixels: Tensor<4>) -> (Tensor<2>, Tensor<2>) {
        let x = stem(&self.stem, Some(&self.stem_prelu), pixels);
        let x = self.trunk.iter().fold(x, |x, block| block.forward(x));
        (self.points.forward(x.clone()), self.presence.forward(x))
    }
}

//! BlazeFace, short range: MediaPipe's face detection network (arXiv 1907.05047).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{PRelu, PReluConfig, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, activation};

use crate::Error;
#[cfg(feature = "cpu")]
use crate::separable;
use crate::weights::{Key, LoadOptions, Weights, load};

/// Side of the input, pixels.
pub const INPUT: usize = 128;
/// Anchors: two for each cell of the 16x16 grid, six for each of the 8x8 grid.
pub const ANCHORS: usize = 896;
/// Numbers for each anchor: box and six keypoints.
pub const VALUES: usize = 16;

/// `(in, out, stride)` of the sixteen blocks.
const BLOCKS: [(usize, usize, usize); 16] = [
    (24, 24, 1),
    (24, 28, 1),
    (28, 32, 2),
    (32, 36, 1),
    (36, 42, 1),
    (42, 48, 2),
    (48, 56, 1),
    (56, 64, 1),
    (64, 72, 1),
    (72, 80, 1),
    (80, 88, 1),
    (88, 96, 2),
    (96, 96, 1),
    (96, 96, 1),
    (96, 96, 1),
    (96, 96, 1),
];
/// The block whose output feeds the 16x16 heads.
const TAP: usize = 10;

/// Depthwise and pointwise convolution with a shortcut, shared with the face mesh.
#[derive(Module, Debug)]
pub(crate) struct Block {
    depthwise: Conv2d,
    pointwise: Conv2d,
    /// ReLU where absent.
    prelu: Option<PRelu>,
    #[module(skip)]
    stride: usize,
}

impl Block {
    pub(crate) fn new((input, output, stride): (usize, usize, usize), prelu: bool, device: &Device) -> Self {
        Self {
            depthwise: Conv2dConfig::new([input, input], [3, 3])
                .with_stride([stride, stride])
                .with_groups(input)
                .with_padding(PaddingConfig2d::Same)
                .init(device),
            pointwise: Conv2dConfig::new([input, output], [1, 1]).init(device),
            prelu: prelu.then(|| PReluConfig::new().with_num_parameters(output).init(device)),
            stride,
        }
    }

    /// # Shapes
    /// - x `[B, in, h, w]`
    /// - output `[B, out, h / stride, w / stride]`
    pub(crate) fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        #[cfg(feature = "cpu")]
        if let Some(y) = separable::block(&x, &self.depthwise, &self.pointwise, self.prelu.as_ref()) {
            return y;
        }
        self.by_parts(x)
    }

    /// By burn's operations.
    fn by_parts(&self, x: Tensor<4>) -> Tensor<4> {
        let y = self.pointwise.forward(self.depthwise.forward(x.clone()));
        let shortcut = if self.stride == 2 { max_pool2d(x, MaxPoolOptions::new([2, 2])) } else { x };
        let missing = y.dims()[1] - shortcut.dims()[1];
        let shortcut =
            if missing > 0 { shortcut.pad([(0, missing), (0, 0), (0, 0)], PadMode::Constant(0.0)) } else { shortcut };
        bend(self.prelu.as_ref(), y + shortcut)
    }
}

/// PReLU, or ReLU.
fn bend(prelu: Option<&PRelu>, x: Tensor<4>) -> Tensor<4> {
    match prelu {
        Some(prelu) => prelu.forward(x),
        None => activation::relu(x),
    }
}

/// The first convolution and PReLU, or ReLU.
pub(crate) fn stem(conv: &Conv2d, prelu: Option<&PRelu>, x: Tensor<4>) -> Tensor<4> {
    #[cfg(feature = "cpu")]
    if let Some(y) = separable::stem(&x, conv, prelu) {
        return y;
    }
    bend(prelu, conv.forward(x))
}

/// A convolution to which nothing is added: heads and stems.
pub(crate) fn conv(channels: [usize; 2], kernel: usize, stride: usize, same: bool, device: &Device) -> Conv2d {
    Conv2dConfig::new(channels, [kernel, kernel])
        .with_stride([stride, stride])
        .with_padding(if same { PaddingConfig2d::Same } else { PaddingConfig2d::Valid })
        .init(device)
}

/// Configuration of [`BlazeFace`]: the published short-range network has no choices.
#[derive(Clone, Copy, Debug, Default)]
pub struct BlazeFaceConfig;

/// The detection network. [`crate::Detector`] adds anchors, suppression and the way back to the picture.
#[derive(Module, Debug)]
pub struct BlazeFace {
    stem: Conv2d,
    blocks: Vec<Block>,
    score_16: Conv2d,
    score_8: Conv2d,
    box_16: Conv2d,
    box_8: Conv2d,
}

impl BlazeFaceConfig {
    /// The network without weights.
    pub fn init(&self, device: &Device) -> BlazeFace {
        BlazeFace {
            stem: conv([3, 24], 5, 2, true, device),
            blocks: BLOCKS.iter().map(|&b| Block::new(b, false, device)).collect(),
            score_8: conv([88, 2], 1, 1, false, device),
            box_8: conv([88, 2 * VALUES], 1, 1, false, device),
            score_16: conv([96, 6], 1, 1, false, device),
            box_16: conv([96, 6 * VALUES], 1, 1, false, device),
        }
    }

    /// The network with the embedded weights.
    ///
    /// # Errors
    /// As [`load`].
    pub fn pretrained(&self, device: &Device) -> Result<BlazeFace, Error> {
        load_embedded(self.init(device), "blazeface")
    }
}

impl BlazeFace {
    /// Raw outputs for every anchor.
    ///
    /// # Shapes
    /// - pixels `[B, 3, 128, 128]`, RGB in [-1, 1]
    /// - boxes `[B, 896, 16]`: x, y, width, height, six keypoints, in input pixels relative to the anchor
    /// - logits `[B, 896]`
    pub fn forward(&self, pixels: Tensor<4>) -> (Tensor<3>, Tensor<2>) {
        let [b, ..] = pixels.dims();
        let mut x = stem(&self.stem, None, pixels);
        let mut tap = None;
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(x);
            if i == TAP {
                tap = Some(x.clone());
            }
        }
        let fine = tap.unwrap_or_else(|| x.clone());
        let flat = |t: Tensor<4>, values: usize| {
            let n = t.dims()[1..].iter().product::<usize>() / values;
            t.permute([0, 2, 3, 1]).reshape([b, n, values])
        };
        let boxes = Tensor::cat(
            vec![flat(self.box_8.forward(fine.clone()), VALUES), flat(self.box_16.forward(x.clone()), VALUES)],
            1,
        );
        let logits = Tensor::cat(vec![flat(self.score_8.forward(fine), 1), flat(self.score_16.forward(x), 1)], 1);
        (boxes, logits.squeeze_dim(2))
    }
}

static WEIGHTS: &[u8] = include_bytes!("../weights/mediapipe.safetensors");

/// Fills a network from the embedded weights under `prefix`.
pub(crate) fn load_embedded<M: Module>(module: M, prefix: &str) -> Result<M, Error> {
    let weights = Weights::from_static("embedded MediaPipe weights", WEIGHTS)?;
    let key = |path: &str| Key::from(format!("{prefix}.{path}"));
    Ok(load(module, &weights, &LoadOptions::default(), key)?.0)
}

#[cfg(all(test, feature = "cpu"))]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    fn same(case: &str, fused: Tensor<4>, parts: Tensor<4>) {
        assert_eq!(fused.dims(), parts.dims(), "{case}");
        let off = (fused - parts.clone()).abs().max().into_scalar::<f32>();
        let most = parts.abs().max().into_scalar::<f32>();
        assert!(off < 1e-5 * most.max(1.0), "{case}: {off} of {most}");
    }

    #[test]
    fn in_one_pass_as_by_parts() {
        let device = Device::flex();
        let picture = |[c, h, w]: [usize; 3]| {
            // In an order that another operation may leave.
            Tensor::<4>::random([2, c, w, h], Distribution::Normal(0.0, 1.0), &device).swap_dims(2, 3)
        };
        let prelu = |channels| PReluConfig::new().with_num_parameters(channels).init(&device);
        let cases = [((16, 16, 1), [96, 96]), ((16, 36, 2), [22, 40]), ((5, 7, 1), [1, 3]), ((8, 8, 2), [2, 2])];
        for ((input, output, stride), [h, w]) in cases {
            for bent in [false, true] {
                let case = format!("{input} to {output}, stride {stride}, {h} x {w}, {bent}");
                let x = picture([input, h, w]);
                let block = Block::new((input, output, stride), bent, &device);
                let fused = separable::block(&x, &block.depthwise, &block.pointwise, block.prelu.as_ref());
                same(&case, fused.unwrap(), block.by_parts(x.clone()));
                let prelu = bent.then(|| prelu(output));
                for side in [3, 5] {
                    let conv = conv([input, output], side, stride, true, &device);
                    let fused = separable::stem(&x, &conv, prelu.as_ref());
                    same(&case, fused.unwrap(), bend(prelu.as_ref(), conv.forward(x.clone())));
                }
            }
        }
        let block = Block::new((4, 4, 2), false, &device);
        assert!(separable::block(&picture([4, 3, 4]), &block.depthwise, &block.pointwise, None).is_none());
    }
}

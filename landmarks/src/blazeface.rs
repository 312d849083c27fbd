//! BlazeFace, short range: MediaPipe's face detection network (arXiv 1907.05047).

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{PRelu, PReluConfig, PaddingConfig2d};
use burn::tensor::module::max_pool2d;
use burn::tensor::ops::{MaxPoolOptions, PadMode};
use burn::tensor::{Device, Tensor, activation};

use crate::Error;
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
        let y = self.pointwise.forward(self.depthwise.forward(x.clone()));
        let shortcut = if self.stride == 2 { max_pool2d(x, MaxPoolOptions::new([2, 2])) } else { x };
        let missing = y.dims()[1] - shortcut.dims()[1];
        let shortcut =
            if missing > 0 { shortcut.pad([(0, missing), (0, 0), (0, 0)], PadMode::Constant(0.0)) } else { shortcut };
        let sum = y + shortcut;
        match &self.prelu {
            Some(prelu) => prelu.forward(sum),
            None => activation::relu(sum),
        }
    }
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
        let mut x = activation::relu(self.stem.forward(pixels));
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

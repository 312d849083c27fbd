//! The network: a stem and one to four stacked hourglasses.

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, interpolate};
use burn::tensor::ops::{AvgPoolOptions, InterpolateMode, InterpolateOptions};
use burn::tensor::{Device, Tensor};

use crate::POINT_COUNT;

/// Width of the hourglasses.
const WIDTH: usize = 256;
/// Halvings inside an hourglass.
const DEPTH: usize = 4;

/// Configuration of [`Fan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanConfig {
    /// Hourglasses, 1 to 4; the published network has 4.
    pub modules: usize,
}

/// The face alignment network.
#[derive(Module, Debug)]
pub struct Fan {
    conv1: Conv2d,
    bn1: BatchNorm,
    conv2: ConvBlock,
    conv3: ConvBlock,
    conv4: ConvBlock,
    stacks: Vec<Stack>,
}

impl FanConfig {
    /// The network without weights.
    pub fn init(&self, device: &Device) -> Fan {
        Fan {
            conv1: Conv2dConfig::new([3, 64], [7, 7])
                .with_stride([2, 2])
                .with_padding(PaddingConfig2d::Explicit(3, 3, 3, 3))
                .init(device),
            bn1: BatchNormConfig::new(64).init(device),
            conv2: ConvBlock::new(64, 128, device),
            conv3: ConvBlock::new(128, 128, device),
            conv4: ConvBlock::new(128, WIDTH, device),
            stacks: (0..self.modules).map(|i| Stack::new(i + 1 < self.modules, device)).collect(),
        }
    }
}

impl Fan {
    /// Heat maps of the last hourglass.
    ///
    /// # Shapes
    /// - pixels `[B, 3, 256, 256]`, RGB in [0, 1]
    /// - output `[B, 68, 64, 64]`
    pub fn forward(&self, pixels: Tensor<4>) -> Tensor<4> {
        let x = relu(self.bn1.forward(self.conv1.forward(pixels)));
        let x = half(self.conv2.forward(x));
        let mut x = self.conv4.forward(self.conv3.forward(x));
        let mut maps = x.clone();
        for stack in &self.stacks {
            (x, maps) = stack.forward(x);
        }
        maps
    }
}

fn half(x: Tensor<4>) -> Tensor<4> {
    avg_pool2d(x, AvgPoolOptions::new([2, 2]))
}

fn conv1x1(input: usize, output: usize, bias: bool, device: &Device) -> Conv2d {
    Conv2dConfig::new([input, output], [1, 1]).with_bias(bias).init(device)
}

/// Three convolutions whose outputs are laid side by side.
#[derive(Module, Debug)]
struct ConvBlock {
    bn1: BatchNorm,
    conv1: Conv2d,
    bn2: BatchNorm,
    conv2: Conv2d,
    bn3: BatchNorm,
    conv3: Conv2d,
    downsample: Option<Downsample>,
}

#[derive(Module, Debug)]
struct Downsample {
    bn: BatchNorm,
    conv: Conv2d,
}

impl ConvBlock {
    fn new(input: usize, output: usize, device: &Device) -> Self {
        let conv = |i: usize, o: usize| {
            Conv2dConfig::new([i, o], [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .with_bias(false)
                .init(device)
        };
        let norm = |n: usize| BatchNormConfig::new(n).init(device);
        Self {
            bn1: norm(input),
            conv1: conv(input, output / 2),
            bn2: norm(output / 2),
            conv2: conv(output / 2, output / 4),
            bn3: norm(output / 4),
            conv3: conv(output / 4, output / 4),
            downsample: (input != output)
                .then(|| Downsample { bn: norm(input), conv: conv1x1(input, output, false, device) }),
        }
    }

    /// # Shapes
    /// - x `[B, in, h, w]`
    /// - output `[B, out, h, w]`
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let a = self.conv1.forward(relu(self.bn1.forward(x.clone())));
        let b = self.conv2.forward(relu(self.bn2.forward(a.clone())));
        let c = self.conv3.forward(relu(self.bn3.forward(b.clone())));
        let shortcut = match &self.downsample {
            Some(d) => d.conv.forward(relu(d.bn.forward(x))),
            None => x,
        };
        Tensor::cat(vec![a, b, c], 1) + shortcut
    }
}

/// An hourglass; `b1[i]`, `b2[i]`, `b3[i]` belong to level `i + 1`, the deepest level is 1.
#[derive(Module, Debug)]
struct HourGlass {
    b1: Vec<ConvBlock>,
    b2: Vec<ConvBlock>,
    b2_plus: ConvBlock,
    b3: Vec<ConvBlock>,
}

impl HourGlass {
    fn new(device: &Device) -> Self {
        let levels = || (0..DEPTH).map(|_| ConvBlock::new(WIDTH, WIDTH, device)).collect();
        Self { b1: levels(), b2: levels(), b2_plus: ConvBlock::new(WIDTH, WIDTH, device), b3: levels() }
    }

    fn forward(&self, level: usize, x: Tensor<4>) -> Tensor<4> {
        let low = self.b2[level].forward(half(x.clone()));
        let low = match level {
            0 => self.b2_plus.forward(low),
            level => self.forward(level - 1, low),
        };
        let low = self.b3[level].forward(low);
        let doubled = InterpolateOptions::new(InterpolateMode::Nearest).with_scale_factor([2.0, 2.0]);
        self.b1[level].forward(x) + interpolate(low, doubled)
    }
}

/// One hourglass with its heads; all but the last feed what they saw back into the stream.
#[derive(Module, Debug)]
struct Stack {
    m: HourGlass,
    top_m: ConvBlock,
    conv_last: Conv2d,
    bn_end: BatchNorm,
    l: Conv2d,
    bl: Option<Conv2d>,
    al: Option<Conv2d>,
}

impl Stack {
    fn new(feeds_back: bool, device: &Device) -> Self {
        Self {
            m: HourGlass::new(device),
            top_m: ConvBlock::new(WIDTH, WIDTH, device),
            conv_last: conv1x1(WIDTH, WIDTH, true, device),
            bn_end: BatchNormConfig::new(WIDTH).init(device),
            l: conv1x1(WIDTH, POINT_COUNT, true, device),
            bl: feeds_back.then(|| conv1x1(WIDTH, WIDTH, true, device)),
            al: feeds_back.then(|| conv1x1(POINT_COUNT, WIDTH, true, device)),
        }
    }

    /// The stream for the next stack and this stack's heat maps.
    fn forward(&self, x: Tensor<4>) -> (Tensor<4>, Tensor<4>) {
        let y = self.top_m.forward(self.m.forward(DEPTH - 1, x.clone()));
        let y = relu(self.bn_end.forward(self.conv_last.forward(y)));
        let maps = self.l.forward(y.clone());
        let next = match (&self.bl, &self.al) {
            (Some(bl), Some(al)) => x + bl.forward(y) + al.forward(maps.clone()),
            _ => x,
        };
        (next, maps)
    }
}

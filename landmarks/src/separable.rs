//! Convolutions of the small networks on the CPU: with what stands around them in one pass over bands of the picture, on
//! one thread. Pictures are what to share out among threads; burn's operations share out each of these small ones.

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::nn::PRelu;
use burn::nn::conv::Conv2d;
use burn::tensor::{Bytes, DType, Shape, Tensor};

/// Positions of a band, about: what the first convolution gives for all channels stays in the cache.
const BAND: usize = 256;
/// Outputs and positions whose sums are kept in registers.
const OUTPUTS: usize = 4;
const LANES: usize = 32;

/// `prelu(pointwise(depthwise(x)) + shortcut)`, or ReLU; the shortcut is `x`, of every two by two positions the largest where
/// the stride is 2, and zero in channels that `x` lacks. None where something is not of this kind or not on the CPU.
///
/// # Shapes
/// - x `[B, in, H, W]`
/// - output `[B, out, H / stride, W / stride]`
pub(crate) fn block(x: &Tensor<4>, depthwise: &Conv2d, pointwise: &Conv2d, prelu: Option<&PRelu>) -> Option<Tensor<4>> {
    let [kernels, biases] = weights(depthwise)?;
    let first = First::Depthwise([read(&kernels), read(&biases)]);
    layer(x, first, depthwise, pointwise, prelu)
}

/// `prelu(conv(x))`, or ReLU.
///
/// # Shapes
/// As [`block`].
pub(crate) fn stem(x: &Tensor<4>, conv: &Conv2d, prelu: Option<&PRelu>) -> Option<Tensor<4>> {
    layer(x, First::Around, conv, conv, prelu)
}

/// What a position sees of the picture.
#[derive(Clone, Copy)]
enum First<'a> {
    /// A sum of each channel: `[in, 1, side, side]` and `[in]`; the picture is added to the result.
    Depthwise([&'a [f32]; 2]),
    /// All that is around it.
    Around,
}

fn layer(
    x: &Tensor<4>,
    first: First<'_>,
    seeing: &Conv2d,
    mixing: &Conv2d,
    prelu: Option<&PRelu>,
) -> Option<Tensor<4>> {
    let (x, stride) = (dense(x)?, seeing.stride[0]);
    let [b, c, h, w]: [usize; 4] = std::array::from_fn(|i| x.layout().shape()[i]);
    if !h.is_multiple_of(stride) || !w.is_multiple_of(stride) {
        return None;
    }
    let [mix, biases] = weights(mixing)?;
    let slopes = match prelu {
        Some(prelu) => Some(dense(&prelu.alpha.val())?),
        None => None,
    };
    let mix = [read(&mix), read(&biases)];
    let (side, slopes) = (seeing.kernel_size[0], slopes.as_ref().map(read));
    let (rows, columns, outputs) = (h / stride, w / stride, mix[1].len());
    let mut out = vec![0.0; b * outputs * rows * columns];
    for (x, out) in read(&x).chunks_exact(c * h * w).zip(out.chunks_exact_mut(outputs * rows * columns)) {
        let picture = Picture { x, dims: [c, h, w], first, side, stride, mix, slopes };
        pulp::Arch::new().dispatch(Job { picture, out });
    }
    let shape = Shape::from([b, outputs, rows, columns]);
    let out = FlexTensor::new(Bytes::from_elems(out), Layout::contiguous(shape), DType::F32);
    Some(Tensor::from_primitive::<Flex>(out))
}

fn weights(conv: &Conv2d) -> Option<[FlexTensor; 2]> {
    Some([dense(&conv.weight.val())?, dense(&conv.bias.as_ref()?.val())?])
}

/// A tensor of `f32` of the CPU backend in row-major order; none of another backend, another type, or recorded.
fn dense<const D: usize>(x: &Tensor<D>) -> Option<FlexTensor> {
    if x.dtype() != DType::F32 || x.device().is_autodiff() {
        return None;
    }
    let x = x.clone().try_into_primitive::<Flex>().ok()?;
    Some(if x.is_contiguous() { x } else { x.to_contiguous() })
}

/// Its values.
fn read(x: &FlexTensor) -> &[f32] {
    let start = x.layout().start_offset();
    &x.storage()[start..start + x.layout().num_elements()]
}

struct Job<'a, 'b> {
    picture: Picture<'a>,
    out: &'b mut [f32],
}

impl pulp::NullaryFnOnce for Job<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        self.picture.forward(self.out);
    }
}

struct Picture<'a> {
    x: &'a [f32],
    /// Channels, height, width.
    dims: [usize; 3],
    first: First<'a>,
    side: usize,
    stride: usize,
    /// `[out, in]`, where all around a position is in, and `[out]`.
    mix: [&'a [f32]; 2],
    slopes: Option<&'a [f32]>,
}

impl Picture<'_> {
    #[inline(always)]
    fn forward(&self, out: &mut [f32]) {
        let [weights, biases] = self.mix;
        let ([_, h, w], inputs) = (self.dims, weights.len() / biases.len());
        let (rows, columns) = (h / self.stride, w / self.stride);
        let band = (BAND / columns).clamp(1, rows);
        // Whole lanes, so that no position needs a loop of its own.
        let width = (band * columns).next_multiple_of(LANES);
        let mut seen = vec![0.0; inputs * width];
        let mut line = vec![0.0; w + self.side];
        let mut sums = vec![0.0; biases.len().next_multiple_of(OUTPUTS) * width];
        for top in (0..rows).step_by(band) {
            let count = band.min(rows - top);
            for (input, seen) in seen.chunks_exact_mut(width).enumerate() {
                for (row, seen) in seen.chunks_exact_mut(columns).take(count).enumerate() {
                    self.see(input, top + row, &mut line, seen);
                }
            }
            self.mix(&seen, width, &mut sums);
            for (output, sums) in sums.chunks_exact(width).take(biases.len()).enumerate() {
                let out = &mut out[(output * rows + top) * columns..][..count * columns];
                out.copy_from_slice(&sums[..out.len()]);
                if matches!(self.first, First::Depthwise(_)) {
                    self.shortcut(output, top, out);
                }
                let slope = self.slopes.map_or(0.0, |slopes| slopes[output]);
                // What is no number stays none.
                out.iter_mut().for_each(|x| *x = if *x < 0.0 { slope * *x } else { *x });
            }
        }
    }

    /// One row of an input of the mixture.
    #[inline(always)]
    fn see(&self, input: usize, row: usize, line: &mut [f32], out: &mut [f32]) {
        let side = self.side;
        match self.first {
            First::Depthwise([kernels, biases]) => {
                out.fill(biases[input]);
                for (k, kernel) in kernels[input * side * side..][..side * side].chunks_exact(side).enumerate() {
                    if self.line(input, row, k, line) {
                        for (x, weight) in kernel.iter().enumerate() {
                            self.each(&line[x..], out, |out, x| *out += x * weight);
                        }
                    }
                }
            }
            First::Around => {
                let (channel, place) = (input / (side * side), input % (side * side));
                if self.line(channel, row, place / side, line) {
                    self.each(&line[place % side..], out, |out, x| *out = x);
                } else {
                    out.fill(0.0);
                }
            }
        }
    }

    /// Every `stride`-th value of a line for those of a row.
    #[inline(always)]
    fn each(&self, line: &[f32], out: &mut [f32], f: impl Fn(&mut f32, f32)) {
        if self.stride == 1 {
            out.iter_mut().zip(line).for_each(|(out, x)| f(out, *x));
        } else {
            out.iter_mut().zip(line.iter().step_by(self.stride)).for_each(|(out, x)| f(out, *x));
        }
    }

    /// The line of a channel that row `k` of the kernels lies on, zeros beyond the border; false where it is nothing else.
    #[inline(always)]
    fn line(&self, channel: usize, row: usize, k: usize, line: &mut [f32]) -> bool {
        let [_, h, w] = self.dims;
        // As many zeros at both ends; one that is left over lies at the end.
        let before = self.side.saturating_sub(self.stride) / 2;
        let Some(y) = (row * self.stride + k).checked_sub(before).filter(|y| *y < h) else { return false };
        line.fill(0.0);
        line[before..before + w].copy_from_slice(&self.x[(channel * h + y) * w..][..w]);
        true
    }

    /// All outputs of a band.
    #[inline(always)]
    fn mix(&self, seen: &[f32], width: usize, sums: &mut [f32]) {
        let [weights, biases] = self.mix;
        let inputs = weights.len() / biases.len();
        for (group, sums) in sums.chunks_exact_mut(OUTPUTS * width).enumerate() {
            // Beyond the last output its weights once more; nobody looks.
            let output = |i: usize| (group * OUTPUTS + i).min(biases.len() - 1);
            let rows: [&[f32]; OUTPUTS] = std::array::from_fn(|i| &weights[output(i) * inputs..][..inputs]);
            for start in (0..width).step_by(LANES) {
                let mut kept: [[f32; LANES]; OUTPUTS] = std::array::from_fn(|i| [biases[output(i)]; LANES]);
                for input in 0..inputs {
                    let Some(x) = seen[input * width + start..].first_chunk::<LANES>() else { continue };
                    for (kept, row) in kept.iter_mut().zip(rows) {
                        let weight = row[input];
                        for (kept, x) in kept.iter_mut().zip(x) {
                            // Not fused: processors without such an instruction would take long and give other bits.
                            *kept += x * weight;
                        }
                    }
                }
                for (i, kept) in kept.iter().enumerate() {
                    sums[i * width + start..][..LANES].copy_from_slice(kept);
                }
            }
        }
    }

    /// Adds the picture.
    #[inline(always)]
    fn shortcut(&self, channel: usize, top: usize, out: &mut [f32]) {
        let [c, h, w] = self.dims;
        if channel >= c {
            return;
        }
        let plane = &self.x[channel * h * w..][..h * w];
        if self.stride == 1 {
            out.iter_mut().zip(&plane[top * w..]).for_each(|(out, x)| *out += x);
            return;
        }
        for (row, out) in out.chunks_exact_mut(w / 2).enumerate() {
            let (upper, lower) = plane[2 * (top + row) * w..][..2 * w].split_at(w);
            for (out, (a, b)) in out.iter_mut().zip(upper.chunks_exact(2).zip(lower.chunks_exact(2))) {
                *out += a[0].max(a[1]).max(b[0].max(b[1]));
            }
        }
    }
}

//! The region-patch proximity mask: how far each patch lies from each region.

use burn::tensor::{Device, FloatDType, Tensor, TensorData, activation};
use landmarks::Region;

use crate::Error;

/// A square grid of patches, with or without a class token before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PatchGrid {
    /// Patches along a side.
    pub side: usize,
    /// Whether a class token comes first.
    pub class_token: bool,
}

impl PatchGrid {
    /// The grid of a number of tokens.
    ///
    /// # Errors
    /// [`Error::Grid`].
    pub fn of(tokens: usize) -> Result<Self, Error> {
        let square = |n: usize| Some(n.isqrt()).filter(|s| *s > 0 && s * s == n);
        match (square(tokens), tokens.checked_sub(1).and_then(square)) {
            (Some(side), _) => Ok(Self { side, class_token: false }),
            (None, Some(side)) => Ok(Self { side, class_token: true }),
            _ => Err(Error::Grid { tokens }),
        }
    }

    /// Patch centres `[1, side², 1, 2]` as (x, y), or as (row, column) when `swapped`.
    fn centers(self, swapped: bool, device: &Device) -> Tensor<4> {
        let at = |i: usize| (i as f32 + 0.5) / self.side as f32;
        let mut values = Vec::with_capacity(2 * self.side * self.side);
        for row in 0..self.side {
            for column in 0..self.side {
                let (x, y) = (at(column), at(row));
                values.extend(if swapped { [y, x] } else { [x, y] });
            }
        }
        Tensor::from_data(TensorData::new(values, [1, self.side * self.side, 1, 2]), device)
    }

    /// Distances `[B, N, R]` from patch centres to region centroids; zero for a class token. In full precision, whatever
    /// the landmarks are in.
    fn distances(self, landmarks: Tensor<3>, swapped: bool) -> Tensor<3> {
        let landmarks = landmarks.cast(FloatDType::F32);
        let device = landmarks.device();
        let [b, ..] = landmarks.dims();
        let centroids = Region::ALL.iter().map(|region| {
            let range = region.points();
            landmarks.clone().narrow(1, range.start, range.len()).mean_dim(1)
        });
        let centroids = Tensor::cat(centroids.collect(), 1).unsqueeze_dim::<4>(1);
        let squares = (self.centers(swapped, &device) - centroids).powi_scalar(2).sum_dim(3);
        let distances = squares.squeeze_dim::<3>(3).sqrt();
        if self.class_token {
            let zero = Tensor::zeros([b, 1, Region::ALL.len()], &device);
            Tensor::cat(vec![zero, distances], 1)
        } else {
            distances
        }
    }
}

/// The paper's mask: minus the distance between patch centre and region centroid, zero for a class token.
///
/// # Shapes
/// - landmarks `[B, 68, 2]`
/// - output `[B, N, 9]`, added to the attention's scores
///
/// # Errors
/// [`Error::Grid`].
pub fn paper_bias(landmarks: Tensor<3>, tokens: usize) -> Result<Tensor<3>, Error> {
    Ok(PatchGrid::of(tokens)?.distances(landmarks, false).neg())
}

/// The released mask, its bugs included: rows and columns of the grid are swapped against x and y, and a softmax over
/// the regions turns distances into values between 0 and 1. It needs the class token that only video frames have.
///
/// # Shapes
/// - landmarks `[B, 68, 2]`
/// - output `[B, N, 9]`
///
/// # Errors
/// [`Error::Grid`], [`Error::MaskedNeedsClassToken`].
pub fn masked_bias(landmarks: Tensor<3>, tokens: usize) -> Result<Tensor<3>, Error> {
    let grid = PatchGrid::of(tokens)?;
    if !grid.class_token {
        return Err(Error::MaskedNeedsClassToken { tokens });
    }
    Ok(activation::softmax(grid.distances(landmarks, true).neg(), 2))
}

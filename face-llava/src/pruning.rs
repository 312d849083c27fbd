//! Fewer visual tokens: the patches that the face's geometry favours.

use burn::tensor::Tensor;
use frgca::PatchGrid;
use landmarks::{UnitLandmarks, UnitPoint, indices};

use crate::Error;

/// The first point that is not of the jaw: brows, nose, eyes and mouth follow.
const INNER: usize = 17;

/// Points in fractions of a picture of `width` times `height`, in fractions of the square that the tower sees of it: its
/// middle, or all of it in a square as large as its long side.
pub(crate) fn in_view(points: &UnitLandmarks, (width, height): (u32, u32), padded: bool) -> UnitLandmarks {
    let side = if padded { width.max(height) } else { width.min(height) } as f32;
    let along = |at: f32, length: u32| ((at - 0.5) * length as f32) / side + 0.5;
    points.map(|p| UnitPoint::new(along(p.x, width), along(p.y, height)))
}

/// Keeps the `keep` patches whose centres lie nearest to a point of brows, nose, eyes or mouth, in their order, the
/// class token where there is one, and what a fusion put after the `of_tower` tokens of the tower.
///
/// # Shapes
/// - features `[N, D]`
/// - output `[keep, D]`, one more with a class token, and those after it; all where there are no more
///
/// # Errors
/// [`Error::Fusion`] where the tower's tokens are no grid of patches, or not all there.
pub(crate) fn prune(
    features: Tensor<2>,
    of_tower: usize,
    points: &UnitLandmarks,
    keep: usize,
) -> Result<Tensor<2>, Error> {
    let tokens = features.dims()[0];
    if tokens < of_tower {
        return Err(frgca::Error::Grid { tokens }.into());
    }
    let mut rows = kept(points, PatchGrid::of(of_tower)?, keep);
    rows.extend(of_tower..tokens);
    if rows.len() == tokens {
        return Ok(features);
    }
    let rows = indices(rows, &features.device());
    Ok(features.select(0, rows))
}

/// The tokens to keep, ascending.
fn kept(points: &UnitLandmarks, grid: PatchGrid, keep: usize) -> Vec<usize> {
    let side = grid.side;
    let centre = |i: usize| (i as f32 + 0.5) / side as f32;
    let distance = |patch: &usize| {
        let (x, y) = (centre(patch % side), centre(patch / side));
        let inner = points.iter().skip(INNER).map(|p| (p.x - x).powi(2) + (p.y - y).powi(2));
        inner.fold(f32::INFINITY, f32::min)
    };
    let mut patches: Vec<usize> = (0..side * side).collect();
    patches.sort_by(|a, b| distance(a).total_cmp(&distance(b)));
    patches.truncate(keep);
    patches.sort_unstable();
    let first = usize::from(grid.class_token);
    (0..first).chain(patches.into_iter().map(|patch| patch + first)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Int};

    #[test]
    fn points_are_where_the_tower_sees_them() {
        let point = UnitPoint::new(0.5, 0.3);
        let points = UnitLandmarks::try_from(vec![point; 68]).unwrap();
        let seen = |size, padded| in_view(&points, size, padded)[0];
        let near = |p: UnitPoint, x: f32, y: f32| (p.x - x).abs() < 1e-6 && (p.y - y).abs() < 1e-6;
        assert!(near(seen((96, 96), false), 0.5, 0.3) && near(seen((96, 96), true), 0.5, 0.3));
        // Of 512 rows the middle 256 are seen: row 153.6 is the 25.6th of them.
        assert!(near(seen((256, 512), false), 0.5, 0.1));
        assert!(near(seen((512, 256), true), 0.5, 0.4));
    }

    #[test]
    fn patches_around_the_inner_face_stay_in_their_order() {
        // The jaw at the top left, everything else in the patch of the third row and second column.
        let point = |i| if i < INNER { UnitPoint::new(0.05, 0.05) } else { UnitPoint::new(0.375, 0.625) };
        let points = UnitLandmarks::try_from((0..68).map(point).collect::<Vec<_>>()).unwrap();
        let plain = PatchGrid { side: 4, class_token: false };
        assert_eq!(kept(&points, plain, 1), [9]);
        assert_eq!(kept(&points, plain, 5), [5, 8, 9, 10, 13]);
        assert_eq!(kept(&points, plain, 99), (0..16).collect::<Vec<_>>());
        assert_eq!(kept(&points, PatchGrid { side: 4, class_token: true }, 1), [0, 10]);
        // A token that a fusion put at the end is no patch, and stays.
        let features = |tokens: i64| Tensor::<1, Int>::arange(0..tokens, &Device::flex()).float().unsqueeze_dim(1);
        let rows = |tokens, of_tower| -> Vec<f32> {
            prune(features(tokens), of_tower, &points, 1).unwrap().into_data().iter().collect()
        };
        assert_eq!(rows(16, 16), [9.0]);
        assert_eq!(rows(17, 16), [9.0, 16.0]);
        assert_eq!(rows(18, 17), [0.0, 10.0, 17.0]);
        assert!(prune(features(15), 16, &points, 1).is_err());
    }
}

//! From heat maps to points.

use crate::{POINT_COUNT, Point};

/// Side of a heat map.
pub const HEATMAP: usize = 64;
/// Step towards the higher neighbour, heat-map pixels.
const QUARTER: f32 = 0.25;

/// The peak of each of 68 maps (`[68, 64, 64]`, row-major) in heat-map pixels, pixel centres at one half, moved a
/// quarter towards the higher neighbours, with its height.
///
/// # Panics
/// If there are fewer than 68 x 64 x 64 values.
pub fn decode_heatmaps(maps: &[f32]) -> [(Point, f32); POINT_COUNT] {
    std::array::from_fn(|k| {
        let map = &maps[k * HEATMAP * HEATMAP..(k + 1) * HEATMAP * HEATMAP];
        // The first of equal peaks, so that the answer never depends on how the map was walked.
        let best = (1..map.len()).fold(0, |best, i| if map[i] > map[best] { i } else { best });
        let (x, y) = (best % HEATMAP, best / HEATMAP);
        let inner = 1..HEATMAP - 1;
        let at = |x: usize, y: usize| map[y * HEATMAP + x];
        let step = |low: f32, high: f32| match high.total_cmp(&low) {
            std::cmp::Ordering::Greater if high > low => QUARTER,
            std::cmp::Ordering::Less if high < low => -QUARTER,
            _ => 0.0,
        };
        let (mut dx, mut dy) = (0.0, 0.0);
        if inner.contains(&x) && inner.contains(&y) {
            dx = step(at(x - 1, y), at(x + 1, y));
            dy = step(at(x, y - 1), at(x, y + 1));
        }
        (Point::new(x as f32 + 0.5 + dx, y as f32 + 0.5 + dy), map[best])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_and_border_peaks_stay_where_they_are() {
        let mut maps = vec![0.0; POINT_COUNT * HEATMAP * HEATMAP];
        maps[HEATMAP * HEATMAP + 5] = 1.0; // second map, top row
        maps[2 * HEATMAP * HEATMAP + 10 * HEATMAP + 20] = 1.0;
        maps[2 * HEATMAP * HEATMAP + 10 * HEATMAP + 21] = 0.5;
        let peaks = decode_heatmaps(&maps);
        assert_eq!(peaks[0], (Point::new(0.5, 0.5), 0.0));
        assert_eq!(peaks[1], (Point::new(5.5, 0.5), 1.0));
        assert_eq!(peaks[2], (Point::new(20.75, 10.5), 1.0));
    }
}

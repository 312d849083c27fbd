//! How far figures would spread over other draws of as many items.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Draws of an interval.
pub const RESAMPLES: u64 = 1000;

/// 95 % percentile intervals `(low, high)` of some figures: items are drawn with replacement, as many as there are,
/// [`RESAMPLES`] times, and the figures computed for each draw from the numbers of its items. Draws for which a figure
/// is not defined do not count for it.
///
/// Equal seeds give equal bits, on any number of threads. Items are taken as independent; frames of one video are not,
/// so intervals over frames are too narrow.
pub fn bootstrap(
    items: usize,
    seed: u64,
    figures: impl Fn(&[usize]) -> Vec<Option<f64>> + Sync,
) -> Vec<Option<(f64, f64)>> {
    if items == 0 {
        return Vec::new();
    }
    let draw = |number: u64| {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(number);
        let drawn: Vec<usize> = (0..items).map(|_| rng.random_range(0..items)).collect();
        figures(&drawn)
    };
    let draws: Vec<Vec<Option<f64>>> = (0..RESAMPLES).into_par_iter().map(draw).collect();
    let of = |figure: usize| {
        let mut values: Vec<f64> = draws.iter().filter_map(|draw| draw[figure]).collect();
        values.sort_by(f64::total_cmp);
        Some((percentile(&values, 2.5)?, percentile(&values, 97.5)?))
    };
    (0..draws.first().map_or(0, Vec::len)).map(of).collect()
}

/// A percentile (0 to 100) of ascending values, linear between neighbours as numpy's default.
pub fn percentile(ascending: &[f64], percent: f64) -> Option<f64> {
    let last = ascending.len().checked_sub(1)?;
    let at = percent.clamp(0.0, 100.0) / 100.0 * last as f64;
    let (below, above) = (ascending[at.floor() as usize], ascending[at.ceil() as usize]);
    Some(below + (above - below) * at.fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Share of marked items, and a figure that exists only where the first item was drawn.
    fn figures(marked: &[bool]) -> impl Fn(&[usize]) -> Vec<Option<f64>> + Sync {
        |drawn| {
            let share = drawn.iter().filter(|i| marked[**i]).count() as f64 / drawn.len() as f64;
            vec![Some(share), drawn.contains(&0).then_some(1.0), None]
        }
    }

    #[test]
    fn the_interval_is_as_wide_as_a_binomials() {
        let marked: Vec<bool> = (0..400).map(|i| i % 4 == 0).collect();
        let intervals = bootstrap(marked.len(), 1, figures(&marked));
        let (low, high) = intervals[0].unwrap();
        let half = 1.96 * (0.25f64 * 0.75 / 400.0).sqrt();
        assert!((low - (0.25 - half)).abs() < 0.01 && (high - (0.25 + half)).abs() < 0.01, "{low} {high}");
        assert_eq!(intervals[1..], [Some((1.0, 1.0)), None]);
    }

    #[test]
    fn seeds_decide_and_threads_do_not() {
        let marked: Vec<bool> = (0..50).map(|i| i % 3 == 0).collect();
        let run = |seed| bootstrap(marked.len(), seed, figures(&marked));
        let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        assert_eq!(run(7), one.install(|| run(7)));
        let mean = |drawn: &[usize]| vec![Some(drawn.iter().sum::<usize>() as f64)];
        assert_ne!(bootstrap(50, 7, mean), bootstrap(50, 8, mean));
        assert!(bootstrap(0, 7, mean).is_empty());
    }

    #[test]
    fn percentiles_between_values() {
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 75.0), Some(3.0));
        assert_eq!(percentile(&[1.0, 2.0, 4.0], 100.0), Some(4.0));
        assert_eq!(percentile(&[5.0], 2.5), Some(5.0));
        assert_eq!(percentile(&[], 50.0), None);
    }
}

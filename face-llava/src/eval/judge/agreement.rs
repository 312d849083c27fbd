//! How much a judge agrees with itself.

use serde::{Deserialize, Serialize};

/// Agreement between the ratings of the same answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Pairs of ratings of the same answer.
    pub pairs: usize,
    /// Mean absolute difference of a pair.
    pub mean_difference: f64,
    /// Share of pairs that are equal.
    pub equal: f64,
    /// Krippendorff's alpha for interval data: 1 perfect, 0 as by chance; none where all ratings of all answers are
    /// the same, so that there is nothing to tell apart.
    pub alpha: Option<f64>,
}

/// Agreement over answers, each with its ratings; none where no answer has two.
///
/// Alpha after Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011): one minus the ratio of the squared
/// difference within answers to that between any two ratings.
pub fn agreement(answers: &[Vec<u8>]) -> Option<Agreement> {
    let (mut pairs, mut difference, mut equal) = (0, 0u64, 0);
    let (mut within, mut all) = (0.0, Vec::new());
    for ratings in answers.iter().filter(|ratings| ratings.len() > 1) {
        let mut squares = 0.0;
        for (i, a) in ratings.iter().enumerate() {
            for b in &ratings[i + 1..] {
                pairs += 1;
                difference += u64::from(a.abs_diff(*b));
                equal += usize::from(a == b);
                squares += square(*a, *b);
            }
        }
        within += 2.0 * squares / (ratings.len() - 1) as f64;
        all.extend_from_slice(ratings);
    }
    if pairs == 0 {
        return None;
    }
    let (n, mean) = (all.len() as f64, all.iter().map(|v| f64::from(*v)).sum::<f64>() / all.len() as f64);
    // The squared differences of all pairs, both ways, are 2n times the squared deviations.
    let between = 2.0 * n * all.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / (n - 1.0);
    let differs = all.iter().any(|v| *v != all[0]);
    Some(Agreement {
        pairs,
        mean_difference: difference as f64 / pairs as f64,
        equal: equal as f64 / pairs as f64,
        alpha: differs.then(|| 1.0 - within / between),
    })
}

fn square(a: u8, b: u8) -> f64 {
    f64::from(a.abs_diff(b)).powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the paper: four observers, twelve units, missing values; interval alpha 0.849.
    #[test]
    fn alpha_is_the_published_one() {
        let observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."];
        let unit = |i: usize| observers.iter().filter_map(|row| row[i..=i].parse().ok()).collect::<Vec<u8>>();
        let units: Vec<Vec<u8>> = (0..12).map(unit).collect();
        assert_eq!(units.iter().filter(|unit| unit.len() > 1).map(Vec::len).sum::<usize>(), 40);
        let alpha = agreement(&units).unwrap().alpha.unwrap();
        assert!((alpha - 0.849).abs() < 5e-4, "{alpha}");
    }

    #[test]
    fn equal_ratings_agree_and_single_ones_say_nothing() {
        assert_eq!(agreement(&[vec![1], vec![], vec![9]]), None);
        let all = agreement(&[vec![7, 7, 7], vec![7, 7]]).unwrap();
        assert_eq!((all.pairs, all.mean_difference, all.equal, all.alpha), (4, 0.0, 1.0, None));
        let perfect = agreement(&[vec![7, 7], vec![2, 2], vec![4]]).unwrap();
        assert_eq!((perfect.equal, perfect.alpha), (1.0, Some(1.0)));
        let worst = agreement(&[vec![1, 10], vec![10, 1]]).unwrap();
        assert_eq!((worst.mean_difference, worst.equal), (9.0, 0.0));
        assert!(worst.alpha.unwrap() < 0.0);
    }
}

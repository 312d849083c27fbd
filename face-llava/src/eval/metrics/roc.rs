//! Area under the receiver operating characteristic.

/// The probability that an item of the positive class has a higher score than one of the negative; equal scores count
/// half. Nothing where one of the classes has no items.
pub fn roc_auc(items: impl IntoIterator<Item = (bool, f64)>) -> Option<f64> {
    let mut items: Vec<(bool, f64)> = items.into_iter().collect();
    items.sort_by(|(_, a), (_, b)| a.total_cmp(b));
    let (mut below, mut positives, mut wins) = (0u64, 0u64, 0.0);
    // `total_cmp` parts the two zeros, `==` does not: they lie side by side.
    for equals in items.chunk_by(|(_, a), (_, b)| a == b) {
        let up = equals.iter().filter(|(positive, _)| *positive).count() as u64;
        let down = equals.len() as u64 - up;
        wins += up as f64 * (below as f64 + down as f64 / 2.0);
        positives += up;
        below += down;
    }
    (positives > 0 && below > 0).then(|| wins / (positives as f64 * below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        assert_eq!(roc_auc([(true, 2.0), (false, 1.0)]), Some(1.0));
        assert_eq!(roc_auc([(true, 1.0), (false, 2.0)]), Some(0.0));
        assert_eq!(roc_auc([(true, 1.0), (false, 1.0)]), Some(0.5));
        assert_eq!(roc_auc([(true, 0.0), (false, -0.0)]), Some(0.5));
        assert_eq!(roc_auc([(true, 1.0), (true, 3.0), (false, 1.0), (false, 0.0)]), Some(3.5 / 4.0));
        assert_eq!(roc_auc([(true, 1.0)]), None);
        assert_eq!(roc_auc([]), None);
    }

    #[test]
    fn every_pair_is_compared() {
        let items: Vec<(bool, f64)> = (0..60u32).map(|i| (i * 7 % 3 == 0, f64::from(i * 13 % 17))).collect();
        let (mut wins, mut pairs) = (0.0, 0.0);
        for (_, up) in items.iter().filter(|(positive, _)| *positive) {
            for (_, down) in items.iter().filter(|(positive, _)| !positive) {
                wins += if up > down {
                    1.0
                } else if up < down {
                    0.0
                } else {
                    0.5
                };
                pairs += 1.0;
            }
        }
        assert!((roc_auc(items).unwrap() - wins / pairs).abs() < 1e-12);
    }
}

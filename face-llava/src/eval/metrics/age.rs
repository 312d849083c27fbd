//! Distances in years. Each pair is the truth and the reading.

/// Mean distance (MAE) over the items with a reading.
pub fn mean_absolute_error(ages: impl IntoIterator<Item = (f64, Option<f64>)>) -> Option<f64> {
    let errors: Vec<f64> = ages.into_iter().filter_map(|(truth, read)| Some((read? - truth).abs())).collect();
    (!errors.is_empty()).then(|| errors.iter().sum::<f64>() / errors.len() as f64)
}

/// Share of all items that are read to at most `years` from the truth: CS(k). Items without a reading are not.
pub fn cumulative_score(ages: impl IntoIterator<Item = (f64, Option<f64>)>, years: f64) -> Option<f64> {
    let (mut within, mut items) = (0u64, 0u64);
    for (truth, read) in ages {
        items += 1;
        within += u64::from(read.is_some_and(|read| (read - truth).abs() <= years));
    }
    (items > 0).then(|| within as f64 / items as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let ages = [(30.0, Some(35.0)), (30.0, Some(24.5)), (30.0, None), (1.0, Some(1.0))];
        assert_eq!(mean_absolute_error(ages), Some(3.5));
        assert_eq!(cumulative_score(ages, 5.0), Some(0.5));
        assert_eq!(mean_absolute_error([(30.0, None)]), None);
        assert_eq!(cumulative_score([(30.0, None)], 5.0), Some(0.0));
        assert_eq!(cumulative_score([], 5.0), None);
    }
}

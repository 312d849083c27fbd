//! Which records come when.

use std::collections::BTreeMap;

use rand::RngExt;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::augment::random;
use crate::Task;
use crate::data::Record;

/// Purpose of the random numbers.
const ORDER: u64 = 2;
/// Batches among which examples of like length are put together.
const WINDOW: usize = 16;

/// How an epoch goes through the records.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Sampling {
    /// Each record once, in random order.
    Shuffled,
    /// Records drawn with replacement: tasks by their weights, and within a task of single labels each label `count` times
    /// in proportion to `count^(1 - alpha)`.
    Balanced {
        /// 0 leaves labels as frequent as they are, 1 makes them equally frequent.
        alpha: f64,
        /// Weight of each task; tasks that are not named are left out.
        tasks: BTreeMap<Task, f64>,
        /// Records in an epoch.
        records: usize,
    },
}

impl Sampling {
    /// The weight of each record; none where all are equal and taken once.
    pub(super) fn weights(&self, records: &[&Record]) -> Option<Vec<f64>> {
        let Self::Balanced { alpha, tasks, .. } = self else { return None };
        let key = |record: &Record| -> Option<(Task, String)> {
            let meta = record.meta.as_ref()?;
            let single = matches!(meta.task, Task::Expression | Task::Age | Task::Deepfake);
            Some((meta.task, if single { meta.labels.join(" ") } else { String::new() }))
        };
        let mut counts: BTreeMap<(Task, String), f64> = BTreeMap::new();
        for record in records {
            if let Some(key) = key(record) {
                *counts.entry(key).or_default() += 1.0;
            }
        }
        // Within a task all weights sum to one.
        let mut totals: BTreeMap<Task, f64> = BTreeMap::new();
        for ((task, _), count) in &counts {
            *totals.entry(*task).or_default() += count.powf(1.0 - alpha);
        }
        let weight = |record: &&Record| {
            let Some(key) = key(record) else { return 0.0 };
            tasks.get(&key.0).copied().unwrap_or(0.0) * counts[&key].powf(-alpha) / totals[&key.0]
        };
        Some(records.iter().map(weight).collect())
    }
}

/// An order of items: `weights` for draws with replacement, else each once.
pub(super) fn order(items: usize, weights: Option<(&[f64], usize)>, seed: u64, epoch: usize) -> Vec<usize> {
    let mut rng = random(seed, ORDER, epoch as u64);
    match weights {
        None => {
            let mut all: Vec<usize> = (0..items).collect();
            all.shuffle(&mut rng);
            all
        }
        Some((weights, draws)) => {
            let mut sums = Vec::with_capacity(items);
            let mut total = 0.0;
            for weight in weights {
                total += weight;
                sums.push(total);
            }
            if total <= 0.0 {
                return Vec::new();
            }
            let pick = |x: f64| sums.partition_point(|s| *s <= x).min(items - 1);
            (0..draws).map(|_| pick(rng.random_range(0.0..total))).collect()
        }
    }
}

/// Cuts an order into batches of one kind each, neighbours in length together, the batches in random order.
pub(super) fn batches<K: Ord + Copy>(
    order: &[usize],
    size: usize,
    seed: u64,
    epoch: usize,
    kind_and_length: impl Fn(usize) -> (K, usize),
) -> Vec<Vec<usize>> {
    let mut out: Vec<Vec<usize>> = Vec::new();
    for window in order.chunks(size * WINDOW) {
        let mut window = window.to_vec();
        window.sort_by_key(|&i| kind_and_length(i));
        for kind in window.chunk_by(|&a, &b| kind_and_length(a).0 == kind_and_length(b).0) {
            out.extend(kind.chunks(size).map(<[usize]>::to_vec));
        }
    }
    out.shuffle(&mut random(seed, ORDER + (1 << 8), epoch as u64));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_takes_each_once_and_depends_on_the_seed_alone() {
        let kind = |i: usize| (i % 2, i / 7);
        let epoch = |seed, n| batches(&order(100, None, seed, n), 8, seed, n, kind);
        let mut all: Vec<usize> = epoch(1, 0).concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        assert_eq!(epoch(1, 3), epoch(1, 3));
        assert_ne!(epoch(1, 3), epoch(1, 4));
        assert_ne!(epoch(1, 3), epoch(2, 3));
        assert!(epoch(1, 0).iter().all(|b| b.len() <= 8 && b.iter().all(|i| i % 2 == b[0] % 2)));
    }

    #[test]
    fn draws_follow_the_weights() {
        let weights = [0.0, 1.0, 3.0, 0.0];
        let drawn = order(4, Some((&weights, 4000)), 5, 0);
        let count = |i| drawn.iter().filter(|d| **d == i).count();
        assert_eq!((count(0), count(3)), (0, 0));
        assert!((2900..3100).contains(&count(2)), "{}", count(2));
        assert!(order(2, Some((&[0.0, 0.0], 5)), 0, 0).is_empty());
    }
}

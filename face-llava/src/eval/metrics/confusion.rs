//! Which class was taken for which.

use serde::{Deserialize, Serialize};

/// Counts of items by truth and reading.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confusion {
    /// The classes.
    pub labels: Vec<String>,
    /// A row for each true class; a column for each class that was read, and a last one for items without a reading.
    pub counts: Vec<Vec<u64>>,
}

impl Confusion {
    /// An empty matrix.
    pub fn new(labels: &[&str]) -> Self {
        Self {
            labels: labels.iter().map(|l| (*l).to_owned()).collect(),
            counts: vec![vec![0; labels.len() + 1]; labels.len()],
        }
    }

    /// Counts an item by the numbers of its classes; none was read where there was no reading.
    ///
    /// # Panics
    /// On numbers that no class has.
    pub fn add(&mut self, truth: usize, read: Option<usize>) {
        self.counts[truth][read.unwrap_or(self.labels.len())] += 1;
    }

    /// Items of a class.
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class].iter().sum()
    }

    /// Items of a class that were taken for it, of all items of the class.
    pub fn recall(&self, class: usize) -> Option<f64> {
        share(self.counts[class][class], self.support(class))
    }

    /// Items of a class that were taken for it, of all items taken for it.
    pub fn precision(&self, class: usize) -> Option<f64> {
        share(self.counts[class][class], self.taken_for(class))
    }

    /// The harmonic mean of precision and recall; 0 where nothing of the class was found.
    pub fn f1(&self, class: usize) -> f64 {
        let hits = self.counts[class][class];
        f1(hits, self.taken_for(class) - hits, self.support(class) - hits)
    }

    /// Right readings of all items: accuracy, or weighted average recall (WAR).
    pub fn accuracy(&self) -> Option<f64> {
        let classes = 0..self.labels.len();
        share(classes.clone().map(|c| self.counts[c][c]).sum(), classes.map(|c| self.support(c)).sum())
    }

    /// Unweighted average recall (UAR), over the classes that have items.
    pub fn mean_recall(&self) -> Option<f64> {
        let recalls: Vec<f64> = (0..self.labels.len()).filter_map(|class| self.recall(class)).collect();
        (!recalls.is_empty()).then(|| recalls.iter().sum::<f64>() / recalls.len() as f64)
    }

    fn taken_for(&self, class: usize) -> u64 {
        self.counts.iter().map(|row| row[class]).sum()
    }
}

/// F1 from counts; 0 without hits, as scikit-learn's `zero_division=0` and the published scorer have it.
pub fn f1(hits: u64, false_alarms: u64, misses: u64) -> f64 {
    share(2 * hits, 2 * hits + false_alarms + misses).unwrap_or(0.0)
}

/// A part of a whole that may be empty.
pub(super) fn share(part: u64, of: u64) -> Option<f64> {
    (of > 0).then(|| part as f64 / of as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut matrix = Confusion::new(&["a", "b", "c"]);
        for (truth, read) in [(0, Some(0)), (0, Some(0)), (0, Some(1)), (0, None), (1, Some(1)), (1, Some(2))] {
            matrix.add(truth, read);
        }
        assert_eq!(matrix.counts, [[2, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]]);
        assert_eq!((0..3).map(|c| matrix.support(c)).collect::<Vec<_>>(), [4, 2, 0]);
        assert_eq!((0..3).map(|c| matrix.recall(c)).collect::<Vec<_>>(), [Some(0.5), Some(0.5), None]);
        assert_eq!((0..3).map(|c| matrix.precision(c)).collect::<Vec<_>>(), [Some(1.0), Some(0.5), Some(0.0)]);
        assert_eq!((0..3).map(|c| matrix.f1(c)).collect::<Vec<_>>(), [4.0 / 6.0, 0.5, 0.0]);
        assert_eq!((matrix.accuracy(), matrix.mean_recall()), (Some(0.5), Some(0.5)));
    }

    #[test]
    fn nothing_counted_gives_no_figure() {
        let matrix = Confusion::new(&["a"]);
        assert_eq!((matrix.accuracy(), matrix.mean_recall(), matrix.recall(0)), (None, None, None));
        assert_eq!(f1(0, 0, 0), 0.0);
    }
}

//! Labels that are there or not: action units, attributes.

use super::confusion::{f1, share};

/// Truth and reading of one label over items, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlagCounts {
    /// All.
    pub items: u64,
    /// Where the reading is the truth.
    pub right: u64,
    /// Where it is there.
    pub positives: u64,
    /// Where it is there and was read.
    pub hits: u64,
    /// Where it was read and is not there.
    pub false_alarms: u64,
}

impl FlagCounts {
    /// Counts an item; none is a reading that is wrong either way.
    pub fn add(&mut self, truth: bool, read: Option<bool>) {
        let given = read == Some(true);
        self.items += 1;
        self.right += u64::from(read == Some(truth));
        self.positives += u64::from(truth);
        self.hits += u64::from(truth && given);
        self.false_alarms += u64::from(!truth && given);
    }

    /// Right readings of all.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.right, self.items)
    }

    /// The harmonic mean of precision and recall; 0 where it was never found.
    pub fn f1(&self) -> f64 {
        f1(self.hits, self.false_alarms, self.positives - self.hits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        let mut counts = FlagCounts::default();
        assert_eq!((counts.accuracy(), counts.f1()), (None, 0.0));
        let all = [(true, Some(true)), (true, Some(false)), (true, None), (false, Some(true)), (false, None)];
        all.into_iter().for_each(|(truth, read)| counts.add(truth, read));
        assert_eq!(counts, FlagCounts { items: 5, right: 1, positives: 3, hits: 1, false_alarms: 1 });
        assert_eq!((counts.accuracy(), counts.f1()), (Some(0.2), 2.0 / 5.0));
    }
}

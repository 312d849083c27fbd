//! Figures from truths and readings. Where a figure is not defined (nothing to count) it is none, not zero.

mod age;
mod bootstrap;
mod confusion;
mod flags;
mod roc;

pub use age::{cumulative_score, mean_absolute_error};
pub use bootstrap::{RESAMPLES, bootstrap, percentile};
pub use confusion::{Confusion, f1};
pub use flags::FlagCounts;
pub use roc::roc_auc;

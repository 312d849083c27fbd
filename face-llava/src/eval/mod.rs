//! The paper's evaluation: nine benchmarks over five tasks, for this model or any other that answers in text.
//!
//! ```text
//! Benchmark::open(root) ─► Dataset ─► predict(Answerer) ─► predictions.jsonl ─► score(Scorer) ─► Score ─► report
//!                                                                └────────────► judge (reasoning) ─────────┘
//! ```
//!
//! Predictions come first and hold everything that a score needs: scores are computed again without the model.

pub mod benchmarks;
mod dataset;
mod error;
mod prediction;

pub use benchmarks::{BENCHMARKS, Benchmark, benchmark};
pub use dataset::{Dataset, Item, Truth};
pub use error::EvalError;
pub use prediction::{Prediction, PredictionFault, Predictions};

//! The paper's evaluation: nine benchmarks over five tasks, for this model or any other that answers in text.
//!
//! ```text
//! Benchmark::open(root) ─► Dataset ─► predict(Answerer) ─► predictions.jsonl ─► score(Scorer) ─► Score ─► report
//!                                                                └────────────► judge (reasoning) ─────────┘
//! ```
//!
//! Predictions come first and hold everything that a score needs: scores are computed again without the model.

mod answerer;
mod asked;
pub mod benchmarks;
mod check;
mod dataset;
mod endpoint;
mod error;
mod frames;
pub mod judge;
pub mod metrics;
mod predict;
mod prediction;
pub mod report;
mod score;
mod scorers;
mod session;
mod work;

pub use answerer::{Answered, Answerer, Fault};
pub use asked::{Asked, read_all, read_predictions, write_predictions};
pub use benchmarks::{BENCHMARKS, Benchmark, benchmark};
pub use check::{CheckReport, LabelCount, check};
pub use dataset::{Dataset, Item, Truth};
pub use endpoint::EndpointAnswerer;
pub use error::EvalError;
pub use predict::{PredictOptions, PredictReport, PredictStep, predict};
pub use prediction::{Prediction, PredictionFault, Predictions};
pub use score::{ClassValue, MetricValue, Protocol, Score, score};
pub use scorers::{Parsed, Scorer};
pub use session::{SessionAnswerer, model_identity};

//! Training in stages.
//!
//! ```text
//! records ─► Examples (ids, labels) ─┐
//! media ───► Features (frozen towers) ┴► Instruction (an Objective) ─► train ─► Network ─► export
//! ```
//!
//! [`train`] is the loop; an [`Objective`] says what is learnt; [`Stage`] says which parameters. Everything random
//! follows from the seed and the position in the data, so that an interrupted run goes on to the same weights, bit by
//! bit on a CPU.

mod augment;
mod batch;
mod checkpoint;
mod error;
mod example;
mod export;
mod features;
mod init;
mod instruction;
mod lesson;
mod log;
mod lora;
mod objective;
mod optimizer;
mod order;
mod parameters;
mod quarantine;
mod recipe;
mod run;
mod settings;
mod share;
mod stage;
mod teacher;
mod tower;
mod words;

pub use augment::Augmentation;
pub use batch::answer_loss;
pub use error::TrainError;
pub use example::Example;
pub use export::{Description, export};
pub use features::{Features, TrainingMedia};
pub use init::initialise;
pub use instruction::{Course, Guidance, Instruction, Placed, media_of};
pub use lesson::{Lesson, LessonPlan};
pub use lora::{LoraConfig, TARGETS, adapt, in_full, load_adapter, merge, save_adapter};
pub use objective::{Loss, Objective, Position};
pub use order::Sampling;
pub use parameters::{prepare, trained_values};
pub use recipe::{Event, MiniRecipe, mini};
pub use run::{Progress, Run, train};
pub use settings::{Optimization, Optimizer};
pub use stage::{Stage, Trains};
pub use teacher::{Teacher, TeacherObjective};
pub use tower::{Pupil, TowerObjective, TowerPlan};
pub use words::learn_vocabulary;

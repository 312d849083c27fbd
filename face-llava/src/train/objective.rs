//! What is learnt: the only thing that stages and pre-training differ in.

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::Error;

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Times through the data so far.
    pub epoch: usize,
    /// Micro-batches of this epoch so far.
    pub batch: usize,
}

/// The loss of a micro-batch.
#[derive(Debug)]
pub struct Loss {
    /// Sum over all terms, `[1]`.
    pub sum: Tensor<1>,
    /// How many terms: answer tokens, or pictures. Zero where nothing is to be learnt.
    pub terms: usize,
}

/// Something to learn. Everything random about it is a function of the seed and the position, so that a resumed run goes
/// on exactly where the interrupted one was.
pub trait Objective: Sync {
    /// What learns.
    type Model: Module;

    /// The micro-batches of an epoch, as indices of items.
    fn batches(&self, epoch: usize) -> Vec<Vec<usize>>;

    /// The run's folder is this process's own now.
    ///
    /// # Errors
    /// Whatever must end the run.
    fn begin(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The summed loss of some items; items that cannot be used are left out and told to the objective's own log. None
    /// where nothing is left. Several devices may ask at once, each for the model that lies on it; `on` is that device and
    /// records gradients.
    ///
    /// # Errors
    /// Whatever must end the run.
    fn loss(&self, model: &Self::Model, items: &[usize], at: Position, on: &Device) -> Result<Option<Loss>, Error>;
}

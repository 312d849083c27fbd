//! The micro-batches of a step, shared out among devices.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor};

use super::{Loss, Objective, Position};
use crate::Error;

/// Micro-batches of one device, with their places.
type Share = Vec<(Position, Vec<usize>)>;

/// Every `of`-th micro-batch of a group from the `first` on.
fn share(group: &[Vec<usize>], at: Position, first: usize, of: usize) -> Share {
    let mine = group.iter().enumerate().skip(first).step_by(of);
    mine.map(|(i, items)| (Position { batch: at.batch + i, ..at }, items.clone())).collect()
}

/// The summed loss of some micro-batches, its terms, and the gradient of the sum.
pub(super) struct Sum {
    pub loss: f64,
    pub terms: usize,
    pub gradients: GradientsParams,
}

impl Sum {
    fn plus<M: Module>(self, other: Self, model: &M, device: &Device) -> Self {
        let mut accumulator = GradientsAccumulator::new();
        accumulator.accumulate(model, self.gradients);
        accumulator.accumulate(model, other.gradients.to_device(device, model));
        Self { loss: self.loss + other.loss, terms: self.terms + other.terms, gradients: accumulator.grads() }
    }
}

/// Adds up one device's share.
fn add_up<O: Objective>(objective: &O, model: &O::Model, share: &Share, device: &Device) -> Result<Sum, Error> {
    let mut accumulator = GradientsAccumulator::new();
    let (mut sum, mut terms) = (0.0, 0);
    for (at, items) in share {
        let Some(Loss { sum: loss, terms: n }) = objective.loss(model, items, *at, device)? else { continue };
        // Nothing that is trained took part: a stage of landmark modules meets pictures without landmarks.
        if n == 0 || !loss.is_tracked() {
            continue;
        }
        accumulator.accumulate(model, GradientsParams::from_grads(loss.backward(), model));
        // Read last: a device is not waited for in between.
        sum += f64::from(loss.into_scalar::<f32>());
        terms += n;
    }
    Ok(Sum { loss: sum, terms, gradients: accumulator.grads() })
}

/// The first device, on which module and optimizer lie, and those beside it. Each of these has a thread that lasts as long as
/// the run (backends keep memory for each thread) and a copy of the module, whose trained parameters are renewed for a share.
pub(super) struct Devices<'scope> {
    first: &'scope Device,
    beside: Vec<Worker>,
}

/// A thread that adds up shares with the weights that come along.
struct Worker {
    ask: Sender<(GradientsParams, Share)>,
    answered: Receiver<Result<Sum, Error>>,
}

impl<'scope> Devices<'scope> {
    pub fn start<O: Objective>(
        scope: &'scope Scope<'scope, '_>,
        objective: &'scope O,
        model: &O::Model,
        first: &'scope Device,
        others: &'scope [Device],
    ) -> Self {
        let worker = |device: &'scope Device| {
            let (ask, asked) = channel::<(GradientsParams, Share)>();
            let (answer, answered) = channel();
            let mut model = model.clone().fork(device);
            scope.spawn(move || {
                for (weights, share) in asked {
                    let weights = weights.to_device(device, &model);
                    model = renewed(model, weights);
                    // Nobody listens any more where the run has ended.
                    if answer.send(add_up(objective, &model, &share, device)).is_err() {
                        return;
                    }
                }
            });
            Worker { ask, answered }
        };
        Self { first, beside: others.iter().map(worker).collect() }
    }

    /// Adds up a group of micro-batches, in the order of the devices; gradients lie on the first.
    pub fn add_up<O: Objective>(
        &self,
        objective: &O,
        model: &O::Model,
        group: &[Vec<usize>],
        at: Position,
    ) -> Result<Sum, Error> {
        let of = 1 + self.beside.len();
        // Those that have a share.
        let beside = &self.beside[..self.beside.len().min(group.len().saturating_sub(1))];
        for (i, worker) in beside.iter().enumerate() {
            // A thread that has gone is told of below.
            let _ = worker.ask.send((trained(model), share(group, at, 1 + i, of)));
        }
        let mut all = add_up(objective, model, &share(group, at, 0, of), self.first);
        for worker in beside {
            let Ok(sum) = worker.answered.recv() else {
                std::panic::resume_unwind(Box::new("a device's thread panicked"));
            };
            all = all.and_then(|all| Ok(all.plus(sum?, model, self.first)));
        }
        all
    }
}

/// The values of all parameters that are trained, by name. They travel as gradients do: tensors of any rank.
fn trained<M: Module>(model: &M) -> GradientsParams {
    struct Take(GradientsParams);
    impl ModuleVisitor for Take {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if param.is_require_grad() {
                self.0.register(param.id, param.val());
            }
        }
    }
    let mut values = Take(GradientsParams::new());
    model.visit(&mut values);
    values.0
}

/// A copy with other values of the parameters that are trained.
fn renewed<M: Module>(model: M, values: GradientsParams) -> M {
    struct Put(GradientsParams);
    impl ModuleMapper for Put {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            match self.0.remove::<D>(param.id) {
                Some(value) => Param::initialized(param.id, value.detach()).set_require_grad(true),
                None => param,
            }
        }
    }
    model.map(&mut Put(values))
}

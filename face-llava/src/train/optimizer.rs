//! What turns gradients into steps, as the settings ask.

use burn::module::ParamGroup;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{
    AdamWConfig, AdjustLrFn, DynOptimizer, DynState, LearningRate, ModuleOptimizer, MuonConfig, StateSink, StateSource,
};
use burn::tensor::Device;
use burn::tensor::kind::BridgeTensor;

use super::{Optimization, Optimizer};

/// Matrices inside of transformer layers.
const MATRICES: &str = r"layers\.[0-9]+\.(.*_proj|fc[12])\.weight$";

/// An optimizer whose saved state comes back onto `device`.
pub(super) fn optimizer(settings: &Optimization, device: &Device) -> ModuleOptimizer {
    let adam =
        AdamWConfig::new().with_epsilon(1e-8).with_weight_decay(settings.weight_decay).with_beta_2(settings.beta_2);
    let all =
        adam.init().with_group(ParamGroup::all(), Placed { optimizer: adam.build(), device: device.clone() }, None);
    match (settings.optimizer, ParamGroup::from_regex(MATRICES)) {
        (Optimizer::Muon, Ok(matrices)) => {
            let decay = Some(WeightDecayConfig::new(settings.weight_decay));
            let muon = MuonConfig::new().with_adjust_lr_fn(AdjustLrFn::MatchRmsAdamW).with_weight_decay(decay);
            all.with_group(matrices, Placed { optimizer: muon.build(), device: device.clone() }, None)
        }
        _ => all,
    }
}

/// burn loads the state of an optimizer onto its default device, which a program built for several may not have.
struct Placed<O> {
    optimizer: O,
    device: Device,
}

impl<O: DynOptimizer> DynOptimizer for Placed<O> {
    fn step_dyn(
        &self,
        rank: usize,
        lr: LearningRate,
        tensor: BridgeTensor,
        grad: BridgeTensor,
        state: Option<DynState>,
    ) -> (BridgeTensor, Option<DynState>) {
        self.optimizer.step_dyn(rank, lr, tensor, grad, state)
    }

    fn to_device_dyn(&self, state: DynState, device: &Device) -> DynState {
        self.optimizer.to_device_dyn(state, device)
    }

    fn state_flatten(&self, prefix: &str, state: &DynState, out: &mut StateSink) {
        self.optimizer.state_flatten(prefix, state, out);
    }

    fn state_unflatten(&self, rank: usize, prefix: &str, source: &mut StateSource, _: &Device) -> Option<DynState> {
        self.optimizer.state_unflatten(rank, prefix, source, &self.device)
    }
}

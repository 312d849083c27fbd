//! From burn's tensors to buffers and back, with or without recorded gradients.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::{base::Checkpointer, strategy::NoCheckpointing};
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, AutodiffBackend, Flex};
use burn::tensor::{DType, Tensor};

type Recorded = FloatTensor<Autodiff<Flex>>;

/// A tensor of `f32` on the CPU backend.
pub enum Operand {
    /// Outside the recording of gradients.
    Plain(FlexTensor),
    /// Inside it, though perhaps itself a constant.
    Recorded(Recorded),
}

impl Operand {
    /// None where the tensor is on another backend, of another type, or recorded with checkpoints.
    pub fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        if x.dtype() != DType::F32 {
            return None;
        }
        if x.device().is_autodiff() {
            x.clone().try_into_primitive::<Autodiff<Flex>>().ok().map(Self::Recorded)
        } else {
            x.clone().try_into_primitive::<Flex>().ok().map(Self::Plain)
        }
    }

    /// The tensor of an operand.
    pub fn into_tensor<const D: usize>(self) -> Tensor<D> {
        match self {
            Self::Plain(x) => Tensor::from_primitive::<Flex>(x),
            Self::Recorded(x) => Tensor::from_primitive::<Autodiff<Flex>>(x),
        }
    }

    /// Its values, whose gradients nobody wants.
    pub fn constant(self) -> FlexTensor {
        match self {
            Self::Plain(x) => x,
            Self::Recorded(x) => x.into_primitive(),
        }
    }

    fn recorded(self) -> Recorded {
        match self {
            Self::Plain(x) => <Autodiff<Flex> as AutodiffBackend>::from_inner(x),
            Self::Recorded(x) => x,
        }
    }
}

/// An operation with its derivative.
pub trait Fused<const N: usize>: Debug + Send + Sized + 'static {
    /// What the derivative needs of the forward pass.
    type Saved: Clone + Debug + Send + 'static;

    /// The value and, where `record`, what the derivative needs.
    fn forward(&self, inputs: [FlexTensor; N], record: bool) -> (FlexTensor, Option<Self::Saved>);

    /// Gradients of those inputs that are `wanted`, from the gradient of the output.
    fn backward(self, saved: Self::Saved, grad: FlexTensor, wanted: [bool; N]) -> [Option<FlexTensor>; N];
}

/// Computes an operation, recording it where an operand asks for gradients.
pub fn apply<const N: usize, F: Fused<N>>(operation: F, operands: [Operand; N]) -> Operand {
    let mut plain = Vec::with_capacity(N);
    let mut operands = operands.into_iter();
    let mut first_recorded = None;
    for operand in operands.by_ref() {
        match operand {
            Operand::Plain(x) => plain.push(x),
            recorded => {
                first_recorded = Some(recorded);
                break;
            }
        }
    }
    let plain = match <[FlexTensor; N]>::try_from(plain) {
        Ok(inputs) => return Operand::Plain(operation.forward(inputs, false).0),
        Err(some) => some,
    };
    let all = plain.into_iter().map(Operand::Plain).chain(first_recorded).chain(operands);
    let Ok(recorded) = <[Recorded; N]>::try_from(all.map(Operand::recorded).collect::<Vec<_>>()) else {
        unreachable!("as many as came in")
    };
    let record = recorded.iter().any(Recorded::is_tracked);
    let nodes = recorded.each_ref().map(Recorded::node);
    let (value, saved) = operation.forward(recorded.map(Recorded::into_primitive), record);
    let prepared = Step(operation).prepare::<NoCheckpointing>(nodes).compute_bound().stateful();
    Operand::Recorded(match (prepared, saved) {
        (OpsKind::Tracked(step), Some(saved)) => step.finish(saved, value),
        (OpsKind::UnTracked(step), _) => step.finish(value),
        (OpsKind::Tracked(_), None) => unreachable!("a tracked operation saves"),
    })
}

#[derive(Debug)]
struct Step<F>(F);

impl<const N: usize, F: Fused<N>> Backward<Flex, N> for Step<F> {
    type State = F::Saved;

    fn backward(self, ops: Ops<F::Saved, N>, grads: &mut Gradients, _: &mut Checkpointer) {
        let grad = grads.consume::<Flex>(&ops.node);
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let found = self.0.backward(ops.state, grad, wanted);
        for (parent, grad) in ops.parents.iter().zip(found) {
            if let (Some(parent), Some(grad)) = (parent, grad) {
                grads.register::<Flex>(parent.id, grad);
            }
        }
    }
}

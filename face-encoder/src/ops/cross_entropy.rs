//! The loss of a language model.

use burn::tensor::{Int, Tensor, TensorData, activation};

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// The sum over rows of `-log softmax(logits)[target]`; rows without a target do not count.
///
/// # Shapes
/// R rows.
/// - logits `[R, V]`
/// - targets R
/// - output `[1]`
///
/// # Panics
/// If there are not R targets, or one of them is not below V.
pub fn cross_entropy(logits: Tensor<2>, targets: &[Option<u32>]) -> Tensor<1> {
    let [rows, vocabulary] = logits.dims();
    assert_eq!(targets.len(), rows, "a target for each row");
    assert!(targets.iter().flatten().all(|t| (*t as usize) < vocabulary), "targets lie in the vocabulary");
    #[cfg(feature = "cpu")]
    if let Some(operand) = cpu::Operand::of(&logits) {
        drop(logits);
        return cpu::apply(fused::CrossEntropy(targets.to_vec()), [operand]).into_tensor();
    }
    let counted: Vec<(i32, i32)> =
        targets.iter().enumerate().filter_map(|(row, t)| t.map(|t| (row as i32, t as i32))).collect();
    if counted.is_empty() {
        return logits.sum() * 0.0;
    }
    let ints = |f: fn(&(i32, i32)) -> i32| {
        let data = TensorData::new(counted.iter().map(f).collect(), [counted.len()]);
        Tensor::<1, Int>::from_data(data, &logits.device())
    };
    let (rows, targets) = (ints(|c| c.0), ints(|c| c.1));
    let scores = activation::log_softmax(logits.select(0, rows), 1);
    scores.gather(1, targets.unsqueeze_dim(1)).sum().neg()
}

#[cfg(feature = "cpu")]
mod fused {
    use burn::backend::flex::FlexTensor;
    use rayon::prelude::*;

    use crate::ops::cpu::{Fused, dense, exp, max, owned, read, sum, tensor, vectorized};

    #[derive(Debug)]
    pub struct CrossEntropy(pub Vec<Option<u32>>);

    impl Fused<1> for CrossEntropy {
        /// Logits and each row's log-sum-exp.
        type Saved = (FlexTensor, Vec<f32>);

        fn forward(&self, [logits]: [FlexTensor; 1], record: bool) -> (FlexTensor, Option<Self::Saved>) {
            let logits = dense(logits);
            let width = logits.layout().shape()[1];
            let values = read(&logits);
            let mut sums = vec![0.0; self.0.len()];
            sums.par_iter_mut().zip(values.par_chunks(width)).zip(&self.0).for_each(|((log_sum, row), target)| {
                if target.is_some() {
                    *log_sum = vectorized(
                        #[inline(always)]
                        || {
                            let top = max(row);
                            top + sum(row, row, |x, _| exp(x - top)).ln()
                        },
                    );
                }
            });
            let rows = values.chunks(width).zip(&sums).zip(&self.0);
            let terms = rows.filter_map(|((row, log_sum), t)| t.map(|t| f64::from(log_sum - row[t as usize])));
            let loss = terms.sum::<f64>() as f32;
            (tensor(vec![loss], [1]), record.then_some((logits, sums)))
        }

        fn backward(self, (logits, sums): Self::Saved, grad: FlexTensor, _: [bool; 1]) -> [Option<FlexTensor>; 1] {
            let grad = read(&dense(grad))[0];
            let width = logits.layout().shape()[1];
            let mut slope = owned(logits);
            let rows = slope.storage_mut::<f32>().par_chunks_mut(width).zip(&sums).zip(&self.0);
            rows.for_each(|((row, &log_sum), target)| match target {
                None => row.fill(0.0),
                Some(target) => {
                    vectorized(
                        #[inline(always)]
                        || {
                            for x in row.iter_mut() {
                                *x = exp(*x - log_sum) * grad;
                            }
                        },
                    );
                    row[*target as usize] -= grad;
                }
            });
            [Some(slope)]
        }
    }
}

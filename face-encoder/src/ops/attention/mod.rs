//! Scaled dot product attention.

#[cfg(feature = "cpu")]
mod kernel;
#[cfg(feature = "cpu")]
mod plan;

use burn::tensor::ops::AttentionModuleOptions;
use burn::tensor::{Bool, Tensor, module};

#[cfg(feature = "cpu")]
use crate::ops::cpu;

/// Which keys a query sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All.
    Full,
    /// Those not after it; the last query stands at the last key.
    Causal,
}

/// `softmax(q kᵀ / sqrt(d)) v` (Vaswani et al., <https://arxiv.org/abs/1706.03762>). A query that sees no key gets
/// zeros.
///
/// On the CPU the scores are never stored: the derivative computes them again from each row's log-sum-exp, as
/// FlashAttention does (Dao et al., <https://arxiv.org/abs/2205.14135>).
///
/// # Shapes
/// H_kv divides H: each key head serves `H / H_kv` query heads.
/// - q and output `[B, H, L, d]`
/// - k, v `[B, H_kv, L_k, d]`
/// - padding `[B, L_k]`, true where a key is seen by nobody
///
/// # Panics
/// If the shapes do not fit each other, there are no keys, or there are more queries than keys under [`Sight::Causal`].
pub fn attention(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    sight: Sight,
    padding: Option<Tensor<2, Bool>>,
) -> Tensor<4> {
    let ([b, h, l, d], [_, h_kv, l_k, _]) = (q.dims(), k.dims());
    assert!(h_kv > 0 && h.is_multiple_of(h_kv), "{h_kv} key heads do not divide {h} query heads");
    assert!(k.dims() == [b, h_kv, l_k, d] && v.dims() == k.dims(), "queries, keys and values fit each other");
    assert!(l_k > 0, "there are keys");
    assert!(sight == Sight::Full || l <= l_k, "{l} queries stand at {l_k} keys");
    if let Some(padding) = &padding {
        assert_eq!(padding.dims(), [b, l_k], "padding tells of each key");
    }
    #[cfg(feature = "cpu")]
    if let (Some(q), Some(k), Some(v)) = (cpu::Operand::of(&q), cpu::Operand::of(&k), cpu::Operand::of(&v)) {
        let hidden = padding.map_or(kernel::Hidden::Nothing, |p| kernel::Hidden::Keys(p.into_data().iter().collect()));
        return cpu::apply(kernel::Attention { causal: sight == Sight::Causal, hidden }, [q, k, v]).into_tensor();
    }
    let mask = padding.map(|p| p.reshape([b, 1, 1, l_k]).expand([b, 1, l, l_k]));
    let options = AttentionModuleOptions { is_causal: sight == Sight::Causal, ..Default::default() };
    module::attention(q, repeat(k, h / h_kv), repeat(v, h / h_kv), mask, None, options)
}

/// The same where each query has its own keys.
///
/// # Shapes
/// As [`attention`], and
/// - hidden `[L, L_k]`, true where a query does not see a key
///
/// # Panics
/// If the shapes do not fit each other.
pub fn attention_hiding(q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, hidden: Tensor<2, Bool>) -> Tensor<4> {
    let ([b, h, l, _], [_, h_kv, l_k, _]) = (q.dims(), k.dims());
    assert_eq!(hidden.dims(), [l, l_k], "of each pair it is told whether it is hidden");
    #[cfg(feature = "cpu")]
    if let (Some(q), Some(k), Some(v)) = (cpu::Operand::of(&q), cpu::Operand::of(&k), cpu::Operand::of(&v)) {
        let hidden = kernel::Hidden::Pairs(hidden.into_data().iter().collect());
        return cpu::apply(kernel::Attention { causal: false, hidden }, [q, k, v]).into_tensor();
    }
    let mask = hidden.reshape([1, 1, l, l_k]).expand([b, 1, l, l_k]);
    let times = h / h_kv;
    module::attention(q, repeat(k, times), repeat(v, times), Some(mask), None, AttentionModuleOptions::default())
}

/// Each key head `times` times; not every backend does this by itself.
fn repeat(x: Tensor<4>, times: usize) -> Tensor<4> {
    let [b, h, l, d] = x.dims();
    if times == 1 { x } else { x.unsqueeze_dim::<5>(2).expand([b, h, times, l, d]).reshape([b, h * times, l, d]) }
}

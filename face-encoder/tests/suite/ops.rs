//! Fused operations against the composition of burn's own, values and gradients, and the same bits each time.

use std::cell::RefCell;

use burn::module::Param;
use burn::nn::{LayerNorm, LayerNormConfig, RmsNorm, RmsNormConfig};
use burn::tensor::{Bool, Device, Int, Tensor, TensorData, activation};
use face_encoder::Activation;
use face_encoder::ops::{self, Sight};
use landmarks::Linear;
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use crate::{error, values};

/// Relative Frobenius error of f32 arithmetic in another order.
const TOLERANCE: f64 = 2e-6;

/// Values of an operation and its gradients, both flat.
type Outcome = Vec<(&'static str, Vec<f32>)>;

fn recording() -> Device {
    Device::flex().autodiff()
}

/// The same numbers in the same order in every run of a test.
fn random<const D: usize>(dims: [usize; D]) -> TensorData {
    thread_local!(static NUMBERS: RefCell<ChaCha8Rng> = RefCell::new(ChaCha8Rng::seed_from_u64(7)));
    let normal = StandardNormal.map(|x: f32| 0.1 + 1.3 * x);
    let count = dims.iter().product();
    let values = NUMBERS.with_borrow_mut(|rng| normal.sample_iter(rng).take(count).collect::<Vec<f32>>());
    TensorData::new(values, dims)
}

fn leaf<const D: usize>(data: &TensorData) -> Tensor<D> {
    Tensor::from_data(data.clone(), &recording()).require_grad()
}

/// The value of `y`, and the gradients of `sum(y * weights)`.
fn outcome<const D: usize>(y: Tensor<D>, weights: &TensorData, leaves: &[(&'static str, Leaf)]) -> Outcome {
    let mut found = vec![("value", values(y.clone()))];
    let grads = (y * Tensor::from_data(weights.clone(), &recording())).sum().backward();
    for (name, leaf) in leaves {
        let grad = match leaf {
            Leaf::One(x) => values(x.grad(&grads).unwrap()),
            Leaf::Two(x) => values(x.grad(&grads).unwrap()),
            Leaf::Four(x) => values(x.grad(&grads).unwrap()),
        };
        found.push((name, grad));
    }
    found
}

enum Leaf {
    One(Tensor<1>),
    Two(Tensor<2>),
    Four(Tensor<4>),
}

fn compare(case: &str, fused: &Outcome, plain: &Outcome) {
    for ((name, fused), (_, plain)) in fused.iter().zip(plain) {
        // One more value, for gradients that are zero.
        let with_floor = |v: &[f32]| [v, &[0.01]].concat();
        let worst = error(&with_floor(fused), &with_floor(plain));
        assert!(worst <= TOLERANCE, "{case}, {name}: {worst}");
    }
}

fn with_threads(threads: usize, f: impl FnOnce() -> Outcome + Send) -> Outcome {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap().install(f)
}

/// The operation with one, two and five threads gives the same bits.
fn check(case: &str, fused: impl Fn() -> Outcome + Sync + Send, plain: impl Fn() -> Outcome) {
    let first = with_threads(1, &fused);
    compare(case, &first, &plain());
    for threads in [1, 2, 5] {
        let again = with_threads(threads, &fused);
        for ((name, a), (_, b)) in first.iter().zip(&again) {
            assert!(a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits()), "{case}, {name}: {threads} threads");
        }
    }
}

#[test]
fn activations() {
    for dims in [[1, 1], [3, 7], [130, 257]] {
        for kind in [Activation::Gelu, Activation::QuickGelu] {
            let (x, weights) = (random(dims), random(dims));
            let run = |f: &dyn Fn(Tensor<2>) -> Tensor<2>| {
                let x = leaf::<2>(&x);
                outcome(f(x.clone()), &weights, &[("x", Leaf::Two(x))])
            };
            let plain = |x: Tensor<2>| match kind {
                Activation::Gelu => activation::gelu(x),
                Activation::QuickGelu => x.clone() * activation::sigmoid(x * 1.702),
            };
            check("activation", || run(&|x| ops::activate(kind, x)), || run(&plain));
        }
    }
}

#[test]
fn neighbourhoods() {
    for (dims, stride) in [([1, 1, 1, 1_usize], 1), ([2, 5, 4, 3], 1), ([3, 6, 7, 2], 2)] {
        let [b, h, w, c] = dims;
        let (rows, columns) = (h.div_ceil(stride), w.div_ceil(stride));
        let (x, weights) = (random(dims), random([b, rows, columns, 9 * c]));
        let run = |f: &dyn Fn(Tensor<4>) -> Tensor<4>| {
            let x = leaf::<4>(&x);
            outcome(f(x.clone()), &weights, &[("x", Leaf::Four(x))])
        };
        // Cut out of a picture with a border of zeros.
        let plain = |x: Tensor<4>| {
            let device = x.device();
            let around = |dims| Tensor::<4>::zeros(dims, &device);
            let x = Tensor::cat(vec![around([b, 1, w, c]), x, around([b, 2, w, c])], 1);
            let x = Tensor::cat(vec![around([b, h + 3, 1, c]), x, around([b, h + 3, 2, c])], 2);
            let every = |count: usize, first: usize| {
                let places: Vec<i32> = (0..count).map(|i| (i * stride + first) as i32).collect();
                Tensor::<1, Int>::from_data(TensorData::new(places, [count]), &device)
            };
            let place = |i: usize| x.clone().select(1, every(rows, i / 3)).select(2, every(columns, i % 3));
            Tensor::cat((0..9).map(place).collect(), 3)
        };
        check("neighbourhoods", || run(&|x| ops::neighbourhoods(x, stride)), || run(&plain));
    }
}

#[test]
fn gated_activations() {
    for dims in [[1, 1], [3, 7], [130, 257]] {
        let (gate, up, weights) = (random(dims), random(dims), random(dims));
        let run = |f: fn(Tensor<2>, Tensor<2>) -> Tensor<2>| {
            let (gate, up) = (leaf::<2>(&gate), leaf::<2>(&up));
            outcome(f(gate.clone(), up.clone()), &weights, &[("gate", Leaf::Two(gate)), ("up", Leaf::Two(up))])
        };
        check("silu gate", || run(ops::silu_gate), || run(|gate, up| activation::silu(gate) * up));
    }
}

#[test]
fn norms() {
    for dims in [[1, 5], [67, 33], [200, 128]] {
        let (x, weights) = (random(dims), random(dims));
        let (gamma, beta) = (random([dims[1]]), random([dims[1]]));
        let run = |f: &dyn Fn(&LayerNorm, Tensor<2>) -> Tensor<2>| {
            let mut norm = LayerNormConfig::new(dims[1]).with_epsilon(1e-3).init(&recording());
            let (x, gamma, beta) = (leaf::<2>(&x), leaf::<1>(&gamma), leaf::<1>(&beta));
            norm.gamma = Param::from_tensor(gamma.clone());
            norm.beta = Some(Param::from_tensor(beta.clone()));
            let leaves = [("x", Leaf::Two(x.clone())), ("gamma", Leaf::One(gamma)), ("beta", Leaf::One(beta))];
            outcome(f(&norm, x), &weights, &leaves)
        };
        check("layer norm", || run(&|norm, x| ops::layer_norm(norm, 1e-3, x)), || run(&|norm, x| norm.forward(x)));
        let run = |f: &dyn Fn(&RmsNorm, Tensor<2>) -> Tensor<2>| {
            let mut norm = RmsNormConfig::new(dims[1]).with_epsilon(1e-3).init(&recording());
            let (x, gamma) = (leaf::<2>(&x), leaf::<1>(&gamma));
            norm.gamma = Param::from_tensor(gamma.clone());
            outcome(f(&norm, x.clone()), &weights, &[("x", Leaf::Two(x)), ("gamma", Leaf::One(gamma))])
        };
        check("root mean square norm", || run(&ops::rms_norm), || run(&|norm, x| norm.forward(x)));
    }
}

#[test]
fn linear_layers() {
    for [rows, d_input, d_output] in [[5, 1, 1], [6, 3, 8], [200, 96, 33], [4160, 128, 192]] {
        for bias in [false, true] {
            let (x, weights) = (random([rows, d_input]), random([rows, d_output]));
            let (weight, shift) = (random([d_output, d_input]), random([d_output]));
            let run = |f: &dyn Fn(&Linear, Tensor<2>) -> Tensor<2>| {
                let (x, w, b) = (leaf::<2>(&x), leaf::<2>(&weight), leaf::<1>(&shift));
                let layer = Linear {
                    weight: Param::from_tensor(w.clone()),
                    bias: bias.then(|| Param::from_tensor(b.clone())),
                    lora: None,
                    quantized: None,
                };
                let mut leaves = vec![("x", Leaf::Two(x.clone())), ("weight", Leaf::Two(w))];
                leaves.extend(bias.then_some(("bias", Leaf::One(b))));
                outcome(f(&layer, x), &weights, &leaves)
            };
            check("linear", || run(&ops::linear), || run(&|layer, x| layer.forward(x)));
        }
    }
    // A weight that lies the other way round.
    let (x, weight, weights) = (random([9, 6]), random([6, 8]), random([9, 8]));
    let run = |f: &dyn Fn(&Linear, Tensor<2>) -> Tensor<2>| {
        let (x, w) = (leaf::<2>(&x), leaf::<2>(&weight));
        let layer =
            Linear { weight: Param::from_tensor(w).map(Tensor::transpose), bias: None, lora: None, quantized: None };
        outcome(f(&layer, x.clone()), &weights, &[("x", Leaf::Two(x))])
    };
    check("transposed", || run(&ops::linear), || run(&|layer, x| layer.forward(x)));
}

#[test]
fn losses() {
    for [rows, vocabulary] in [[1, 2], [3, 7], [130, 1001]] {
        let logits = random([rows, vocabulary]);
        let targets: Vec<Option<u32>> =
            (0..rows).map(|i| (i % 3 < 2).then_some((i * 31 % vocabulary) as u32)).collect();
        let weights = random([1]);
        let run = |f: &dyn Fn(Tensor<2>) -> Tensor<1>| {
            let logits = leaf::<2>(&logits);
            outcome(f(logits.clone()), &weights, &[("logits", Leaf::Two(logits))])
        };
        let plain = |logits: Tensor<2>| {
            let scores = activation::log_softmax(logits, 1);
            let ids: Vec<i32> = targets.iter().map(|t| t.unwrap_or_default() as i32).collect();
            let counts: Vec<f32> = targets.iter().map(|t| if t.is_some() { 1.0 } else { 0.0 }).collect();
            let ids = Tensor::<2, Int>::from_data(TensorData::new(ids, [rows, 1]), &recording());
            let counts = Tensor::<2>::from_data(TensorData::new(counts, [rows, 1]), &recording());
            (scores.gather(1, ids) * counts).sum().neg()
        };
        check("cross entropy", || run(&|logits| ops::cross_entropy(logits, &targets)), || run(&plain));
    }
}

/// Softmax over materialised scores; rows that see nothing are zero.
fn plain_attention([q, k, v]: [Tensor<4>; 3], sight: Sight, hidden: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let ([b, h, l, d], [_, h_kv, l_k, _]) = (q.dims(), k.dims());
    let repeat = |x: Tensor<4>| x.unsqueeze_dim::<5>(2).expand([b, h_kv, h / h_kv, l_k, d]).reshape([b, h, l_k, d]);
    let mut scores = q.matmul(repeat(k).swap_dims(2, 3)) / (d as f64).sqrt();
    if let Some(hidden) = hidden {
        scores = scores.mask_fill(hidden.expand([b, h, l, l_k]), -1e30);
    }
    if sight == Sight::Causal {
        let after: Vec<bool> = (0..l * l_k).map(|i| i % l_k > i / l_k + l_k - l).collect();
        let after = Tensor::<2, Bool>::from_data(TensorData::new(after, [l, l_k]), &scores.device());
        scores = scores.mask_fill(after.reshape([1, 1, l, l_k]).expand([b, h, l, l_k]), -1e30);
    }
    let blind = scores.clone().max_dim(3).lower_elem(-1e29).expand([b, h, l, l_k]);
    activation::softmax(scores, 3).mask_fill(blind, 0.0).matmul(repeat(v))
}

#[test]
fn attention() {
    // B, H, H_kv, L, L_k, d
    for [b, h, h_kv, l, l_k, d] in [
        [1, 1, 1, 1, 1, 1],
        [1, 2, 2, 7, 7, 5],
        [1, 4, 2, 197, 197, 16],
        [2, 3, 1, 33, 70, 8],
        [9, 2, 2, 65, 65, 32],
        [8, 4, 2, 100, 101, 12],
    ] {
        for sight in [Sight::Full, Sight::Causal] {
            for padded in [false, true] {
                let case = format!("attention {:?} {sight:?} {padded}", [b, h, h_kv, l, l_k, d]);
                // As a projection leaves them: [B, L, H, d].
                let (q, k, v) = (random([b, l, h, d]), random([b, l_k, h_kv, d]), random([b, l_k, h_kv, d]));
                let weights = random([b, h, l, d]);
                // The first entry keeps all its keys; others lose some at the left, one all but one.
                let hidden: Vec<bool> = (0..b * l_k).map(|i| i % l_k < [0, l_k / 3, l_k - 1][i / l_k % 3]).collect();
                let padding = || {
                    let data = TensorData::new(hidden.clone(), [b, l_k]);
                    padded.then(|| Tensor::<2, Bool>::from_data(data, &recording()))
                };
                let run = |f: &dyn Fn([Tensor<4>; 3]) -> Tensor<4>| {
                    let leaves = [&q, &k, &v].map(leaf::<4>);
                    let y = f(leaves.clone().map(|x| x.swap_dims(1, 2)));
                    let [q, k, v] = leaves.map(Leaf::Four);
                    outcome(y, &weights, &[("q", q), ("k", k), ("v", v)])
                };
                check(
                    &case,
                    || run(&|[q, k, v]| ops::attention(q, k, v, sight, padding())),
                    || run(&|x| plain_attention(x, sight, padding().map(|p| p.reshape([b, 1, 1, l_k])))),
                );
                if padded || sight == Sight::Causal {
                    continue;
                }
                // No query sees the same keys as the one before.
                let hidden: Vec<bool> = (0..l * l_k).map(|i| i % l_k > 0 && (i / l_k + i * i) % 3 > 0).collect();
                let hidden = || Tensor::<2, Bool>::from_data(TensorData::new(hidden.clone(), [l, l_k]), &recording());
                check(
                    &format!("{case}, each query its own keys"),
                    || run(&|[q, k, v]| ops::attention_hiding(q, k, v, hidden())),
                    || run(&|x| plain_attention(x, sight, Some(hidden().reshape([1, 1, l, l_k])))),
                );
            }
        }
    }
}

#[test]
fn rotary_positions() {
    for [b, h, l, d, tables] in [[1, 1, 1, 2, 1], [3, 2, 5, 6, 1], [9, 4, 33, 32, 9]] {
        let (x, weights) = (random([b, l, h, d]), random([b, h, l, d]));
        let (cos, sin) = (random([tables, 1, l, d]), random([tables, 1, l, d]));
        let table = |data: &TensorData| Tensor::<4>::from_data(data.clone(), &recording());
        let run = |f: &dyn Fn(Tensor<4>, Tensor<4>, Tensor<4>) -> Tensor<4>| {
            let x = leaf::<4>(&x);
            let y = f(x.clone().swap_dims(1, 2), table(&cos), table(&sin));
            outcome(y, &weights, &[("x", Leaf::Four(x))])
        };
        check(
            "rotary positions",
            || run(&|x, cos, sin| ops::rotate_halves(x, &cos, &sin)),
            || {
                run(&|x, cos, sin| {
                    let (first, second) = (x.clone().narrow(3, 0, d / 2), x.clone().narrow(3, d / 2, d / 2));
                    x * cos + Tensor::cat(vec![second.neg(), first], 3) * sin
                })
            },
        );
    }
}

#[test]
fn what_is_not_recorded_stays_so() {
    let x = Tensor::<2>::from_data(random([4, 8]), &Device::flex());
    let before = x.clone().into_data();
    let y = ops::activate(Activation::Gelu, x.clone());
    assert!(!y.device().is_autodiff());
    assert_eq!(x.into_data(), before, "a shared input is not written to");

    // A constant beside a leaf, on either device.
    let gamma = leaf::<1>(&random([8]));
    for x in [Tensor::<2>::from_data(before.clone(), &Device::flex()), Tensor::from_data(before, &recording())] {
        let mut norm = RmsNormConfig::new(8).init(&recording());
        norm.gamma = Param::from_tensor(gamma.clone());
        let grads = ops::rms_norm(&norm, x.clone()).sum().backward();
        assert_eq!(gamma.grad(&grads).unwrap().dims(), [8]);
        assert!(x.grad(&grads).is_none());
    }
}

#[test]
fn half_precision_and_checkpoints_take_burns_own_way() {
    let data = random([2, 8]);
    let x = Tensor::<2>::from_data(data.clone(), &Device::flex());
    let y = ops::activate(Activation::Gelu, x.clone());
    let half = ops::activate(Activation::Gelu, x.cast(burn::tensor::DType::F16));
    assert!(error(&values(half.cast(burn::tensor::DType::F32)), &values(y.clone())) < 1e-3);

    let x = Tensor::<2>::from_data(data, &recording().gradient_checkpointing()).require_grad();
    let again = ops::activate(Activation::Gelu, x.clone());
    assert!(error(&values(again.clone()), &values(y)) < 1e-6);
    assert!(x.grad(&again.sum().backward()).is_some());

    // Neighbourhoods are copies: the same values either way.
    for stride in [1, 2] {
        let x = Tensor::<4>::from_data(random([2, 5, 6, 3]), &Device::flex()).cast(burn::tensor::DType::F16);
        let own = ops::neighbourhoods(x.clone(), stride).cast(burn::tensor::DType::F32);
        let fused = ops::neighbourhoods(x.cast(burn::tensor::DType::F32), stride);
        assert_eq!(own.dims(), fused.dims());
        assert_eq!(values(own), values(fused));
    }
}

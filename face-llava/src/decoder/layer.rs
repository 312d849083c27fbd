//! One layer of the decoder.

use burn::module::Module;
use burn::nn::{RmsNorm, RmsNormConfig};
use burn::tensor::{Bool, Device, Tensor};
use face_encoder::ops::{Sight, attention, attention_hiding, linear, linear_all, rms_norm, silu_gate};
use landmarks::{Linear, LinearConfig};

use super::cache::LayerCache;
use super::{LlamaConfig, Rope};

#[derive(Module, Debug)]
pub(super) struct Layer {
    input_layernorm: RmsNorm,
    self_attn: SelfAttention,
    post_attention_layernorm: RmsNorm,
    mlp: Mlp,
}

impl Layer {
    pub fn new(config: &LlamaConfig, device: &Device) -> Self {
        let norm = || RmsNormConfig::new(config.width).with_epsilon(config.norm_eps).init(device);
        Self {
            input_layernorm: norm(),
            self_attn: SelfAttention::new(config, device),
            post_attention_layernorm: norm(),
            mlp: Mlp::new(config, device),
        }
    }

    pub fn forward(
        &self,
        x: Tensor<3>,
        rope: &Rope,
        cache: &mut LayerCache,
        start: usize,
        padding: Option<Tensor<2, Bool>>,
    ) -> Tensor<3> {
        self.around(x, |x| {
            let (q, k, v) = self.self_attn.project(x, rope);
            let (k, v) = cache.append(start, k, v);
            self.self_attn.attend(q, k, v, padding)
        })
    }

    /// New positions of which each sees its own keys: `hidden` is true elsewhere, `[L, start + L]`.
    pub fn forward_hiding(
        &self,
        x: Tensor<3>,
        rope: &Rope,
        cache: &mut LayerCache,
        start: usize,
        hidden: Tensor<2, Bool>,
    ) -> Tensor<3> {
        self.around(x, |x| {
            let (q, k, v) = self.self_attn.project(x, rope);
            let (k, v) = cache.append(start, k, v);
            self.self_attn.merge(attention_hiding(q, k, v, hidden))
        })
    }

    pub fn forward_full(&self, x: Tensor<3>, rope: &Rope) -> Tensor<3> {
        self.around(x, |x| {
            let (q, k, v) = self.self_attn.project(x, rope);
            self.self_attn.attend(q, k, v, None)
        })
    }

    /// The linear layers and their paths below this one.
    pub fn linears_mut(&mut self) -> [(&'static str, &mut Linear); 7] {
        let (attn, mlp) = (&mut self.self_attn, &mut self.mlp);
        [
            ("self_attn.q_proj", &mut attn.q_proj),
            ("self_attn.k_proj", &mut attn.k_proj),
            ("self_attn.v_proj", &mut attn.v_proj),
            ("self_attn.o_proj", &mut attn.o_proj),
            ("mlp.gate_proj", &mut mlp.gate_proj),
            ("mlp.up_proj", &mut mlp.up_proj),
            ("mlp.down_proj", &mut mlp.down_proj),
        ]
    }

    fn around(&self, x: Tensor<3>, attention: impl FnOnce(Tensor<3>) -> Tensor<3>) -> Tensor<3> {
        let x = x.clone() + attention(rms_norm(&self.input_layernorm, x));
        x.clone() + self.mlp.forward(rms_norm(&self.post_attention_layernorm, x))
    }
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    heads: usize,
    kv_heads: usize,
}

impl SelfAttention {
    fn new(config: &LlamaConfig, device: &Device) -> Self {
        let (d, kv) = (config.width, config.kv_heads * config.head_width());
        let layer = |input, output| LinearConfig::without_bias(input, output).init(device);
        Self {
            q_proj: layer(d, d),
            k_proj: layer(d, kv),
            v_proj: layer(d, kv),
            o_proj: layer(d, d),
            heads: config.heads,
            kv_heads: config.kv_heads,
        }
    }

    /// Queries `[B, H, L, d]`, keys and values `[B, H_kv, L, d]` of `[B, L, D]`.
    fn project(&self, x: Tensor<3>, rope: &Rope) -> (Tensor<4>, Tensor<4>, Tensor<4>) {
        let [b, l, d] = x.dims();
        let split = |x: Tensor<3>, heads| x.reshape([b, l, heads, d / self.heads]).swap_dims(1, 2);
        let [q, k, v] = linear_all([&self.q_proj, &self.k_proj, &self.v_proj], x);
        let (q, k, v) = (split(q, self.heads), split(k, self.kv_heads), split(v, self.kv_heads));
        (rope.rotate(q), rope.rotate(k), v)
    }

    /// Queries are the last positions of the keys.
    fn attend(&self, q: Tensor<4>, k: Tensor<4>, v: Tensor<4>, padding: Option<Tensor<2, Bool>>) -> Tensor<3> {
        self.merge(attention(q, k, v, Sight::Causal, padding))
    }

    /// The heads `[B, H, L, d]` together, `[B, L, D]`.
    fn merge(&self, attended: Tensor<4>) -> Tensor<3> {
        let [b, h, l, d] = attended.dims();
        linear(&self.o_proj, attended.swap_dims(1, 2).reshape([b, l, h * d]))
    }
}

/// SwiGLU.
#[derive(Module, Debug)]
struct Mlp {
    gate_proj: Linear,
    up_proj: Linear,
    down_proj: Linear,
}

impl Mlp {
    fn new(config: &LlamaConfig, device: &Device) -> Self {
        let layer = |input, output| LinearConfig::without_bias(input, output).init(device);
        Self {
            gate_proj: layer(config.width, config.mlp_width),
            up_proj: layer(config.width, config.mlp_width),
            down_proj: layer(config.mlp_width, config.width),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [gate, up] = linear_all([&self.gate_proj, &self.up_proj], x);
        linear(&self.down_proj, silu_gate(gate, up))
    }
}

//! The vision tower: CLIP's, and LanguageBind's with attention over time.

use burn::module::{Initializer, Module, Param};
use burn::nn::{LayerNorm, LayerNormConfig};
use burn::tensor::{Device, Tensor};
use landmarks::{Linear, LinearConfig, Linears, indices};

use crate::ops::{Sight, attention, layer_norm, linear, linear_all};
use crate::{Activation, TowerConfig};

const INIT: Initializer = Initializer::Normal { mean: 0.0, std: 0.02 };

/// A vision tower up to the selected layer.
#[derive(Module, Debug)]
pub struct Tower {
    /// `[D]`.
    class_embedding: Param<Tensor<1>>,
    /// `[D, 3, p, p]`.
    patch_embedding: Param<Tensor<4>>,
    /// `[1 + N, D]`.
    position_embedding: Param<Tensor<2>>,
    pre_norm: LayerNorm,
    layers: Vec<Layer>,
    #[module(skip)]
    config: TowerConfig,
}

impl TowerConfig {
    /// The tower without weights.
    ///
    /// # Panics
    /// If [`TowerConfig::check`] fails.
    pub fn init(&self, device: &Device) -> Tower {
        assert!(self.check().is_ok(), "{:?}", self.check());
        let (d, p) = (self.width, self.patch_size);
        Tower {
            class_embedding: INIT.init([d], device),
            patch_embedding: INIT.init([d, 3, p, p], device),
            position_embedding: INIT.init([1 + self.patches(), d], device),
            pre_norm: norm(self, device),
            layers: (0..self.computed_layers()).map(|_| Layer::new(self, device)).collect(),
            config: self.clone(),
        }
    }
}

fn norm(config: &TowerConfig, device: &Device) -> LayerNorm {
    LayerNormConfig::new(config.width).with_epsilon(config.norm_eps).init(device)
}

impl Tower {
    /// The configuration it was made from.
    pub fn config(&self) -> &TowerConfig {
        &self.config
    }

    /// The device it is on.
    pub fn device(&self) -> Device {
        self.class_embedding.lazy_device()
    }

    /// Patch features of pictures, without the class token.
    ///
    /// # Shapes
    /// - pixels `[B, 3, S, S]`, normalised
    /// - output `[B, N, D]`
    pub fn images(&self, pixels: Tensor<4>) -> Tensor<3> {
        self.run(pixels, 1, |_, _| ()).narrow(1, 1, self.config.patches())
    }

    /// Features of some patches of pictures, which see nothing of the others: in training less to compute, and less to
    /// lean on (arXiv 2212.00794).
    ///
    /// # Shapes
    /// - pixels `[B, 3, S, S]`, normalised
    /// - output `[B, patches, D]`, in the order given
    ///
    /// # Panics
    /// If a patch does not exist.
    pub fn some_patches(&self, pixels: Tensor<4>, patches: &[usize]) -> Tensor<3> {
        let places = indices(std::iter::once(0).chain(patches.iter().map(|p| p + 1)), &pixels.device());
        let x = layer_norm(&self.pre_norm, self.config.norm_eps, self.embed(pixels).select(1, places));
        let x = self.layers.iter().fold(x, |x, layer| layer.forward(x, 1));
        x.narrow(1, 1, patches.len())
    }

    /// Features of video frames, class token first.
    ///
    /// # Shapes
    /// - pixels `[B, T, 3, S, S]`, normalised
    /// - output `[B, T, 1 + N, D]`
    ///
    /// # Panics
    /// If there are more frames than the tower's temporal embedding has.
    pub fn videos(&self, pixels: Tensor<5>) -> Tensor<4> {
        let [b, t, c, h, w] = pixels.dims();
        let x = self.run(pixels.reshape([b * t, c, h, w]), t, |_, _| ());
        let [_, n, d] = x.dims();
        x.reshape([b, t, n, d])
    }

    /// The hidden state that is the feature; `probe` sees each one on the way, 0 being the input of the first layer.
    ///
    /// # Shapes
    /// - pixels `[B * T, 3, S, S]`; T consecutive frames attend to each other
    /// - hidden states and output `[B * T, 1 + N, D]`
    pub fn run(&self, pixels: Tensor<4>, frames: usize, mut probe: impl FnMut(usize, &Tensor<3>)) -> Tensor<3> {
        let mut x = layer_norm(&self.pre_norm, self.config.norm_eps, self.embed(pixels));
        probe(0, &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, frames);
            probe(i + 1, &x);
        }
        x
    }

    fn embed(&self, pixels: Tensor<4>) -> Tensor<3> {
        let (grid, p, d) = (self.config.grid(), self.config.patch_size, self.config.width);
        let [b, ..] = pixels.dims();
        // A convolution whose stride is its kernel is a product with the flattened patches.
        let patches =
            pixels.reshape([b, 3, grid, p, grid, p]).permute([0, 2, 4, 1, 3, 5]).reshape([b * grid * grid, 3 * p * p]);
        let kernel = self.patch_embedding.val().reshape([d, 3 * p * p]);
        let patches = patches.matmul(kernel.transpose()).reshape([b, grid * grid, d]);
        let class = self.class_embedding.val().reshape([1, 1, d]).expand([b, 1, d]);
        Tensor::cat(vec![class, patches], 1) + self.position_embedding.val().unsqueeze()
    }
}

impl Linears for Tower {
    fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        self.layers.iter_mut().enumerate().flat_map(|(i, layer)| {
            let temporal = layer.temporal.iter_mut().flat_map(|t| t.attn.linears_mut("temporal.attn"));
            let attention = layer.self_attn.linears_mut("self_attn").into_iter().chain(temporal);
            let mlp = [("fc1".to_owned(), &mut layer.fc1), ("fc2".to_owned(), &mut layer.fc2)];
            attention.chain(mlp).map(move |(path, linear)| (format!("layers.{i}.{path}"), linear))
        })
    }
}

#[derive(Module, Debug)]
struct Layer {
    temporal: Option<Temporal>,
    layer_norm1: LayerNorm,
    self_attn: SelfAttention,
    layer_norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    #[module(skip)]
    activation: Activation,
    #[module(skip)]
    norm_eps: f64,
}

/// Attention of each patch over the frames.
#[derive(Module, Debug)]
struct Temporal {
    /// `[1, T, D]`.
    embedding: Param<Tensor<3>>,
    norm: LayerNorm,
    attn: SelfAttention,
}

impl Layer {
    fn new(config: &TowerConfig, device: &Device) -> Self {
        let (d, mlp) = (config.width, config.mlp_width);
        Self {
            temporal: config.frames.map(|t| Temporal {
                embedding: INIT.init([1, t, d], device),
                norm: norm(config, device),
                attn: SelfAttention::new(config, device),
            }),
            layer_norm1: norm(config, device),
            self_attn: SelfAttention::new(config, device),
            layer_norm2: norm(config, device),
            fc1: LinearConfig::new(d, mlp).init(device),
            fc2: LinearConfig::new(mlp, d).init(device),
            activation: config.activation,
            norm_eps: config.norm_eps,
        }
    }

    fn forward(&self, mut x: Tensor<3>, frames: usize) -> Tensor<3> {
        if let Some(temporal) = &self.temporal {
            x = temporal.forward(x, frames, self.norm_eps);
        }
        x = x.clone() + self.self_attn.forward(layer_norm(&self.layer_norm1, self.norm_eps, x));
        let hidden = linear(&self.fc1, layer_norm(&self.layer_norm2, self.norm_eps, x.clone()));
        x + linear(&self.fc2, self.activation.forward(hidden))
    }
}

impl Temporal {
    fn forward(&self, x: Tensor<3>, t: usize, norm_eps: f64) -> Tensor<3> {
        let [bt, n, d] = x.dims();
        let b = bt / t;
        let x = x.reshape([b, t, n, d]).swap_dims(1, 2).reshape([b * n, t, d]);
        let x = x + self.embedding.val().narrow(1, 0, t);
        let x = x.clone() + self.attn.forward(layer_norm(&self.norm, norm_eps, x));
        x.reshape([b, n, t, d]).swap_dims(1, 2).reshape([bt, n, d])
    }
}

#[derive(Module, Debug)]
struct SelfAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    out_proj: Linear,
    heads: usize,
}

impl SelfAttention {
    fn new(config: &TowerConfig, device: &Device) -> Self {
        let layer = || LinearConfig::new(config.width, config.width).init(device);
        Self { q_proj: layer(), k_proj: layer(), v_proj: layer(), out_proj: layer(), heads: config.heads }
    }

    fn linears_mut(&mut self, under: &str) -> [(String, &mut Linear); 4] {
        [
            (format!("{under}.q_proj"), &mut self.q_proj),
            (format!("{under}.k_proj"), &mut self.k_proj),
            (format!("{under}.v_proj"), &mut self.v_proj),
            (format!("{under}.out_proj"), &mut self.out_proj),
        ]
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [b, n, d] = x.dims();
        let split = |x: Tensor<3>| x.reshape([b, n, self.heads, d / self.heads]).swap_dims(1, 2);
        let [q, k, v] = linear_all([&self.q_proj, &self.k_proj, &self.v_proj], x);
        let attended = attention(split(q), split(k), split(v), Sight::Full, None);
        linear(&self.out_proj, attended.swap_dims(1, 2).reshape([b, n, d]))
    }
}

//! The Llama decoder: RMS norm, rotary positions, grouped-query attention, SwiGLU.

mod cache;
mod gguf;
mod layer;
mod rope;
mod tree;

use burn::module::Module;
use burn::nn::{RmsNorm, RmsNormConfig};
use burn::tensor::{Bool, DType, Device, Tensor, TensorData};
use face_encoder::ops::{linear, rms_norm};
use landmarks::{Linear, LinearConfig, Linears};

pub use cache::KvCache;
use layer::Layer;
use rope::Rope;
pub use tree::Tree;

use crate::Error;

/// Shape of the decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct LlamaConfig {
    /// Tokens of the vocabulary, V.
    pub vocab: usize,
    /// Width, D.
    pub width: usize,
    /// Width of the perceptrons.
    pub mlp_width: usize,
    /// Layers.
    pub layers: usize,
    /// Query heads, H.
    pub heads: usize,
    /// Key and value heads; each serves `heads / kv_heads` query heads.
    pub kv_heads: usize,
    /// Longest sequence.
    pub context: usize,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
}

impl LlamaConfig {
    /// Checks that the numbers fit each other and stay within reason.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::Config(what.to_owned()));
        if !(3..=1 << 20).contains(&self.vocab) {
            return refuse("vocab_size must lie between 3 and 1,048,576");
        }
        if !(1..=1 << 15).contains(&self.width) || !(1..=1 << 17).contains(&self.mlp_width) {
            return refuse("hidden_size or intermediate_size is zero or beyond reason");
        }
        if !(1..=256).contains(&self.layers) {
            return refuse("num_hidden_layers must lie between 1 and 256");
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) || !(self.width / self.heads).is_multiple_of(2) {
            return refuse("num_attention_heads does not divide hidden_size into even heads");
        }
        if self.kv_heads == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return refuse("num_key_value_heads does not divide num_attention_heads");
        }
        if !(8..=1 << 17).contains(&self.context) {
            return refuse("max_position_embeddings must lie between 8 and 131,072");
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0 && self.rope_theta > 1.0 && self.rope_theta.is_finite()) {
            return refuse("rms_norm_eps must lie between 0 and 1, rope_theta above 1");
        }
        Ok(())
    }

    /// Width of a head.
    pub const fn head_width(&self) -> usize {
        self.width / self.heads
    }

    /// The decoder without weights.
    pub fn init(&self, device: &Device) -> Llama {
        Llama {
            embed_tokens: LinearConfig::without_bias(self.width, self.vocab).init(device),
            layers: (0..self.layers).map(|_| Layer::new(self, device)).collect(),
            norm: RmsNormConfig::new(self.width).with_epsilon(self.norm_eps).init(device),
            lm_head: LinearConfig::without_bias(self.width, self.vocab).init(device),
            config: self.clone(),
        }
    }
}

/// The decoder. It knows embeddings and ids, and nothing of text or pictures.
#[derive(Module, Debug)]
pub struct Llama {
    /// Its rows are looked up.
    embed_tokens: Linear,
    layers: Vec<Layer>,
    norm: RmsNorm,
    lm_head: Linear,
    #[module(skip)]
    config: LlamaConfig,
}

impl Llama {
    /// The configuration it was made from.
    pub fn config(&self) -> &LlamaConfig {
        &self.config
    }

    /// Type of the weights, and so of embeddings and hidden states.
    pub fn dtype(&self) -> DType {
        self.norm.gamma.val().dtype()
    }

    /// Embeddings of tokens.
    ///
    /// # Shapes
    /// - output `[L, D]`
    ///
    /// # Panics
    /// If an id lies outside the vocabulary.
    pub fn embed(&self, ids: &[u32]) -> Tensor<2> {
        self.embed_tokens.rows(ids).cast(self.dtype())
    }

    /// An empty cache for `batch` sequences.
    pub fn cache(&self, batch: usize) -> KvCache {
        KvCache::new(&self.config, batch)
    }

    /// Final hidden states of new positions, which see each other and everything in the cache.
    ///
    /// `pads` tells how many places at the left of each sequence are padding; they are seen by nobody and do not count
    /// as positions. It must stay the same over the life of a cache.
    ///
    /// # Shapes
    /// - embeddings `[B, L, D]`
    /// - output `[B, L, D]`
    ///
    /// # Panics
    /// If the cache would pass the context, or `pads` does not have B entries.
    pub fn forward(&self, embeddings: Tensor<3>, cache: &mut KvCache, pads: &[usize]) -> Tensor<3> {
        let [b, l, _] = embeddings.dims();
        let start = cache.len();
        assert!(start + l <= self.config.context, "{} positions pass the context", start + l);
        assert_eq!(pads.len(), b, "one padding for each sequence");
        cache.reserve(start + l, &embeddings);
        let rope = Rope::new(&self.config, start, l, pads, &embeddings);
        let padding = padding(pads, start + l, &embeddings.device());
        let mut x = embeddings;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, &rope, cache.layer(i), start, padding.clone());
        }
        cache.advance(l);
        rms_norm(&self.norm, x)
    }

    /// Final hidden states of the nodes of a tree that goes on from what is in the cache; each sees the cache and its own
    /// ancestors. The cache is as long afterwards as before.
    ///
    /// # Shapes
    /// - embeddings `[1, L, D]`, one for each node
    /// - output `[1, L, D]`
    ///
    /// # Panics
    /// If the cache and the nodes together would pass the context, or there are not as many embeddings as nodes.
    pub fn forward_tree(&self, embeddings: Tensor<3>, cache: &mut KvCache, tree: &Tree) -> Tensor<3> {
        let (start, l) = (cache.len(), tree.len());
        assert_eq!(embeddings.dims()[..2], [1, l], "one embedding for each node");
        assert!(start + l <= self.config.context, "{} positions pass the context", start + l);
        cache.reserve(start + l, &embeddings);
        let rope = Rope::at(&self.config, tree.depths().iter().map(|depth| start + depth), 1, &embeddings);
        let hidden = TensorData::new(tree.hidden(start), [l, start + l]);
        let hidden = Tensor::<2, Bool>::from_data(hidden, &embeddings.device());
        let mut x = embeddings;
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward_hiding(x, &rope, cache.layer(i), start, hidden.clone());
        }
        rms_norm(&self.norm, x)
    }

    /// As [`Llama::forward`] without a cache, for training and for checking the cache.
    ///
    /// # Shapes
    /// As [`Llama::forward`].
    pub fn forward_full(&self, embeddings: Tensor<3>) -> Tensor<3> {
        let [b, l, _] = embeddings.dims();
        let rope = Rope::new(&self.config, 0, l, &vec![0; b], &embeddings);
        let x = self.layers.iter().fold(embeddings, |x, layer| layer.forward_full(x, &rope));
        rms_norm(&self.norm, x)
    }

    /// Logits of hidden states.
    ///
    /// # Shapes
    /// - hidden `[.., D]`
    /// - output `[.., V]`
    pub fn logits<const N: usize>(&self, hidden: Tensor<N>) -> Tensor<N> {
        linear(&self.lm_head, hidden)
    }
}

impl Linears for Llama {
    fn linears_mut(&mut self) -> impl Iterator<Item = (String, &mut Linear)> {
        let layers = self.layers.iter_mut().enumerate().flat_map(|(i, layer)| {
            layer.linears_mut().into_iter().map(move |(path, linear)| (format!("layers.{i}.{path}"), linear))
        });
        let ends = [("embed_tokens", &mut self.embed_tokens), ("lm_head", &mut self.lm_head)];
        layers.chain(ends.map(|(path, linear)| (path.to_owned(), linear)))
    }
}

/// True where a key is padding: `[B, keys]`; none where nothing is padded.
fn padding(pads: &[usize], keys: usize, device: &Device) -> Option<Tensor<2, Bool>> {
    if pads.iter().all(|&p| p == 0) {
        return None;
    }
    let rows: Vec<bool> = pads.iter().flat_map(|&p| (0..keys).map(move |k| k < p)).collect();
    Some(Tensor::from_data(TensorData::new(rows, [pads.len(), keys]), device))
}

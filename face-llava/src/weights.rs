//! The hub's key names, and the order in which a checkpoint is read.

use landmarks::quantized::Bits;
#[cfg(feature = "data")]
use landmarks::weights::Dtype;
use landmarks::weights::{Key, LoadOptions, LoadReport, NamedTensors, Weights, collect_quantized, load_quantized};

#[cfg(feature = "data")]
use sha2::{Digest, Sha256};

#[cfg(feature = "data")]
use crate::data::seed::hex;
use crate::decoder::Llama;
use crate::{Error, Network};

const MODEL: &str = "model.";
const PROJECTOR: &str = "model.mm_projector.";
/// Prefix of the image tower inside a checkpoint.
pub(crate) const IMAGE_TOWER: &str = "model.image_tower.image_tower.";
/// Prefix of the video tower inside a checkpoint.
pub(crate) const VIDEO_TOWER: &str = "model.video_tower.video_tower.";
/// Prefix of a tower in a LanguageBind folder.
pub(crate) const LANGUAGEBIND: &str = "vision_model.";

/// Tensors that published files hold and nothing reads: rotary tables, position ids, the unused norms.
const IGNORED: [&str; 6] = [
    "rotary_emb.inv_freq",
    "position_ids",
    "post_layernorm.",
    "landmarks_cross_attn.ln.",
    "logit_scale",
    "encoder.layers.",
];

/// Where a tower's weights are.
#[derive(Debug)]
pub(crate) struct TowerSource<'a> {
    pub weights: &'a Weights,
    pub prefix: &'static str,
    /// Where to look for what is missing there.
    pub shared: &'static str,
}

fn decoder_key(path: &str) -> Key {
    Key::from(match path {
        "lm_head.weight" => "lm_head.weight".to_owned(),
        path => format!("{MODEL}{path}"),
    })
}

impl Llama {
    /// Bits of a linear layer, by its path, where the others have `bits`: rows of the embeddings and of the logits' weights
    /// stand for single tokens and take little room.
    pub fn bits(path: &str, bits: Bits) -> Bits {
        if matches!(path, "embed_tokens" | "lm_head") { Bits::Int8 } else { bits }
    }

    /// Fills the decoder from the hub's names; with `bits`, weights of linear layers are rounded to them, embeddings and
    /// the weights of the logits to 8 bits.
    ///
    /// # Errors
    /// As [`load_quantized`].
    pub fn load(
        self,
        weights: &Weights,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let bits = |path: &str| bits.map(|bits| Self::bits(path, bits));
        Ok(load_quantized(self, weights, options, bits, decoder_key)?)
    }
}

/// Where the weights of a model are.
#[derive(Debug)]
pub(crate) struct Sources<'a> {
    pub checkpoint: &'a Weights,
    pub image: Option<TowerSource<'a>>,
    pub video: Option<TowerSource<'a>>,
    /// A GGUF file in place of the checkpoint's decoder.
    pub decoder: Option<&'a Weights>,
}

impl Network {
    /// Fills every part from where it is. With `bits`, the decoder's weights are rounded to them, the others' to 8.
    pub(crate) fn load(
        mut self,
        sources: Sources<'_>,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let Sources { checkpoint: weights, image, video, decoder } = sources;
        let mut report = LoadReport::default();
        let eight = bits.map(|_| Bits::Int8);
        for (tower, source) in [(&mut self.image_tower, image), (&mut self.video_tower, video)] {
            if let (Some(empty), Some(source)) = (tower.take(), source) {
                let (filled, part) = empty.load_shared(source.weights, source.prefix, source.shared, options, eight)?;
                report.merge(part);
                *tower = Some(filled);
            }
        }
        let (projector, part) = self.projector.load(weights, PROJECTOR, options, eight)?;
        report.merge(part);
        self.projector = projector;
        if let Some(fusion) = self.fusion.take() {
            let (fusion, part) = fusion.load(weights, MODEL, options, eight)?;
            report.merge(part);
            self.fusion = Some(fusion);
        }
        let (decoder, part) = match decoder {
            Some(file) => self.decoder.load_gguf(file, options, bits)?,
            None => self.decoder.load(weights, options, bits)?,
        };
        report.merge(part);
        self.decoder = decoder;
        Ok((self, report))
    }

    /// Every parameter under the name it has on the hub.
    pub fn tensors(&self) -> NamedTensors {
        let mut tensors = self.trained_tensors();
        tensors.extend(self.image_tower.iter().flat_map(|tower| tower.tensors(IMAGE_TOWER)));
        for (name, tensor) in self.video_tower.iter().flat_map(|tower| tower.tensors(VIDEO_TOWER)) {
            // What a video tower shares with the image tower is not stored twice.
            let shared = name.replace(VIDEO_TOWER, IMAGE_TOWER);
            if tensors.get(&shared) != Some(&tensor) {
                tensors.insert(name, tensor);
            }
        }
        tensors
    }

    /// The same without the towers, which training leaves as they are.
    fn trained_tensors(&self) -> NamedTensors {
        let mut tensors = collect_quantized(&self.decoder, decoder_key);
        tensors.extend(self.projector.tensors(PROJECTOR));
        tensors.extend(self.fusion.iter().flat_map(|fusion| fusion.tensors(MODEL)));
        tensors
    }
}

/// Whether a name of a checkpoint is one of the decoder's.
pub(crate) fn is_of_decoder(name: &str) -> bool {
    ["model.layers.", "model.embed_tokens.", "model.norm.", "lm_head."].iter().any(|prefix| name.starts_with(prefix))
}

/// Tensors that nobody read and nobody was expected to leave.
pub(crate) fn unexpected(weights: &Weights) -> Vec<String> {
    let towers_elsewhere = |name: &String| name.starts_with(IMAGE_TOWER) || name.starts_with(VIDEO_TOWER);
    let known = |name: &String| IGNORED.iter().any(|part| name.contains(part)) && !name.starts_with("model.layers.");
    let rotary = |name: &String| name.ends_with("rotary_emb.inv_freq");
    weights.unused().into_iter().filter(|n| !(towers_elsewhere(n) || known(n) || rotary(n))).collect()
}

/// Values hashed at a time.
#[cfg(feature = "data")]
const BLOCK: usize = 1 << 16;

/// SHA-256 over the names and values of weights: the same for the same ones, however they lie in files.
#[cfg(feature = "data")]
pub(crate) fn digest_of(weights: &Weights) -> Result<String, Error> {
    let mut digest = Sha256::new();
    for name in weights.names() {
        digest.update(name.as_bytes());
        match weights.info(name).map(|info| info.dtype) {
            // Weights in few bits.
            Some(Dtype::Byte | Dtype::Other(1) | Dtype::Blocks(_)) => digest.update(weights.read_bytes(name)?),
            // Other integers, such as position ids, are no weights.
            Some(Dtype::Other(_)) => {}
            _ => {
                for block in weights.read_f32(name)?.chunks(BLOCK) {
                    digest.update(block.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>());
                }
            }
        }
    }
    Ok(hex(&digest.finalize()))
}

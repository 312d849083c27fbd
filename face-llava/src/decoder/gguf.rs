//! Decoders as llama.cpp's users have them: GGUF's names, and its order of query and key rows.

use landmarks::Linear;
use landmarks::quantized::Bits;
use landmarks::weights::{Key, LoadOptions, LoadReport, Weights, load_quantized};

use super::{Llama, LlamaConfig};
use crate::Error;

impl Llama {
    /// Fills the decoder from a GGUF file. Weights in Q4_0 and Q8_0 stay as they are; those in Q4_K and Q6_K are rounded
    /// to `bits`, 8 where nothing is said.
    ///
    /// # Errors
    /// As [`load_quantized`].
    pub fn load_gguf(
        self,
        weights: &Weights,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let tied = weights.info("output.weight").is_none();
        let bits = |path: &str| bits.map(|bits| Self::bits(path, bits));
        let (mut decoder, report) = load_quantized(self, weights, options, bits, |path| Key::from(named(path, tied)))?;
        if !options.headers_only {
            let config = decoder.config.clone();
            for layer in &mut decoder.layers {
                for (path, linear) in layer.linears_mut() {
                    match path {
                        "self_attn.q_proj" => in_halves(linear, config.heads, &config),
                        "self_attn.k_proj" => in_halves(linear, config.kv_heads, &config),
                        _ => {}
                    }
                }
            }
        }
        Ok((decoder, report))
    }
}

/// llama.cpp turns neighbouring values of a head by the same angle, Llama's files values half a head apart: rows of
/// queries and keys are exchanged between the two.
fn in_halves(linear: &mut Linear, heads: usize, config: &LlamaConfig) {
    let (width, half) = (config.head_width(), config.head_width() / 2);
    let rows = (0..heads * width).map(|row| {
        let (head, place) = (row / width, row % width);
        head * width + 2 * (place % half) + place / half
    });
    linear.reorder(&rows.collect::<Vec<_>>());
}

/// A parameter's name in GGUF files.
fn named(path: &str, tied: bool) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["embed_tokens", leaf] => format!("token_embd.{leaf}"),
        ["lm_head", leaf] if tied => format!("token_embd.{leaf}"),
        ["lm_head", leaf] => format!("output.{leaf}"),
        ["norm", leaf] => format!("output_norm.{leaf}"),
        ["layers", i, rest @ .., leaf] => {
            let name = match rest.last().copied().unwrap_or_default() {
                "q_proj" => "attn_q",
                "k_proj" => "attn_k",
                "v_proj" => "attn_v",
                "o_proj" => "attn_output",
                "gate_proj" => "ffn_gate",
                "up_proj" => "ffn_up",
                "down_proj" => "ffn_down",
                "input_layernorm" => "attn_norm",
                "post_attention_layernorm" => "ffn_norm",
                other => other,
            };
            format!("blk.{i}.{name}.{leaf}")
        }
        _ => path.to_owned(),
    }
}

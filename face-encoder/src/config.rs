//! The shape of a tower.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Activation of the perceptrons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// GELU by the error function.
    Gelu,
    /// `x sigmoid(1.702 x)`, as the first CLIP.
    QuickGelu,
}

/// A CLIP vision tower; with [`Self::frames`] LanguageBind's video tower.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TowerConfig {
    /// Width, D.
    pub width: usize,
    /// Layers in the whole tower.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width of the perceptrons.
    pub mlp_width: usize,
    /// Side of the input, pixels.
    pub image_size: usize,
    /// Side of a patch, pixels.
    pub patch_size: usize,
    /// Activation of the perceptrons.
    pub activation: Activation,
    /// Epsilon of the layer norms.
    pub norm_eps: f64,
    /// Frames that attend to each other in a video tower; none in an image tower.
    pub frames: Option<usize>,
    /// Which hidden state is the feature: -1 is the last layer's output, -2 the one before. Layers above are neither
    /// loaded nor computed.
    pub select_layer: isize,
}

/// Upper limits on what a foreign config.json may ask for.
const MAX_WIDTH: usize = 16_384;
const MAX_LAYERS: usize = 256;

impl TowerConfig {
    /// ViT-L/14 at 224 pixels, as published for LanguageBind_Image.
    pub const fn vit_l_14() -> Self {
        Self {
            width: 1024,
            layers: 24,
            heads: 16,
            mlp_width: 4096,
            image_size: 224,
            patch_size: 14,
            activation: Activation::Gelu,
            norm_eps: 1e-5,
            frames: None,
            select_layer: -2,
        }
    }

    /// The same with temporal attention over eight frames, as published for LanguageBind_Video_merge.
    pub const fn vit_l_14_video() -> Self {
        Self { frames: Some(8), ..Self::vit_l_14() }
    }

    /// Patches along a side.
    pub const fn grid(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patches of a picture, N.
    pub const fn patches(&self) -> usize {
        self.grid() * self.grid()
    }

    /// Layers that are loaded and computed.
    pub fn computed_layers(&self) -> usize {
        let states = self.layers as isize + 1;
        let state = if self.select_layer < 0 { states + self.select_layer } else { self.select_layer };
        state.clamp(0, self.layers as isize) as usize
    }

    /// Reads the tower's part of a LanguageBind or CLIP config.json.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn from_json(text: &str, select_layer: isize) -> Result<Self, Error> {
        let value: serde_json::Value = serde_json::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
        let vision = value.get("vision_config").unwrap_or(&value);
        let raw = Raw::deserialize(vision).map_err(|e| Error::Config(e.to_string()))?;
        let activation = match raw.hidden_act.as_str() {
            "gelu" => Activation::Gelu,
            "quick_gelu" => Activation::QuickGelu,
            other => return Err(Error::Config(format!("hidden_act {other:?} is neither gelu nor quick_gelu"))),
        };
        let config = Self {
            width: raw.hidden_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            mlp_width: raw.intermediate_size,
            image_size: raw.image_size,
            patch_size: raw.patch_size,
            activation,
            norm_eps: raw.layer_norm_eps,
            frames: raw.add_time_attn.then_some(raw.num_frames),
            select_layer,
        };
        config.check()?;
        Ok(config)
    }

    /// The config.json of a folder that holds such a tower; [`Self::from_json`] reads it back.
    pub fn to_json(&self) -> serde_json::Value {
        let activation = match self.activation {
            Activation::Gelu => "gelu",
            Activation::QuickGelu => "quick_gelu",
        };
        let mut json = serde_json::json!({
            "hidden_size": self.width,
            "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads,
            "intermediate_size": self.mlp_width,
            "image_size": self.image_size,
            "patch_size": self.patch_size,
            "hidden_act": activation,
            "layer_norm_eps": self.norm_eps,
            "add_time_attn": self.frames.is_some(),
        });
        if let Some(frames) = self.frames {
            json["num_frames"] = frames.into();
        }
        json
    }

    /// Checks that the numbers fit each other.
    ///
    /// # Errors
    /// [`Error::Config`].
    pub fn check(&self) -> Result<(), Error> {
        let refuse = |what: &str| Err(Error::Config(what.to_owned()));
        if !(1..=MAX_WIDTH).contains(&self.width) || !(1..=4 * MAX_WIDTH).contains(&self.mlp_width) {
            return refuse("a width is zero or beyond reason");
        }
        if !(1..=MAX_LAYERS).contains(&self.layers) || self.select_layer.unsigned_abs() > self.layers {
            return refuse("the number of layers is zero, beyond reason, or less than the selected one");
        }
        if self.heads == 0 || !self.width.is_multiple_of(self.heads) {
            return refuse("num_attention_heads does not divide hidden_size");
        }
        if !(1..=self.image_size).contains(&self.patch_size) || self.image_size > 1024 {
            return refuse("patch_size or image_size is zero or beyond reason");
        }
        if !self.image_size.is_multiple_of(self.patch_size) {
            return refuse("patch_size does not divide image_size");
        }
        if self.frames.is_some_and(|f| !(1..=64).contains(&f)) {
            return refuse("num_frames must lie between 1 and 64");
        }
        if !(self.norm_eps > 0.0 && self.norm_eps < 1.0) {
            return refuse("layer_norm_eps must lie between 0 and 1");
        }
        Ok(())
    }
}

#[derive(Deserialize)]
struct Raw {
    hidden_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    intermediate_size: usize,
    image_size: usize,
    patch_size: usize,
    hidden_act: String,
    #[serde(default = "default_eps")]
    layer_norm_eps: f64,
    #[serde(default)]
    add_time_attn: bool,
    #[serde(default = "default_frames")]
    num_frames: usize,
}

fn default_eps() -> f64 {
    1e-5
}

fn default_frames() -> usize {
    8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_selected_layer_counts_from_the_end() {
        for config in [TowerConfig::vit_l_14(), TowerConfig::vit_l_14_video()] {
            assert_eq!(TowerConfig::from_json(&config.to_json().to_string(), -2).unwrap(), config);
        }
        let config = TowerConfig::vit_l_14();
        assert_eq!(config.computed_layers(), 23);
        assert_eq!(TowerConfig { select_layer: -1, ..config.clone() }.computed_layers(), 24);
        assert_eq!(TowerConfig { select_layer: 0, ..config }.computed_layers(), 0);
    }

    #[test]
    fn unreasonable_configs_are_refused() {
        let good = r#"{"hidden_size":48,"num_hidden_layers":4,"num_attention_heads":4,"intermediate_size":96,
            "image_size":224,"patch_size":14,"hidden_act":"gelu"}"#;
        assert!(TowerConfig::from_json(good, -2).is_ok());
        for (from, to) in [
            ("48", "1000000000000000000"),
            ("48", "-48"),
            ("48", "1e18"),
            ("48", "0"),
            (":4,\"num", ":0,\"num"),
            ("heads\":4", "heads\":5"),
            ("224", "225"),
            ("14", "0"),
            ("gelu", "relu"),
            ("\"hidden_size\":48,", ""),
            ("{", "["),
        ] {
            let bad = good.replacen(from, to, 1);
            assert!(matches!(TowerConfig::from_json(&bad, -2), Err(Error::Config(_))), "{bad}");
        }
        assert!(TowerConfig::from_json(good, -9).is_err());
    }
}

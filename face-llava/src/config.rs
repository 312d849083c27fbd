//! The hub's config.json.

use face_encoder::VisionProjectorConfig;
use frgca::{CrossAttentionConfig, FrgcaConfig, ProjectorKind, Variant};
use landmarks::CropRule;
use serde::Deserialize;

use crate::Error;
use crate::decoder::LlamaConfig;

/// Everything a checkpoint says about itself. The towers are only named; see [`crate::ModelDir`].
#[derive(Clone, Debug, PartialEq)]
pub struct FaceLlavaConfig {
    /// The language model.
    pub llama: LlamaConfig,
    /// Width of the towers.
    pub tower_width: usize,
    /// Which hidden state of a tower is the feature.
    pub select_layer: isize,
    /// Linear layers of the vision projector.
    pub projector: VisionProjectorConfig,
    /// Landmark modules, where the checkpoint has them.
    pub frgca: FrgcaConfig,
    /// Published name of the image tower.
    pub image_tower: Option<String>,
    /// Published name of the video tower.
    pub video_tower: Option<String>,
    /// Whether training laid pictures into squares.
    pub pad_to_square: bool,
    /// How the model wants the face to be cropped, where it says so; the authors' way otherwise.
    pub face_crop: Option<CropRule>,
    /// Token that ends an answer.
    pub eos: u32,
    /// Token that begins a prompt.
    pub bos: u32,
}

/// As it stands in the file; what is absent has the authors' default.
#[derive(Deserialize)]
struct Raw {
    vocab_size: usize,
    hidden_size: usize,
    intermediate_size: usize,
    num_hidden_layers: usize,
    num_attention_heads: usize,
    num_key_value_heads: Option<usize>,
    #[serde(default = "defaults::hidden_act")]
    hidden_act: String,
    #[serde(default = "defaults::context")]
    max_position_embeddings: usize,
    #[serde(default = "defaults::norm_eps")]
    rms_norm_eps: f64,
    #[serde(default = "defaults::theta")]
    rope_theta: f64,
    rope_scaling: Option<serde_json::Value>,
    #[serde(default)]
    tie_word_embeddings: bool,
    #[serde(default = "defaults::bos")]
    bos_token_id: u32,
    #[serde(default = "defaults::eos")]
    eos_token_id: u32,
    mm_hidden_size: usize,
    mm_image_tower: Option<String>,
    mm_video_tower: Option<String>,
    #[serde(default = "defaults::linear")]
    mm_projector_type: String,
    #[serde(default = "defaults::select_layer")]
    mm_vision_select_layer: isize,
    #[serde(default = "defaults::patch")]
    mm_vision_select_feature: String,
    #[serde(default)]
    image_aspect_ratio: Option<String>,
    #[serde(default = "defaults::regions")]
    landmarks_projector_type: String,
    #[serde(default = "defaults::linear")]
    global_landmarks_projector_type: String,
    #[serde(default = "defaults::simple")]
    cross_attn_type: String,
    #[serde(default)]
    use_landmark_tokens: bool,
    #[serde(default = "defaults::landmarks")]
    landmarks_hidden_size: usize,
    face_crop: Option<CropRule>,
    cross_attn_branch_scale: Option<f64>,
    cross_attn_num_heads: Option<usize>,
}

mod defaults {
    pub fn hidden_act() -> String {
        "silu".into()
    }
    pub fn context() -> usize {
        4096
    }
    pub fn norm_eps() -> f64 {
        1e-5
    }
    pub fn theta() -> f64 {
        10_000.0
    }
    pub fn bos() -> u32 {
        1
    }
    pub fn eos() -> u32 {
        2
    }
    pub fn linear() -> String {
        "linear".into()
    }
    pub fn regions() -> String {
        "landmarks_region_projector".into()
    }
    pub fn simple() -> String {
        "simple".into()
    }
    pub fn patch() -> String {
        "patch".into()
    }
    pub fn select_layer() -> isize {
        -2
    }
    pub fn landmarks() -> usize {
        136
    }
}

impl FaceLlavaConfig {
    /// Reads config.json.
    ///
    /// # Errors
    /// [`Error::Config`] names the field.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        let raw: Raw = serde_json::from_str(text).map_err(|e| Error::Config(e.to_string()))?;
        let refuse = |what: String| Err(Error::Config(what));
        if raw.hidden_act != "silu" {
            return refuse(format!("hidden_act {:?} is not silu", raw.hidden_act));
        }
        if raw.rope_scaling.is_some() {
            return refuse("rope_scaling is not supported".into());
        }
        if raw.tie_word_embeddings {
            return refuse("tie_word_embeddings is not supported".into());
        }
        if raw.mm_vision_select_feature != "patch" {
            return refuse(format!("mm_vision_select_feature {:?} is not patch", raw.mm_vision_select_feature));
        }
        if raw.landmarks_hidden_size != 136 {
            return refuse(format!("landmarks_hidden_size {} is not 136", raw.landmarks_hidden_size));
        }
        let llama = LlamaConfig {
            vocab: raw.vocab_size,
            width: raw.hidden_size,
            mlp_width: raw.intermediate_size,
            layers: raw.num_hidden_layers,
            heads: raw.num_attention_heads,
            kv_heads: raw.num_key_value_heads.unwrap_or(raw.num_attention_heads),
            context: raw.max_position_embeddings,
            norm_eps: raw.rms_norm_eps,
            rope_theta: raw.rope_theta,
        };
        llama.check()?;
        if !(1..=16_384).contains(&raw.mm_hidden_size) {
            return refuse(format!("mm_hidden_size {} is zero or beyond reason", raw.mm_hidden_size));
        }
        if raw.bos_token_id as usize >= llama.vocab || raw.eos_token_id as usize >= llama.vocab {
            return refuse("bos_token_id or eos_token_id lies outside the vocabulary".into());
        }
        let frgca = frgca_config(&raw)?;
        Ok(Self {
            projector: VisionProjectorConfig::parse(&raw.mm_projector_type, raw.mm_hidden_size, llama.width).map_err(
                |_| Error::Config(format!("mm_projector_type {:?} is not linear or mlpNx_gelu", raw.mm_projector_type)),
            )?,
            frgca,
            llama,
            tower_width: raw.mm_hidden_size,
            select_layer: raw.mm_vision_select_layer,
            image_tower: raw.mm_image_tower,
            video_tower: raw.mm_video_tower,
            pad_to_square: raw.image_aspect_ratio.as_deref() == Some("pad"),
            face_crop: raw.face_crop,
            eos: raw.eos_token_id,
            bos: raw.bos_token_id,
        })
    }
}

impl FaceLlavaConfig {
    /// The hub's config.json of this configuration; [`Self::from_json`] reads it back.
    pub fn to_json(&self) -> serde_json::Value {
        let (llama, attention) = (&self.llama, self.frgca.attention);
        let mlp = |layers: usize| if layers == 1 { "linear".to_owned() } else { format!("mlp{layers}x_gelu") };
        let landmarks = |kind: ProjectorKind| match kind {
            ProjectorKind::Regions => "landmarks_region_projector".to_owned(),
            ProjectorKind::Linear => "linear".to_owned(),
            ProjectorKind::Mlp(layers) => mlp(layers),
        };
        let variant = match attention.variant {
            Variant::Simple => "simple",
            Variant::Masked => "masked",
            Variant::Paper => "paper",
        };
        serde_json::json!({
            "architectures": ["LlavaLlamaForCausalLM"],
            "model_type": "llava",
            "hidden_act": "silu",
            "vocab_size": llama.vocab,
            "hidden_size": llama.width,
            "intermediate_size": llama.mlp_width,
            "num_hidden_layers": llama.layers,
            "num_attention_heads": llama.heads,
            "num_key_value_heads": llama.kv_heads,
            "max_position_embeddings": llama.context,
            "rms_norm_eps": llama.norm_eps,
            "rope_theta": llama.rope_theta,
            "rope_scaling": null,
            "tie_word_embeddings": false,
            "bos_token_id": self.bos,
            "eos_token_id": self.eos,
            "mm_hidden_size": self.tower_width,
            "mm_image_tower": self.image_tower,
            "mm_video_tower": self.video_tower,
            "mm_projector_type": if self.projector.layers == 0 { "identity".into() } else { mlp(self.projector.layers) },
            "mm_vision_select_layer": self.select_layer,
            "mm_vision_select_feature": "patch",
            "mm_use_im_start_end": false,
            "mm_use_im_patch_token": false,
            "image_aspect_ratio": self.pad_to_square.then_some("pad"),
            "landmarks_projector_type": landmarks(self.frgca.local),
            "global_landmarks_projector_type": self.frgca.global.map_or("none".into(), landmarks),
            "cross_attn_type": variant,
            "cross_attn_branch_scale": attention.branch_scale,
            "cross_attn_num_heads": attention.heads,
            "use_landmark_tokens": self.frgca.landmark_token,
            "landmarks_hidden_size": 136,
            "face_crop": self.face_crop,
        })
    }
}

fn frgca_config(raw: &Raw) -> Result<FrgcaConfig, Error> {
    let variant = match raw.cross_attn_type.as_str() {
        "simple" => Variant::Simple,
        "masked" => Variant::Masked,
        "paper" => Variant::Paper,
        other => return Err(Error::Config(format!("cross_attn_type {other:?} is not simple, masked or paper"))),
    };
    let mut attention = CrossAttentionConfig::new(raw.hidden_size, variant);
    attention.heads = raw.cross_attn_num_heads.unwrap_or(attention.heads);
    attention.branch_scale = raw.cross_attn_branch_scale.unwrap_or(attention.branch_scale);
    if attention.heads == 0 || !raw.hidden_size.is_multiple_of(attention.heads) || !attention.branch_scale.is_finite() {
        return Err(Error::Config(
            "cross_attn_num_heads does not divide hidden_size, or the scale is not finite".into(),
        ));
    }
    let global = match raw.global_landmarks_projector_type.as_str() {
        "none" => None,
        kind => Some(projector_kind(kind)?),
    };
    let local = projector_kind(&raw.landmarks_projector_type)?;
    if variant != Variant::Simple && local != ProjectorKind::Regions {
        return Err(Error::Config(format!(
            "cross_attn_type {:?} goes with landmarks_projector_type \"landmarks_region_projector\" only",
            raw.cross_attn_type
        )));
    }
    if raw.use_landmark_tokens && global.is_none() {
        return Err(Error::Config("use_landmark_tokens needs a global_landmarks_projector_type".into()));
    }
    Ok(FrgcaConfig { width: raw.hidden_size, local, global, attention, landmark_token: raw.use_landmark_tokens })
}

fn projector_kind(kind: &str) -> Result<ProjectorKind, Error> {
    match (kind, face_encoder::projector_layers(kind)) {
        ("landmarks_region_projector", _) => Ok(ProjectorKind::Regions),
        (_, Some(1)) => Ok(ProjectorKind::Linear),
        (_, Some(layers)) if layers > 1 => Ok(ProjectorKind::Mlp(layers)),
        _ => Err(Error::Config(format!(
            "landmark projector {kind:?} is not landmarks_region_projector, linear or mlpNx_gelu"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"vocab_size":32000,"hidden_size":4096,"intermediate_size":11008,"num_hidden_layers":32,
        "num_attention_heads":32,"rms_norm_eps":1e-05,"mm_hidden_size":1024,"mm_projector_type":"mlp2x_gelu",
        "cross_attn_type":"simple","rope_scaling":null,"bos_token_id":1,"eos_token_id":2}"#;

    #[test]
    fn the_released_configuration_is_read() {
        let config = FaceLlavaConfig::from_json(GOOD).unwrap();
        assert_eq!((config.llama.kv_heads, config.llama.context, config.select_layer), (32, 4096, -2));
        assert_eq!(config.frgca.attention.branch_scale, 0.1);
        assert_eq!(config.projector.layers, 2);
        assert_eq!(FaceLlavaConfig::from_json(&config.to_json().to_string()).unwrap(), config);
        let scaled = GOOD.replacen('{', r#"{"cross_attn_branch_scale":0.001,"#, 1);
        assert_eq!(FaceLlavaConfig::from_json(&scaled).unwrap().frgca.attention.branch_scale, 0.001);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for (from, to) in [
            ("4096", "1000000000000000000"),
            ("4096", "-1"),
            ("4096", "4097"),
            ("\"num_hidden_layers\":32", "\"num_hidden_layers\":0"),
            ("1e-05", "NaN"),
            ("1e-05", "-1.0"),
            ("32000", "0"),
            ("\"eos_token_id\":2", "\"eos_token_id\":32000"),
            ("mlp2x_gelu", "transformer"),
            ("\"simple\"", "\"sparse\""),
            ("null", "{\"type\":\"linear\",\"factor\":2}"),
            ("\"hidden_size\":4096,", ""),
            ("1024", "0"),
        ] {
            let bad = GOOD.replacen(from, to, 1);
            assert!(FaceLlavaConfig::from_json(&bad).is_err(), "{bad}");
        }
        assert!(matches!(FaceLlavaConfig::from_json("[]"), Err(Error::Config(_))));
    }
}

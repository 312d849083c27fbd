//! The published key names of CLIP and LanguageBind towers.

use landmarks::for_many_rows;
use landmarks::quantized::Bits;
use landmarks::weights::{Key, LoadOptions, LoadReport, NamedTensors, Weights, collect_quantized, load_quantized};

use crate::{Error, Tower};

impl Tower {
    /// Fills the tower from the published names under `prefix`: `vision_model.` in a LanguageBind folder,
    /// `model.image_tower.image_tower.` or `model.video_tower.video_tower.` inside a Face-LLaVA checkpoint. Layers above
    /// the selected one are not read.
    ///
    /// # Errors
    /// As [`load_quantized`].
    pub fn load(self, weights: &Weights, prefix: &str, options: &LoadOptions) -> Result<(Self, LoadReport), Error> {
        self.load_shared(weights, prefix, prefix, options, None)
    }

    /// The same; a name that is missing under `prefix` is looked for under `shared`: a video tower that was made of an
    /// image tower need not hold again what both have. With `bits`, weights of linear layers are rounded to them.
    ///
    /// # Errors
    /// As [`load_quantized`].
    pub fn load_shared(
        self,
        weights: &Weights,
        prefix: &str,
        shared: &str,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let named = |path: &str| {
            let (own, other) = (key(prefix)(path), key(shared)(path));
            if weights.info(&own.name).is_none() && weights.info(&other.name).is_some() { other } else { own }
        };
        let (tower, report) = load_quantized(self, weights, options, |_| bits, named)?;
        // An empty tower has nothing to lay out, and must stay empty.
        Ok((if options.headers_only { tower } else { for_many_rows(tower) }, report))
    }

    /// All parameters under the published names.
    pub fn tensors(&self, prefix: &str) -> NamedTensors {
        collect_quantized(self, key(prefix))
    }
}

fn key(prefix: &str) -> impl Fn(&str) -> Key {
    move |path| Key::from(format!("{prefix}{}", published(path)))
}

fn published(path: &str) -> String {
    match path {
        "class_embedding" => "embeddings.class_embedding".into(),
        "patch_embedding" => "embeddings.patch_embedding.weight".into(),
        "position_embedding" => "embeddings.position_embedding.weight".into(),
        _ => match path.strip_prefix("pre_norm.") {
            // The published name is misspelt.
            Some(leaf) => format!("pre_layrnorm.{leaf}"),
            None => format!("encoder.{}", layer(path)),
        },
    }
}

fn layer(path: &str) -> String {
    path.replace(".temporal.embedding", ".temporal_embedding")
        .replace(".temporal.norm", ".temporal_layer_norm1")
        .replace(".temporal.attn", ".temporal_attn")
        .replace(".fc", ".mlp.fc")
}

//! The release's key names.

use landmarks::Region;
use landmarks::quantized::Bits;
use landmarks::weights::{Key, LoadOptions, LoadReport, NamedTensors, Weights, collect_quantized, load_quantized};

use crate::{Error, Frgca, ProjectorKind, Variant};

/// Key prefix of the local projector: present exactly where a checkpoint has landmark modules.
pub const LOCAL: &str = "landmarks_projector.";
const GLOBAL: &str = "global_landmarks_projector.";
const ATTENTION: &str = "landmarks_cross_attn.";

impl Frgca {
    /// Whether a checkpoint holds landmark modules under `prefix` (`model.` in the release).
    pub fn is_in(weights: &Weights, prefix: &str) -> bool {
        weights.has_prefix(&format!("{prefix}{LOCAL}"))
    }

    /// Fills the module from the release's names under `prefix`; with `bits`, weights whose shape allows are rounded to them.
    ///
    /// # Errors
    /// [`Error::Weights`].
    pub fn load(
        self,
        weights: &Weights,
        prefix: &str,
        options: &LoadOptions,
        bits: Option<Bits>,
    ) -> Result<(Self, LoadReport), Error> {
        let key = self.key(prefix);
        Ok(load_quantized(self, weights, options, |_| bits, key)?)
    }

    /// All parameters under the release's names.
    pub fn tensors(&self, prefix: &str) -> NamedTensors {
        collect_quantized(self, self.key(prefix))
    }

    fn key<'a>(&self, prefix: &'a str) -> impl Fn(&str) -> Key + use<'a> {
        let (local, global) = (self.local.kind(), self.global.as_ref().map(|g| g.kind()));
        let variant = self.attention.config().variant;
        move |path| published(path, prefix, local, global, variant)
    }
}

fn published(path: &str, prefix: &str, local: ProjectorKind, global: Option<ProjectorKind>, variant: Variant) -> Key {
    let parts: Vec<&str> = path.split('.').collect();
    match parts.as_slice() {
        ["local", "layers", i, leaf] => format!("{prefix}{LOCAL}{}", layer(local, i, leaf)).into(),
        ["global", "layers", i, leaf] => {
            format!("{prefix}{GLOBAL}{}", layer(global.unwrap_or(ProjectorKind::Linear), i, leaf)).into()
        }
        ["attention", "linear_proj", leaf] => format!("{prefix}{ATTENTION}linear_proj.{leaf}").into(),
        ["attention", "norm", leaf] => format!("{prefix}{ATTENTION}cross_attn.ln.{leaf}").into(),
        ["attention", name, leaf] => attention(&format!("{prefix}{ATTENTION}cross_attn."), name, leaf, variant),
        _ => path.into(),
    }
}

fn layer(kind: ProjectorKind, index: &str, leaf: &str) -> String {
    let i = index.parse::<usize>().unwrap_or_default();
    match kind {
        ProjectorKind::Regions => format!("region_layers.{}.{leaf}", Region::ALL[i].name()),
        ProjectorKind::Linear => leaf.to_owned(),
        // Activations take the odd places.
        ProjectorKind::Mlp(_) => format!("{}.{leaf}", 2 * i),
    }
}

/// The simple variant packs queries, keys and values into one tensor.
fn attention(cross_attn: &str, name: &str, leaf: &str, variant: Variant) -> Key {
    let part = ["q_proj", "k_proj", "v_proj"].iter().position(|n| *n == name);
    match (variant, part) {
        (Variant::Simple, Some(i)) => Key { name: format!("{cross_attn}attn.in_proj_{leaf}"), part: Some((i, 3)) },
        (Variant::Simple, None) => format!("{cross_attn}attn.{name}.{leaf}").into(),
        _ => format!("{cross_attn}{name}.{leaf}").into(),
    }
}

//! The published names: `m0.b1_4.bn1.weight`, `top_m_0.conv1.weight`, `bn_end0.bias`, ...

use super::Fan;
use crate::Error;
use crate::weights::{Key, LoadOptions, Weights, load};

/// Hourglasses in a file.
pub(super) fn modules(weights: &Weights) -> usize {
    (1..4).take_while(|i| weights.has_prefix(&format!("m{i}."))).count() + 1
}

impl Fan {
    /// Fills the network from a file with the published names.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(self, weights: &Weights, options: &LoadOptions) -> Result<Self, Error> {
        Ok(load(self, weights, options, |path| Key::from(published(path)))?.0)
    }
}

fn published(path: &str) -> String {
    let parts: Vec<&str> = path.split('.').collect();
    let (head, rest) = match parts.as_slice() {
        ["stacks", i, "m", "b2_plus", rest @ ..] => (format!("m{i}.b2_plus_1"), rest),
        ["stacks", i, "m", branch, level, rest @ ..] => {
            let level = level.parse::<usize>().unwrap_or_default() + 1;
            (format!("m{i}.{branch}_{level}"), rest)
        }
        ["stacks", i, "top_m", rest @ ..] => (format!("top_m_{i}"), rest),
        ["stacks", i, name, rest @ ..] => (format!("{name}{i}"), rest),
        [name, rest @ ..] => ((*name).to_owned(), rest),
        [] => (String::new(), [].as_slice()),
    };
    let rest = rest.join(".").replace("downsample.bn", "downsample.0").replace("downsample.conv", "downsample.2");
    format!("{head}.{rest}")
}

#[cfg(test)]
mod tests {
    use super::published;

    #[test]
    fn names_are_the_published_ones() {
        for (path, name) in [
            ("conv1.weight", "conv1.weight"),
            ("conv2.downsample.bn.running_mean", "conv2.downsample.0.running_mean"),
            ("conv4.downsample.conv.weight", "conv4.downsample.2.weight"),
            ("stacks.0.m.b1.3.bn1.weight", "m0.b1_4.bn1.weight"),
            ("stacks.2.m.b2_plus.conv3.weight", "m2.b2_plus_1.conv3.weight"),
            ("stacks.1.top_m.bn2.bias", "top_m_1.bn2.bias"),
            ("stacks.0.bn_end.weight", "bn_end0.weight"),
            ("stacks.0.conv_last.bias", "conv_last0.bias"),
        ] {
            assert_eq!(published(path), name);
        }
    }
}

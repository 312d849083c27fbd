//! Several continuations of one sequence that share their beginnings.

use std::collections::HashMap;

/// Tokens, each after its parent; those that begin alike share their nodes.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    tokens: Vec<u32>,
    parents: Vec<Option<usize>>,
    depths: Vec<usize>,
    places: HashMap<(Option<usize>, u32), usize>,
}

impl Tree {
    /// Adds a sequence of tokens and gives the node of each.
    pub fn insert(&mut self, tokens: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let mut parent = None;
        let mut path = Vec::new();
        for token in tokens {
            let next = self.tokens.len();
            let node = *self.places.entry((parent, token)).or_insert(next);
            if node == next {
                self.tokens.push(token);
                self.parents.push(parent);
                self.depths.push(path.len());
            }
            path.push(node);
            parent = Some(node);
        }
        path
    }

    /// Nodes.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The token of each node.
    pub fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// How many nodes are above each.
    pub(super) fn depths(&self) -> &[usize] {
        &self.depths
    }

    /// For each node, whether it does not see a key: `before` keys that all see, then the nodes. `[L, before + L]`.
    pub(super) fn hidden(&self, before: usize) -> Vec<bool> {
        let keys = before + self.len();
        let mut hidden = vec![true; self.len() * keys];
        for (node, row) in hidden.chunks_mut(keys).enumerate() {
            row[..before].fill(false);
            let mut above = Some(node);
            while let Some(node) = above {
                row[before + node] = false;
                above = self.parents[node];
            }
        }
        hidden
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_are_shared() {
        let mut tree = Tree::default();
        assert_eq!(tree.insert([5, 6, 7]), [0, 1, 2]);
        assert_eq!(tree.insert([5, 6]), [0, 1]);
        assert_eq!(tree.insert([5, 7]), [0, 3]);
        assert_eq!(tree.insert([6]), [4]);
        assert!(tree.insert([]).is_empty());
        assert_eq!((tree.tokens(), tree.depths()), (&[5, 6, 7, 7, 6][..], &[0, 1, 2, 1, 0][..]));
        let hidden = tree.hidden(1);
        let seen = |node: usize| (0..6).filter(|key| !hidden[node * 6 + key]).collect::<Vec<_>>();
        assert_eq!((seen(2), seen(3), seen(4)), (vec![0, 1, 2, 3], vec![0, 1, 4], vec![0, 5]));
    }
}

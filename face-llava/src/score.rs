//! How likely a model finds given answers, without generating any.

use frgca::Fusion;

use crate::decoder::Tree;
use crate::session::{Session, check_question};
use crate::slots::Slot;
use crate::{Error, Task};

/// Most candidates of one call.
const MAX_LABELS: usize = 1024;

/// Most tokens of candidates in one pass.
const MAX_NODES: usize = 512;

/// How likely one candidate is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LabelScore {
    /// Sum of the natural logarithms of its tokens' probabilities.
    pub logprob: f64,
    /// Its tokens, at least one.
    pub tokens: usize,
}

impl LabelScore {
    /// Log-likelihood of a token on average, for candidates of different lengths.
    pub fn mean(&self) -> f64 {
        self.logprob / self.tokens as f64
    }
}

impl<F: Fusion> Session<'_, F> {
    /// The log-likelihood of each candidate as the beginning of the answer to a question; nothing is generated, and
    /// the conversation stays as it is. A candidate that begins like another has its own sum: where the answer would
    /// end is not part of it.
    ///
    /// # Errors
    /// As [`Session::label_scores`].
    pub fn score(&mut self, question: &str, candidates: &[&str]) -> Result<Vec<f64>, Error> {
        Ok(self.label_scores(question, candidates)?.iter().map(|s| s.logprob).collect())
    }

    /// The same with the number of tokens of each.
    ///
    /// # Errors
    /// [`Error::Question`], [`Error::LabelCount`], [`Error::Label`] for empty and repeated ones, [`Error::Context`],
    /// [`Error::NonFinite`], [`Error::Backend`].
    pub fn label_scores(&mut self, question: &str, candidates: &[&str]) -> Result<Vec<LabelScore>, Error> {
        check_question(question)?;
        check(candidates)?;
        let prompt = self.slots(question, None)?;
        let wholes = candidates.iter().map(|c| self.slots(question, Some(c)));
        let wholes = wholes.collect::<Result<Vec<_>, Error>>()?;
        let context = self.model.network.decoder.config().context;
        let longest = wholes.iter().map(Vec::len).max().unwrap_or(0);
        if longest > context {
            return Err(Error::Context { prompt: prompt.len(), new: longest - prompt.len(), context });
        }
        // Text is encoded in one go, so the first letter of a candidate may change the prompt's last token. Every
        // candidate is scored from where all of them agree with the prompt.
        let agree = |whole: &Vec<Slot>| whole.iter().zip(&prompt).take_while(|(a, b)| a == b).count();
        let start = wholes.iter().map(agree).min().unwrap_or(0);
        if let Some(index) = wholes.iter().position(|whole| whole.len() <= start) {
            return Err(Error::Label { index, label: candidates[index].to_owned(), what: "has no tokens" });
        }
        // What stands behind the media runs with the candidates, whether or not it was in the cache already: equal calls
        // give equal bits.
        let media =
            prompt[..start].iter().rposition(|slot| matches!(slot, Slot::Visual(..))).map_or(0, |last| last + 1);
        let (_, begun) = self.begin(&prompt[..start.min(media + 1)]);
        if begun < media {
            self.append(&prompt[begun..media]);
        }
        let question = tokens(&prompt[media..start]);
        let continuations = wholes.iter().map(|whole| tokens(&whole[start..])).collect::<Vec<_>>();
        self.continuations(&question, &continuations)
    }

    /// The probability of each label of a task's closed set (expression, deepfake) against the others: the softmax of
    /// the log-likelihoods of the ways in which answers begin. Empty for the other tasks.
    ///
    /// # Errors
    /// As [`Session::label_scores`].
    pub fn probabilities(&mut self, task: Task, question: &str) -> Result<Vec<(&'static str, f64)>, Error> {
        let Some(openings) = task.openings() else { return Ok(Vec::new()) };
        let candidates: Vec<&str> = openings.iter().map(|(_, text)| *text).collect();
        let shares = softmax(&self.score(question, &candidates)?);
        Ok(openings.iter().map(|(label, _)| *label).zip(shares).collect())
    }

    /// The log-likelihood of each continuation of what is in the cache and the question. What they begin with alike is
    /// computed once, and all in one pass where the context has room for it.
    fn continuations(&mut self, question: &[u32], continuations: &[Vec<u32>]) -> Result<Vec<LabelScore>, Error> {
        let room = self.model.network.decoder.config().context - self.cache.len();
        // What a pass takes grows with the square of its nodes.
        let room = room.min(question.len() + MAX_NODES);
        let mut scores = Vec::with_capacity(continuations.len());
        let mut rest = continuations;
        while !rest.is_empty() {
            let (mut tree, mut paths) = (Tree::default(), Vec::new());
            for tokens in rest {
                // One alone always has room: its length was checked.
                if !paths.is_empty() && tree.len() + tokens.len() > room {
                    break;
                }
                // What follows a candidate's last token is not asked for.
                let asked = tokens[..tokens.len() - 1].iter();
                let mut path = tree.insert(question.iter().chain(asked).copied());
                path.drain(..question.len() - 1);
                paths.push(path);
            }
            let after = self.after(&tree, question.len() - 1)?;
            for (tokens, path) in rest.iter().zip(&paths) {
                let logprob = path.iter().zip(tokens).map(|(node, token)| after.logprob(*node, *token)).sum();
                scores.push(LabelScore { logprob, tokens: tokens.len() });
            }
            rest = &rest[paths.len()..];
        }
        Ok(scores)
    }

    /// What may follow each node of a tree from node `first` on.
    fn after(&mut self, tree: &Tree, first: usize) -> Result<After, Error> {
        let decoder = &self.model.network.decoder;
        let embeddings = decoder.embed(tree.tokens()).unsqueeze();
        let hidden = decoder.forward_tree(embeddings, &mut self.cache, tree).narrow(1, first, tree.len() - first);
        let logits: Vec<f32> = decoder.logits(hidden).try_into_vec_as().map_err(|e| Error::Backend(e.to_string()))?;
        if !logits.iter().all(|v| v.is_finite()) {
            return Err(Error::NonFinite { step: 0 });
        }
        Ok(After::new(first, logits, decoder.config().vocab))
    }
}

/// Logits of the token after each node of a tree.
#[derive(Debug)]
struct After {
    /// The first node that is asked about.
    first: usize,
    /// `[L, V]`.
    logits: Vec<f32>,
    /// Logarithm of the sum of each row's exponentials.
    totals: Vec<f64>,
    vocab: usize,
}

impl After {
    fn new(first: usize, logits: Vec<f32>, vocab: usize) -> Self {
        let total = |row: &[f32]| {
            let top = f64::from(row.iter().copied().fold(f32::NEG_INFINITY, f32::max));
            top + row.iter().map(|v| (f64::from(*v) - top).exp()).sum::<f64>().ln()
        };
        let totals = logits.chunks(vocab).map(total).collect();
        Self { first, logits, totals, vocab }
    }

    fn logprob(&self, node: usize, token: u32) -> f64 {
        let row = node - self.first;
        f64::from(self.logits[row * self.vocab + token as usize]) - self.totals[row]
    }
}

/// The ids; answers hold nothing else.
fn tokens(slots: &[Slot]) -> Vec<u32> {
    slots.iter().filter_map(|slot| if let Slot::Text(id) = slot { Some(*id) } else { None }).collect()
}

fn check(candidates: &[&str]) -> Result<(), Error> {
    if candidates.is_empty() || candidates.len() > MAX_LABELS {
        return Err(Error::LabelCount { given: candidates.len(), limit: MAX_LABELS });
    }
    let mut seen = std::collections::HashSet::new();
    for (index, label) in candidates.iter().enumerate() {
        let refuse = |what| Err(Error::Label { index, label: (*label).to_owned(), what });
        if label.trim().is_empty() {
            return refuse("is empty");
        }
        if !seen.insert(label) {
            return refuse("occurs twice");
        }
    }
    Ok(())
}

/// Shares of the exponentials; they add up to 1.
fn softmax(scores: &[f64]) -> Vec<f64> {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|s| (s - top).exp()).collect();
    let total: f64 = weights.iter().sum();
    weights.iter().map(|w| w / total).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_add_up() {
        let shares = softmax(&[-900.0, -901.0, -1e9]);
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        assert!((shares[0] / shares[1] - 1f64.exp()).abs() < 1e-9 && shares[2] == 0.0);
        let after = After::new(5, vec![1.0, 80.0, -3.0, 0.0, 0.0, 0.0], 3);
        let total = |node| (0..3).map(|token| after.logprob(node, token).exp()).sum::<f64>();
        assert!((total(5) - 1.0).abs() < 1e-12 && (total(6) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn candidates_that_cannot_be_scored_are_named() {
        assert!(matches!(check(&[]), Err(Error::LabelCount { given: 0, limit: 1024 })));
        let many: Vec<String> = (0..1025).map(|i| i.to_string()).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert!(matches!(check(&many), Err(Error::LabelCount { given: 1025, .. })));
        assert!(check(&many[1..]).is_ok());
        assert!(matches!(check(&["a", " "]), Err(Error::Label { index: 1, .. })));
        assert!(matches!(check(&["a", "b", "a"]), Err(Error::Label { index: 2, what: "occurs twice", .. })));
    }
}

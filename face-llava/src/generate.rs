//! Choosing tokens: settings, sampling, log-probabilities.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use crate::Error;

/// How an answer is chosen. The default is greedy: the same question gives the same answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sampling {
    /// 0 takes the most likely token; above it probabilities are sharpened (below 1) or flattened. At most 100.
    pub temperature: f64,
    /// Only that many of the most likely tokens; 0 for all.
    pub top_k: usize,
    /// Only the most likely tokens that together reach this probability, above 0 and at most 1.
    pub top_p: f64,
    /// Divides the score of tokens that occurred, 0.1 to 10; 1 for no effect.
    pub repetition_penalty: f64,
    /// Seed of the random numbers.
    pub seed: u64,
    /// Tokens at most, at least 1.
    pub max_new_tokens: usize,
    /// Strings that end the answer.
    pub stop: Vec<String>,
    /// Alternatives whose log-probability is reported for each token; 0 for none, at most 100.
    pub logprobs: usize,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            temperature: 0.0,
            top_k: 0,
            top_p: 1.0,
            repetition_penalty: 1.0,
            seed: 0,
            max_new_tokens: 256,
            stop: Vec::new(),
            logprobs: 0,
        }
    }
}

impl Sampling {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`Error::Setting`].
    pub fn check(&self) -> Result<(), Error> {
        let check = |ok: bool, name, value, expected| {
            if ok { Ok(()) } else { Err(Error::Setting { name, value, expected }) }
        };
        let range = |v: f64, low: f64, high: f64| (low..=high).contains(&v);
        check(range(self.temperature, 0.0, 100.0), "temperature", self.temperature, "0 to 100")?;
        let p = self.top_p;
        check(p > 0.0 && p <= 1.0, "top_p", p, "above 0, at most 1")?;
        let penalty = self.repetition_penalty;
        check(range(penalty, 0.1, 10.0), "repetition_penalty", penalty, "0.1 to 10")?;
        check(self.max_new_tokens > 0, "max_new_tokens", 0.0, "1 or more")?;
        check(self.logprobs <= 100, "logprobs", self.logprobs as f64, "0 to 100")
    }
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopReason {
    /// The model said so.
    EndOfAnswer,
    /// The limit of new tokens.
    Length,
    /// A stop string.
    StopString,
}

/// A token with its log-probability, natural logarithm, before temperature and filters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TokenLogprob {
    /// Its id.
    pub id: u32,
    /// As it is spelt.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f32,
}

/// A chosen token and its alternatives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Step {
    /// The chosen one.
    #[serde(flatten)]
    pub chosen: TokenLogprob,
    /// The most likely ones, best first.
    pub top: Vec<TokenLogprob>,
}

/// Draws tokens according to [`Sampling`].
#[derive(Debug)]
pub(crate) struct Sampler<'a> {
    settings: &'a Sampling,
    rng: ChaCha8Rng,
}

impl<'a> Sampler<'a> {
    pub fn new(settings: &'a Sampling) -> Self {
        Self { settings, rng: ChaCha8Rng::seed_from_u64(settings.seed) }
    }

    /// The next token given finite logits and the tokens so far.
    pub fn choose(&mut self, logits: &[f32], seen: &[u32]) -> u32 {
        let mut scores = logits.to_vec();
        if self.settings.repetition_penalty != 1.0 {
            let penalty = self.settings.repetition_penalty as f32;
            let mut penalised = std::collections::HashSet::new();
            for &id in seen {
                if let Some(score) = scores.get_mut(id as usize)
                    && penalised.insert(id)
                {
                    *score = if *score > 0.0 { *score / penalty } else { *score * penalty };
                }
            }
        }
        if self.settings.temperature == 0.0 {
            return best(&scores);
        }
        self.draw(&scores)
    }

    fn draw(&mut self, scores: &[f32]) -> u32 {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        // Equal scores keep the order of their ids.
        order.sort_by(|&a, &b| scores[b as usize].total_cmp(&scores[a as usize]).then(a.cmp(&b)));
        if self.settings.top_k > 0 {
            order.truncate(self.settings.top_k);
        }
        let top = f64::from(scores[order[0] as usize]);
        let weight = |id: &u32| ((f64::from(scores[*id as usize]) - top) / self.settings.temperature).exp();
        let weights: Vec<f64> = order.iter().map(weight).collect();
        let total: f64 = weights.iter().sum();
        let (mut reached, mut kept) = (0.0, 0);
        while kept < weights.len() && (kept == 0 || reached < self.settings.top_p * total) {
            reached += weights[kept];
            kept += 1;
        }
        let mut point = self.rng.random::<f64>() * reached;
        for (id, weight) in order.iter().zip(&weights).take(kept) {
            point -= weight;
            if point <= 0.0 {
                return *id;
            }
        }
        order[kept - 1]
    }
}

/// The first of the highest.
fn best(scores: &[f32]) -> u32 {
    (1..scores.len()).fold(0, |best, i| if scores[i] > scores[best] { i } else { best }) as u32
}

/// Log-probabilities of the chosen token and of the best `count`.
pub(crate) fn logprobs(logits: &[f32], chosen: u32, count: usize, spell: impl Fn(u32) -> String) -> Step {
    let top = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f64 = logits.iter().map(|v| f64::from(v - top).exp()).sum();
    let logprob = |id: u32| TokenLogprob {
        id,
        token: spell(id),
        logprob: (f64::from(logits[id as usize] - top) - total.ln()) as f32,
    };
    let mut order: Vec<u32> = (0..logits.len() as u32).collect();
    order.sort_by(|&a, &b| logits[b as usize].total_cmp(&logits[a as usize]).then(a.cmp(&b)));
    Step { chosen: logprob(chosen), top: order.into_iter().take(count).map(logprob).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 3.0, 1.0, -2.0];

    fn draws(settings: &Sampling, n: usize) -> Vec<u32> {
        let mut sampler = Sampler::new(settings);
        (0..n).map(|_| sampler.choose(&LOGITS, &[])).collect()
    }

    #[test]
    fn greedy_takes_the_first_of_equals() {
        assert_eq!(draws(&Sampling::default(), 3), [1, 1, 1]);
    }

    #[test]
    fn a_seed_repeats_and_filters_hold() {
        let warm = Sampling { temperature: 1.0, seed: 7, ..Default::default() };
        assert_eq!(draws(&warm, 50), draws(&warm, 50));
        assert_ne!(draws(&warm, 50), draws(&Sampling { seed: 8, ..warm.clone() }, 50));
        let two = Sampling { top_k: 2, ..warm.clone() };
        assert!(draws(&two, 200).iter().all(|id| [1, 2].contains(id)));
        let nucleus = Sampling { top_p: 0.4, ..warm.clone() };
        assert!(draws(&nucleus, 200).iter().all(|id| *id == 1));
        let hot = Sampling { temperature: 100.0, ..warm };
        let drawn = draws(&hot, 500);
        assert!((0..5).all(|id| drawn.contains(&id)));
    }

    #[test]
    fn frequencies_follow_the_probabilities() {
        let drawn = draws(&Sampling { temperature: 1.0, ..Default::default() }, 20_000);
        let share = drawn.iter().filter(|id| **id == 3).count() as f64 / 20_000.0;
        let expected = 1f64.exp() / LOGITS.iter().map(|v| f64::from(*v).exp()).sum::<f64>();
        assert!((share - expected).abs() < 0.01, "{share} {expected}");
    }

    #[test]
    fn penalised_tokens_lose() {
        let settings = Sampling { repetition_penalty: 2.0, ..Default::default() };
        let mut sampler = Sampler::new(&settings);
        assert_eq!(sampler.choose(&LOGITS, &[1, 1]), 2);
        assert_eq!(sampler.choose(&[-1.0, -1.5], &[0]), 1);
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let base = Sampling::default;
        for (settings, name) in [
            (Sampling { temperature: -0.1, ..base() }, "temperature"),
            (Sampling { temperature: f64::NAN, ..base() }, "temperature"),
            (Sampling { temperature: 1e9, ..base() }, "temperature"),
            (Sampling { top_p: 0.0, ..base() }, "top_p"),
            (Sampling { top_p: 1.1, ..base() }, "top_p"),
            (Sampling { repetition_penalty: 0.0, ..base() }, "repetition_penalty"),
            (Sampling { max_new_tokens: 0, ..base() }, "max_new_tokens"),
            (Sampling { logprobs: 101, ..base() }, "logprobs"),
        ] {
            assert!(matches!(settings.check(), Err(Error::Setting { name: n, .. }) if n == name));
        }
        assert!(Sampling { top_k: 0, ..base() }.check().is_ok());
    }

    #[test]
    fn logprobs_are_a_distribution() {
        let step = logprobs(&LOGITS, 3, 5, |id| id.to_string());
        let total: f32 = step.top.iter().map(|t| t.logprob.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5);
        assert_eq!(step.top.iter().map(|t| t.id).collect::<Vec<_>>(), [1, 2, 3, 0, 4]);
        assert_eq!(step.chosen.logprob, step.top[2].logprob);
    }
}

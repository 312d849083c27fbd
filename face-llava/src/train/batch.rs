//! Several examples as one input of the network, and the loss of what it says.

use burn::tensor::{FloatDType, Tensor, TensorData, activation};
use face_encoder::ops::cross_entropy;
use frgca::Fusion;
use landmarks::indices;

use super::{Example, Loss};
use crate::Network;
use crate::text::PromptToken;

/// Where everything goes: examples of one length after padding at the right, which causal attention never sees.
#[derive(Debug)]
struct Layout {
    text: Vec<u32>,
    /// For each place of each sequence its row: text first, then visual tokens.
    rows: Vec<usize>,
    /// Places whose next token is part of an answer.
    asked: Vec<usize>,
    /// Those next tokens.
    answers: Vec<Option<u32>>,
    /// Which of them begins the answers of each sequence.
    firsts: Vec<Option<usize>>,
    sequences: usize,
    length: usize,
}

impl Layout {
    /// `per_media` visual tokens for each picture or frame; the n-th placeholder of the batch takes the n-th block.
    pub fn new(examples: &[&Example], per_media: usize) -> Self {
        let length = examples.iter().map(|e| e.length(per_media)).max().unwrap_or(0);
        let text: Vec<u32> = examples
            .iter()
            .flat_map(|e| e.tokens.iter().filter_map(|t| if let PromptToken::Text(id) = t { Some(*id) } else { None }))
            .collect();
        let (mut next_text, mut next_visual) = (0, text.len());
        let (mut rows, mut asked, mut answers, mut firsts) =
            (Vec::new(), Vec::new(), Vec::<Option<u32>>::new(), Vec::new());
        for example in examples {
            let (begin, first) = (rows.len(), answers.len());
            for (token, labelled) in example.tokens.iter().zip(&example.labelled) {
                match token {
                    PromptToken::Text(id) => {
                        // The first token of all is asked for by nothing.
                        if *labelled && rows.len() > begin {
                            asked.push(rows.len() - 1);
                            answers.push(Some(*id));
                        }
                        rows.push(next_text);
                        next_text += 1;
                    }
                    PromptToken::Media(_) => {
                        rows.extend(next_visual..next_visual + per_media);
                        next_visual += per_media;
                    }
                }
            }
            rows.resize(begin + length, 0);
            firsts.push((answers.len() > first).then_some(first));
        }
        Self { text, rows, asked, answers, firsts, sequences: examples.len(), length }
    }

    /// Summed cross-entropy of the answers.
    ///
    /// # Shapes
    /// - visual `[blocks, per_media, D]`, none for text alone
    pub fn loss<F: Fusion>(
        &self,
        network: &Network<F>,
        visual: Option<Tensor<3>>,
        openings: &[Option<Opening>],
    ) -> Loss {
        let decoder = &network.decoder;
        let terms = self.answers.len();
        let mut table = decoder.embed(&self.text);
        let (device, d) = (table.device(), table.dims()[1]);
        if let Some(visual) = visual {
            let [blocks, n, _] = visual.dims();
            table = Tensor::cat(vec![table, visual.reshape([blocks * n, d])], 0);
        }
        if terms == 0 {
            return Loss { sum: table.sum() * 0.0, terms };
        }
        let embeddings =
            table.select(0, indices(self.rows.iter().copied(), &device)).reshape([self.sequences, self.length, d]);
        let hidden = decoder.forward_full(embeddings).reshape([self.sequences * self.length, d]);
        let logits = decoder.logits(hidden.select(0, indices(self.asked.iter().copied(), &device)));
        let logits = logits.cast(FloatDType::F32);
        let mut answers = self.answers.clone();
        let (mut rows, mut shares) = (Vec::new(), Vec::new());
        for (first, opening) in self.firsts.iter().zip(openings) {
            let (Some(first), Some(opening)) = (first, opening) else { continue };
            answers[*first] = None;
            rows.push(*first);
            let mut row = vec![0.0_f32; logits.dims()[1]];
            opening.iter().for_each(|(token, share)| row[*token as usize] += share);
            shares.extend(row);
        }
        if rows.is_empty() {
            // Nobody else holds the logits: they are worked on in place.
            return Loss { sum: cross_entropy(logits, &answers), terms };
        }
        let shape = [rows.len(), logits.dims()[1]];
        let scores = activation::log_softmax(logits.clone().select(0, indices(rows, &device)), 1);
        let opened = (scores * Tensor::from_data(TensorData::new(shares, shape), &device)).sum();
        let sum = cross_entropy(logits, &answers) - opened;
        Loss { sum, terms }
    }
}

/// Shares of the tokens that an answer may begin with, which take the place of the one that it does begin with. Their sum is how
/// much they count.
pub(super) type Opening = Vec<(u32, f32)>;

/// Summed cross-entropy of the answers in some examples (next-token prediction, labels on answers alone).
///
/// # Shapes
/// - visual `[blocks, N, D]`: visual tokens for each picture or frame of the examples, in order; none for text alone
pub fn answer_loss<F: Fusion>(network: &Network<F>, examples: &[&Example], visual: Option<Tensor<3>>) -> Loss {
    opening_loss(network, examples, visual, &[])
}

/// The same with openings for some examples.
pub(super) fn opening_loss<F: Fusion>(
    network: &Network<F>,
    examples: &[&Example],
    visual: Option<Tensor<3>>,
    openings: &[Option<Opening>],
) -> Loss {
    let per_media = visual.as_ref().map_or(0, |v| v.dims()[1]);
    Layout::new(examples, per_media).loss(network, visual, openings)
}

//! A small vocabulary for a small model, learnt from the texts it will meet.

use serde_json::{Value, json};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::tokenizer::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer};

use crate::Error;

/// Begins and ends texts, as in Llama's vocabulary, and stands for nothing.
const MARKERS: [&str; 3] = ["<unk>", "<s>", "</s>"];

/// Learns a byte-pair vocabulary of about `size` tokens and gives the content of a tokenizer.json of Llama's kind: three
/// markers, one token for each byte, then what the texts made of it. Bytes that the texts never showed are spelt out.
///
/// # Errors
/// [`Error::Tokenizer`].
pub fn learn_vocabulary(texts: &[String], size: usize) -> Result<Vec<u8>, Error> {
    let fail = |e: tokenizers::Error| Error::Tokenizer(e.to_string());
    let fixed = MARKERS.len() + 256;
    let mut trainer =
        BpeTrainer::builder().show_progress(false).min_frequency(2).vocab_size(size.saturating_sub(fixed)).build();
    let spaces = Metaspace::new('\u{2581}', PrependScheme::Always, true);
    let words = |text: &str| {
        let mut split = PreTokenizedString::from(text);
        spaces.pre_tokenize(&mut split)?;
        let parts = split.get_splits(OffsetReferential::Original, OffsetType::Char);
        Ok(parts.into_iter().map(|(word, ..)| word.to_owned()).collect())
    };
    trainer.feed(texts.iter(), words).map_err(fail)?;
    let mut model = BPE::default();
    trainer.train(&mut model).map_err(fail)?;
    let learnt = serde_json::to_value(&model).map_err(|e| Error::Tokenizer(e.to_string()))?;
    let mut tokens: Vec<(&String, u64)> =
        learnt["vocab"].as_object().into_iter().flatten().filter_map(|(t, id)| Some((t, id.as_u64()?))).collect();
    tokens.sort_by_key(|(_, id)| *id);
    let bytes = (0..=255_u8).map(|byte| format!("<0x{byte:02X}>"));
    let all = MARKERS.into_iter().map(str::to_owned).chain(bytes).chain(tokens.into_iter().map(|(t, _)| t.clone()));
    let vocab: Value =
        all.enumerate().map(|(id, token)| (token, Value::from(id))).collect::<serde_json::Map<_, _>>().into();
    let marker = |(id, content): (usize, &&str)| {
        json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true})
    };
    let file = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": MARKERS.iter().enumerate().map(marker).collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "always", "split": true},
        "post_processor": null,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "},
            {"type": "ByteFallback"},
            {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0},
        ]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
            "vocab": vocab, "merges": learnt["merges"]},
    });
    serde_json::to_vec(&file).map_err(|e| Error::Tokenizer(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Tokenizer;

    #[test]
    fn what_was_learnt_comes_back_and_the_rest_is_spelt_in_bytes() {
        let texts: Vec<String> = ["the mouth is open", "the mouth is closed\nthe eyes are open"]
            .iter()
            .cycle()
            .take(20)
            .map(|t| (*t).into())
            .collect();
        let json = learn_vocabulary(&texts, 320).unwrap();
        assert_eq!(json, learn_vocabulary(&texts, 320).unwrap());
        let tokenizer = Tokenizer::from_bytes(&json, 320, 1, 2).unwrap();
        for text in ["the eyes are closed", "naïve 漢 🙂 </s>", "the\nmouth"] {
            let ids = tokenizer.encode_text(text).unwrap();
            assert_eq!(tokenizer.decode(&ids).unwrap(), text, "{ids:?}");
        }
        assert_eq!(tokenizer.encode_text("the mouth").unwrap().len(), 2);
    }
}

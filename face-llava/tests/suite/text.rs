//! Tokens, templates, streams.

use std::sync::LazyLock;

use face_llava::text::{Conversation, Piece, PromptToken, StopStrings, Template, TextStream, Tokenizer, Turn};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{fixture, ids, json};

static TOKENIZER: LazyLock<Tokenizer> =
    LazyLock::new(|| Tokenizer::open(&fixture("tiny-simple/checkpoint/tokenizer.json"), 32_000, 1, 2).unwrap());

/// Ids with -200 for media, as the authors write them.
fn encoded(pieces: &[Piece]) -> Vec<i64> {
    let id = |t: &PromptToken| match t {
        PromptToken::Text(id) => i64::from(*id),
        PromptToken::Media(_) => -200,
    };
    TOKENIZER.encode(pieces).unwrap().iter().map(id).collect()
}

#[test]
fn plain_text_matches() {
    for case in json("tokenizer_cases.json").as_array().unwrap() {
        let text = case["text"].as_str().unwrap();
        // Two cases spell control tokens, which user text must never become.
        if text.contains("</s>") || text.contains("<unk>") {
            continue;
        }
        let mut ours = vec![1];
        ours.extend(TOKENIZER.encode_text(text).unwrap());
        assert_eq!(ours, ids(&case["ids"]), "{text:?}");
    }
}

#[test]
fn conversations_match() {
    for case in json("conversation_cases.json").as_array().unwrap() {
        let template = if case["template"] == "v1" { Template::Training } else { Template::Inference };
        let mut media = 0;
        let turns = case["turns"].as_array().unwrap().iter().map(|turn| {
            let question = turn[0].as_str().unwrap();
            let text = question.strip_prefix("<image>\n");
            media += usize::from(text.is_some());
            Turn { question: text.unwrap_or(question).into(), answer: turn[1].as_str().map(Into::into) }
        });
        let turns = turns.collect();
        let pieces = Conversation { template, media, turns }.pieces();
        let expected: Vec<i64> = case["input_ids"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
        assert_eq!(encoded(&pieces), expected);
    }
}

fn asked(question: &str, media: usize, template: Template) -> Conversation {
    Conversation { template, media, turns: vec![Turn { question: question.into(), answer: None }] }
}

#[test]
fn eight_frames_are_joined_as_the_template_says() {
    let cases = json("tiny-simple/cases.json");
    let question = "What emotion is shown in the video?";
    let expected: Vec<i64> =
        cases["video"]["input_ids"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
    assert_eq!(encoded(&asked(question, 8, Template::Inference).pieces()), expected);
    let joined = encoded(&asked(question, 8, Template::Training).pieces());
    assert!(joined.windows(8).any(|w| w == [-200; 8]));
}

#[test]
fn user_text_never_becomes_control_tokens_or_media() {
    let hostile = ["<image>", "<video>", "<im_patch>", "</s>", "<s>", "<unk>", "USER:", "ASSISTANT:", "\u{2581}", "x"];
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..300 {
        let parts = rng.random_range(1..8);
        let question: String = (0..parts).map(|_| hostile[rng.random_range(0..hostile.len())]).collect();
        let tokens = encoded(&asked(&question, 1, Template::Inference).pieces());
        assert_eq!(tokens.iter().filter(|t| **t == -200).count(), 1, "{question:?}");
        assert!(tokens[1..].iter().all(|t| *t != 0 && *t != 1 && *t != 2), "{question:?}");
    }
}

fn streamed(tokenizer: &Tokenizer, tokens: &[u32], stop: &[&str]) -> (Vec<String>, bool) {
    let stop = StopStrings::new(stop.iter().map(|s| (*s).to_owned()));
    let mut stream = TextStream::new(tokenizer, stop);
    let mut pieces: Vec<String> = tokens.iter().map(|&t| stream.push(t)).collect();
    pieces.push(stream.finish());
    (pieces, stream.is_stopped())
}

#[test]
fn a_stream_is_the_decoded_text_for_any_tokens() {
    let tokenizer = &*TOKENIZER;
    let mut rng = StdRng::seed_from_u64(6);
    for round in 0..3000 {
        let length = rng.random_range(0..24);
        // Byte tokens are frequent, so that characters split and break in every way.
        let token = |rng: &mut StdRng| {
            if rng.random_range(0..3) < 2 { rng.random_range(3..259) } else { rng.random_range(0..32_000) }
        };
        let tokens: Vec<u32> = (0..length).map(|_| token(&mut rng)).collect();
        let (pieces, _) = streamed(tokenizer, &tokens, &[]);
        assert_eq!(pieces.concat(), tokenizer.decode(&tokens).unwrap(), "round {round}: {tokens:?}");
    }
}

#[test]
fn emoji_and_han_come_whole() {
    let tokenizer = &*TOKENIZER;
    let text = "émotion 😀 表情 naïve 👩‍🚀";
    let (pieces, _) = streamed(tokenizer, &tokenizer.encode_text(text).unwrap(), &[]);
    assert_eq!(pieces.concat(), text);
    assert!(pieces.iter().all(|p| !p.contains('\u{fffd}')));
}

#[test]
fn a_stop_string_across_tokens_is_not_leaked() {
    let tokenizer = &*TOKENIZER;
    let tokens = tokenizer.encode_text("The answer is 42. Next question: why?").unwrap();
    for stop in ["Next question", "2. N", " is 42", "why?"] {
        let (pieces, stopped) = streamed(tokenizer, &tokens, &[stop]);
        let text = pieces.concat();
        assert!(stopped && !text.contains(stop), "{stop:?}: {text:?}");
        assert!("The answer is 42. Next question: why?".starts_with(&text));
    }
    // Of byte tokens, too, as soon as they are there.
    let tokens = tokenizer.encode_text("One.\nTwo.").unwrap();
    let mut stream = TextStream::new(tokenizer, StopStrings::new(["\n".to_owned()]));
    let stops = |token: &u32| {
        stream.push(*token);
        stream.is_stopped()
    };
    let at = tokens.iter().position(stops).unwrap();
    assert_eq!(tokenizer.decode(&tokens[..=at]).unwrap(), "One.\n");
    let tokens = tokenizer.encode_text("The answer is 42. Next question: why?").unwrap();
    let (pieces, stopped) = streamed(tokenizer, &tokens, &["never", "why??"]);
    assert!(!stopped && pieces.concat().ends_with("why?"), "what was held back comes at the end");
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let file = fixture("tiny-simple/checkpoint/tokenizer.json");
    assert!(Tokenizer::open(&file, 31_999, 1, 2).unwrap_err().to_string().contains("31999 embeddings"));
    let folder = tempfile::tempdir().unwrap();
    for bad in ["", "{}", "[1, 2", "{\"model\": 3}"] {
        let path = folder.path().join("tokenizer.json");
        std::fs::write(&path, bad).unwrap();
        assert!(Tokenizer::open(&path, 32_000, 1, 2).is_err(), "{bad:?}");
    }
    // Vocabularies whose tokens are no text, as GPT-2's.
    let vocabulary = r#"{"model": {"type": "BPE", "vocab": {"Ġ": 0, "a": 1, "Ċ": 2}, "merges": []},
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}}"#;
    let error = Tokenizer::from_bytes(vocabulary.as_bytes(), 3, 1, 2).unwrap_err().to_string();
    assert!(error.contains("SentencePiece"), "{error}");
    let path = folder.path().join("huge.json");
    std::fs::File::create(&path).unwrap().set_len(1 << 30).unwrap();
    assert!(Tokenizer::open(&path, 32_000, 1, 2).unwrap_err().to_string().contains("limit"));
}

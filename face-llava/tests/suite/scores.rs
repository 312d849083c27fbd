//! Scoring given answers: by hand from full forward passes, repeatedly, and with what cannot be scored.

use burn::tensor::Tensor;
use face_encoder::image_pixels;
use face_llava::text::{Conversation, Piece, PromptToken, Turn};
use face_llava::{Error, FaceLlava, FaceOptions, LandmarkSource, Media, Sampling, SessionOptions, Task};

use crate::{crop, device, model, values};

/// Sums of log-probabilities by two ways of computing them, f32.
const TOLERANCE: f64 = 1e-4;

/// One label alone and among others, in one pass.
const ALONE: f64 = 1e-5;

const QUESTION: &str = "What emotion is shown?";
/// Several begin like others.
const CANDIDATES: [&str; 7] =
    ["Happiness.", "Happi", "Happiness", "Happiness. The lips are parted.", "Sadness.", "7", "\u{1f642}"];

fn options() -> SessionOptions {
    SessionOptions {
        sampling: Sampling { max_new_tokens: 4, ..Default::default() },
        faces: FaceOptions { detect: false, landmarks: LandmarkSource::Without, ..Default::default() },
        ..Default::default()
    }
}

/// The conversation as tokens, without the end of its answer.
fn encode(model: &FaceLlava, media: usize, answer: Option<&str>) -> Vec<PromptToken> {
    let turn = Turn { question: QUESTION.into(), answer: answer.map(Into::into) };
    let mut pieces = Conversation { media, turns: vec![turn], ..Default::default() }.pieces();
    pieces.retain(|piece| *piece != Piece::EndOfAnswer);
    model.tokenizer.encode(&pieces).unwrap()
}

/// The score of a candidate from one pass over prompt and candidate, without a cache.
fn by_hand(model: &FaceLlava, features: Option<&Tensor<2>>, candidate: &str) -> f64 {
    let media = usize::from(features.is_some());
    let whole = encode(model, media, Some(candidate));
    let new = whole.len() - encode(model, media, None).len();
    let decoder = &model.network.decoder;
    let embeddings = whole.iter().map(|token| match token {
        PromptToken::Text(id) => decoder.embed(&[*id]),
        PromptToken::Media(_) => features.unwrap().clone(),
    });
    let hidden = decoder.forward_full(Tensor::cat(embeddings.collect(), 0).unsqueeze());
    let length = hidden.dims()[1];
    let logits = values(decoder.logits(hidden.narrow(1, length - new - 1, new)));
    let rows = logits.chunks(decoder.config().vocab).zip(&whole[whole.len() - new..]);
    rows.map(|(row, token)| {
        let PromptToken::Text(id) = token else { panic!("{token:?}") };
        let total: f64 = row.iter().map(|v| f64::from(*v).exp()).sum();
        f64::from(row[*id as usize]) - total.ln()
    })
    .sum()
}

#[test]
fn scores_are_sums_of_log_probabilities() {
    let model = model();
    let media = Media::open(crop()).unwrap();
    let size = model.network.image_tower.as_ref().unwrap().config().image_size;
    let pixels = image_pixels(&media.frames()[0], size, &device()).unsqueeze();
    let features: Tensor<2> = model.network.image_features(pixels, None).unwrap().squeeze_dim(0);
    let mut session = model.session(options());
    for features in [None, Some(&features)] {
        if features.is_some() {
            session.set_media(&media).unwrap();
        }
        let scores = session.label_scores(QUESTION, &CANDIDATES).unwrap();
        for (score, candidate) in scores.iter().zip(CANDIDATES) {
            let expected = by_hand(&model, features, candidate);
            assert!((score.logprob - expected).abs() < TOLERANCE, "{candidate}: {} {expected}", score.logprob);
        }
        // A continuation is less likely than its beginning, and longer.
        assert!(scores[0].logprob > scores[3].logprob && scores[0].tokens < scores[3].tokens);
        assert!((scores[3].mean() * scores[3].tokens as f64 - scores[3].logprob).abs() < 1e-9);
        let alone = session.score(QUESTION, &CANDIDATES[2..3]).unwrap();
        assert!((alone[0] - scores[2].logprob).abs() < ALONE, "the other candidates change nothing");
    }
}

#[test]
fn more_candidates_than_fit_into_a_pass_are_shared_out() {
    let model = model();
    let mut session = model.session(options());
    let words: Vec<String> = (0..240).map(|i| format!("{i:03} {:03}", 997 - i)).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let all = session.label_scores(QUESTION, &words).unwrap();
    assert!(all.iter().map(|score| score.tokens).sum::<usize>() > 1000, "several passes");
    for place in [0, 70, 130, 239] {
        let alone = session.score(QUESTION, &words[place..=place]).unwrap()[0];
        assert!((alone - all[place].logprob).abs() < ALONE, "{place}: {alone} {}", all[place].logprob);
    }
}

#[test]
fn equal_calls_give_equal_bits() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let score = |before: &[&str]| {
        let mut session = model.session(options());
        session.set_media(&media).unwrap();
        for question in before {
            session.score(question, &CANDIDATES[..2]).unwrap();
        }
        session.score(QUESTION, &CANDIDATES).unwrap()
    };
    let first = score(&[]);
    for _ in 0..3 {
        assert_eq!(score(&[]), first);
    }
    assert_eq!(score(&[QUESTION, QUESTION]), first);
    for (a, b) in score(&["Guess the age."]).iter().zip(&first) {
        assert!((a - b).abs() < TOLERANCE);
    }
}

#[test]
fn scoring_leaves_the_conversation_alone() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut plain = model.session(SessionOptions { history: true, ..options() });
    let mut scored = model.session(SessionOptions { history: true, ..options() });
    plain.set_media(&media).unwrap();
    scored.set_media(&media).unwrap();
    for question in ["Guess the age.", "Why?"] {
        scored.score(question, &CANDIDATES).unwrap();
        let (a, b) = (plain.ask(question).unwrap(), scored.ask(question).unwrap());
        assert_eq!((a.token_ids, a.prompt_tokens), (b.token_ids, b.prompt_tokens));
        scored.score("Something else?", &CANDIDATES[..1]).unwrap();
    }
}

#[test]
fn probabilities_are_for_tasks_with_one_label() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(options());
    session.set_media(&media).unwrap();
    for (task, labels) in [(Task::Expression, 7), (Task::Deepfake, 2), (Task::Age, 0), (Task::ActionUnits, 0)] {
        let shares = session.probabilities(task, task.questions()[0]).unwrap();
        assert_eq!(shares.len(), labels);
        let total: f64 = shares.iter().map(|(_, p)| p).sum();
        assert!(labels == 0 || (total - 1.0).abs() < 1e-9);
        for (label, _) in shares {
            let opening = task.openings().unwrap().iter().find(|(l, _)| *l == label).unwrap().1;
            assert_eq!(task.labels_of(opening).unwrap(), [label]);
        }
    }
}

#[test]
fn a_task_is_asked_and_read() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(options());
    session.set_media(&media).unwrap();
    for task in Task::ALL {
        let answer = session.run(task).unwrap();
        assert_eq!(answer.settings.question, task.questions()[0]);
        assert_eq!(answer.raw, session.ask(task.questions()[0]).unwrap().text);
        assert_eq!(answer.unparsed, task.labels_of(&answer.raw).is_none());
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(json["task"], task.name());
        assert!(json["face"].is_array() && json["settings"]["sampling"]["seed"] == 0 && !answer.landmarks_used);
    }
}

#[test]
fn what_cannot_be_scored_is_refused() {
    let model = model();
    let mut session = model.session(options());
    let mut score = |question: &str, candidates: &[&str]| session.score(question, candidates);
    assert!(matches!(score(QUESTION, &[]), Err(Error::LabelCount { given: 0, limit: 1024 })));
    let many: Vec<String> = (0..1025).map(|i| i.to_string()).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(matches!(score(QUESTION, &many), Err(Error::LabelCount { given: 1025, .. })));
    assert!(matches!(score(QUESTION, &["a", "b", "a"]), Err(Error::Label { index: 2, .. })));
    assert!(matches!(score(QUESTION, &["a", "\n"]), Err(Error::Label { index: 1, .. })));
    assert!(matches!(score(" ", &["a"]), Err(Error::Question { .. })));
    assert!(matches!(score(QUESTION, &["word ".repeat(5000).as_str()]), Err(Error::Context { context: 4096, .. })));
    assert!(score(QUESTION, &["a"]).unwrap()[0] < 0.0, "an error leaves the session usable");
}

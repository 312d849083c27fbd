//! Sessions: what is reused, what must not leak, what is refused.

use burn::tensor::{Distribution, Tensor};
use face_encoder::video::Clip;
use face_llava::decoder::LlamaConfig;
use face_llava::text::Template;
use face_llava::{Error, FaceLlava, FaceOptions, LandmarkSource, Media, Sampling, SessionOptions, StopReason};
use image::{Rgb, RgbImage};
use landmarks::{Landmarks, UnitPoint};

use crate::{astronaut, crop, device, error, model, values};

fn options(tokens: usize) -> SessionOptions {
    SessionOptions {
        sampling: Sampling { max_new_tokens: tokens, ..Default::default() },
        faces: FaceOptions { detect: false, ..Default::default() },
        ..Default::default()
    }
}

fn answer(model: &FaceLlava, options: SessionOptions, media: &Media, question: &str) -> face_llava::Answer {
    let mut session = model.session(options);
    session.set_media(media).unwrap();
    session.ask(question).unwrap()
}

#[test]
fn a_photo_goes_the_whole_way() {
    let model = model();
    let options = SessionOptions { faces: FaceOptions::default(), ..options(8) };
    let found = answer(&model, options, &Media::open(astronaut()).unwrap(), "What emotion is shown?");
    assert!(found.landmarks_used);
    assert_eq!((found.face.len(), found.face[0].of), (1, 1));
    assert!((found.face[0].crop.x - 177.0).abs() < 1.0);
    assert_eq!(found.token_ids.len(), 8);
    assert_eq!(found.stop_reason, StopReason::Length);
}

#[test]
fn the_second_question_reuses_the_shared_prefix_and_changes_nothing() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(options(6));
    session.set_media(&media).unwrap();
    session.ask("Guess the age.").unwrap();
    let second = session.ask("What emotion is shown?").unwrap();
    // System text, 256 visual tokens, line break.
    assert!(second.reused_tokens > 256, "{}", second.reused_tokens);
    let fresh = answer(&model, options(6), &media, "What emotion is shown?");
    assert_eq!(second.token_ids, fresh.token_ids);
    assert_eq!(fresh.reused_tokens, 0);
    let again = session.ask("What emotion is shown?").unwrap();
    assert_eq!(again.token_ids, fresh.token_ids);
}

#[test]
fn nothing_leaks_from_one_media_to_the_next() {
    let model = model();
    let (a, b) = (Media::open(crop()).unwrap(), Media::from_image(RgbImage::from_pixel(256, 256, Rgb([40, 90, 160]))));
    let mut options = options(6);
    options.sampling.logprobs = 2;
    let mut session = model.session(options.clone());
    session.set_media(&a).unwrap();
    let first = session.ask("Guess the age.").unwrap().token_ids;
    session.set_media(&b).unwrap();
    let other = session.ask("Guess the age.").unwrap();
    // The system text alone, and to the last bit.
    assert!((1..64).contains(&other.reused_tokens), "{}", other.reused_tokens);
    let fresh = answer(&model, options, &b, "Guess the age.");
    assert_eq!((&other.token_ids, &other.logprobs), (&fresh.token_ids, &fresh.logprobs));
    session.set_media(&a).unwrap();
    assert_eq!(session.ask("Guess the age.").unwrap().token_ids, first);
}

#[test]
fn fewer_visual_tokens_shorten_the_prompt_by_as_many() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let ask = |visual_tokens| {
        answer(&model, SessionOptions { visual_tokens, ..options(2) }, &media, "Guess the age.").prompt_tokens
    };
    let whole = ask(None);
    assert_eq!((whole - ask(Some(100)), ask(Some(256)), ask(Some(999))), (156, whole, whole));
    let landmarks = LandmarkSource::Without;
    let faces = FaceOptions { detect: false, landmarks, ..FaceOptions::default() };
    let mut session = model.session(SessionOptions { visual_tokens: Some(9), faces, ..options(2) });
    assert!(matches!(session.set_media(&media), Err(Error::Setting { name: "visual_tokens", .. })));
    let mut none = model.session(SessionOptions { visual_tokens: Some(0), ..options(2) });
    assert!(matches!(none.set_media(&media), Err(Error::Setting { name: "visual_tokens", .. })));
}

#[test]
fn answers_tell_how_their_media_were_shown() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(options(2));
    session.set_media(&media).unwrap();
    // What is changed now holds from the next media on.
    session.options_mut().faces = FaceOptions::default();
    session.options_mut().visual_tokens = Some(9);
    session.options_mut().pad_to_square = true;
    let settings = session.run(face_llava::Task::Age).unwrap().settings;
    assert_eq!((settings.detect, settings.visual_tokens, settings.pad_to_square), (false, None, false));
    // Landmarks that no fusion takes in guide nothing.
    let prepared = model.prepare(&media, &options(2).faces).unwrap();
    let plain = model.with_fusion::<frgca::Frgca>(None);
    let mut session = plain.session(options(2));
    session.set_prepared(prepared.clone()).unwrap();
    assert!(!session.landmarks_used() && !session.ask("Guess the age.").unwrap().landmarks_used);
    session.options_mut().visual_tokens = Some(9);
    assert!(matches!(session.set_prepared(prepared), Err(Error::Setting { name: "visual_tokens", .. })));
}

#[test]
fn clips_from_memory_have_as_many_frames_as_the_tower_reads() {
    let model = model();
    let frame = image::open(crop()).unwrap().into_rgb8();
    let clip = |n: usize| {
        let (frames, indices) = (vec![frame.clone(); n], (0..n).collect());
        Media::from_clip(Clip { frames, indices, times: None, total: n, warnings: Vec::new() })
    };
    assert!(answer(&model, options(2), &clip(8), "Guess the age.").prompt_tokens > 8 * 257);
    let mut session = model.session(options(2));
    assert!(matches!(session.set_media(&clip(9)), Err(Error::Setting { name: "frames of the clip", .. })));
    assert!(matches!(session.set_media(&clip(0)), Err(Error::NoFace { .. })));
    let empty = Media::from_image(RgbImage::new(0, 5));
    assert!(matches!(session.set_media(&empty), Err(Error::Landmarks(landmarks::Error::PictureSize { .. }))));
}

#[test]
fn history_is_part_of_the_prompt_only_where_asked() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(SessionOptions { history: true, ..options(4) });
    session.set_media(&media).unwrap();
    let first = session.ask("Guess the age.").unwrap();
    let second = session.ask("Why?").unwrap();
    assert!(second.prompt_tokens > first.prompt_tokens);
    assert!(second.reused_tokens >= first.prompt_tokens - 1);
    // What was said is forgotten, the picture is not.
    session.forget_turns();
    let fresh = session.ask("Guess the age.").unwrap();
    assert_eq!((fresh.token_ids, fresh.prompt_tokens), (first.token_ids.clone(), first.prompt_tokens));
    assert!(fresh.landmarks_used && fresh.reused_tokens == first.prompt_tokens - 1);
    let mut alone = model.session(options(4));
    alone.set_media(&media).unwrap();
    alone.ask("Guess the age.").unwrap();
    assert!(alone.ask("Why?").unwrap().prompt_tokens < first.prompt_tokens);
}

#[test]
fn text_alone_and_streams_and_logprobs() {
    let model = model();
    let mut session = model.session(options(12));
    session.options_mut().sampling.logprobs = 3;
    let mut streamed = String::new();
    let answer = session.ask_stream("no picture here", |piece| streamed.push_str(piece)).unwrap();
    assert_eq!(streamed.trim(), answer.text);
    assert_eq!(answer.reused_tokens, 0);
    assert!(!answer.landmarks_used && answer.face.is_empty());
    assert_eq!(answer.logprobs.len(), answer.token_ids.len());
    for (step, id) in answer.logprobs.iter().zip(&answer.token_ids) {
        assert_eq!((step.chosen.id, step.top[0].id, step.top.len()), (*id, *id, 3));
        assert!(step.chosen.logprob <= 0.0);
    }
}

#[test]
fn a_stop_string_ends_the_answer() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let whole = answer(&model, options(20), &media, "Guess the age.");
    let stop: String = whole.text.chars().skip(8).take(6).collect();
    let mut settings = options(20);
    settings.sampling.stop = vec![stop.clone()];
    let cut = answer(&model, settings, &media, "Guess the age.");
    assert_eq!(cut.stop_reason, StopReason::StopString);
    assert!(whole.text.starts_with(&cut.text) && !cut.text.contains(&stop));
}

#[test]
fn seeds_repeat_and_templates_differ() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut warm = options(10);
    warm.sampling.temperature = 1.5;
    let run = |o: &SessionOptions| answer(&model, o.clone(), &media, "Guess the age.");
    assert_eq!(run(&warm).token_ids, run(&warm).token_ids);
    let mut other = warm.clone();
    other.sampling.seed = 1;
    assert_ne!(run(&warm).token_ids, run(&other).token_ids);
    let training = SessionOptions { template: Template::Training, ..options(4) };
    assert_eq!(run(&training).prompt_tokens, run(&options(4)).prompt_tokens);
}

#[test]
fn what_cannot_be_asked_is_refused_with_numbers() {
    let (model, media) = (model(), Media::open(crop()).unwrap());
    let mut session = model.session(options(8));
    session.set_media(&media).unwrap();
    for question in ["", "  \n\t"] {
        assert!(matches!(session.ask(question), Err(Error::Question { .. })));
    }
    assert!(matches!(session.ask(&"x".repeat(1 << 20)), Err(Error::Question { limit: 65_536, .. })));
    match session.ask(&"word ".repeat(5000)) {
        Err(Error::Context { prompt, new: 8, context: 4096 }) => assert!(prompt > 5000),
        other => panic!("{other:?}"),
    }
    session.options_mut().sampling.max_new_tokens = 4000;
    assert!(matches!(session.ask("Guess the age."), Err(Error::Context { new: 4000, .. })));
    session.options_mut().sampling = Sampling { max_new_tokens: 2, ..Default::default() };
    assert!(session.ask("Guess the age.").is_ok(), "an error leaves the session usable");
    // Marks that turn the reading direction, NUL and the like are text.
    assert!(session.ask("What \u{202e}is\u{0} this\u{feff}?").is_ok());
}

#[test]
fn no_face_is_said_and_landmarks_are_checked() {
    let model = model();
    let empty = Media::from_image(RgbImage::new(300, 200));
    let mut session = model.session(SessionOptions::default());
    assert!(matches!(session.set_media(&empty), Err(Error::NoFace { .. })));
    let points = |v| Landmarks::new([UnitPoint::new(v, v); 68]);
    let mut with = |sets| {
        session.options_mut().faces =
            FaceOptions { detect: false, landmarks: LandmarkSource::Given(sets), ..Default::default() };
        session.set_media(&empty).map(<[_]>::len)
    };
    assert!(matches!(with(vec![points(0.5); 2]), Err(Error::LandmarkFrames { given: 2, frames: 1 })));
    assert!(with(vec![points(100.0)]).is_err() && with(vec![points(f32::NAN)]).is_err());
    assert_eq!(with(vec![points(0.5)]).unwrap(), 1, "all points in one place are no reason for NaN");
}

fn gif(frames: &[RgbImage]) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clip.gif");
    let mut encoder = image::codecs::gif::GifEncoder::new_with_speed(std::fs::File::create(&path).unwrap(), 10);
    for frame in frames {
        let rgba = image::DynamicImage::from(frame.clone()).into_rgba8();
        encoder.encode_frame(image::Frame::new(rgba)).unwrap();
    }
    drop(encoder);
    (folder, path)
}

#[test]
fn a_clip_is_tracked_and_gaps_are_told() {
    let model = model();
    let face = landmarks::open(astronaut()).unwrap().rgb;
    let blank = RgbImage::from_pixel(face.width(), face.height(), Rgb([60, 60, 60]));
    let frames: Vec<RgbImage> = (0..8).map(|i| if i == 3 { blank.clone() } else { face.clone() }).collect();
    let (_folder, path) = gif(&frames);
    let options = SessionOptions { faces: FaceOptions::default(), ..options(2) };
    let found = answer(&model, options, &Media::open(path).unwrap(), "What emotion is shown?");
    assert_eq!(
        found.face.iter().map(|f| f.seen).collect::<Vec<_>>(),
        [true, true, true, false, true, true, true, true]
    );
    assert!(found.landmarks_used && found.prompt_tokens > 8 * 257);
}

/// Pictures of a folder may differ in size: the place of a face in one means nothing in another.
#[test]
fn a_gap_in_a_folder_of_different_sizes_is_bridged() {
    let (folder, model) = (tempfile::tempdir().unwrap(), model());
    let face = landmarks::open(astronaut()).unwrap().rgb;
    face.save(folder.path().join("0.png")).unwrap();
    RgbImage::from_pixel(120, 120, Rgb([60, 60, 60])).save(folder.path().join("1.png")).unwrap();
    let options = SessionOptions { faces: FaceOptions::default(), ..options(2) };
    let found = answer(&model, options, &Media::open(folder.path()).unwrap(), "What emotion is shown?");
    let seen: Vec<bool> = found.face.iter().map(|f| f.seen).collect();
    assert!(seen.contains(&true) && seen.contains(&false), "{seen:?}");
    assert!(found.face.iter().all(|f| f.crop == found.face[0].crop));
}

fn small() -> LlamaConfig {
    LlamaConfig {
        vocab: 50,
        width: 32,
        mlp_width: 48,
        layers: 3,
        heads: 4,
        kv_heads: 2,
        context: 600,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
    }
}

#[test]
fn prefill_and_steps_equal_the_full_forward() {
    let decoder = small().init(&device());
    // Longer than one growth of the cache.
    let x = Tensor::<3>::random([2, 300, 32], Distribution::Default, &device());
    let full = values(decoder.forward_full(x.clone()));
    let mut cache = decoder.cache(2);
    let mut parts = vec![decoder.forward(x.clone().narrow(1, 0, 250), &mut cache, &[0, 0])];
    parts.push(decoder.forward(x.clone().narrow(1, 250, 20), &mut cache, &[0, 0]));
    for i in 270..300 {
        parts.push(decoder.forward(x.clone().narrow(1, i, 1), &mut cache, &[0, 0]));
    }
    assert!(error(&values(Tensor::cat(parts, 1)), &full) < 1e-5);
    cache.truncate(100);
    let again = values(decoder.forward(x.clone().narrow(1, 100, 5), &mut cache, &[0, 0]));
    let expected = values(decoder.forward_full(x).narrow(1, 100, 5));
    assert!(error(&again, &expected) < 1e-5);
}

#[test]
fn a_padded_batch_gives_what_each_sequence_gives() {
    let decoder = small().init(&device());
    let (long, short) = (
        Tensor::<3>::random([1, 12, 32], Distribution::Default, &device()),
        Tensor::<3>::random([1, 7, 32], Distribution::Default, &device()),
    );
    let padding = Tensor::<3>::ones([1, 5, 32], &device());
    let padded = Tensor::cat(vec![padding, short.clone()], 1);
    let batch = Tensor::cat(vec![long.clone(), padded], 0);
    let mut cache = decoder.cache(2);
    let together = decoder.forward(batch, &mut cache, &[0, 5]);
    let next = Tensor::<3>::random([2, 1, 32], Distribution::Default, &device());
    let step = decoder.forward(next.clone(), &mut cache, &[0, 5]);
    for (row, alone, pad) in [(0, long, 0), (1, short, 5)] {
        let mut cache = decoder.cache(1);
        let one = decoder.forward(alone, &mut cache, &[0]);
        let ours = together.clone().narrow(0, row, 1).narrow(1, pad, 12 - pad);
        assert!(error(&values(ours), &values(one)) < 1e-5, "row {row}");
        let one = decoder.forward(next.clone().narrow(0, row, 1), &mut cache, &[0]);
        assert!(error(&values(step.clone().narrow(0, row, 1)), &values(one)) < 1e-5, "row {row}, next");
    }
}

#[test]
fn values_that_are_not_finite_are_an_error() {
    let model = model();
    let mut cache = model.network.decoder.cache(1);
    let bad = Tensor::<3>::full([1, 2, 32], f32::NAN, &device());
    assert!(matches!(model.network.next_logits(bad, &mut cache, &[0], 7), Err(Error::NonFinite { step: 7 })));
}

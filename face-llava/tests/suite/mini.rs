//! The small trained model inside: whole, small, quick to load, and right about the photograph.

use std::path::Path;
use std::process::Command;

use face_llava::train::{self, Event, MiniRecipe};
use face_llava::{FaceLlava, FaceOptions, LandmarkSource, LoadOptions, Media, ModelDir, SessionOptions, Task};

use crate::data::Set;
use crate::{astronaut, device};

/// On disk, all of it.
const LARGEST: u64 = 8_000_000;

fn mini() -> FaceLlava {
    FaceLlava::load(&ModelDir::mini().unwrap(), &LoadOptions::default(), &device()).unwrap()
}

fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|e| if e.path().is_dir() { size(&e.path()) } else { e.metadata().unwrap().len() }).sum()
}

#[test]
fn it_is_small_and_the_same_from_its_folder() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/mini");
    assert!(size(&folder) <= LARGEST, "{} bytes", size(&folder));
    let (inside, beside) = (ModelDir::mini().unwrap(), ModelDir::open(&folder).unwrap());
    assert_eq!((inside.config(), inside.parts()), (beside.config(), beside.parts()));
    assert_eq!(inside.tokenizer_json().unwrap(), beside.tokenizer_json().unwrap());
    let options = LoadOptions { strict: true, ..LoadOptions::default() };
    let report = FaceLlava::load(&inside, &options, &device()).unwrap().report;
    assert!(report.has_landmarks && report.unused.is_empty());
}

#[test]
fn it_sees_the_smile_of_the_photograph_and_says_what_it_cannot_tell() {
    let (model, media) = (mini(), Media::open(astronaut()).unwrap());
    for landmarks in [LandmarkSource::Found, LandmarkSource::Without] {
        let faces = FaceOptions { landmarks: landmarks.clone(), ..FaceOptions::default() };
        let mut session = model.session(SessionOptions { faces, ..SessionOptions::default() });
        session.set_media(&media).unwrap();
        let answer = session.run(Task::Expression).unwrap();
        assert_eq!(answer.labels, ["happiness"], "{}", answer.raw);
        assert_eq!(answer.landmarks_used, matches!(landmarks, LandmarkSource::Found));
        assert!(answer.raw.split_whitespace().count() > 3, "a sentence: {}", answer.raw);
        let shares = session.probabilities(Task::Expression, Task::Expression.questions()[0]).unwrap();
        let best = shares.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!(best.0 == "happiness" && best.1 > 0.5, "{shares:?}");
    }
    let mut session = model.session(SessionOptions::default());
    session.set_media(&media).unwrap();
    let age = session.run(Task::Age).unwrap();
    assert!(age.unparsed && age.raw.contains("cannot tell"), "{}", age.raw);
    let units = session.run(Task::ActionUnits).unwrap();
    assert!(units.labels.iter().any(|l| l == "AU12" || l == "AU25"), "{}", units.raw);
}

#[test]
fn it_answers_about_clips() {
    let folder = tempfile::tempdir().unwrap();
    for i in 0..8 {
        std::fs::copy(astronaut(), folder.path().join(format!("{i}.png"))).unwrap();
    }
    let model = mini();
    let mut session = model.session(SessionOptions::default());
    session.set_media(&Media::open(folder.path()).unwrap()).unwrap();
    let answer = session.run(Task::Expression).unwrap();
    assert!(answer.landmarks_used && answer.labels == ["happiness"], "{}", answer.raw);
}

#[test]
fn the_program_asks_it_where_no_model_is_named() {
    let ask = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_face-llava")).args(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
    };
    let photo = astronaut();
    let photo = photo.to_str().unwrap();
    let (code, out, err) = ask(&["ask", photo, "What emotion is shown?"]);
    assert!(code == 0 && out.starts_with("Happiness."), "{out}{err}");
    assert_eq!(err.matches("small demonstration model").count(), 1, "{err}");
    assert!(!err.contains("warning"), "{err}");
    let (code, _, err) = ask(&["ask", photo, "Why?", "--image-tower", "somewhere"]);
    assert!(code == 2 && err.contains("--model"), "{err}");
}

/// The whole recipe with numbers so small that it teaches nothing.
#[test]
fn its_recipe_ends_with_a_model_and_goes_on_from_what_is_there() {
    let set = Set::new(24);
    let (manifest, out) = (set.path("labels.csv"), set.path("mini"));
    let recipe = MiniRecipe {
        width: 32,
        tower_layers: 1,
        decoder_layers: 1,
        teacher_widths: vec![4, 8],
        teacher_epochs: 1,
        tower_epochs: 1,
        records: 32,
        epochs: [1, 1, 1],
        versions: 1,
        clips: 2,
        ..MiniRecipe::default()
    };
    let taught = |recipe: &MiniRecipe| {
        let mut steps = Vec::new();
        let model = train::mini(recipe, &manifest, &out, &device(), &mut |event| {
            if let Event::Step(name) = event {
                steps.push(name);
            }
        });
        (model, steps.len())
    };
    let (model, steps) = taught(&recipe);
    let model = model.unwrap();
    assert_eq!(steps, 7);
    let strict = LoadOptions { strict: true, ..LoadOptions::default() };
    let network = FaceLlava::load(&ModelDir::open(&model).unwrap(), &strict, &device()).unwrap().network;
    assert!(network.fusion.is_some() && network.image_tower.is_some() && network.video_tower.is_some());
    // Finished, it has nothing to do; without the model it is written again from the last checkpoints, byte for byte.
    assert_eq!(taught(&recipe).1, 0);
    let weights = || std::fs::read(model.join("model.safetensors")).unwrap();
    let before = weights();
    std::fs::remove_dir_all(&model).unwrap();
    taught(&recipe).0.unwrap();
    assert!(weights() == before);
    let other = taught(&MiniRecipe { seed: 1, ..recipe }).0.unwrap_err();
    assert!(other.to_string().contains("recipe.seed: 0 -> 1"), "{other}");
}

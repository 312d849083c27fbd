//! Model folders that are damaged, incomplete or malicious.

use std::path::Path;

use face_llava::{Error, FaceLlava, LoadOptions, ModelDir};
use tempfile::TempDir;

use crate::{device, encoder_fixture, fixture, towers};

const SHARD: &str = "model-00002-of-00002.safetensors";

/// A copy of the small checkpoint with its towers described.
fn copy(checkpoint: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture("tiny-simple").join(checkpoint)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn load(folder: &Path) -> Result<FaceLlava, Error> {
    FaceLlava::load(&ModelDir::open_with(folder, &towers())?, &LoadOptions::default(), &device())
}

fn refused(folder: &Path) -> String {
    load(folder).map(drop).unwrap_err().to_string()
}

fn edit(path: &Path, f: impl FnOnce(String) -> String) {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::write(path, f(text)).unwrap();
}

#[test]
fn a_checkpoint_cut_at_any_percent_never_loads() {
    for (checkpoint, shard) in [("checkpoint", SHARD), ("checkpoint-bin", "pytorch_model-00002-of-00002.bin")] {
        let folder = copy(checkpoint);
        let path = folder.path().join(shard);
        let bytes = std::fs::read(&path).unwrap();
        for percent in 0..100 {
            std::fs::write(&path, &bytes[..bytes.len() * percent / 100]).unwrap();
            // Opening reads headers only and must see it already.
            assert!(ModelDir::open_with(folder.path(), &towers()).is_err(), "{shard} cut at {percent} %");
        }
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert!(ModelDir::open_with(folder.path(), &towers()).is_err(), "{shard} less its last byte");
    }
}

#[test]
fn configurations_that_do_not_fit_are_named() {
    let folder = copy("checkpoint");
    let config = folder.path().join("config.json");
    let original = std::fs::read_to_string(&config).unwrap();
    for (from, to, said) in [
        ("\"hidden_size\": 32", "\"hidden_size\": 64", "[64, 48]"),
        ("\"hidden_size\": 32", "\"hidden_size\": 1e18", "config.json"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 3", "layers.2"),
        ("\"num_hidden_layers\": 2", "\"num_hidden_layers\": -2", "config.json"),
        ("\"vocab_size\": 32000", "\"vocab_size\": 31999", "tokenizer"),
        ("\"mm_hidden_size\": 48", "\"mm_hidden_size\": 64", "width 48"),
        ("\"cross_attn_type\": \"simple\"", "\"cross_attn_type\": \"masked\"", "q_proj"),
        ("mlp2x_gelu", "linear", "mm_projector"),
        ("mlp2x_gelu", "mlp0x_gelu", "mm_projector_type"),
        (
            "\"linear\",\n \"cross_attn_type\": \"simple\",\n \"use_landmark_tokens\": false",
            "\"none\",\n \"cross_attn_type\": \"simple\",\n \"use_landmark_tokens\": true",
            "global_landmarks",
        ),
        (
            "\"landmarks_region_projector\",\n \"global_landmarks_projector_type\": \"linear\",\n \"cross_attn_type\": \"simple\"",
            "\"linear\",\n \"global_landmarks_projector_type\": \"linear\",\n \"cross_attn_type\": \"paper\"",
            "landmarks_region_projector",
        ),
    ] {
        std::fs::write(&config, original.replacen(from, to, 1)).unwrap();
        let text = refused(folder.path());
        assert!(text.contains(said), "{to}: {text}");
    }
    std::fs::write(&config, "not json").unwrap();
    assert!(refused(folder.path()).contains("config.json"));
    std::fs::remove_file(&config).unwrap();
    assert!(refused(folder.path()).contains("config.json"));
}

#[test]
fn indexes_that_lie_are_refused() {
    let folder = copy("checkpoint");
    let index = folder.path().join("model.safetensors.index.json");
    let original = std::fs::read_to_string(&index).unwrap();
    let with = |to: &str| {
        std::fs::write(&index, original.replace(SHARD, to)).unwrap();
        refused(folder.path())
    };
    assert!(with("model-00003-of-00003.safetensors").contains("missing"));
    for outside in ["../../../etc/passwd", "/etc/passwd", "..", "a/b"] {
        assert!(with(outside).contains("outside"), "{outside}");
    }
    assert!(with("model-00001-of-00002.safetensors").contains("not in both"), "one shard listed for both");
    std::fs::write(&index, original.replacen("lm_head.weight", "lm_head.other", 1)).unwrap();
    assert!(refused(folder.path()).contains("not in both"));
    std::fs::write(&index, "[]").unwrap();
    assert!(refused(folder.path()).contains("invalid"));

    #[cfg(unix)]
    {
        std::fs::write(&index, &original).unwrap();
        let away = tempfile::tempdir().unwrap();
        let shard = folder.path().join(SHARD);
        std::fs::rename(&shard, away.path().join(SHARD)).unwrap();
        std::os::unix::fs::symlink(away.path().join(SHARD), &shard).unwrap();
        assert!(refused(folder.path()).contains("outside"), "a link out of the folder");
    }
}

#[test]
fn a_folder_without_weights_or_tokenizer_says_what_to_do() {
    assert!(refused(Path::new("/nonexistent")).contains("no such folder"));
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(folder.path()).contains("config.json"));
    let folder = copy("checkpoint");
    std::fs::rename(folder.path().join("tokenizer.json"), folder.path().join("tokenizer.model")).unwrap();
    assert!(refused(folder.path()).contains("save_pretrained"));
    let folder = copy("checkpoint");
    std::fs::remove_file(folder.path().join("model.safetensors.index.json")).unwrap();
    assert!(refused(folder.path()).contains("no weights"));
}

/// Rewrites the second shard with some tensors changed.
fn rewrite(folder: &Path, change: impl Fn(&str, &mut Vec<u8>) -> bool) {
    let path = folder.join(SHARD);
    let bytes = std::fs::read(&path).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut changed = Vec::new();
    for (name, view) in tensors.tensors() {
        let mut data = view.data().to_vec();
        if change(&name, &mut data) {
            changed.push((name, view.dtype(), view.shape().to_vec(), data));
        }
    }
    let views = changed.iter().map(|(name, dtype, shape, data)| {
        (name.as_str(), safetensors::tensor::TensorView::new(*dtype, shape.clone(), data).unwrap())
    });
    std::fs::write(&path, safetensors::serialize(views, None).unwrap()).unwrap();
    let names: Vec<String> = changed.iter().map(|c| c.0.clone()).collect();
    edit(&folder.join("model.safetensors.index.json"), |text| {
        let mut index: serde_json::Value = serde_json::from_str(&text).unwrap();
        let map = index["weight_map"].as_object_mut().unwrap();
        map.retain(|name, shard| shard != SHARD || names.contains(name));
        index.to_string()
    });
}

#[test]
fn values_that_are_not_finite_are_named_and_can_be_accepted() {
    let folder = copy("checkpoint");
    rewrite(folder.path(), |name, data| {
        if name == "model.mm_projector.2.bias" {
            data[10..12].copy_from_slice(&0x7e00_u16.to_le_bytes());
        }
        true
    });
    let text = refused(folder.path());
    assert!(text.contains("model.mm_projector.2.bias") && text.contains("index 5"), "{text}");
    let mut options = LoadOptions::default();
    options.weights.allow_nonfinite = true;
    assert!(FaceLlava::load(&ModelDir::open_with(folder.path(), &towers()).unwrap(), &options, &device()).is_ok());
}

#[test]
fn a_missing_tensor_is_named_and_an_all_zero_one_reported() {
    let folder = copy("checkpoint");
    rewrite(folder.path(), |name, data| {
        if name == "model.mm_projector.0.weight" {
            data.fill(0);
        }
        name != "model.mm_projector.2.bias"
    });
    let text = refused(folder.path());
    assert!(text.contains("1 tensors are missing") && text.contains("model.mm_projector.2.bias"), "{text}");

    let folder = copy("checkpoint");
    rewrite(folder.path(), |name, data| {
        if name == "model.mm_projector.0.weight" {
            data.fill(0);
        }
        true
    });
    let report = load(folder.path()).unwrap().report;
    assert_eq!(report.weights.all_zero, ["model.mm_projector.0.weight"]);
}

#[test]
fn a_checkpoint_without_landmark_modules_works_and_says_so() {
    let folder = copy("checkpoint");
    rewrite(folder.path(), |name, _| !name.contains("landmarks"));
    let model = load(folder.path()).unwrap();
    assert!(!model.report.has_landmarks);
    let mut session = model.session(Default::default());
    session.set_media(&face_llava::Media::open(crate::astronaut()).unwrap()).unwrap();
    session.options_mut().sampling.max_new_tokens = 2;
    assert!(!session.ask("Guess the age.").unwrap().landmarks_used);
}

#[test]
fn extra_tensors_are_reported_and_refused_when_strict() {
    let folder = copy("checkpoint");
    // Without a layer that the files hold, its tensors are extra.
    edit(&folder.path().join("config.json"), |c| c.replacen("\"num_hidden_layers\": 2", "\"num_hidden_layers\": 1", 1));
    let dir = ModelDir::open_with(folder.path(), &towers()).unwrap();
    let model = FaceLlava::load(&dir, &LoadOptions::default(), &device()).unwrap();
    assert!(model.report.unused.iter().any(|n| n.contains("model.layers.1.")), "{:?}", model.report.unused);
    let strict = LoadOptions { strict: true, ..Default::default() };
    let dir = ModelDir::open_with(folder.path(), &towers()).unwrap();
    // What is read for a digest is used for nothing.
    #[cfg(feature = "eval")]
    face_llava::eval::model_identity(&dir).unwrap();
    assert!(matches!(FaceLlava::load(&dir, &strict, &device()), Err(Error::UnusedTensors { .. })));
}

#[test]
fn a_named_tower_that_is_nowhere_is_asked_for() {
    let folder = copy("checkpoint");
    let text = ModelDir::open(folder.path()).unwrap_err().to_string();
    assert!(text.contains("LanguageBind_Image"), "{text}");
    std::fs::create_dir(folder.path().join("LanguageBind_Image")).unwrap();
    let config = encoder_fixture("LanguageBind_Image/config.json");
    std::fs::copy(config, folder.path().join("LanguageBind_Image/config.json")).unwrap();
    assert!(ModelDir::open(folder.path()).unwrap_err().to_string().contains("LanguageBind_Video_merge"));
}

#[test]
fn a_video_tower_of_fewer_frames_than_are_shown_is_refused() {
    let (folder, tower) = (copy("checkpoint"), tempfile::tempdir().unwrap());
    let config = std::fs::read_to_string(encoder_fixture("LanguageBind_Video_merge/config.json")).unwrap();
    let mut config: serde_json::Value = serde_json::from_str(&config).unwrap();
    config["vision_config"]["num_frames"] = 4.into();
    std::fs::write(tower.path().join("config.json"), config.to_string()).unwrap();
    for entry in std::fs::read_dir(encoder_fixture("LanguageBind_Video_merge")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "config.json" {
            std::fs::copy(entry.path(), tower.path().join(entry.file_name())).unwrap();
        }
    }
    let folders = face_llava::TowerFolders { video: Some(tower.path().into()), ..towers() };
    let error = ModelDir::open_with(folder.path(), &folders).unwrap_err().to_string();
    assert!(error.contains("takes 4 frames"), "{error}");
}

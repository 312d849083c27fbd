//! Decoders from GGUF files against llama.cpp, and files that lie.

use burn::tensor::Tensor;
use face_llava::decoder::{Llama, LlamaConfig};
use face_llava::{Error, FaceLlava, LoadOptions, ModelDir};
use landmarks::quantized::Bits;
use landmarks::weights::{LoadOptions as WeightOptions, Weights, WeightsFault};
use serde_json::Value;

use crate::{device, error, fixture, json, open_dir, values};

fn expected() -> Value {
    json("gguf/logits.json")
}

fn floats(value: &Value) -> Vec<f32> {
    serde_json::from_value(value.clone()).unwrap()
}

fn decoder(name: &str, bits: Option<Bits>) -> Llama {
    let shape = &expected()["files"][name];
    let size = |key: &str| shape[key].as_u64().unwrap() as usize;
    let config = LlamaConfig {
        vocab: 64,
        width: size("width"),
        mlp_width: size("mlp"),
        layers: size("layers"),
        heads: 4,
        kv_heads: 2,
        context: 64,
        norm_eps: 1e-5,
        rope_theta: 10_000.0,
    };
    let weights = Weights::open(fixture(&format!("gguf/decoder-{name}.gguf"))).unwrap();
    let (decoder, report) = config.init(&device()).load_gguf(&weights, &WeightOptions::default(), bits).unwrap();
    assert_eq!(report.tensors, 3 + 9 * config.layers, "{name}");
    assert_eq!(weights.unused(), Vec::<String>::new(), "{name}");
    decoder
}

#[test]
fn logits_are_those_of_llama_cpp() {
    let ids: Vec<u32> = serde_json::from_value(expected()["tokens"].clone()).unwrap();
    // llama.cpp rounds inputs too, K blocks are rounded again here.
    for (name, bits, tolerance) in [
        ("F16", None, 2e-3),
        ("Q8_0", None, 2e-2),
        ("Q4_0", None, 2e-2),
        ("Q4_0", Some(Bits::Int8), 2e-2),
        ("Q4_K", None, 5e-2),
        ("Q6_K", None, 5e-2),
        ("Q4_K", Some(Bits::Int4), 0.3),
    ] {
        let decoder = decoder(name, bits);
        let embeddings: Tensor<3> = decoder.embed(&ids).unsqueeze();
        let logits = values(decoder.logits(decoder.forward_full(embeddings)));
        let reference: Vec<Vec<f32>> = serde_json::from_value(expected()["files"][name]["logits"].clone()).unwrap();
        let off = error(&logits, &reference.concat());
        assert!(off < tolerance, "{name} {bits:?}: relative error {off}");
    }
}

#[test]
fn values_are_those_of_the_gguf_package() {
    for name in ["F16", "Q8_0", "Q4_0", "Q4_K", "Q6_K"] {
        let weights = Weights::open(fixture(&format!("gguf/decoder-{name}.gguf"))).unwrap();
        let row = floats(&expected()["files"][name]["first_query_row"]);
        let read = weights.read_f32("blk.0.attn_q.weight").unwrap();
        let off = row.iter().zip(&read).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 2e-7, "{name}: {off}");
    }
}

#[test]
fn a_decoder_that_does_not_fit_the_model_is_named() {
    let dir = open_dir().with_decoder(fixture("gguf/decoder-Q4_0.gguf")).unwrap();
    let wrong = FaceLlava::load(&dir, &LoadOptions::default(), &device()).unwrap_err();
    let Error::Landmarks(landmarks::Error::TensorShape { name, .. }) = &wrong else { panic!("{wrong}") };
    assert_eq!(name, "blk.0.attn_q.weight");
    assert!(ModelDir::check(&dir, &device()).is_err());
    // Whatever a decoder's file holds beside what is read is told.
    assert!(dir.unused().iter().any(|name| name == "blk.0.attn_output.weight"));
}

#[test]
fn headers_that_lie_are_refused() {
    use WeightsFault as F;
    let folder = tempfile::tempdir().unwrap();
    let whole = std::fs::read(fixture("gguf/decoder-Q4_0.gguf")).unwrap();
    let open = |bytes: &[u8]| {
        let path = folder.path().join("file.gguf");
        std::fs::write(&path, bytes).unwrap();
        match Weights::open(path) {
            Err(landmarks::Error::Weights { fault, .. }) => Some(fault),
            Err(other) => panic!("{other}"),
            Ok(_) => None,
        }
    };
    assert!(open(&whole).is_none());
    // Cut anywhere: never zeros.
    for percent in 0..100 {
        assert!(open(&whole[..whole.len() * percent / 100]).is_some(), "{percent} %");
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut file = whole.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        open(&file)
    };
    assert!(matches!(with(4, &9_u32.to_le_bytes()), Some(F::Rule(_))), "version");
    assert!(matches!(with(8, &u64::MAX.to_le_bytes()), Some(F::Rule(_))), "tensors");
    assert!(matches!(with(16, &u64::MAX.to_le_bytes()), Some(F::Rule(_))), "settings");
    assert!(matches!(with(24, &u64::MAX.to_le_bytes()), Some(F::Rule(_))), "length of a name");
    // The first tensor: name, axes, two lengths, type, offset.
    let name = b"token_embd.weight";
    let place = whole.windows(name.len()).position(|window| window == name).unwrap() + name.len();
    assert!(matches!(with(place, &9_u32.to_le_bytes()), Some(F::Rule(_))), "axes");
    assert!(matches!(with(place + 4, &33_u64.to_le_bytes()), Some(F::Rule(_))), "a part of a block");
    assert!(matches!(with(place + 12, &u64::MAX.to_le_bytes()), Some(F::Rule(_))), "beyond what can be addressed");
    assert!(matches!(with(place + 20, &3_u32.to_le_bytes()), Some(F::Ggml { kind: 3, .. })), "type");
    assert!(matches!(with(place + 24, &1_000_000_u64.to_le_bytes()), Some(F::Length { .. })), "place");
    assert!(matches!(with(place + 24, &64_u64.to_le_bytes()), Some(F::Rule("two tensors overlap"))));
}

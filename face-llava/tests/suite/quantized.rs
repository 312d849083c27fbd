//! Weights in few bits: how far answers move, and that nothing else changes.

use burn::tensor::Tensor;
use face_llava::{FaceLlava, LoadOptions, Network};
use landmarks::Linears;
use landmarks::quantized::Bits;

use crate::{device, error, model, open_dir, values};

fn rounded(bits: Bits) -> FaceLlava {
    let options = LoadOptions { quantize: Some(bits), ..LoadOptions::default() };
    FaceLlava::load(&open_dir(), &options, &device()).unwrap()
}

/// Logits `[L][V]` after each of some tokens, without and with a cache.
fn logits(model: &FaceLlava, ids: &[u32]) -> (Vec<f32>, Vec<f32>) {
    let decoder = &model.network.decoder;
    let embeddings: Tensor<3> = decoder.embed(ids).unsqueeze();
    let full = decoder.logits(decoder.forward_full(embeddings.clone()));
    let mut cache = decoder.cache(1);
    let steps = (0..ids.len()).map(|i| decoder.forward(embeddings.clone().narrow(1, i, 1), &mut cache, &[0]));
    let steps = decoder.logits(Tensor::cat(steps.collect(), 1));
    (values(full), values(steps))
}

#[test]
fn logits_stay_near_and_a_cache_changes_nothing() {
    let tokens: Vec<u32> = (0..96).map(|i| 300 + i * 997 % 30_000).collect();
    let (exact, _) = logits(&model(), &tokens);
    for (bits, tolerance) in [(Bits::Int8, 5e-2), (Bits::Int4, 0.5)] {
        let (full, steps) = logits(&rounded(bits), &tokens);
        let off = error(&full, &exact);
        assert!(off < tolerance && off > 1e-4, "{bits:?}: relative error {off}");
        assert!(error(&steps, &full) < 1e-5, "{bits:?}: {}", error(&steps, &full));
    }
}

#[test]
fn every_linear_layer_is_rounded() {
    let mut model = rounded(Bits::Int4);
    assert_eq!(model.report.weights, self::model().report.weights, "the same tensors are read");
    let mut seen = Vec::new();
    for (path, layer) in model.network.decoder.linears_mut() {
        let weight = layer.quantized.as_ref().unwrap();
        let ends = ["embed_tokens", "lm_head"].contains(&path.as_str());
        assert_eq!(weight.bits(), if ends { Bits::Int8 } else { Bits::Int4 });
        seen.push(path);
    }
    assert_eq!(seen.len(), 2 * 7 + 2);
    let Network { image_tower, projector, fusion, .. } = &mut model.network;
    let tower = image_tower.as_mut().unwrap().linears_mut();
    let others = projector.linears_mut().chain(fusion.as_mut().unwrap().linears_mut());
    for (path, layer) in tower.chain(others) {
        let fits = landmarks::quantized::Quantized::fits;
        let weight = layer.quantized.as_ref();
        let shape = weight.map_or_else(|| layer.weight.val().dims(), |w| w.dims());
        assert_eq!(weight.is_some(), fits(shape[0], shape[1]), "{path}");
    }
}

#[cfg(feature = "train")]
#[test]
fn an_exported_model_is_loaded_as_it_was_rounded() {
    let folder = tempfile::tempdir().unwrap();
    let tokens: Vec<u32> = (0..24).map(|i| 300 + i * 997 % 30_000).collect();
    for bits in [Bits::Int8, Bits::Int4] {
        let (dir, model) = (open_dir(), rounded(bits));
        let out = folder.path().join(format!("{bits:?}"));
        let (parts, tokenizer) = (dir.parts(), dir.tokenizer_json().unwrap());
        let about = face_llava::train::Description { config: dir.config(), parts: &parts, tokenizer: &tokenizer };
        face_llava::train::export(&model.network, &about, &out, burn::tensor::FloatDType::F32).unwrap();
        let ready = face_llava::ModelDir::open(&out).unwrap();
        ready.check(&device()).unwrap();
        let again =
            FaceLlava::load(&ready, &LoadOptions { strict: true, ..LoadOptions::default() }, &device()).unwrap();
        assert_eq!(logits(&again, &tokens), logits(&model, &tokens));
        assert_eq!(again.report.weights.parameters, model.report.weights.parameters);
        // A file that ends early, or has another number of bytes in a row, is refused.
        let (file, whole) = (out.join("model.safetensors"), std::fs::read(out.join("model.safetensors")).unwrap());
        std::fs::write(&file, &whole[..whole.len() - 1]).unwrap();
        assert!(face_llava::ModelDir::open(&out).is_err());
    }
}

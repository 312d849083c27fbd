//! `face-llava doctor`

use std::process::{Command, Stdio};

use burn::tensor::{Device, Tensor};
use face_llava::{available, built_in, quietly};
use frgca::{FrgcaConfig, Fusion, Variant};

use super::{Failure, Outcome, busy, say};

pub(crate) fn run() -> Result<Outcome, Failure> {
    say(format_args!("face-llava {} ({})", env!("CARGO_PKG_VERSION"), std::env::consts::ARCH))?;
    if cfg!(debug_assertions) {
        say("  built for debugging: many times slower; use --release")?;
    }
    say(format_args!("  backends built in: {}", built_in().join(", ")))?;
    say(format_args!("  processor: {}", processor()))?;
    let mut healthy = true;
    for named in available() {
        let (name, device) = (named.name, named.device);
        // A GPU compiles what it has not computed before: half a minute.
        let bar = busy(format!("computing on {name}"));
        let result = quietly(|| forward(&device)).flatten();
        bar.finish_and_clear();
        healthy &= result.is_some();
        let verdict = if result.is_some() { "works" } else { "fails: a tiny forward pass gave no finite values" };
        say(format_args!("  device {name}: {verdict}"))?;
    }
    for program in ["ffmpeg", "ffprobe"] {
        let there = Command::new(program).arg("-version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        let verdict = if there.is_ok_and(|s| s.success()) { "found" } else { "missing: videos cannot be read" };
        say(format_args!("  {program}: {verdict}"))?;
    }
    Ok(if healthy { Outcome::Done } else { Outcome::Failed })
}

/// Largest value of a small fusion, none if it is not finite.
fn forward(device: &Device) -> Option<f32> {
    let module = FrgcaConfig::new(32, Variant::Simple).init(device);
    let features = Tensor::<3>::ones([1, 16, 32], device);
    let out = module.fuse(features, Tensor::full([1, 68, 2], 0.5, device)).ok()?;
    let values = out.into_data().try_to_vec::<f32>().ok()?;
    values.iter().all(|v| v.is_finite()).then(|| values.iter().copied().fold(f32::MIN, f32::max))
}

#[cfg(target_arch = "x86_64")]
fn processor() -> String {
    let level = if std::is_x86_feature_detected!("avx512f") {
        "AVX-512"
    } else if std::is_x86_feature_detected!("avx2") {
        "AVX2"
    } else {
        "neither AVX2 nor AVX-512: slow"
    };
    format!("{} threads, {level}", std::thread::available_parallelism().map_or(1, usize::from))
}

#[cfg(not(target_arch = "x86_64"))]
fn processor() -> String {
    format!("{} threads", std::thread::available_parallelism().map_or(1, usize::from))
}

//! Choosing a device by name, without panics where it is not there.

use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::tensor::Device;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
use burn::tensor::DeviceType;

use crate::Error;

/// A device and the name it is reported under.
#[derive(Clone, Debug)]
pub struct NamedDevice {
    /// The device.
    pub device: Device,
    /// `cpu`, `wgpu` or `cuda:N`.
    pub name: String,
}

/// Opens `auto`, `cpu`, `wgpu`, `cuda` or `cuda:N`. `auto` takes the first that is built in and there: CUDA, wgpu, CPU.
///
/// # Errors
/// [`Error::Device`] says what is missing.
pub fn open_device(name: &str) -> Result<NamedDevice, Error> {
    let fail = |what: &str| Err(Error::Device { device: name.to_owned(), what: what.to_owned() });
    match name.split_once(':').unwrap_or((name, "")) {
        ("auto", "") => {
            let found = available();
            found.into_iter().next().map_or_else(|| fail("no backend is built in; build with --features cpu"), Ok)
        }
        ("cpu", "") => pick(name, "cpu", "cpu"),
        ("wgpu", "") => pick(name, "wgpu", "wgpu"),
        ("cuda", index) if index.is_empty() || index.parse::<usize>().is_ok() => {
            let index = if index.is_empty() { "0" } else { index };
            pick(name, &format!("cuda:{index}"), "cuda")
        }
        _ => fail("unknown; expected auto, cpu, wgpu, cuda or cuda:N"),
    }
}

fn pick(asked: &str, name: &str, feature: &str) -> Result<NamedDevice, Error> {
    available().into_iter().find(|d| d.name == name).ok_or_else(|| {
        let what = if built_in().contains(&feature) {
            "no such device here: check the driver with `face-llava doctor`".to_owned()
        } else {
            format!("this program was built without it; build with --features {feature}")
        };
        Error::Device { device: asked.to_owned(), what }
    })
}

/// Backends built into this program.
pub fn built_in() -> Vec<&'static str> {
    [("cuda", cfg!(feature = "cuda")), ("wgpu", cfg!(feature = "wgpu")), ("cpu", cfg!(feature = "cpu"))]
        .into_iter()
        .filter_map(|(name, on)| on.then_some(name))
        .collect()
}

/// Devices that are built in and there, best first.
pub fn available() -> Vec<NamedDevice> {
    let cuda = probe("cuda").into_iter().enumerate();
    let cuda = cuda.map(|(i, device)| NamedDevice { device, name: format!("cuda:{i}") });
    let rest = ["wgpu", "cpu"].into_iter().filter_map(|name| {
        let device = probe(name).into_iter().next()?;
        Some(NamedDevice { device, name: name.into() })
    });
    cuda.chain(rest).collect()
}

/// Devices of a backend. Looking for a driver that is half installed may panic inside the backend.
fn probe(backend: &str) -> Vec<Device> {
    match backend {
        #[cfg(feature = "cuda")]
        "cuda" => quietly(|| Device::enumerate(DeviceType::Cuda).into_vec()).unwrap_or_default(),
        #[cfg(feature = "wgpu")]
        "wgpu" => quietly(|| Device::enumerate(DeviceType::Wgpu).into_vec()).unwrap_or_default(),
        #[cfg(feature = "cpu")]
        "cpu" => vec![Device::flex()],
        _ => Vec::new(),
    }
}

/// Whether a device is the CPU.
pub(crate) fn is_cpu(device: &Device) -> bool {
    probe("cpu").contains(device)
}

/// Runs `f`; none where the backend panics.
pub fn quietly<T>(f: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(f)).ok()
}

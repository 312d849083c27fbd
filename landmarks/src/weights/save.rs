//! The way back: from a burn module to a safetensors file.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use half::{bf16, f16};
use safetensors::tensor::{Dtype as StDtype, View, serialize_to_file};

use super::Key;
use crate::Error;
use crate::files::write_whole;
use crate::linear::Linears;

/// Tensors by name, as a file holds them.
pub type NamedTensors = BTreeMap<String, TensorData>;

/// All float parameters of a module under the names that `key` gives them: the mirror of [`super::load`], with the same
/// keys. Parts of a packed tensor are joined along the first axis.
///
/// # Panics
/// If `key` gives two parameters the same name, or leaves out a part of a packed tensor.
pub fn collect<M: Module>(module: &M, key: impl Fn(&str) -> Key) -> NamedTensors {
    let mut collector = Collector { key, path: Vec::new(), whole: BTreeMap::new(), parts: BTreeMap::new() };
    module.visit(&mut collector);
    let Collector { mut whole, parts, .. } = collector;
    for (name, pieces) in parts {
        let mut shape = Vec::new();
        let mut values: Vec<f32> = Vec::new();
        let n = pieces.len();
        for (index, (i, piece)) in pieces.into_iter().enumerate() {
            assert_eq!(index, i, "{name}: a part is missing");
            shape = piece.shape().to_vec();
            values.extend(piece.iter::<f32>());
        }
        if let Some(rows) = shape.first_mut() {
            *rows *= n;
        }
        assert!(whole.insert(name.clone(), TensorData::new(values, shape)).is_none(), "{name} twice");
    }
    whole
}

/// The same with the weights of linear layers that are kept in few bits, each as bytes `[rows, bytes of a row]` (see
/// [`crate::quantized`]): the mirror of [`super::load_quantized`].
///
/// # Panics
/// As [`collect`].
pub fn collect_quantized<M: Module + Linears>(module: &M, key: impl Fn(&str) -> Key) -> NamedTensors {
    let mut tensors = collect(module, &key);
    // Parts of one tensor, in order: 16 rows lie together, so rows of bytes follow each other as the rows do.
    let mut parts: BTreeMap<String, BTreeMap<usize, (usize, Vec<u8>)>> = BTreeMap::new();
    for (path, layer) in module.clone().linears_mut() {
        if let Some(weight) = &layer.quantized {
            let Key { name, part } = key(&format!("{path}.weight"));
            let part = part.map_or(0, |(i, _)| i);
            parts.entry(name).or_default().insert(part, (weight.dims()[0], weight.bytes().to_vec()));
        }
    }
    let whole = |parts: BTreeMap<usize, (usize, Vec<u8>)>| {
        let (rows, bytes): (Vec<usize>, Vec<Vec<u8>>) = parts.into_values().unzip();
        let (rows, bytes) = (rows.iter().sum::<usize>(), bytes.concat());
        let width = bytes.len() / rows;
        TensorData::new(bytes, [rows, width])
    };
    tensors.extend(parts.into_iter().map(|(name, parts)| (name, whole(parts))));
    tensors
}

struct Collector<F> {
    key: F,
    path: Vec<String>,
    whole: NamedTensors,
    parts: BTreeMap<String, BTreeMap<usize, TensorData>>,
}

impl<F: Fn(&str) -> Key> ModuleVisitor for Collector<F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(super::load::file_name(name).into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        // Its weight is elsewhere, see `collect_quantized`.
        if param.lazy_shape().contains(&0) {
            return;
        }
        let key = (self.key)(&self.path.join("."));
        let data = param.val().into_data();
        let known = match key.part {
            Some((i, _)) => self.parts.entry(key.name.clone()).or_default().insert(i, data).is_some(),
            None => self.whole.insert(key.name.clone(), data).is_some(),
        };
        assert!(!known, "{} twice", key.name);
    }
}

/// Writes a safetensors file, whole or not at all, every tensor of numbers in the given type, bytes as they are. The same tensors give the same bytes.
///
/// # Errors
/// [`Error::Io`]; nothing is left behind then.
pub fn write(path: &Path, tensors: &NamedTensors, dtype: FloatDType) -> Result<(), Error> {
    let dtype = match DType::from(dtype) {
        DType::F16 => StDtype::F16,
        DType::BF16 => StDtype::BF16,
        _ => StDtype::F32,
    };
    let stored = |data: &TensorData| if data.dtype() == DType::U8 { StDtype::U8 } else { dtype };
    let views = tensors.iter().map(|(name, data)| (name, Stored { data, dtype: stored(data) }));
    write_whole(path, |file| serialize_to_file(views, None, file).map_err(std::io::Error::other))
}

/// A tensor in the type of the file.
struct Stored<'a> {
    data: &'a TensorData,
    dtype: StDtype,
}

impl View for Stored<'_> {
    fn dtype(&self) -> StDtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        self.data.shape()
    }

    fn data(&self) -> Cow<'_, [u8]> {
        if self.dtype == StDtype::U8 {
            return Cow::Borrowed(self.data.as_bytes());
        }
        let values = self.data.iter::<f32>();
        Cow::Owned(match self.dtype {
            StDtype::F16 => values.flat_map(|v| f16::from_f32(v).to_le_bytes()).collect(),
            StDtype::BF16 => values.flat_map(|v| bf16::from_f32(v).to_le_bytes()).collect(),
            _ => values.flat_map(f32::to_le_bytes).collect(),
        })
    }

    fn data_len(&self) -> usize {
        self.data.shape().iter().product::<usize>() * self.dtype.bitsize() / 8
    }
}

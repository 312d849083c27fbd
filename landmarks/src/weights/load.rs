//! Filling a burn module from [`Weights`], parameter by parameter.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{DType, FloatDType, Tensor, TensorData};
use half::{bf16, f16};

use super::{Dtype, TensorInfo, Weights};
use crate::{Error, memory};

/// The tensor that a parameter is read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Name in the file.
    pub name: String,
    /// Take part `i` of `n` equal parts along the first axis: how packed projections are split.
    pub part: Option<(usize, usize)>,
}

impl<S: Into<String>> From<S> for Key {
    fn from(name: S) -> Self {
        Self { name: name.into(), part: None }
    }
}

/// How to load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LoadOptions {
    /// Type of the loaded parameters, whatever the file has.
    pub dtype: FloatDType,
    /// Accept NaN and infinities.
    pub allow_nonfinite: bool,
    /// Check names and shapes only; the module stays empty.
    pub headers_only: bool,
}

impl Default for LoadOptions {
    fn default() -> Self {
        Self { dtype: FloatDType::F32, allow_nonfinite: false, headers_only: false }
    }
}

/// What loading did.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LoadReport {
    /// Tensors read.
    pub tensors: usize,
    /// Values read.
    pub parameters: usize,
    /// Values that became infinite when narrowed to 16 bits.
    pub overflowed: usize,
    /// Weights (not biases) that are zero throughout.
    pub all_zero: Vec<String>,
}

impl LoadReport {
    /// Adds another module's report.
    pub fn merge(&mut self, other: Self) {
        self.tensors += other.tensors;
        self.parameters += other.parameters;
        self.overflowed += other.overflowed;
        self.all_zero.extend(other.all_zero);
    }
}

/// Fills `module` from `weights`. `key` turns a parameter's path in the module (`layers.0.q_proj.weight`; the scale and
/// shift of norms are already called `weight` and `bias`) into its name in the file. Every parameter must be there, with
/// its shape; nothing else is read.
///
/// # Errors
/// [`Error::MissingTensors`], [`Error::TensorShape`], [`Error::TensorDtype`], [`Error::NonFiniteWeight`], [`Error::Io`].
pub fn load<M: Module>(
    module: M,
    weights: &Weights,
    options: &LoadOptions,
    key: impl Fn(&str) -> Key,
) -> Result<(M, LoadReport), Error> {
    let mut loader = Loader {
        weights,
        options,
        key,
        path: Vec::new(),
        missing: Vec::new(),
        error: None,
        report: LoadReport::default(),
    };
    let module = module.map(&mut loader);
    if let Some(error) = loader.error {
        return Err(error);
    }
    if !loader.missing.is_empty() {
        return Err(missing(weights, loader.missing));
    }
    Ok((module, loader.report))
}

fn missing(weights: &Weights, names: Vec<String>) -> Error {
    let similarity = |name: &&str| (strsim::jaro_winkler(name, &names[0]) * 1e6) as u32;
    Error::MissingTensors {
        path: weights.path().into(),
        count: names.len(),
        nearest: weights.names().max_by_key(similarity).unwrap_or("none").to_owned(),
        names: names.into_iter().take(20).collect(),
    }
}

/// Norms call their scale and shift otherwise than files do.
pub(super) fn file_name(name: &str) -> &str {
    match name {
        "gamma" => "weight",
        "beta" => "bias",
        name => name,
    }
}

struct Loader<'a, F> {
    weights: &'a Weights,
    options: &'a LoadOptions,
    key: F,
    path: Vec<String>,
    missing: Vec<String>,
    error: Option<Error>,
    report: LoadReport,
}

impl<F: Fn(&str) -> Key> ModuleMapper for Loader<'_, F> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(file_name(name).into());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let key = (self.key)(&self.path.join("."));
        let shape = param.lazy_shape().to_vec();
        // A parameter without values has its weight elsewhere.
        if self.error.is_some() || shape.contains(&0) {
            return param;
        }
        let Some(info) = self.weights.info(&key.name) else {
            self.missing.push(key.name);
            return param;
        };
        match read(self.weights, self.options, &key, info, &shape, &mut self.report) {
            Ok(None) => param,
            Ok(Some(data)) => {
                let dtype = data.dtype();
                let tensor = Tensor::from_data(data, (&param.lazy_device(), dtype));
                let id = param.id;
                param.transform_for_load(tensor, id)
            }
            Err(error) => {
                self.error = Some(error);
                param
            }
        }
    }
}

/// The values of one parameter, checked; none where only headers are wanted.
pub(super) fn read(
    weights: &Weights,
    options: &LoadOptions,
    key: &Key,
    info: &TensorInfo,
    shape: &[usize],
    report: &mut LoadReport,
) -> Result<Option<TensorData>, Error> {
    let elements: usize = shape.iter().product();
    // A part is some of the rows.
    let (i, n) = key.part.unwrap_or((0, 1));
    let (mut whole, first) = (shape.to_vec(), i * elements);
    whole.iter_mut().take(1).for_each(|rows| *rows *= n);
    if info.shape != whole {
        return Err(Error::TensorShape {
            path: weights.path().into(),
            name: key.name.clone(),
            expected: whole,
            found: info.shape.clone(),
        });
    }
    report.tensors += 1;
    report.parameters += elements;
    weights.mark_used(&key.name);
    if options.headers_only {
        return Ok(None);
    }
    let mut sink = Sink::new(options, elements);
    weights.for_each_value(&key.name, info, first, elements, |v| sink.push(v))?;
    if let Some(index) = sink.nonfinite
        && !options.allow_nonfinite
    {
        return Err(Error::NonFiniteWeight { name: key.name.clone(), index: first + index });
    }
    if sink.zero && elements > 0 && key.name.ends_with("weight") {
        report.all_zero.push(key.name.clone());
    }
    report.overflowed += sink.overflowed;
    Ok(Some(match sink.values {
        Values::F32(v) => TensorData::new(v, shape.to_vec()),
        Values::F16(v) => TensorData::new(v, shape.to_vec()),
        Values::BF16(v) => TensorData::new(v, shape.to_vec()),
    }))
}

enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

/// Collects values in the wanted type and notes what is odd about them.
struct Sink {
    values: Values,
    seen: usize,
    nonfinite: Option<usize>,
    overflowed: usize,
    zero: bool,
}

impl Sink {
    fn new(options: &LoadOptions, elements: usize) -> Self {
        let values = match DType::from(options.dtype) {
            DType::F16 => Values::F16(Vec::with_capacity(elements)),
            DType::BF16 => Values::BF16(Vec::with_capacity(elements)),
            _ => Values::F32(Vec::with_capacity(elements)),
        };
        Self { values, seen: 0, nonfinite: None, overflowed: 0, zero: true }
    }

    fn push(&mut self, block: &[f32]) {
        if self.nonfinite.is_none()
            && let Some(i) = block.iter().position(|v| !v.is_finite())
        {
            self.nonfinite = Some(self.seen + i);
        }
        self.zero = self.zero && block.iter().all(|v| *v == 0.0);
        self.seen += block.len();
        match &mut self.values {
            Values::F32(out) => out.extend_from_slice(block),
            Values::F16(out) => {
                self.overflowed += block.iter().filter(|v| v.is_finite() && f16::from_f32(**v).is_infinite()).count();
                out.extend(block.iter().map(|v| f16::from_f32(*v)));
            }
            Values::BF16(out) => out.extend(block.iter().map(|v| bf16::from_f32(*v))),
        }
    }
}

/// Values converted at a time.
const BLOCK: usize = 1 << 18;

impl Weights {
    pub(super) fn mark_used(&self, name: &str) {
        self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name.to_owned());
    }

    /// All values of a tensor, row-major, as f32.
    ///
    /// # Errors
    /// [`Error::MissingTensors`], [`Error::TensorDtype`], [`Error::Io`].
    pub fn read_f32(&self, name: &str) -> Result<Vec<f32>, Error> {
        let info = self.info(name).ok_or_else(|| missing(self, vec![name.to_owned()]))?;
        let mut values = Vec::with_capacity(info.elements());
        self.for_each_value(name, info, 0, info.elements(), |block| values.extend_from_slice(block))?;
        Ok(values)
    }

    /// A tensor's bytes as they lie in the file, whatever its type.
    ///
    /// # Errors
    /// [`Error::MissingTensors`], [`Error::Io`].
    pub fn read_bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.read_bytes_of(name, (0, 1))
    }

    /// One of equal parts of the same.
    pub(super) fn read_bytes_of(&self, name: &str, (part, parts): (usize, usize)) -> Result<Vec<u8>, Error> {
        let info = self.info(name).ok_or_else(|| missing(self, vec![name.to_owned()]))?;
        let length = info.bytes() / parts;
        let mut bytes = vec![0; length];
        memory::large_pages(&mut bytes);
        self.files[self.index[name]].source.read_at(info.start + (part * length) as u64, &mut bytes)?;
        Ok(bytes)
    }

    /// Hands `count` values from row-major index `first` on to `f`, block by block.
    fn for_each_value(
        &self,
        name: &str,
        info: &TensorInfo,
        first: usize,
        count: usize,
        mut f: impl FnMut(&[f32]),
    ) -> Result<(), Error> {
        let convert: &dyn Fn(&[u8], &mut Vec<f32>) = match info.dtype {
            Dtype::F64 => &|b, out| out.extend(b.as_chunks().0.iter().map(|c| f64::from_le_bytes(*c) as f32)),
            Dtype::F32 => &|b, out| out.extend(b.as_chunks().0.iter().map(|c| f32::from_le_bytes(*c))),
            Dtype::F16 => &|b, out| out.extend(b.as_chunks().0.iter().map(|c| f16::from_le_bytes(*c).to_f32())),
            Dtype::BF16 => &|b, out| out.extend(b.as_chunks().0.iter().map(|c| bf16::from_le_bytes(*c).to_f32())),
            Dtype::Blocks(blocks) => {
                &move |b, out| b.chunks(blocks.unit().1).for_each(|block| blocks.unpack(block, out))
            }
            Dtype::Byte | Dtype::Other(_) => return Err(Error::TensorDtype { name: name.to_owned() }),
        };
        let file = &self.files[self.index[name]];
        let (unit, size) = info.dtype.unit();
        let mut values = Vec::with_capacity(count.min(BLOCK));
        if let Some(strides) = &info.strides {
            // A transposed view: rare and small, read whole and gathered.
            let last: usize = info.shape.iter().zip(strides).map(|(n, s)| (n.max(&1) - 1) * s).sum();
            let mut raw = vec![0; (last + 1) * size];
            file.source.read_at(info.start, &mut raw)?;
            for flat in first..first + count {
                let (mut rest, mut at) = (flat, 0);
                for (n, s) in info.shape.iter().zip(strides).rev() {
                    at += rest % n * s;
                    rest /= n;
                }
                convert(&raw[at * size..(at + 1) * size], &mut values);
            }
            f(&values);
            return Ok(());
        }
        // Parts of a tensor are whole rows, and rows whole blocks, as `BLOCK` is.
        let mut raw = vec![0; count.min(BLOCK) / unit * size];
        let mut at = first;
        while at < first + count {
            let n = (first + count - at).min(BLOCK);
            let raw = &mut raw[..n / unit * size];
            file.source.read_at(info.start + (at / unit * size) as u64, raw)?;
            values.clear();
            convert(raw, &mut values);
            f(&values);
            at += n;
        }
        Ok(())
    }
}

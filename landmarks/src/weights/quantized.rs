//! Filling a module whose linear layers keep their weights in few bits.

use burn::module::{Module, Param};
use burn::tensor::{FloatDType, Tensor};

use super::load::read;
use super::{Blocks, Dtype, Key, LoadOptions, LoadReport, TensorInfo, Weights, load};
use crate::Error;
use crate::linear::{Linear, Linears};
use crate::quantized::{Bits, Quantized};

/// As [`load`]; the weights of linear layers are rounded to the bits that `bits` gives for their paths as they are read,
/// one after the other, so that they are never in memory together in full. Layers whose shape does not fit
/// ([`Quantized::fits`]) are filled as they are in the file. Weights that a file has in few bits already
/// ([`super::collect_quantized`]) are taken as they are, whatever `bits` says.
///
/// # Errors
/// As [`load`].
pub fn load_quantized<M: Module + Linears>(
    mut module: M,
    weights: &Weights,
    options: &LoadOptions,
    bits: impl Fn(&str) -> Option<Bits>,
    key: impl Fn(&str) -> Key,
) -> Result<(M, LoadReport), Error> {
    let mut report = LoadReport::default();
    for (path, layer) in module.linears_mut() {
        let shape = layer.weight.lazy_shape().to_vec();
        let key = key(&format!("{path}.weight"));
        // What is missing, `load` names.
        let (Some(info), &[rows, columns]) = (weights.info(&key.name), &shape[..]) else { continue };
        let dims = [rows, columns];
        if info.dtype == Dtype::Byte {
            ready(layer, weights, options, &key, info, dims, &mut report)?;
        } else if let (Dtype::Blocks(blocks @ (Blocks::Q4_0 | Blocks::Q8_0)), true, None) =
            (info.dtype, Quantized::fits(rows, columns) && !options.headers_only && info.shape == shape, key.part)
        {
            let weight = from_blocks(weights, &key.name, blocks, dims)?;
            take(layer, Some(weight), options, &key)?;
            report.tensors += 1;
            report.parameters += rows * columns;
            weights.mark_used(&key.name);
        } else if let Some(bits) =
            bits(&path).or(in_blocks(info)).filter(|_| !options.headers_only && Quantized::fits(rows, columns))
        {
            let full = LoadOptions { dtype: FloatDType::F32, ..*options };
            if let Some(data) = read(weights, &full, &key, info, &shape, &mut report)? {
                let values = data.as_slice::<f32>().unwrap_or_default();
                layer.quantize(Quantized::new(values, rows, columns, bits));
            }
        }
    }
    let (module, rest) = load(module, weights, options, key)?;
    report.merge(rest);
    Ok((module, report))
}

/// Blocks of 256 values do not fit ours: they are rounded again, to 8 bits unless fewer are asked for.
fn in_blocks(info: &TensorInfo) -> Option<Bits> {
    matches!(info.dtype, Dtype::Blocks(_)).then_some(Bits::Int8)
}

/// Simple blocks are ours in another order.
fn from_blocks(weights: &Weights, name: &str, blocks: Blocks, [rows, columns]: [usize; 2]) -> Result<Quantized, Error> {
    let bytes = weights.read_bytes(name)?;
    let groups = bytes.chunks(blocks.unit().1).filter_map(|block| blocks.codes(block));
    let bits = if blocks == Blocks::Q4_0 { Bits::Int4 } else { Bits::Int8 };
    Ok(Quantized::from_groups(groups, rows, columns, bits))
}

/// Puts a weight in few bits into a layer; none where only headers are wanted.
fn take(layer: &mut Linear, weight: Option<Quantized>, options: &LoadOptions, key: &Key) -> Result<(), Error> {
    match weight {
        Some(weight) if !options.allow_nonfinite && !weight.is_finite() => {
            Err(Error::NonFiniteWeight { name: key.name.clone(), index: 0 })
        }
        Some(weight) => {
            layer.quantize(weight);
            Ok(())
        }
        None => {
            // `load` has nothing to look for.
            layer.weight = Param::from_tensor(Tensor::empty([0, 0], &layer.weight.lazy_device()));
            Ok(())
        }
    }
}

/// Takes a weight that is in few bits already.
fn ready(
    layer: &mut Linear,
    weights: &Weights,
    options: &LoadOptions,
    key: &Key,
    info: &TensorInfo,
    [rows, columns]: [usize; 2],
    report: &mut LoadReport,
) -> Result<(), Error> {
    let part = key.part.unwrap_or((0, 1));
    let all = [rows * part.1, columns];
    let Some(bits) = Bits::of(&info.shape, all) else {
        return Err(Error::TensorShape {
            path: weights.path().into(),
            name: key.name.clone(),
            expected: all.to_vec(),
            found: info.shape.clone(),
        });
    };
    report.tensors += 1;
    report.parameters += rows * columns;
    weights.mark_used(&key.name);
    let bytes = if options.headers_only { None } else { Some(weights.read_bytes_of(&key.name, part)?) };
    take(layer, bytes.and_then(|bytes| Quantized::from_bytes(bytes, rows, columns, bits)), options, key)
}

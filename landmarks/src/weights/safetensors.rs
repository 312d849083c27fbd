//! The safetensors header: every rule of the format is checked before a tensor is read.

use std::collections::{BTreeMap, HashSet};
use std::fmt;

use safetensors::tensor::{Dtype as StDtype, Metadata};
use serde::Deserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};

use super::{Dtype, MAX_NAME, MAX_TENSORS, Source, TensorInfo, WeightsFault};

const MAX_HEADER: u64 = 100_000_000;

pub(super) fn read(source: &Source) -> Result<BTreeMap<String, TensorInfo>, WeightsFault> {
    let bytes = source.len();
    if bytes < 10 {
        return Err(WeightsFault::HeaderTooSmall { bytes });
    }
    let mut size = [0; 8];
    read_at(source, 0, &mut size)?;
    let claimed = u64::from_le_bytes(size);
    if claimed > MAX_HEADER || claimed > bytes - 8 {
        return Err(WeightsFault::HeaderLength { claimed, bytes });
    }
    let mut header = vec![0; claimed as usize];
    read_at(source, 8, &mut header)?;

    if let Some(name) = duplicate_key(&header)? {
        return Err(WeightsFault::Duplicate(name));
    }
    let metadata: Metadata = serde_json::from_slice(&header).map_err(WeightsFault::Header)?;
    let promised = (8 + claimed).saturating_add(metadata.data_len() as u64);
    if promised != bytes {
        return Err(WeightsFault::Length { promised, bytes });
    }
    let tensors = metadata.tensors();
    if tensors.len() > MAX_TENSORS || tensors.keys().any(|name| name.len() > MAX_NAME) {
        return Err(WeightsFault::Rule("more than 100,000 tensors or a name over 1 KiB"));
    }
    tensors
        .into_iter()
        .map(|(name, info)| {
            let dtype = match info.dtype {
                StDtype::F64 => Dtype::F64,
                StDtype::F32 => Dtype::F32,
                StDtype::F16 => Dtype::F16,
                StDtype::BF16 => Dtype::BF16,
                StDtype::U8 => Dtype::Byte,
                other if other.bitsize() % 8 > 0 => return Err(WeightsFault::Rule("values of less than a byte")),
                other => Dtype::Other(other.bitsize() / 8),
            };
            let start = 8 + claimed + info.data_offsets.0 as u64;
            Ok((name, TensorInfo { dtype, shape: info.shape.clone(), strides: None, start }))
        })
        .collect()
}

fn read_at(source: &Source, offset: u64, buf: &mut [u8]) -> Result<(), WeightsFault> {
    source.read_at(offset, buf).map_err(|_| WeightsFault::Rule("the file ended while its header was read"))
}

/// serde_json keeps the last of two equal keys without a word.
fn duplicate_key(header: &[u8]) -> Result<Option<String>, WeightsFault> {
    struct Keys;
    impl<'de> Visitor<'de> for Keys {
        type Value = Option<String>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of tensors")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let (mut seen, mut duplicate) = (HashSet::new(), None);
            while let Some((key, IgnoredAny)) = map.next_entry::<String, IgnoredAny>()? {
                if !seen.insert(key.clone()) {
                    duplicate = Some(key);
                }
            }
            Ok(duplicate)
        }
    }
    serde_json::Deserializer::from_slice(header).deserialize_map(Keys).map_err(WeightsFault::Header)
}

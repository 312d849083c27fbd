//! The header of GGUF files, which llama.cpp's users have: names, types and places of tensors. Settings are passed over.

use std::collections::BTreeMap;

use super::{Blocks, Dtype, MAX_NAME, MAX_TENSORS, Source, TensorInfo, WeightsFault};

pub(super) const MAGIC: &[u8] = b"GGUF";
const MAX_HEADER: u64 = 100_000_000;
/// Arrays within arrays.
const MAX_DEPTH: usize = 4;
/// Bytes read at a time.
const CHUNK: usize = 1 << 16;
/// Where nothing is said, data begin at a multiple of this.
const ALIGNMENT: u64 = 32;

pub(super) fn read(source: &Source) -> Result<BTreeMap<String, TensorInfo>, WeightsFault> {
    let mut header = Header { source, at: MAGIC.len() as u64, chunk: Vec::new(), start: 0 };
    if !(2..=3).contains(&header.u32()?) {
        return Err(WeightsFault::Rule("this GGUF file is not of version 2 or 3"));
    }
    let (tensors, settings) = (header.count()?, header.count()?);
    let mut alignment = ALIGNMENT;
    for _ in 0..settings {
        let name = header.text()?;
        let kind = header.u32()?;
        if name == b"general.alignment" && kind == 4 {
            alignment = u64::from(header.u32()?);
        } else {
            header.skip_value(kind, 0)?;
        }
    }
    if !alignment.is_power_of_two() {
        return Err(WeightsFault::Rule("the alignment is no power of two"));
    }
    let mut found = Vec::new();
    for _ in 0..tensors {
        found.push(tensor(&mut header)?);
    }
    let data = header.at.next_multiple_of(alignment);
    let mut places: Vec<(u64, u64)> = Vec::new();
    let mut all = BTreeMap::new();
    for (name, mut info, bytes) in found {
        info.start = info.start.checked_add(data).ok_or(OUT_OF_RANGE)?;
        places.push((info.start, info.start.checked_add(bytes).ok_or(OUT_OF_RANGE)?));
        if all.insert(name.clone(), info).is_some() {
            return Err(WeightsFault::Duplicate(name));
        }
    }
    places.sort_unstable();
    if places.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        return Err(WeightsFault::Rule("two tensors overlap"));
    }
    let promised = places.last().map_or(data, |place| place.1);
    if promised > source.len() {
        return Err(WeightsFault::Length { promised, bytes: source.len() });
    }
    Ok(all)
}

const OUT_OF_RANGE: WeightsFault = WeightsFault::Rule("a tensor is larger than can be addressed");

/// Name, type and shape with the offset into the data, and the length in bytes.
fn tensor(header: &mut Header<'_>) -> Result<(String, TensorInfo, u64), WeightsFault> {
    let name = String::from_utf8(header.text()?).map_err(|_| WeightsFault::Rule("a tensor's name is not UTF-8"))?;
    let axes = header.u32()?;
    if !(1..=4).contains(&axes) {
        return Err(WeightsFault::Rule("a tensor has no axes, or more than four"));
    }
    let mut shape = Vec::new();
    for _ in 0..axes {
        shape.push(usize::try_from(header.u64()?).map_err(|_| OUT_OF_RANGE)?);
    }
    // The axis that lies together comes first.
    shape.reverse();
    let dtype = match header.u32()? {
        0 => Dtype::F32,
        1 => Dtype::F16,
        30 => Dtype::BF16,
        2 => Dtype::Blocks(Blocks::Q4_0),
        8 => Dtype::Blocks(Blocks::Q8_0),
        12 => Dtype::Blocks(Blocks::Q4K),
        14 => Dtype::Blocks(Blocks::Q6K),
        kind => return Err(WeightsFault::Ggml { name, kind }),
    };
    let (values, bytes) = dtype.unit();
    if !shape.last().is_some_and(|columns| columns.is_multiple_of(values)) {
        return Err(WeightsFault::Rule("the rows of a tensor are not whole blocks"));
    }
    let elements = shape.iter().try_fold(1_usize, |all, n| all.checked_mul(*n)).ok_or(OUT_OF_RANGE)?;
    let length = (elements / values).checked_mul(bytes).ok_or(OUT_OF_RANGE)?;
    Ok((name, TensorInfo { dtype, shape, strides: None, start: header.u64()? }, length as u64))
}

/// Bytes of the header, one after the other.
struct Header<'a> {
    source: &'a Source,
    at: u64,
    /// Bytes from `start` on.
    chunk: Vec<u8>,
    start: u64,
}

impl Header<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], WeightsFault> {
        let end = self.at + N as u64;
        if self.at < self.start || end > self.start + self.chunk.len() as u64 {
            self.check(N as u64)?;
            self.start = self.at;
            self.chunk.resize((self.source.len() - self.at).min(CHUNK as u64) as usize, 0);
            self.source.read_at(self.at, &mut self.chunk).map_err(|_| ENDED)?;
        }
        let place = (self.at - self.start) as usize;
        self.at = end;
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.chunk[place..place + N]);
        Ok(bytes)
    }

    /// Whether that many bytes follow.
    fn check(&self, bytes: u64) -> Result<(), WeightsFault> {
        let end = self.at.checked_add(bytes).ok_or(ENDED)?;
        if end > MAX_HEADER {
            return Err(WeightsFault::HeaderLength { claimed: end, bytes: self.source.len() });
        }
        if end > self.source.len() { Err(ENDED) } else { Ok(()) }
    }

    fn skip(&mut self, bytes: u64) -> Result<(), WeightsFault> {
        self.check(bytes)?;
        self.at += bytes;
        Ok(())
    }

    fn u32(&mut self) -> Result<u32, WeightsFault> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, WeightsFault> {
        self.take().map(u64::from_le_bytes)
    }

    fn count(&mut self) -> Result<u64, WeightsFault> {
        let count = self.u64()?;
        if count > MAX_TENSORS as u64 {
            Err(WeightsFault::Rule("more than 100,000 tensors or settings"))
        } else {
            Ok(count)
        }
    }

    fn text(&mut self) -> Result<Vec<u8>, WeightsFault> {
        let length = self.u64()?;
        if length > MAX_NAME as u64 {
            return Err(WeightsFault::Rule("a name is over 1 KiB"));
        }
        (0..length).map(|_| self.take::<1>().map(|[byte]| byte)).collect()
    }

    fn skip_value(&mut self, kind: u32, depth: usize) -> Result<(), WeightsFault> {
        let fixed = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                let length = self.u64()?;
                return self.skip(length);
            }
            9 if depth < MAX_DEPTH => {
                let (kind, count) = (self.u32()?, self.u64()?);
                // Each takes a byte at least: a count beyond the file ends soon.
                return (0..count).try_for_each(|_| self.skip_value(kind, depth + 1));
            }
            _ => return Err(WeightsFault::Rule("a setting of an unknown type")),
        };
        self.skip(fixed)
    }
}

const ENDED: WeightsFault = WeightsFault::Rule("the file ended while its header was read");

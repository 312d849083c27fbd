//! PyTorch's two containers: a zip of storages (since 1.6) and the older stream of pickles.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Seek, SeekFrom};

use zip::{CompressionMethod, ZipArchive};

use super::pickle::{Pickle, Tensor};
use super::{Source, TensorInfo, WeightsFault};

/// Pickles hold names and shapes only; the largest published ones have a few hundred KiB.
const MAX_PICKLE: u64 = 64 << 20;

type Tensors = BTreeMap<String, TensorInfo>;

/// A storage's first byte and its length in bytes.
type Storages = HashMap<String, (u64, u64)>;

pub(super) fn read_zip(source: &Source) -> Result<Tensors, WeightsFault> {
    let mut archive = ZipArchive::new(Cursor { source, at: 0 }).map_err(WeightsFault::Zip)?;
    let (mut pickle, mut storages) = (None, Storages::new());
    for i in 0..archive.len() {
        let mut entry = archive.by_index_raw(i).map_err(WeightsFault::Zip)?;
        if entry.compression() != CompressionMethod::Stored || entry.compressed_size() != entry.size() {
            return Err(WeightsFault::Rule("a compressed entry: torch.save stores its data uncompressed"));
        }
        let name = entry.name().map_err(WeightsFault::Zip)?.into_owned();
        let size = entry.size();
        let Some(start) = entry.data_start() else {
            return Err(WeightsFault::Rule("an entry without data"));
        };
        if start.checked_add(size).is_none_or(|end| end > source.len()) {
            return Err(WeightsFault::Storage { key: name, needed: size, found: source.len().saturating_sub(start) });
        }
        if name.ends_with("/data.pkl") {
            if size > MAX_PICKLE {
                return Err(WeightsFault::Rule("a pickle of more than 64 MiB"));
            }
            let mut bytes = Vec::with_capacity(size as usize);
            entry.read_to_end(&mut bytes).map_err(|e| WeightsFault::Zip(e.into()))?;
            pickle = Some(Pickle::parse(&bytes)?);
        } else if let Some((_, key)) = name.rsplit_once("/data/") {
            storages.insert(key.to_owned(), (start, size));
        } else if name.ends_with("/byteorder") && size == 3 {
            return Err(WeightsFault::Rule("big-endian storages are not supported"));
        }
    }
    let pickle = pickle.ok_or(WeightsFault::NotWeights("a zip archive without data.pkl: not a torch.save file"))?;
    bind(pickle.tensors()?, &storages)
}

/// Magic number, protocol, system information, state dict, storage keys; then each storage as a count and its data.
pub(super) fn read_legacy(source: &Source) -> Result<Tensors, WeightsFault> {
    let mut head = vec![0; source.len().min(MAX_PICKLE) as usize];
    source.read_at(0, &mut head).map_err(|_| WeightsFault::Rule("the file ended while it was read"))?;
    let mut at = 0;
    let mut next = || -> Result<Pickle, WeightsFault> {
        let pickle = Pickle::parse(&head[at..])?;
        at += pickle.consumed;
        Ok(pickle)
    };
    for _ in 0..3 {
        next()?;
    }
    let tensors = next()?.tensors()?;
    let keys = next()?.strings().ok_or(WeightsFault::Rule("the list of storages is missing"))?;
    let declared: HashMap<&str, (u64, u64)> =
        tensors.iter().map(|(_, t)| (&*t.storage.key, (t.storage.elements, t.storage.dtype.unit().1 as u64))).collect();
    let (mut storages, mut position) = (Storages::new(), at as u64);
    for key in keys {
        let Some(&(elements, size)) = declared.get(key.as_str()) else {
            return Err(WeightsFault::Rule("a storage that no tensor uses"));
        };
        let needed = elements.checked_mul(size).ok_or(WeightsFault::Rule("a storage larger than any file"))?;
        let found = source.len().saturating_sub(position + 8);
        if found < needed {
            return Err(WeightsFault::Storage { key, needed, found });
        }
        let mut count = [0; 8];
        source.read_at(position, &mut count).map_err(|_| WeightsFault::Rule("the file ended while it was read"))?;
        if u64::from_le_bytes(count) != elements {
            return Err(WeightsFault::Rule("a storage's length disagrees with its description"));
        }
        storages.insert(key, (position + 8, needed));
        position += 8 + needed;
    }
    if position != source.len() {
        return Err(WeightsFault::Length { promised: position, bytes: source.len() });
    }
    bind(tensors, &storages)
}

/// Gives each tensor its place in the file, after checking that all its elements lie in its storage.
fn bind(tensors: Vec<(String, Tensor)>, storages: &Storages) -> Result<Tensors, WeightsFault> {
    let mut bound = Tensors::new();
    for (name, t) in tensors {
        let size = t.storage.dtype.unit().1 as u64;
        let &(start, found) = storages.get(&*t.storage.key).unwrap_or(&(0, 0));
        let last = t
            .shape
            .iter()
            .zip(&t.strides)
            .try_fold(t.offset, |acc, (&n, &s)| acc.checked_add((n.max(1) as u64 - 1).checked_mul(s as u64)?));
        let elements = t.shape.iter().try_fold(1_usize, |acc, &n| acc.checked_mul(n));
        let (Some(last), Some(elements)) = (last, elements) else {
            return Err(WeightsFault::Rule("a tensor larger than any file"));
        };
        let extent = if elements == 0 { t.offset } else { last.saturating_add(1) };
        let needed = extent.max(t.storage.elements).saturating_mul(size);
        // An expanded view could claim more elements than its storage holds.
        if needed > found || elements as u64 > t.storage.elements {
            return Err(WeightsFault::Storage { key: t.storage.key.to_string(), needed, found });
        }
        let mut row_major = 1;
        // Without elements there is no order, and no bound on the other lengths.
        let contiguous = elements == 0
            || t.shape.iter().zip(&t.strides).rev().all(|(&n, &s)| {
                let expected = row_major;
                row_major *= n;
                n <= 1 || s == expected
            });
        let info = TensorInfo {
            dtype: t.storage.dtype,
            shape: t.shape,
            strides: (!contiguous).then_some(t.strides),
            start: start + t.offset * size,
        };
        if bound.insert(name.clone(), info).is_some() {
            return Err(WeightsFault::Duplicate(name));
        }
    }
    Ok(bound)
}

/// [`Source`] as a seekable reader for the zip crate.
struct Cursor<'a> {
    source: &'a Source,
    at: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (buf.len() as u64).min(self.source.len().saturating_sub(self.at)) as usize;
        self.source.read_at(self.at, &mut buf[..n]).map_err(io::Error::other)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Cursor<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(n) => Some(n),
            SeekFrom::Current(d) => self.at.checked_add_signed(d),
            SeekFrom::End(d) => self.source.len().checked_add_signed(d),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

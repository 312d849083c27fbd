//! Folders of weights: one file, or shards named by an index.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;

use super::{TensorFile, WeightsFault};
use crate::Error;
use crate::picture::read_file;

/// Index first, then the single file it stands for.
const LAYOUTS: [(&str, &str); 2] =
    [("model.safetensors.index.json", "model.safetensors"), ("pytorch_model.bin.index.json", "pytorch_model.bin")];

/// The index names a few hundred tensors; 16 MiB hold a hundred thousand.
const MAX_INDEX: u64 = 16 << 20;

#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

pub(super) fn open(folder: &Path) -> Result<Vec<TensorFile>, Error> {
    for (index, single) in LAYOUTS {
        let (index, single) = (folder.join(index), folder.join(single));
        if index.exists() {
            return sharded(folder, &index);
        }
        if single.exists() {
            return Ok(vec![TensorFile::open(&single)?]);
        }
    }
    let files = LAYOUTS.map(|(index, single)| format!("{single} or {index}")).join(", ");
    Err(Error::Weights {
        path: folder.into(),
        fault: WeightsFault::Index(format!("the folder holds no weights: expected {files}")),
    })
}

fn sharded(folder: &Path, index: &Path) -> Result<Vec<TensorFile>, Error> {
    let fault = |fault| Error::Weights { path: index.into(), fault };
    let map = serde_json::from_slice::<Index>(&read_file(index, MAX_INDEX)?)
        .map_err(|e| fault(WeightsFault::Header(e)))?
        .weight_map;
    let shards: BTreeSet<&String> = map.values().collect();
    let mut files = Vec::with_capacity(shards.len());
    for shard in shards {
        let path = inside(folder, shard)
            .ok_or_else(|| fault(WeightsFault::Index(format!("shard {shard:?} lies outside the folder; refused"))))?;
        if !path.exists() {
            return Err(fault(WeightsFault::Index(format!("shard {shard:?} is missing: download it again"))));
        }
        let file = TensorFile::open(&path)?;
        let listed: BTreeSet<&String> = map.iter().filter(|(_, s)| *s == shard).map(|(n, _)| n).collect();
        let held: BTreeSet<&String> = file.tensors.keys().collect();
        if let Some(name) = listed.symmetric_difference(&held).next() {
            return Err(fault(WeightsFault::Index(format!("{name:?} is in the index or in {shard:?}, not in both"))));
        }
        files.push(file);
    }
    Ok(files)
}

/// A plain file name whose target stays in the folder. Links into a sibling store of blobs, as the hub's cache makes
/// them, are links all the same: copy the files, or point at the real folder.
fn inside(folder: &Path, shard: &str) -> Option<PathBuf> {
    let mut parts = Path::new(shard).components();
    let (Some(Component::Normal(name)), None) = (parts.next(), parts.next()) else { return None };
    let path = folder.join(name);
    match (path.canonicalize(), folder.canonicalize()) {
        (Ok(real), Ok(folder)) if !real.starts_with(&folder) => None,
        _ => Some(path),
    }
}

//! Reading weights from files that nobody vouches for.
//!
//! [`Weights`] is a set of named tensors from one file or a sharded folder, in safetensors,
//! PyTorch's pickled format or llama.cpp's GGUF.
//! Opening reads headers only; [`load`] fills a burn module tensor by tensor, so that memory peaks at the module plus
//! one block of a tensor. Nothing is executed, nothing is allocated before its size is checked, and a file that ends
//! early is refused rather than filled with zeros.

mod blocks;
mod gguf;
mod load;
mod pickle;
mod quantized;
mod safetensors;
mod save;
mod shards;
mod torch;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::Error;

pub use blocks::Blocks;
pub use load::{Key, LoadOptions, LoadReport, load};
pub use quantized::load_quantized;
pub use save::{NamedTensors, collect, collect_quantized, write};
pub(crate) use source::Source;

mod source;

/// Tensors of a file at most.
const MAX_TENSORS: usize = 100_000;
/// Bytes of a tensor's name at most.
const MAX_NAME: usize = 1024;

/// Element types that weights come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dtype {
    /// 64-bit float.
    F64,
    /// 32-bit float.
    F32,
    /// IEEE half.
    F16,
    /// bfloat16.
    BF16,
    /// GGML's blocks of few bits.
    Blocks(Blocks),
    /// Bytes without sign: weights that are kept in few bits.
    Byte,
    /// Any other type of this many bytes: not loaded.
    Other(usize),
}

impl Dtype {
    /// How many values are stored together, in how many bytes: one by one but for blocks.
    pub const fn unit(self) -> (usize, usize) {
        match self {
            Self::F64 => (1, 8),
            Self::F32 => (1, 4),
            Self::F16 | Self::BF16 => (1, 2),
            Self::Blocks(blocks) => blocks.unit(),
            Self::Byte => (1, 1),
            Self::Other(n) => (1, n),
        }
    }
}

/// Where one tensor lies and what it is.
#[derive(Clone, Debug)]
pub struct TensorInfo {
    /// Element type in the file.
    pub dtype: Dtype,
    /// Shape in the file.
    pub shape: Vec<usize>,
    /// Element strides; row-major where `None`.
    strides: Option<Vec<usize>>,
    /// Byte offset of the first element in its file.
    start: u64,
}

impl TensorInfo {
    /// Number of elements.
    pub fn elements(&self) -> usize {
        self.shape.iter().product()
    }

    /// Number of bytes in the file.
    fn bytes(&self) -> usize {
        let (values, bytes) = self.dtype.unit();
        self.elements() / values * bytes
    }
}

/// What is wrong with a file of weights.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsFault {
    /// Fewer bytes than a header has.
    #[error("{bytes} bytes are too few for a header (HeaderTooSmall)")]
    HeaderTooSmall {
        /// Length of the file.
        bytes: u64,
    },
    /// The header claims more than the limit or the file.
    #[error("the header claims {claimed} bytes; the file has {bytes} and the limit is 100 MB")]
    HeaderLength {
        /// Claimed length.
        claimed: u64,
        /// Length of the file.
        bytes: u64,
    },
    /// The header is not what the format demands.
    #[error("the header is invalid: {0}")]
    Header(#[source] serde_json::Error),
    /// The header breaks a rule of the format.
    #[error("{0}")]
    Rule(&'static str),
    /// The same tensor name twice.
    #[error("the tensor {0:?} is there twice")]
    Duplicate(String),
    /// Bytes promised by the header that are not there, or more than promised.
    #[error("the header promises {promised} bytes and the file has {bytes}: an interrupted download or a damaged file")]
    Length {
        /// Bytes that the header promises.
        promised: u64,
        /// Length of the file.
        bytes: u64,
    },
    /// A type of blocks that is not read.
    #[error(
        "{name:?} has GGML's type {kind}; F32, F16, BF16, Q4_0, Q8_0, Q4_K and Q6_K can be read: quantize it again"
    )]
    Ggml {
        /// Name of the tensor.
        name: String,
        /// Number of the type.
        kind: u32,
    },
    /// Not weights at all.
    #[error("{0}")]
    NotWeights(&'static str),
    /// A pickle that asks for more than data.
    #[error("the pickle calls {0:?}, which state dicts do not need; refused, nothing was executed")]
    UnsafePickle(String),
    /// A pickle that is malformed or uses what state dicts do not need.
    #[error("the pickle is malformed at byte {at}: {what}")]
    Pickle {
        /// Byte of the pickle.
        at: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A storage that is missing or of the wrong length.
    #[error("storage {key:?}: {needed} bytes are needed, {found} are there")]
    Storage {
        /// The storage's key.
        key: String,
        /// Bytes needed.
        needed: u64,
        /// Bytes there.
        found: u64,
    },
    /// The zip container cannot be read.
    #[error("the zip container is damaged: {0}")]
    Zip(#[source] zip::result::ZipError),
    /// The index of a sharded checkpoint is wrong.
    #[error("{0}")]
    Index(String),
}

/// One file of named tensors.
#[derive(Debug)]
pub(crate) struct TensorFile {
    source: Source,
    tensors: BTreeMap<String, TensorInfo>,
}

impl TensorFile {
    fn open(path: &Path) -> Result<Self, Error> {
        let source = Source::open(path)?;
        let mut head = [0; 64];
        let n = (source.len() as usize).min(head.len());
        source.read_at(0, &mut head[..n])?;
        let tensors = match &head[..n] {
            h if h.starts_with(b"version https://git-lfs") => Err(WeightsFault::NotWeights(
                "this is a git-LFS pointer, not weights: run `git lfs pull` or download the file itself",
            )),
            h if is_html(h) => Err(WeightsFault::NotWeights(
                "this is a web page, not weights: the download needs a login or another address",
            )),
            h if h.starts_with(gguf::MAGIC) => gguf::read(&source),
            h if h.starts_with(b"PK\x03\x04") => torch::read_zip(&source),
            [0x80, 0x02, 0x8a, 0x0a, ..] => torch::read_legacy(&source),
            _ => safetensors::read(&source),
        };
        let tensors = tensors.map_err(|fault| Error::Weights { path: path.into(), fault })?;
        Ok(Self { source, tensors })
    }
}

fn is_html(head: &[u8]) -> bool {
    let text = head.trim_ascii_start().to_ascii_lowercase();
    text.starts_with(b"<!doctype") || text.starts_with(b"<html")
}

/// Named tensors of one file or of all shards of a folder.
#[derive(Debug)]
pub struct Weights {
    files: Vec<TensorFile>,
    index: BTreeMap<String, usize>,
    used: Mutex<HashSet<String>>,
    path: PathBuf,
}

impl Weights {
    /// Opens a `.safetensors`, `.bin`, `.pth`, `.pth.tar` or `.gguf` file, or a folder with `model.safetensors`,
    /// `pytorch_model.bin` or a sharded set (`model.safetensors.index.json`, `pytorch_model.bin.index.json`). The content
    /// decides the format. There is no checksum in these formats: a flipped bit that leaves a value finite is not noticed.
    ///
    /// # Errors
    /// [`Error::Weights`] with the file and the fault, [`Error::Io`], [`Error::NotAFile`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let meta = std::fs::metadata(path).map_err(|source| Error::Io { path: path.into(), source })?;
        let files = if meta.is_dir() { shards::open(path)? } else { vec![TensorFile::open(path)?] };
        Self::from_files(path, files)
    }

    /// Weights embedded in the program as safetensors.
    ///
    /// # Errors
    /// [`Error::Weights`].
    pub fn from_static(name: &str, bytes: &'static [u8]) -> Result<Self, Error> {
        let source = Source::Static(bytes);
        let tensors = safetensors::read(&source).map_err(|fault| Error::Weights { path: name.into(), fault })?;
        Self::from_files(Path::new(name), vec![TensorFile { source, tensors }])
    }

    fn from_files(path: &Path, files: Vec<TensorFile>) -> Result<Self, Error> {
        let mut index = BTreeMap::new();
        for (i, file) in files.iter().enumerate() {
            for name in file.tensors.keys() {
                if index.insert(name.clone(), i).is_some() {
                    let fault = WeightsFault::Duplicate(name.clone());
                    return Err(Error::Weights { path: path.into(), fault });
                }
            }
        }
        Ok(Self { files, index, used: Mutex::default(), path: path.into() })
    }

    /// Where the weights come from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.index.get(name).and_then(|&i| self.files[i].tensors.get(name))
    }

    /// Whether any name starts with this.
    pub fn has_prefix(&self, prefix: &str) -> bool {
        self.index.range(prefix.to_owned()..).next().is_some_and(|(name, _)| name.starts_with(prefix))
    }

    /// Names that no [`load`] asked for so far.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.names().filter(|name| !used.contains(*name)).map(str::to_owned).collect()
    }
}

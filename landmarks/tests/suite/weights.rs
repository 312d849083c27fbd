//! Files of weights that are damaged, lying or malicious: each gets a typed error, nothing is executed.

use std::io::Write;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Device;
use landmarks::weights::{Key, LoadOptions, Weights, WeightsFault, load};
use landmarks::{Error, Linear, LinearConfig};
use tempfile::TempDir;

use crate::fixture;

fn file(folder: &TempDir, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join("weights");
    std::fs::write(&path, bytes).unwrap();
    path
}

fn fault(bytes: &[u8]) -> WeightsFault {
    let folder = tempfile::tempdir().unwrap();
    match Weights::open(file(&folder, bytes)) {
        Err(Error::Weights { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// A safetensors file with this header and `data` bytes of zeros.
fn with_header(header: &str, data: usize) -> Vec<u8> {
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(vec![0; data]);
    bytes
}

fn entry(name: &str, dtype: &str, shape: &str, offsets: &str) -> String {
    format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}"#)
}

#[test]
fn headers_that_lie_are_refused() {
    use WeightsFault as F;
    assert!(matches!(fault(b""), F::HeaderTooSmall { bytes: 0 }));
    assert!(matches!(fault(&[1; 7]), F::HeaderTooSmall { bytes: 7 }));
    let length = |n: u64| [&n.to_le_bytes()[..], b"{}{}{}{}"].concat();
    for n in [u64::MAX, 100_000_001, 9] {
        assert!(matches!(fault(&length(n)), F::HeaderLength { claimed, .. } if claimed == n));
    }
    let not_utf8 = [&8_u64.to_le_bytes()[..], b"{\"\xff\xfe\":1}"].concat();
    assert!(matches!(fault(&not_utf8), F::Header(_)));
    for header in ["[1, 2]", "nonsense", &"[".repeat(100_000), &format!("{{\"a\":{}", "{\"a\":".repeat(100_000))] {
        assert!(matches!(fault(&with_header(header, 0)), F::Header(_)), "{}", &header[..6]);
    }
}

#[test]
fn tensors_that_overlap_repeat_or_overflow_are_refused() {
    use WeightsFault as F;
    let two = |a: &str, b: &str| format!("{{{a},{b}}}");
    let a = entry("a", "F32", "[2]", "[0,8]");
    let cases = [
        (two(&a, &entry("b", "F32", "[2]", "[4,12]")), 12),  // overlap
        (two(&a, &entry("b", "F32", "[1]", "[12,16]")), 16), // hole
        (format!("{{{}}}", entry("a", "F32", "[9223372036854775807,3]", "[0,8]")), 8),
        (format!("{{{}}}", entry("a", "F32", "[3]", "[0,8]")), 8),
        (format!("{{{}}}", entry("a", "F32", "[-1]", "[0,8]")), 8),
    ];
    for (header, data) in cases {
        assert!(matches!(fault(&with_header(&header, data)), F::Header(_)), "{header}");
    }
    let twice = two(&a, &entry("\\u0061", "F32", "[2]", "[0,8]"));
    assert!(matches!(fault(&with_header(&twice, 8)), F::Duplicate(name) if name == "a"));
    let unknown = format!("{{{}}}", entry("a", "Q4", "[2]", "[0,8]"));
    assert!(fault(&with_header(&unknown, 8)).to_string().contains("header is invalid"));
    let good = format!("{{{a}}}");
    for data in [7, 9] {
        assert!(matches!(fault(&with_header(&good, data)), F::Length { .. }), "{data}");
    }
    let long = format!("{{{}}}", entry(&"n".repeat(2000), "F32", "[2]", "[0,8]"));
    assert!(matches!(fault(&with_header(&long, 8)), F::Rule(_)));
}

#[test]
fn things_that_are_no_weights_are_named() {
    let lfs = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
    assert!(fault(lfs).to_string().contains("LFS"));
    assert!(fault(b"<!DOCTYPE html><html><body>Login</body></html>").to_string().contains("web page"));
    assert!(matches!(Weights::open("/nonexistent"), Err(Error::Io { .. })));
    assert!(matches!(Weights::open("/dev/zero"), Err(Error::NotAFile { .. })));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(Weights::open(folder.path()), Err(Error::Weights { .. })));
}

#[cfg(unix)]
#[test]
fn a_pipe_is_refused_without_waiting_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert!(matches!(Weights::open(&pipe), Err(Error::NotAFile { .. })));
    assert!(matches!(landmarks::open(&pipe), Err(Error::NotAFile { .. })));
}

fn astronaut_weights() -> Vec<u8> {
    std::fs::read(fixture("mediapipe/astronaut.safetensors")).unwrap()
}

#[test]
fn a_file_cut_anywhere_is_refused() {
    let bytes = astronaut_weights();
    for percent in 0..100 {
        fault(&bytes[..bytes.len() * percent / 100]);
    }
    fault(&bytes[..bytes.len() - 1]);
    fault(&[&bytes[..], b"x"].concat());
}

#[test]
fn a_file_that_shrinks_after_opening_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &astronaut_weights());
    let weights = Weights::open(&path).unwrap();
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(5000).unwrap();
    assert!(matches!(weights.read_f32("facemesh.conv2d_21"), Err(Error::Io { .. })));
}

/// A stored zip entry list as torch.save writes it.
fn torch_zip(pickle: &[u8], storages: &[(&str, Vec<u8>)], method: zip::CompressionMethod) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut bytes);
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    zip.start_file("archive/data.pkl", options).unwrap();
    zip.write_all(pickle).unwrap();
    for (key, data) in storages {
        zip.start_file(format!("archive/data/{key}"), options).unwrap();
        zip.write_all(data).unwrap();
    }
    zip.finish().unwrap();
    bytes.into_inner()
}

fn zip_fault(pickle: &[u8], storages: &[(&str, Vec<u8>)]) -> WeightsFault {
    fault(&torch_zip(pickle, storages, zip::CompressionMethod::Stored))
}

/// The pickle of `{"w": tensor}` of shape [2, 3] f32 over storage "0" with these strides.
fn tensor_pickle(strides: [u8; 2], elements: u8) -> Vec<u8> {
    let mut p = b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec();
    p.extend(b"ctorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu");
    p.extend([b'K', elements, b't', b'Q', b'K', 0]);
    p.extend([b'K', 2, b'K', 3, 0x86, b'K', strides[0], b'K', strides[1], 0x86, 0x89]);
    p.extend(b"ccollections\nOrderedDict\n)RtRs.");
    p
}

fn six() -> Vec<u8> {
    (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

#[test]
fn a_pickle_is_read_with_its_strides() {
    let folder = tempfile::tempdir().unwrap();
    for (strides, expected) in [([3, 1], [0., 1., 2., 3., 4., 5.]), ([1, 2], [0., 2., 4., 1., 3., 5.])] {
        let bytes = torch_zip(&tensor_pickle(strides, 6), &[("0", six())], zip::CompressionMethod::Stored);
        let weights = Weights::open(file(&folder, &bytes)).unwrap();
        assert_eq!(weights.info("w").unwrap().shape, [2, 3]);
        assert_eq!(weights.read_f32("w").unwrap(), expected);
    }
}

#[test]
fn nothing_is_read_of_tensors_without_elements() {
    // Shape [0, 2^40, 2^40]: as many bytes would not fit anywhere.
    let long = [0x8a, 6, 0, 0, 0, 0, 0, 1];
    let shape = [b"(K\0".as_slice(), &long, &long, b"t"].concat();
    let pickle = tensor_pickle([3, 1], 6);
    let at = pickle.windows(5).position(|w| w == b"K\x02K\x03\x86").unwrap();
    let rest = pickle[at + 5..].strip_prefix(b"K\x03K\x01\x86").unwrap();
    let pickle = [&pickle[..at], &shape, b"(K\0K\0K\x01t", rest].concat();
    let folder = tempfile::tempdir().unwrap();
    let weights = Weights::open(file(&folder, &torch_zip(&pickle, &[("0", six())], zip::CompressionMethod::Stored)));
    assert_eq!(weights.unwrap().read_f32("w").unwrap(), [0.0; 0]);
}

#[test]
fn storages_that_are_missing_or_short_are_refused() {
    use WeightsFault as F;
    assert!(matches!(zip_fault(&tensor_pickle([3, 1], 6), &[]), F::Storage { .. }));
    assert!(matches!(zip_fault(&tensor_pickle([3, 1], 6), &[("0", six()[..20].to_vec())]), F::Storage { .. }));
    assert!(matches!(zip_fault(&tensor_pickle([9, 9], 6), &[("0", six())]), F::Storage { .. }));
    // A view that repeats values could claim any size.
    assert!(matches!(zip_fault(&tensor_pickle([0, 1], 3), &[("0", six())]), F::Storage { .. }));
}

#[test]
fn pickles_that_call_are_refused_by_name() {
    for (call, name) in [
        (b"cos\nsystem\nX\x04\0\0\0true\x85R.".as_slice(), "os.system"),
        (b"cposix\nsystem\n.", "posix.system"),
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"c__builtin__\nexec\n.", "__builtin__.exec"),
        (b"csubprocess\nPopen\n.", "subprocess.Popen"),
        (b"ctorch\nload\n.", "torch.load"),
        (b"X\x02\0\0\0osX\x06\0\0\0system\x93.", "os.system"),
    ] {
        let pickle = [b"\x80\x02", call].concat();
        match zip_fault(&pickle, &[]) {
            WeightsFault::UnsafePickle(found) => assert_eq!(found, name),
            other => panic!("{name}: {other}"),
        }
    }
    // Opcodes that make objects otherwise.
    for op in [b"i".as_slice(), b"o", b"\x81", b"\x92", b"P0\n", b"\x82\x01"] {
        let pickle = [b"\x80\x02(", op, b"."].concat();
        assert!(matches!(zip_fault(&pickle, &[]), WeightsFault::Pickle { .. }));
    }
}

#[test]
fn bombs_are_bounded() {
    let string = [b"\x80\x04\x8d".as_slice(), &(1_u64 << 62).to_le_bytes()].concat();
    assert!(matches!(zip_fault(&string, &[]), WeightsFault::Pickle { .. }));
    let nested = [b"\x80\x02)".as_slice(), &b"\x85".repeat(1_000_000), b"."].concat();
    assert!(matches!(zip_fault(&nested, &[]), WeightsFault::NotWeights(_)));
    // Each tuple holds the one before twice: 2^60 leaves if anybody walked them.
    let mut laughs = b"\x80\x02)q\0".to_vec();
    laughs.extend(b"h\0h\0\x86q\0".repeat(60));
    laughs.push(b'.');
    assert!(matches!(zip_fault(&laughs, &[]), WeightsFault::NotWeights(_)));
    let endless = [b"\x80\x02".as_slice(), &b"(".repeat(100_000)].concat();
    assert!(matches!(zip_fault(&endless, &[]), WeightsFault::Pickle { .. }));
    // Values, references and memos of a byte or two each, more than any state dict has.
    for op in [b"N".as_slice(), b")", b"h\0", b"\x94"] {
        let many = [b"\x80\x02Nq\0".as_slice(), &op.repeat(5_000_000)].concat();
        assert!(zip_fault(&many, &[]).to_string().contains("more values"), "{op:?}");
    }
    let pickle = tensor_pickle([3, 1], 6);
    let at = pickle.windows(6).position(|w| w == b"X\x01\0\0\0w").unwrap();
    let name = [b"X\xd0\x07\0\0".as_slice(), &b"n".repeat(2000)].concat();
    let named = [&pickle[..at], &name, &pickle[at + 6..]].concat();
    assert!(matches!(zip_fault(&named, &[("0", six())]), WeightsFault::Rule(_)));
}

#[test]
fn compressed_or_damaged_archives_are_refused() {
    let mut bytes = torch_zip(&tensor_pickle([3, 1], 6), &[("0", six())], zip::CompressionMethod::Stored);
    // Compression method 8 in every central header.
    let central: Vec<usize> = (0..bytes.len() - 4).filter(|&i| bytes[i..i + 4] == *b"PK\x01\x02").collect();
    for at in central {
        bytes[at + 10] = 8;
    }
    assert!(fault(&bytes).to_string().contains("compressed"));
    fault(b"PK\x03\x04 and nothing else");
    assert!(matches!(zip_fault(b"\x80\x02K\x01.", &[]), WeightsFault::NotWeights(_)));
    let plain = torch_zip(&tensor_pickle([3, 1], 6), &[("0", six())], zip::CompressionMethod::Stored);
    for n in 0..plain.len() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Weights::open(file(&folder, &plain[..n])).is_err(), "{n}");
    }
}

/// The format before PyTorch 1.6, as FAN's weights are published: five pickles, then each storage.
fn legacy(count: u64, elements: u8, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.".to_vec();
    bytes.extend(b"\x80\x02M\xe9\x03.");
    bytes.extend(b"\x80\x02}.");
    bytes.extend(tensor_pickle([3, 1], elements));
    bytes.extend(b"\x80\x02]X\x01\0\0\x000a.");
    bytes.extend(count.to_le_bytes());
    bytes.extend(data);
    bytes
}

#[test]
fn the_older_format_is_read_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let whole = legacy(6, 6, &six());
    let weights = Weights::open(file(&folder, &whole)).unwrap();
    assert_eq!(weights.read_f32("w").unwrap(), [0., 1., 2., 3., 4., 5.]);
    for n in 0..whole.len() {
        assert!(Weights::open(file(&folder, &whole[..n])).is_err(), "{n}");
    }
    assert!(matches!(fault(&legacy(5, 6, &six())), WeightsFault::Rule(_)));
    assert!(matches!(fault(&[&whole[..], b"x"].concat()), WeightsFault::Length { .. }));
}

fn layer(weights: &Weights, config: LinearConfig, key: impl Fn(&str) -> Key) -> Result<Linear, Error> {
    Ok(load(config.init(&Device::flex()), weights, &LoadOptions::default(), key)?.0)
}

fn open(folder: &TempDir, header: &str, data: &[f32]) -> Weights {
    let mut bytes = with_header(header, 0);
    bytes.extend(data.iter().flat_map(|v| v.to_le_bytes()));
    Weights::open(file(folder, &bytes)).unwrap()
}

#[test]
fn loading_names_what_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let header =
        format!("{{{},{}}}", entry("a.weight", "F32", "[2,3]", "[0,24]"), entry("a.bias", "F32", "[2]", "[24,32]"));
    let weights = open(&folder, &header, &[1., 2., 3., 4., 5., 6., 7., 8.]);
    let key = |path: &str| Key::from(format!("a.{path}"));
    let linear = layer(&weights, LinearConfig::new(3, 2), key).unwrap();
    assert_eq!(linear.weight.val().into_data().try_to_vec::<f32>().unwrap(), [1., 2., 3., 4., 5., 6.]);
    assert_eq!(linear.num_params(), 8);
    assert!(weights.unused().is_empty());
    // A transposed layer has another shape.
    match layer(&weights, LinearConfig::new(2, 3), key) {
        Err(Error::TensorShape { name, expected, found, .. }) => {
            assert_eq!((name.as_str(), expected, found), ("a.weight", vec![3, 2], vec![2, 3]));
        }
        other => panic!("{other:?}"),
    }
    match layer(&weights, LinearConfig::new(3, 2), |path| Key::from(format!("b.{path}"))) {
        Err(Error::MissingTensors { count: 2, names, nearest, .. }) => {
            assert_eq!((names[0].as_str(), nearest.as_str()), ("b.weight", "a.weight"));
        }
        other => panic!("{other:?}"),
    }
    // Row 1 of a packed tensor of two.
    let part = |_: &str| Key { name: "a.weight".into(), part: Some((1, 2)) };
    let half = layer(&weights, LinearConfig::without_bias(3, 1), part).unwrap();
    assert_eq!(half.weight.val().into_data().try_to_vec::<f32>().unwrap(), [4., 5., 6.]);
    // One that does not hold that many parts is none, not each of them.
    let third = |_: &str| Key { name: "a.weight".into(), part: Some((1, 3)) };
    match layer(&weights, LinearConfig::without_bias(3, 2), third) {
        Err(Error::TensorShape { expected, found, .. }) => assert_eq!((expected, found), (vec![6, 3], vec![2, 3])),
        other => panic!("{other:?}"),
    }
}

#[test]
fn integers_and_values_that_are_not_finite_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ints = format!("{{{}}}", entry("weight", "I32", "[1,2]", "[0,8]"));
    let weights = open(&folder, &ints, &[0.0, 0.0]);
    let plain = |path: &str| Key::from(path);
    let config = LinearConfig::without_bias(2, 1);
    assert!(matches!(layer(&weights, config, plain), Err(Error::TensorDtype { .. })));
    let floats = format!("{{{}}}", entry("weight", "F32", "[1,2]", "[0,8]"));
    for bad in [f32::NAN, f32::INFINITY] {
        let weights = open(&folder, &floats, &[0.0, bad]);
        assert!(matches!(layer(&weights, config, plain), Err(Error::NonFiniteWeight { index: 1, .. })));
        let options = LoadOptions { allow_nonfinite: true, ..Default::default() };
        assert!(load(config.init(&Device::flex()), &weights, &options, plain).is_ok());
    }
}

#[test]
fn narrowing_counts_what_overflows() {
    let folder = tempfile::tempdir().unwrap();
    let header = format!("{{{}}}", entry("weight", "F32", "[1,2]", "[0,8]"));
    let weights = open(&folder, &header, &[1e6, 2.0]);
    let options = LoadOptions { dtype: burn::tensor::FloatDType::F16, ..Default::default() };
    let module = LinearConfig::without_bias(2, 1).init(&Device::flex());
    let (linear, report) = load(module, &weights, &options, |path| Key::from(path)).unwrap();
    assert_eq!((report.overflowed, report.parameters), (1, 2));
    assert_eq!(linear.weight.val().dtype(), burn::tensor::DType::F16);
}

#[test]
fn embedded_weights_are_small() {
    let embedded = Path::new(env!("CARGO_MANIFEST_DIR")).join("weights/mediapipe.safetensors");
    assert!(std::fs::metadata(embedded).unwrap().len() <= 2_000_000);
}

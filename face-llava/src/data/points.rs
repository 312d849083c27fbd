//! Points in files of their own: JSON, or the authors' NumPy arrays.

use std::io;
use std::path::Path;

use landmarks::picture::read_file;
use landmarks::{CROP, POINT_COUNT};
use npyz::{NpyFile, Order};

use super::error::DataError;

/// Bytes of a file of points: ten thousand frames in f64 are 11 MB.
const MAX_POINTS: u64 = 16 << 20;
/// Bytes of an array's header, a dictionary of three; NumPy's own limit is 10,000.
const MAX_HEADER: usize = 10_000;
/// Brackets inside one another in it: a dictionary with a tuple, or with fields. Reading takes twice as long for each more.
const MAX_DEPTH: usize = 5;
/// Coordinates beyond this are pixels: a face cut by the border leaves the crop a little, pixels leave it by far.
const PIXELS: f32 = 4.0;

/// Sets of 68 `[x, y]` pairs in fractions of the crop, from JSON (68 pairs, or a list of such sets) or from a `.npy` of
/// 136 numbers, `[68, 2]` or `[frames, 68, 2]`. As in the authors' files, numbers in pixels are of the 256 pixel crop.
///
/// # Errors
/// [`DataError::Points`] says what the file holds instead.
pub fn read_landmarks(path: impl AsRef<Path>) -> Result<Vec<Vec<[f32; 2]>>, crate::Error> {
    let path = path.as_ref();
    let bytes = read_file(path, MAX_POINTS)?;
    let fail = |what| crate::Error::from(DataError::Points { path: path.into(), what });
    let mut sets = if bytes.starts_with(b"\x93NUMPY") {
        let numbers = numpy(&bytes).map_err(fail)?;
        let (pairs, rest) = numbers.as_chunks::<2>();
        if !rest.is_empty() || pairs.is_empty() || pairs.len() % POINT_COUNT != 0 {
            return Err(fail(format!("{} numbers; expected {} for each frame", numbers.len(), 2 * POINT_COUNT)));
        }
        pairs.chunks(POINT_COUNT).map(<[_]>::to_vec).collect()
    } else {
        match serde_json::from_slice::<Vec<Vec<[f32; 2]>>>(&bytes) {
            Ok(sets) => sets,
            Err(_) => vec![serde_json::from_slice(&bytes).map_err(|e| fail(format!("no list of [x, y] pairs: {e}")))?],
        }
    };
    if sets.iter().flatten().flatten().any(|v| v.abs() > PIXELS) {
        sets.iter_mut().flatten().flatten().for_each(|v| *v /= CROP as f32);
    }
    Ok(sets)
}

/// Refuses headers that would take long to read, or more memory than the file is large.
fn check_header(bytes: &[u8]) -> Result<(), String> {
    let (length, start) = match bytes.get(6..12) {
        Some(&[1, _, a, b, ..]) => (usize::from(u16::from_le_bytes([a, b])), 10),
        Some(&[2 | 3, _, a, b, c, d]) => (u32::from_le_bytes([a, b, c, d]) as usize, 12),
        _ => return Err("no header of an array".into()),
    };
    if length > MAX_HEADER {
        return Err(format!("a header of {length} bytes; expected at most {MAX_HEADER}"));
    }
    let header = bytes.get(start..start + length).ok_or("it ends in its header")?;
    let mut depth = 0_usize;
    for byte in header {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_DEPTH {
            return Err(format!("a header with more than {MAX_DEPTH} brackets inside one another"));
        }
    }
    Ok(())
}

/// The numbers of an array of floats or integers.
fn numpy(bytes: &[u8]) -> Result<Vec<f32>, String> {
    check_header(bytes)?;
    let array = NpyFile::new(bytes).map_err(|e| e.to_string())?;
    if array.order() == Order::Fortran && array.shape().len() > 1 {
        return Err("an array in Fortran order; save it with numpy.ascontiguousarray".into());
    }
    let array = match array.try_data::<f32>() {
        Ok(values) => return all(values, |v| v),
        Err(array) => array,
    };
    let array = match array.try_data::<f64>() {
        Ok(values) => return all(values, |v| v as f32),
        Err(array) => array,
    };
    match array.try_data::<i64>() {
        Ok(values) => all(values, |v| v as f32),
        Err(array) => Err(format!("an array of {}; expected f4, f8 or i8", array.dtype().descr())),
    }
}

fn all<T>(values: impl Iterator<Item = io::Result<T>>, to: impl Fn(T) -> f32) -> Result<Vec<f32>, String> {
    values.map(|v| v.map(&to).map_err(|e| e.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(kind: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn arrays_and_json_give_fractions() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("points");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            read_landmarks(&path)
        };
        let pixels: Vec<u8> = (0..272).flat_map(|i| (i as f32 % 256.0).to_le_bytes()).collect();
        let sets = read(&npy("<f4", "(2, 68, 2)", &pixels)).unwrap();
        assert_eq!((sets.len(), sets[0].len(), sets[0][1]), (2, 68, [2.0 / 256.0, 3.0 / 256.0]));
        let unit: Vec<u8> = (0..136).flat_map(|_| 0.5f64.to_le_bytes()).collect();
        assert_eq!(read(&npy("<f8", "(136,)", &unit)).unwrap(), [vec![[0.5; 2]; 68]]);
        let one = serde_json::to_vec(&vec![[0.25f32; 2]; 68]).unwrap();
        assert_eq!(read(&one).unwrap(), [vec![[0.25; 2]; 68]]);
        let whole = npy("<f4", "(68, 2)", &pixels[..544]);
        for cut in 6..whole.len() - 1 {
            assert!(read(&whole[..cut]).is_err(), "{cut}");
        }
        assert!(read(&npy("|O", "(68, 2)", &pixels)).is_err());
        assert!(read(b"[1, 2]").is_err());
        // An extra key full of brackets would take hours, a length of gigabytes as much memory.
        let deep = format!("(68, 2), 'x': {}1{}", "[".repeat(40), "]".repeat(40));
        assert!(read(&npy("<f4", &deep, &pixels)).unwrap_err().to_string().contains("brackets"));
        assert!(read(b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{").unwrap_err().to_string().contains("header"));
    }
}

//! Chance that depends on a seed and names only: the same on every machine, in every order, after every restart.

use std::io::{self, Read};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};

/// SHA-256 of `"{seed}:{name}"`.
fn digest(seed: u64, name: &str) -> [u8; 32] {
    Sha256::digest(format!("{seed}:{name}")).into()
}

/// A number of [0, 1).
pub(crate) fn unit(seed: u64, name: &str) -> f64 {
    // Dividing by 2^64: numbers next to it round up to 1, which belongs to the last part of any split anyway.
    draw(seed, name) as f64 / 2f64.powi(64)
}

/// Any 64 bits.
pub(crate) fn draw(seed: u64, name: &str) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = digest(seed, name);
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}

/// One of several.
pub(crate) fn pick<'a, T>(seed: u64, name: &str, of: &'a [T]) -> Option<&'a T> {
    let n = of.len() as u64;
    (n > 0).then(|| &of[(draw(seed, name) % n) as usize])
}

/// A generator of its own.
pub(crate) fn generator(seed: u64, name: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(digest(seed, name))
}

/// SHA-256 of bytes, in hexadecimal.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Feeds a digest all that there is to read.
///
/// # Errors
/// The reader's.
pub(crate) fn feed(hash: &mut Sha256, mut from: impl Read) -> io::Result<()> {
    let mut block = vec![0; 1 << 16];
    loop {
        match from.read(&mut block)? {
            0 => return Ok(()),
            n => hash.update(&block[..n]),
        }
    }
}

/// Bytes in hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

//! Large pages for large weights.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "advice to the kernel is a call into C"))]

/// Bytes of a large page on the processors that have the kernels.
#[cfg(target_os = "linux")]
const LARGE: usize = 2 << 20;

/// Asks the kernel to keep memory that nobody has touched yet in large pages: reading a weight from end to end then misses
/// fewer addresses. Where it does not, nothing changes.
#[cfg(target_os = "linux")]
pub(super) fn large(bytes: &mut [u8]) {
    let skipped = bytes.as_ptr().align_offset(LARGE);
    let Some(whole) = bytes.len().checked_sub(skipped).map(|rest| rest / LARGE * LARGE).filter(|whole| *whole > 0)
    else {
        return;
    };
    let start = bytes[skipped..].as_mut_ptr();
    // SAFETY: the range lies in `bytes`, and advice changes no content.
    unsafe { libc::madvise(start.cast(), whole, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
pub(super) fn large(_: &mut [u8]) {}

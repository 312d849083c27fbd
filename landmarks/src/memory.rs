//! How a program that works on tensors takes its memory.
#![cfg_attr(target_os = "linux", expect(unsafe_code, reason = "advice to kernel and C library is a call into C"))]

/// Bytes of a large page on the processors that have the kernels.
#[cfg(target_os = "linux")]
const LARGE: usize = 2 << 20;

/// Asks the kernel to keep memory that nobody has touched yet in large pages: reading a weight from end to end then misses
/// fewer addresses. Where it does not, nothing changes.
#[cfg(target_os = "linux")]
pub(crate) fn large_pages(bytes: &mut [u8]) {
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
pub(crate) fn large_pages(_: &mut [u8]) {}

/// Tells the C library to keep large blocks that were given back for those that are asked for next. Every operation on
/// tensors asks for the memory of its result, and pages that come from the kernel each time can cost as much as the
/// arithmetic. The process then keeps what it once needed. For programs, at their start; does nothing where the C library is
/// not glibc.
pub fn keep_freed_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const BLOCK: i32 = 1 << 30;
        // SAFETY: plain numbers; glibc takes its own lock.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, BLOCK);
            libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
            libc::mallopt(libc::M_TOP_PAD, 64 << 20);
        }
    }
}

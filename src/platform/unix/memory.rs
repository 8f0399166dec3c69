//! Large pages of memory.

use rustix::mm::{Advice, madvise};
use std::mem::MaybeUninit;

/// Length of a large page in bytes on usual machines.
const LARGE_PAGE: usize = 2 << 20;

/// Asks for large pages for memory that nobody has touched yet. Else it comes in pages of 4 KiB,
/// each with a trap into the kernel: thousands of them to derive one key (docs/design/0003).
#[expect(unsafe_code, reason = "the system call takes an address")]
pub fn prefer_large_pages<T>(memory: &mut [MaybeUninit<T>]) {
    let (begin, length) = (memory.as_mut_ptr().cast::<u8>(), size_of_val(memory));
    let skipped = begin.align_offset(LARGE_PAGE);
    let length = length.saturating_sub(skipped) / LARGE_PAGE * LARGE_PAGE;
    if length > 0 {
        // SAFETY: the range lies within the slice, and this advice does not change what can be read
        // or written there.
        let advised = unsafe {
            madvise(
                begin.wrapping_add(skipped).cast(),
                length,
                Advice::LinuxHugepage,
            )
        };
        // Kernels without large pages refuse; then the memory comes in small ones.
        advised.unwrap_or(());
    }
}

#[cfg(test)]
mod tests {
    use super::{LARGE_PAGE, prefer_large_pages};

    #[test]
    fn memory_of_any_length_can_be_used_as_before() {
        for length in [0, 1, LARGE_PAGE - 1, LARGE_PAGE, 3 * LARGE_PAGE + 5] {
            let mut memory: Vec<u8> = Vec::with_capacity(length);
            prefer_large_pages(memory.spare_capacity_mut());
            memory.resize(length, 7);
            assert!(memory.iter().all(|byte| *byte == 7), "{length}");
        }
    }
}

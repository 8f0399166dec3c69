//! The tar stream: turns an [`Entry`](crate::model::Entry) into the header bytes of its member, and
//! says where the content lies behind them.
//!
//! Owns the bytes of a member up to its first data byte. Knows neither files nor frames, nor its
//! place in the stream: the caller writes the header, then the runs of the [`MemberPlan`], then the
//! padding. Start reading at [`MemberEncoder`]. Layout: docs/format.md, "The tar stream".
//!
//! Invariants: every part is a multiple of [`BLOCK`] bytes long; equal entries give equal bytes; a
//! reader that knows only ustar still finds every member and its data; names are bytes, and nothing
//! in the stream tells a reader to convert them.

mod acl;
mod dumpdir;
mod member;
mod pax;
mod sparse;
mod ustar;

pub use dumpdir::{DumpDir, DumpDirCode};
pub use member::{MemberEncoder, MemberPlan, TarError};

/// Length of a tar block in bytes. Headers and data fill whole blocks.
pub const BLOCK: usize = 512;

/// The end of the stream: two blocks of zeros.
pub const END_OF_ARCHIVE: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Returns how many zeros fill the last block of `length` bytes.
pub fn padding(length: u64) -> u64 {
    length.next_multiple_of(BLOCK as u64).wrapping_sub(length)
}

/// Appends zeros up to the next block boundary, counted from `start` in `out`.
fn fill_block(out: &mut Vec<u8>, start: usize) {
    let end = start + (out.len() - start).next_multiple_of(BLOCK);
    out.resize(end, 0);
}

/// Appends a number in decimal digits.
fn push_decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = digit(number);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Returns the character of a number's last decimal digit.
fn digit(number: u64) -> u8 {
    // The number is below 10: every byte but the lowest is 0.
    let [lowest, ..] = (number % 10).to_le_bytes();
    b'0' + lowest
}

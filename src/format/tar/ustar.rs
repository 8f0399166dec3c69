//! The ustar header block: fixed fields, numbers in octal, a checksum.

use super::BLOCK;
use std::ops::Range;

/// One header block under construction.
///
/// | offset | size | field |
/// |---|---|---|
/// | 0 | 100 | name |
/// | 100 | 8 | mode |
/// | 108 | 8 | uid |
/// | 116 | 8 | gid |
/// | 124 | 12 | size |
/// | 136 | 12 | mtime |
/// | 148 | 8 | checksum |
/// | 156 | 1 | type |
/// | 157 | 100 | link name |
/// | 257 | 8 | magic `ustar\0`, version `00` |
/// | 265 | 32 | user name |
/// | 297 | 32 | group name |
/// | 329 | 8 | device major |
/// | 337 | 8 | device minor |
/// | 345 | 155 | name prefix |
pub(super) struct HeaderBlock([u8; BLOCK]);

/// The place of a field in the header, in bytes.
type FieldRange = Range<usize>;

pub(super) const NAME: FieldRange = 0..100;
pub(super) const MODE: FieldRange = 100..108;
pub(super) const UID: FieldRange = 108..116;
pub(super) const GID: FieldRange = 116..124;
pub(super) const SIZE: FieldRange = 124..136;
pub(super) const MTIME: FieldRange = 136..148;
const CHECKSUM: FieldRange = 148..156;
const TYPE: usize = 156;
pub(super) const LINK_NAME: FieldRange = 157..257;
const MAGIC: FieldRange = 257..265;
pub(super) const USER: FieldRange = 265..297;
pub(super) const GROUP: FieldRange = 297..329;
pub(super) const DEVICE_MAJOR: FieldRange = 329..337;
pub(super) const DEVICE_MINOR: FieldRange = 337..345;
pub(super) const PREFIX: FieldRange = 345..500;

/// The largest number that eleven octal digits hold: sizes and times.
pub(super) const MAX_LONG: u64 = 0o777_7777_7777;
/// The largest number that seven octal digits hold: owners, modes, devices.
pub(super) const MAX_SHORT: u64 = 0o777_7777;

impl HeaderBlock {
    /// Makes a header of the given type, with every number 0 and every text empty.
    pub(super) fn new(kind: u8) -> Self {
        let mut header = Self([0; BLOCK]);
        for field in [MODE, UID, GID, SIZE, MTIME, DEVICE_MAJOR, DEVICE_MINOR] {
            header.number(field, 0);
        }
        header.0[TYPE] = kind;
        header.0[MAGIC].copy_from_slice(b"ustar\x0000");
        header
    }

    /// Writes a number: in octal digits and a NUL if it fits, otherwise in base 256 with 0x80 as
    /// the first byte, which is a GNU extension that every reader knows.
    pub(super) fn number(&mut self, field: FieldRange, number: u64) {
        let bytes = &mut self.0[field];
        let digits = bytes.len() - 1;
        if number >> (3 * digits) == 0 {
            bytes[digits] = 0;
            for (position, byte) in bytes[..digits].iter_mut().rev().enumerate() {
                *byte = super::digit(number >> (3 * position) & 7);
            }
        } else {
            let number = number.to_be_bytes();
            bytes.fill(0);
            // The short fields hold seven bytes after the mark. Their numbers are u32, which fit.
            let kept = number.len().min(digits);
            bytes[digits + 1 - kept..].copy_from_slice(&number[number.len() - kept..]);
            bytes[0] = 0x80;
        }
    }

    /// Writes a text, cut off at the end of the field.
    pub(super) fn text(&mut self, field: FieldRange, text: &[u8]) {
        let field = &mut self.0[field];
        let length = text.len().min(field.len());
        field[..length].copy_from_slice(&text[..length]);
    }

    /// Appends the block, with its checksum, to `out`.
    pub(super) fn finish(mut self, out: &mut Vec<u8>) {
        self.0[CHECKSUM].fill(b' ');
        let sum: u32 = self.0.iter().map(|byte| u32::from(*byte)).sum();
        // Six digits, a NUL and a space, as every tar writes it.
        self.number(CHECKSUM.start..CHECKSUM.end - 1, u64::from(sum));
        out.extend_from_slice(&self.0);
    }
}

/// Returns the place of a slash at which a name too long for its field can be cut in two.
pub(super) fn split(name: &[u8]) -> Option<usize> {
    // The last slash of a directory ends its name. The cut must stand before it.
    let first = name.len().checked_sub(NAME.len() + 1)?;
    let last = PREFIX.len().min(name.len() - 2);
    (first.max(1)..=last).rev().find(|at| name[*at] == b'/')
}

#[cfg(test)]
mod tests {
    use super::{HeaderBlock, SIZE, UID, split};

    fn bytes_of(header: HeaderBlock) -> Vec<u8> {
        let mut out = Vec::new();
        header.finish(&mut out);
        out
    }

    #[test]
    fn numbers_are_octal_until_they_do_not_fit() {
        let mut header = HeaderBlock::new(b'0');
        header.number(UID, 0o7777777);
        header.number(SIZE, 0o77777777777);
        let block = bytes_of(header);
        assert_eq!(&block[108..116], b"7777777\0");
        assert_eq!(&block[124..136], b"77777777777\0");

        let mut header = HeaderBlock::new(b'0');
        header.number(UID, u64::from(u32::MAX));
        header.number(SIZE, 0o100000000000);
        let block = bytes_of(header);
        assert_eq!(&block[108..116], b"\x80\0\0\0\xff\xff\xff\xff");
        assert_eq!(&block[124..136], b"\x80\0\0\0\0\0\0\x02\0\0\0\0");
    }

    #[test]
    fn the_checksum_counts_itself_as_spaces() {
        let block = bytes_of(HeaderBlock::new(b'5'));
        let mut counted = block.clone();
        counted[148..156].fill(b' ');
        let sum: u32 = counted.iter().map(|byte| u32::from(*byte)).sum();
        assert_eq!(&block[148..156], format!("{sum:06o}\0 ").as_bytes());
    }

    #[test]
    fn a_name_is_cut_where_both_parts_fit() {
        let name = |parts: &[usize]| {
            parts
                .iter()
                .map(|length| "x".repeat(*length))
                .collect::<Vec<_>>()
                .join("/")
                .into_bytes()
        };
        assert_eq!(split(&name(&[155, 100])), Some(155));
        assert_eq!(split(&name(&[156, 100])), None);
        assert_eq!(split(&name(&[155, 101])), None);
        assert_eq!(split(&name(&[1, 99])), Some(1));
        assert_eq!(split(&name(&[50, 50, 50])), Some(101));
        // The slash that ends the name of a directory is not a place to cut.
        assert_eq!(split(&name(&[101, 0])), None);
        assert_eq!(split(&name(&[100, 99, 0])), Some(100));
        assert_eq!(split(&name(&[100, 100, 0])), None);
    }
}

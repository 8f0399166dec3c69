//! Reads and writes the numbers of all layouts of this module.
//!
//! A varint is LEB128: seven bits a byte, least significant first, with the high bit set in every
//! byte but the last. Readers accept only the shortest form, so every number has one encoding.

use super::error::Flaw;

/// Appends a varint.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(low_seven_bits(number) | 0x80);
        number >>= 7;
    }
    out.push(low_seven_bits(number));
}

fn low_seven_bits(number: u64) -> u8 {
    number.to_le_bytes()[0] & 0x7f
}

/// Returns how many bytes [`put_varint`] appends.
pub(super) fn varint_length(number: u64) -> usize {
    1 + (number | 1).ilog2() as usize / 7
}

/// Appends the length of `bytes` as a varint, then the bytes.
pub(super) fn put_sized(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends the difference `to - from` (modulo 2^64) as a zigzag varint: small differences are
/// short, positive or negative.
pub(super) fn put_difference(out: &mut Vec<u8>, from: u64, to: u64) {
    let difference = to.wrapping_sub(from).cast_signed();
    put_varint(
        out,
        ((difference << 1) ^ (difference >> 63)).cast_unsigned(),
    );
}

/// Takes numbers and bytes from the front of a slice, which may hold any bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Returns how many bytes are left.
    pub(super) fn remaining(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Flaw> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or("it ends too early")?;
        self.rest = rest;
        Ok(taken)
    }

    /// Takes all bytes that are left.
    pub(super) fn take_rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Flaw> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or("it ends too early")?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Flaw> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u32_be(&mut self) -> Result<u32, Flaw> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64_be(&mut self) -> Result<u64, Flaw> {
        self.array().map(u64::from_be_bytes)
    }

    pub(super) fn i64_be(&mut self) -> Result<i64, Flaw> {
        self.array().map(i64::from_be_bytes)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Flaw> {
        match self.rest {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.rest = rest;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, Flaw> {
        let mut number = 0u64;
        for shift in (0..).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift > 63 || (shift == 63 && bits > 1) {
                return Err("a number is larger than 64 bits".into());
            }
            number |= bits << shift;
            if byte & 0x80 == 0 {
                if byte == 0 {
                    return Err("a number is not in its shortest form".into());
                }
                break;
            }
        }
        Ok(number)
    }

    pub(super) fn varint_u32(&mut self) -> Result<u32, Flaw> {
        u32::try_from(self.varint()?).map_err(|_| "a number is larger than 32 bits".into())
    }

    /// Takes a length or a count, and refuses one larger than the number of bytes that are left.
    pub(super) fn length(&mut self) -> Result<usize, Flaw> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        if length > self.rest.len() {
            Err("a length reaches past the end".into())
        } else {
            Ok(length)
        }
    }

    pub(super) fn sized(&mut self) -> Result<&'a [u8], Flaw> {
        let length = self.length()?;
        self.take(length)
    }

    /// Takes a difference that [`put_difference`] wrote, and adds it to `from`.
    pub(super) fn difference(&mut self, from: u64) -> Result<u64, Flaw> {
        let zigzag = self.varint()?;
        let difference = (zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed();
        Ok(from.wrapping_add(difference.cast_unsigned()))
    }

    pub(super) fn end(&self) -> Result<(), Flaw> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(format!("{} bytes are left over", self.rest.len()).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Reader, put_difference, put_varint, varint_length};
    use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};

    proptest! {
        #[test]
        fn every_number_and_difference_reads_back(number: u64, shift in 0u32..64, other: u64) {
            let number = number >> shift;
            let mut bytes = Vec::new();
            put_varint(&mut bytes, number);
            prop_assert_eq!(bytes.len(), varint_length(number));
            put_difference(&mut bytes, other, number);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.varint(), Ok(number));
            prop_assert_eq!(reader.difference(other), Ok(number));
            prop_assert!(reader.end().is_ok());
        }

        #[test]
        fn a_number_that_is_read_from_any_bytes_has_one_encoding(
            bytes in proptest::collection::vec(any::<u8>(), 0..12),
        ) {
            let mut reader = Reader::new(&bytes);
            if let Ok(number) = reader.varint() {
                let mut again = Vec::new();
                put_varint(&mut again, number);
                prop_assert_eq!(&again[..], &bytes[..bytes.len() - reader.remaining()]);
            }
        }
    }

    #[test]
    fn numbers_too_long_are_refused() {
        for bad in [
            &[0x80][..],
            &[0x80, 0],
            &[0xff; 10],
            &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2],
            &[],
        ] {
            assert!(Reader::new(bad).varint().is_err(), "{bad:?}");
        }
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).varint(),
            Ok(u64::MAX)
        );
    }
}

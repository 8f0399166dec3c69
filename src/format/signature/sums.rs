//! The two sums of a block.

/// Length of a strong sum: 160 bits. Neither chance nor 2^80 trials find two blocks with the same
/// sum.
pub const STRONG_BYTES: usize = 20;

/// The sum that decides whether two blocks are the same.
pub type StrongSum = [u8; STRONG_BYTES];

/// The key of strong sums: random for each file, so that nobody can prepare blocks with equal sums.
#[derive(Clone, PartialEq, Eq)]
pub struct SignatureKey(pub [u8; 32]);

impl SignatureKey {
    /// Returns the strong sum of a block: the first 20 bytes of its keyed BLAKE3 hash.
    pub fn strong(&self, block: &[u8]) -> StrongSum {
        let hash = blake3::keyed_hash(&self.0, block);
        let mut sum = [0; STRONG_BYTES];
        sum.copy_from_slice(&hash.as_bytes()[..STRONG_BYTES]);
        sum
    }
}

impl std::fmt::Debug for SignatureKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SignatureKey(***)")
    }
}

/// The weak sum of a window that moves along bytes: rsync's, with all 32 bits of its second half.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RollingSum {
    /// Sum of the bytes.
    plain: u32,
    /// Sum of the bytes, each multiplied by its distance from the end of the window.
    weighted: u32,
}

impl RollingSum {
    /// Computes the sum of `window`.
    pub fn of(window: &[u8]) -> Self {
        window.iter().fold(Self::default(), |sum, byte| {
            let plain = sum.plain.wrapping_add(u32::from(*byte));
            Self {
                plain,
                weighted: sum.weighted.wrapping_add(plain),
            }
        })
    }

    /// Moves a window of `length` bytes on by one byte: `out` leaves it, `into` enters it.
    #[inline]
    #[must_use]
    pub fn rolled(self, length: u32, out: u8, into: u8) -> Self {
        let (out, into) = (u32::from(out), u32::from(into));
        let plain = self.plain.wrapping_sub(out).wrapping_add(into);
        Self {
            plain,
            weighted: self
                .weighted
                .wrapping_sub(length.wrapping_mul(out))
                .wrapping_add(plain),
        }
    }

    /// Returns the sum as a number.
    #[inline]
    pub fn value(self) -> u32 {
        self.weighted ^ self.plain.rotate_left(16)
    }
}

#[cfg(test)]
mod tests {
    use super::RollingSum;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_sum_that_rolled_is_the_sum_of_the_bytes_in_the_window(
            bytes in prop::collection::vec(any::<u8>(), 1..200),
            length in 1_usize..50,
        ) {
            let length = length.min(bytes.len());
            let mut sum = RollingSum::of(&bytes[..length]);
            for at in 0..bytes.len() - length {
                sum = sum.rolled(u32::try_from(length).unwrap(), bytes[at], bytes[at + length]);
                prop_assert_eq!(sum, RollingSum::of(&bytes[at + 1..=at + length]));
            }
        }
    }
}

//! Numbers without a pattern, the same for the same seed.

/// A sequence of them.
pub struct Dice(u64);

impl Dice {
    /// Another sequence for each seed but 0.
    pub fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// One that nobody knows, and that is told when a test fails.
    pub fn any_seed() -> u64 {
        let mut seed = [0; 8];
        getrandom::fill(&mut seed).expect("random bytes");
        u64::from_le_bytes(seed) | 1
    }

    /// The next number, less than `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// One of them.
    pub fn one<'o, T>(&mut self, of: &'o [T]) -> &'o T {
        let number = self.below(u64::try_from(of.len()).expect("not that many"));
        &of[usize::try_from(number).expect("less than there are")]
    }
}

//! Moments in time, as file systems store them.

/// A moment: whole seconds since 1970-01-01T00:00:00Z (negative before), and nanoseconds after that
/// second.
///
/// Invariant: `nanoseconds < 1_000_000_000`. The time is `seconds + nanoseconds / 10^9`, so half a
/// second before 1970 is `(-1, 500_000_000)`, as in `struct timespec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Time {
    seconds: i64,
    nanoseconds: u32,
}

impl Time {
    /// Makes a time. Carries whole seconds in `nanoseconds` over to `seconds`.
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        let carry = i64::from(nanoseconds / 1_000_000_000);
        Self {
            seconds: seconds.saturating_add(carry),
            nanoseconds: nanoseconds % 1_000_000_000,
        }
    }

    /// Returns whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.seconds
    }

    /// Returns nanoseconds after [`seconds`](Self::seconds), below 10^9.
    pub fn nanoseconds(self) -> u32 {
        self.nanoseconds
    }
}

#[cfg(test)]
mod tests {
    use super::Time;

    #[test]
    fn nanoseconds_over_a_second_are_carried() {
        assert_eq!(Time::new(1, 2_500_000_000), Time::new(3, 500_000_000));
        assert!(Time::new(-1, 500_000_000) < Time::new(0, 0));
    }
}

//! How many requests one asker may make.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many askers are remembered.
const REMEMBERED: usize = 20_000;

/// Lets each asker make so many requests a second, and as many at once.
#[derive(Debug)]
pub(in crate::api) struct Rate {
    per_second: u32,
    /// Guards who has made how many millionths of a request too soon, and when that was.
    askers: Mutex<HashMap<String, (i64, i64)>>,
}

impl Rate {
    /// So many a second; none for no limit.
    pub(in crate::api) fn new(per_second: Option<u32>) -> Self {
        Self { per_second: per_second.unwrap_or(0), askers: Mutex::default() }
    }

    /// Whether one more is within the limit.
    pub(in crate::api) fn take(&self, asker: &str, now_us: i64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let (rate, whole) = (i64::from(self.per_second), 1_000_000);
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= REMEMBERED && !askers.contains_key(asker) {
            askers.retain(|_, (_, last)| now_us - *last < whole);
            if askers.len() >= REMEMBERED {
                askers.clear();
            }
        }
        let (used, last) = askers.entry(asker.to_owned()).or_insert((0, now_us));
        let left = now_us.saturating_sub(*last).max(0).saturating_mul(rate);
        *used = used.saturating_sub(left).max(0);
        *last = now_us;
        if *used + whole > rate * whole {
            return false;
        }
        *used += whole;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn an_asker_has_so_many_a_second_and_others_are_not_touched() {
        let rate = Rate::new(Some(3));
        let taken = |asker, now| (0..5).filter(|_| rate.take(asker, now)).count();
        assert_eq!(taken("a", 1_000_000), 3);
        assert_eq!(taken("b", 1_000_000), 3);
        assert_eq!(taken("a", 1_000_001), 0);
        assert_eq!(taken("a", 1_400_000), 1);
        assert_eq!(taken("a", 9_000_000), 3);
        assert!((0..1000).all(|_| Rate::new(None).take("a", 0)));
    }
}

//! How many requests one asker may make.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many askers are remembered.
const REMEMBERED: usize = 20_000;
/// One request, in millionths.
const WHOLE: i64 = 1_000_000;

/// A token bucket for each caller: `per_second` refill, `at_once` burst.
#[derive(Debug)]
pub(in crate::api) struct Rate {
    per_second: u32,
    at_once: u32,
    /// Guards who has made how many millionths of a request too soon, and when that was.
    askers: Mutex<HashMap<String, (i64, i64)>>,
}

impl Rate {
    /// So many a second, and as many at once; none for no limit.
    pub(in crate::api) fn new(per_second: Option<u32>) -> Self {
        Self::with_burst(per_second.unwrap_or(0), per_second.unwrap_or(0))
    }

    /// Allows `per_second` requests a second, and `at_once` in a burst.
    pub(in crate::api) fn with_burst(per_second: u32, at_once: u32) -> Self {
        Self {
            per_second,
            at_once,
            askers: Mutex::default(),
        }
    }

    /// Whether one more is within the limit.
    pub(in crate::api) fn take(&self, asker: &str, now_us: i64) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let rate = i64::from(self.per_second);
        let most = i64::from(self.at_once) * WHOLE;
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        if askers.len() >= REMEMBERED && !askers.contains_key(asker) {
            askers.retain(|_, (_, last)| now_us.saturating_sub(*last).saturating_mul(rate) < most);
            if askers.len() >= REMEMBERED {
                askers.clear();
            }
        }
        let (used, last) = askers.entry(asker.to_owned()).or_insert((0, now_us));
        let left = now_us.saturating_sub(*last).max(0).saturating_mul(rate);
        *used = used.saturating_sub(left).max(0);
        *last = now_us;
        if *used + WHOLE > most {
            return false;
        }
        *used += WHOLE;
        true
    }

    /// Counts one less: what was taken turned out to be none of what is limited.
    pub(in crate::api) fn give_back(&self, asker: &str) {
        if let Some((used, _)) = self
            .askers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(asker)
        {
            *used = used.saturating_sub(WHOLE).max(0);
        }
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

    #[test]
    fn what_is_given_back_does_not_count() {
        let rate = Rate::with_burst(1, 3);
        assert!((0..1000).all(|_| {
            let taken = rate.take("a", 0);
            rate.give_back("a");
            taken
        }));
        assert_eq!((0..9).filter(|_| rate.take("a", 0)).count(), 3);
        assert_eq!((0..9).filter(|_| rate.take("a", 1_000_000)).count(), 1);
        rate.give_back("never seen");
    }
}

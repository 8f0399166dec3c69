//! A wrapper that limits the bandwidth.

use super::selection::together;
use super::{Error, ObjectInfo, ObjectName, Powers, Rope, Selection, Store};
use crate::model::{Bandwidth, Cancel};
use crate::platform::{self, Clock, SystemClock};
use jiff::tz::TimeZone;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A store in front of another that limits the bytes sent and received a second, for all callers
/// together.
///
/// A call waits until the bytes of earlier calls have had their time. So each object moves at the
/// speed of the line, and the mean keeps to the limit from the second object on.
pub struct Limit<S> {
    inner: S,
    upload: Option<RateMeter>,
    download: Option<RateMeter>,
    cancel: Cancel,
}

/// Meters one direction: tells when the next byte may go.
struct RateMeter {
    rate: Bandwidth,
    /// The moment at which all bytes so far have had their time.
    paid: Mutex<Option<Instant>>,
}

impl RateMeter {
    fn new(rate: Bandwidth) -> Self {
        Self {
            rate,
            paid: Mutex::new(None),
        }
    }

    /// Books bytes; returns how long to wait before they go.
    fn book(&self, bytes: u64, now: Instant, minute: u16) -> Duration {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let free = paid.unwrap_or(now).max(now);
        *paid = free.checked_add(self.cost(bytes, minute));
        free - now
    }

    /// Takes bytes off the books that did not go after all.
    fn give_back(&self, bytes: u64, minute: u16) {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        *paid = paid.and_then(|paid| paid.checked_sub(self.cost(bytes, minute)));
    }

    fn cost(&self, bytes: u64, minute: u16) -> Duration {
        let bytes_per_second = self.rate.at(minute).map_or(u64::MAX, |rate| rate.max(1));
        #[expect(clippy::cast_precision_loss, reason = "a time, good to a millionth")]
        Duration::try_from_secs_f64(bytes as f64 / bytes_per_second as f64).unwrap_or(Duration::MAX)
    }
}

impl<S: Store> Limit<S> {
    /// Limits the directions for which a bandwidth is given.
    pub fn new(
        inner: S,
        upload: Option<Bandwidth>,
        download: Option<Bandwidth>,
        cancel: Cancel,
    ) -> Self {
        Self {
            inner,
            upload: upload.map(RateMeter::new),
            download: download.map(RateMeter::new),
            cancel,
        }
    }

    fn spend(&self, meter: Option<&RateMeter>, bytes: u64) {
        if let Some(meter) = meter {
            platform::pause(
                meter.book(bytes, crate::platform::monotonic(), minute_of_day()),
                &self.cancel,
            );
        }
    }
}

/// Returns the minute of the day in the local time zone, in which limits are set.
fn minute_of_day() -> u16 {
    let now = SystemClock.now().to_zoned(TimeZone::system());
    u16::from(now.hour().unsigned_abs()) * 60 + u16::from(now.minute().unsigned_abs())
}

impl<S: Store> Store for Limit<S> {
    fn put(&self, name: &ObjectName, body: &Rope) -> Result<(), Error> {
        self.spend(
            self.upload.as_ref(),
            body.iter().map(|piece| piece.len() as u64).sum(),
        );
        self.inner.put(name, body)
    }

    fn read(
        &self,
        name: &ObjectName,
        wanted: Selection<'_>,
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        let download = self.download.as_ref();
        let Selection::Pieces { lengths, .. } = wanted else {
            // The length is known only when the object is there.
            return self.inner.read(name, wanted, &mut |whole| {
                self.spend(download, whole.len() as u64);
                take(whole)
            });
        };
        // The whole read is booked at once: later calls wait for it, and its pieces come at the
        // rate.
        let length = together(lengths).map_or(u64::MAX, |length| length as u64);
        self.spend(download, length);
        let pace = download.map(|meter| RateMeter::new(meter.rate.clone()));
        let mut next = lengths.iter().map(|length| *length as u64);
        self.spend(pace.as_ref(), next.next().unwrap_or(0));
        let mut left = length;
        let outcome = self.inner.read(name, wanted, &mut |piece| {
            left = left.saturating_sub(piece.len() as u64);
            let goes_on = take(piece);
            if let Some(length) = next.next().filter(|_| goes_on) {
                self.spend(pace.as_ref(), length);
            }
            goes_on
        });
        // A read that failed, or ended early, keeps nobody waiting for bytes that never came.
        if let Some(download) = download {
            download.give_back(left, minute_of_day());
        }
        outcome
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.inner.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.inner.delete(name)
    }

    fn location(&self) -> String {
        self.inner.location()
    }

    /// As they are: none of them moves more than a few bytes.
    fn powers(&self) -> Powers<'_> {
        self.inner.powers()
    }
}

#[cfg(test)]
mod tests {
    use super::{Limit, RateMeter};
    use crate::model::{Bandwidth, Cancel};
    use crate::store::memory::MemoryStore;
    use crate::store::{ObjectName, Store, StoreExt};
    use std::time::Duration;

    #[test]
    fn pieces_of_one_answer_are_paid_for_one_by_one() {
        let rate = Bandwidth::by_time(vec![(0, Some(1000))]).expect("one step");
        let store = Limit::new(MemoryStore::default(), None, Some(rate), Cancel::new());
        let name = ObjectName::new("a").expect("legal");
        store.put(&name, &vec![vec![7; 100]]).expect("stored");
        let (start, mut came) = (crate::platform::monotonic(), Vec::new());
        let mut take = |piece: Vec<u8>| {
            came.push((piece.len(), start.elapsed()));
            true
        };
        store
            .get_pieces(&name, 0, &[30, 30, 40], &mut take)
            .expect("read");
        assert_eq!(
            came.iter().map(|(length, _)| *length).collect::<Vec<_>>(),
            [30, 30, 40]
        );
        assert!(
            came[1].1 >= Duration::from_millis(30) && came[2].1 >= Duration::from_millis(60),
            "{came:?}"
        );
        store
            .get_pieces(&name, 0, &[1], &mut |_| true)
            .expect("read");
        assert!(
            start.elapsed() >= Duration::from_millis(100),
            "the next one waits for all of the first"
        );
    }

    #[test]
    fn what_went_has_to_be_paid_for_before_the_next_goes() {
        let meter = RateMeter::new(
            Bandwidth::by_time(vec![(0, Some(1000)), (600, None)]).expect("two steps"),
        );
        let start = crate::platform::monotonic();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            meter.book(500, start, 0),
            Duration::ZERO,
            "the first goes at once"
        );
        assert_eq!(meter.book(2000, after(100), 0), Duration::from_millis(400));
        assert_eq!(meter.book(0, after(2400), 0), Duration::from_millis(100));
        assert_eq!(
            meter.book(1000, after(9000), 0),
            Duration::ZERO,
            "idle time is not saved up"
        );
        assert_eq!(meter.book(1, after(9000), 0), Duration::from_secs(1));
        assert_eq!(
            meter.book(1 << 40, after(20_000), 600),
            Duration::ZERO,
            "as much as there is"
        );
        assert!(meter.book(1, after(20_000), 0) < Duration::from_millis(1));
    }

    #[test]
    fn bytes_that_did_not_come_cost_nothing() {
        let rate = Bandwidth::by_time(vec![(0, Some(1000))]).expect("one step");
        let store = Limit::new(MemoryStore::default(), None, Some(rate), Cancel::new());
        let name = ObjectName::new("a").expect("legal");
        store.put(&name, &vec![vec![7; 10]]).expect("stored");
        store
            .get_range(&name, 0, usize::MAX)
            .expect_err("it is shorter");
        assert_eq!(store.get_range(&name, 0, 10).expect("at once"), [7; 10]);
    }
}

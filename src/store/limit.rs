//! A wrapper that keeps to a bandwidth.

use super::{Created, Error, Joined, ObjectInfo, ObjectName, Rope, Store};
use crate::model::{Bandwidth, Cancel};
use crate::platform::{self, Clock, SystemClock};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A store in front of another that sends and receives no more than so many bytes a second, over
/// all its callers.
///
/// Whoever is about to send waits until what went before has been paid for; whoever received pays
/// afterwards. So an object goes at the speed of the line, and the mean keeps to the limit from the
/// second one on.
pub struct Limit<S> {
    inner: S,
    upload: Option<Bucket>,
    download: Option<Bucket>,
    cancel: Cancel,
}

/// When the next byte may go.
struct Bucket {
    rate: Bandwidth,
    /// The moment at which all that went so far is paid for.
    paid: Mutex<Option<Instant>>,
}

impl Bucket {
    fn new(rate: Bandwidth) -> Self {
        Self {
            rate,
            paid: Mutex::new(None),
        }
    }

    /// Books bytes; returns how long to wait before (or after) they go.
    fn book(&self, bytes: u64, now: Instant, minute: u16) -> Duration {
        let bytes_per_second = self.rate.at(minute).map_or(u64::MAX, |rate| rate.max(1));
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let free = paid.unwrap_or(now).max(now);
        #[expect(clippy::cast_precision_loss, reason = "a time, good to a millionth")]
        let cost = Duration::try_from_secs_f64(bytes as f64 / bytes_per_second as f64)
            .unwrap_or(Duration::MAX);
        *paid = free.checked_add(cost);
        free - now
    }
}

impl<S: Store> Limit<S> {
    /// Limits what is given.
    pub fn new(
        inner: S,
        upload: Option<Bandwidth>,
        download: Option<Bandwidth>,
        cancel: Cancel,
    ) -> Self {
        Self {
            inner,
            upload: upload.map(Bucket::new),
            download: download.map(Bucket::new),
            cancel,
        }
    }

    fn spend(&self, bucket: Option<&Bucket>, bytes: u64) {
        if let Some(bucket) = bucket {
            platform::pause(
                bucket.book(bytes, crate::platform::monotonic(), minute_of_day()),
                &self.cancel,
            );
        }
    }
}

/// Here, where whoever set the limit looks at the clock.
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

    fn get(&self, name: &ObjectName, limit: u64) -> Result<Vec<u8>, Error> {
        let bytes = self.inner.get(name, limit)?;
        self.spend(self.download.as_ref(), bytes.len() as u64);
        Ok(bytes)
    }

    fn get_range(&self, name: &ObjectName, offset: u64, length: usize) -> Result<Vec<u8>, Error> {
        self.spend(self.download.as_ref(), length as u64);
        self.inner.get_range(name, offset, length)
    }

    fn get_pieces(
        &self,
        name: &ObjectName,
        offset: u64,
        lengths: &[usize],
        take: &mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Result<(), Error> {
        // All of it has its turn before what others ask for later, and no more of the line than
        // that.
        self.spend(
            self.download.as_ref(),
            super::together(lengths).map_or(u64::MAX, |length| length as u64),
        );
        let pace = self
            .download
            .as_ref()
            .map(|bucket| Bucket::new(bucket.rate.clone()));
        let mut next = lengths.iter().map(|length| *length as u64);
        self.spend(pace.as_ref(), next.next().unwrap_or(0));
        self.inner.get_pieces(name, offset, lengths, &mut |piece| {
            let goes_on = take(piece);
            if let Some(length) = next.next().filter(|_| goes_on) {
                self.spend(pace.as_ref(), length);
            }
            goes_on
        })
    }

    fn list(&self, prefix: &str, found: &mut dyn FnMut(ObjectInfo) -> bool) -> Result<(), Error> {
        self.inner.list(prefix, found)
    }

    fn delete(&self, name: &ObjectName) -> Result<(), Error> {
        self.inner.delete(name)
    }

    fn join(&self, whole: &ObjectName, parts: &str, count: u64) -> Result<Joined, Error> {
        self.inner.join(whole, parts, count)
    }

    fn put_new(&self, name: &ObjectName, body: &Rope) -> Result<Created, Error> {
        self.inner.put_new(name, body)
    }

    fn put_unless_there(&self, name: &ObjectName, body: &Rope) -> Result<bool, Error> {
        self.inner.put_unless_there(name, body)
    }

    fn held_until(&self, name: &ObjectName) -> Result<Option<Timestamp>, Error> {
        self.inner.held_until(name)
    }

    fn location(&self) -> String {
        self.inner.location()
    }
}

#[cfg(test)]
mod tests {
    use super::{Bucket, Limit};
    use crate::model::{Bandwidth, Cancel};
    use crate::store::memory::Memory;
    use crate::store::{ObjectName, Store};
    use std::time::Duration;

    #[test]
    fn pieces_of_one_answer_are_paid_for_one_by_one() {
        let rate = Bandwidth::by_time(vec![(0, Some(1000))]).expect("one step");
        let store = Limit::new(Memory::default(), None, Some(rate), Cancel::new());
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
        let bucket =
            Bucket::new(Bandwidth::by_time(vec![(0, Some(1000)), (600, None)]).expect("two steps"));
        let start = crate::platform::monotonic();
        let after = |ms| start + Duration::from_millis(ms);
        assert_eq!(
            bucket.book(500, start, 0),
            Duration::ZERO,
            "the first goes at once"
        );
        assert_eq!(bucket.book(2000, after(100), 0), Duration::from_millis(400));
        assert_eq!(bucket.book(0, after(2400), 0), Duration::from_millis(100));
        assert_eq!(
            bucket.book(1000, after(9000), 0),
            Duration::ZERO,
            "idle time is not saved up"
        );
        assert_eq!(bucket.book(1, after(9000), 0), Duration::from_secs(1));
        assert_eq!(
            bucket.book(1 << 40, after(20_000), 600),
            Duration::ZERO,
            "as much as there is"
        );
        assert!(bucket.book(1, after(20_000), 0) < Duration::from_millis(1));
    }
}

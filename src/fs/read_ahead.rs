//! Notices readers that go through a stream in rising order, and plans which bytes of it to fetch
//! ahead of them.
//!
//! It looks at places in streams, not at files. A large file is a rising run of its level's stream,
//! and so is a tree of small files that is read in the order of the backup (`cp -a`, `grep -r`,
//! `tar`).

use super::frame::StreamNo;
use crate::model::StreamOffset;
use std::sync::{Mutex, PoisonError};

/// How many readers can be told apart. Further ones take the place of the least recent.
const MAX_READERS: usize = 32;
/// How many reads in order make a reader sequential.
const READS_TO_TRUST: u32 = 2;
/// How many frames are fetched ahead at first.
const FIRST_DEPTH: u64 = 2;
/// Most frames that are fetched ahead. The depth doubles each time a reader had to wait for its
/// next frame.
const MAX_DEPTH: u64 = 16;
/// How far back a long read may lie and still belong to a reader: the kernel's own read-ahead sends
/// a few reads at once, which arrive in any order.
const BACK_BYTES: u64 = 1 << 20;
/// From this length on, a read comes from the kernel's read-ahead, which has several of them under
/// way. Readers that pick spots ask for less.
const LONG_READ_BYTES: u64 = 64 << 10;

/// Bytes of a stream that should be decoded before they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AheadPlan {
    pub(super) stream: StreamNo,
    pub(super) from: StreamOffset,
    pub(super) until: StreamOffset,
}

/// One read of a stream, inside one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamRead {
    pub(super) stream: StreamNo,
    pub(super) from: StreamOffset,
    pub(super) length: u64,
    /// Whether the frame had to be fetched or waited for.
    pub(super) waited: bool,
    /// Where the frame that holds `from` ends.
    pub(super) frame_end: StreamOffset,
    /// The frame's length in bytes, taken for that of the next ones.
    pub(super) frame_length: u64,
}

/// The readers seen lately.
pub(super) struct ReadAhead {
    /// Most bytes that are fetched ahead of one reader.
    limit_bytes: u64,
    readers: Mutex<SeenReaders>,
}

#[derive(Default)]
struct SeenReaders {
    /// At most [`MAX_READERS`], in no order.
    readers: Vec<RisingReader>,
    /// Counts up with each read.
    reads: u64,
}

struct RisingReader {
    stream: StreamNo,
    /// Where the reader is expected next.
    next: u64,
    /// Everything below was planned, or lies in a frame that was read.
    planned: u64,
    /// Reads in order so far.
    trust: u32,
    /// How many frames are fetched ahead.
    depth: u64,
    /// [`SeenReaders::reads`] at its last read.
    last_use: u64,
}

impl ReadAhead {
    /// Plans at most `limit_bytes` ahead of one reader.
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            readers: Mutex::default(),
        }
    }

    /// Returns how many bytes are planned at once where the store is far away: a quarter of what
    /// should be under way.
    pub(super) fn far_step(&self, far_bytes: u64) -> u64 {
        far_bytes.min(self.limit_bytes) / 4
    }

    /// Notes a read. Returns what to fetch ahead because of it, if anything.
    ///
    /// `far_bytes` is how much should be under way because of the time that the store takes.
    pub(super) fn note(&self, read: StreamRead, far_bytes: u64) -> Option<AheadPlan> {
        let mut seen = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        seen.reads += 1;
        let now = seen.reads;
        let Some(reader) = seen.readers.iter_mut().find(|reader| reader.is_at(&read)) else {
            seen.begin(RisingReader {
                stream: read.stream,
                next: read.end(),
                planned: read.frame_end.0,
                trust: 0,
                depth: FIRST_DEPTH,
                last_use: now,
            });
            return None;
        };
        reader.last_use = now;
        reader.next = reader.next.max(read.end());
        reader.planned = reader.planned.max(read.frame_end.0);
        reader.trust = reader.trust.saturating_add(1);
        if reader.trust < READS_TO_TRUST {
            return None;
        }
        if read.waited && reader.trust > READS_TO_TRUST {
            reader.depth = (reader.depth * 2).min(MAX_DEPTH);
        }
        let window = reader
            .depth
            .saturating_mul(read.frame_length)
            .max(far_bytes)
            .min(self.limit_bytes);
        let until = reader.next.saturating_add(window);
        // At least half a frame, so that not each small read makes a plan; and enough for requests
        // of several frames.
        let step = (read.frame_length / 2).max(self.far_step(far_bytes));
        if until < reader.planned.saturating_add(step) {
            return None;
        }
        let plan = AheadPlan {
            stream: read.stream,
            from: StreamOffset(reader.planned),
            until: StreamOffset(until),
        };
        reader.planned = until;
        Some(plan)
    }
}

impl StreamRead {
    fn end(&self) -> u64 {
        self.from.0.saturating_add(self.length)
    }
}

impl RisingReader {
    /// Whether a read is near enough to where the reader is expected. A frame's length forward is:
    /// headers, and files that are not read, lie between the files that are. Long reads may be
    /// further apart.
    fn is_at(&self, read: &StreamRead) -> bool {
        let near = if read.length >= LONG_READ_BYTES {
            BACK_BYTES.max(read.frame_length)
        } else {
            BACK_BYTES.min(read.frame_length)
        };
        let back = self.next.saturating_sub(near);
        let forward = self.next.saturating_add(near.max(read.frame_length));
        self.stream == read.stream && (back..=forward).contains(&read.from.0)
    }
}

impl SeenReaders {
    fn begin(&mut self, reader: RisingReader) {
        if self.readers.len() < MAX_READERS {
            self.readers.push(reader);
        } else if let Some(oldest) = self.readers.iter_mut().min_by_key(|one| one.last_use) {
            *oldest = reader;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{AheadPlan, ReadAhead, StreamRead};
    use crate::fs::frame::StreamNo;
    use crate::model::StreamOffset;

    const FRAME: u64 = 1 << 20;

    fn access(from: u64, length: u64, waited: bool) -> StreamRead {
        let frame_end = StreamOffset((from / FRAME + 1) * FRAME);
        StreamRead {
            stream: StreamNo(1),
            from: StreamOffset(from),
            length,
            waited,
            frame_end,
            frame_length: FRAME,
        }
    }

    fn plans(ahead: &ReadAhead, reads: impl IntoIterator<Item = StreamRead>) -> Vec<(u64, u64)> {
        reads
            .into_iter()
            .filter_map(|read| ahead.note(read, 0))
            .map(|AheadPlan { from, until, .. }| (from.0, until.0))
            .collect()
    }

    #[test]
    fn a_reader_in_order_has_the_next_frames_fetched_each_once() {
        let ahead = ReadAhead::new(u64::MAX);
        let plans = plans(
            &ahead,
            (0..100).map(|read| access(read * 131_072, 131_072, false)),
        );
        assert!(!plans.is_empty());
        let mut reached = FRAME;
        for (from, until) in plans {
            assert_eq!(from, reached, "no byte is left out or asked for twice");
            assert!(until > from);
            reached = until;
        }
        assert!(reached >= 100 * 131_072 + FRAME);
    }

    #[test]
    fn small_files_in_stream_order_are_a_run_too() {
        let ahead = ReadAhead::new(u64::MAX);
        let plans = plans(
            &ahead,
            (0..1000).map(|file| access(512 + file * 5000, 4000, false)),
        );
        assert!(plans.iter().all(|(from, until)| until - from >= FRAME / 2));
        assert!(
            plans.last().is_some_and(|(_, until)| *until > 1000 * 5000),
            "{plans:?}"
        );
    }

    #[test]
    fn random_reads_fetch_nothing_ahead() {
        let ahead = ReadAhead::new(u64::MAX);
        let mut place = 12_345_u64;
        let reads = (0..2000).map(|_| {
            place = place
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            access((place >> 30) & !4095, 4096, true) // over 16 GiB
        });
        let wasted = plans(&ahead, reads).len();
        assert!(wasted <= 2, "{wasted} plans for 2000 random reads");
    }

    #[test]
    fn a_reader_that_has_to_wait_gets_more_ahead_up_to_the_limit() {
        let widest = |waited, limit| {
            let ahead = ReadAhead::new(limit);
            let reads = (0..400).map(|read| access(read * 131_072, 131_072, waited));
            let mut widest = 0;
            for read in reads {
                if let Some(plan) = ahead.note(read, 0) {
                    widest = widest.max(plan.until.0 - read.from.0 - read.length);
                }
            }
            widest
        };
        assert_eq!(widest(false, u64::MAX), 2 * FRAME);
        assert_eq!(widest(true, u64::MAX), 16 * FRAME);
        assert_eq!(widest(true, 5 * FRAME), 5 * FRAME);
    }

    #[test]
    fn two_readers_at_once_are_both_seen() {
        let ahead = ReadAhead::new(u64::MAX);
        let reads = (0..200_u64).map(|read| {
            access(
                (read % 2) * (1 << 32) + (read / 2) * 131_072,
                131_072,
                false,
            )
        });
        let plans = plans(&ahead, reads);
        let (low, high): (Vec<_>, Vec<_>) =
            plans.into_iter().partition(|(from, _)| *from < 1 << 32);
        assert!(low.len() > 5 && high.len() > 5);
    }

    #[test]
    fn reads_that_the_kernel_sends_out_of_order_are_one_run() {
        let ahead = ReadAhead::new(u64::MAX);
        let order = (0..100_u64).map(|read| read ^ 1);
        let plans = plans(
            &ahead,
            order.map(|read| access(read * 131_072, 131_072, false)),
        );
        assert!(
            plans.last().is_some_and(|(_, until)| *until > 98 * 131_072),
            "{plans:?}"
        );
    }

    #[test]
    fn a_store_that_is_far_away_has_more_under_way_in_larger_steps() {
        let ahead = ReadAhead::new(64 * FRAME);
        let reads = (0..200).map(|number| access(number * FRAME / 4, FRAME / 4, false));
        let plans: Vec<(u64, u64)> = reads
            .filter_map(|read| ahead.note(read, 16 * FRAME))
            .map(|AheadPlan { from, until, .. }| (from.0, until.0))
            .collect();
        assert!(
            plans.windows(2).all(|pair| pair[0].1 == pair[1].0),
            "without gaps: {plans:?}"
        );
        assert!(
            plans
                .iter()
                .skip(1)
                .all(|(from, until)| until - from >= 4 * FRAME),
            "{plans:?}"
        );
        assert!(
            plans.last().is_some_and(|(_, until)| *until >= 60 * FRAME),
            "{plans:?}"
        );
    }
}

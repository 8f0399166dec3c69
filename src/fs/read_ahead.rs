//! Notices who reads a stream in rising order, and says which bytes of it will be wanted next.
//!
//! It looks at places in streams, not at files: a big file is a rising run of its level's stream,
//! and so is a tree of small files read in the order they were backed up (`cp -a`, `grep -r`,
//! `tar`).

use super::frame_cache::StreamNo;
use crate::model::StreamOffset;
use std::sync::{Mutex, PoisonError};

/// How many readers can be told apart. More than that share, and lose a little.
const MOST_RUNS: usize = 32;
/// So many reads in order make a reader sequential.
const READS_TO_TRUST: u32 = 2;
/// Frames ahead at first, and at most: each time a reader had to wait for its next frame, it gets
/// twice as many.
const FIRST_DEPTH: u64 = 2;
const MOST_DEPTH: u64 = 16;
/// How far back a read may lie and still belong to a run: the kernel's own read-ahead sends a few
/// reads at once, and they come in any order.
const BACK_BYTES: u64 = 1 << 20;
/// Reads that are as long come of the kernel's read-ahead, which has several of them under way; who
/// reads here and there asks for less.
const LONG_READ: u64 = 64 << 10;

/// Bytes of a stream that should be decoded before they are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) stream: StreamNo,
    pub(super) from: StreamOffset,
    pub(super) until: StreamOffset,
}

/// One read of a stream, inside one frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access {
    pub(super) stream: StreamNo,
    pub(super) from: StreamOffset,
    pub(super) length: u64,
    /// Whether the frame had to be fetched or waited for.
    pub(super) waited: bool,
    /// Where the frame ends that holds `from`.
    pub(super) frame_end: StreamOffset,
    /// The frame's length, taken for that of the next ones.
    pub(super) frame_length: u64,
}

/// The readers seen lately.
pub(super) struct ReadAhead {
    /// Most bytes ahead of one reader.
    limit_bytes: u64,
    runs: Mutex<Runs>,
}

/// Least recently used first to go.
#[derive(Default)]
struct Runs {
    runs: Vec<Run>,
    accesses: u64,
}

struct Run {
    stream: StreamNo,
    /// Where the reader is expected next.
    next: u64,
    /// Everything below was asked for or is at hand.
    planned: u64,
    trust: u32,
    depth: u64,
    last_use: u64,
}

impl ReadAhead {
    /// Plans at most `limit_bytes` ahead of one reader.
    pub(super) fn new(limit_bytes: u64) -> Self {
        Self {
            limit_bytes,
            runs: Mutex::default(),
        }
    }

    /// A step ahead: what is planned at once where the store is far away.
    pub(super) fn far_step(&self, far_bytes: u64) -> u64 {
        far_bytes.min(self.limit_bytes) / 4
    }

    /// Takes note of a read. Returns what to fetch ahead because of it, if anything.
    ///
    /// `far_bytes` should be under way because of the time that the store takes.
    pub(super) fn note(&self, access: Access, far_bytes: u64) -> Option<Plan> {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.accesses += 1;
        let now = runs.accesses;
        let end = access.from.0.saturating_add(access.length);
        let Some(run) = runs.runs.iter_mut().find(|run| run.goes_on_with(&access)) else {
            let run = Run {
                stream: access.stream,
                next: end,
                planned: access.frame_end.0,
                trust: 0,
                depth: FIRST_DEPTH,
                last_use: now,
            };
            runs.begin(run);
            return None;
        };
        run.last_use = now;
        run.next = run.next.max(end);
        run.planned = run.planned.max(access.frame_end.0);
        run.trust = run.trust.saturating_add(1);
        if run.trust < READS_TO_TRUST {
            return None;
        }
        if access.waited && run.trust > READS_TO_TRUST {
            run.depth = (run.depth * 2).min(MOST_DEPTH);
        }
        let window = run
            .depth
            .saturating_mul(access.frame_length)
            .max(far_bytes)
            .min(self.limit_bytes);
        let until = run.next.saturating_add(window);
        // Half a frame at least, so that not each small read makes a plan; and enough for requests
        // of several frames.
        let step = (access.frame_length / 2).max(self.far_step(far_bytes));
        if until < run.planned.saturating_add(step) {
            return None;
        }
        let plan = Plan {
            stream: access.stream,
            from: StreamOffset(run.planned),
            until: StreamOffset(until),
        };
        run.planned = until;
        Some(plan)
    }
}

impl Run {
    /// A frame's length forward is near enough: between the files that are read lie headers, and
    /// files that are not. Long reads may be further apart.
    fn goes_on_with(&self, access: &Access) -> bool {
        let near = if access.length >= LONG_READ {
            BACK_BYTES.max(access.frame_length)
        } else {
            BACK_BYTES.min(access.frame_length)
        };
        let back = self.next.saturating_sub(near);
        let forward = self.next.saturating_add(near.max(access.frame_length));
        self.stream == access.stream && (back..=forward).contains(&access.from.0)
    }
}

impl Runs {
    fn begin(&mut self, run: Run) {
        if self.runs.len() < MOST_RUNS {
            self.runs.push(run);
        } else if let Some(oldest) = self.runs.iter_mut().min_by_key(|run| run.last_use) {
            *oldest = run;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Access, Plan, ReadAhead};
    use crate::fs::frame_cache::StreamNo;
    use crate::model::StreamOffset;

    const FRAME: u64 = 1 << 20;

    fn access(from: u64, length: u64, waited: bool) -> Access {
        let frame_end = StreamOffset((from / FRAME + 1) * FRAME);
        Access {
            stream: StreamNo(1),
            from: StreamOffset(from),
            length,
            waited,
            frame_end,
            frame_length: FRAME,
        }
    }

    fn plans(ahead: &ReadAhead, reads: impl IntoIterator<Item = Access>) -> Vec<(u64, u64)> {
        reads
            .into_iter()
            .filter_map(|read| ahead.note(read, 0))
            .map(|Plan { from, until, .. }| (from.0, until.0))
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
            .map(|Plan { from, until, .. }| (from.0, until.0))
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

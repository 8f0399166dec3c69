//! Decoded frames within a limit of bytes; the least recently used goes first.

use super::frame::{DecodedFrame, FramePosition, StreamNo};
use crate::model::StreamOffset;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a frame costs besides its bytes, so that the limit holds for very small frames too.
pub(super) const OVERHEAD_BYTES: usize = 256;

/// The frames held, and their order of use.
pub(super) struct FrameLru {
    limit_bytes: usize,
    held: BTreeMap<FramePosition, HeldFrame>,
    /// Keyed by [`HeldFrame::last_use`]: the first is the least recently used.
    by_use: BTreeMap<u64, FramePosition>,
    /// Counts up with each use.
    uses: u64,
    bytes: usize,
}

struct HeldFrame {
    frame: Arc<DecodedFrame>,
    last_use: u64,
}

impl FrameLru {
    /// Returns an empty one that will hold at most `limit_bytes`.
    pub(super) fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            held: BTreeMap::new(),
            by_use: BTreeMap::new(),
            uses: 0,
            bytes: 0,
        }
    }

    /// Returns how many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether it holds the frame that begins there. Does not count as a use.
    pub(super) fn holds(&self, position: FramePosition) -> bool {
        self.held.contains_key(&position)
    }

    /// Returns the frame that begins there, and counts that as a use.
    pub(super) fn get(&mut self, position: FramePosition) -> Option<Arc<DecodedFrame>> {
        let held = self.held.get_mut(&position)?;
        self.uses += 1;
        self.by_use.remove(&held.last_use);
        held.last_use = self.uses;
        self.by_use.insert(self.uses, position);
        Some(Arc::clone(&held.frame))
    }

    /// Returns the frame that holds byte `at` of a stream, and counts that as a use.
    pub(super) fn find(&mut self, stream: StreamNo, at: StreamOffset) -> Option<Arc<DecodedFrame>> {
        let upto = FramePosition { stream, start: at };
        let (position, held) = self.held.range(..=upto).next_back()?;
        if position.stream != stream || held.frame.end() <= at {
            return None;
        }
        let position = *position;
        self.get(position)
    }

    /// Takes in a frame and evicts others until the limit holds. Returns how many it evicted. A
    /// frame that is larger than the limit is not taken in.
    pub(super) fn keep(&mut self, frame: &Arc<DecodedFrame>) -> u64 {
        let cost = cost(frame);
        let mut evicted = 0;
        if cost > self.limit_bytes {
            return evicted;
        }
        while self.bytes + cost > self.limit_bytes {
            let Some((_, oldest)) = self.by_use.pop_first() else {
                break;
            };
            if let Some(gone) = self.held.remove(&oldest) {
                self.bytes -= self::cost(&gone.frame);
                evicted += 1;
            }
        }
        let position = FramePosition {
            stream: frame.stream,
            start: frame.start,
        };
        self.uses += 1;
        self.by_use.insert(self.uses, position);
        self.held.insert(
            position,
            HeldFrame {
                frame: Arc::clone(frame),
                last_use: self.uses,
            },
        );
        self.bytes += cost;
        evicted
    }
}

fn cost(frame: &DecodedFrame) -> usize {
    frame.bytes.capacity() + OVERHEAD_BYTES
}

#[cfg(test)]
mod tests {
    use super::{FrameLru, OVERHEAD_BYTES};
    use crate::fs::frame::{DecodedFrame, FramePosition, StreamNo};
    use crate::model::StreamOffset;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn frame(number: u64, length: usize) -> Arc<DecodedFrame> {
        Arc::new(DecodedFrame {
            stream: StreamNo(1),
            start: StreamOffset(number * 100),
            bytes: vec![0; length],
        })
    }

    fn position(number: u64) -> FramePosition {
        FramePosition {
            stream: StreamNo(1),
            start: StreamOffset(number * 100),
        }
    }

    proptest! {
        /// Against a list of frames in order of use, the oldest in front.
        #[test]
        fn the_least_recently_used_goes_first_and_the_bound_holds(
            uses in prop::collection::vec((0_u64..12, 1_usize..100), 1..200)
        ) {
            let room = 5 * (100 + OVERHEAD_BYTES);
            let mut lru = FrameLru::new(room);
            let mut model: Vec<(u64, usize)> = Vec::new();
            for (number, length) in uses {
                let here = model.iter().position(|(held, _)| *held == number);
                let length = here.map_or(length, |at| model[at].1);
                match (lru.get(position(number)), here) {
                    (Some(held), Some(at)) => {
                        prop_assert_eq!(held.bytes.len(), length);
                        model.remove(at);
                    }
                    (None, None) => {
                        lru.keep(&frame(number, length));
                    }
                    (held, _) => prop_assert!(false, "held: {}", held.is_some()),
                }
                let cost = |length: usize| length + OVERHEAD_BYTES;
                let total = |model: &[(u64, usize)]| -> usize {
                    model.iter().map(|(_, length)| cost(*length)).sum()
                };
                while total(&model) + cost(length) > room {
                    model.remove(0);
                }
                model.push((number, length));
                prop_assert_eq!(lru.bytes(), total(&model));
                for number in 0..12 {
                    let is_held = model.iter().any(|(held, _)| *held == number);
                    prop_assert_eq!(lru.holds(position(number)), is_held);
                }
            }
        }
    }

    #[test]
    fn a_frame_is_found_by_each_of_its_bytes_and_by_no_other() {
        let mut lru = FrameLru::new(1 << 20);
        lru.keep(&Arc::new(DecodedFrame {
            stream: StreamNo(1),
            start: StreamOffset(100),
            bytes: (0..50).collect(),
        }));
        let mut byte = |stream: u64, at: u64| {
            lru.find(StreamNo(stream), StreamOffset(at))
                .map(|frame| frame.from(StreamOffset(at))[0])
        };
        assert_eq!(byte(1, 100), Some(0));
        assert_eq!(byte(1, 149), Some(49));
        assert_eq!(byte(1, 99), None);
        assert_eq!(byte(1, 150), None);
        assert_eq!(byte(2, 120), None);
        assert_eq!(byte(0, 120), None);
    }
}

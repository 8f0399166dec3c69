//! A decoded frame and its name in the caches.

use crate::model::{FrameNo, StreamOffset};

/// Number of a level's stream in the caches of one [`FileReader`](super::FileReader).
///
/// A level's serial will not do: every backup of a store has a level 1, and the serial of a
/// withdrawn level can be given again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct StreamNo(pub(super) u64);

/// A frame's stream bytes, decoded and authenticated.
#[derive(Debug)]
pub(super) struct DecodedFrame {
    pub(super) stream: StreamNo,
    pub(super) start: StreamOffset,
    pub(super) bytes: Vec<u8>,
}

impl DecodedFrame {
    /// Returns the frame's bytes from `at` on; empty when the frame does not hold `at`.
    pub(super) fn from(&self, at: StreamOffset) -> &[u8] {
        let skipped =
            at.0.checked_sub(self.start.0)
                .and_then(|skipped| usize::try_from(skipped).ok());
        skipped
            .and_then(|skipped| self.bytes.get(skipped..))
            .unwrap_or_default()
    }

    /// Returns where the next frame begins.
    pub(super) fn end(&self) -> StreamOffset {
        StreamOffset(self.start.0.saturating_add(self.bytes.len() as u64))
    }
}

/// Names a frame before its bytes are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct FrameKey {
    pub(super) stream: StreamNo,
    pub(super) number: FrameNo,
    pub(super) start: StreamOffset,
}

impl FrameKey {
    /// Returns where the frame's content stands, whatever its number is.
    pub(super) fn position(&self) -> FramePosition {
        FramePosition {
            stream: self.stream,
            start: self.start,
        }
    }
}

/// Where a frame begins. Ordered by stream, then by offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct FramePosition {
    pub(super) stream: StreamNo,
    pub(super) start: StreamOffset,
}

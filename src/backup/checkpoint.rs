//! Notes of how far a run has come: should it be cut off, the next one goes on from the newest.
//! Record: docs/design/0014.
//!
//! A note is taken between two members: the frame is ended there, and carries a [`Mark`] with what
//! the index has by then. Where the frame becomes part of a segment, the segment and the frame
//! table are closed as well, and the checkpoint is stored once all of that is.

use super::BackupError;
use super::collect::Collected;
use super::run::root_node;
use super::uploads::{Receipt, Uploader};
use crate::catalog::names::{Folder, LevelOf};
use crate::format::checkpoint::{Checkpoint, CheckpointParts};
use crate::format::frame::{Compression, Sealer};
use crate::format::manifest::LevelParts;
use crate::index::{MemoryBlocks, RunRoot, TreeWriter};
use crate::model::{Content, Entry, Extent, FrameNo, LevelSerial, StoreId, StreamOffset};
use crate::platform::Clock;
use crate::store::ObjectName;
use jiff::Timestamp;
use std::time::Duration;

/// When a run takes note of how far it has come: when both have passed since it last did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRule {
    /// So many bytes went into the stream. A checkpoint costs up to some 100 KiB.
    pub least_bytes: u64,
    /// So much time.
    pub interval: Duration,
}

impl Default for CheckpointRule {
    fn default() -> Self {
        Self {
            least_bytes: 32 << 20,
            interval: Duration::from_secs(60),
        }
    }
}

/// What the index had when the frame that this goes with was ended.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) index: RunRoot,
    /// Tells when the blocks of that are stored.
    pub(super) index_stored: Receipt,
    /// The file that is being written, with what the stream has of it: a run of one entry.
    pub(super) begun: Option<RunRoot>,
}

/// A run of a file that is not all in the stream yet: `entry`, with all the extents that it is to
/// have, as far as they lie in the stream of `serial` before `position`. `None` when there is
/// nothing of it yet, or it is in too many pieces.
pub(super) fn begun(entry: &Entry, serial: LevelSerial, position: StreamOffset) -> Option<RunRoot> {
    let mut entry = entry.clone();
    let Content::File { extents, .. } = &mut entry.content else {
        return None;
    };
    let is_there = |extent: &Extent| extent.level != serial || extent.stream < position;
    extents.truncate(extents.partition_point(is_there));
    if let Some(last) = extents.last_mut().filter(|last| last.level == serial) {
        last.length = last.length.min(position.0 - last.stream.0);
    }
    if extents.is_empty() {
        return None;
    }
    let (mut tree, mut blocks) = (TreeWriter::new(), MemoryBlocks::default());
    tree.push(&entry, &mut blocks).ok()?;
    let root = tree.finish(&mut blocks).ok()?;
    blocks.blocks().is_empty().then_some(root)
}

/// Whether it is time for a checkpoint.
pub(super) struct Due<'run> {
    rule: CheckpointRule,
    clock: &'run dyn Clock,
    last: Timestamp,
    position: StreamOffset,
}

impl<'run> Due<'run> {
    /// For a run that begins; without a rule it never is.
    pub(super) fn new(rule: Option<CheckpointRule>, clock: &'run dyn Clock) -> Self {
        let rule = rule.unwrap_or(CheckpointRule {
            least_bytes: u64::MAX,
            interval: Duration::MAX,
        });
        Self {
            rule,
            clock,
            last: clock.now(),
            position: StreamOffset(0),
        }
    }

    /// Whether there is enough in the stream that no checkpoint tells of.
    pub(super) fn is_worth_it(&self, position: StreamOffset) -> bool {
        position.0 - self.position.0 >= self.rule.least_bytes
    }

    /// Whether there is, and the last one is long enough ago.
    pub(super) fn is_due(&self, position: StreamOffset) -> bool {
        // A clock that was set back tells nothing.
        let has_passed = || {
            Duration::try_from(self.clock.now().duration_since(self.last))
                .is_ok_and(|passed| passed < self.rule.interval)
        };
        self.is_worth_it(position) && !has_passed()
    }

    /// One was taken.
    pub(super) fn taken(&mut self, position: StreamOffset) {
        (self.last, self.position) = (self.clock.now(), position);
    }
}

/// Writes the checkpoints of a run.
pub(super) struct CheckpointWriter<'run> {
    pub(super) of: &'run LevelOf,
    pub(super) serial: LevelSerial,
    pub(super) store: StoreId,
    pub(super) sealer: &'run Sealer,
    pub(super) compression: (Compression, u32),
    /// Streams of cut-off runs that this one takes from.
    pub(super) taken: Vec<LevelParts>,
    pub(super) began: Timestamp,
    pub(super) clock: &'run dyn Clock,
    /// How many there are; the last has one less as its number.
    pub(super) count: u32,
}

impl CheckpointWriter<'_> {
    /// Hands one over that is stored when all that it names is: `data`, a stream that ends at
    /// `end`, and the index of `mark`.
    pub(super) fn write(
        &mut self,
        mark: Mark,
        end: StreamOffset,
        data: Collected,
        uploader: &Uploader,
    ) -> Result<(), BackupError> {
        let own = LevelParts {
            serial: self.serial,
            id: self.of.level.clone(),
            compression: self.compression.0,
            compression_level: self.compression.1,
            stream_bytes: end.0,
            segments: data.segments,
            frame_table: root_node(data.frame_table),
            frame_table_segments: data.frame_table_segments,
            live: None,
            repacked: 0,
        };
        let checkpoint = Checkpoint::new(CheckpointParts {
            store: self.store,
            backup: self.of.backup.clone(),
            began: self.began,
            at: self.clock.now(),
            index: root_node(mark.index),
            begun: mark.begun.map(root_node),
            own,
            taken: self.taken.clone(),
        });
        let number = self.count;
        let stored = checkpoint
            .seal(self.sealer, FrameNo(number.into()))
            .map_err(BackupError::Manifest)?;
        let older = self.last();
        self.count = number.saturating_add(1);
        tracing::debug!(number, stream_bytes = end.0, "a checkpoint");
        let name = self.of.data_name(Folder::Checkpoints, number);
        uploader.store_after(
            vec![mark.index_stored, uploader.receipt()],
            name,
            vec![stored],
            older,
        )
    }

    /// The newest there is.
    pub(super) fn last(&self) -> Option<ObjectName> {
        Some(
            self.of
                .data_name(Folder::Checkpoints, self.count.checked_sub(1)?),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::{CheckpointRule, Due};
    use crate::model::StreamOffset;
    use crate::platform::{Clock, ManualClock};
    use jiff::{SignedDuration, Timestamp};
    use std::time::Duration;

    #[test]
    fn a_checkpoint_is_due_when_enough_was_written_and_time_has_passed() {
        let clock = ManualClock::at(Timestamp::UNIX_EPOCH);
        let rule = CheckpointRule {
            least_bytes: 100,
            interval: Duration::from_secs(60),
        };
        let mut due = Due::new(Some(rule), &clock);
        let pass = |seconds| clock.set(clock.now() + SignedDuration::from_secs(seconds));
        assert!(!due.is_due(StreamOffset(1000)), "no time has passed");
        pass(60);
        assert!(!due.is_due(StreamOffset(99)) && due.is_due(StreamOffset(100)));
        due.taken(StreamOffset(100));
        assert!(!due.is_due(StreamOffset(500)) && due.is_worth_it(StreamOffset(500)));
        pass(-3600);
        assert!(
            due.is_due(StreamOffset(500)),
            "a clock that was set back puts nothing off"
        );
        pass(7200);
        assert!(!Due::new(None, &clock).is_due(StreamOffset(1 << 60)));
    }
}

//! Stores the checkpoints of a run.

use super::mark::Mark;
use crate::backup::error::BackupError;
use crate::backup::own_level::{DataLane, OwnLevel};
use crate::backup::uploads::{AfterOthers, Receipt, Uploader};
use crate::catalog::names::Folder;
use crate::format::checkpoint::{Checkpoint, CheckpointParts};
use crate::format::frame::Sealer;
use crate::format::manifest::LevelParts;
use crate::model::{FrameNo, StoreId, StreamOffset};
use crate::platform::Clock;
use crate::store::ObjectName;
use jiff::Timestamp;

/// Writes the checkpoints of one level, each in place of the one before.
pub(in crate::backup) struct CheckpointWriter<'run> {
    pub(in crate::backup) own: &'run OwnLevel,
    pub(in crate::backup) store: StoreId,
    pub(in crate::backup) sealer: &'run Sealer,
    /// Streams of interrupted runs that this run may take content from.
    pub(in crate::backup) taken: Vec<LevelParts>,
    /// When the run began: later changes of a file are not trusted.
    pub(in crate::backup) began: Timestamp,
    pub(in crate::backup) clock: &'run dyn Clock,
    /// Number of checkpoints so far; the newest has one less as its number.
    pub(in crate::backup) count: u32,
}

impl CheckpointWriter<'_> {
    /// Hands over a checkpoint for the state of `mark`, with a stream that ends at `end` and is
    /// stored as `data` says. It is stored once everything that it names is stored.
    pub(in crate::backup) fn write(
        &mut self,
        mark: Mark,
        end: StreamOffset,
        data: DataLane,
        data_stored: Receipt,
        uploader: &Uploader,
    ) -> Result<(), BackupError> {
        let checkpoint = Checkpoint::new(CheckpointParts {
            store: self.store,
            backup: self.own.level.backup.clone(),
            began: self.began,
            at: self.clock.now(),
            index: mark.index.root.into(),
            begun: mark.begun.map(Into::into),
            own: self.own.parts(end.0, data),
            taken: self.taken.clone(),
        });
        let number = self.count;
        let stored = checkpoint
            .seal(self.sealer, FrameNo(number.into()))
            .map_err(BackupError::Manifest)?;
        let order = AfterOthers {
            after: vec![mark.index.stored, data_stored],
            replaces: self.newest(),
        };
        self.count = number.saturating_add(1);
        tracing::debug!(number, stream_bytes = end.0, "took a checkpoint");
        let name = self.own.level.data_name(Folder::Checkpoints, number);
        uploader.store_after(order, name, vec![stored])
    }

    /// Returns the name of the newest checkpoint.
    pub(in crate::backup) fn newest(&self) -> Option<ObjectName> {
        let number = self.count.checked_sub(1)?;
        Some(self.own.level.data_name(Folder::Checkpoints, number))
    }
}

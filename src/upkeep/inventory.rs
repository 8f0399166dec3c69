//! Takes stock of a backup: the data that its store holds, and the points in time that need it.

use super::backup_in::BackupIn;
use super::error::PruneError;
use super::needed::Needed;
use super::points::BackupPoints;
use super::space::Space;
use crate::model::LevelId;

/// The data of a backup, and its points in time.
#[derive(Debug)]
pub(super) struct Inventory {
    pub(super) space: Space,
    pub(super) points: BackupPoints,
}

impl Inventory {
    /// Lists the data of a backup and reads its manifests.
    pub(super) fn read(of: BackupIn<'_>) -> Result<Self, PruneError> {
        Self::read_with(BackupPoints::default(), of)
    }

    /// Lists the data of a backup, and reads the manifests that `points` does not know.
    ///
    /// The data comes first: a level that is published meanwhile has its manifest by the time the
    /// manifests are read, so its data does not seem to be unneeded.
    pub(super) fn read_with(
        mut points: BackupPoints,
        of: BackupIn<'_>,
    ) -> Result<Self, PruneError> {
        let space = Space::read(of).map_err(PruneError::List)?;
        points.read_new(of)?;
        Ok(Self { space, points })
    }

    /// Returns what must stay as far as can be told without the backup's lock: what the points in
    /// time need that `stays` picks, and data that the next run may go on with.
    pub(super) fn needed_without_lock(&self, stays: impl Fn(&LevelId) -> bool) -> Needed {
        let mut needed = Needed::by(&self.points, stays);
        let newest = self.points.readable().next_back();
        self.space
            .resumable(newest.map(|point| &point.level))
            .for_each(|level| needed.whole(level.clone()));
        needed
    }
}

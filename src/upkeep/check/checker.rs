//! What every step of a check shares: the backup, and the damage that it tells.

use super::damage::Damage;
use crate::catalog::{Access, AccessError, Blocks, TreeError, open_tree};
use crate::format::DocumentError;
use crate::format::frame::Lane;
use crate::format::manifest::{Manifest, ManifestError};
use crate::index::{BlockCache, BlockSource, Tree};
use crate::model::{BackupName, Cancel, Interrupted, LevelId, Progress};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::CheckError;
use std::sync::Arc;

/// Most bytes of index blocks that are kept while a tree is read.
const INDEX_CACHE_BYTES: usize = 16 << 20;

/// The result of a check, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Entries of all trees. An entry that points in time share counts in each.
    pub entries: u64,
    /// Frames that were looked up.
    pub frames: u64,
    /// Bytes of all segments as stored.
    pub stored_bytes: u64,
    /// Bytes of the segments that were read.
    pub read_bytes: u64,
    /// How often damage was told.
    pub damages: u64,
    /// Files that cannot be read as a whole; each version counts once.
    pub files_touched: u64,
}

/// A point in time that cannot be opened any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadablePoint {
    /// Its level.
    pub level: LevelId,
    /// Whether its manifest is sound, and of a newer version than this program knows.
    pub is_newer: bool,
}

/// A check under way.
pub(super) struct Checker<'run> {
    pub(super) of: BackupIn<'run>,
    found: &'run mut dyn FnMut(&[LevelId], Damage),
    pub(super) progress: &'run dyn Progress,
    cancel: &'run Cancel,
    pub(super) checked: Checked,
    /// The points in time that [`tell`](Self::tell) names.
    touches: Vec<LevelId>,
    pub(super) unreadable: Vec<UnreadablePoint>,
}

impl<'run> Checker<'run> {
    pub(super) fn new(
        of: BackupIn<'run>,
        found: &'run mut dyn FnMut(&[LevelId], Damage),
        progress: &'run dyn Progress,
        cancel: &'run Cancel,
    ) -> Self {
        Self {
            of,
            found,
            progress,
            cancel,
            checked: Checked::default(),
            touches: Vec::new(),
            unreadable: Vec::new(),
        }
    }

    pub(super) fn access(&self) -> &'run Access {
        self.of.access
    }

    pub(super) fn backup(&self) -> &'run BackupName {
        self.of.backup
    }

    /// Fails if the caller asked to stop.
    pub(super) fn go_on(&self) -> Result<(), CheckError> {
        if self.cancel.is_requested() {
            Err(CheckError::Interrupted(Interrupted))
        } else {
            Ok(())
        }
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancel.is_requested()
    }

    /// Says which points in time the damage touches that is told from now on.
    pub(super) fn speak_of(&mut self, points: Vec<LevelId>) {
        self.touches = points;
    }

    /// Tells damage that touches the points in time of [`speak_of`](Self::speak_of).
    pub(super) fn tell(&mut self, damage: Damage) {
        self.checked.damages += 1;
        (self.found)(&self.touches, damage);
    }

    /// Tells damage that touches these points in time.
    pub(super) fn tell_of(&mut self, points: &[LevelId], damage: Damage) {
        self.speak_of(points.to_vec());
        self.tell(damage);
    }

    /// Reads the manifest of a level; tells its damage, and returns `None` then.
    pub(super) fn manifest(&mut self, level: &LevelId) -> Result<Option<Manifest>, CheckError> {
        let read = self.manifest_and_digest(level)?;
        Ok(read.map(|(manifest, _)| manifest))
    }

    /// Reads the manifest of a level as [`manifest`](Self::manifest) does, with the digest by which
    /// its children name it.
    pub(super) fn manifest_and_digest(
        &mut self,
        level: &LevelId,
    ) -> Result<Option<(Manifest, String)>, CheckError> {
        self.go_on()?;
        match self.access().manifest_and_digest(self.backup(), level) {
            Ok(read) => Ok(Some(read)),
            Err(source) if source.is_outage() => Err(CheckError::Manifest {
                level: level.clone(),
                source,
            }),
            Err(error) => {
                self.unreadable.push(UnreadablePoint {
                    level: level.clone(),
                    is_newer: is_newer(&error),
                });
                self.tell_of(std::slice::from_ref(level), Damage::Manifest(error));
                Ok(None)
            }
        }
    }

    /// Opens the tree of a point in time, to be read through.
    pub(super) fn open(&self, manifest: &Manifest) -> Result<Tree, TreeError> {
        let blocks = |level: &LevelId| {
            Arc::new(Blocks::new(self.access(), self.backup(), level, Lane::Index).ahead())
                as Arc<dyn BlockSource>
        };
        // The blocks that the manifest holds as well are read from the store: there other points
        // in time need them.
        let mut bare = manifest.clone();
        bare.index.iter_mut().for_each(|run| run.head.clear());
        open_tree(&bare, &BlockCache::new(INDEX_CACHE_BYTES), blocks)
    }
}

fn is_newer(error: &AccessError) -> bool {
    matches!(
        error,
        AccessError::Manifest {
            source: ManifestError::Document(
                DocumentError::Version { .. } | DocumentError::Feature(_),
            ),
            ..
        }
    )
}

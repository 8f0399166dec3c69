//! Copies the objects that a level names, and the notes of its lost data.

use super::lacking::{LevelObjectsOfPair, folder_of, folders_named_by};
use super::pair::Pair;
use crate::catalog::names::Folder;
use crate::catalog::{lost_parts, note_lost};
use crate::format::lost::Lost;
use crate::format::manifest::Manifest;
use crate::model::{BackupName, Cancel, Interrupted, LevelId, Progress};
use crate::store::{self, ObjectInfo, Store, StoreExt};
use crate::upkeep::error::SyncError;
use crate::upkeep::workers::{FirstError, share_out};
use std::collections::{BTreeMap, BTreeSet};

/// Objects, and their bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Copied {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// Copies levels one after the other, and each object once.
pub(super) struct LevelCopier<'run> {
    pub(super) pair: Pair<'run>,
    pub(super) backup: &'run BackupName,
    /// Objects that are copied at once.
    pub(super) jobs: usize,
    /// Whether the copy has points in time that the source lacks.
    pub(super) has_more: bool,
    /// The notes of lost data of the levels in the source.
    pub(super) lost: BTreeMap<LevelId, Lost>,
    pub(super) progress: &'run dyn Progress,
    pub(super) cancel: &'run Cancel,
    pub(super) so_far: CopiedSoFar,
}

/// What a sync has seen of the levels so far.
#[derive(Default)]
pub(super) struct CopiedSoFar {
    /// The folders of each level that are in the copy, as this run knows.
    done: BTreeSet<(LevelId, Folder)>,
    /// What there is to copy, as far as it was counted.
    expected: Copied,
    /// Levels with notes that the copy lacks. The copy got a part of their streams, or lacks a part
    /// that the source lacks too.
    unnoted: BTreeSet<LevelId>,
}

impl LevelCopier<'_> {
    /// Copies what a manifest names and the copy lacks.
    pub(super) fn copy(&mut self, manifest: &Manifest) -> Result<Copied, SyncError> {
        let mut lacking = Vec::new();
        for (level, folders) in folders_named_by(manifest) {
            let folders: BTreeSet<Folder> = folders
                .into_iter()
                .filter(|folder| self.so_far.done.insert((level.clone(), *folder)))
                .collect();
            if !folders.is_empty() {
                lacking.extend(self.lacking(manifest, &level, &folders)?);
            }
        }
        let copied = Copied {
            objects: lacking.len() as u64,
            bytes: lacking.iter().map(|object| object.length).sum(),
        };
        self.so_far.expected.objects += copied.objects;
        self.so_far.expected.bytes += copied.bytes;
        self.progress
            .expect_total(self.so_far.expected.objects, self.so_far.expected.bytes);
        // Notes go first: then those that lean on a level know what is lost of it, wherever the
        // sync is cut off.
        self.copy_notes()?;
        let (records, others): (Vec<_>, Vec<_>) = lacking
            .into_iter()
            .partition(|object| folder_of(&object.name) == Some(Folder::Repacked));
        self.copy_all(others)?;
        // The record of a repack makes its frame table that of the copy: all that the table names
        // must be there.
        self.copy_all(records)?;
        Ok(copied)
    }

    /// Returns the objects that the copy lacks in these folders of a level.
    fn lacking(
        &mut self,
        manifest: &Manifest,
        level: &LevelId,
        folders: &BTreeSet<Folder>,
    ) -> Result<Vec<ObjectInfo>, SyncError> {
        let objects = LevelObjectsOfPair::list(self.pair, self.backup, level, folders)?;
        if folders.contains(&Folder::Repacked) {
            objects.check_repacked(self.pair, level, self.has_more)?;
        }
        let segments = objects.segments_there();
        let named = manifest
            .levels
            .iter()
            .find(|parts| parts.id == *level)
            .map_or(0, |parts| u64::from(parts.segments));
        let lacking = objects.lacking();
        let is_segment = |object: &ObjectInfo| folder_of(&object.name) == Some(Folder::Segments);
        if self.lost.contains_key(level) && (segments < named || lacking.iter().any(is_segment)) {
            self.so_far.unnoted.insert(level.clone());
        }
        Ok(lacking)
    }

    /// Notes in the copy what is lost of streams that came from the source as they are there,
    /// beside what was lost of them in the copy.
    fn copy_notes(&mut self) -> Result<(), SyncError> {
        if self.so_far.unnoted.is_empty() {
            return Ok(());
        }
        let store = self.pair.to.store();
        let here = lost_parts(store.as_ref(), self.backup).map_err(SyncError::List)?;
        for level in std::mem::take(&mut self.so_far.unnoted) {
            let Some(there) = self.lost.get(&level) else {
                continue;
            };
            let both = here
                .get(&level)
                .map_or_else(|| there.clone(), |here| here.with(there));
            note_lost(store.as_ref(), self.backup, &level, &both).map_err(SyncError::Note)?;
        }
        Ok(())
    }

    /// Copies objects, several at once. Begins no other one after an error.
    fn copy_all(&self, objects: Vec<ObjectInfo>) -> Result<(), SyncError> {
        let (from, to) = (self.pair.from.store(), self.pair.to.store());
        let errors = FirstError::new();
        let copy = |object: ObjectInfo| match copy_one(from.as_ref(), to.as_ref(), &object) {
            Ok(()) => self.progress.advance(1, object.length),
            Err(source) => errors.note(Err(SyncError::Copy {
                object: object.name,
                source,
            })),
        };
        share_out(self.jobs, 0, copy, |hand_out| {
            for object in objects {
                if self.cancel.is_requested() || errors.is_there() || !hand_out(object) {
                    break;
                }
            }
        });
        errors.into_result()?;
        if self.cancel.is_requested() {
            return Err(SyncError::Interrupted(Interrupted));
        }
        Ok(())
    }
}

fn copy_one(from: &dyn Store, to: &dyn Store, object: &ObjectInfo) -> Result<(), store::Error> {
    let body = from.get(&object.name, object.length)?;
    if body.len() as u64 != object.length {
        // It was listed with another length than it has now, yet objects never change.
        return Err(store::Error::new(
            store::ErrorKind::Short,
            store::Operation::Get,
            &object.name,
        ));
    }
    to.put(&object.name, &vec![body])
}

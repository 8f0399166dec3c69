//! Copies the objects that a level names, and the notes of its lost data.

use super::block_order::BlockOrder;
use super::lacking::{LevelObjectsOfPair, folder_of, folders_named_by};
use super::left_out::{NotPassedOn, is_noted};
use super::object_check::{BadObject, Contents, CopyErrand, FlawedBytes, ObjectFlaw};
use super::pair::Pair;
use super::segments::{LackingSegments, SegmentNews};
use crate::catalog::names::{self, Folder, LevelOf};
use crate::catalog::stream::{self, RepackedError};
use crate::catalog::{lost_parts, note_lost};
use crate::format::lost::Lost;
use crate::format::manifest::{LevelParts, Manifest};
use crate::model::{BackupName, Cancel, Interrupted, LevelId, Progress, Ranges};
use crate::store::{self, ObjectInfo, Store, StoreExt};
use crate::upkeep::error::SyncError;
use crate::upkeep::workers::{FirstError, share_out};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

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
    pub(super) left_out: NotPassedOn,
    pub(super) order: BlockOrder,
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
                lacking.push(self.lacking(manifest, &level, &folders)?);
            }
        }
        self.progress
            .expect_total(self.so_far.expected.objects, self.so_far.expected.bytes);
        // Notes go first: then those that lean on a level know what is lost of it, wherever the
        // sync is cut off.
        self.copy_notes()?;
        let mut records = Vec::new();
        for level in &mut lacking {
            records.append(&mut level.records);
        }
        let (pair, backup) = (self.pair, self.backup);
        let others = self.copy_all(|hand_out| {
            let mut lacking = lacking.into_iter();
            lacking.try_for_each(|level| level.hand_out(pair, backup, hand_out))
        })?;
        // The record of a repack makes its frame table that of the copy: all that the table names
        // must be there.
        let records = self.copy_all(|hand_out| {
            for record in records {
                if !hand_out(SegmentNews::Copy(record)) {
                    break;
                }
            }
            Ok(())
        })?;
        Ok(Copied {
            objects: others.objects + records.objects,
            bytes: others.bytes + records.bytes,
        })
    }

    /// Returns whether a point in time needs anything that was left out.
    pub(super) fn is_incomplete(&self, manifest: &Manifest) -> bool {
        self.left_out.is_needed_by(manifest, &self.lost)
    }

    /// Finds the objects that the copy lacks in these folders of a level.
    fn lacking(
        &mut self,
        manifest: &Manifest,
        level: &LevelId,
        folders: &BTreeSet<Folder>,
    ) -> Result<LackingOfLevel, SyncError> {
        let objects = LevelObjectsOfPair::list(self.pair, self.backup, level, folders)?;
        if folders.contains(&Folder::Repacked) {
            objects.check_repacked(self.pair, level, self.has_more)?;
        }
        let segments_there = objects.segments_there();
        let named = manifest.levels.iter().find(|parts| parts.id == *level);
        let segments = named.map_or(0, |parts| u64::from(parts.segments));
        let newest_repack = objects.newest_repack();
        let (lacking, copied) = objects.lacking();
        let is_segment = |object: &ObjectInfo| folder_of(&object.name) == Some(Folder::Segments);
        let lacks_segments = lacking.iter().any(is_segment);
        if self.lost.contains_key(level) && (segments_there < segments || lacks_segments) {
            self.so_far.unnoted.insert(level.clone());
        }
        self.so_far.expected.objects += lacking.len() as u64;
        self.so_far.expected.bytes += lacking.iter().map(|object| object.length).sum::<u64>();
        let mut found = LackingOfLevel::of(level, lacking);
        // A part of a stream may have gone, as nothing needs it; of a whole one, nothing may.
        let is_whole = named.is_some_and(|parts| parts.live.is_none());
        let is_short = is_whole && segments_there < segments;
        if let Some(parts) = named
            && folders.contains(&Folder::Segments)
            && (lacks_segments || is_short)
        {
            found.stream = Some(self.stream(parts, newest_repack)?);
            found.copied = copied;
        }
        Ok(found)
    }

    /// Returns where the stream of a level is in the source by now.
    fn stream(
        &self,
        parts: &LevelParts,
        newest_repack: u32,
    ) -> Result<Result<LevelParts, (LevelParts, RepackedError)>, SyncError> {
        let parts = parts.clone();
        if newest_repack <= parts.repacked {
            return Ok(Ok(parts));
        }
        let from = self.pair.from;
        let of = LevelOf::new(self.backup, &parts.id);
        let opener = from.opener(&parts.id);
        match stream::load(from.store().as_ref(), &opener, &of, newest_repack) {
            Ok(newest) => Ok(Ok(newest.apply(parts))),
            Err(RepackedError::Store(error)) if !error.kind().is_damage() => {
                Err(SyncError::List(error))
            }
            Err(error) => Ok(Err((parts, error))),
        }
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

    /// Copies the objects that `feed` hands out, several at once. Begins no other one after an
    /// error.
    fn copy_all(
        &mut self,
        feed: impl FnOnce(&mut dyn FnMut(SegmentNews) -> bool) -> Result<(), SyncError>,
    ) -> Result<Copied, SyncError> {
        let errors = FirstError::new();
        let done = Mutex::new((Copied::default(), Vec::new()));
        let work = |errand: CopyErrand| {
            let length = errand.object.length;
            let passed = match self.copy_one(errand) {
                Ok(passed) => passed,
                Err(error) => return errors.note(Err(error)),
            };
            self.progress.advance(1, length);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(passed, Passed::Not(_)) {
                done.0.objects += 1;
                done.0.bytes += length;
            }
            if !matches!(passed, Passed::Sound) {
                done.1.push(passed);
            }
        };
        let mut bad_segments = Vec::new();
        share_out(self.jobs, 0, work, |hand_out| {
            errors.note(feed(&mut |told| {
                if self.cancel.is_requested() || errors.is_there() {
                    return false;
                }
                match told {
                    SegmentNews::Copy(errand) => hand_out(errand),
                    SegmentNews::Bad(bad) => {
                        bad_segments.push(bad);
                        true
                    }
                }
            }));
        });
        errors.into_result()?;
        if self.cancel.is_requested() {
            return Err(SyncError::Interrupted(Interrupted));
        }
        let (copied, passed) = done.into_inner().unwrap_or_else(PoisonError::into_inner);
        for passed in passed {
            match passed {
                Passed::Sound => {}
                Passed::AsItIs(bad) => self.left_out.add_noted(bad),
                Passed::Not(bad) => self.left_out.add(bad),
            }
        }
        bad_segments
            .into_iter()
            .for_each(|bad| self.left_out.add(bad));
        Ok(copied)
    }

    /// Copies an object if it is what it must be, or if a repair has noted what is lost of it.
    fn copy_one(&self, errand: CopyErrand) -> Result<Passed, SyncError> {
        let ObjectInfo { name, length } = &errand.object;
        let failed = |source| SyncError::Copy {
            object: name.clone(),
            source,
        };
        let body = match self.pair.from.store().get(name, *length) {
            Ok(body) => body,
            Err(error) if error.kind() == store::ErrorKind::Missing => {
                return Ok(Passed::Not(errand.bad(ObjectFlaw::Missing)));
            }
            Err(error) if error.kind().is_damage() => {
                return Ok(Passed::Not(errand.bad(ObjectFlaw::Fetch(error))));
            }
            Err(error) => return Err(failed(error)),
        };
        let opener = self.pair.from.opener(&errand.level);
        let passed = match errand.verify(&opener, &self.order, &body) {
            Ok(()) => Passed::Sound,
            Err(FlawedBytes { flaw, bytes }) => {
                let bytes = Ranges::new(bytes);
                if bytes.is_empty() || !is_noted(&bytes, self.lost.get(&errand.level)) {
                    return Ok(Passed::Not(errand.bad(flaw)));
                }
                Passed::AsItIs(errand.bad(flaw))
            }
        };
        let to = self.pair.to.store();
        to.put(name, &vec![body]).map_err(failed)?;
        Ok(passed)
    }
}

/// What became of an object.
enum Passed {
    /// It is in the copy.
    Sound,
    /// It is damaged, and in the copy: what is lost of it is noted.
    AsItIs(BadObject),
    /// It is damaged, and not in the copy.
    Not(BadObject),
}

/// The objects of one level that the copy lacks.
struct LackingOfLevel {
    /// Of the index and the frame table.
    blocks: Vec<CopyErrand>,
    /// Of repacks.
    records: Vec<CopyErrand>,
    segments: BTreeMap<u32, ObjectInfo>,
    /// Where the stream is, if segments are lacking; or why that is not known.
    stream: Option<Result<LevelParts, (LevelParts, RepackedError)>>,
    /// The numbers of the segments that the copy has.
    copied: BTreeSet<u32>,
}

impl LackingOfLevel {
    fn of(level: &LevelId, objects: Vec<ObjectInfo>) -> Self {
        let mut found = Self {
            blocks: Vec::new(),
            records: Vec::new(),
            segments: BTreeMap::new(),
            stream: None,
            copied: BTreeSet::new(),
        };
        for object in objects {
            let contents = match names::place_in_level(&object.name) {
                Some((Folder::Segments, number)) => {
                    found.segments.insert(number, object);
                    continue;
                }
                Some((Folder::Index, number)) => Contents::Index(number),
                Some((Folder::Frames, _)) => Contents::FrameTable,
                Some((Folder::Repacked, number)) => Contents::Record(number),
                Some((Folder::Checkpoints, _)) | None => continue,
            };
            let is_record = matches!(contents, Contents::Record(_));
            let errand = CopyErrand {
                level: level.clone(),
                object,
                contents,
            };
            if is_record {
                found.records.push(errand);
            } else {
                found.blocks.push(errand);
            }
        }
        found
    }

    /// Hands out all objects but the records of repacks.
    fn hand_out(
        self,
        pair: Pair<'_>,
        backup: &BackupName,
        hand_out: &mut dyn FnMut(SegmentNews) -> bool,
    ) -> Result<(), SyncError> {
        for errand in self.blocks {
            if !hand_out(SegmentNews::Copy(errand)) {
                return Ok(());
            }
        }
        let segments = |parts| LackingSegments {
            parts,
            there: self.segments,
            copied: self.copied,
        };
        match self.stream {
            None => Ok(()),
            Some(Ok(parts)) => segments(parts).tell(pair, backup, hand_out),
            Some(Err((parts, error))) => {
                segments(parts).tell_all(backup, ObjectFlaw::Repacked(error), hand_out);
                Ok(())
            }
        }
    }
}

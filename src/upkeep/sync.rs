//! Brings a copy of a store up to date: objects as they are, so what was sealed stays sealed, and a
//! level's manifest after all that it names.
//!
//! Levels go across in the order in which they were made: the objects that one names and that are
//! not there yet, then its manifest. Cut off anywhere, the copy has whole levels and some objects
//! that no level names yet; the next sync finds those and goes on. Whoever calls this has the lock
//! of the backup in the copy, so nothing there is removed meanwhile. In the source a reader takes no lock: a level that
//! goes there meanwhile is not published, and the next sync does not look for it.

use super::check::is_damage;
use super::error::SyncError;
use crate::catalog::names::{Folder, LevelOf, Meaning};
use crate::catalog::{
    Access, AccessError, Catalog, Held, Order, lost_parts, names, note_lost, offer_whole, outlines,
};
use crate::format::lost::Lost;
use crate::format::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use crate::format::repacked::MAX_REPACKED_BYTES;
use crate::model::order::is_ahead;
use crate::model::{BackupName, Cancel, Interrupted, LevelId, LevelSerial, Progress, Ranges};
use crate::store::{self, ObjectInfo, Store};
use crossbeam_channel::bounded;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// A store and the copy of it that is brought up to date.
#[derive(Clone, Copy)]
pub struct Pair<'run> {
    /// Where levels come from.
    pub from: &'run Access,
    /// Where they go: [`Access::copy_at`] of the other.
    pub to: &'run Access,
}

/// What a sync did for one backup.
#[derive(Debug, Default)]
pub struct Synced {
    /// Points in time that the copy has now and had not before.
    pub points: u64,
    /// Objects that were copied, manifests counted.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Levels whose manifests cannot be read: they stay where they are.
    pub unreadable: Vec<(LevelId, AccessError)>,
}

/// Which levels go across.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those that were made after the newest in the copy: what was pruned from it stays away.
    Newer,
    /// All that the copy lacks.
    All,
}

/// The levels that the copy lacks, in the order in which they were made, when it is `now`.
///
/// # Errors
///
/// [`SyncError::Catalog`].
pub fn missing(
    pair: Pair<'_>,
    backup: &BackupName,
    wanted: Wanted,
    now: Timestamp,
) -> Result<Vec<LevelId>, SyncError> {
    let order = |access: &Access| Order::read(access, backup, now).map_err(SyncError::Catalog);
    let (from, to) = (order(pair.from)?, order(pair.to)?);
    let there: BTreeSet<&LevelId> = to.levels().collect();
    let mut missing: Vec<LevelId> = from
        .levels()
        .filter(|level| !there.contains(level))
        .cloned()
        .collect();
    if wanted == Wanted::Newer
        && let Some((newest, serial)) = newest_of(pair.to, backup, &to)
    {
        // Where neither says that it is out of order, their ids tell which was made first.
        let is_plain = |level: &LevelId| match *level < newest {
            true => !level.is_out_of_order(),
            false => !newest.is_out_of_order() && !is_ahead(level.started(), now),
        };
        let doubtful = missing.iter().filter(|level| !is_plain(level)).cloned();
        let serials: BTreeMap<LevelId, LevelSerial> =
            outlines(pair.from, backup, doubtful.collect())
                .into_iter()
                .filter_map(|(level, outline)| Some((level, outline.ok()?.serial)))
                .collect();
        missing.retain(|level| match serials.get(level) {
            Some(own) => *own > serial,
            None => *level > newest,
        });
    }
    Ok(missing)
}

/// The level of the copy that was made last, of those that can be read.
fn newest_of(
    access: &Access,
    backup: &BackupName,
    order: &Order,
) -> Option<(LevelId, LevelSerial)> {
    order.levels().rev().find_map(|level| {
        let outline = access.outline(backup, level).ok()?;
        Some((level.clone(), outline.serial))
    })
}

/// Copies what the copy lacks of a backup, `jobs` objects at once. Memory holds that many objects.
///
/// # Errors
///
/// [`SyncError`]. What was copied before stays, and the next sync goes on from there.
pub fn sync(
    pair: Pair<'_>,
    backup: &BackupName,
    held: &Held<'_>,
    (wanted, jobs): (Wanted, usize),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Synced, SyncError> {
    let mut synced = Synced::default();
    let levels = |access: &Access| {
        Catalog::new(access.store())
            .levels(backup)
            .map_err(SyncError::Catalog)
    };
    let from: BTreeSet<LevelId> = levels(pair.from)?.into_iter().collect();
    let has_more = levels(pair.to)?.iter().any(|level| !from.contains(level));
    let lost = lost_parts(pair.from.store().as_ref(), backup).map_err(SyncError::List)?;
    let mut run = Run {
        pair,
        backup,
        jobs: jobs.max(1),
        progress,
        cancel,
        has_more,
        done: BTreeSet::new(),
        expected: (0, 0),
        lost,
        unnoted: BTreeSet::new(),
    };
    progress.stage("copying");
    for level in missing(pair, backup, wanted, held.now())? {
        let (manifest, stored) = match run.manifest(&level) {
            Err(AccessError::Store(error)) if error.kind() == store::Kind::Missing => continue, // it went since it was listed
            Err(AccessError::Store(error)) if !is_damage(&error) => {
                return Err(SyncError::Manifest {
                    level,
                    source: AccessError::Store(error),
                });
            }
            Err(error) => {
                tracing::warn!(%backup, %level, error = &error as &dyn std::error::Error, "its manifest cannot be read");
                synced.unreadable.push((level, error));
                continue;
            }
            Ok(read) => read,
        };
        let (objects, bytes) = run.copy(&manifest)?;
        // Manifests go before data: as long as it is there, the objects were all there when they
        // were listed.
        match run.manifest(&level) {
            Ok((_, again)) if again == stored => {}
            Err(AccessError::Store(error)) if error.kind() != store::Kind::Missing => {
                return Err(SyncError::Manifest {
                    level,
                    source: AccessError::Store(error),
                });
            }
            _ => {
                tracing::info!(%backup, %level, "it went from the other store while it was copied");
                continue;
            }
        }
        held.check().map_err(SyncError::Lock)?;
        let manifest_bytes = stored.len() as u64;
        Catalog::new(pair.to.store())
            .publish(backup, &level, stored)
            .map_err(SyncError::Catalog)?;
        if let Some(own) = manifest.levels.first() {
            offer_whole(
                pair.to,
                &LevelOf {
                    backup: backup.clone(),
                    level: level.clone(),
                },
                own.compression,
                own.segments,
            );
        }
        synced.points += 1;
        synced.objects += objects + 1;
        synced.bytes += bytes + manifest_bytes;
        tracing::info!(%backup, %level, objects, bytes, "copied");
    }
    Ok(synced)
}

struct Run<'run> {
    pair: Pair<'run>,
    backup: &'run BackupName,
    jobs: usize,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
    /// Whether the copy has points in time that the other store has no more.
    has_more: bool,
    /// What the copy has of each level, known from this run.
    done: BTreeSet<(LevelId, Folder)>,
    /// Objects and bytes to copy, as far as they were counted.
    expected: (u64, u64),
    /// What is noted as lost of the levels in the other store.
    lost: BTreeMap<LevelId, Lost>,
    /// Levels of whose stream the copy got something, or lacks something that the other lacks too,
    /// and whose notes it has not yet.
    unnoted: BTreeSet<LevelId>,
}

impl Run<'_> {
    /// The manifest of a level, and its bytes.
    fn manifest(&self, level: &LevelId) -> Result<(Manifest, Vec<u8>), AccessError> {
        let name = names::manifest_name(self.backup, level);
        let stored = self
            .pair
            .from
            .store()
            .get(&name, MAX_MANIFEST_BYTES)
            .map_err(AccessError::Store)?;
        let failed = |source: ManifestError| AccessError::Manifest {
            level: level.clone(),
            source,
        };
        let manifest =
            Manifest::open(stored.clone(), &self.pair.from.opener(level)).map_err(failed)?;
        Ok((manifest, stored))
    }

    /// Copies what a manifest names and the copy has not. Returns how many objects that were, and
    /// their bytes.
    fn copy(&mut self, manifest: &Manifest) -> Result<(u64, u64), SyncError> {
        let (mut objects, mut repacked) = (Vec::new(), Vec::new());
        for (level, folders) in needed_by(manifest) {
            let folders: BTreeSet<Folder> = folders
                .into_iter()
                .filter(|folder| self.done.insert((level.clone(), *folder)))
                .collect();
            if folders.is_empty() {
                continue;
            }
            let there: BTreeMap<_, _> = self
                .list(self.pair.to, &level)?
                .map(|object| (object.name, object.length))
                .collect();
            let is_wanted = |object: &ObjectInfo| match names::meaning(&object.name) {
                Some(Meaning::Data { folder, .. }) => folders.contains(&folder),
                _ => false,
            };
            let of_level: Vec<ObjectInfo> = self
                .list(self.pair.from, &level)?
                .filter(is_wanted)
                .collect();
            if folders.contains(&Folder::Repacked) {
                self.check_repacked(&level, &of_level, &there)?;
            }
            let lacking: Vec<ObjectInfo> = of_level
                .into_iter()
                .filter(|object| there.get(&object.name) != Some(&object.length))
                .collect();
            let segments = there.keys().filter(|name| is_segment(name)).count() as u64;
            let named = manifest
                .levels
                .iter()
                .find(|parts| parts.id == level)
                .map_or(0, |parts| u64::from(parts.segments));
            if self.lost.contains_key(&level)
                && (segments < named || lacking.iter().any(|object| is_segment(&object.name)))
            {
                self.unnoted.insert(level.clone());
            }
            let (last, first): (Vec<_>, Vec<_>) = lacking.into_iter().partition(is_repacked);
            objects.extend(first);
            repacked.extend(last);
        }
        let bytes: u64 = objects
            .iter()
            .chain(&repacked)
            .map(|object| object.length)
            .sum();
        let count = (objects.len() + repacked.len()) as u64;
        self.expected = (self.expected.0 + count, self.expected.1 + bytes);
        self.progress.expect_total(self.expected.0, self.expected.1);
        // First: then who leans on this level knows what is lost of it, wherever the sync is cut
        // off.
        self.copy_notes()?;
        self.copy_all(objects)?;
        // From then on the copy's frame table is that one: all that it names must be there.
        self.copy_all(repacked)?;
        Ok((count, bytes))
    }

    /// Notes in the copy what is lost of streams that came from the other store as they are there,
    /// beside what was lost of them here.
    fn copy_notes(&mut self) -> Result<(), SyncError> {
        if self.unnoted.is_empty() {
            return Ok(());
        }
        let store = self.pair.to.store();
        let here = lost_parts(store.as_ref(), self.backup).map_err(SyncError::List)?;
        for level in std::mem::take(&mut self.unnoted) {
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

    /// Whether the copy can take over where a level was repacked to. The new frame table lacks what
    /// no point in time of the other store needs; and two stores that repack a level each by itself
    /// give the same names to different objects.
    fn check_repacked(
        &self,
        level: &LevelId,
        of_level: &[ObjectInfo],
        there: &BTreeMap<store::ObjectName, u64>,
    ) -> Result<(), SyncError> {
        let from: BTreeSet<_> = of_level
            .iter()
            .filter(|object| is_repacked(object))
            .map(|object| &object.name)
            .collect();
        let to: Vec<_> = there
            .keys()
            .filter(|name| {
                matches!(
                    names::meaning(name),
                    Some(Meaning::Data {
                        folder: Folder::Repacked,
                        ..
                    })
                )
            })
            .collect();
        let has_news = from.iter().any(|name| !there.contains_key(*name));
        let body = |access: &Access, name| {
            access
                .store()
                .get(name, MAX_REPACKED_BYTES)
                .map_err(SyncError::List)
        };
        let mut is_other = has_news && self.has_more;
        for name in to {
            is_other = is_other
                || !from.contains(name)
                || body(self.pair.from, name)? != body(self.pair.to, name)?;
        }
        if is_other {
            Err(SyncError::Repacked {
                level: level.clone(),
            })
        } else {
            Ok(())
        }
    }

    fn list(
        &self,
        access: &Access,
        level: &LevelId,
    ) -> Result<impl Iterator<Item = ObjectInfo> + use<>, SyncError> {
        let mut objects = Vec::new();
        let listed = access
            .store()
            .list(&names::level_prefix(self.backup, level), &mut |object| {
                objects.push(object);
                true
            });
        listed.map_err(SyncError::List)?;
        Ok(objects.into_iter())
    }

    fn copy_all(&self, objects: Vec<ObjectInfo>) -> Result<(), SyncError> {
        let (from, to) = (self.pair.from.store(), self.pair.to.store());
        let failed: Mutex<Option<SyncError>> = Mutex::new(None);
        let failures = AtomicU64::new(0);
        let fail = |error: SyncError| {
            failures.fetch_add(1, Ordering::Relaxed);
            failed
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .get_or_insert(error);
        };
        let (sender, wanted) = bounded::<ObjectInfo>(0);
        thread::scope(|scope| {
            for _ in 0..self.jobs {
                let (wanted, from, to, fail) = (wanted.clone(), &from, &to, &fail);
                scope.spawn(move || {
                    for object in wanted {
                        match copy_one(from.as_ref(), to.as_ref(), &object) {
                            Ok(()) => self.progress.advance(1, object.length),
                            Err(source) => fail(SyncError::Copy {
                                object: object.name,
                                source,
                            }),
                        }
                    }
                });
            }
            drop(wanted);
            for object in objects {
                // The threads live as long as this sender.
                if self.cancel.is_requested()
                    || failures.load(Ordering::Relaxed) > 0
                    || sender.send(object).is_err()
                {
                    break;
                }
            }
            drop(sender);
        });
        match failed
            .into_inner()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
        {
            Some(error) => Err(error),
            None if self.cancel.is_requested() => Err(SyncError::Interrupted(Interrupted)),
            None => Ok(()),
        }
    }
}

fn is_segment(object: &store::ObjectName) -> bool {
    matches!(
        names::meaning(object),
        Some(Meaning::Data {
            folder: Folder::Segments,
            ..
        })
    )
}

fn is_repacked(object: &ObjectInfo) -> bool {
    matches!(
        names::meaning(&object.name),
        Some(Meaning::Data {
            folder: Folder::Repacked,
            ..
        })
    )
}

fn copy_one(from: &dyn Store, to: &dyn Store, object: &ObjectInfo) -> Result<(), store::Error> {
    let body = from.get(&object.name, object.length)?;
    if body.len() as u64 != object.length {
        // It was listed with another length than it has now: objects are never changed.
        return Err(store::Error::new(
            store::Kind::Short,
            store::Verb::Get,
            &object.name,
        ));
    }
    to.put(&object.name, &vec![body])
}

/// The folders of levels that a manifest names something in.
fn needed_by(manifest: &Manifest) -> BTreeMap<LevelId, BTreeSet<Folder>> {
    let mut needed: BTreeMap<LevelId, BTreeSet<Folder>> = BTreeMap::new();
    for parts in &manifest.levels {
        let folders = needed.entry(parts.id.clone()).or_default();
        // A level may be named for its index alone; its stream may have gone.
        if !parts.live.as_ref().is_some_and(Ranges::is_empty) {
            folders.extend([Folder::Segments, Folder::Frames, Folder::Repacked]);
        }
        if manifest.index.iter().any(|run| run.serial == parts.serial) {
            folders.insert(Folder::Index);
        }
    }
    needed
}

//! What the data objects of a backup take, and the removal of those that nothing needs.

use crate::catalog::Access;
use crate::catalog::names::{self, Folder, Meaning};
use crate::model::{BackupName, Cancel, LevelId};
use crate::store::{self, ObjectInfo, ObjectName, Store, StoreExt};
use crossbeam_channel::bounded;
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Objects that are removed at once: removing them is waiting.
const REMOVERS: usize = 8;

/// The parts of a level that are needed or not each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Segments and frame table.
    Stream,
    /// The blocks of its index.
    Index,
}

impl Part {
    /// The part that an object of a level is of; none where it is no object of a level.
    fn of(object: &ObjectName) -> Option<Self> {
        match names::meaning(object)? {
            Meaning::Data {
                folder: Folder::Index | Folder::Checkpoints,
                ..
            } => Some(Self::Index),
            // The one object is made of the stream.
            Meaning::Data { .. } | Meaning::Whole(..) => Some(Self::Stream),
            Meaning::Manifest(_)
            | Meaning::Withdrawn(_)
            | Meaning::Lost(_)
            | Meaning::Claim(..) => None,
        }
    }
}

/// Objects that are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Doomed {
    /// All of a part of a level.
    Part(LevelId, Part),
    /// These objects of a level, and with segments what is made of all of them for other programs.
    Some(LevelId, BTreeSet<(Folder, u32)>),
}

impl Doomed {
    fn level(&self) -> &LevelId {
        match self {
            Self::Part(level, _) | Self::Some(level, _) => level,
        }
    }

    /// Whether an object of that level is among them.
    fn holds(&self, object: &ObjectName) -> bool {
        match self {
            Self::Part(_, part) => Part::of(object) == Some(*part),
            Self::Some(_, objects) => match names::meaning(object) {
                Some(Meaning::Data { folder, number, .. }) => objects.contains(&(folder, number)),
                Some(Meaning::Whole(..)) => objects
                    .iter()
                    .any(|(folder, _)| *folder == Folder::Segments),
                _ => false,
            },
        }
    }
}

/// What a level takes.
#[derive(Debug, Default)]
pub(super) struct Objects {
    /// Bytes of its index.
    pub(super) index_bytes: u64,
    /// Whether its run left a checkpoint.
    pub(super) has_checkpoint: bool,
    /// Its segments with their lengths.
    pub(super) segments: BTreeMap<u32, u64>,
    /// The objects of its frame tables.
    pub(super) tables: BTreeMap<u32, u64>,
    /// What supersedes its frame table.
    pub(super) repacked: BTreeMap<u32, u64>,
}

impl Objects {
    /// Bytes of segments and frame tables.
    pub(super) fn stream_bytes(&self) -> u64 {
        [&self.segments, &self.tables, &self.repacked]
            .into_iter()
            .flat_map(BTreeMap::values)
            .sum()
    }
}

/// What each level takes that has any object.
#[derive(Debug, Default)]
pub(super) struct Space(BTreeMap<LevelId, Objects>);

impl Space {
    /// Lists the data of a backup. Memory holds some 20 bytes for each object.
    pub(super) fn read(access: &Access, backup: &BackupName) -> Result<Self, store::Error> {
        let mut levels: BTreeMap<LevelId, Objects> = BTreeMap::new();
        access
            .store()
            .list(&names::data_prefix(backup), &mut |object| {
                if let Some(Meaning::Data { of, folder, number }) = names::meaning(&object.name) {
                    let objects = levels.entry(of.level).or_default();
                    let of_folder = match folder {
                        // Checkpoints go with the index, of which they tell.
                        Folder::Index | Folder::Checkpoints => {
                            objects.index_bytes += object.length;
                            objects.has_checkpoint |= folder == Folder::Checkpoints;
                            return true;
                        }
                        Folder::Segments => &mut objects.segments,
                        Folder::Frames => &mut objects.tables,
                        Folder::Repacked => &mut objects.repacked,
                    };
                    of_folder.insert(number, object.length);
                }
                true
            })?;
        Ok(Self(levels))
    }

    /// What a level takes; nothing when it has no object.
    pub(super) fn of(&self, level: &LevelId) -> Option<&Objects> {
        self.0.get(level)
    }

    /// Levels after this one that a run which was cut off left, or one that is under way makes, as
    /// far as the next run may go on with them.
    pub(super) fn resumable<'a>(
        &'a self,
        newest: Option<&'a LevelId>,
    ) -> impl Iterator<Item = &'a LevelId> {
        let last = self
            .0
            .iter()
            .rev()
            .find(|(_, objects)| objects.has_checkpoint)
            .map(|(level, _)| level);
        let is_later = move |level: &&LevelId| {
            newest.is_none_or(|newest| newest < *level) && last.is_some_and(|last| *level <= last)
        };
        self.0.keys().filter(is_later)
    }

    /// Every level.
    pub(super) fn levels(&self) -> impl Iterator<Item = (&LevelId, &Objects)> {
        self.0.iter()
    }
}

/// What a store lets nobody remove yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locked {
    /// Bytes of it.
    pub bytes: u64,
    /// When the last of it can go.
    pub until: Option<Timestamp>,
}

impl Locked {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            bytes: self.bytes + other.bytes,
            until: self.until.max(other.until),
        }
    }
}

/// What became of objects that were to go.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Removed {
    /// How many went.
    pub(super) objects: u64,
    /// Those that may not go yet.
    pub(super) locked: Locked,
}

/// Removes objects but those that the store holds. Goes on after an object that cannot be removed,
/// and then returns the first error.
pub(super) fn remove(
    access: &Access,
    backup: &BackupName,
    doomed: &[Doomed],
    cancel: &Cancel,
) -> Result<Removed, store::Error> {
    let store = access.store();
    let (removed, failed, held) = (
        AtomicU64::new(0),
        Mutex::new(None),
        Mutex::new(Locked::default()),
    );
    let fail = |error: store::Error| {
        failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(error);
    };
    let (sender, objects) = bounded::<ObjectInfo>(2 * REMOVERS);
    thread::scope(|scope| {
        for _ in 0..REMOVERS {
            let (objects, store) = (objects.clone(), &store);
            let (removed, fail, held) = (&removed, &fail, &held);
            scope.spawn(move || {
                for object in objects {
                    let Err(error) = store.delete(&object.name) else {
                        removed.fetch_add(1, Ordering::Relaxed);
                        continue;
                    };
                    match store.held_until(&object.name) {
                        Ok(until @ Some(_)) if error.kind() == store::ErrorKind::Denied => {
                            let mut held = held.lock().unwrap_or_else(PoisonError::into_inner);
                            *held = held.and(Locked {
                                bytes: object.length,
                                until,
                            });
                        }
                        _ => fail(error),
                    }
                }
            });
        }
        drop(objects);
        for of_level in doomed {
            let listed = store.list(
                &names::level_prefix(backup, of_level.level()),
                &mut |object| {
                    // The removers live as long as this sender.
                    (!of_level.holds(&object.name) || sender.send(object).is_ok())
                        && !cancel.is_requested()
                },
            );
            listed.unwrap_or_else(&fail);
            if cancel.is_requested() {
                break;
            }
        }
        drop(sender);
    });
    match failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
        None => Ok(Removed {
            objects: removed.into_inner(),
            locked: held.into_inner().unwrap_or_else(PoisonError::into_inner),
        }),
        Some(error) => Err(error),
    }
}

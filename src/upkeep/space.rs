//! What the data objects of a backup take, and the removal of those that nothing needs.

use super::points::Needed;
use crate::catalog::Access;
use crate::catalog::names::{self, Folder, Meaning};
use crate::model::{BackupName, Cancel, LevelId};
use crate::store::{self, ObjectName, Store};
use crossbeam_channel::bounded;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
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
    /// The part that an object of a level is of. What is in no folder is made of the stream, for other programs.
    fn of(object: &ObjectName) -> Self {
        match names::meaning(object) {
            Some(Meaning::Data { folder: Folder::Index, .. }) => Self::Index,
            _ => Self::Stream,
        }
    }
}

/// Bytes of each part of each level that has any object.
pub(super) struct Space(BTreeMap<(LevelId, Part), u64>);

impl Space {
    /// Lists the data of a backup.
    pub(super) fn read(access: &Access, backup: &BackupName) -> Result<Self, store::Error> {
        let mut bytes = BTreeMap::new();
        access.store().list(&names::data_prefix(backup), &mut |object| {
            if let Some(Meaning::Data { of, .. }) = names::meaning(&object.name) {
                let part = Part::of(&object.name);
                *bytes.entry((of.level, part)).or_default() += object.length;
            }
            true
        })?;
        Ok(Self(bytes))
    }

    /// The parts that are not needed, with their bytes.
    pub(super) fn beside<'space>(&'space self, needed: &'space Needed) -> impl Iterator<Item = (&'space LevelId, Part, u64)> {
        self.0.iter().filter(|((level, part), _)| !needed.holds(level, *part)).map(|((level, part), bytes)| (level, *part, *bytes))
    }
}

/// Removes parts of levels. Goes on after an object that cannot be removed, and then returns the first error.
pub(super) fn remove(access: &Access, backup: &BackupName, parts: &[(LevelId, Part)], cancel: &Cancel) -> Result<u64, store::Error> {
    let store = access.store();
    let (removed, failed) = (AtomicU64::new(0), Mutex::new(None));
    let fail = |error: store::Error| {
        failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
    };
    let (sender, objects) = bounded::<ObjectName>(2 * REMOVERS);
    thread::scope(|scope| {
        for _ in 0..REMOVERS {
            let (objects, store) = (objects.clone(), &store);
            let (removed, fail) = (&removed, &fail);
            scope.spawn(move || {
                for object in objects {
                    match store.delete(&object) {
                        Ok(()) => {
                            removed.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(error) => fail(error),
                    }
                }
            });
        }
        drop(objects);
        for (level, part) in parts {
            let listed = store.list(&names::level_prefix(backup, level), &mut |object| {
                // The removers live as long as this sender.
                (Part::of(&object.name) != *part || sender.send(object.name).is_ok()) && !cancel.is_requested()
            });
            listed.unwrap_or_else(&fail);
            if cancel.is_requested() {
                break;
            }
        }
        drop(sender);
    });
    match failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
        None => Ok(removed.into_inner()),
        Some(error) => Err(error),
    }
}

//! Removes data objects that nothing needs.

use super::backup_in::BackupIn;
use super::workers::{FirstError, share_out};
use crate::catalog::names::{self, Folder, Meaning};
use crate::model::{Cancel, LevelId};
use crate::store::{self, ObjectInfo, ObjectName, Store, StoreExt};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Objects that are removed at once: removing them is waiting.
const REMOVERS: usize = 8;

/// The parts of a level that are needed or not each by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LevelPart {
    /// Segments and frame tables.
    Stream,
    /// The blocks of its index, and its checkpoints.
    Index,
}

impl LevelPart {
    /// Returns the part that an object of a level belongs to; `None` for other objects.
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
    /// All objects of a part of a level.
    Part(LevelId, LevelPart),
    /// These objects of a level. With segments goes the one object that is made of all of them.
    Some(LevelId, BTreeSet<(Folder, u32)>),
}

impl Doomed {
    fn level(&self) -> &LevelId {
        match self {
            Self::Part(level, _) | Self::Some(level, _) => level,
        }
    }

    /// Returns whether an object of that level is to go.
    fn holds(&self, object: &ObjectName) -> bool {
        match self {
            Self::Part(_, part) => LevelPart::of(object) == Some(*part),
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

/// Data that nothing needs and that the store lets nobody remove yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Locked {
    /// How many bytes it has.
    pub bytes: u64,
    /// When the last of it can go.
    pub until: Option<Timestamp>,
}

impl Locked {
    /// Adds up two of these.
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
    /// How many objects went.
    pub(super) objects: u64,
    /// Those that may not go yet.
    pub(super) locked: Locked,
}

/// Removes objects, except those that the store holds. Goes on after an object that cannot be
/// removed, and then returns the first error.
pub(super) fn remove(
    of: BackupIn<'_>,
    doomed: &[Doomed],
    cancel: &Cancel,
) -> Result<Removed, store::Error> {
    let store = of.store();
    let (removed, locked) = (AtomicU64::new(0), Mutex::new(Locked::default()));
    let errors = FirstError::new();
    let remove_one = |object: ObjectInfo| match remove_one(store.as_ref(), &object) {
        Ok(None) => _ = removed.fetch_add(1, Ordering::Relaxed),
        Ok(Some(more)) => {
            let mut locked = locked.lock().unwrap_or_else(PoisonError::into_inner);
            *locked = locked.and(more);
        }
        Err(error) => errors.note(Err(error)),
    };
    share_out(REMOVERS, 2 * REMOVERS, remove_one, |hand_out| {
        for of_level in doomed {
            let prefix = names::level_prefix(of.backup, of_level.level());
            errors.note(store.list(&prefix, &mut |object| {
                (!of_level.holds(&object.name) || hand_out(object)) && !cancel.is_requested()
            }));
            if cancel.is_requested() {
                break;
            }
        }
    });
    errors.into_result()?;
    Ok(Removed {
        objects: removed.into_inner(),
        locked: locked.into_inner().unwrap_or_else(PoisonError::into_inner),
    })
}

/// Removes an object. Returns what is locked, if the store holds it.
fn remove_one(store: &dyn Store, object: &ObjectInfo) -> Result<Option<Locked>, store::Error> {
    let Err(error) = store.delete(&object.name) else {
        return Ok(None);
    };
    match store.held_until(&object.name) {
        Ok(until @ Some(_)) if error.kind() == store::ErrorKind::Denied => Ok(Some(Locked {
            bytes: object.length,
            until,
        })),
        _ => Err(error),
    }
}

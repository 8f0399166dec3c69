//! Lists what lies below a prefix of object names, and knows when it is too much to be true.

use super::names::LevelOf;
use crate::store::{self, ErrorKind, ObjectInfo, Operation, Store};

/// How many objects are held in memory at once: so many segments hold 300 TB.
const MOST_OBJECTS: usize = 5_000_000;

/// How many backups a store may have.
const MOST_BACKUPS: u64 = 100_000;

/// How many points in time a store may have: a hundred backups, each hour, for five years.
const MOST_LEVELS: u64 = 4_000_000;

/// Counts the backups and levels of a listing, whose names come in order.
///
/// A server can make names up for ever, each after the one before. Memory and time end somewhere.
#[derive(Default)]
pub struct CatalogSize {
    last: Option<LevelOf>,
    backups: u64,
    levels: u64,
}

impl CatalogSize {
    /// Counts the level of the next object. Returns `false` when it is one too many.
    pub fn has_room_for(&mut self, next: &LevelOf) -> bool {
        if self.last.as_ref() == Some(next) {
            return true;
        }
        let is_new = |last: &LevelOf| last.backup != next.backup;
        self.backups += u64::from(self.last.as_ref().is_none_or(is_new));
        self.levels += 1;
        self.last = Some(next.clone());
        self.backups <= MOST_BACKUPS && self.levels <= MOST_LEVELS
    }

    /// Fails when there was one too many.
    pub fn check(&self) -> Result<(), store::Error> {
        let (most, what) = match (self.backups > MOST_BACKUPS, self.levels > MOST_LEVELS) {
            (true, _) => (MOST_BACKUPS, "backups"),
            (_, true) => (MOST_LEVELS, "points in time"),
            _ => return Ok(()),
        };
        Err(too_many(most, what))
    }
}

fn too_many(most: u64, what: &str) -> store::Error {
    let why = format!("it lists more than {most} {what}, and no store has as many");
    store::Error::of_store(ErrorKind::Failed, Operation::List).because(why)
}

/// Counts what a listing of hidden names holds in memory before any of it is shown.
#[derive(Default)]
pub struct HeldNames {
    objects: usize,
    backups: u64,
}

impl HeldNames {
    /// Counts one object more, of so many backups. Returns `false` when it is one too many.
    pub fn has_room(&mut self, backups: usize) -> bool {
        self.objects += 1;
        self.backups = backups as u64;
        self.objects <= MOST_OBJECTS && self.backups <= MOST_BACKUPS
    }

    /// Fails when there was one too many.
    pub fn check(&self) -> Result<(), store::Error> {
        if self.backups > MOST_BACKUPS {
            Err(too_many(MOST_BACKUPS, "backups"))
        } else if self.objects > MOST_OBJECTS {
            Err(too_many(MOST_OBJECTS as u64, "objects in one place"))
        } else {
            Ok(())
        }
    }
}

/// Returns every object below `prefix`. Memory holds all of them.
///
/// # Errors
///
/// Returns the store's error when the listing fails, or is longer than memory should hold.
pub fn objects_below(store: &dyn Store, prefix: &str) -> Result<Vec<ObjectInfo>, store::Error> {
    let mut objects = Vec::new();
    store.list(prefix, &mut |object| {
        objects.push(object);
        objects.len() <= MOST_OBJECTS
    })?;
    if objects.len() > MOST_OBJECTS {
        return Err(too_many(MOST_OBJECTS as u64, "objects in one place"));
    }
    Ok(objects)
}

/// Returns whether any object lies below `prefix`. Stops at the first.
///
/// # Errors
///
/// Returns the store's error when the listing fails.
pub fn is_any_below(store: &dyn Store, prefix: &str) -> Result<bool, store::Error> {
    let mut is_any = false;
    store.list(prefix, &mut |_| {
        is_any = true;
        false
    })?;
    Ok(is_any)
}

#[cfg(test)]
mod tests {
    use super::{CatalogSize, HeldNames, MOST_BACKUPS, MOST_LEVELS, MOST_OBJECTS};
    use crate::catalog::names::LevelOf;
    use crate::model::{BackupName, LevelId};
    use crate::store::ErrorKind;

    fn of(backup: u64, level: u32) -> LevelOf {
        LevelOf {
            backup: BackupName::new("h", &format!("b{backup}")).expect("a name"),
            level: LevelId::new(jiff::Timestamp::UNIX_EPOCH, level),
        }
    }

    #[test]
    fn hidden_names_that_never_end_are_ended() {
        let mut held = HeldNames::default();
        assert!((0..MOST_OBJECTS).all(|_| held.has_room(1)));
        held.check().expect("as many as there may be");
        assert!(!held.has_room(1));
        held.check().expect_err("too many objects");
        let mut held = HeldNames::default();
        assert!(held.has_room(100_000) && !held.has_room(100_001));
        held.check().expect_err("too many backups");
    }

    #[test]
    fn a_catalog_that_never_ends_is_ended() {
        let mut size = CatalogSize::default();
        assert!((0..MOST_BACKUPS).all(|number| size.has_room_for(&of(number, 0))));
        size.check().expect("as many as there may be");
        assert!(size.has_room_for(&of(MOST_BACKUPS - 1, 0)), "no new one");
        assert!(!size.has_room_for(&of(MOST_BACKUPS, 0)));
        assert_eq!(
            size.check().expect_err("too many").kind(),
            ErrorKind::Failed
        );
        let mut size = CatalogSize {
            levels: MOST_LEVELS - 1,
            ..CatalogSize::default()
        };
        assert!(size.has_room_for(&of(0, 1)) && !size.has_room_for(&of(0, 2)));
        size.check().expect_err("too many");
    }
}

//! In which order the levels of a backup were made, and when each began.
//!
//! Both are in the manifests: the serial, which grows from run to run, and the date. Opening every
//! manifest for every question would cost a request for each, so names are believed where they
//! cannot mislead:
//!
//! - An id says when its run began. A level that finds a later id when it is made says so in its own
//!   ([`LevelId::is_out_of_order`]). Where no level says so, ids ascend as serials do: a listing
//!   tells the order, and nothing is opened.
//! - A date is looked up where the id is more than a day in the future, or less than a second after
//!   the one before: earlier versions moved levels there.
//! - What is then relied on is opened: the level that is meant, or that is leaned on.
//!
//! So one listing is enough where no clock was ever wrong. After one that was, every manifest is
//! opened, several at once; a [`Memory`] keeps what they said for those that ask again.
//!
//! An object that has the name of a manifest and does not open has no serial. It is placed by its
//! name, moves no other, and is passed over where it cannot be a point in time that was damaged.
//!
//! Record: docs/design, "Order comes from the chain".

use super::{Access, AccessError, Catalog, CatalogError, names};
use crate::format::manifest::{Manifest, ManifestError, Outline};
use crate::model::order::is_ahead;
use crate::model::{BackupName, BackupRef, Choice, Dated, LevelId, LevelSerial};
use crate::store::{self, Store};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Manifests that are read at once: they are small, and reading them from afar is waiting.
const READERS: usize = 8;

/// Ids that follow each other closer than this may have been moved there.
const MOVED: SignedDuration = SignedDuration::from_secs(1);

/// What manifests said: they never change.
#[derive(Debug, Default)]
pub struct Memory(BTreeMap<LevelId, (LevelSerial, Timestamp)>);

/// The points in time of a backup, in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    points: Vec<Dated>,
    unreadable: BTreeSet<LevelId>,
}

impl Order {
    /// Finds the order by one listing, and by the manifests where names do not tell.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked. What is damaged is no error.
    pub fn read(
        access: &Access,
        backup: &BackupName,
        now: Timestamp,
    ) -> Result<Self, CatalogError> {
        Self::read_with(&mut Memory::default(), access, backup, now)
    }

    /// The same for one that asks again and again: no manifest is opened twice for its order.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_with(
        memory: &mut Memory,
        access: &Access,
        backup: &BackupName,
        now: Timestamp,
    ) -> Result<Self, CatalogError> {
        let levels = Catalog::new(access.store()).levels(backup)?;
        memory.forget_others(&levels);
        let mut unreadable = BTreeSet::new();
        let is_ahead = |level: &LevelId| is_ahead(level.started(), now);
        let mut doubtful: Vec<LevelId> = levels.iter().filter(|at| is_ahead(at)).cloned().collect();
        doubtful.extend(
            levels
                .windows(2)
                .filter(|pair| pair[1].started().duration_since(pair[0].started()) < MOVED)
                .map(|pair| pair[1].clone())
                .filter(|level| !is_ahead(level)),
        );
        memory.learn(access, backup, doubtful, &mut unreadable)?;
        let tells = |level: &LevelId| {
            level.is_out_of_order() || is_ahead(level) && !unreadable.contains(level)
        };
        if levels.iter().any(tells) {
            let others = levels
                .iter()
                .filter(|level| !unreadable.contains(*level))
                .cloned()
                .collect();
            memory.learn(access, backup, others, &mut unreadable)?;
        }
        let dated = |level: LevelId| {
            let date = memory.0.get(&level).map(|(_, date)| *date);
            Dated {
                date: date.unwrap_or_else(|| level.started()),
                level,
            }
        };
        let serial = |level: &LevelId| memory.0.get(level).map(|(serial, _)| *serial);
        Ok(Self {
            points: in_order(levels, serial).into_iter().map(dated).collect(),
            unreadable,
        })
    }

    /// All points in time, those that were made first in front.
    pub fn points(&self) -> &[Dated] {
        &self.points
    }

    /// Leaves out what was looked at and is no point in time, and whatever of that kind comes last:
    /// the last one is then a point in time, though it may have been damaged.
    ///
    /// # Errors
    ///
    /// [`CatalogError`] when the store cannot be asked.
    pub fn without_strays(
        mut self,
        memory: &mut Memory,
        access: &Access,
        backup: &BackupName,
    ) -> Result<Self, CatalogError> {
        let mut strays = BTreeSet::new();
        for level in &self.unreadable {
            if !has_data(access, backup, level)? {
                strays.insert(level.clone());
            }
        }
        self.points.retain(|point| !strays.contains(&point.level));
        while let Some(Dated { level: last, .. }) = self.points.last() {
            memory.learn(access, backup, vec![last.clone()], &mut self.unreadable)?;
            if memory.0.contains_key(last) || has_data(access, backup, last)? {
                break;
            }
            self.points.pop();
        }
        Ok(self)
    }

    /// Their ids.
    pub fn levels(&self) -> impl DoubleEndedIterator<Item = &LevelId> + Clone {
        self.points.iter().map(|point| &point.level)
    }

    /// Whether a manifest was looked at and could not be read. One that was not looked at is not
    /// known to be readable.
    pub fn is_unreadable(&self, level: &LevelId) -> bool {
        self.unreadable.contains(level)
    }

    /// The points in time that are more than a day in the future, and have a manifest that opens.
    pub fn ahead(&self, now: Timestamp) -> impl Iterator<Item = &Dated> {
        self.points
            .iter()
            .filter(move |point| is_ahead(point.date, now))
            .filter(|point| !self.unreadable.contains(&point.level))
    }
}

impl Memory {
    fn forget_others(&mut self, levels: &[LevelId]) {
        // Ids that are no more would fill the memory of a mount that lasts for years.
        if self.0.len() > levels.len() {
            let there: BTreeSet<&LevelId> = levels.iter().collect();
            self.0.retain(|level, _| there.contains(level));
        }
    }

    /// Opens the manifests of levels that are not known yet.
    fn learn(
        &mut self,
        access: &Access,
        backup: &BackupName,
        levels: Vec<LevelId>,
        unreadable: &mut BTreeSet<LevelId>,
    ) -> Result<(), CatalogError> {
        let unknown = levels
            .into_iter()
            .filter(|level| !self.0.contains_key(level))
            .collect();
        for (level, outline) in outlines(access, backup, unknown) {
            match outline {
                Ok(outline) => {
                    self.0.insert(level, (outline.serial, outline.date()));
                }
                Err(AccessError::Store(source))
                    if source.kind() == store::ErrorKind::Unavailable =>
                {
                    return Err(CatalogError::Level {
                        verb: super::Verb::Open,
                        backup: backup.clone(),
                        level,
                        source,
                    });
                }
                Err(_) => {
                    unreadable.insert(level);
                }
            }
        }
        Ok(())
    }
}

/// Puts levels, which ascend by their ids, into the order of their serials. One without a serial
/// keeps its place among the ids.
pub fn in_order(
    levels: Vec<LevelId>,
    serial: impl Fn(&LevelId) -> Option<LevelSerial>,
) -> Vec<LevelId> {
    let mut last = LevelSerial(0);
    let ascend = levels.iter().filter_map(&serial).all(|serial| {
        let ascends = last <= serial;
        last = serial;
        ascends
    });
    if ascend {
        return levels;
    }
    let (mut placed, unplaced): (Vec<_>, Vec<_>) = levels
        .into_iter()
        .partition(|level| serial(level).is_some());
    placed.sort_by_cached_key(|level| (serial(level), level.clone()));
    for level in unplaced {
        let place = placed
            .iter()
            .position(|other| *other > level)
            .unwrap_or(placed.len());
        placed.insert(place, level);
    }
    placed
}

/// Reads manifests, several at once.
pub fn outlines(
    access: &Access,
    backup: &BackupName,
    levels: Vec<LevelId>,
) -> Vec<(LevelId, Result<Outline, AccessError>)> {
    let next = AtomicUsize::new(0);
    let read = || {
        let mut mine = Vec::new();
        while let Some(level) = levels.get(next.fetch_add(1, Ordering::Relaxed)) {
            mine.push((level.clone(), access.outline(backup, level)));
        }
        mine
    };
    thread::scope(|scope| {
        let readers: Vec<_> = (1..READERS.min(levels.len()))
            .map(|_| scope.spawn(read))
            .collect();
        let mut all = read();
        for reader in readers {
            all.extend(
                reader
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            );
        }
        all
    })
}

/// The point in time that is meant.
#[derive(Debug)]
pub struct Located {
    /// Of which backup.
    pub backup: BackupName,
    /// Which it is.
    pub level: LevelId,
    /// Its manifest; why it cannot be read, where it was damaged.
    pub manifest: Result<Manifest, AccessError>,
    /// What has the name of a better one, and is no point in time.
    pub strays: Vec<LevelId>,
}

impl Located {
    /// The manifest.
    ///
    /// # Errors
    ///
    /// [`CatalogError::Unreadable`].
    pub fn opened(self) -> Result<(BackupName, LevelId, Manifest), CatalogError> {
        match self.manifest {
            Ok(manifest) => Ok((self.backup, self.level, manifest)),
            Err(source) => Err(CatalogError::Unreadable {
                backup: self.backup,
                level: self.level,
                source: Box::new(source),
            }),
        }
    }
}

/// Finds the point in time that is meant when it is `now` in `zone`, and opens its manifest;
/// without a DATE, the one that was made last.
///
/// # Errors
///
/// [`CatalogError::NoSuchLevel`] and those of [`Catalog::find`]. A manifest that was damaged is no
/// error here.
pub fn locate(
    access: &Access,
    wanted: &BackupRef,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Located, CatalogError> {
    let catalog = Catalog::new(access.store());
    let backup = catalog.find(wanted)?;
    let order = Order::read(access, &backup, now)?;
    let choice = wanted
        .at()
        .map_or(Choice::Newest, |at| at.choice(now, zone));
    let mut strays = Vec::new();
    let mut first = None;
    for level in choice.among(order.points()) {
        let manifest = match access.manifest(&backup, level) {
            Err(AccessError::Store(source)) if !source.kind().is_damage() => {
                return Err(CatalogError::Level {
                    verb: super::Verb::Open,
                    backup,
                    level: level.clone(),
                    source,
                });
            }
            Err(error)
                if !matches!(choice, Choice::Exactly(_))
                    && is_stray(access, &backup, level, &error)? =>
            {
                tracing::warn!(%backup, object = %names::manifest_name(&backup, level), "it is no manifest of this store, and is passed over; freezer check tells more");
                strays.push(level.clone());
                first.get_or_insert((level.clone(), error));
                continue;
            }
            manifest => manifest,
        };
        return Ok(Located {
            backup,
            level: level.clone(),
            manifest,
            strays,
        });
    }
    if let Some((level, error)) = first {
        return Ok(Located {
            backup,
            level,
            manifest: Err(error),
            strays: Vec::new(),
        });
    }
    match order.points().iter().min_by_key(|point| point.date) {
        Some(oldest) => Err(CatalogError::NoSuchLevel {
            backup,
            wanted: wanted.at().map(ToString::to_string).unwrap_or_default(),
            oldest: oldest.level.clone(),
        }),
        // Its last level was withdrawn since it was found.
        None => Err(CatalogError::UnknownBackup {
            wanted: wanted.name().to_owned(),
            near: Vec::new(),
        }),
    }
}

/// Whether an object that cannot be read as a manifest cannot be one that was damaged: nothing in it
/// can be authenticated, and the store has no data under its id. Every level has some, and keeps it
/// as long as its manifest is there.
///
/// # Errors
///
/// [`CatalogError`] when the store cannot be asked.
pub fn is_stray(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    error: &AccessError,
) -> Result<bool, CatalogError> {
    let says_nothing = match error {
        AccessError::Store(error) => matches!(
            error.kind(),
            store::ErrorKind::Short | store::ErrorKind::TooLarge | store::ErrorKind::Missing
        ),
        AccessError::Manifest { source, .. } => matches!(source, ManifestError::Frame(_)),
        _ => false,
    };
    Ok(says_nothing && !has_data(access, backup, level)?)
}

/// Whether there is any object of a level's data.
pub(super) fn has_data(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
) -> Result<bool, CatalogError> {
    let mut has_data = false;
    access
        .store()
        .list(&names::level_prefix(backup, level), &mut |_| {
            has_data = true;
            false
        })
        .map_err(|source| CatalogError::List { source })?;
    Ok(has_data)
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::model::{LevelId, LevelSerial};
    use jiff::Timestamp;
    use proptest::prelude::*;

    fn level(second: i64) -> LevelId {
        LevelId::new(Timestamp::from_second(second).expect("in range"), 5)
    }

    #[test]
    fn what_has_no_serial_keeps_its_place_among_the_ids() {
        let serials = [
            (1, Some(1)),
            (2, None),
            (3, Some(4)),
            (9, Some(2)),
            (10, None),
        ];
        let of = |wanted: &LevelId| {
            let found = serials.iter().find(|(second, _)| level(*second) == *wanted);
            found.and_then(|(_, serial)| *serial).map(LevelSerial)
        };
        let levels = serials.iter().map(|(second, _)| level(*second)).collect();
        assert_eq!(in_order(levels, of), [1, 2, 9, 3, 10].map(level),);
    }

    /// Makes levels one after the other, as runs do whose clocks say this; some go again.
    fn made(clocks: &[(u16, bool)]) -> (Vec<LevelId>, Vec<LevelId>) {
        let mut levels: Vec<LevelId> = Vec::new();
        let mut left = Vec::new();
        for ((second, stays), random) in clocks.iter().zip(0_u32..) {
            let now = Timestamp::from_second((*second).into()).expect("in range");
            let next = LevelId::next(now, random.wrapping_mul(0x9e37_79b9), left.iter());
            assert!(!levels.contains(&next));
            levels.push(next.clone());
            if *stays {
                left.push(next);
            }
        }
        (levels, left)
    }

    proptest! {
        #[test]
        fn where_no_id_is_out_of_order_ids_ascend_as_levels_were_made(clocks in prop::collection::vec((0_u16..60, prop::bool::weighted(0.8)), 0..20)) {
            let (all, left) = made(&clocks);
            if !left.iter().any(LevelId::is_out_of_order) {
                prop_assert!(left.is_sorted(), "{:?}", left);
            }
            let mut listed = left.clone();
            listed.sort();
            let serial = |level: &LevelId| all.iter().position(|other| other == level).map(|at| LevelSerial(at as u64 + 1));
            prop_assert_eq!(in_order(listed, serial), left);
        }

        #[test]
        fn clocks_that_ascend_put_no_id_out_of_order(mut clocks in prop::collection::vec((0_u16..600, prop::bool::weighted(0.8)), 0..20)) {
            clocks.sort_unstable();
            let (all, _) = made(&clocks);
            prop_assert!(!all.iter().any(LevelId::is_out_of_order));
        }
    }
}

//! Lets points in time go, and then the data that nothing needs any more.
//!
//! Why no point in time is ever left without something it names, whatever runs at the same time and
//! wherever this is cut off:
//!
//! 1. A manifest is removed before any data, and data only if no manifest that is left names it:
//!    the index of a level by its number, of a stream the bytes that are live. A segment goes when
//!    none of its frames holds such a byte. The stream of a level whose own manifest is there stays
//!    whole.
//! 2. A new manifest names levels of one that was there when its run began, and the run's own; of
//!    the streams of earlier levels, bytes that the same manifest says are live, as every entry
//!    that is not stored anew is one of its entries (under the same name or another), and ranges
//!    are joined over live bytes alone (`backup::live`). A run holds the backup's lock from before
//!    it looks for that manifest until after it has published its own. What is to be removed is
//!    found with that lock held, from a listing of the data and then one of the manifests, and the
//!    lock is looked at once more after them: so no run is under way then, and what no manifest
//!    names at that moment no run's will ever name. A sync ([`super::sync`]) brings manifests from
//!    another store, which may name it: so the lock is held while it is removed, too.
//! 3. A manifest that cannot be read may name every level that was made before it: their data
//!    stays. Where ids do not tell which those are, as a clock was wrong, all data stays. An object
//!    that is no manifest at all, and has no data, keeps nothing: [`crate::catalog::is_stray`].
//! 4. Who opened a point in time before it went has the grace to end: [`super::withdrawn`].

use super::PruneError;
use super::points::{Needed, Points};
use super::space::{self, Doomed, Locked, Space};
use super::unneeded::Streams;
use super::withdrawn::{self, Notes};
use crate::catalog::{Access, CatalogError, Held, Left, names};
use crate::model::{BackupName, Cancel, Candidate, Fate, Interrupted, LevelId, Reason, Retention};
use crate::store::{self, Store};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeSet;

/// How long data stays readable for those who opened its point in time before that went, unless
/// told otherwise.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// What is to go.
#[derive(Clone, Debug)]
pub enum Going {
    /// What the rules do not protect.
    Unprotected(Retention),
    /// This one point in time, whatever it is.
    Named(LevelId),
}

/// What a prune would do.
#[derive(Debug)]
pub struct Plan {
    /// Of which backup.
    pub backup: BackupName,
    /// Its points in time, in the order in which they were made.
    pub points: Vec<Planned>,
    /// Bytes that no point in time will need once these have gone, beside those of
    /// `unneeded_bytes`.
    pub freed_bytes: u64,
    /// Bytes that none needs already: of points in time that went before, and of runs that were cut
    /// off.
    pub unneeded_bytes: u64,
    /// Bytes that none will need then, but lie in objects with others that some need: a repack
    /// gives them back.
    pub mixed_bytes: u64,
    read: Points,
    streams: Streams,
}

/// A point in time in a [`Plan`].
#[derive(Debug)]
pub struct Planned {
    /// Which.
    pub level: LevelId,
    /// When it began, by the clock of its run.
    pub date: Timestamp,
    /// Its number in its chain; nothing if its manifest cannot be read.
    pub number: Option<u32>,
    /// Bytes that its run stored.
    pub stored_bytes: u64,
    /// What becomes of it.
    pub fate: Fate,
}

/// What a prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Points in time that went.
    pub points: u64,
    /// Objects that were removed, manifests not counted.
    pub objects: u64,
    /// Bytes of them.
    pub freed_bytes: u64,
    /// Bytes that a later prune removes: of points in time that went within the grace.
    pub waiting_bytes: u64,
    /// When it can.
    pub waiting_until: Option<Timestamp>,
    /// Bytes that stay because a manifest that cannot be read may name them.
    pub doubtful_bytes: u64,
    /// Objects that nothing needs and that the store lets nobody remove yet: of runs that were cut
    /// off, for instance.
    pub locked: Locked,
}

impl Pruned {
    /// Both, of which `next` came after this: what waits after it is what waits.
    #[must_use]
    pub fn and_then(self, next: &Self) -> Self {
        let is_new = next.waiting_until.is_some() || next.freed_bytes > 0;
        Self {
            points: self.points + next.points,
            objects: self.objects + next.objects,
            freed_bytes: self.freed_bytes + next.freed_bytes,
            waiting_bytes: if is_new {
                next.waiting_bytes
            } else {
                self.waiting_bytes
            },
            waiting_until: if is_new {
                next.waiting_until
            } else {
                self.waiting_until
            },
            doubtful_bytes: self.doubtful_bytes.max(next.doubtful_bytes),
            locked: next.locked,
        }
    }
}

/// Finds out what would go. Reads all manifests of the backup, lists its data, and changes nothing.
///
/// # Errors
///
/// [`PruneError`]; a damaged manifest is none: its point in time stays.
pub fn plan(
    access: &Access,
    backup: &BackupName,
    going: &Going,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Plan, PruneError> {
    let space = Space::read(access, backup).map_err(PruneError::List)?;
    let read = Points::read(access, backup)?;
    let candidates: Vec<Candidate> = read
        .points
        .iter()
        .map(|point| Candidate {
            level: point.level.clone(),
            date: point.date(),
            tags: point
                .known
                .as_ref()
                .map(|known| known.tags.clone())
                .unwrap_or_default(),
            is_readable: point.known.is_ok(),
        })
        .collect();
    let fates = match going {
        Going::Unprotected(rules) => rules.decide(&candidates, now, zone),
        Going::Named(level) => {
            let fate = |point: &Candidate| {
                if point.level == *level {
                    Fate::Goes
                } else {
                    Fate::Stays(vec![Reason::NoRule])
                }
            };
            candidates.iter().map(fate).collect()
        }
    };
    let fates = read
        .points
        .iter()
        .zip(fates)
        .map(|(point, fate)| match fate {
            Fate::Goes => stays_if_locked(access, backup, &point.level),
            Fate::Stays(_) if point.is_stray => Ok(Fate::Stays(vec![Reason::Stray])),
            stays => Ok(stays),
        });
    let fates = fates
        .collect::<Result<Vec<_>, _>>()
        .map_err(PruneError::List)?;
    let points: Vec<Planned> = read
        .points
        .iter()
        .zip(fates)
        .map(|(point, fate)| Planned {
            level: point.level.clone(),
            date: point.date(),
            number: point.known.as_ref().ok().map(|known| known.number),
            stored_bytes: point.known.as_ref().map_or(0, |known| known.stored_bytes),
            fate,
        })
        .collect();
    let going = going_of(&points);
    let mut streams = Streams::default();
    let unneeded_bytes = streams
        .unneeded(
            access,
            backup,
            (&read, &space, &needed(&read, &space, |_| true)),
        )?
        .bytes;
    let then = streams.unneeded(
        access,
        backup,
        (
            &read,
            &space,
            &needed(&read, &space, |level| !going.contains(level)),
        ),
    )?;
    let freed_bytes = then.bytes.saturating_sub(unneeded_bytes);
    Ok(Plan {
        backup: backup.clone(),
        points,
        freed_bytes,
        unneeded_bytes,
        mixed_bytes: then.among_needed,
        read,
        streams,
    })
}

/// Removes what cut-off runs left; what of it is locked is no reason not to go on.
fn remove_left(access: &Access, left: &Left, held: &Held<'_>) -> Result<(), PruneError> {
    let Err(error) = left.remove(access, held) else {
        return Ok(());
    };
    if let CatalogError::Level { source, .. } = &error
        && let (store::Kind::Denied, Some(object)) = (source.kind(), source.object())
        && access
            .store()
            .held_until(object)
            .map_err(PruneError::List)?
            .is_some()
    {
        return Ok(());
    }
    Err(PruneError::Catalog(error))
}

/// A point in time whose manifest the store does not let go stays whole, and so does all that it
/// needs.
fn stays_if_locked(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
) -> Result<Fate, store::Error> {
    let until = access
        .store()
        .held_until(&names::manifest_name(backup, level))?;
    Ok(until.map_or(Fate::Goes, |until| Fate::Stays(vec![Reason::Locked(until)])))
}

/// What must stay as far as can be told without the lock: what the next run may go on with, too.
fn needed(read: &Points, space: &Space, stays: impl Fn(&LevelId) -> bool) -> Needed {
    let mut needed = read.needed(stays);
    space
        .resumable(
            read.points
                .iter()
                .rfind(|point| point.known.is_ok())
                .map(|point| &point.level),
        )
        .for_each(|level| needed.whole(level.clone()));
    needed
}

fn going_of(points: &[Planned]) -> BTreeSet<LevelId> {
    points
        .iter()
        .filter(|point| point.fate == Fate::Goes)
        .map(|point| point.level.clone())
        .collect()
}

impl Plan {
    /// How many points in time go.
    pub fn going(&self) -> usize {
        self.points
            .iter()
            .filter(|point| point.fate == Fate::Goes)
            .count()
    }
}

/// Data that nothing needs, found and not yet removed.
pub struct Condemned {
    doomed: Vec<Doomed>,
    notes: Notes,
    pruned: Pruned,
    grace: SignedDuration,
    now: Timestamp,
}

/// Does what was planned, up to the removal of data: [`Condemned::remove`]. The caller has the
/// backup's lock.
///
/// What a grace says is kept for those who are reading it.
///
/// # Errors
///
/// [`PruneError`]. Some of the points in time may have gone then; nothing that is left misses
/// anything, and it can be repeated.
pub fn withdraw(
    access: &Access,
    plan: &mut Plan,
    held: &Held<'_>,
    (now, grace): (Timestamp, SignedDuration),
    cancel: &Cancel,
) -> Result<Condemned, PruneError> {
    let backup = plan.backup.clone();
    let left = Left::read(access, held, now).map_err(PruneError::Catalog)?;
    remove_left(access, &left, held)?;
    let going = going_of(&plan.points);
    plan.read.read_new(access, &backup)?;
    let going: BTreeSet<LevelId> = plan
        .read
        .points
        .iter()
        .map(|point| &point.level)
        .filter(|level| going.contains(*level))
        .cloned()
        .collect();
    let is_claimed = claimed(access, &backup, &going)?;
    if let Some(level) = is_claimed {
        return Err(PruneError::Claimed { level });
    }
    if !going.is_empty() && grace > SignedDuration::ZERO {
        let id = LevelId::new(now, getrandom::u32().map_err(PruneError::Random)?);
        withdrawn::store(access, &backup, &id, &plan.read.named_by(&going))
            .map_err(PruneError::Withdraw)?;
    }
    let mut pruned = Pruned::default();
    held.check().map_err(PruneError::Lock)?;
    for level in &going {
        if cancel.is_requested() {
            return Err(PruneError::Interrupted(Interrupted));
        }
        access
            .store()
            .delete(&names::manifest_name(&backup, level))
            .map_err(PruneError::Withdraw)?;
        pruned.points += 1;
        tracing::info!(%backup, %level, "withdrew a point in time");
    }
    // In this order: see the module's second point.
    let space = Space::read(access, &backup).map_err(PruneError::List)?;
    plan.read.read_new(access, &backup)?;
    held.check().map_err(PruneError::Lock)?;
    let Plan { read, streams, .. } = plan;
    let mut needed = read.needed(|_| true);
    // What a run left that was cut off, and that the next one can take.
    left.kept().for_each(|level| needed.whole(level.clone()));
    let unneeded = streams
        .unneeded(access, &backup, (read, &space, &needed))?
        .bytes;
    if !read
        .points
        .iter()
        .all(|point| point.known.is_ok() || point.is_stray)
    {
        let readable: BTreeSet<_> = read
            .points
            .iter()
            .filter(|point| point.known.is_ok())
            .map(|point| &point.level)
            .collect();
        let without_doubt = read.needed(|level| readable.contains(level));
        pruned.doubtful_bytes = streams
            .unneeded(access, &backup, (read, &space, &without_doubt))?
            .bytes
            .saturating_sub(unneeded);
    }
    let notes = Notes::list(access, &backup).map_err(PruneError::List)?;
    pruned.waiting_until = notes
        .keep(access, &backup, (now, grace), &mut needed)
        .map_err(PruneError::List)?;
    let found = streams.unneeded(access, &backup, (read, &space, &needed))?;
    // Their names may be used again by whoever has the lock next.
    let removed =
        space::remove(access, &backup, &found.leftovers, cancel).map_err(PruneError::Remove)?;
    (pruned.objects, pruned.locked) = (removed.objects, removed.locked);
    pruned.freed_bytes = found.bytes;
    pruned.waiting_bytes = unneeded.saturating_sub(found.bytes);
    Ok(Condemned {
        doomed: found.doomed,
        notes,
        pruned,
        grace,
        now,
    })
}

/// A level of these that a run which was cut off still claims. The next backup removes the data of
/// such a run if it made no level; it could not tell that from one that has gone and that others
/// lean on.
fn claimed(
    access: &Access,
    backup: &BackupName,
    going: &BTreeSet<LevelId>,
) -> Result<Option<LevelId>, PruneError> {
    let mut claimed = None;
    let listed = access
        .store()
        .list(&names::locks_prefix(backup), &mut |object| {
            if let Some(names::Meaning::Claim(of, _)) = names::meaning(&object.name)
                && going.contains(&of.level)
            {
                claimed = Some(of.level);
            }
            claimed.is_none()
        });
    listed.map_err(PruneError::List)?;
    Ok(claimed)
}

impl Condemned {
    /// Removes the data. With the lock held, or a sync beside it may bring a point in time that
    /// leans on it; backups need no such care.
    ///
    /// # Errors
    ///
    /// [`PruneError::Remove`] when some of it could not be removed: the next prune tries again.
    pub fn remove(
        self,
        access: &Access,
        backup: &BackupName,
        cancel: &Cancel,
    ) -> Result<Pruned, PruneError> {
        let mut pruned = self.pruned;
        let removed =
            space::remove(access, backup, &self.doomed, cancel).map_err(PruneError::Remove)?;
        pruned.objects += removed.objects;
        pruned.locked = pruned.locked.and(removed.locked);
        pruned.freed_bytes = pruned.freed_bytes.saturating_sub(pruned.locked.bytes);
        if cancel.is_requested() {
            return Err(PruneError::Interrupted(Interrupted));
        }
        self.notes
            .remove_old(access, backup, (self.now, self.grace))
            .map_err(PruneError::Remove)?;
        Ok(pruned)
    }
}

/// Bytes of a backup that no point in time needs, of which some may be those of a run that is under
/// way.
///
/// # Errors
///
/// [`PruneError`].
pub fn unneeded_bytes(access: &Access, backup: &BackupName) -> Result<u64, PruneError> {
    let space = Space::read(access, backup).map_err(PruneError::List)?;
    let read = Points::read(access, backup)?;
    Ok(Streams::default()
        .unneeded(
            access,
            backup,
            (&read, &space, &needed(&read, &space, |_| true)),
        )?
        .bytes)
}

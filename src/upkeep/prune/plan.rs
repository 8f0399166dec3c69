//! Plans a prune: which points in time go, and what that frees.

use crate::catalog::{Access, names};
use crate::model::{BackupName, Candidate, Fate, LevelId, Reason, Retention};
use crate::store::{self, StoreExt};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use crate::upkeep::inventory::Inventory;
use crate::upkeep::points::{BackupPoint, BackupPoints};
use crate::upkeep::streams::LevelStreams;
use crate::upkeep::unneeded::Unneeded;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::BTreeSet;

/// Which points in time are to go.
#[derive(Clone, Debug)]
pub enum Going {
    /// Those that the rules do not protect.
    Unprotected(Retention),
    /// This one, whatever the rules are.
    Named(LevelId),
}

/// What a prune would do.
#[derive(Debug)]
pub struct Plan {
    /// The backup.
    pub backup: BackupName,
    /// Its points in time, in the order in which they were made.
    pub points: Vec<Planned>,
    /// Bytes that no point in time will need once these have gone, beside those of
    /// `unneeded_bytes`.
    pub freed_bytes: u64,
    /// Bytes that none needs already: of points in time that went before, and of runs that were cut
    /// off.
    pub unneeded_bytes: u64,
    /// Bytes that none will need then, but that lie in objects with others that some need. A repack
    /// gives them back.
    pub mixed_bytes: u64,
    pub(super) known: BackupPoints,
    pub(super) streams: LevelStreams,
}

/// A point in time in a [`Plan`].
#[derive(Debug)]
pub struct Planned {
    /// Its level.
    pub level: LevelId,
    /// When it began, by the clock of its run.
    pub date: Timestamp,
    /// Its number in its chain; `None` if its manifest cannot be read.
    pub number: Option<u32>,
    /// Bytes that its run stored.
    pub stored_bytes: u64,
    /// Whether it goes, and why it stays.
    pub fate: Fate,
}

impl Plan {
    /// Returns how many points in time go.
    pub fn going(&self) -> usize {
        self.levels_to_go().count()
    }

    pub(super) fn levels_to_go(&self) -> impl Iterator<Item = &LevelId> {
        going_of(&self.points)
    }
}

fn going_of(points: &[Planned]) -> impl Iterator<Item = &LevelId> {
    points
        .iter()
        .filter(|point| point.fate == Fate::Goes)
        .map(|point| &point.level)
}

/// Finds out what would go. Reads all manifests of the backup, lists its data, and changes nothing.
///
/// # Errors
///
/// [`PruneError`]. A damaged manifest is no error: its point in time stays.
pub fn plan(
    access: &Access,
    backup: &BackupName,
    going: &Going,
    now: Timestamp,
    zone: &TimeZone,
) -> Result<Plan, PruneError> {
    let of = BackupIn::new(access, backup);
    let inventory = Inventory::read(of)?;
    let candidates = candidates(&inventory.points);
    let fates = match going {
        Going::Unprotected(rules) => rules.decide(&candidates, now, zone),
        Going::Named(level) => only_this_goes(&candidates, level),
    };
    let points = inventory
        .points
        .points
        .iter()
        .zip(fates)
        .map(|(point, fate)| planned(of, point, fate))
        .collect::<Result<Vec<_>, _>>()
        .map_err(PruneError::List)?;
    let going: BTreeSet<&LevelId> = going_of(&points).collect();
    let mut streams = LevelStreams::default();
    let mut unneeded = |stays: &dyn Fn(&LevelId) -> bool| {
        let needed = inventory.needed_without_lock(stays);
        Unneeded::find(of, &inventory, &needed, &mut streams)
    };
    let unneeded_bytes = unneeded(&|_| true)?.bytes;
    let then = unneeded(&|level| !going.contains(level))?;
    Ok(Plan {
        backup: backup.clone(),
        points,
        freed_bytes: then.bytes.saturating_sub(unneeded_bytes),
        unneeded_bytes,
        mixed_bytes: then.among_needed,
        known: inventory.points,
        streams,
    })
}

/// Returns the points in time as the rules of retention look at them.
fn candidates(points: &BackupPoints) -> Vec<Candidate> {
    let candidate = |point: &BackupPoint| Candidate {
        level: point.level.clone(),
        date: point.date(),
        tags: point
            .facts
            .as_ref()
            .map(|facts| facts.tags.clone())
            .unwrap_or_default(),
        is_readable: point.facts.is_ok(),
    };
    points.points.iter().map(candidate).collect()
}

fn only_this_goes(candidates: &[Candidate], level: &LevelId) -> Vec<Fate> {
    let fate = |point: &Candidate| {
        if point.level == *level {
            Fate::Goes
        } else {
            Fate::Stays(vec![Reason::NoRule])
        }
    };
    candidates.iter().map(fate).collect()
}

/// Plans for one point in time, whose fate is this unless the store or its manifest forbids it.
fn planned(of: BackupIn<'_>, point: &BackupPoint, fate: Fate) -> Result<Planned, store::Error> {
    let fate = match fate {
        Fate::Goes if point.is_read_only() => Fate::Stays(vec![Reason::Newer]),
        Fate::Goes => stays_if_locked(of, &point.level)?,
        Fate::Stays(_) if point.is_stray => Fate::Stays(vec![Reason::Stray]),
        stays => stays,
    };
    let facts = point.facts.as_ref().ok();
    Ok(Planned {
        level: point.level.clone(),
        date: point.date(),
        number: facts.map(|facts| facts.number),
        stored_bytes: facts.map_or(0, |facts| facts.stored_bytes),
        fate,
    })
}

/// Returns the fate of a point in time that is to go. If the store does not let its manifest go, it
/// stays whole, with all that it needs.
fn stays_if_locked(of: BackupIn<'_>, level: &LevelId) -> Result<Fate, store::Error> {
    let manifest = names::manifest_name(of.backup, level);
    let until = of.store().held_until(&manifest)?;
    Ok(until.map_or(Fate::Goes, |until| Fate::Stays(vec![Reason::Locked(until)])))
}

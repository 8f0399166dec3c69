//! Withdraws points in time, and removes the data that nothing needs then.

use super::plan::Plan;
use crate::catalog::{Access, CatalogError, Held, Left, names};
use crate::model::{BackupName, Cancel, Interrupted, LevelId, LevelSerial};
use crate::store::{self, Store, StoreExt};
use crate::upkeep::backup_in::BackupIn;
use crate::upkeep::error::PruneError;
use crate::upkeep::grace::{Grace, Notes};
use crate::upkeep::inventory::Inventory;
use crate::upkeep::needed::Needed;
use crate::upkeep::removal::{Doomed, Locked, remove};
use crate::upkeep::unneeded::Unneeded;
use jiff::Timestamp;
use std::collections::BTreeSet;

/// What a prune did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Points in time that went.
    pub points: u64,
    /// Objects that were removed, manifests not counted.
    pub objects: u64,
    /// Bytes of these objects.
    pub freed_bytes: u64,
    /// Bytes that a later prune removes: of points in time that went within the grace.
    pub waiting_bytes: u64,
    /// When a prune can remove all of them.
    pub waiting_until: Option<Timestamp>,
    /// Bytes that stay because a manifest that cannot be read may name them.
    pub doubtful_bytes: u64,
    /// Data that nothing needs and that the store lets nobody remove yet: of runs that were cut
    /// off, for instance.
    pub locked: Locked,
}

impl Pruned {
    /// Adds up this prune and the `next` one. What waits after the next one is what waits.
    #[must_use]
    pub fn and_then(self, next: &Self) -> Self {
        let has_news = next.waiting_until.is_some() || next.freed_bytes > 0;
        let latest = if has_news { *next } else { self };
        Self {
            points: self.points + next.points,
            objects: self.objects + next.objects,
            freed_bytes: self.freed_bytes + next.freed_bytes,
            waiting_bytes: latest.waiting_bytes,
            waiting_until: latest.waiting_until,
            doubtful_bytes: self.doubtful_bytes.max(next.doubtful_bytes),
            locked: next.locked,
        }
    }
}

/// Data that nothing needs, found and not yet removed.
pub struct Condemned {
    doomed: Vec<Doomed>,
    notes: Notes,
    pruned: Pruned,
    grace: Grace,
    /// Which serial comes next, by the manifests that are left.
    next_serial: Option<LevelSerial>,
}

/// Does what was planned, up to the removal of data: [`Condemned::remove`]. The caller has the
/// backup's lock.
///
/// Data of points in time that go is kept for those who are reading it until the grace is over.
///
/// # Errors
///
/// [`PruneError`]. Some of the points in time may have gone then. Those that are left have all that
/// they need, and the prune can be repeated.
pub fn withdraw(
    access: &Access,
    plan: &mut Plan,
    held: &Held<'_>,
    grace: Grace,
    cancel: &Cancel,
) -> Result<Condemned, PruneError> {
    let backup = plan.backup.clone();
    let of = BackupIn::new(access, &backup);
    let left = Left::read(access, held, grace.now).map_err(PruneError::Catalog)?;
    remove_left(of, &left, held)?;
    plan.known.read_new(of)?;
    let going = still_there(plan);
    if let Some(level) = claimed(of, &going)? {
        return Err(PruneError::Claimed { level });
    }
    let next_serial = plan.known.next_serial(|_| true);
    let known_to_others = plan.known.next_serial(|level| !going.contains(level));
    let only_known_here = next_serial.filter(|_| next_serial > known_to_others);
    grace.keep(of, &plan.known.named_by(&going), only_known_here)?;
    held.check().map_err(PruneError::Lock)?;
    let points = remove_manifests(of, &going, cancel)?;
    // The data is listed before the manifests: see the module's second point.
    let inventory = Inventory::read_with(std::mem::take(&mut plan.known), of)?;
    held.check().map_err(PruneError::Lock)?;
    let mut condemned = condemn(of, &inventory, plan, &left, grace)?;
    // Whoever has the lock next may use the names of leftovers again.
    let removed = remove(of, &condemned.leftovers, cancel).map_err(PruneError::Remove)?;
    condemned.pruned.points = points;
    condemned.pruned.objects = removed.objects;
    condemned.pruned.locked = removed.locked;
    plan.known = inventory.points;
    Ok(Condemned {
        doomed: condemned.doomed,
        notes: condemned.notes,
        pruned: condemned.pruned,
        grace,
        next_serial: known_to_others,
    })
}

/// Removes the data of cut-off runs. Goes on where the store holds an object of it.
fn remove_left(of: BackupIn<'_>, left: &Left, held: &Held<'_>) -> Result<(), PruneError> {
    let Err(error) = left.remove(of.access, held) else {
        return Ok(());
    };
    if let CatalogError::Level { source, .. } = &error
        && let (store::ErrorKind::Denied, Some(object)) = (source.kind(), source.object())
        && of
            .store()
            .held_until(object)
            .map_err(PruneError::List)?
            .is_some()
    {
        return Ok(());
    }
    Err(PruneError::Catalog(error))
}

/// Returns the levels that the plan lets go and that have not gone since.
fn still_there(plan: &Plan) -> BTreeSet<LevelId> {
    let there: BTreeSet<&LevelId> = plan.known.points.iter().map(|point| &point.level).collect();
    plan.levels_to_go()
        .filter(|level| there.contains(level))
        .cloned()
        .collect()
}

/// Returns a level of these that a run which was cut off still claims.
///
/// The next backup removes the data of such a run if it made no level. It could not tell that from
/// data of a level that has gone and that others lean on.
fn claimed(of: BackupIn<'_>, going: &BTreeSet<LevelId>) -> Result<Option<LevelId>, PruneError> {
    let mut claimed = None;
    let prefix = names::locks_prefix(of.backup);
    let listed = of.store().list(&prefix, &mut |object| {
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

/// Removes manifests. Returns how many.
fn remove_manifests(
    of: BackupIn<'_>,
    going: &BTreeSet<LevelId>,
    cancel: &Cancel,
) -> Result<u64, PruneError> {
    for level in going {
        if cancel.is_requested() {
            return Err(PruneError::Interrupted(Interrupted));
        }
        of.store()
            .delete(&names::manifest_name(of.backup, level))
            .map_err(PruneError::Withdraw)?;
        if let Some(witness) = of.access.witness() {
            witness.removed(of.backup, level);
        }
        tracing::info!(backup = %of.backup, %level, "withdrew a point in time");
    }
    Ok(going.len() as u64)
}

/// Data that was found to be unneeded.
struct CondemnedData {
    doomed: Vec<Doomed>,
    /// Objects that no manifest ever named.
    leftovers: Vec<Doomed>,
    notes: Notes,
    /// The bytes that go, wait and are doubtful.
    pruned: Pruned,
}

/// Finds the data that goes: what no manifest needs, no cut-off run left for the next, and no note
/// keeps.
fn condemn(
    of: BackupIn<'_>,
    inventory: &Inventory,
    plan: &mut Plan,
    left: &Left,
    grace: Grace,
) -> Result<CondemnedData, PruneError> {
    let mut unneeded = |needed: &Needed| Unneeded::find(of, inventory, needed, &mut plan.streams);
    let mut needed = Needed::by(&inventory.points, |_| true);
    left.kept().for_each(|level| needed.whole(level.clone()));
    let unneeded_bytes = unneeded(&needed)?.bytes;
    let mut doubtful_bytes = 0;
    if inventory.points.has_doubtful() {
        let readable: BTreeSet<&LevelId> = inventory
            .points
            .readable()
            .map(|point| &point.level)
            .collect();
        let without_doubt = Needed::by(&inventory.points, |level| readable.contains(level));
        doubtful_bytes = unneeded(&without_doubt)?
            .bytes
            .saturating_sub(unneeded_bytes);
    }
    let notes = Notes::list(of).map_err(PruneError::List)?;
    let waiting_until = notes
        .add_to(&mut needed, of, grace)
        .map_err(PruneError::List)?;
    let found = unneeded(&needed)?;
    Ok(CondemnedData {
        doomed: found.doomed,
        leftovers: found.leftovers,
        notes,
        pruned: Pruned {
            freed_bytes: found.bytes,
            waiting_bytes: unneeded_bytes.saturating_sub(found.bytes),
            waiting_until,
            doubtful_bytes,
            ..Pruned::default()
        },
    })
}

impl Condemned {
    /// Removes the data. The caller still has the lock: a sync beside this could bring a point in
    /// time that leans on it. Backups need no such care.
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
        let of = BackupIn::new(access, backup);
        let mut pruned = self.pruned;
        let removed = remove(of, &self.doomed, cancel).map_err(PruneError::Remove)?;
        pruned.objects += removed.objects;
        pruned.locked = pruned.locked.and(removed.locked);
        pruned.freed_bytes = pruned.freed_bytes.saturating_sub(pruned.locked.bytes);
        if cancel.is_requested() {
            return Err(PruneError::Interrupted(Interrupted));
        }
        self.notes.remove_old(of, self.grace, self.next_serial)?;
        Ok(pruned)
    }
}

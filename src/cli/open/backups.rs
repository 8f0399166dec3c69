//! Backups of a store, and their levels.

use crate::catalog::{Access, Backup, Catalog, CatalogError, Order, locate};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::model::{BackupName, BackupRef, LevelId};
use crate::platform::Clock;

/// Returns the names of all backups.
pub(in crate::cli) fn all(catalog: &Catalog) -> Result<Vec<BackupName>, CatalogError> {
    let mut all = Vec::new();
    catalog.backups(&mut |Backup { name, .. }| {
        all.push(name);
        true
    })?;
    Ok(all)
}

/// Refuses a backup that the user has named before.
pub(in crate::cli) fn refuse_twice<'names>(
    name: &BackupName,
    mut before: impl Iterator<Item = &'names BackupName>,
) -> Result<(), Usage> {
    if before.any(|other| other == name) {
        return Err(Usage::new(format!("{name} was named twice")).hint("name each backup once"));
    }
    Ok(())
}

/// Finds the backup and the levels that `wanted` names: one with a date, else all, in the order in
/// which they were made.
pub(in crate::cli) fn levels_of(
    access: &Access,
    wanted: &BackupRef,
    session: &Session,
) -> anyhow::Result<(BackupName, Vec<LevelId>)> {
    let now = session.clock.now();
    if wanted.at().is_some() {
        let located = locate(access, wanted, now, &session.zone)?;
        return Ok((located.backup, vec![located.level]));
    }
    let backup = Catalog::new(access.store()).find(wanted)?;
    let levels = levels_in_order(access, &backup, session)?;
    Ok((backup, levels))
}

/// Returns the levels of a backup in the order in which they were made.
pub(in crate::cli) fn levels_in_order(
    access: &Access,
    backup: &BackupName,
    session: &Session,
) -> anyhow::Result<Vec<LevelId>> {
    let order = Order::read(access, backup, session.clock.now())?;
    Ok(order.levels().cloned().collect())
}

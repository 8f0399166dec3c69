//! Which backups exist, also after a cut at any moment.

mod crash;
mod finding;
mod made_once;
mod order;
mod version_2;

use freezer::catalog::names::{self, Folder};
use freezer::catalog::{Catalog, CatalogError, objects_below};
use freezer::model::{BackupName, LevelId};
use freezer::store::{self, Store};
use std::sync::Arc;

fn backup(host: &str, name: &str) -> BackupName {
    BackupName::new(host, name).expect("legal")
}

/// Returns the level that began at this minute of an hour.
fn level(minute: u32) -> LevelId {
    format!("20261122T14{minute:02}00.000Z-{minute:08x}")
        .parse()
        .expect("a level id")
}

/// Returns the data objects of a small level.
fn data_of(backup: &BackupName, level: &LevelId) -> Vec<store::ObjectName> {
    let lanes = [Folder::Segments, Folder::Index, Folder::Frames];
    lanes
        .into_iter()
        .flat_map(|folder| {
            (0..2).map(move |number| names::data_name(backup, level, folder, number))
        })
        .collect()
}

/// Stores a level as a run does: data first.
fn back_up(
    store: &Arc<impl Store + 'static>,
    backup: &BackupName,
    level: &LevelId,
) -> Result<(), anyhow::Error> {
    for object in data_of(backup, level) {
        store.put(&object, &vec![b"data".to_vec()])?;
    }
    Catalog::new(Arc::clone(store) as Arc<dyn Store>).publish(
        backup,
        level,
        b"manifest".to_vec(),
    )?;
    Ok(())
}

fn catalog(store: &Arc<impl Store + 'static>) -> Catalog {
    Catalog::new(Arc::clone(store) as Arc<dyn Store>)
}

fn backups(catalog: &Catalog) -> Result<Vec<(String, u64, LevelId)>, CatalogError> {
    let mut all = Vec::new();
    let mut keep = |backup: freezer::catalog::Backup| {
        all.push((backup.name.to_string(), backup.levels, backup.newest));
        true
    };
    catalog.backups(&mut keep).map(|()| all)
}

fn objects(store: &dyn Store) -> Vec<String> {
    let all = objects_below(store, "").expect("listed");
    all.into_iter()
        .map(|object| object.name.to_string())
        .collect()
}

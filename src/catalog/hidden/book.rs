//! Which backup a hidden name stands for.

use crate::catalog::names;
use crate::format::frame::{Opener, Protection};
use crate::format::hidden_names::NameHider;
use crate::format::manifest::{MAX_MANIFEST_BYTES, Outline};
use crate::model::{BackupName, LevelId, StoreId};
use crate::store::{ObjectName, Store, StoreExt};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

/// Manifests that are read at once: they are small, and reading them from afar is waiting.
const READERS: usize = 8;

/// How many manifests of one backup are tried before its name stays hidden.
const MOST_TRIES: usize = 8;

/// The two components of a backup in names of objects, shown or hidden.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct BackupPath {
    pub(super) host: String,
    pub(super) name: String,
}

/// A backup with a hidden name, and some of its levels, those first that are tried first.
pub(super) struct UnknownBackup {
    pub(super) hidden: BackupPath,
    pub(super) levels: Vec<LevelId>,
}

/// Hides names, and remembers which ones it has seen.
pub struct NameBook {
    store_id: StoreId,
    protection: Protection,
    hider: NameHider,
    /// By their hidden form.
    known: Mutex<BTreeMap<BackupPath, BackupPath>>,
}

impl NameBook {
    /// Starts without any name.
    pub(crate) fn new(store_id: StoreId, protection: Protection, hider: NameHider) -> Self {
        Self {
            store_id,
            protection,
            hider,
            known: Mutex::default(),
        }
    }

    /// Returns whether a component is a hidden name.
    pub(super) fn is_hidden(component: &str) -> bool {
        ObjectName::is_hidden(component)
    }

    /// Hides a host. One that is hidden already stays as it is.
    pub(super) fn hide_host(&self, host: &str) -> String {
        if Self::is_hidden(host) {
            return host.to_owned();
        }
        self.hider.host(host)
    }

    /// Hides a backup, and remembers it. What is hidden already stays as it is.
    pub(super) fn hide(&self, shown: &BackupPath) -> BackupPath {
        if Self::is_hidden(&shown.host) || Self::is_hidden(&shown.name) {
            return BackupPath {
                host: self.hide_host(&shown.host),
                name: shown.name.clone(),
            };
        }
        let hidden = BackupPath {
            host: self.hide_host(&shown.host),
            name: self.hider.backup(&shown.host, &shown.name),
        };
        self.known().insert(hidden.clone(), shown.clone());
        hidden
    }

    /// Returns the backup that a hidden one is, if that is known, else the hidden one.
    pub(super) fn shown(&self, hidden: &BackupPath) -> BackupPath {
        self.known().get(hidden).unwrap_or(hidden).clone()
    }

    /// Returns whether it is known which backup a hidden one is.
    pub(super) fn knows(&self, hidden: &BackupPath) -> bool {
        self.known().contains_key(hidden)
    }

    /// Remembers a backup that is known from elsewhere.
    pub(crate) fn learn(&self, backup: &BackupName) {
        self.hide(&path_of(backup));
    }

    /// Returns whether a backup is the one that `listed` is in names of objects.
    pub(crate) fn is_listed_as(&self, backup: &BackupName, listed: &BackupName) -> bool {
        self.hide(&path_of(backup)) == self.hide(&path_of(listed))
    }

    /// Finds out which backups these are, from their manifests.
    pub(super) fn find_out(&self, store: &dyn Store, unknown: &[UnknownBackup]) {
        let next = AtomicUsize::new(0);
        let work = || {
            while let Some(backup) = unknown.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.find_out_one(store, backup);
            }
        };
        thread::scope(|scope| {
            for _ in 1..READERS.min(unknown.len()) {
                scope.spawn(work);
            }
            work();
        });
    }

    fn find_out_one(&self, store: &dyn Store, unknown: &UnknownBackup) {
        let BackupPath { host, name } = &unknown.hidden;
        for level in unknown.levels.iter().take(MOST_TRIES) {
            let object = ObjectName::new(format!("{}{host}/{name}/{level}", names::MANIFESTS));
            let stored = object.and_then(|object| store.get(&object, MAX_MANIFEST_BYTES).ok());
            let opener = Opener::new(self.store_id, level.clone(), self.protection.clone());
            let outline = stored.and_then(|stored| Outline::open(stored, &opener).ok());
            let backup = outline.and_then(|outline| outline.backup().ok());
            if backup.is_some_and(|backup| self.hide(&path_of(&backup)) == unknown.hidden) {
                return;
            }
        }
        tracing::warn!(
            backup = %format_args!("{host}/{name}"),
            "the name of this backup stays hidden: none of its manifests can be read"
        );
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<BackupPath, BackupPath>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn path_of(backup: &BackupName) -> BackupPath {
    BackupPath {
        host: names::component(backup.host()),
        name: names::component(backup.name()),
    }
}

//! Prunes, repacks and syncs: which data goes, and which stays.

mod chain;
mod concurrent;
mod cut;
mod newer;
mod notes;
mod order;
mod partial;
mod prune;
mod repack;
mod resumed;
mod sync;
mod sync_damage;
mod sync_notes;

use crate::support::reading::{self, Whole};
use crate::support::{backup, scratch, torture};
use freezer::backup::{BackupRequest, Levels, run};
use freezer::catalog::{
    Access, Catalog, Held, LockError, LockRequest, Patience, objects_below, with_lock,
};
use freezer::format::frame::Compression;
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention};
use freezer::platform::ManualClock;
use freezer::store::Store;
use freezer::store::memory::MemoryStore;
use freezer::upkeep::{Depth, Going, Grace, Pruned, check, plan, withdraw};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use tempfile::TempDir;

/// A tree, its store, and what each point in time held when it was made.
struct Series {
    room: TempDir,
    store: Arc<MemoryStore>,
    access: Access,
    clock: ManualClock,
    segment_bytes: u64,
    /// The content of each level that was made.
    held: BTreeMap<LevelId, Whole>,
    /// The manifest of each level that was made.
    manifests: BTreeMap<LevelId, Manifest>,
}

/// Files of this length have a frame and a segment to themselves.
const FILE_BYTES: usize = 600_000;

impl Series {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::default());
        let access = backup::create_plain(store.clone());
        let clock = ManualClock::at(Timestamp::now() + SignedDuration::from_hours(1));
        Self {
            room: scratch(),
            store,
            access,
            clock,
            segment_bytes: 8 << 10,
            held: BTreeMap::new(),
            manifests: BTreeMap::new(),
        }
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.room.path().join(name), content).expect("written");
    }

    fn request(&self) -> BackupRequest {
        let mut request = backup::request(&[self.room.path()]);
        request.levels = Levels::default();
        (request.compression, request.compression_level) = (Compression::None, 0);
        request.segment_bytes = self.segment_bytes;
        request
    }

    /// Makes a level, and lets a day pass.
    fn back_up(&mut self) -> LevelId {
        self.back_up_as(&self.request())
    }

    fn back_up_as(&mut self, request: &BackupRequest) -> LevelId {
        let report =
            run(request, &self.access, &self.clock, &Silent, &Cancel::new()).expect("a backup");
        let level = report.manifest.id.clone();
        self.held.insert(
            level.clone(),
            reading::whole(&self.access, &backup::name(), &level),
        );
        self.manifests.insert(level.clone(), report.manifest);
        self.pass(SignedDuration::from_hours(24));
        level
    }

    fn pass(&self, time: SignedDuration) {
        use freezer::platform::Clock;
        self.clock.set(self.clock.now() + time);
    }

    /// Makes levels of files that change now and then, so that each leans on several others.
    fn with_levels(count: u64) -> Self {
        let mut series = Self::new();
        for level in 0..count {
            for file in 0..8 {
                if level == 0 || (level + file) % 3 == 0 || file == level % 8 {
                    series.write(
                        &format!("file {file}"),
                        &torture::noise(level * 100 + file, 5_000),
                    );
                }
            }
            series.back_up();
        }
        series
    }

    /// Makes levels of files of [`FILE_BYTES`]; `changes` of them change from level to level.
    fn with_large_files(count: u64, files: u64, changes: u64) -> Self {
        Self::with_large_files_in(8 << 10, count, files, changes)
    }

    fn with_large_files_in(segment_bytes: u64, count: u64, files: u64, changes: u64) -> Self {
        let mut series = Self {
            segment_bytes,
            ..Self::new()
        };
        for level in 0..count {
            for file in 0..if level == 0 { files } else { changes } {
                series.write_large((level * changes + file) % files, level);
            }
            series.back_up();
        }
        series
    }

    fn write_large(&self, file: u64, version: u64) {
        self.write(
            &format!("file {file:02}"),
            &torture::noise(version * 100 + file, FILE_BYTES),
        );
    }

    /// Returns the bytes of all segments, frame tables and indexes.
    fn stored_bytes(&self) -> u64 {
        let data = objects_below(self.store.as_ref(), "data/").expect("listed");
        data.iter().map(|object| object.length).sum()
    }

    fn levels(&self) -> Vec<LevelId> {
        Catalog::new(self.store.clone())
            .levels(&backup::name())
            .expect("listed")
    }

    /// Asserts that every level reads as it did when it was made.
    #[track_caller]
    fn check(&self, access: &Access, what: &str) {
        for level in Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed")
        {
            assert!(
                reading::whole(access, &backup::name(), &level) == self.held[&level],
                "{what}: {level} has changed"
            );
        }
    }

    fn prune(&self, going: &Going, grace: SignedDuration) -> anyhow::Result<Pruned> {
        prune(&self.access, &self.clock, going, grace)
    }
}

/// Prunes as the program does.
fn prune(
    access: &Access,
    clock: &ManualClock,
    going: &Going,
    grace: SignedDuration,
) -> anyhow::Result<Pruned> {
    use freezer::platform::Clock;
    let (name, cancel) = (backup::name(), Cancel::new());
    let mut plan = plan(access, &name, going, clock.now(), &TimeZone::UTC)?;
    let pruned = locked(access, clock, "prune", |held| {
        let grace = Grace {
            now: clock.now(),
            length: grace,
        };
        withdraw(access, &mut plan, held, grace, &cancel)?.remove(access, &name, &cancel)
    });
    Ok(pruned??)
}

/// Does `work` with the lock of the backup.
fn locked<T>(
    access: &Access,
    clock: &ManualClock,
    action: &str,
    work: impl FnOnce(&Held<'_>) -> T,
) -> Result<T, LockError> {
    let name = backup::name();
    let request = LockRequest {
        backup: &name,
        host: "here",
        action,
        patience: Patience::None,
    };
    with_lock(access, request, clock, &Cancel::new(), |_| true, work)
}

/// Returns the damage that a check of a point in time finds without reading its data.
fn damage_of(access: &Access, level: &LevelId) -> Vec<String> {
    let mut damages = Vec::new();
    check(
        access,
        &backup::name(),
        std::slice::from_ref(level),
        Depth::Structure,
        &mut |_, damage| damages.push(damage.to_string()),
        &Silent,
        &Cancel::new(),
    )
    .expect("checked");
    damages
}

/// Returns the names of all objects of a store below a prefix.
fn objects(store: &dyn Store, prefix: &str) -> Vec<String> {
    let found = objects_below(store, prefix).expect("listed");
    found
        .into_iter()
        .map(|object| object.name.to_string())
        .collect()
}

/// Lets all points in time go but the last ones.
fn last(count: u64) -> Going {
    Going::Unprotected(Retention {
        last: count,
        ..Retention::default()
    })
}

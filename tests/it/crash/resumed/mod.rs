//! The next run goes on with one that was cut off: it stores the rest, and nothing is left over.

mod checkpoints;
mod large_file;
mod pruned;
mod taken_up;

use super::{build, copy_of, same_content, small_objects};
use crate::support::{backup, reading, scratch};
use freezer::backup::{BackupError, BackupRequest, CheckpointRule, Levels, Report, run};
use freezer::catalog::names::{Folder, Meaning, data_prefix, meaning};
use freezer::catalog::{Access, Catalog, objects_below};
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Content, LevelId, Passphrase};
use freezer::platform::{Clock, ManualClock};
use freezer::store::faulty::{Fault, Faulty};
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectInfo, Operation, Store};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A tree, a store, and a clock that is ahead of all times in the file system.
struct Bench {
    room: TempDir,
    store: Arc<MemoryStore>,
    passphrase: Option<Passphrase>,
    clock: ManualClock,
}

impl Bench {
    fn new(passphrase: Option<Passphrase>) -> Self {
        let store = Arc::new(MemoryStore::default());
        match passphrase {
            None => drop(backup::create_plain(store.clone())),
            Some(_) => drop(backup::create_encrypted(store.clone())),
        }
        let clock = ManualClock::at(Timestamp::now() + SignedDuration::from_hours(1));
        Self {
            room: scratch(),
            store,
            passphrase,
            clock,
        }
    }

    fn with_tree() -> Self {
        let bench = Self::new(None);
        build(bench.tree());
        bench
    }

    fn tree(&self) -> &Path {
        self.room.path()
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.tree().join(name), content).expect("written");
        self.later();
    }

    /// Sets the clock to the system's, when all changes so far are old enough to be believed.
    fn settle(&self) {
        use std::os::unix::fs::MetadataExt;
        let elsewhere = scratch();
        let tick = || {
            fs::write(elsewhere.path().join("probe"), b"tick").expect("written");
            let metadata = fs::metadata(elsewhere.path().join("probe")).expect("there");
            metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000
        };
        let began = tick();
        while tick() < began + 50 {
            std::thread::yield_now();
        }
        self.clock.set(Timestamp::now());
    }

    fn later(&self) {
        self.clock
            .set(self.clock.now() + SignedDuration::from_hours(1));
    }

    /// Asks for a checkpoint after each member.
    fn request(&self) -> BackupRequest {
        let mut request = backup::request(&[self.tree()]);
        small_objects(&mut request);
        request.levels = Levels::default();
        request.checkpoints = Some(CheckpointRule {
            least_bytes: 1,
            interval: Duration::ZERO,
        });
        request
    }

    fn access(&self, store: Arc<dyn Store>) -> Access {
        Access::open(store, self.passphrase.as_ref()).expect("a sound store opens")
    }

    fn run_in(
        &self,
        store: Arc<dyn Store>,
        request: &BackupRequest,
    ) -> Result<Report, BackupError> {
        let access =
            Access::open(store, self.passphrase.as_ref()).map_err(|_| BackupError::Stopped)?;
        let outcome = run(request, &access, &self.clock, &Silent, &Cancel::new());
        self.later();
        outcome
    }

    /// Makes a level in the store as it is.
    fn finish(&self, store: &Arc<MemoryStore>) -> Report {
        self.run_in(store.clone(), &self.request())
            .expect("a backup")
    }

    /// Makes a run that is cut off at the put of this number; puts of claims do not count.
    fn cut_at_put(&self, store: &Arc<MemoryStore>, put: u64, request: &BackupRequest) {
        let cut =
            Arc::new(Faulty::new(store.clone()).with(Fault::at(Operation::Put, put).for_good()));
        self.run_in(cut.clone(), request)
            .expect_err("it was cut off");
        assert!(cut.has_struck());
    }

    /// Counts the calls of a run to the store, and the puts among them.
    fn calls(&self, store: &Arc<MemoryStore>, request: &BackupRequest) -> (u64, u64) {
        let counting = Arc::new(Faulty::new(copy_of(store)));
        self.run_in(counting.clone(), request).expect("no fault");
        (counting.calls().all(), counting.calls().of(Operation::Put))
    }

    /// Asserts that the newest level equals the tree, and that manifests name every object in the
    /// store.
    #[track_caller]
    fn check(&self, store: &Arc<MemoryStore>, report: &Report, what: &str) {
        let access = self.access(store.clone());
        let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
        let fresh = Arc::new(MemoryStore::default());
        let other = backup::create_plain(fresh.clone());
        let mut request = backup::request(&[self.tree()]);
        small_objects(&mut request);
        let expected = run(&request, &other, &self.clock, &Silent, &Cancel::new())
            .expect("a backup")
            .manifest
            .id;
        // Hashes are made with a key of the store where it is encrypted.
        let without_sums = |mut whole: reading::Whole| {
            for (entry, _) in &mut whole {
                entry.metadata.signatures.clear();
                entry.metadata.extensions.content_hash = None;
            }
            whole
        };
        let expected = without_sums(reading::whole(&other, &backup::name(), &expected));
        assert!(
            same_content(&without_sums(whole), &expected),
            "{what}: another tree"
        );
        self.check_tidy(&access, what);
    }

    #[track_caller]
    fn check_tidy(&self, access: &Access, what: &str) {
        let levels = Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed");
        let manifests: Vec<Manifest> = levels
            .iter()
            .map(|level| access.manifest(&backup::name(), level).expect("sound"))
            .collect();
        let named: BTreeMap<_, _> = manifests
            .iter()
            .flat_map(|manifest| &manifest.levels)
            .map(|parts| (parts.id.clone(), parts))
            .collect();
        for object in objects(access.store().as_ref(), &data_prefix(&backup::name())) {
            let Some(Meaning::Data { of, folder, number }) = meaning(&object.name) else {
                panic!("{what}: {}", object.name)
            };
            let parts = named
                .get(&of.level)
                .unwrap_or_else(|| panic!("{what}: {} is left over", object.name));
            let is_level = levels.contains(&of.level);
            let is_named = match folder {
                Folder::Segments => number < parts.segments,
                Folder::Frames => number < parts.frame_table_segments,
                Folder::Index => is_level,
                Folder::Checkpoints | Folder::Repacked => false,
            };
            assert!(is_named, "{what}: {} is left over", object.name);
        }
        assert!(
            objects(access.store().as_ref(), "locks/").is_empty(),
            "{what}: a claim is left"
        );
    }

    fn levels(&self) -> Vec<LevelId> {
        Catalog::new(self.store.clone())
            .levels(&backup::name())
            .expect("listed")
    }
}

fn objects(store: &dyn Store, prefix: &str) -> Vec<ObjectInfo> {
    objects_below(store, prefix).expect("listed")
}

/// Counts the bytes of files that a level has in its own stream, each extent once.
fn own_bytes(access: &Access, manifest: &Manifest) -> u64 {
    let whole = reading::whole(access, &backup::name(), &manifest.id);
    let extents = whole
        .iter()
        .filter(|(entry, _)| entry.link_to.is_none())
        .flat_map(|(entry, _)| match &entry.content {
            Content::File { extents, .. } => extents.clone(),
            _ => Vec::new(),
        });
    extents
        .filter(|extent| extent.level == manifest.serial)
        .map(|extent| extent.length)
        .sum()
}

/// Counts the bytes of files that a level has in all streams.
fn all_bytes(access: &Access, manifest: &Manifest) -> u64 {
    let whole = reading::whole(access, &backup::name(), &manifest.id);
    whole
        .iter()
        .filter(|(entry, _)| entry.link_to.is_none())
        .flat_map(|(entry, _)| entry.places().map(|place| place.2))
        .sum()
}

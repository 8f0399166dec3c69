//! A run that is cut off at any moment: it reports that, leaves no half level and harms no other,
//! and the next run needs no repair.

mod cancelled;
mod cut;
mod killed;
mod resumed;

use crate::support::reading::{self, Whole};
use crate::support::{backup, torture};
use freezer::catalog::{Access, Catalog};
use freezer::format::frame::Compression;
use freezer::model::{LevelId, Passphrase};
use freezer::store::memory::MemoryStore;
use freezer::store::{Store, StoreExt};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

/// Makes a small tree that still gives several objects in each lane: a hard link, a sparse file,
/// directories, many names.
fn build(tree: &Path) {
    let folder = |name: &str| fs::create_dir(tree.join(name)).expect("made");
    let write = |name: &str, bytes: &[u8]| fs::write(tree.join(name), bytes).expect("written");
    folder("empty");
    folder("names");
    folder("names/deep");
    for number in 0..90 {
        // Long names that have little in common give an index of several blocks with few entries.
        let name: String = torture::noise(number, 110)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        write(&format!("names/{name}"), b"short");
    }
    write("names/deep/noise", &torture::noise(1000, 300_000));
    write("big", &torture::noise(1001, 1_200_000));
    fs::hard_link(tree.join("big"), tree.join("names/linked")).expect("linked");
    let sparse = fs::File::create(tree.join("sparse")).expect("made");
    sparse.set_len(900_000).expect("long");
    sparse
        .write_all_at(&torture::noise(1002, 20_000), 400_000)
        .expect("written");
    std::os::unix::fs::symlink("big", tree.join("link")).expect("linked");
}

/// Asks for many small objects, as every run of these tests does.
fn small_objects(request: &mut freezer::backup::BackupRequest) {
    request.compression = Compression::None;
    request.compression_level = 0;
    request.segment_bytes = 4 << 10;
    request.upload_jobs = 1;
}

/// Returns the passphrases of the tests: with encryption and without.
fn passphrases() -> [Option<Passphrase>; 2] {
    [None, Some(backup::passphrase())]
}

/// A store with one level, and the content of that.
struct Start {
    store: MemoryStore,
    passphrase: Option<Passphrase>,
    level: LevelId,
    whole: Whole,
}

impl Start {
    fn new(tree: &Path, passphrase: Option<Passphrase>) -> Self {
        let store = Arc::new(MemoryStore::default());
        let access = match passphrase {
            None => backup::create_plain(store.clone()),
            Some(_) => backup::create_encrypted(store.clone()),
        };
        let report = backup::back_up(&access, &[tree], small_objects);
        let whole = reading::whole(&access, &backup::name(), &report.manifest.id);
        drop(access);
        let store = copy_of(&store);
        Self {
            store,
            passphrase,
            level: report.manifest.id,
            whole,
        }
    }

    /// Returns a copy of the store.
    fn copy(&self) -> MemoryStore {
        copy_of(&self.store)
    }

    fn open(&self, store: Arc<dyn Store>) -> Access {
        Access::open(store, self.passphrase.as_ref()).expect("a sound store opens")
    }

    /// Asserts that all levels read back. Returns the new ones.
    #[track_caller]
    fn check(&self, access: &Access, what: &str) -> Vec<LevelId> {
        let levels = Catalog::new(access.store())
            .levels(&backup::name())
            .expect("listed");
        assert_eq!(
            levels.first(),
            Some(&self.level),
            "{what}: the level from before is gone"
        );
        assert!(
            reading::whole(access, &backup::name(), &self.level) == self.whole,
            "{what}: the level from before has changed"
        );
        for level in &levels[1..] {
            let again = reading::whole(access, &backup::name(), level);
            assert!(
                same_content(&again, &self.whole),
                "{what}: {level} is not what was backed up"
            );
        }
        levels[1..].to_vec()
    }
}

fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::default();
    let mut each = |object: freezer::store::ObjectInfo| {
        let body = store.get(&object.name, u64::MAX).expect("listed");
        copy.put(&object.name, &vec![body]).expect("stored");
        true
    };
    store.list("", &mut each).expect("listed");
    copy
}

/// Returns whether two levels of one tree are equal, wherever their bytes are stored.
fn same_content(one: &Whole, other: &Whole) -> bool {
    let metadata = |whole: &Whole| -> Vec<_> {
        whole
            .iter()
            .map(|(entry, content)| {
                (
                    entry.path.clone(),
                    entry.metadata.clone(),
                    entry.content.kind(),
                    content.clone(),
                )
            })
            .collect()
    };
    metadata(one) == metadata(other)
}

//! What several tests set up in the same way: trees, stores, levels, and ways to compare trees.

pub mod backup;
pub mod dice;
#[cfg(unix)]
pub mod hung;
pub mod liar;
pub mod oracle;
pub mod proxy;
#[cfg(unix)]
pub mod python;
pub mod random_tree;
pub mod reading;
pub mod relay;
#[cfg(unix)]
pub mod servers;
pub mod stored_tree;
pub mod torture;

use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectInfo, Store, StoreExt};
use std::path::Path;
use std::time::Duration;

/// What has not come after this time does not come. It finds what hangs, and says nothing about
/// speed: it is far above what a busy machine needs.
pub const HANG: Duration = Duration::from_secs(180);

/// A new directory that goes when the test ends: in memory where there is such a place, because
/// trees of thousands of files take minutes on a busy disk. Set `TMPDIR` to test another file
/// system.
pub fn scratch() -> tempfile::TempDir {
    let usual = std::env::temp_dir();
    let memory = Path::new("/dev/shm");
    let place = if usual == Path::new("/tmp") && memory.is_dir() {
        memory
    } else {
        &usual
    };
    tempfile::tempdir_in(place)
        .or_else(|_| tempfile::tempdir())
        .expect("a directory for the test")
}

/// A store with the same objects, that can be harmed.
pub fn copy_of(store: &MemoryStore) -> MemoryStore {
    let copy = MemoryStore::default();
    let mut each = |object: ObjectInfo| {
        let body = store.get(&object.name, u64::MAX).expect("listed");
        copy.put(&object.name, &vec![body]).expect("stored");
        true
    };
    store.list("", &mut each).expect("listed");
    copy
}

//! Makes stores and levels.

use freezer::backup::{
    BackupLock, BackupRequest, CheckpointRule, Engine, Levels, Mounts, Report, run,
};
use freezer::catalog::{Access, Patience, names};
use freezer::format::frame::Compression;
use freezer::format::identity::Identity;
use freezer::format::keys::{KdfCost, KeySlot};
use freezer::model::progress::Silent;
use freezer::model::{BackupName, Cancel, Excludes, Passphrase, Secret};
use freezer::platform::SystemClock;
use freezer::store::{Store, StoreExt};
use std::path::Path;
use std::sync::Arc;

/// Key derivation that costs nothing.
pub const CHEAP: KdfCost = KdfCost {
    memory_kib: 64,
    passes: 1,
    lanes: 1,
};

/// The backup that [`back_up`] makes levels of.
pub fn name() -> BackupName {
    BackupName::new("host", "tree").expect("legal")
}

/// The passphrase of [`create_encrypted`].
pub fn passphrase() -> Passphrase {
    Secret::new(b"correct horse".to_vec())
}

/// A store without encryption.
pub fn create_plain(store: Arc<dyn Store>) -> Access {
    Access::create(store, None, CHEAP, jiff::Timestamp::UNIX_EPOCH, "test").expect("a new store")
}

/// A store with encryption whose objects have the names that they have in one without. Stores that
/// were upgraded are like this. New ones are not: [`create_hidden`].
pub fn create_encrypted(store: Arc<dyn Store>) -> Access {
    create_encrypted_with(store, &passphrase())
}

/// As [`create_encrypted`], with another passphrase.
pub fn create_encrypted_with(store: Arc<dyn Store>, passphrase: &Passphrase) -> Access {
    let access = create_hidden_with(Arc::clone(&store), passphrase);
    let key = names::key_name(access.opened_by().expect("it is encrypted"));
    let slot = KeySlot::decode(&store.get(&key, 9999).expect("it is there")).expect("sound");
    let master = slot.open(access.store_id(), passphrase.expose());
    let master = master.expect("sound").expect("its passphrase");
    let hidden = access.identity();
    let shown = Identity::new(hidden.id, hidden.cipher, hidden.created).seal(Some(&master));
    for object in [names::identity_name(), names::identity_copy_name()] {
        store.put(&object, &vec![shown.encode()]).expect("stored");
    }
    Access::open(store, Some(passphrase)).expect("opened")
}

/// A new store with encryption, whose objects have hidden names.
pub fn create_hidden(store: Arc<dyn Store>) -> Access {
    create_hidden_with(store, &passphrase())
}

fn create_hidden_with(store: Arc<dyn Store>, passphrase: &Passphrase) -> Access {
    Access::create(
        store,
        Some(passphrase),
        CHEAP,
        jiff::Timestamp::UNIX_EPOCH,
        "test",
    )
    .expect("a new store")
}

/// What [`back_up`] asks for, before it is changed.
pub fn request(sources: &[&Path]) -> BackupRequest {
    BackupRequest {
        backup: name(),
        sources: sources.iter().map(|path| path.to_path_buf()).collect(),
        excludes: Excludes::default(),
        allow_empty: false,
        skip_unchanged: false,
        mounts: Mounts::Cross,
        skip: Vec::new(),
        levels: Levels {
            incremental: false,
            ..Levels::default()
        },
        engine: Engine::Tar,
        compression: Compression::Zstd,
        compression_level: 3,
        segment_bytes: 1 << 20,
        source_timeout: Some(std::time::Duration::from_secs(60)),
        upload_jobs: 2,
        tags: Vec::new(),
        zone: "UTC".to_owned(),
        checkpoints: Some(CheckpointRule::default()),
        lock: Some(BackupLock {
            host: "host".to_owned(),
            patience: Patience::None,
        }),
    }
}

/// Makes a level.
pub fn back_up(
    access: &Access,
    sources: &[&Path],
    change: impl FnOnce(&mut BackupRequest),
) -> Report {
    let mut request = request(sources);
    change(&mut request);
    run(&request, access, &SystemClock, &Silent, &Cancel::new()).expect("a backup")
}

//! What the client remembers of one store.

use crate::format::identity::Cipher;
use crate::model::{BackupName, KeyEpoch, LevelId, LevelSerial, StoreId};
use std::collections::BTreeMap;

/// A store as the client remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownStore {
    pub(super) id: StoreId,
    pub(super) cipher: Cipher,
    /// The version of the store's identity.
    pub(super) version: u32,
    /// The newest key epoch that a passphrase of this client has opened; 0 without encryption.
    pub(super) epoch: KeyEpoch,
    /// The locations where the client found the store or a copy of it, each with the newest point
    /// in time of each backup there. A copy may be behind the others.
    pub(super) places: BTreeMap<String, BTreeMap<BackupName, KnownPoint>>,
}

/// The newest point in time of a backup that the client has opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KnownPoint {
    pub(super) level: LevelId,
    pub(super) serial: LevelSerial,
    /// SHA-256 of the stored manifest, in hexadecimal digits.
    pub(super) digest: String,
}

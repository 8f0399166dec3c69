//! What frames are bound to, and the tag that binds them.

use super::cipher::EpochKeys;
use super::header::{FrameVersion, HEADER_BYTES, SealedHeader, TAG_BYTES};
use super::{FrameError, FrameId, Lane, Protection};
use crate::model::{FrameNo, KeyEpoch, LevelId, StoreId};
use hmac::Mac;
use sha2::{Digest, Sha256};

/// Returns the bytes that a tag or checksum covers first, so that it cannot be one of anything
/// else.
fn context(version: FrameVersion) -> &'static [u8; 16] {
    match version {
        FrameVersion::One => b"freezer-frame-1\0",
        FrameVersion::Two => b"freezer-frame-2\0",
    }
}

/// The store and the level that frames belong to, and how they are protected.
#[derive(Clone, Debug)]
pub(super) struct Binding {
    pub(super) store: StoreId,
    pub(super) level: LevelId,
    pub(super) protection: Protection,
}

impl Binding {
    /// Returns what frame `number` of `lane` is called in errors.
    pub(super) fn id(&self, lane: Lane, number: FrameNo) -> FrameId {
        FrameId {
            store: self.store,
            level: self.level.clone(),
            lane,
            number,
        }
    }

    /// Whether frames of the level are encrypted.
    pub(super) fn is_encrypted(&self) -> bool {
        matches!(self.protection, Protection::Encrypted(_))
    }

    /// Returns the key epoch of new frames: 0 without encryption.
    pub(super) fn epoch(&self) -> KeyEpoch {
        match &self.protection {
            Protection::Checksum => KeyEpoch::NONE,
            Protection::Encrypted(keys) => keys.newest(),
        }
    }

    /// Returns the keys of the epoch in a header; `None` without encryption.
    ///
    /// # Errors
    ///
    /// [`FrameError::Epoch`] when the passphrase of this run does not open that epoch.
    pub(super) fn keys(
        &self,
        header: &SealedHeader,
        id: impl FnOnce() -> FrameId,
    ) -> Result<Option<&EpochKeys>, FrameError> {
        let Protection::Encrypted(keys) = &self.protection else {
            return Ok(None);
        };
        let of_epoch = keys
            .of_epoch(header.epoch)
            .ok_or_else(|| FrameError::Epoch {
                frame: Box::new(id()),
                epoch: header.epoch,
                known: keys.newest(),
            });
        of_epoch.map(Some)
    }

    /// Computes the tag of a frame: over the context, the store, the level, the header and the
    /// payload.
    pub(super) fn tag(
        &self,
        keys: Option<&EpochKeys>,
        header: &SealedHeader,
        payload: &[u8],
    ) -> [u8; TAG_BYTES] {
        let header_bytes: [u8; HEADER_BYTES] = header.encode();
        let parts: [&[u8]; 5] = [
            context(header.version),
            &self.store.0,
            self.level.as_str().as_bytes(),
            &header_bytes,
            payload,
        ];
        match keys {
            None => parts
                .iter()
                .fold(Sha256::new(), |hash, part| hash.chain_update(part))
                .finalize()
                .into(),
            Some(keys) => parts
                .iter()
                .fold(keys.mac(), |mac, part| mac.chain_update(part))
                .finalize()
                .into_bytes()
                .into(),
        }
    }
}

//! What frames are bound to, and the tag that binds them.

use super::header::{HEADER_BYTES, TAG_BYTES};
use super::{FrameId, Lane, Protection};
use crate::model::{FrameNo, LevelId, StoreId};
use hmac::Mac;
use sha2::{Digest, Sha256};

/// Every tag and checksum covers these bytes first, so that it cannot be one of anything else.
const CONTEXT: &[u8; 16] = b"freezer-frame-1\0";

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

    /// Computes the tag of a frame: over the context, the store, the level, the header and the
    /// payload.
    pub(super) fn tag(&self, header: &[u8; HEADER_BYTES], payload: &[u8]) -> [u8; TAG_BYTES] {
        let parts: [&[u8]; 5] = [
            CONTEXT,
            &self.store.0,
            self.level.as_str().as_bytes(),
            header,
            payload,
        ];
        match &self.protection {
            Protection::Checksum => parts
                .iter()
                .fold(Sha256::new(), |hash, part| hash.chain_update(part))
                .finalize()
                .into(),
            Protection::Encrypted(keys) => parts
                .iter()
                .fold(keys.mac(), |mac, part| mac.chain_update(part))
                .finalize()
                .into_bytes()
                .into(),
        }
    }
}

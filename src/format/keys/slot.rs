//! A key slot: the master keys, wrapped under one passphrase.

use super::KeyError;
use super::master::{KEY_BYTES, MasterKey};
use crate::format::frame::EpochKeys;
use crate::format::{DocumentError, decode_document};
use crate::model::{KeyEpoch, StoreId};
use crate::platform::prefer_large_pages;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

const CONTEXT_1: &[u8] = b"freezer-key-1\0";
const CONTEXT_2: &[u8] = b"freezer-key-2\0";

/// The cost parameters of Argon2id. They are stored with each key, so that a new default does not
/// change older keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KdfCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Number of passes over the memory.
    pub passes: u32,
    /// Number of parallel lanes.
    pub lanes: u32,
}

impl Default for KdfCost {
    /// 19 MiB and two passes. A mount is to answer within 60 ms, and this takes about 40 ms on one
    /// core (docs/design/0003).
    fn default() -> Self {
        Self {
            memory_kib: 19_456,
            passes: 2,
            lanes: 1,
        }
    }
}

impl KdfCost {
    /// Returns whether the cost is within the limits for stored documents. Without limits, a forged
    /// document could use up the memory or the time of its reader.
    fn is_bearable(self) -> bool {
        self.memory_kib <= 256 << 10 && self.work_kib() <= 2 << 20 && self.lanes <= 16
    }

    /// Returns how much memory is written to derive a key, in KiB.
    fn work_kib(self) -> u64 {
        u64::from(self.memory_kib) * u64::from(self.passes)
    }
}

/// The master keys, wrapped under one passphrase: the document `keys/<id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    version: u32,
    /// The newest epoch whose key is wrapped. A slot of version 1 has none, and is of the first.
    #[serde(default = "first_epoch")]
    epoch: u8,
    /// The store that the key opens. Repeated here in case `freezer.json` is lost.
    store: String,
    /// The slot's name: 8 hexadecimal digits.
    pub id: String,
    /// When the slot was made.
    pub created: jiff::Timestamp,
    /// A comment by which people recognize the passphrase.
    pub comment: String,
    kdf: String,
    cost: KdfCost,
    salt: String,
    iv: String,
    wrapped: String,
    tag: String,
}

impl KeySlot {
    /// The version of new documents.
    pub const VERSION: u32 = 2;

    /// Wraps the keys of all epochs under a passphrase.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`], [`KeyError::Derive`].
    pub fn seal(
        master: &MasterKey,
        store: StoreId,
        passphrase: &[u8],
        cost: KdfCost,
        created: jiff::Timestamp,
        comment: &str,
    ) -> Result<Self, KeyError> {
        let mut random = [0; 4 + 16 + 16];
        getrandom::fill(&mut random).map_err(KeyError::Random)?;
        let (id, rest) = random.split_at(4);
        let (salt, iv) = rest.split_at(16);
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let iv: [u8; 16] = iv.try_into().expect("split at 16");
        let (keys, mac) = derive(passphrase, salt, cost)?;
        let mut wrapped = Zeroizing::new(master.bytes().to_vec());
        keys.encrypt(&mut [(&iv, &mut wrapped[..])]);
        let bound = Bound {
            version: Self::VERSION,
            epoch: master.epoch().0,
            store,
            id: &id,
            iv: &iv,
            wrapped: &wrapped,
        };
        let tag = bound.covered_by(mac).finalize().into_bytes();
        Ok(Self {
            version: Self::VERSION,
            epoch: master.epoch().0,
            store: store.to_string(),
            id,
            created,
            comment: comment.to_owned(),
            kdf: "argon2id".to_owned(),
            cost,
            salt: STANDARD.encode(salt),
            iv: STANDARD.encode(iv),
            wrapped: STANDARD.encode(&wrapped[..]),
            tag: STANDARD.encode(tag),
        })
    }

    /// Returns the version of the document.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns the newest epoch that the slot says to open. Nobody has authenticated that before
    /// the slot was opened.
    pub fn epoch(&self) -> KeyEpoch {
        KeyEpoch(self.epoch)
    }

    /// Returns how much work it is to try a passphrase: the memory that is written, in KiB. A slot
    /// that would be refused is no work.
    pub fn work_kib(&self) -> u64 {
        if self.cost.is_bearable() {
            self.cost.work_kib()
        } else {
            0
        }
    }

    /// Returns whether the slot says that it is of this store, and a passphrase can be tried on it.
    /// Nothing of that is authenticated.
    pub fn is_bearable_key_of(&self, store: StoreId) -> bool {
        self.store == store.to_string() && self.kdf == "argon2id" && self.cost.is_bearable()
    }

    /// Unwraps the master keys. Returns `None` if the passphrase is not that of this slot, or if
    /// the slot was changed.
    ///
    /// # Errors
    ///
    /// [`KeyError::Document`] if the slot is damaged.
    pub fn open(&self, store: StoreId, passphrase: &[u8]) -> Result<Option<MasterKey>, KeyError> {
        let content = |what| KeyError::Document(DocumentError::Content(what));
        let bytes = |text: &str, what| STANDARD.decode(text).map_err(|_| content(what));
        let salt = bytes(&self.salt, "its salt is not base64")?;
        let iv: [u8; 16] = bytes(&self.iv, "its IV is not base64")?
            .try_into()
            .map_err(|_| content("its IV has the wrong length"))?;
        let mut wrapped = Zeroizing::new(bytes(&self.wrapped, "its key is not base64")?);
        if self.epoch == 0 || wrapped.len() != usize::from(self.epoch) * KEY_BYTES {
            return Err(content("its key has the wrong length"));
        }
        let stored_tag = bytes(&self.tag, "its tag is not base64")?;
        if self.kdf != "argon2id" || !self.cost.is_bearable() {
            return Err(content(
                "this version does not know its key derivation, or the derivation is too costly",
            ));
        }
        let (keys, mac) = derive(passphrase, &salt, self.cost)?;
        let bound = Bound {
            version: self.version,
            epoch: self.epoch,
            store,
            id: &self.id,
            iv: &iv,
            wrapped: &wrapped,
        };
        if bound.covered_by(mac).verify_slice(&stored_tag).is_err() {
            return Ok(None);
        }
        keys.decrypt(&iv, &mut wrapped);
        let master = MasterKey::of_bytes(wrapped);
        master
            .map(Some)
            .ok_or_else(|| content("its key has the wrong length"))
    }

    /// Encodes the document.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes =
            serde_json::to_vec_pretty(self).expect("plain text fields always become JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Decodes the document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(bytes: &[u8]) -> Result<Self, DocumentError> {
        let slot: Self = decode_document(bytes, Self::VERSION)?;
        if slot.version == 1 && slot.epoch != KeyEpoch::FIRST.0 {
            return Err(DocumentError::Content("version 1 has no key epochs"));
        }
        Ok(slot)
    }
}

fn first_epoch() -> u8 {
    KeyEpoch::FIRST.0
}

fn derive(
    passphrase: &[u8],
    salt: &[u8],
    cost: KdfCost,
) -> Result<(EpochKeys, Hmac<Sha256>), KeyError> {
    let params = Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(64))
        .map_err(|_| KeyError::Derive)?;
    let mut output = Zeroizing::new([0; 64]);
    let blocks = params.block_count();
    let mut memory: Vec<Block> = Vec::new();
    memory
        .try_reserve_exact(blocks)
        .map_err(|_| KeyError::Derive)?;
    prefer_large_pages(memory.spare_capacity_mut());
    memory.resize(blocks, Block::default());
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(passphrase, salt, &mut output[..], &mut memory)
        .map_err(|_| KeyError::Derive)?;
    let (mut encryption, mut authentication) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 32]));
    encryption.copy_from_slice(&output[..32]);
    authentication.copy_from_slice(&output[32..]);
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&authentication[..])
        .expect("HMAC takes a key of any length");
    Ok((EpochKeys::new(&encryption, &authentication), mac))
}

/// What the tag of a slot covers.
struct Bound<'slot> {
    version: u32,
    epoch: u8,
    store: StoreId,
    id: &'slot str,
    iv: &'slot [u8; 16],
    wrapped: &'slot [u8],
}

impl Bound<'_> {
    fn covered_by(&self, mac: Hmac<Sha256>) -> Hmac<Sha256> {
        let (store, id) = (&self.store.0[..], self.id.as_bytes());
        let epoch = [self.epoch];
        let parts: [&[u8]; 6] = match self.version {
            1 => [CONTEXT_1, store, &self.iv[..], self.wrapped, id, &[]],
            _ => [CONTEXT_2, store, &epoch, &self.iv[..], self.wrapped, id],
        };
        parts.iter().fold(mac, |mac, part| mac.chain_update(part))
    }
}

#[cfg(test)]
mod tests {
    use super::{KdfCost, KeySlot};
    use crate::format::keys::MasterKey;
    use crate::model::StoreId;

    const CHEAP: KdfCost = KdfCost {
        memory_kib: 64,
        passes: 1,
        lanes: 1,
    };

    #[test]
    fn only_the_right_passphrase_in_the_right_store_opens_a_slot() {
        let store = StoreId([1; 16]);
        let master = MasterKey::generate().expect("random bytes");
        let slot = KeySlot::seal(
            &master,
            store,
            b"correct horse",
            CHEAP,
            jiff::Timestamp::UNIX_EPOCH,
            "laptop",
        )
        .expect("sealed");
        let slot = KeySlot::decode(&slot.encode()).expect("decoded");
        let opened = slot
            .open(store, b"correct horse")
            .expect("no damage")
            .expect("the right passphrase");
        assert_eq!(opened.bytes(), master.bytes());
        assert!(
            slot.open(store, b"correct hors")
                .expect("no damage")
                .is_none()
        );
        assert!(
            slot.open(StoreId([2; 16]), b"correct horse")
                .expect("no damage")
                .is_none()
        );
        for (memory_kib, passes, lanes) in [
            (u32::MAX, 1, 1),
            ((256 << 10) + 1, 1, 1),
            (256 << 10, 9, 1),
            (8, u32::MAX, 1),
            (256, 1, 17),
        ] {
            let mut forged = slot.clone();
            forged.cost = KdfCost {
                memory_kib,
                passes,
                lanes,
            };
            assert!(
                forged.open(store, b"correct horse").is_err(),
                "a forged cost must not be tried: {:?}",
                forged.cost
            );
            assert_eq!(forged.work_kib(), 0, "it is no work to refuse it");
        }
    }

    #[test]
    fn a_slot_opens_every_epoch_and_none_that_it_does_not_hold() {
        let store = StoreId([1; 16]);
        let master = MasterKey::generate().expect("random bytes");
        let rotated = master.rotated().expect("random bytes");
        let seal = |master: &MasterKey| {
            KeySlot::seal(master, store, b"x", CHEAP, jiff::Timestamp::UNIX_EPOCH, "")
                .expect("sealed")
        };
        let slot = seal(&rotated);
        let opened = slot.open(store, b"x").expect("sound").expect("opened");
        assert_eq!((opened.bytes(), slot.epoch().0), (rotated.bytes(), 2));
        for change in [
            |slot: &mut KeySlot| slot.epoch = 1,
            |slot: &mut KeySlot| slot.epoch = 3,
            |slot: &mut KeySlot| slot.epoch = 0,
            |slot: &mut KeySlot| slot.version = 1,
        ] {
            let mut forged = slot.clone();
            change(&mut forged);
            assert!(
                !matches!(forged.open(store, b"x"), Ok(Some(_))),
                "{forged:?}"
            );
        }
        let old = KeySlot {
            version: 1,
            ..seal(&master)
        };
        assert!(
            matches!(old.open(store, b"x"), Ok(None)),
            "a slot of version 2 is none of version 1"
        );
    }
}

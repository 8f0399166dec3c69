//! Keys: a random master key, wrapped once per passphrase, and the frame keys derived from it.
//!
//! Argon2id (RFC 9106) turns a passphrase into a key that wraps the master key. HKDF-SHA-256 (RFC
//! 5869) derives the keys of frames from the master key. A passphrase can therefore be added,
//! changed or removed without touching a stored frame.
//!
//! Layout: docs/format.md, "Keys".

use super::frame::FrameKeys;
use super::{DocumentError, decode_document};
use crate::model::StoreId;
use crate::platform::prefer_large_pages;
use argon2::{Algorithm, Argon2, Block, Params, Version};
use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

const VERSION: u32 = 1;
const CONTEXT: &[u8; 14] = b"freezer-key-1\0";

/// The key from which all keys of a store are derived: 32 random bytes, never stored unwrapped.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl MasterKey {
    /// Makes a new random key.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(&mut key[..]).map_err(KeyError::Random)?;
        Ok(Self(key))
    }

    /// Derives the keys that encrypt and authenticate the frames of the store `id`.
    pub fn frame_keys(&self, id: StoreId) -> FrameKeys {
        let derived = hkdf::Hkdf::<Sha256>::new(Some(&id.0), &self.0[..]);
        let key = |info: &[u8]| {
            let mut key = Zeroizing::new([0; 32]);
            derived
                .expand(info, &mut key[..])
                .expect("32 bytes are within HKDF's limit");
            key
        };
        FrameKeys::new(
            &key(b"freezer frame encryption 1"),
            &key(b"freezer frame authentication 1"),
        )
    }
}

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

/// The master key, wrapped under one passphrase: the document `keys/<id>.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySlot {
    version: u32,
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
    /// Wraps `master` under a passphrase.
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
        let mut wrapped = Zeroizing::new(*master.0);
        keys.encrypt_key(&iv, &mut wrapped);
        let tag = tag(mac, store, &id, &iv, &wrapped);
        Ok(Self {
            version: VERSION,
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

    /// Unwraps the master key. Returns `None` if the passphrase is not that of this slot, or if the
    /// slot was changed.
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
        let mut wrapped: Zeroizing<[u8; 32]> = Zeroizing::new(
            bytes(&self.wrapped, "its key is not base64")?
                .try_into()
                .map_err(|_| content("its key has the wrong length"))?,
        );
        let stored_tag = bytes(&self.tag, "its tag is not base64")?;
        if self.kdf != "argon2id" || !self.cost.is_bearable() {
            return Err(content(
                "this version does not know its key derivation, or the derivation is too costly",
            ));
        }
        let (keys, mac) = derive(passphrase, &salt, self.cost)?;
        if mac_of(mac, store, &self.id, &iv, &wrapped)
            .verify_slice(&stored_tag)
            .is_err()
        {
            return Ok(None);
        }
        keys.decrypt_key(&iv, &mut wrapped);
        Ok(Some(MasterKey(wrapped)))
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
        decode_document(bytes, VERSION)
    }
}

/// The keys that wrap a master key.
struct WrapKeys(FrameKeys);

impl WrapKeys {
    fn encrypt_key(&self, iv: &[u8; 16], key: &mut [u8; 32]) {
        self.0.encrypt(&mut [(iv, &mut key[..])]);
    }

    fn decrypt_key(&self, iv: &[u8; 16], key: &mut [u8; 32]) {
        self.0.decrypt(iv, &mut key[..]);
    }
}

fn derive(
    passphrase: &[u8],
    salt: &[u8],
    cost: KdfCost,
) -> Result<(WrapKeys, Hmac<Sha256>), KeyError> {
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
    Ok((WrapKeys(FrameKeys::new(&encryption, &authentication)), mac))
}

fn mac_of(
    mac: Hmac<Sha256>,
    store: StoreId,
    id: &str,
    iv: &[u8; 16],
    wrapped: &[u8; 32],
) -> Hmac<Sha256> {
    let parts: [&[u8]; 5] = [CONTEXT, &store.0, iv, wrapped, id.as_bytes()];
    parts.iter().fold(mac, |mac, part| mac.chain_update(part))
}

fn tag(mac: Hmac<Sha256>, store: StoreId, id: &str, iv: &[u8; 16], wrapped: &[u8; 32]) -> [u8; 32] {
    mac_of(mac, store, id, iv, wrapped)
        .finalize()
        .into_bytes()
        .into()
}

/// Why a key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes for a key")]
    Random(#[source] getrandom::Error),
    /// Argon2id refused its parameters, or there is not enough memory for them.
    #[error("could not derive a key from the passphrase: check that enough memory is free")]
    Derive,
    /// The slot's document is damaged.
    #[error("a key document is damaged")]
    Document(#[source] DocumentError),
}

#[cfg(test)]
mod tests {
    use super::{KdfCost, KeySlot, MasterKey};
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
        assert_eq!(*opened.0, *master.0);
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
    fn secrets_do_not_show_in_debug_output() {
        let master = MasterKey::generate().expect("random bytes");
        assert_eq!(
            format!("{master:?} {:?}", master.frame_keys(StoreId([0; 16]))),
            "MasterKey(***) FrameKeys(***)"
        );
    }
}

//! The master keys of a store, and the keys that are derived from them.

use super::KeyError;
use crate::format::content_hash::ContentHashing;
use crate::format::frame::{EpochKeys, FrameKeys};
use crate::format::hidden_names::NameHider;
use crate::model::{KeyEpoch, StoreId};
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Length of a master key in bytes.
pub(super) const KEY_BYTES: usize = 32;

/// The keys from which all keys of a store are derived: 32 random bytes for each epoch, never
/// stored unwrapped.
pub struct MasterKey {
    /// The keys of all epochs, from the first to the newest: never empty.
    keys: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl MasterKey {
    /// Makes a new random key, of the first epoch.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`].
    pub fn generate() -> Result<Self, KeyError> {
        let mut keys = Zeroizing::new(vec![0; KEY_BYTES]);
        getrandom::fill(&mut keys[..]).map_err(KeyError::Random)?;
        Ok(Self { keys })
    }

    /// Takes the keys of all epochs, end to end; `None` when no key could be that long.
    pub(super) fn of_bytes(keys: Zeroizing<Vec<u8>>) -> Option<Self> {
        let is_whole = !keys.is_empty() && keys.len().is_multiple_of(KEY_BYTES);
        (is_whole && keys.len() / KEY_BYTES <= usize::from(u8::MAX)).then_some(Self { keys })
    }

    /// Returns the keys of all epochs, end to end.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.keys
    }

    /// Returns these keys and a new random one, which begins the next epoch.
    ///
    /// # Errors
    ///
    /// [`KeyError::Random`]; [`KeyError::TooManyEpochs`] after 255 of them.
    pub fn rotated(&self) -> Result<Self, KeyError> {
        let mut keys = Zeroizing::new(Vec::with_capacity(self.keys.len() + KEY_BYTES));
        keys.extend_from_slice(&self.keys);
        keys.extend_from_slice(Self::generate()?.bytes());
        Self::of_bytes(keys).ok_or(KeyError::TooManyEpochs)
    }

    /// Returns the newest epoch.
    pub fn epoch(&self) -> KeyEpoch {
        KeyEpoch(u8::try_from(self.keys.len() / KEY_BYTES).unwrap_or(u8::MAX))
    }

    /// Derives the keys that encrypt and authenticate the frames of the store `id`.
    pub fn frame_keys(&self, id: StoreId) -> FrameKeys {
        let mut epochs: Vec<EpochKeys> = (1..=self.epoch().0)
            .filter_map(|epoch| self.epoch_keys(id, KeyEpoch(epoch)))
            .collect();
        let newest = epochs.pop().expect("a master key has at least one epoch");
        let hash_key = self.lasting_key(id, b"freezer content hash 2");
        FrameKeys::of(newest, epochs, ContentHashing::keyed(hash_key))
    }

    /// Returns a code under the authentication key of an epoch, which covers no bytes yet. `None`
    /// if the epoch is not known.
    pub(in crate::format) fn mac(&self, id: StoreId, epoch: KeyEpoch) -> Option<Hmac<Sha256>> {
        self.epoch_keys(id, epoch).map(|keys| keys.mac())
    }

    /// Derives a key that stays the same when the master key is rotated: from that of the first
    /// epoch. `info` says what it is for.
    pub fn lasting_key(&self, id: StoreId, info: &[u8]) -> Zeroizing<[u8; 32]> {
        derive(id, self.keys.get(..KEY_BYTES).unwrap_or_default(), info)
    }

    /// Returns what hides the names of hosts and backups, under a key of its own.
    pub fn name_hider(&self, id: StoreId) -> NameHider {
        let key = self.lasting_key(id, b"freezer names 2");
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&key[..]);
        NameHider::new(mac.expect("HMAC takes a key of any length"))
    }

    fn epoch_keys(&self, id: StoreId, epoch: KeyEpoch) -> Option<EpochKeys> {
        let start = usize::from(epoch.0.checked_sub(1)?) * KEY_BYTES;
        let master = self.keys.get(start..start + KEY_BYTES)?;
        Some(EpochKeys::new(
            &derive(id, master, b"freezer frame encryption 1"),
            &derive(id, master, b"freezer frame authentication 1"),
        ))
    }
}

fn derive(id: StoreId, master: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    hkdf::Hkdf::<Sha256>::new(Some(&id.0), master)
        .expand(info, &mut key[..])
        .expect("32 bytes are within HKDF's limit");
    key
}

#[cfg(test)]
mod tests {
    use super::MasterKey;
    use crate::model::{KeyEpoch, StoreId};

    #[test]
    fn a_rotated_key_keeps_all_earlier_ones() {
        let first = MasterKey::generate().expect("random bytes");
        let second = first.rotated().expect("random bytes");
        assert_eq!((first.epoch(), second.epoch()), (KeyEpoch(1), KeyEpoch(2)));
        assert!(second.bytes().starts_with(first.bytes()));
        let id = StoreId([1; 16]);
        assert_eq!(
            *first.lasting_key(id, b"x"),
            *second.lasting_key(id, b"x"),
            "a lasting key is that of the first epoch"
        );
        assert!(second.mac(id, KeyEpoch(2)).is_some());
        assert!(second.mac(id, KeyEpoch(3)).is_none() && second.mac(id, KeyEpoch(0)).is_none());
        let mut last = first;
        for _ in 1..255 {
            last = last.rotated().expect("room");
        }
        assert_eq!(last.epoch(), KeyEpoch(255));
        last.rotated().expect_err("no epoch is left");
    }

    #[test]
    fn secrets_do_not_show_in_debug_output() {
        let master = MasterKey::generate().expect("random bytes");
        let shown = format!("{master:?} {:?}", master.frame_keys(StoreId([0; 16])));
        assert!(shown.starts_with("MasterKey(***)"), "{shown}");
        assert!(shown.contains("EpochKeys(***)"), "{shown}");
    }
}

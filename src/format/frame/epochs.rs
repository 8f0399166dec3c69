//! The keys of a store's frames, those of every key epoch.

use super::cipher::EpochKeys;
use crate::format::content_hash::ContentHashing;
use crate::model::KeyEpoch;
use zeroize::Zeroizing;

/// The keys of a store's frames. New frames get those of the newest epoch. Every frame names its
/// epoch, so frames of earlier epochs can still be read.
#[derive(Debug)]
pub struct FrameKeys {
    newest: EpochKeys,
    /// The keys of the epochs before, from the first on.
    earlier: Vec<EpochKeys>,
    /// How the content of files is hashed: the same in all epochs.
    content_hashing: ContentHashing,
}

impl FrameKeys {
    /// Prepares the keys of a store whose master key was never rotated. Hashes of content are under
    /// a key of zeros.
    pub fn new(encryption: &Zeroizing<[u8; 32]>, authentication: &Zeroizing<[u8; 32]>) -> Self {
        let newest = EpochKeys::new(encryption, authentication);
        let content_hashing = ContentHashing::keyed(Zeroizing::new([0; 32]));
        Self::of(newest, Vec::new(), content_hashing)
    }

    /// Joins the keys of all epochs. `earlier` has those of the epochs before the newest, from the
    /// first on.
    pub fn of(newest: EpochKeys, earlier: Vec<EpochKeys>, content_hashing: ContentHashing) -> Self {
        Self {
            newest,
            earlier,
            content_hashing,
        }
    }

    /// Returns how the content of files is hashed.
    pub fn content_hashing(&self) -> &ContentHashing {
        &self.content_hashing
    }

    /// Returns the epoch of new frames.
    pub fn newest(&self) -> KeyEpoch {
        let number = self.earlier.len().saturating_add(1);
        KeyEpoch(u8::try_from(number).unwrap_or(u8::MAX))
    }

    /// Returns the keys of new frames.
    pub(in crate::format) fn for_new(&self) -> &EpochKeys {
        &self.newest
    }

    /// Returns the keys of an epoch; `None` if they are not known.
    pub(in crate::format) fn of_epoch(&self, epoch: KeyEpoch) -> Option<&EpochKeys> {
        if epoch == self.newest() {
            return Some(&self.newest);
        }
        self.earlier.get(usize::from(epoch.0.checked_sub(1)?))
    }
}

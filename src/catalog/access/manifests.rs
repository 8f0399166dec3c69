//! Reads manifests, and refuses one that belongs elsewhere.

use super::{Access, AccessError};
use crate::catalog::names;
use crate::format::DocumentError;
use crate::format::manifest::{self, MAX_MANIFEST_BYTES, Manifest, ManifestError, Outline};
use crate::model::{BackupName, LevelId};
use crate::store::StoreExt;

impl Access {
    /// Reads the manifest of a level.
    ///
    /// # Errors
    ///
    /// [`AccessError::Store`]; [`AccessError::Manifest`] when it is damaged, or belongs to another
    /// backup or level.
    pub fn manifest(&self, backup: &BackupName, level: &LevelId) -> Result<Manifest, AccessError> {
        self.manifest_and_digest(backup, level)
            .map(|(manifest, _)| manifest)
    }

    /// Reads the manifest of a level, and the digest by which its children name it.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub fn manifest_and_digest(
        &self,
        backup: &BackupName,
        level: &LevelId,
    ) -> Result<(Manifest, String), AccessError> {
        let stored = self.manifest_bytes(backup, level)?;
        self.open_manifest(backup, level, stored)
    }

    /// Opens a manifest whose bytes were read, as
    /// [`manifest_and_digest`](Self::manifest_and_digest) does.
    ///
    /// # Errors
    ///
    /// As there, but none of the store.
    pub fn open_manifest(
        &self,
        backup: &BackupName,
        level: &LevelId,
        stored: Vec<u8>,
    ) -> Result<(Manifest, String), AccessError> {
        let digest = manifest::digest(&stored);
        let manifest =
            Manifest::open(stored, &self.opener(level)).map_err(damaged_manifest(level))?;
        self.check_owner(manifest.backup(), &manifest.id, backup, level)?;
        if let Some(witness) = self.witness() {
            witness.opened(backup, level, manifest.serial, &digest)?;
        }
        Ok((manifest, digest))
    }

    /// Reads the manifest of a level without its trees and tables. That is much faster where the
    /// level leans on many others.
    ///
    /// # Errors
    ///
    /// As [`manifest`](Self::manifest).
    pub fn outline(&self, backup: &BackupName, level: &LevelId) -> Result<Outline, AccessError> {
        let stored = self.manifest_bytes(backup, level)?;
        let witness = self.witness();
        let digest = witness.map(|_| manifest::digest(&stored));
        let outline =
            Outline::open(stored, &self.opener(level)).map_err(damaged_manifest(level))?;
        self.check_owner(outline.backup(), &outline.id, backup, level)?;
        if let (Some(witness), Some(digest)) = (witness, digest) {
            witness.opened(backup, level, outline.serial, &digest)?;
        }
        Ok(outline)
    }

    /// Reads the manifest of a level as it is stored, without a look at what it says.
    ///
    /// # Errors
    ///
    /// [`AccessError::Store`].
    pub fn manifest_bytes(
        &self,
        backup: &BackupName,
        level: &LevelId,
    ) -> Result<Vec<u8>, AccessError> {
        self.store
            .get(&names::manifest_name(backup, level), MAX_MANIFEST_BYTES)
            .map_err(AccessError::Store)
    }

    /// Fails if a manifest was written for another backup or level than its name says.
    fn check_owner(
        &self,
        claimed: Result<BackupName, DocumentError>,
        id: &LevelId,
        backup: &BackupName,
        level: &LevelId,
    ) -> Result<(), AccessError> {
        let failed = |source| damaged_manifest(level)(ManifestError::Document(source));
        let claimed = claimed.map_err(failed)?;
        if self.is_listed_as(&claimed, backup) && *id == *level {
            Ok(())
        } else {
            Err(failed(DocumentError::Content(
                "it belongs to another backup or level",
            )))
        }
    }
}

/// Returns what turns an error of a manifest into one of its level.
fn damaged_manifest(level: &LevelId) -> impl Fn(ManifestError) -> AccessError + use<> {
    let level = level.clone();
    move |source| AccessError::Manifest {
        level: level.clone(),
        source,
    }
}

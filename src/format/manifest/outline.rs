//! The part of a manifest that upkeep needs.

use super::{Bytes, ManifestError, Parent, date_of, decode, next_serial_of};
#[cfg(doc)]
use super::{LevelParts, Manifest};
use crate::format::features::FeatureScope;
use crate::format::frame::{Lane, Opener};
use crate::format::json::{serial, text};
use crate::format::{DocumentError, backup_name, sealed};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, Ranges};
use serde::Deserialize;

/// A manifest without its runs and tables: the part that upkeep needs.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Outline {
    host: String,
    name: String,
    /// See [`Manifest::id`].
    #[serde(with = "text")]
    pub id: LevelId,
    /// See [`Manifest::serial`].
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    #[serde(default)]
    next_serial: Option<u64>,
    #[serde(default)]
    allows: Vec<String>,
    /// See [`Manifest::level`].
    pub level: u32,
    /// See [`Manifest::parent`].
    pub parent: Option<Parent>,
    started: jiff::Timestamp,
    ended: jiff::Timestamp,
    /// See [`Manifest::tags`].
    #[serde(default)]
    pub tags: Vec<String>,
    /// See [`Manifest::bytes`].
    pub bytes: Bytes,
    index: Vec<RunOutline>,
    /// See [`Manifest::levels`].
    pub levels: Vec<LevelOutline>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct RunOutline {
    #[serde(with = "serial")]
    serial: LevelSerial,
}

/// A level in an [`Outline`].
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct LevelOutline {
    /// See [`LevelParts::serial`].
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// See [`LevelParts::id`].
    #[serde(with = "text")]
    pub id: LevelId,
    /// See [`LevelParts::stream_bytes`].
    pub stream_bytes: u64,
    /// See [`LevelParts::live`].
    #[serde(default, with = "crate::format::live::json")]
    pub live: Option<Ranges>,
}

impl Outline {
    /// Reads the manifest of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// As [`Manifest::open`]. Parts that an outline does not have are not checked.
    pub fn open(stored: Vec<u8>, opener: &Opener) -> Result<Self, ManifestError> {
        let json = sealed::open(stored, opener, Lane::Manifest, FrameNo(0))?;
        decode(&json).map_err(ManifestError::Document)
    }

    /// See [`Manifest::next_serial`].
    pub fn next_serial(&self) -> LevelSerial {
        next_serial_of(self.serial, self.next_serial)
    }

    /// See [`Manifest::read_only_for`].
    pub fn read_only_for(&self) -> Vec<String> {
        FeatureScope::Level.unknown(&self.allows)
    }

    /// See [`Manifest::date`].
    pub fn date(&self) -> jiff::Timestamp {
        date_of(self.started, self.ended)
    }

    /// See [`Manifest::backup`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        backup_name(&self.host, &self.name)
    }

    /// Returns the levels whose index objects hold the tree, newest first.
    pub fn index_serials(&self) -> Vec<LevelSerial> {
        self.index.iter().map(|run| run.serial).collect()
    }
}

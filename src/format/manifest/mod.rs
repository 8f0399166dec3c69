//! The manifest: the small document that makes a level exist. A run writes it last.
//!
//! JSON, stored as a sealed frame of its own. Layout: docs/format.md, "Manifest".

mod counts;
mod outline;
mod parts;
mod path_text;
mod rules;
mod source;
#[cfg(test)]
mod tests;

pub use super::sealed::ManifestError;
pub use counts::{Bytes, Counts};
pub use outline::{LevelOutline, Outline};
pub use parts::{LevelParts, ManifestBlock, RootNode, Run};
pub use path_text::PathText;
pub use source::{SourceFilesystem, SourceIdentity};

use super::features::FeatureScope;
use super::frame::{Lane, Opener, Sealer};
use super::json::{serial, text};
use super::{DocumentError, backup_name, check_version, sealed};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, StoreId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const VERSION: u32 = 2;

/// The most bytes that a stored manifest may have.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// Everything about a level except the tree itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// Features without which the level cannot be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    requires: Vec<String>,
    /// Features without which the level must not be changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    allows: Vec<String>,
    /// The store that the level is in. Repeated here in case `freezer.json` is lost.
    #[serde(with = "text")]
    pub store: StoreId,
    /// The host that the backup belongs to.
    host: String,
    /// The backup's name on that host.
    name: String,
    /// The identity of the level.
    #[serde(with = "text")]
    pub id: LevelId,
    /// The level's number in the backup, across all chains. Extents name the level by it.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// The lowest number that no level of the backup was ever given. A manifest of version 1 has
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    next_serial: Option<u64>,
    /// The level's number in its chain; 0 is a full level.
    pub level: u32,
    /// The level that the run compared the tree with; `None` for level 0.
    pub parent: Option<Parent>,
    /// When the full level of the chain began. Repeated here because that level may be gone.
    pub chain: jiff::Timestamp,
    /// When the walk began.
    pub started: jiff::Timestamp,
    /// When the last segment was stored.
    pub ended: jiff::Timestamp,
    /// The time zone of the machine that was backed up, such as `Europe/Berlin`.
    pub zone: String,
    /// The absolute paths on that machine that were backed up.
    pub sources: Vec<PathText>,
    /// The machine that was backed up, and its file systems, where the run recorded them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceIdentity>,
    /// The tags that the user gave the run; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How many entries the run found, by outcome.
    pub counts: Counts,
    /// How many bytes the level has.
    pub bytes: Bytes,
    /// The engine of the run: `tar` stores changed files whole; `rsync` stores only the new blocks
    /// of large files.
    pub engine: String,
    /// The program that wrote the manifest, with its version.
    pub tool: String,
    /// Whether any entry has extended attributes. If none has, a mount need not look for them.
    pub has_xattrs: bool,
    /// The index: the runs that together make the tree, newest first.
    pub index: Vec<Run>,
    /// Every level whose bytes the tree needs, this one first.
    pub levels: Vec<LevelParts>,
}

/// The level that a run compared the tree with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// The identity of that level.
    #[serde(with = "text")]
    pub id: LevelId,
    /// SHA-256 of its manifest as stored, in hexadecimal. A manifest from an older state of the
    /// store does not match it.
    pub digest: String,
}

/// Returns the digest by which later manifests name this one: SHA-256 of its bytes as stored, in
/// hexadecimal.
pub fn digest(stored: &[u8]) -> String {
    Sha256::digest(stored)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // A string takes everything that is written to it.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// The content of a manifest, at the end of a run.
#[derive(Debug)]
pub struct ManifestParts {
    /// See [`Manifest::store`].
    pub store: StoreId,
    /// See [`Manifest::backup`].
    pub backup: BackupName,
    /// See [`Manifest::id`].
    pub id: LevelId,
    /// See [`Manifest::serial`].
    pub serial: LevelSerial,
    /// See [`Manifest::level`].
    pub level: u32,
    /// See [`Manifest::parent`].
    pub parent: Option<Parent>,
    /// See [`Manifest::chain`]; `None` for a full level, which begins a chain itself.
    pub chain: Option<jiff::Timestamp>,
    /// See [`Manifest::started`].
    pub started: jiff::Timestamp,
    /// See [`Manifest::ended`].
    pub ended: jiff::Timestamp,
    /// See [`Manifest::zone`].
    pub zone: String,
    /// See [`Manifest::sources`].
    pub sources: Vec<PathText>,
    /// See [`Manifest::tags`].
    pub tags: Vec<String>,
    /// See [`Manifest::counts`].
    pub counts: Counts,
    /// See [`Manifest::bytes`].
    pub bytes: Bytes,
    /// See [`Manifest::engine`].
    pub engine: &'static str,
    /// See [`Manifest::has_xattrs`].
    pub has_xattrs: bool,
    /// See [`Manifest::index`].
    pub index: Vec<Run>,
    /// See [`Manifest::levels`].
    pub levels: Vec<LevelParts>,
}

impl Manifest {
    /// Makes the manifest of a level whose run has ended.
    pub fn new(parts: ManifestParts) -> Self {
        Self {
            version: VERSION,
            requires: Vec::new(),
            allows: Vec::new(),
            next_serial: Some(parts.serial.0.saturating_add(1)),
            source: None,
            store: parts.store,
            host: parts.backup.host().to_owned(),
            name: parts.backup.name().to_owned(),
            chain: parts.chain.unwrap_or_else(|| parts.id.started()),
            started: parts.started,
            id: parts.id,
            serial: parts.serial,
            level: parts.level,
            parent: parts.parent,
            ended: parts.ended,
            zone: parts.zone,
            sources: parts.sources,
            tags: parts.tags,
            counts: parts.counts,
            bytes: parts.bytes,
            engine: parts.engine.to_owned(),
            tool: concat!("freezer ", env!("CARGO_PKG_VERSION")).to_owned(),
            has_xattrs: parts.has_xattrs,
            index: parts.index,
            levels: parts.levels,
        }
    }

    /// Returns the date of the point in time: when the run began, by the clock of that run.
    pub fn date(&self) -> jiff::Timestamp {
        date_of(self.started, self.ended)
    }

    /// Returns the backup that the level belongs to.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Content`] if host and name cannot be those of a backup.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        backup_name(&self.host, &self.name)
    }

    /// Returns a serial that no level of the backup has ever had: neither this one nor any made
    /// before it.
    pub fn next_serial(&self) -> LevelSerial {
        next_serial_of(self.serial, self.next_serial)
    }

    /// Returns the features without which the level may be read and not be changed, as far as this
    /// program does not know them.
    pub fn read_only_for(&self) -> Vec<String> {
        FeatureScope::Level.unknown(&self.allows)
    }

    /// Encodes the manifest as it is stored.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, ManifestError> {
        sealed::seal(self, sealer, Lane::Manifest, FrameNo(0))
    }

    /// Reads the manifest of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`] if the frame was damaged or changed, or another key made it;
    /// [`ManifestError::Document`] if this version cannot read the document.
    pub fn open(stored: Vec<u8>, opener: &Opener) -> Result<Self, ManifestError> {
        let json = sealed::open(stored, opener, Lane::Manifest, FrameNo(0))?;
        let manifest = Self::decode(&json).map_err(ManifestError::Document)?;
        let frame = opener.id(Lane::Manifest, FrameNo(0));
        rules::check(manifest.store, manifest.serial, &manifest.levels, &frame)
            .map_err(ManifestError::Document)?;
        Ok(manifest)
    }

    /// Decodes the JSON document.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        decode(json)
    }
}

/// Decodes a manifest, or an outline of it. Looks at its version and its features before anything
/// else, so that a manifest that this program cannot read is refused by these and not by its shape.
fn decode<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, DocumentError> {
    #[derive(Deserialize)]
    struct Needs {
        version: u32,
        #[serde(default)]
        requires: Vec<String>,
        #[serde(default)]
        allows: Vec<String>,
    }
    let needs: Needs = serde_json::from_slice(json).map_err(DocumentError::Json)?;
    check_version(needs.version, VERSION)?;
    FeatureScope::Level.check(&needs.requires, &needs.allows)?;
    serde_json::from_slice(json).map_err(DocumentError::Json)
}

fn next_serial_of(own: LevelSerial, next: Option<u64>) -> LevelSerial {
    LevelSerial(next.unwrap_or(0).max(own.0.saturating_add(1)))
}

/// Returns the date of a point in time. Earlier versions moved the start of a level behind every
/// level that they saw. If a clock had once been ahead, such levels began after they had ended: for
/// them the end is the true date.
fn date_of(started: jiff::Timestamp, ended: jiff::Timestamp) -> jiff::Timestamp {
    started.min(ended)
}

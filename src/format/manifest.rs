//! The manifest: the small document that makes a level exist, written last.
//!
//! JSON, stored as a sealed frame of its own. Layout: docs/format.md, "Manifest".

use super::DocumentError;
use super::frame::{Compression, Decoder, Encoder, FrameError, Lane, Opener, Sealer};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, Ranges, StoreId};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write;

const VERSION: u32 = 1;

/// Most bytes a stored manifest may have.
pub const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// All that is known of a level but the tree itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    version: u32,
    /// The store it was written to: known from here too, should `freezer.json` be lost.
    #[serde(with = "text")]
    pub store: StoreId,
    /// The host the backup belongs to.
    host: String,
    /// The backup's name on that host.
    name: String,
    /// Which run this is.
    #[serde(with = "text")]
    pub id: LevelId,
    /// Its number in the backup, over all chains; extents name it by this.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// Its number in the chain; 0 is full.
    pub level: u32,
    /// The level it was compared with; none for level 0.
    pub parent: Option<Parent>,
    /// When the full level of its chain began: known here too, as that level may have gone.
    pub chain: jiff::Timestamp,
    /// When the walk began.
    pub started: jiff::Timestamp,
    /// When the last segment was stored.
    pub ended: jiff::Timestamp,
    /// The time zone of the machine that was backed up, as it names it.
    pub zone: String,
    /// What was backed up, as absolute paths on that machine.
    pub sources: Vec<PathText>,
    /// What its run was told to call it; may be nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// How the entries came out.
    pub counts: Counts,
    /// How many bytes there are.
    pub bytes: Bytes,
    /// What decided which bytes are stored: `tar` stores changed files whole, `rsync` of large ones
    /// the blocks that are new.
    pub engine: String,
    /// The program that wrote it.
    pub tool: String,
    /// Whether any entry has extended attributes: where none has, a mount need not look for them.
    pub has_xattrs: bool,
    /// The index: the runs that make the tree of this point in time, newest first.
    pub index: Vec<Run>,
    /// Every level whose bytes this point in time leans on, this one first.
    pub levels: Vec<LevelParts>,
}

/// The level that another was compared with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parent {
    /// Which it is.
    #[serde(with = "text")]
    pub id: LevelId,
    /// SHA-256 of its manifest as stored, in hexadecimal: an older state of the store does not fit
    /// it.
    pub digest: String,
}

/// How the entries of a run came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Entries in the tree, the root included.
    pub entries: u64,
    /// Regular files, each name of a hard-linked one counted.
    pub files: u64,
    /// Directories, the root included.
    pub directories: u64,
    /// Entries that the parent does not have.
    pub new: u64,
    /// Entries that differ from the parent's.
    pub changed: u64,
    /// Entries that are the same in the parent.
    pub unchanged: u64,
    /// Entries of the parent that are gone.
    pub removed: u64,
    /// Things that could not be read, in whole or in part.
    pub failed: u64,
    /// Sockets and other things that no backup can hold.
    pub skipped: u64,
}

/// How many bytes there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bytes {
    /// The sizes of all regular files, holes included, each hard-linked file once.
    pub logical: u64,
    /// The tar stream of this level.
    pub stream: u64,
    /// The segments of all lanes as stored.
    pub stored: u64,
}

/// The root of a sorted run; everything else of it lies in its level's segments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootNode {
    /// The root block, not compressed.
    #[serde(with = "base64_bytes")]
    pub node: Vec<u8>,
    /// How many kinds of block lie below it; 0 when it is the only one.
    pub height: u8,
    /// Records in the run.
    pub entries: u64,
}

/// A sorted run of the index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// The level whose segments hold its blocks.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// Its root.
    pub root: RootNode,
    /// Number of segments in the lane `index`.
    pub segments: u32,
    /// How many subtrees of older runs it says to be gone.
    pub subtrees: u64,
    /// The blocks on the way from the root to the first entries, the lowest first: so that the top
    /// of the tree can be listed with nothing but the manifest.
    pub head: Vec<HeadBlock>,
}

/// A block of a run that the manifest holds as well.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadBlock {
    /// Its number in the lane.
    pub number: u64,
    /// The block, not compressed.
    #[serde(with = "base64_bytes")]
    pub node: Vec<u8>,
}

/// Where a level's stream is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LevelParts {
    /// Its number, as extents name it.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// Its identity, as object names have it.
    #[serde(with = "text")]
    pub id: LevelId,
    /// How its data frames are compressed.
    #[serde(with = "method")]
    pub compression: Compression,
    /// With which level of the method.
    pub compression_level: u32,
    /// Bytes of its tar stream.
    pub stream_bytes: u64,
    /// Number of segments in the lane `segments`.
    pub segments: u32,
    /// Its frame table.
    pub frame_table: RootNode,
    /// Number of segments in the lane `frames`.
    pub frame_table_segments: u32,
    /// The bytes of its stream that this point in time needs; all of them where it does not say. It
    /// never says it of its own level.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "super::live::json"
    )]
    pub live: Option<Ranges>,
    /// How often the level was repacked before this was written: where it is now is then in an
    /// object of a higher number, if any.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repacked: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A path of any bytes in JSON: a string where it is UTF-8, else an object with the bytes in
/// base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PathText {
    /// A path in UTF-8.
    Text(String),
    /// Any other.
    Bytes {
        /// The path's bytes.
        #[serde(with = "base64_bytes")]
        base64: Vec<u8>,
    },
}

impl From<Vec<u8>> for PathText {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(
            |error| Self::Bytes {
                base64: error.into_bytes(),
            },
            Self::Text,
        )
    }
}

impl std::fmt::Display for PathText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Bytes { base64 } => write!(f, "{}", base64.escape_ascii()),
        }
    }
}

/// What a manifest goes by in those that lean on it: SHA-256 of its bytes as stored, in
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

/// What a manifest is made of, when a run has ended.
#[derive(Debug)]
pub struct ManifestParts {
    /// See [`Manifest::store`].
    pub store: StoreId,
    /// What [`Manifest::backup`] gives back.
    pub backup: BackupName,
    /// See [`Manifest::id`].
    pub id: LevelId,
    /// See [`Manifest::serial`].
    pub serial: LevelSerial,
    /// See [`Manifest::level`].
    pub level: u32,
    /// See [`Manifest::parent`].
    pub parent: Option<Parent>,
    /// See [`Manifest::chain`]; none for a full level, whose own start it is.
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
    /// The manifest of a level whose run has ended.
    pub fn new(parts: ManifestParts) -> Self {
        Self {
            version: VERSION,
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

    /// When its run began, by the clock of that run.
    pub fn date(&self) -> jiff::Timestamp {
        date(self.started, self.ended)
    }

    /// The backup it is a level of.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Content`] when what it says cannot be a backup's name.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        BackupName::new(&self.host, &self.name)
            .map_err(|_| DocumentError::Content("its backup name is not one"))
    }

    /// Writes it as it is stored.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer) -> Result<Vec<u8>, ManifestError> {
        let json = serde_json::to_vec(self)
            .map_err(|error| ManifestError::Document(DocumentError::Json(error)))?;
        let mut encoder = Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
            .map_err(ManifestError::Frame)?;
        sealer
            .seal(&mut encoder, Lane::Manifest, FrameNo(0), &json)
            .map_err(ManifestError::Frame)
    }

    /// Reads the manifest of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`] when it was damaged or tampered with, or the key is another one's;
    /// [`ManifestError::Document`] when this version cannot read what it says.
    pub fn open(stored: Vec<u8>, opener: &Opener) -> Result<Self, ManifestError> {
        let json = opener
            .open(&mut Decoder::new(), Lane::Manifest, FrameNo(0), stored)
            .map_err(ManifestError::Frame)?;
        Self::decode(&json).map_err(ManifestError::Document)
    }

    /// Reads the document itself.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        let version = super::version_of(json)?;
        if version != VERSION {
            return Err(DocumentError::Version {
                version,
                known: VERSION,
            });
        }
        serde_json::from_slice(json).map_err(DocumentError::Json)
    }
}

/// The date of a point in time. Earlier versions moved a level behind all that they saw: after a
/// clock that was once ahead, levels began after they had ended. Of these the end is true.
fn date(started: jiff::Timestamp, ended: jiff::Timestamp) -> jiff::Timestamp {
    started.min(ended)
}

/// A manifest without its trees and tables: what upkeep needs of it.
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
    #[serde(default, with = "super::live::json")]
    pub live: Option<Ranges>,
}

impl Outline {
    /// Reads the manifest of the level that `opener` is for.
    ///
    /// # Errors
    ///
    /// As [`Manifest::open`], but of what is passed over.
    pub fn open(stored: Vec<u8>, opener: &Opener) -> Result<Self, ManifestError> {
        let json = opener
            .open(&mut Decoder::new(), Lane::Manifest, FrameNo(0), stored)
            .map_err(ManifestError::Frame)?;
        let version = super::version_of(&json).map_err(ManifestError::Document)?;
        if version != VERSION {
            return Err(ManifestError::Document(DocumentError::Version {
                version,
                known: VERSION,
            }));
        }
        serde_json::from_slice(&json)
            .map_err(|error| ManifestError::Document(DocumentError::Json(error)))
    }

    /// See [`Manifest::date`].
    pub fn date(&self) -> jiff::Timestamp {
        date(self.started, self.ended)
    }

    /// See [`Manifest::backup`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        BackupName::new(&self.host, &self.name)
            .map_err(|_| DocumentError::Content("its backup name is not one"))
    }

    /// The levels whose index objects hold the tree.
    pub fn index_serials(&self) -> Vec<LevelSerial> {
        self.index.iter().map(|run| run.serial).collect()
    }
}

/// Why a manifest could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The frame that holds it.
    #[error("the manifest could not be opened")]
    Frame(#[source] FrameError),
    /// The document in the frame.
    #[error("the manifest could not be understood")]
    Document(#[source] DocumentError),
}

/// Types that are text in JSON.
pub(super) mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use std::fmt::Display;
    use std::str::FromStr;

    pub(in crate::format) fn serialize<T: Display, S: Serializer>(
        value: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(in crate::format) fn deserialize<'de, T: FromStr<Err: Display>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Level serials are numbers in JSON.
pub(super) mod serial {
    use crate::model::LevelSerial;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(in crate::format) fn serialize<S: Serializer>(
        value: &LevelSerial,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(value.0)
    }

    pub(in crate::format) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<LevelSerial, D::Error> {
        u64::deserialize(deserializer).map(LevelSerial)
    }
}

/// Compression methods are their names in JSON.
mod method {
    use super::Compression;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(
        value: &Compression,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.name())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Compression, D::Error> {
        let name = String::deserialize(deserializer)?;
        Compression::from_name(&name)
            .ok_or_else(|| D::Error::custom("a compression that is unknown to this version"))
    }
}

/// Bytes are base64 (RFC 4648 section 4) in JSON.
mod base64_bytes {
    use base64::{Engine, engine::general_purpose::STANDARD};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(value))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Bytes, Counts, HeadBlock, LevelParts, Manifest, ManifestParts, Outline, Parent, PathText,
        RootNode, Run, digest,
    };
    use crate::format::frame::{Compression, Protection, Sealer};
    use crate::model::{BackupName, LevelId, LevelSerial, Ranges, StoreId};

    fn manifest() -> Manifest {
        let id = LevelId::new(jiff::Timestamp::UNIX_EPOCH, 5);
        let root = || RootNode {
            node: vec![0xff, 0, 1],
            height: 2,
            entries: 77,
        };
        Manifest::new(ManifestParts {
            store: StoreId([1; 16]),
            backup: BackupName::new("host", "docs").expect("legal"),
            id: id.clone(),
            serial: LevelSerial(1),
            chain: None,
            started: jiff::Timestamp::UNIX_EPOCH,
            ended: jiff::Timestamp::UNIX_EPOCH,
            zone: "Europe/Berlin".to_owned(),
            sources: vec![b"/home/u/docs".to_vec().into(), b"/\xff".to_vec().into()],
            tags: vec!["monthly".to_owned()],
            counts: Counts {
                entries: 77,
                ..Counts::default()
            },
            bytes: Bytes::default(),
            engine: "tar",
            has_xattrs: true,
            index: vec![Run {
                serial: LevelSerial(1),
                root: root(),
                segments: 1,
                subtrees: 5,
                head: vec![HeadBlock {
                    number: 0,
                    node: vec![3, 4],
                }],
            }],
            level: 3,
            parent: Some(Parent {
                id: id.clone(),
                digest: digest(b"another manifest"),
            }),
            levels: vec![LevelParts {
                serial: LevelSerial(1),
                id,
                compression: Compression::Gzip,
                compression_level: 6,
                stream_bytes: 10240,
                segments: 1,
                frame_table: root(),
                frame_table_segments: 0,
                live: Some(Ranges::new(vec![4096..8192, 16384..40960])),
                repacked: 1,
            }],
        })
    }

    #[test]
    fn a_manifest_reads_back() {
        let manifest = manifest();
        let sealer = Sealer::new(StoreId([1; 16]), manifest.id.clone(), Protection::Checksum);
        let stored = manifest.seal(&sealer).expect("sealed");
        let back = Manifest::open(stored, &sealer.opener()).expect("opened");
        assert_eq!(back, manifest);
        assert_eq!(back.backup().expect("a name").to_string(), "host/docs");
        let outline = Outline::open(manifest.seal(&sealer).expect("sealed"), &sealer.opener())
            .expect("opened");
        assert_eq!(
            (&outline.id, &outline.tags, outline.level),
            (&manifest.id, &manifest.tags, manifest.level)
        );
        assert_eq!(
            (outline.index_serials(), &outline.levels[0].id),
            (vec![LevelSerial(1)], &manifest.levels[0].id)
        );
        assert_eq!(
            (outline.levels[0].stream_bytes, &outline.levels[0].live),
            (10240, &manifest.levels[0].live)
        );
        assert_eq!(
            back.sources[1],
            PathText::Bytes {
                base64: b"/\xff".to_vec()
            }
        );
    }

    #[test]
    fn a_manifest_of_a_newer_version_is_refused_by_its_number() {
        let mut json: serde_json::Value = serde_json::to_value(manifest()).expect("JSON");
        json["version"] = 9.into();
        let error =
            Manifest::decode(&serde_json::to_vec(&json).expect("JSON")).expect_err("a newer one");
        assert!(error.to_string().contains("version 9"), "{error}");
    }
}

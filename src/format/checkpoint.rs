//! Checkpoints: how far a run has come, so that the next run can continue after an interrupted one.
//!
//! JSON, stored as a sealed frame of a lane of its own, so that a checkpoint can never pass for a
//! manifest.
//! Layout: docs/format.md, "Checkpoints".

use super::frame::{Lane, Opener, Sealer};
use super::json::{serial, text};
use super::manifest::{LevelParts, ManifestError, RootNode};
use super::{DocumentError, backup_name, decode_document, sealed};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, StoreId};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// The most bytes that a stored checkpoint may have.
pub const MAX_CHECKPOINT_BYTES: u64 = 16 << 20;

/// The most streams that a checkpoint may name, its own included. No backup is interrupted so often
/// in a row, and each stream costs a listing.
const MOST_LEVELS: usize = 64;

/// The progress of a run at one moment. Everything that a checkpoint names was stored before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// The store that the run writes to.
    #[serde(with = "text")]
    pub store: StoreId,
    host: String,
    name: String,
    /// The level that the run was to make.
    #[serde(with = "text")]
    pub id: LevelId,
    /// The level's number, by which extents name it.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// When the walk began.
    pub began: jiff::Timestamp,
    /// When the run wrote the checkpoint.
    pub at: jiff::Timestamp,
    /// The entries so far, as a run of the index in the level's own `index/` objects.
    pub index: RootNode,
    /// The file that the run was storing, with the extents that were in the stream by then: a run
    /// of one entry, all of it in the root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<RootNode>,
    /// The run's stream so far, then the streams that it took over from interrupted runs.
    pub levels: Vec<LevelParts>,
}

/// The content of a checkpoint.
#[derive(Debug)]
pub struct CheckpointParts {
    /// See [`Checkpoint::store`].
    pub store: StoreId,
    /// See [`Checkpoint::backup`].
    pub backup: BackupName,
    /// See [`Checkpoint::began`].
    pub began: jiff::Timestamp,
    /// See [`Checkpoint::at`].
    pub at: jiff::Timestamp,
    /// See [`Checkpoint::index`].
    pub index: RootNode,
    /// See [`Checkpoint::begun`].
    pub begun: Option<RootNode>,
    /// The run's own stream so far, from which [`Checkpoint::id`] and [`Checkpoint::serial`] come.
    pub own: LevelParts,
    /// The streams that the run took over: the rest of [`Checkpoint::levels`].
    pub taken: Vec<LevelParts>,
}

impl Checkpoint {
    /// Makes a checkpoint.
    pub fn new(parts: CheckpointParts) -> Self {
        Self {
            version: VERSION,
            store: parts.store,
            host: parts.backup.host().to_owned(),
            name: parts.backup.name().to_owned(),
            id: parts.own.id.clone(),
            serial: parts.own.serial,
            began: parts.began,
            at: parts.at,
            index: parts.index,
            begun: parts.begun,
            levels: std::iter::once(parts.own).chain(parts.taken).collect(),
        }
    }

    /// Returns the backup that the run was to make a level of.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Content`] if host and name cannot be those of a backup.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        backup_name(&self.host, &self.name)
    }

    /// Encodes the checkpoint as it is stored: as the run's checkpoint `number`.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer, number: FrameNo) -> Result<Vec<u8>, ManifestError> {
        sealed::seal(self, sealer, Lane::Checkpoint, number)
    }

    /// Reads checkpoint `number` of the run that `opener` is for.
    ///
    /// # Errors
    ///
    /// As [`Manifest::open`](super::manifest::Manifest::open).
    pub fn open(stored: Vec<u8>, opener: &Opener, number: FrameNo) -> Result<Self, ManifestError> {
        let json = sealed::open(stored, opener, Lane::Checkpoint, number)?;
        Self::decode(&json).map_err(ManifestError::Document)
    }

    /// Decodes the JSON document, and refuses one that contradicts itself.
    ///
    /// # Errors
    ///
    /// [`DocumentError`].
    pub fn decode(json: &[u8]) -> Result<Self, DocumentError> {
        let checkpoint: Self = decode_document(json, VERSION)?;
        let (own, taken) = checkpoint
            .levels
            .split_first()
            .ok_or(DocumentError::Content("it names no stream"))?;
        if (own.serial, &own.id) != (checkpoint.serial, &checkpoint.id) {
            return Err(DocumentError::Content(
                "the first stream that it names is not its own",
            ));
        }
        let are_earlier = taken
            .iter()
            .all(|parts| parts.serial < own.serial && parts.id < own.id);
        let mut serials: Vec<LevelSerial> = taken.iter().map(|parts| parts.serial).collect();
        serials.sort_unstable();
        serials.dedup();
        if !are_earlier || serials.len() != taken.len() || taken.len() >= MOST_LEVELS {
            return Err(DocumentError::Content(
                "it takes over streams that cannot be those of earlier runs",
            ));
        }
        Ok(checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::{Checkpoint, CheckpointParts};
    use crate::format::frame::{Compression, Protection, Sealer};
    use crate::format::manifest::{LevelParts, Manifest, RootNode};
    use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, StoreId};

    fn parts(serial: u64) -> LevelParts {
        let at =
            jiff::Timestamp::from_second(i64::try_from(serial).expect("small")).expect("a moment");
        LevelParts {
            serial: LevelSerial(serial),
            id: LevelId::new(at, 5),
            compression: Compression::Gzip,
            compression_level: 6,
            stream_bytes: 10240,
            segments: 1,
            frame_table: RootNode {
                node: vec![1, 2],
                height: 0,
                entries: 3,
            },
            frame_table_segments: 0,
            live: None,
            repacked: 0,
        }
    }

    fn checkpoint() -> Checkpoint {
        Checkpoint::new(CheckpointParts {
            store: StoreId([1; 16]),
            backup: BackupName::new("host", "docs").expect("legal"),
            began: jiff::Timestamp::UNIX_EPOCH,
            at: jiff::Timestamp::UNIX_EPOCH,
            index: RootNode {
                node: vec![0xff, 0, 1],
                height: 2,
                entries: 77,
            },
            begun: Some(RootNode {
                node: vec![0xff, 1],
                height: 0,
                entries: 1,
            }),
            own: parts(7),
            taken: vec![parts(5), parts(6)],
        })
    }

    #[test]
    fn a_checkpoint_reads_back_only_under_its_number_and_not_as_a_manifest() {
        let checkpoint = checkpoint();
        let sealer = Sealer::new(
            StoreId([1; 16]),
            checkpoint.id.clone(),
            Protection::Checksum,
        );
        let stored = checkpoint.seal(&sealer, FrameNo(3)).expect("sealed");
        let back = Checkpoint::open(stored.clone(), &sealer.opener(), FrameNo(3)).expect("opened");
        assert_eq!(back, checkpoint);
        assert_eq!(back.backup().expect("a name").to_string(), "host/docs");
        Checkpoint::open(stored.clone(), &sealer.opener(), FrameNo(4))
            .expect_err("an older checkpoint in place of a newer one");
        let first = checkpoint.seal(&sealer, FrameNo(0)).expect("sealed");
        Manifest::open(first, &sealer.opener())
            .expect_err("a checkpoint that was moved would be a level");
    }

    #[test]
    fn one_that_contradicts_itself_is_refused() {
        let sound = checkpoint();
        let refused = |change: &dyn Fn(&mut Checkpoint)| {
            let mut other = sound.clone();
            change(&mut other);
            Checkpoint::decode(&serde_json::to_vec(&other).expect("JSON"))
                .expect_err("it contradicts itself");
        };
        refused(&|other| other.levels.clear());
        refused(&|other| other.serial = LevelSerial(9));
        refused(&|other| other.levels[1] = parts(8));
        refused(&|other| other.levels[1] = other.levels[2].clone());
        refused(&|other| other.levels[1].id = other.id.clone());
        refused(&|other| other.levels.extend((0..200).map(|_| parts(1))));
        refused(&|other| other.version = 2);
        Checkpoint::decode(&serde_json::to_vec(&sound).expect("JSON")).expect("sound");
    }
}

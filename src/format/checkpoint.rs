//! How far a run has come: what the next run can take from one that was cut off.
//!
//! JSON, stored as a sealed frame of a lane of its own, so that it can never pass for a manifest.
//! Layout: docs/format.md, "Checkpoints".

use super::DocumentError;
use super::frame::{Compression, Decoder, Encoder, Lane, Opener, Sealer};
use super::manifest::{LevelParts, ManifestError, RootNode, serial, text};
use crate::model::{BackupName, FrameNo, LevelId, LevelSerial, StoreId};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// Most bytes a stored checkpoint may have.
pub const MAX_CHECKPOINT_BYTES: u64 = 16 << 20;

/// Most streams of runs that were cut off that one may take from: nobody is cut off so often, and
/// each costs a listing.
const MOST_LEVELS: usize = 64;

/// What a run had done at some moment. All that it names had been stored before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    version: u32,
    /// The store it was written to.
    #[serde(with = "text")]
    pub store: StoreId,
    host: String,
    name: String,
    /// The level that was to be made.
    #[serde(with = "text")]
    pub id: LevelId,
    /// Its number, as extents name it.
    #[serde(with = "serial")]
    pub serial: LevelSerial,
    /// When the walk began.
    pub began: jiff::Timestamp,
    /// When this was written.
    pub at: jiff::Timestamp,
    /// The entries that the run had written, as a run of the index in its own `index/` objects.
    pub index: RootNode,
    /// A run of one entry, all in its root: the file that it was at, with the extents that were in
    /// the stream by then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<RootNode>,
    /// Its stream so far, and those of runs cut off before it that it took from.
    pub levels: Vec<LevelParts>,
}

/// What a checkpoint is made of.
#[derive(Debug)]
pub struct CheckpointParts {
    /// See [`Checkpoint::store`].
    pub store: StoreId,
    /// What [`Checkpoint::backup`] gives back.
    pub backup: BackupName,
    /// See [`Checkpoint::began`].
    pub began: jiff::Timestamp,
    /// See [`Checkpoint::at`].
    pub at: jiff::Timestamp,
    /// See [`Checkpoint::index`].
    pub index: RootNode,
    /// See [`Checkpoint::begun`].
    pub begun: Option<RootNode>,
    /// The stream so far: says also what [`Checkpoint::id`] and [`Checkpoint::serial`] are.
    pub own: LevelParts,
    /// The other [`Checkpoint::levels`].
    pub taken: Vec<LevelParts>,
}

impl Checkpoint {
    /// Joins its parts.
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

    /// The backup that its run was to make a level of.
    ///
    /// # Errors
    ///
    /// [`DocumentError::Content`] when what it says cannot be a backup's name.
    pub fn backup(&self) -> Result<BackupName, DocumentError> {
        BackupName::new(&self.host, &self.name)
            .map_err(|_| DocumentError::Content("its backup name is not one"))
    }

    /// Writes it as it is stored: the `number`-th of its run.
    ///
    /// # Errors
    ///
    /// [`ManifestError::Frame`].
    pub fn seal(&self, sealer: &Sealer, number: FrameNo) -> Result<Vec<u8>, ManifestError> {
        let json = serde_json::to_vec(self)
            .map_err(|error| ManifestError::Document(DocumentError::Json(error)))?;
        let mut encoder = Encoder::new(Compression::Zstd, Compression::Zstd.default_level())
            .map_err(ManifestError::Frame)?;
        sealer
            .seal(&mut encoder, Lane::Checkpoint, number, &json)
            .map_err(ManifestError::Frame)
    }

    /// Reads the `number`-th checkpoint of the run that `opener` is for.
    ///
    /// # Errors
    ///
    /// As [`Manifest::open`](super::manifest::Manifest::open).
    pub fn open(stored: Vec<u8>, opener: &Opener, number: FrameNo) -> Result<Self, ManifestError> {
        let json = opener
            .open(&mut Decoder::new(), Lane::Checkpoint, number, stored)
            .map_err(ManifestError::Frame)?;
        Self::decode(&json).map_err(ManifestError::Document)
    }

    /// Reads the document itself. One that contradicts itself is refused.
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
        let checkpoint: Self = serde_json::from_slice(json).map_err(DocumentError::Json)?;
        let (own, taken) = checkpoint
            .levels
            .split_first()
            .ok_or(DocumentError::Content("it names no stream"))?;
        if (own.serial, &own.id) != (checkpoint.serial, &checkpoint.id) {
            return Err(DocumentError::Content("the first stream is not its own"));
        }
        let are_earlier = taken
            .iter()
            .all(|parts| parts.serial < own.serial && parts.id < own.id);
        let mut serials: Vec<LevelSerial> = taken.iter().map(|parts| parts.serial).collect();
        serials.sort_unstable();
        serials.dedup();
        if !are_earlier || serials.len() != taken.len() || taken.len() >= MOST_LEVELS {
            return Err(DocumentError::Content(
                "it takes from what cannot have been there before it",
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
    fn a_checkpoint_reads_back_under_its_own_number_and_is_no_manifest() {
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
            .expect_err("an older one in place of a newer");
        let first = checkpoint.seal(&sealer, FrameNo(0)).expect("sealed");
        Manifest::open(first, &sealer.opener())
            .expect_err("whoever can move objects could else make a level of it");
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

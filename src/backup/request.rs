//! The request for a run, and the parts that a run works with.

use super::blocks::Engine;
use super::checkpoint::CheckpointRule;
use super::left_out::Mounts;
use super::levels::Levels;
use crate::catalog::{Access, Patience};
use crate::format::frame::Compression;
use crate::model::{BackupName, Cancel, Excludes, Progress};
use crate::platform::Clock;
use std::path::PathBuf;
use std::time::Duration;

/// What to back up, and how.
#[derive(Clone, Debug)]
pub struct BackupRequest {
    /// The backup that gets a new level.
    pub backup: BackupName,
    /// Files and directories to back up.
    pub sources: Vec<PathBuf>,
    /// Patterns of files that are left out.
    pub excludes: Excludes,
    /// Whether other file systems below a source are walked.
    pub mounts: Mounts,
    /// Device and inode of directories that are left out: those of stores.
    pub skip: Vec<(u64, u64)>,
    /// Whether a tree without any file may follow one that had files.
    pub allow_empty: bool,
    /// Whether a run makes no level where nothing differs from the newest one.
    pub skip_unchanged: bool,
    /// Rules for the level that is made.
    pub levels: Levels,
    /// The part of a changed file that is stored.
    pub engine: Engine,
    /// How frames are compressed.
    pub compression: Compression,
    /// Level of the compression method.
    pub compression_level: u32,
    /// Length in bytes at which a segment is cut.
    pub segment_bytes: u64,
    /// Number of segments that are stored at once. Memory holds one more than this.
    pub upload_jobs: usize,
    /// Tags of the level, by which retention may choose.
    pub tags: Vec<String>,
    /// Name of this machine's time zone, for the manifest.
    pub zone: String,
    /// How often to take a checkpoint, for the next run if this one is interrupted. Without a lock
    /// none is taken. `None` takes none, and takes nothing up either.
    pub checkpoints: Option<CheckpointRule>,
    /// The longest time that one call to a file system of the sources may take; `None` waits for
    /// ever.
    pub source_timeout: Option<Duration>,
    /// How other runs of the same backup are kept out; `None` for a store that keeps nothing.
    pub lock: Option<BackupLock>,
}

/// How other runs of the same backup are kept out.
#[derive(Clone, Debug)]
pub struct BackupLock {
    /// Name of this machine, which the others show.
    pub host: String,
    /// How long to wait while another run is under way.
    pub patience: Patience,
}

/// The request, and the connections to everything outside of a run.
#[derive(Clone, Copy)]
pub(super) struct RunContext<'run> {
    pub(super) request: &'run BackupRequest,
    pub(super) access: &'run Access,
    pub(super) clock: &'run dyn Clock,
    pub(super) progress: &'run dyn Progress,
    pub(super) cancel: &'run Cancel,
}

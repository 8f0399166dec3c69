//! Turns a tree of files into a level.
//!
//! A run goes in three steps: `plan` decides what to build on and what to take up, `pipeline` reads
//! and stores, and `publish` writes the manifest, which makes the level exist. `run` tells this
//! story from the lock to the report: start reading at [`run`].
//!
//! The pipeline has one direction. Each arrow is a bounded channel, each box one thread or several:
//!
//! ```text
//! walk ─steps→ read (×n) ─entries, in order→ archive
//! archive ─raw frames→ seal (×n) ─→ collect ─segments→ uploads (×n) ─→ store
//!    └──────────────index blocks────────────────────────↑
//! ```
//!
//! Only errors and progress come back up.
//!
//! | file | what it does |
//! |---|---|
//! | `run`, `request`, `plan`, `pipeline`, `publish` | the run, its parts and the request |
//! | `levels`, `base`, `resume` | the level to build on; interrupted runs to take content from |
//! | `sources`, `walk`, `earlier_names` | lists the tree beside the earlier one |
//! | `left_out` | leaves out stores, mounts of backups and the kernel's file systems |
//! | `read/`, `compare`, `content`, `moved` | reads entries; finds what has not changed |
//! | `step`, `read_step`, `handover` | what goes from the walk over the readers to the archive |
//! | `archive/`, `stream`, `index_writer`, `live` | writes the tar stream and the index |
//! | `blocks/` | finds the new blocks of a large file |
//! | `seal`, `collect`, `segments`, `lane`, `uploads` | turns frames into objects and stores them |
//! | `checkpoint/` | notes how far the run has come |
//!
//! Invariants: the bytes of an extent go into the stream before its entry goes into the index; the
//! stream is a tar archive whatever happens to the files meanwhile; memory does not grow with the
//! number of files.

mod archive;
mod base;
mod blocks;
mod checkpoint;
mod collect;
mod compare;
mod content;
mod counted_progress;
mod earlier_names;
mod error;
mod handover;
mod index_writer;
mod lane;
mod left_out;
mod levels;
mod live;
mod moved;
mod own_level;
mod pipeline;
mod plan;
mod publish;
mod read;
mod read_step;
mod request;
mod resume;
mod run;
mod seal;
mod segments;
mod serve;
mod source_calls;
mod sources;
mod step;
mod stop;
mod stream;
mod unread;
mod uploads;
mod walk;

pub use archive::TakenUp;
pub use blocks::{BlockOptions, Engine};
pub use checkpoint::CheckpointRule;
pub use compare::{Evidence, Lies, SameContent};
pub use error::BackupError;
pub use left_out::{LeftOut, Mounts, WhyLeftOut};
pub use levels::Levels;
pub use publish::Report;
pub use request::{BackupLock, BackupRequest};
pub use run::run;
pub use sources::SourceError;
pub use stream::{FrameSizes, LARGE_FILE_BYTES};
pub use unread::Unread;

//! The index: where in the stream a path is. Holds the tree of a point in time and the frame table;
//! both are sorted runs.
//!
//! A tree is one run, or several on top of each other: for each path, the newest run that has it
//! decides. A *run* is an immutable B+tree. It is written once, from its entries in order, and read
//! lazily: a [`BlockSink`] takes its blocks, a [`BlockSource`] gives them back, and the manifest
//! holds the root as a [`RunRoot`]. This module makes and reads raw blocks. Sink and source
//! compress, encrypt and authenticate them and know the objects that hold them. The index knows
//! neither FUSE nor stores.
//!
//! Start reading at [`Tree`], [`TreeWriter`] and [`DeltaWriter`] (paths to entries) or at
//! [`FrameTable`] (stream offsets to places of frames). Below them:
//!
//! | module | what it does |
//! |---|---|
//! | `layers`, `merged`, `listing` | read several runs as one tree |
//! | `differences`, `tree_series`, `histories` | compare several trees |
//! | `run`, `run_writer` | read and write one B+tree |
//! | `node` | reads and writes one block |
//! | `cache` | keeps decoded blocks |
//! | `entry_codec`, `key` | turn entries and paths into values and keys of a run |
//!
//! Invariants:
//! - A block is checked as a whole before anything in it is used, and it must match what its parent
//!   says of it. A broken block is an error that names the block, never a missing entry.
//! - A writer holds one block for each height. A reader holds a path of blocks, besides the cache.
//! - Equal entries make equal bytes.
//!
//! Layouts: docs/format/index.md.

mod block;
mod block_address;
mod block_survey;
mod bytes;
mod cache;
mod delta_writer;
mod differences;
mod entry_codec;
mod error;
mod frame_table;
mod histories;
mod key;
mod layers;
mod listing;
mod memory;
mod merged;
mod node;
mod node_number;
mod run;
mod run_writer;
mod tree;
mod tree_series;
mod tree_writer;

pub use block::{BlockSink, BlockSource, HeadBlock, RunRoot, WithHead};
pub use block_address::{BlockAddress, BlockPlace};
pub use block_survey::{SurveyedBlock, survey_blocks};
pub use cache::BlockCache;
pub use delta_writer::{DeltaRun, DeltaWriter};
pub use differences::{Difference, Differences};
pub use entry_codec::EntryAttributes;
pub use error::IndexError;
pub use frame_table::{FrameRow, FrameRows, FrameTable, FrameTableWriter, Stretch, leaf_of};
pub use histories::Histories;
pub use layers::TreeRun;
pub use listing::{Children, Entries};
pub use memory::MemoryBlocks;
pub use tree::Tree;
pub use tree_series::{PathHistory, PathKey, Spell, TreeSeries};
pub use tree_writer::TreeWriter;

/// The most bytes that a raw block may have: a [`BlockSource`] must be ready to decompress this
/// much. Blocks have about 16 KiB; only an entry with very many extents makes a larger one.
pub const MAX_BLOCK_BYTES: usize = 64 * 1024 * 1024;

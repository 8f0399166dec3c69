//! Where in the stream is a path? The tree of a point in time, and the frame table: both are sorted
//! runs.
//!
//! A tree is one run or several on top of each other: of each path the newest run that has it
//! decides. A *run* is an immutable B+tree, written once from its entries in order and read lazily:
//! a [`BlockSink`] takes its blocks, a [`BlockSource`] gives them back, the root goes into the
//! manifest as a [`RunRoot`]. This module makes and reads raw blocks; compression, encryption,
//! authentication and places in objects are their keepers' business. It knows nothing of FUSE and
//! nothing of stores.
//!
//! Start at [`Tree`], [`TreeWriter`] and [`DeltaWriter`] (paths → entries) or [`FrameTable`]
//! (stream offsets → places of frames). Below them: `layers` (several runs as one), `differences`
//! and `tree_series` (several trees side by side), `run` and `run_writer` (the B+tree), `node` (one
//! block), `cache` (decoded blocks), `entry_codec` and `key` (what the tree keeps in a run).
//!
//! Invariants:
//! - a block is checked as a whole before anything of it is used, and against what its parent says
//!   of it; a broken one is an error that names it, never a missing entry;
//! - memory is one block for each height when writing, and the cache's capacity plus a path of
//!   blocks for each reader;
//! - equal entries make equal bytes.
//!
//! Layouts: docs/format/index.md.

mod block;
mod block_survey;
mod bytes;
mod cache;
mod delta_writer;
mod differences;
mod entry_codec;
mod error;
mod frame_table;
mod key;
mod layers;
mod memory;
mod node;
mod run;
mod run_writer;
mod tree;
mod tree_series;
mod tree_writer;

pub use block::{BlockAddress, BlockSink, BlockSource, HeadBlock, RunRoot, WithHead};
pub use block_survey::{SurveyedBlock, survey_blocks};
pub use cache::BlockCache;
pub use delta_writer::{DeltaRun, DeltaWriter};
pub use differences::{Difference, Differences};
pub use entry_codec::Attributes;
pub use error::{BlockPlace, IndexError};
pub use frame_table::{FrameRow, FrameTable, FrameTableWriter, Rows, leaf_of};
pub use layers::TreeRun;
pub use memory::MemoryBlocks;
pub use tree::{Children, Entries, Tree};
pub use tree_series::{Histories, PathHistory, PathKey, Spell, TreeSeries};
pub use tree_writer::TreeWriter;

/// The most a block may have, raw: what a [`BlockSource`] must be ready to decompress. Blocks are
/// about 16 KiB; only an entry with very many extents makes a larger one.
pub const MAX_BLOCK_BYTES: usize = 64 * 1024 * 1024;

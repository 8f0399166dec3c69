//! The engine for large files that change in place: finds the blocks of a file that earlier levels
//! have, so that only the others are stored.
//!
//! ```text
//! signatures of the earlier version ─→ known_blocks ─┐
//! the file as it is ─────────────────────────────────┴→ scan ─→ block_plan: kept pieces, new ones
//! ```
//!
//! The archive stores the new pieces of a plan (`archive::by_blocks`). Start reading at
//! [`scan()`]. Reasons and figures: docs/design/0006.
//!
//! Invariants: a piece is kept only if the strong sum of its block agrees; what cannot be compared
//! is stored; memory is bounded by [`MAX_BLOCKS`](engine::MAX_BLOCKS), whatever a file's size.

mod block_plan;
mod earlier_streams;
mod earlier_version;
mod engine;
mod known_blocks;
mod scan;

pub(super) use block_plan::{BlockPlan, PlannedPiece};
pub(super) use earlier_streams::{EarlierStreams, StoredFrames, Unusable};
pub(super) use earlier_version::EarlierVersion;
pub(super) use engine::block_bytes;
pub use engine::{BlockOptions, Engine};
pub(super) use known_blocks::KnownBlocks;
pub(super) use scan::{Readable, Scanned, scan};

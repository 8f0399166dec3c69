//! Checkpoints: notes of how far a run has come. If the run is interrupted, the next one continues
//! from the newest. Record: docs/design/0014.
//!
//! A checkpoint is taken between two members, or inside a large file. The frame ends there and
//! carries a [`Mark`] that says what the index holds by then. Where that frame becomes part of a
//! segment, the segment and the frame table are closed too. The checkpoint is stored once all of
//! that is stored.
//!
//! `rule` says when a checkpoint is due, `mark` what the frame carries, and `writer` stores it.

mod mark;
mod rule;
mod writer;

pub(super) use mark::{IndexSoFar, Mark, begun_file};
pub use rule::CheckpointRule;
pub(super) use rule::CheckpointTimer;
pub(super) use writer::CheckpointWriter;

//! Is it sound? Checks of what a store holds.
//!
//! Reads the store directly, past every cache of the read path, and trusts nothing it did not see. Changes nothing.
//! Start reading at [`check()`].

mod check;
mod frames;
mod ranges;

pub use check::{CheckError, Checked, Damage, Depth, check};

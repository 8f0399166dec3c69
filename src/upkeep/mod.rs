//! Is it sound, and what may go? Checks of what a store holds, and the removal of what is not wanted or not needed.
//!
//! A check reads the store directly, past every cache of the read path, trusts nothing it did not see, and changes nothing: start
//! at [`check()`]. A prune lets points in time go and removes the data that nothing needs: start at [`plan`]. A repack gives back what
//! lies among what is needed: start at [`Repack`].
//!
//! Invariant: whatever is cut off or runs at the same time, a point in time that is left has all that it names.

mod check;
mod error;
mod frames;
mod points;
mod prune;
mod repack;
mod space;
mod unneeded;
mod withdrawn;

pub use check::{CheckError, Checked, Damage, Depth, check};
pub use error::PruneError;
pub use prune::{Condemned, GRACE, Going, Plan, Planned, Pruned, plan, unneeded_bytes, withdraw};
pub use repack::{Below, Repack, Repacking, plan_repack};

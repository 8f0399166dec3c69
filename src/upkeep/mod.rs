//! Is it sound, and what may go? Checks of what a store holds, and the removal of what is not
//! wanted or not needed.
//!
//! A check reads the store directly, past every cache of the read path, trusts nothing it did not
//! see, and changes nothing: start at [`check()`]. A repair mends what can be mended, and sees to
//! it that what is lost is stored again: start at [`repair()`]. A prune lets points in time go and
//! removes the data that nothing needs: start at [`plan`]. A repack gives back what lies among what
//! is needed: start at [`Repack`]. A sync brings a copy of a store up to date: start at [`sync()`].
//!
//! Invariant: whatever is cut off or runs at the same time, a point in time that is left has all
//! that it names.

mod check;
mod damage;
mod error;
mod frames;
mod mend;
mod points;
mod portion;
mod prune;
mod remarks;
mod repack;
mod repair;
mod space;
mod sync;
mod unneeded;
mod verdict;
mod withdrawn;

pub use check::{CheckError, Checked, Depth, Unreadable, check};
pub use damage::Damage;
pub use error::{PruneError, SyncError};
pub use mend::Mended;
pub use portion::Portion;
pub use prune::{Condemned, GRACE, Going, Plan, Planned, Pruned, plan, unneeded_bytes, withdraw};
pub use remarks::{Remark, remarks};
pub use repack::{Below, Repack, Repacking, plan_repack};
pub use repair::{LostData, RepairError, Repaired, remove_unreadable, repair};
pub use space::Locked;
pub use sync::{Pair, Synced, Wanted, missing, sync};
pub use verdict::{DamageFound, Verdict};

//! Is it sound, and what may go? Checks what a store holds, mends it, and removes what is not
//! wanted or not needed.
//!
//! | folder or file | question |
//! |---|---|
//! | `check/` | is everything there, and can it be read? Start at [`check()`] |
//! | `repair/` | what can be mended, and what is lost? Start at [`repair()`] |
//! | `prune/` | which points in time go, and which data goes with them? Start at [`plan`] |
//! | `repack/` | how does space come back that lies among needed data? Start at [`Repack`] |
//! | `sync/` | what does a copy of a store lack? Start at [`sync()`] |
//! | `remarks` | what else is there that an admin should know? |
//!
//! They share these answers:
//!
//! | file | question |
//! |---|---|
//! | `space` | which data objects are there? |
//! | `points` | which points in time are there, and what do they lean on? |
//! | `inventory` | how are both read so that nothing needed looks unneeded? |
//! | `needed` | which parts of which levels must stay? |
//! | `streams` | how much of each segment of a level is needed? |
//! | `unneeded` | which data does nothing need? |
//! | `grace` | which unneeded data is kept, as someone may be reading it? |
//! | `removal` | how are objects removed, and which does the store hold? |
//! | `frames_at_once` | which frames does one request fetch? |
//! | `workers` | how do threads share work? |
//! | `backup_in` | which backup in which store is worked on? |
//! | `error` | why did one of them not do all that it should? |
//!
//! A check reads the store directly, past every cache of the read path. It believes nothing that it
//! has not seen, and changes nothing.
//!
//! Invariant: wherever one of these is cut off, and whatever runs at the same time, every point in
//! time that is left has all that it names.

mod backup_in;
mod check;
mod error;
mod frames_at_once;
mod grace;
mod inventory;
mod needed;
mod points;
mod prune;
mod remarks;
mod removal;
mod repack;
mod repair;
mod space;
mod streams;
mod sync;
mod unneeded;
mod verdict;
mod workers;

pub use check::{Checked, Damage, Depth, Portion, UnreadablePoint, check};
pub use error::{CheckError, PruneError, RepairError, SyncError};
pub use grace::{GRACE, Grace};
pub use prune::{Condemned, Going, Plan, Planned, Pruned, plan, withdraw};
pub use remarks::{Remark, remarks};
pub use removal::Locked;
pub use repack::{Below, Repack, Repacking, plan_repack};
pub use repair::{LostData, Mended, Repaired, remove_unreadable, repair};
pub use sync::{DamagedObject, LevelsToCopy, ObjectFlaw, Pair, SyncOptions, Synced, missing, sync};
pub use unneeded::unneeded_bytes;
pub use verdict::{DamageFound, NothingToCheck, Verdict};

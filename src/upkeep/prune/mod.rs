//! Lets points in time go, and then removes the data that nothing needs any more.
//!
//! | file | question |
//! |---|---|
//! | `plan` | which points in time would go, and how many bytes would that free? |
//! | `withdraw` | how do they go, and then the data that nothing needs? |
//!
//! Why no point in time is ever left without something it names, whatever runs at the same time and
//! wherever this is cut off:
//!
//! 1. A manifest is removed before any data, and data only if no manifest that is left names it:
//!    the index of a level by its number, of a stream the bytes that are live. A segment goes when
//!    none of its frames holds such a byte. The stream of a level whose own manifest is there stays
//!    whole.
//! 2. A new manifest names levels of one that was there when its run began, and the run's own. Of
//!    the streams of earlier levels it names bytes that the same manifest says are live: every
//!    entry that is not stored anew is one of its entries (under the same name or another), and
//!    ranges are joined over live bytes alone (`backup::live`). A run holds the backup's lock from
//!    before it looks for that manifest until after it has published its own. A prune finds with
//!    that lock held what is to be removed, from a listing of the data and then one of the
//!    manifests, and looks at the lock once more after them. So no run is under way then, and no
//!    run will ever name what no manifest names at that moment. A sync ([`super::sync`]) brings
//!    manifests from another store, which may name it: so the lock is held for the removal, too.
//! 3. A manifest that cannot be read may name every level that was made before it: their data
//!    stays. Where ids do not tell which those are, as a clock was wrong, all data stays. An object
//!    that is no manifest at all, and has no data, keeps nothing: [`crate::catalog::is_stray`].
//! 4. A reader that opened a point in time before it went has the grace to end: [`super::grace`].

mod plan;
mod withdraw;

pub use plan::{Going, Plan, Planned, plan};
pub use withdraw::{Condemned, Pruned, withdraw};

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
//! 1. A manifest is removed before any data. Data is removed only if no remaining manifest names
//!    it: manifests name the index of a level by its number, and of a stream the live bytes. A
//!    segment goes when none of its frames holds a live byte. The stream of a level whose own
//!    manifest is there stays whole.
//! 2. A new manifest names the level of its run, and levels that one earlier manifest named when
//!    the run began. In the streams of those levels it names only bytes that the earlier manifest
//!    calls live. For every entry that is not stored anew is an entry of the earlier manifest
//!    (under the same name or another), and ranges are joined over live bytes alone
//!    (`backup::live`). A run holds the backup's lock from before it looks for that manifest until
//!    after it has published its own. A prune holds the same lock while it lists the data and then
//!    the manifests, and checks the lock once more after that. So no run is under way at that
//!    moment, and no later run will ever name data that no manifest names then. A sync
//!    ([`super::sync`]) could bring a manifest from another store that names such data, so the
//!    prune holds the lock during the removal too.
//! 3. A manifest that cannot be read may name every level that was made before it: their data
//!    stays. Where ids do not tell which those are, as a clock was wrong, all data stays. An object
//!    that is no manifest at all, and has no data, keeps nothing: [`crate::catalog::is_stray`].
//! 4. A reader that opened a point in time before it went has the grace to end: [`super::grace`].

mod plan;
mod withdraw;

pub use plan::{Going, Plan, Planned, plan};
pub use withdraw::{Condemned, Pruned, withdraw};

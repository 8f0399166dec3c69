//! Which backups exist: opens a store, names its objects, and keeps its levels in order.
//!
//! | file | question |
//! |---|---|
//! | [`names`] | what is an object called, and what does a name mean? |
//! | `listing` | what lies below a prefix of names? |
//! | `access/` | is there a store, who may open it, and what do its manifests say? |
//! | `place` | which folders of this machine are stores? |
//! | [`known`] | is this the store that this client saw before? |
//! | `backups` | which backups and levels exist, and how does a level begin or cease to? |
//! | `outlines` | how are many manifests read at once? |
//! | `stray` | is an object that does not open a damaged manifest, or none at all? |
//! | `order` | in which order were the levels made? |
//! | `given` | which serials had levels that are gone? |
//! | `hidden/` | which backup does a hidden name stand for? |
//! | `locate` | which point in time does `name@DATE` mean? |
//! | `lock/` | who may change a backup now? |
//! | `left/` | what did cut-off runs leave, and what becomes of it? |
//! | `lost` | which parts of a level are known to be lost? |
//! | [`stream`] | where is a level's tar stream, and how much of it is needed? |
//! | `blocks`, `tree` | how is the index of a point in time read? |
//! | `whole` | how do other programs get a level as one object? |
//!
//! Start reading at [`Catalog`] and [`names`].
//!
//! Invariants: a level exists when its manifest does. The manifest is stored after all that it
//! names, and removed before.

mod access;
mod backups;
mod blocks;
mod error;
mod given;
mod hidden;
pub mod known;
mod left;
mod listing;
mod locate;
mod lock;
mod lost;
pub mod names;
mod order;
mod outlines;
mod place;
mod stray;
pub mod stream;
mod tree;
mod whole;

pub use access::{Access, AccessError, IdentityCopy, Rotated, Upgrade};
pub use backups::{Backup, Catalog};
pub use blocks::{Blocks, BlocksAhead};
pub use error::{CatalogError, LevelVerb};
pub use given::next_serial_after_removed;
pub use left::Left;
pub use listing::{is_any_below, objects_below};
pub use locate::{Located, locate};
pub use lock::{
    ClaimState, Held, HeldClaim, LockError, LockRequest, Patience, claims, end_claim, held_claims,
    with_lock,
};
pub use lost::{lost_parts, note_lost};
pub use order::{Order, OrderMemory, in_order};
pub use outlines::outlines;
pub use place::{is_store, store_around};
pub use stray::is_stray;
pub use tree::{TreeError, open_tree};
pub use whole::offer_whole;

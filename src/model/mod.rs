//! The words of the product: names, times, entries, extents, levels. Pure data and rules, no I/O.
//!
//! Start reading at [`Entry`]: everything else describes a part of it, or says which level it belongs to.
//!
//! Invariant: no type here can fail after it was made. Text and bytes from outside are checked where
//! they are parsed or decoded.

mod entry;
mod ids;
mod name;
pub mod progress;
mod time;

pub use entry::{Content, Device, Entry, Extent, Kind, Metadata, Owner, Xattr};
pub use ids::{BackupName, FileOffset, FrameNo, LevelId, LevelSerial, NameError, NodeId, SegmentOffset, StoreId, StreamOffset};
pub use name::{Name, TreePath};
pub use progress::{Progress, Trouble};
pub use time::Time;

//! The words of the product: names, times, entries, extents, levels. Pure data and rules, without
//! I/O.
//!
//! Start reading at [`Entry`]. Most other types describe a part of it, or the level that it belongs
//! to.
//!
//! Invariant: a value that was made is valid. Text and bytes from outside are checked where they
//! are parsed or decoded.

mod advice;
mod backup_ref;
mod bandwidth;
mod cancel;
mod entry;
mod excludes;
mod extension;
mod ids;
pub mod job;
mod name;
pub mod order;
mod pattern;
mod point_in_time;
mod printable;
pub mod progress;
mod ranges;
mod retention;
mod schedule;
mod secret;
mod session_rule;
mod time;

pub use advice::{Advice, Exit, Interrupted, hints};
pub use backup_ref::{BackupRef, BackupRefError};
pub use bandwidth::Bandwidth;
pub use cancel::{CallInProgress, Cancel};
pub use entry::{
    Content, DataRun, Device, Entry, Extent, Kind, Metadata, Owner, SignaturePlace, Xattr,
};
pub use excludes::{CACHE_SIGNATURE, CACHE_TAG, Case, Excludes};
pub use extension::{
    CONTENT_HASH_BYTES, ContentHash, Extensions, InodeFlags, NotUnderstood, UnknownExtension,
};
pub use ids::{
    BackupName, FileOffset, FrameNo, KeyEpoch, LevelId, LevelSerial, NameError, NodeId,
    SegmentOffset, StoreId, StreamOffset,
};
pub use name::{Name, TreePath};
pub use order::Dated;

pub use point_in_time::{Choice, PointInTime, PointInTimeError};
pub use printable::{printable, printable_json, printable_lines};
pub use progress::{Progress, Trouble};
pub use ranges::Ranges;
pub use retention::{Candidate, Fate, Period, Reason, Retention, Within, WithinError};
pub use schedule::{Interval, is_cron_field, is_moment};
pub use secret::{Passphrase, Secret};
pub use session_rule::{SessionEnd, SessionResult, SessionStart};
pub use time::Time;

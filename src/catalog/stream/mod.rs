//! Answers where the tar stream of a level is, and how much of it is needed.
//!
//! | file | question |
//! |---|---|
//! | `objects` | which segments does a level have, and how often was it repacked? |
//! | `repacked` | which frame table supersedes the one that a manifest names? |
//! | `shares` | how much of each segment is needed? |
//! | `find` | are all segments there that a point in time needs? |

mod find;
mod objects;
mod repacked;
mod shares;

pub use find::{Lacking, find_segments};
pub use objects::StreamObjects;
pub use repacked::{RepackedError, load, newer};
pub use shares::{Share, is_live, open_frame_table, shares};

//! Entries of a forest, and their numbers.
//!
//! | inode | upper 24 bits | lower 40 bits |
//! |---|---|---|
//! | the folder of points | 0 | 1 |
//! | the link to a point | 0 | the point's number plus 1 |
//! | an entry of a point | the point's number, from 1 | the node's number plus 1 |
//! | an entry of a single tree | 0 | the node's number plus 1 |

use crate::fs::ReadError;
use crate::fs::view::{ChildEntry, EntryAttributes};
use crate::model::{Kind, NodeId, Time};

/// The inode of the top folder.
pub const TOP: u64 = 1;
/// How many bits of an inode hold the number of the node, plus 1. The bits above them hold the
/// number of the point.
pub(super) const NODE_BITS: u32 = 40;
/// Most points that have room in the bits above.
pub(super) const MAX_POINTS: usize = (1 << 24) - 1;

/// How long an answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Validity {
    /// Forever: a point in time does not change.
    Forever,
    /// Not at all: points in time come and go, so the question has to be asked each time.
    Now,
}

/// An entry of a forest.
#[derive(Clone, Copy, Debug)]
pub struct ForestEntry<'a> {
    /// Its inode.
    pub inode: u64,
    /// Its name; empty where it was asked for by its inode.
    pub name: &'a [u8],
    /// The attributes that `stat` shows.
    pub attributes: EntryAttributes,
    /// How long the answer holds.
    pub validity: Validity,
    /// A listing goes on after this number. 0 where the entry comes from no listing.
    pub cursor: u64,
}

/// Where a file stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForestPosition {
    /// The inode of its directory.
    pub directory: u64,
    /// Its cursor there.
    pub cursor: u64,
}

/// Returns the inode of a node; `point` is 0 in a single tree.
pub(super) fn inode_of(point: u64, node: NodeId) -> Result<u64, ReadError> {
    let low = node
        .0
        .checked_add(1)
        .filter(|low| *low < 1 << NODE_BITS)
        .ok_or(ReadError::TooMany)?;
    Ok(point << NODE_BITS | low)
}

/// Returns an entry of a directory as the forest shows it.
pub(super) fn entry_of<'a>(
    point: u64,
    child: &ChildEntry<'a>,
) -> Result<ForestEntry<'a>, ReadError> {
    Ok(ForestEntry {
        inode: inode_of(point, child.inode)?,
        name: child.name,
        attributes: child.attributes,
        validity: Validity::Forever,
        cursor: child.node.0,
    })
}

/// Returns attributes of an empty entry that belongs to root and has one name.
pub(in crate::fs) fn plain_attributes(kind: Kind, mode: u32) -> EntryAttributes {
    EntryAttributes {
        kind,
        mode,
        uid: 0,
        gid: 0,
        mtime: Time::default(),
        ctime: Time::default(),
        device: 0,
        inode: 0,
        links: 1,
        blocks: 0,
        size: 0,
        numbers: None,
        link_to: None,
        has_xattrs: false,
    }
}

//! Finds what has another name than before, by its inode.

use super::compare::Previous;
use crate::index::Tree;
use crate::model::{Kind, NodeId};
use crate::platform::{Sort, Stat};
use std::sync::OnceLock;

/// Most entries that are kept: 16 MiB. Of a tree that has more, directories alone are found: what
/// is in them is found by its name.
const MOST: usize = 1 << 20;

/// Where the things of an earlier point in time are, by device and inode. Read when it is first
/// asked, in one go through the index.
#[derive(Default)]
pub(super) struct Moved {
    /// By a mixture of both numbers, sorted.
    places: OnceLock<Vec<(u64, NodeId)>>,
}

impl Moved {
    /// What had the inode that is there now under a name that `tree` does not have. Whether it is
    /// the same thing is for the comparison to tell.
    pub(super) fn find(&self, tree: &Tree, now: &Stat) -> Option<Previous> {
        let places = self.places.get_or_init(|| read(tree));
        let key = mixture(now.device, now.inode);
        let first = places.partition_point(|(other, _)| *other < key);
        let same_key = places
            .iter()
            .skip(first)
            .take_while(|(other, _)| *other == key);
        same_key
            .filter_map(|(_, node)| Some((*node, tree.entry(*node).ok()??)))
            .find_map(|(node, entry)| {
                let metadata = &entry.metadata;
                let is_it = (metadata.device, metadata.inode) == (now.device, now.inode)
                    && Sort::Kept(entry.content.kind()) == now.sort;
                is_it.then_some(Previous {
                    node,
                    entry,
                    is_moved: true,
                })
            })
    }
}

fn read(tree: &Tree) -> Vec<(u64, NodeId)> {
    let has_room = tree.entries() <= MOST as u64;
    let is_kept = |kind: Kind| kind == Kind::Directory || has_room && kind == Kind::File;
    // What cannot be read is not found, and stored again.
    let entries = tree
        .all()
        .map_while(Result::ok)
        .filter(|(_, entry)| is_kept(entry.content.kind()));
    let mut places: Vec<_> = entries
        .map(|(node, entry)| (mixture(entry.metadata.device, entry.metadata.inode), node))
        .take(MOST)
        .collect();
    places.sort_unstable();
    places
}

/// Spreads inode numbers of several file systems; what has the same is looked at.
fn mixture(device: u64, inode: u64) -> u64 {
    inode ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

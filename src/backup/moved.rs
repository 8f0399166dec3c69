//! Finds an entry that had another name before, by its inode.

use super::compare::Previous;
use crate::index::Tree;
use crate::model::{Kind, NodeId};
use crate::platform::{Sort, Stat};
use std::sync::OnceLock;

/// Most entries that are kept: 16 MiB of memory. In a larger tree only directories are found; what
/// is in them is then found by its name.
const MOST_PLACES: usize = 1 << 20;

/// Finds the entries of an earlier point in time by device and inode. The first question reads the
/// whole index once.
#[derive(Default)]
pub(super) struct MovedEntries {
    /// Sorted by `key`.
    places: OnceLock<Vec<InodePlace>>,
}

/// Where an inode was.
struct InodePlace {
    /// Device and inode, mixed into one number.
    key: u64,
    node: NodeId,
}

impl MovedEntries {
    /// Returns an earlier entry with the inode of a file that has a new name. Whether it is the
    /// same file is for the comparison to tell.
    pub(super) fn find(&self, tree: &Tree, now: &Stat) -> Option<Previous> {
        let places = self.places.get_or_init(|| read(tree));
        let key = mixture(now.device, now.inode);
        let first = places.partition_point(|place| place.key < key);
        let same_key = places
            .iter()
            .skip(first)
            .take_while(|place| place.key == key);
        same_key
            .filter_map(|place| Some((place.node, tree.entry(place.node).ok()??)))
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

fn read(tree: &Tree) -> Vec<InodePlace> {
    let has_room = tree.entries() <= MOST_PLACES as u64;
    let is_kept = |kind: Kind| kind == Kind::Directory || has_room && kind == Kind::File;
    // An entry that cannot be read is not found, and its file is stored again.
    let entries = tree
        .all()
        .map_while(Result::ok)
        .filter(|(_, entry)| is_kept(entry.content.kind()));
    let mut places: Vec<InodePlace> = entries
        .map(|(node, entry)| InodePlace {
            key: mixture(entry.metadata.device, entry.metadata.inode),
            node,
        })
        .take(MOST_PLACES)
        .collect();
    places.sort_unstable_by_key(|place| (place.key, place.node));
    places
}

/// Spreads the inode numbers of several file systems. Two inodes may still share a key.
fn mixture(device: u64, inode: u64) -> u64 {
    inode ^ device.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

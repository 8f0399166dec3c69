//! The files of several names whose other names are still to come.

use crate::backup::compare::UNSURE;
use crate::backup::read_step::SourceInode;
use crate::model::{Entry, NodeId, TreePath};
use std::collections::HashMap;

/// The first name of each hard-linked file, until its last name has come.
#[derive(Default)]
pub(super) struct HardLinks {
    first_names: HashMap<SourceInode, FirstLink>,
}

struct FirstLink {
    node: NodeId,
    /// The entry of the name. The other names get its content, and its metadata: what was changed
    /// while the run was under way is for the next one to see.
    entry: Entry,
    /// Whether this level's stream has the name.
    is_stored: bool,
    /// Number of names that are still to come.
    names_left: u32,
}

impl HardLinks {
    /// Returns whether the file has come under another name, and this level's stream has that name.
    pub(super) fn has_stored(&self, entry: &Entry, inode: SourceInode) -> bool {
        self.first_names
            .get(&inode)
            .is_some_and(|first| first.is_stored && first.is_still(entry))
    }

    /// Makes an entry a hard link if the file has come under another name. Returns the path of that
    /// name.
    pub(super) fn join(&mut self, entry: &mut Entry, inode: SourceInode) -> Option<TreePath> {
        let first = self
            .first_names
            .get_mut(&inode)
            .filter(|first| first.is_still(entry))?;
        entry.link_to = Some(first.node);
        entry.metadata.clone_from(&first.entry.metadata);
        entry.content.clone_from(&first.entry.content);
        let path = first.entry.path.clone();
        first.names_left = first.names_left.saturating_sub(1);
        if first.names_left == 0 {
            self.first_names.remove(&inode);
        }
        Some(path)
    }

    /// Keeps the first name of a file that has more, which the index has as `node`. A file that
    /// could not be read as a whole is not kept: its other names are read too.
    pub(super) fn remember(
        &mut self,
        node: NodeId,
        entry: Entry,
        inode: SourceInode,
        is_stored: bool,
    ) {
        if entry.metadata.links <= 1 || entry.metadata.inode == UNSURE {
            return;
        }
        let first = FirstLink {
            node,
            names_left: entry.metadata.links - 1,
            entry,
            is_stored,
        };
        self.first_names.insert(inode, first);
    }
}

impl FirstLink {
    /// Returns whether an entry of the same inode has the same content. It has not if the file was
    /// written to since, or if it was deleted and its inode given to a new file.
    fn is_still(&self, entry: &Entry) -> bool {
        let first = &self.entry;
        (
            first.content.kind(),
            first.content.size(),
            first.metadata.mtime,
        ) == (
            entry.content.kind(),
            entry.content.size(),
            entry.metadata.mtime,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::HardLinks;
    use crate::backup::read_step::SourceInode;
    use crate::model::{
        Content, Entry, Extent, FileOffset, LevelSerial, Metadata, NodeId, StreamOffset, Time,
        TreePath,
    };

    fn file(name: &str, links: u32, mtime: i64, extents: Vec<Extent>) -> Entry {
        Entry {
            path: TreePath::parse(name.as_bytes()).expect("legal"),
            metadata: Metadata {
                device: 1,
                inode: 2,
                links,
                mtime: Time::new(mtime, 0),
                ..Metadata::default()
            },
            content: Content::File { size: 5, extents },
            link_to: None,
        }
    }

    fn inode() -> SourceInode {
        SourceInode::new(1, 2)
    }

    fn extents() -> Vec<Extent> {
        vec![Extent {
            at: FileOffset(0),
            level: LevelSerial(3),
            stream: StreamOffset(512),
            length: 5,
        }]
    }

    #[test]
    fn later_names_of_a_file_are_links_to_the_first_until_all_have_come() {
        let mut links = HardLinks::default();
        links.remember(NodeId(7), file("a", 3, 0, extents()), inode(), false);
        for name in ["b", "c"] {
            let mut entry = file(name, 3, 0, Vec::new());
            let first = links.join(&mut entry, inode()).expect("a link");
            assert_eq!(
                (first.to_string(), entry.link_to),
                ("a".into(), Some(NodeId(7)))
            );
            let Content::File { extents: of, .. } = entry.content else {
                panic!("no file")
            };
            assert_eq!(of, extents(), "{name} has other content");
        }
        // All names have come: a new file may have this inode.
        assert_eq!(links.join(&mut file("d", 3, 0, Vec::new()), inode()), None);
    }

    #[test]
    fn a_name_of_a_file_that_was_written_to_is_no_link() {
        let mut links = HardLinks::default();
        links.remember(NodeId(7), file("a", 2, 0, extents()), inode(), false);
        assert_eq!(links.join(&mut file("b", 2, 1, Vec::new()), inode()), None);
        links.remember(NodeId(8), file("single", 1, 9, extents()), inode(), false);
        assert_eq!(links.join(&mut file("c", 1, 9, Vec::new()), inode()), None);
    }
}

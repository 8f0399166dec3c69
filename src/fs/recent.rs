//! The layouts of files that were read lately. The kernel does not say when a file is opened or
//! closed, so they are kept by use.

use super::extents::Layout;
use crate::model::NodeId;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Most files that are remembered.
const MAX_FILES: usize = 64;
/// Most extents of all remembered files together, at 40 bytes each. The file read last may have
/// more.
const MAX_EXTENTS: usize = 100_000;

/// A small table of layouts, the most recently used first.
#[derive(Default)]
pub(super) struct RecentLayouts {
    files: Mutex<VecDeque<(NodeId, Arc<Layout>)>>,
}

impl RecentLayouts {
    /// Returns the layout of a file, if it is remembered.
    pub(super) fn get(&self, node: NodeId) -> Option<Arc<Layout>> {
        let mut files = self.lock();
        let at = files.iter().position(|(recent, _)| *recent == node)?;
        // Only entries far down are moved up, so that readers that take turns do not shuffle the
        // table at each read.
        if at >= MAX_FILES / 4 {
            let file = files.remove(at)?;
            files.push_front(file);
        }
        files
            .iter()
            .find(|(recent, _)| *recent == node)
            .map(|(_, layout)| Arc::clone(layout))
    }

    /// Remembers the layout of a file.
    pub(super) fn put(&self, node: NodeId, layout: &Arc<Layout>) {
        let mut files = self.lock();
        files.retain(|(recent, _)| *recent != node);
        files.push_front((node, Arc::clone(layout)));
        let extents = |files: &VecDeque<(NodeId, Arc<Layout>)>| {
            files
                .iter()
                .map(|(_, layout)| layout.extents())
                .sum::<usize>()
        };
        while files.len() > MAX_FILES || (files.len() > 1 && extents(&files) > MAX_EXTENTS) {
            files.pop_back();
        }
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<(NodeId, Arc<Layout>)>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_EXTENTS, MAX_FILES, RecentLayouts};
    use crate::fs::extents::Layout;
    use crate::model::{
        Content, Entry, Extent, FileOffset, LevelSerial, Metadata, NodeId, StreamOffset, TreePath,
    };
    use std::sync::Arc;

    fn layout(extents: usize) -> Arc<Layout> {
        let extent = |at: u64| Extent {
            at: FileOffset(at),
            level: LevelSerial(1),
            stream: StreamOffset(at),
            length: 1,
        };
        let extents: Vec<_> = (0..extents as u64).map(extent).collect();
        let content = Content::File {
            size: extents.len() as u64,
            extents,
        };
        let entry = Entry {
            path: TreePath::root(),
            metadata: Metadata::default(),
            content,
            link_to: None,
        };
        Arc::new(Layout::of(&entry).expect("a regular file"))
    }

    #[test]
    fn a_file_in_use_stays_however_many_others_are_read() {
        let recent = RecentLayouts::default();
        recent.put(NodeId(0), &layout(1));
        for node in 1..1000 {
            recent.put(NodeId(node), &layout(1));
            assert!(recent.get(NodeId(0)).is_some(), "gone after {node} others");
        }
        assert_eq!(
            (1..1000)
                .filter(|node| recent.get(NodeId(*node)).is_some())
                .count(),
            MAX_FILES - 1
        );
    }

    #[test]
    fn files_of_many_pieces_push_others_out_and_not_themselves() {
        let recent = RecentLayouts::default();
        recent.put(NodeId(1), &layout(MAX_EXTENTS / 2));
        recent.put(NodeId(2), &layout(MAX_EXTENTS * 2));
        assert!(recent.get(NodeId(1)).is_none());
        assert!(recent.get(NodeId(2)).is_some());
    }
}

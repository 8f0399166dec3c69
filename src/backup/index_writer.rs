//! The index of a level beside that of the level before: written only from the first difference on.

use super::BackupError;
use super::compare::Change;
use crate::index::{BlockSink, HeadBlock, IndexError, RunRoot, Tree, TreeWriter};
use crate::model::{Entry, NodeId};

/// Writes the tree, or notices that it is the earlier one.
pub(super) struct IndexWriter<'run> {
    sink: &'run mut dyn BlockSink,
    state: State,
}

enum State {
    /// So many entries are those of the earlier tree, from the first on.
    Same(Tree, u64),
    Writing(TreeWriter),
}

/// What the index of a level came to: its root and the blocks at its beginning; `None` when it is that of the level before.
pub(super) type Indexed = Option<(RunRoot, Vec<HeadBlock>)>;

impl<'run> IndexWriter<'run> {
    pub(super) fn new(earlier: Option<Tree>, sink: &'run mut dyn BlockSink) -> Self {
        let state = match earlier {
            Some(tree) => State::Same(tree, 0),
            None => State::Writing(TreeWriter::new()),
        };
        Self { sink, state }
    }

    /// Appends an entry. One that does not fit the index is told by the inner error, and left out.
    pub(super) fn push(&mut self, entry: &Entry, change: &Change) -> Result<Result<NodeId, IndexError>, BackupError> {
        if let State::Same(_, count) = &mut self.state {
            if matches!(change, Change::Unchanged(node, link_to) if node.0 == *count && *link_to == entry.link_to) {
                *count += 1;
                return Ok(Ok(NodeId(*count - 1)));
            }
            self.begin()?;
        }
        let State::Writing(tree) = &mut self.state else { return Err(BackupError::Stopped) };
        match tree.push(entry, self.sink) {
            Err(error) if !matches!(error, IndexError::Unfit { .. }) => Err(BackupError::Index(error)),
            pushed => Ok(pushed),
        }
    }

    /// Ends the index.
    pub(super) fn finish(mut self) -> Result<Indexed, BackupError> {
        if let State::Same(tree, count) = &self.state {
            if *count == tree.entries() {
                return Ok(None);
            }
            self.begin()?;
        }
        let State::Writing(tree) = self.state else { return Err(BackupError::Stopped) };
        tree.finish_with_head(self.sink).map(Some).map_err(BackupError::Index)
    }

    /// Writes what was the same so far. Nodes stay what they were: they are places in the order.
    fn begin(&mut self) -> Result<(), BackupError> {
        if let State::Same(earlier, count) = &self.state {
            let mut tree = TreeWriter::new();
            for found in earlier.all().take(usize::try_from(*count).unwrap_or(usize::MAX)) {
                let (_, entry) = found.map_err(BackupError::Base)?;
                tree.push(&entry, self.sink).map_err(BackupError::Index)?;
            }
            self.state = State::Writing(tree);
        }
        Ok(())
    }
}

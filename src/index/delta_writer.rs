//! Writes a run that turns an earlier tree into another one.

use super::merged::Merged;
use super::{BlockSink, HeadBlock, IndexError, RunRoot, Tree, TreeWriter, key};
use crate::model::{Entry, NodeId, TreePath};

/// Writes the run that, on top of the runs of an earlier tree, makes a new tree. The run has the
/// entries that are new or changed, and marks for those that are gone.
///
/// The caller names every entry of the new tree, in index order: an unchanged entry by
/// [`keep`](Self::keep), any other by [`push`](Self::push). Entries of the earlier tree that the
/// caller did not name are gone. If everything in a directory is gone, one mark says so. The writer
/// reads the earlier tree once, in order, and holds one path of blocks for each of its runs.
pub struct DeltaWriter {
    run: TreeWriter,
    /// The first entry of the earlier tree that was neither named nor passed.
    earlier: Merged,
    /// The key of the last entry of the new tree; the root's while there is none.
    last: Vec<u8>,
    /// The key of the current entry.
    key: Vec<u8>,
    subtrees: u64,
}

/// A run that a [`DeltaWriter`] wrote.
#[derive(Clone, Debug)]
pub struct DeltaRun {
    /// The root of the run.
    pub root: RunRoot,
    /// The blocks on the path to its first entries.
    pub head: Vec<HeadBlock>,
    /// How many subtrees it marks as gone.
    pub subtrees: u64,
}

impl DeltaWriter {
    /// Begins a run on top of `earlier`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`] if `earlier` cannot be read. Every
    /// method of the writer can fail with these.
    pub fn new(earlier: &Tree) -> Result<Self, IndexError> {
        Ok(Self {
            run: TreeWriter::of_run(earlier.runs()),
            earlier: earlier.layers().seek(&[])?,
            last: Vec::new(),
            key: Vec::new(),
            subtrees: 0,
        })
    }

    /// Returns whether `path` is the next entry of the earlier tree, so that nothing before it is
    /// gone.
    pub fn is_next(&mut self, path: &TreePath) -> bool {
        key::of_path_into(path, &mut self.key);
        self.earlier
            .current()
            .is_some_and(|(_, item)| item.key == self.key)
    }

    /// Returns whether the earlier tree has no more entries.
    pub fn is_at_end(&self) -> bool {
        self.earlier.current().is_none()
    }

    /// Returns how many entries the run has so far.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// Names an entry that did not change. Returns whether the earlier tree has it; if not, the
    /// caller must push it.
    ///
    /// # Errors
    ///
    /// As [`push`](Self::push).
    pub fn keep(&mut self, path: &TreePath, sink: &mut dyn BlockSink) -> Result<bool, IndexError> {
        key::of_path_into(path, &mut self.key);
        self.pass_before_key(sink)?;
        if self
            .earlier
            .current()
            .is_none_or(|(_, item)| item.key != self.key)
        {
            return Ok(false);
        }
        self.earlier.advance()?;
        std::mem::swap(&mut self.last, &mut self.key);
        Ok(true)
    }

    /// Appends an entry that is new or changed, and returns its node. A link names a record of this
    /// run or of the earlier tree by its node.
    ///
    /// # Errors
    ///
    /// As [`TreeWriter::push`]. After [`IndexError::Unfit`], the new tree does not have the entry.
    pub fn push(&mut self, entry: &Entry, sink: &mut dyn BlockSink) -> Result<NodeId, IndexError> {
        key::of_path_into(&entry.path, &mut self.key);
        self.pass_before_key(sink)?;
        let node = self.run.push(entry, sink)?;
        if self
            .earlier
            .current()
            .is_some_and(|(_, item)| item.key == self.key)
        {
            self.earlier.advance()?;
        }
        std::mem::swap(&mut self.last, &mut self.key);
        Ok(node)
    }

    /// Ends a copy of the run here. The copy does not mark later entries of the earlier tree as
    /// gone. See [`TreeWriter::so_far`].
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the run.
    ///
    /// # Errors
    ///
    /// The errors of the sink.
    pub fn finish(mut self, sink: &mut dyn BlockSink) -> Result<DeltaRun, IndexError> {
        while let Some((_, gone)) = self.earlier.current() {
            let gone = gone.key.to_vec();
            self.mark_gone(&gone, None, sink)?;
        }
        let (root, head) = self.run.finish_with_head(sink)?;
        Ok(DeltaRun {
            root,
            head,
            subtrees: self.subtrees,
        })
    }

    /// Marks all entries of the earlier tree before the current entry as gone.
    fn pass_before_key(&mut self, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        while let Some((_, item)) = self
            .earlier
            .current()
            .filter(|(_, item)| item.key < self.key.as_slice())
        {
            let gone = item.key.to_vec();
            let next = std::mem::take(&mut self.key);
            let marked = self.mark_gone(&gone, Some(&next), sink);
            self.key = next;
            marked?;
        }
        Ok(())
    }

    /// Marks the current entry of the earlier tree as gone. If the entry is in a subtree that has
    /// neither the previous entry nor the next one of the new tree, the largest such subtree is
    /// gone with it.
    fn mark_gone(
        &mut self,
        gone: &[u8],
        next: Option<&[u8]>,
        sink: &mut dyn BlockSink,
    ) -> Result<(), IndexError> {
        let is_empty = |subtree: &&[u8]| {
            !self.last.starts_with(subtree) && next.is_none_or(|next| !next.starts_with(subtree))
        };
        let subtree = key::subtrees(gone).find(is_empty);
        self.earlier.advance()?;
        match subtree {
            Some(subtree)
                if self
                    .earlier
                    .current()
                    .is_some_and(|(_, item)| item.key.starts_with(subtree)) =>
            {
                self.run.push_gone(subtree, sink)?;
                self.subtrees += 1;
                self.earlier.seek(&key::after_subtree(subtree))
            }
            // A subtree of one entry. Readers find a mark of the entry itself without looking for
            // subtrees.
            _ => self.run.push_gone(gone, sink),
        }
    }
}

//! Writing a run that makes another tree of an earlier one.

use super::layers::Merged;
use super::{BlockSink, HeadBlock, IndexError, RunRoot, Tree, TreeWriter, key};
use crate::model::{Entry, NodeId, TreePath};

/// Writes the run that, on top of the runs of a tree, makes a new tree: what is new or other than
/// before, and what is gone.
///
/// It is told of every entry of the new tree, in index order: of those that the earlier one has as
/// they are by [`keep`](Self::keep), of others by [`push`](Self::push). What the earlier tree has
/// and it was not told of is gone. A directory's whole content that is gone takes one entry. Goes
/// through the earlier tree once, in order, and holds one path of its blocks for each of its runs.
pub struct DeltaWriter {
    run: TreeWriter,
    /// The first entry of the earlier tree of which nothing was said yet.
    earlier: Merged,
    /// The key of the last entry of the new tree; that of the root before there is one.
    last: Vec<u8>,
    /// The key of the entry at hand.
    key: Vec<u8>,
    subtrees: u64,
}

/// What a [`DeltaWriter`] wrote.
#[derive(Clone, Debug)]
pub struct DeltaRun {
    /// Its root.
    pub root: RunRoot,
    /// The blocks on the way to its first entries.
    pub head: Vec<HeadBlock>,
    /// How many subtrees it says to be gone.
    pub subtrees: u64,
}

impl DeltaWriter {
    /// Begins a run on top of `earlier`.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`] when `earlier` cannot be read, as of
    /// everything here.
    pub fn new(earlier: &Tree) -> Result<Self, IndexError> {
        let earlier = earlier.layers().seek(&[])?;
        Ok(Self {
            run: TreeWriter::new(),
            earlier,
            last: Vec::new(),
            key: Vec::new(),
            subtrees: 0,
        })
    }

    /// Whether `path` is the next entry of the earlier tree: whether nothing before it is gone.
    pub fn is_next(&mut self, path: &TreePath) -> bool {
        key::of_path_into(path, &mut self.key);
        self.earlier
            .current()
            .is_some_and(|(_, item)| item.key == self.key)
    }

    /// Whether the earlier tree has no more entries.
    pub fn is_at_end(&self) -> bool {
        self.earlier.current().is_none()
    }

    /// How many entries there are in the run so far.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// Tells of an entry that is as it was. Returns whether the earlier tree has it; if not, it
    /// must be pushed.
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

    /// Appends an entry; returns its rank. What it is a link to is named by its rank in this run.
    ///
    /// # Errors
    ///
    /// As [`TreeWriter::push`]. An entry that is [`IndexError::Unfit`] is gone from the new tree.
    pub fn push(&mut self, entry: &Entry, sink: &mut dyn BlockSink) -> Result<NodeId, IndexError> {
        key::of_path_into(&entry.path, &mut self.key);
        self.pass_before_key(sink)?;
        let rank = self.run.push(entry, sink)?;
        if self
            .earlier
            .current()
            .is_some_and(|(_, item)| item.key == self.key)
        {
            self.earlier.advance()?;
        }
        std::mem::swap(&mut self.last, &mut self.key);
        Ok(rank)
    }

    /// The run with what it was told so far; of what the earlier tree has after that it says
    /// nothing. See [`TreeWriter::so_far`].
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn so_far(&self, sink: &mut dyn BlockSink) -> Result<RunRoot, IndexError> {
        self.run.so_far(sink)
    }

    /// Ends the run.
    ///
    /// # Errors
    ///
    /// Those of the sink.
    pub fn finish(mut self, sink: &mut dyn BlockSink) -> Result<DeltaRun, IndexError> {
        while let Some((_, gone)) = self.earlier.current() {
            let gone = gone.key.to_vec();
            self.gone(&gone, None, sink)?;
        }
        let (root, head) = self.run.finish_with_head(sink)?;
        Ok(DeltaRun {
            root,
            head,
            subtrees: self.subtrees,
        })
    }

    /// Notes that all that the earlier tree has before the entry at hand is gone.
    fn pass_before_key(&mut self, sink: &mut dyn BlockSink) -> Result<(), IndexError> {
        while let Some((_, item)) = self
            .earlier
            .current()
            .filter(|(_, item)| item.key < self.key.as_slice())
        {
            let gone = item.key.to_vec();
            let next = std::mem::take(&mut self.key);
            let noted = self.gone(&gone, Some(&next), sink);
            self.key = next;
            noted?;
        }
        Ok(())
    }

    /// Notes that the entry where the earlier tree stands is gone, and with it all of the largest
    /// subtree that it lies in and neither the entry before nor the next does.
    fn gone(
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
            // A subtree of one entry: the entry itself is found without asking for subtrees.
            _ => self.run.push_gone(gone, sink),
        }
    }
}

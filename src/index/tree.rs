//! Reads the tree of a point in time.

use super::error::Flaw;
use super::layers::{Layers, MOST_RUNS, Spot};
use super::merged::Merged;
use super::node::NodeBuilder;
use super::run::{Cursor, Item};
use super::{
    BlockCache, BlockSource, EntryAttributes, IndexError, RunRoot, TreeRun, entry_codec, key,
};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::sync::Arc;

/// The tree of a point in time. Reads a block when a call first needs it. Cheap to clone, and may
/// be used from many threads at once.
///
/// A call that finds all its blocks in the cache takes some microseconds at most. Each other block
/// costs a call of the [`BlockSource`]. No call needs more blocks than the heights of all runs
/// together: three for a run of a million entries. Errors are not remembered: the next call tries
/// again.
#[derive(Clone, Debug)]
pub struct Tree {
    layers: Layers,
}

impl Tree {
    /// Opens a tree of one run by the root in a manifest. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is malformed.
    pub fn open(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        Self::of_runs(
            vec![TreeRun {
                level: None,
                root,
                subtrees: 0,
                source,
            }],
            &cache,
        )
    }

    /// Opens a tree of several runs, the newest first. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if a root is malformed, or there are no runs or more than 63.
    pub fn of_runs(runs: Vec<TreeRun>, cache: &Arc<BlockCache>) -> Result<Self, IndexError> {
        Layers::open(runs, cache).map(|layers| Self { layers })
    }

    /// Opens one run of a tree without the runs below it: a tree of the entries that the run
    /// replaced or added. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is malformed.
    pub fn of_run_alone(
        root: RunRoot,
        source: Arc<dyn BlockSource>,
        cache: &Arc<BlockCache>,
    ) -> Result<Self, IndexError> {
        let nothing = RunRoot {
            node: NodeBuilder::new(0).take(),
            height: 0,
            entries: 0,
        };
        let run = |root| TreeRun {
            level: None,
            root,
            subtrees: 0,
            source: Arc::clone(&source),
        };
        // As the newest of as many runs as there can be, so that it may link to any of them. What it
        // links to is not there.
        let below = std::iter::repeat_n(nothing, MOST_RUNS - 1).map(run);
        Self::of_runs(std::iter::once(run(root)).chain(below).collect(), cache)
    }

    /// Returns the same tree, which never waits for a block: a call that needs one outside the
    /// cache fails with [`IndexError::NotCached`]. The caller can ask the original tree on another
    /// thread.
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self {
            layers: self.layers.cached_only(),
        }
    }

    /// Returns the tree of the `runs` oldest runs, at least one. An entry that both trees have has
    /// the same node in both.
    #[must_use]
    pub fn oldest(&self, runs: usize) -> Self {
        Self {
            layers: self.layers.oldest(runs),
        }
    }

    /// Returns how many runs the tree has.
    pub fn runs(&self) -> usize {
        self.layers.len()
    }

    /// Returns the number of the run that has a node, from 0 for the oldest; `None` if the tree has
    /// no such node.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn run_of(&self, node: NodeId) -> Result<Option<usize>, IndexError> {
        self.layers.run_of(node)
    }

    pub(super) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Returns how many entries the runs have together. In a tree of several runs, this includes
    /// entries that newer runs replace, and marks.
    pub fn entries(&self) -> u64 {
        self.layers.entries()
    }

    /// Reads every run in full, including entries that newer runs replace.
    ///
    /// # Errors
    ///
    /// The first flaw. The rest of that run, and the other runs, are not read then.
    pub fn verify(&self) -> Result<(), IndexError> {
        self.layers
            .each()
            .enumerate()
            .try_for_each(|(run, layer)| layer.verify(run, || true))
    }

    /// Returns the entry of a node; `None` if the tree has no such node.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`], like every call that reads.
    pub fn entry(&self, node: NodeId) -> Result<Option<Entry>, IndexError> {
        let spot = self.layers.at(node)?;
        Ok(self
            .read_entry(spot.as_ref(), None)?
            .map(|(_, entry)| entry))
    }

    /// Returns the numbers of a node's entry, much faster than [`entry`](Self::entry).
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn attributes(&self, node: NodeId) -> Result<Option<EntryAttributes>, IndexError> {
        let spot = self.layers.at(node)?;
        Ok(self
            .read_attributes(spot.as_ref())?
            .map(|(_, attributes)| attributes))
    }

    /// Returns the entry with this path, and its node.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn lookup(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let spot = self.layers.find(&key::of_path(path))?;
        self.read_entry(spot.as_ref(), Some(path))
    }

    /// Returns the entry called `name` in a directory, and its node; `None` also if `directory` is
    /// not a directory.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child(
        &self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let spot = self.child_spot(directory, name)?;
        self.read_entry(spot.as_ref(), None)
    }

    /// Returns the numbers of the entry called `name` in a directory, and its node: much faster
    /// than [`child`](Self::child).
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child_attributes(
        &self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<(NodeId, EntryAttributes)>, IndexError> {
        let spot = self.child_spot(directory, name)?;
        self.read_attributes(spot.as_ref())
    }

    pub(super) fn find_key(&self, key: &[u8]) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let spot = self.layers.find(key)?;
        self.read_entry(spot.as_ref(), None)
    }

    pub(super) fn entry_here(
        &self,
        merged: &Merged,
    ) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let Some((run, item)) = merged.current() else {
            return Ok(None);
        };
        let malformed = |flaw| merged.malformed(flaw);
        let path = key::to_path(item.key).map_err(malformed)?;
        self.entry_of(run, item, path, malformed).map(Some)
    }

    fn child_spot(&self, directory: NodeId, name: &Name) -> Result<Option<Spot>, IndexError> {
        let Some(mut key) = self.prefix_of(directory)? else {
            return Ok(None);
        };
        key.extend_from_slice(name.as_bytes());
        self.layers.find(&key)
    }

    /// Returns the prefix of the keys of a directory's entries.
    pub(super) fn prefix_of(&self, directory: NodeId) -> Result<Option<Vec<u8>>, IndexError> {
        let spot = self.layers.at(directory)?;
        Ok(spot
            .as_ref()
            .and_then(Spot::item)
            .map(|item| key::prefix_of_children(item.key)))
    }

    fn read_entry(
        &self,
        spot: Option<&Spot>,
        path: Option<&TreePath>,
    ) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let Some((spot, item)) = spot.and_then(|spot| Some((spot, spot.item()?))) else {
            return Ok(None);
        };
        let malformed = |flaw| spot.cursor.malformed(flaw);
        let path = path
            .map_or_else(|| key::to_path(item.key), |path| Ok(path.clone()))
            .map_err(malformed)?;
        self.entry_of(spot.run, item, path, malformed).map(Some)
    }

    fn read_attributes(
        &self,
        spot: Option<&Spot>,
    ) -> Result<Option<(NodeId, EntryAttributes)>, IndexError> {
        let Some((spot, item)) = spot.and_then(|spot| Some((spot, spot.item()?))) else {
            return Ok(None);
        };
        self.attributes_of(spot.run, item, |flaw| spot.cursor.malformed(flaw))
            .map(Some)
    }

    /// Decodes an item of run `run`. `malformed` makes an error about the item.
    pub(super) fn entry_of(
        &self,
        run: usize,
        item: Item<'_>,
        path: TreePath,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<(NodeId, Entry), IndexError> {
        let mut entry = entry_codec::decode(item.value, path, run).map_err(&malformed)?;
        if let Some(first) = entry.link_to {
            entry.link_to = self.layers.common_record(run, item, first, &malformed)?;
        }
        Ok((self.layers.node(run, item).map_err(malformed)?, entry))
    }

    /// Decodes the numbers of an item of run `run`. `malformed` makes an error about the item.
    pub(super) fn attributes_of(
        &self,
        run: usize,
        item: Item<'_>,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<(NodeId, EntryAttributes), IndexError> {
        let mut attributes = entry_codec::decode_attributes(item.value, run).map_err(&malformed)?;
        if let Some(first) = attributes.link_to {
            attributes.link_to = self.layers.common_record(run, item, first, &malformed)?;
        }
        Ok((self.layers.node(run, item).map_err(malformed)?, attributes))
    }
}

impl Spot {
    pub(super) fn item(&self) -> Option<Item<'_>> {
        Cursor::current(&self.cursor)
    }
}

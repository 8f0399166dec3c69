//! Reading the tree of a point in time.

use super::error::Flaw;
use super::layers::{Layers, Merged, Spot, check_link};
use super::node::NodeBuilder;
use super::run::{Cursor, Item};
use super::{
    Attributes, BlockCache, BlockSource, Differences, IndexError, RunRoot, TreeRun, entry_codec,
    key,
};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The tree of a point in time. Reads a block when it is first needed; cheap to clone, and may be
/// used from many threads at once.
///
/// A call with everything in the cache takes some microseconds at most; each block that is not
/// costs a call of the [`BlockSource`], and no call needs more of them than the runs of the tree
/// are high together (a run of a million entries: three). Errors are not remembered: the next call
/// tries again.
#[derive(Clone, Debug)]
pub struct Tree {
    layers: Layers,
}

impl Tree {
    /// Opens a tree of one run by the root that its manifest keeps. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is.
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
    /// [`IndexError::Malformed`] if a root is, or there are none, or more than 63.
    pub fn of_runs(runs: Vec<TreeRun>, cache: &Arc<BlockCache>) -> Result<Self, IndexError> {
        Layers::open(runs, cache).map(|layers| Self { layers })
    }

    /// Opens what one run says of a tree, whatever lies below it: entries that it replaced or
    /// added. Where it says that something is gone there is nothing. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is.
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
        Self::of_runs(vec![run(root), run(nothing)], cache)
    }

    /// The same tree for those who must not wait: what needs a block that is not in the cache gives
    /// [`IndexError::NotCached`], and can be asked of the tree itself on another thread.
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self {
            layers: self.layers.cached_only(),
        }
    }

    /// The tree that its oldest runs make, as many as said and one at least. What both trees have
    /// has the same node in both.
    #[must_use]
    pub fn oldest(&self, runs: usize) -> Self {
        Self {
            layers: self.layers.oldest(runs),
        }
    }

    /// How many runs it has.
    pub fn runs(&self) -> usize {
        self.layers.len()
    }

    /// The number of the run that has a node, counted from the oldest, which is 0; `None` where
    /// there is no such node.
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

    /// How many entries its runs have together: with one run those of the tree, with several more.
    pub fn entries(&self) -> u64 {
        self.layers.entries()
    }

    /// Reads all of every run, also what newer runs replace.
    ///
    /// # Errors
    ///
    /// The first that there is; what follows it in that run was not looked at.
    pub fn verify(&self) -> Result<(), IndexError> {
        self.layers
            .each()
            .enumerate()
            .try_for_each(|(run, layer)| layer.verify(run == 0, || true))
    }

    /// The entry of a node; `None` when the tree has no such node.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`], as of everything here.
    pub fn entry(&self, node: NodeId) -> Result<Option<Entry>, IndexError> {
        let spot = self.layers.at(node)?;
        Ok(self
            .read_entry(spot.as_ref(), None)?
            .map(|(_, entry)| entry))
    }

    /// The same without path, names of owners, extents and extended attributes, much faster.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn attributes(&self, node: NodeId) -> Result<Option<Attributes>, IndexError> {
        let spot = self.layers.at(node)?;
        Ok(self
            .read_attributes(spot.as_ref())?
            .map(|(_, attributes)| attributes))
    }

    /// The entry with this path.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn lookup(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let spot = self.layers.find(&key::of_path(path))?;
        self.read_entry(spot.as_ref(), Some(path))
    }

    /// The entry called `name` in the directory `directory`. `None` also when that is no directory.
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

    /// The same without path, names of owners, extents and extended attributes, much faster.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child_attributes(
        &self,
        directory: NodeId,
        name: &Name,
    ) -> Result<Option<(NodeId, Attributes)>, IndexError> {
        let spot = self.child_spot(directory, name)?;
        self.read_attributes(spot.as_ref())
    }

    /// The entries of a directory in the order of their names: all, or those after the entry
    /// `after`. None when it is no directory. Ends with the first error.
    pub fn children(&self, directory: NodeId, after: Option<NodeId>) -> Children {
        Children {
            state: ChildrenState::Begin {
                tree: self.clone(),
                directory,
                after,
            },
        }
    }

    /// Calls `found` for what [`children`](Self::children) lists, with names and numbers alone and
    /// without setting memory aside for each, until it breaks.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry); what was found before is what stands before it.
    pub fn scan(
        &self,
        directory: NodeId,
        after: Option<NodeId>,
        mut found: impl FnMut(NodeId, &[u8], &Attributes) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let Some(mut listing) = Listing::begin(self, directory, after)? else {
            return Ok(());
        };
        while let Some((run, item, name)) = listing.current()? {
            let malformed = |flaw| listing.cursor.malformed(flaw);
            let (node, attributes) = self.attributes_of(run, item, malformed)?;
            if found(node, name, &attributes).is_break() {
                break;
            }
            listing.cursor.advance()?;
        }
        Ok(())
    }

    /// All entries in index order. Ends with the first error.
    pub fn all(&self) -> Entries {
        Entries {
            state: EntriesState::Begin(self.clone()),
        }
    }

    /// What a later tree of the same backup has other than this one, in index order. Reads the runs
    /// that the trees do not share, and of the others what is under the same paths or in a
    /// directory that is gone: work is in proportion to what was written between the two. Ends with
    /// the first error.
    pub fn differences(&self, later: &Self) -> Differences {
        Differences::new(self, later)
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

    /// What the keys of this directory's entries begin with.
    fn prefix_of(&self, directory: NodeId) -> Result<Option<Vec<u8>>, IndexError> {
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
    ) -> Result<Option<(NodeId, Attributes)>, IndexError> {
        let Some((spot, item)) = spot.and_then(|spot| Some((spot, spot.item()?))) else {
            return Ok(None);
        };
        self.attributes_of(spot.run, item, |flaw| spot.cursor.malformed(flaw))
            .map(Some)
    }

    /// `malformed` makes an error about the item.
    fn entry_of(
        &self,
        run: usize,
        item: Item<'_>,
        path: TreePath,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<(NodeId, Entry), IndexError> {
        let mut entry = entry_codec::decode(item.value, path).map_err(&malformed)?;
        entry.link_to = self.first_name(run, item, entry.link_to, &malformed)?;
        Ok((self.layers.node(run, item).map_err(malformed)?, entry))
    }

    /// The same of the attributes alone.
    fn attributes_of(
        &self,
        run: usize,
        item: Item<'_>,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<(NodeId, Attributes), IndexError> {
        let mut attributes = entry_codec::decode_attributes(item.value).map_err(&malformed)?;
        attributes.link_to = self.first_name(run, item, attributes.link_to, &malformed)?;
        Ok((self.layers.node(run, item).map_err(malformed)?, attributes))
    }

    /// The node of the first name of a file, of which the item is another. Where a newer run has
    /// something else in that place, the item stands for itself: its metadata and extents are all
    /// there.
    fn first_name(
        &self,
        run: usize,
        item: Item<'_>,
        first: Option<NodeId>,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<Option<NodeId>, IndexError> {
        let Some(first) = first else { return Ok(None) };
        check_link(first, item.rank).map_err(malformed)?;
        self.layers.neighbour(run, first.0)
    }
}

impl Spot {
    fn item(&self) -> Option<Item<'_>> {
        Cursor::current(&self.cursor)
    }
}

/// An entry of a directory, with its run in front and its name behind.
type Named<'a> = (usize, Item<'a>, &'a [u8]);

/// A walk through the entries of one directory.
#[derive(Debug)]
struct Listing {
    cursor: Merged,
    prefix: Vec<u8>,
}

impl Listing {
    fn begin(
        tree: &Tree,
        directory: NodeId,
        after: Option<NodeId>,
    ) -> Result<Option<Self>, IndexError> {
        let Some(prefix) = tree.prefix_of(directory)? else {
            return Ok(None);
        };
        if let Some(after) = after
            && let Some(spot) = tree.layers.at(after)?
            && let Some(item) = spot.item().filter(|item| item.key >= prefix.as_slice())
        {
            let mut cursor = tree.layers.seek(item.key)?;
            if cursor
                .current()
                .is_some_and(|(_, found)| found.key == item.key)
            {
                cursor.advance()?;
            }
            return Ok(Some(Self { cursor, prefix }));
        }
        let cursor = tree.layers.seek(&prefix)?;
        Ok(Some(Self { cursor, prefix }))
    }

    /// The entry here; `None` past the last of the directory.
    fn current(&self) -> Result<Option<Named<'_>>, IndexError> {
        let Some((run, item)) = self.cursor.current() else {
            return Ok(None);
        };
        let Some(name) = item.key.strip_prefix(self.prefix.as_slice()) else {
            return Ok(None);
        };
        let name = key::check_name(name).map_err(|flaw| self.cursor.malformed(flaw))?;
        Ok(Some((run, item, name)))
    }
}

/// What [`Tree::children`] lists.
#[derive(Debug)]
pub struct Children {
    state: ChildrenState,
}

#[derive(Debug)]
enum ChildrenState {
    Begin {
        tree: Tree,
        directory: NodeId,
        after: Option<NodeId>,
    },
    At {
        tree: Tree,
        listing: Listing,
        parent: TreePath,
    },
    Ended,
}

impl Children {
    fn try_next(&mut self) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let (tree, listing, parent) = match std::mem::replace(&mut self.state, ChildrenState::Ended)
        {
            ChildrenState::Ended => return Ok(None),
            ChildrenState::Begin {
                tree,
                directory,
                after,
            } => {
                let Some(listing) = Listing::begin(&tree, directory, after)? else {
                    return Ok(None);
                };
                let Some((_, item, name)) = listing.current()? else {
                    return Ok(None);
                };
                let path = key::to_path(item.key).map_err(|flaw| listing.cursor.malformed(flaw))?;
                debug_assert_eq!(path.file_name(), name);
                let parent = path.parent().unwrap_or_default();
                (tree, listing, parent)
            }
            ChildrenState::At {
                tree,
                mut listing,
                parent,
            } => {
                listing.cursor.advance()?;
                (tree, listing, parent)
            }
        };
        let Some((run, item, name)) = listing.current()? else {
            return Ok(None);
        };
        let malformed = |flaw| listing.cursor.malformed(flaw);
        let name =
            Name::new(name).ok_or_else(|| malformed("a key is not that of a path".into()))?;
        let found = tree.entry_of(run, item, parent.join(&name), malformed)?;
        self.state = ChildrenState::At {
            tree,
            listing,
            parent,
        };
        Ok(Some(found))
    }
}

impl Iterator for Children {
    type Item = Result<(NodeId, Entry), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

/// What [`Tree::all`] lists.
#[derive(Debug)]
pub struct Entries {
    state: EntriesState,
}

#[derive(Debug)]
enum EntriesState {
    Begin(Tree),
    At(Tree, Merged),
    Ended,
}

impl Entries {
    fn try_next(&mut self) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let (tree, cursor) = match std::mem::replace(&mut self.state, EntriesState::Ended) {
            EntriesState::Ended => return Ok(None),
            EntriesState::Begin(tree) => {
                let cursor = tree.layers.seek(&[])?;
                (tree, cursor)
            }
            EntriesState::At(tree, mut cursor) => {
                cursor.advance()?;
                (tree, cursor)
            }
        };
        let found = tree.entry_here(&cursor)?;
        if found.is_some() {
            self.state = EntriesState::At(tree, cursor);
        }
        Ok(found)
    }
}

impl Iterator for Entries {
    type Item = Result<(NodeId, Entry), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

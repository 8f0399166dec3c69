//! Reading the tree of a point in time.

use super::error::Flaw;
use super::run::{Cursor, Item, Run};
use super::{Attributes, BlockCache, BlockSource, IndexError, RunRoot, entry_codec, key};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::ops::ControlFlow;
use std::sync::Arc;

/// The node of the entry with this rank. A node is a rank in the only run; this and [`rank_of`] are all that knows it.
pub(super) fn node_at(rank: u64) -> NodeId {
    NodeId(rank)
}

/// The rank of the entry that this node stands for.
pub(super) fn rank_of(node: NodeId) -> u64 {
    node.0
}

/// The tree of a point in time. Reads a block when it is first needed; cheap to clone, and may be used from many threads
/// at once.
///
/// A call with everything in the cache takes some microseconds at most; each block that is not costs a call of the
/// [`BlockSource`], and no call needs more of them than the tree is high (three for a million entries). Errors are not
/// remembered: the next call tries again.
#[derive(Clone, Debug)]
pub struct Tree {
    run: Run,
}

impl Tree {
    /// Opens a tree by the root that its manifest keeps. Loads nothing.
    ///
    /// # Errors
    ///
    /// [`IndexError::Malformed`] if the root is.
    pub fn open(root: RunRoot, source: Arc<dyn BlockSource>, cache: Arc<BlockCache>) -> Result<Self, IndexError> {
        Run::open(root, source, cache).map(|run| Self { run })
    }

    /// The same tree for those who must not wait: what needs a block that is not in the cache gives
    /// [`IndexError::NotCached`], and can be asked of the tree itself on another thread.
    #[must_use]
    pub fn cached_only(&self) -> Self {
        Self { run: self.run.cached_only() }
    }

    /// How many entries it has, the root among them.
    pub fn entries(&self) -> u64 {
        self.run.entries()
    }

    /// The entry of a node; `None` when the tree has no such node.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`], as of everything here.
    pub fn entry(&self, node: NodeId) -> Result<Option<Entry>, IndexError> {
        let cursor = self.run.at(rank_of(node))?;
        Ok(read_at(cursor.as_ref(), |item| entry_of(item, key::to_path(item.key)?))?.map(|(_, entry)| entry))
    }

    /// The same without path, names of owners, extents and extended attributes, much faster.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn attributes(&self, node: NodeId) -> Result<Option<Attributes>, IndexError> {
        let cursor = self.run.at(rank_of(node))?;
        Ok(read_at(cursor.as_ref(), attributes_of)?.map(|(_, attributes)| attributes))
    }

    /// The entry with this path.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn lookup(&self, path: &TreePath) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let cursor = self.run.get(&key::of_path(path))?;
        read_at(cursor.as_ref(), |item| entry_of(item, path.clone()))
    }

    /// The entry called `name` in the directory `directory`. `None` also when that is no directory.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child(&self, directory: NodeId, name: &Name) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let cursor = self.child_cursor(directory, name)?;
        read_at(cursor.as_ref(), |item| entry_of(item, key::to_path(item.key)?))
    }

    /// The same without path, names of owners, extents and extended attributes, much faster.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry).
    pub fn child_attributes(&self, directory: NodeId, name: &Name) -> Result<Option<(NodeId, Attributes)>, IndexError> {
        let cursor = self.child_cursor(directory, name)?;
        read_at(cursor.as_ref(), attributes_of)
    }

    /// The entries of a directory in the order of their names: all, or those after the entry `after`. None when it is no
    /// directory. Ends with the first error.
    pub fn children(&self, directory: NodeId, after: Option<NodeId>) -> Children {
        Children { state: ChildrenState::Begin { tree: self.clone(), directory, after } }
    }

    /// Calls `found` for what [`children`](Self::children) lists, with names and numbers alone and without setting memory
    /// aside for each, until it breaks.
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
        while let Some((item, name)) = listing.current()? {
            let attributes = attributes_of(item).map_err(|flaw| listing.cursor.malformed(flaw))?;
            if found(node_at(item.rank), name, &attributes).is_break() {
                break;
            }
            listing.cursor.advance()?;
        }
        Ok(())
    }

    /// All entries in index order. Ends with the first error.
    pub fn all(&self) -> Entries {
        Entries { state: EntriesState::Begin(self.clone()) }
    }

    fn child_cursor(&self, directory: NodeId, name: &Name) -> Result<Option<Cursor>, IndexError> {
        let Some(mut key) = self.prefix_of(directory)? else {
            return Ok(None);
        };
        key.extend_from_slice(name.as_bytes());
        self.run.get(&key)
    }

    /// What the keys of this directory's entries begin with.
    fn prefix_of(&self, directory: NodeId) -> Result<Option<Vec<u8>>, IndexError> {
        let cursor = self.run.at(rank_of(directory))?;
        Ok(cursor.as_ref().and_then(Cursor::current).map(|item| key::prefix_of_children(item.key)))
    }
}

/// Reads what a cursor stands at.
fn read_at<T>(cursor: Option<&Cursor>, read: impl FnOnce(Item<'_>) -> Result<T, Flaw>) -> Result<Option<(NodeId, T)>, IndexError> {
    let Some((cursor, item)) = cursor.and_then(|cursor| cursor.current().map(|item| (cursor, item))) else {
        return Ok(None);
    };
    let found = read(item).map_err(|flaw| cursor.malformed(flaw))?;
    Ok(Some((node_at(item.rank), found)))
}

fn entry_of(item: Item<'_>, path: TreePath) -> Result<Entry, Flaw> {
    let entry = entry_codec::decode(item.value, path)?;
    check_link(entry.link_to, item.rank)?;
    Ok(entry)
}

fn attributes_of(item: Item<'_>) -> Result<Attributes, Flaw> {
    let attributes = entry_codec::decode_attributes(item.value)?;
    check_link(attributes.link_to, item.rank)?;
    Ok(attributes)
}

fn check_link(link_to: Option<NodeId>, rank: u64) -> Result<(), Flaw> {
    if link_to.is_some_and(|first| rank_of(first) >= rank) {
        Err("it is a link to an entry that does not come before it".into())
    } else {
        Ok(())
    }
}

/// A walk through the entries of one directory.
#[derive(Debug)]
struct Listing {
    cursor: Cursor,
    prefix: Vec<u8>,
}

impl Listing {
    fn begin(tree: &Tree, directory: NodeId, after: Option<NodeId>) -> Result<Option<Self>, IndexError> {
        let Some(prefix) = tree.prefix_of(directory)? else {
            return Ok(None);
        };
        if let Some(after) = after
            && let Some(mut cursor) = tree.run.at(rank_of(after))?
            && cursor.current().is_some_and(|item| item.key >= prefix.as_slice())
        {
            cursor.advance()?;
            return Ok(Some(Self { cursor, prefix }));
        }
        let cursor = tree.run.seek(&prefix)?;
        Ok(Some(Self { cursor, prefix }))
    }

    /// The entry here and its name; `None` past the last of the directory.
    fn current(&self) -> Result<Option<(Item<'_>, &[u8])>, IndexError> {
        let Some(item) = self.cursor.current() else {
            return Ok(None);
        };
        let Some(name) = item.key.strip_prefix(self.prefix.as_slice()) else {
            return Ok(None);
        };
        let name = key::check_name(name).map_err(|flaw| self.cursor.malformed(flaw))?;
        Ok(Some((item, name)))
    }
}

/// What [`Tree::children`] lists.
#[derive(Debug)]
pub struct Children {
    state: ChildrenState,
}

#[derive(Debug)]
enum ChildrenState {
    Begin { tree: Tree, directory: NodeId, after: Option<NodeId> },
    At { listing: Listing, parent: TreePath },
    Ended,
}

impl Children {
    fn try_next(&mut self) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let (listing, parent) = match std::mem::replace(&mut self.state, ChildrenState::Ended) {
            ChildrenState::Ended => return Ok(None),
            ChildrenState::Begin { tree, directory, after } => {
                let Some(listing) = Listing::begin(&tree, directory, after)? else {
                    return Ok(None);
                };
                let Some((item, name)) = listing.current()? else {
                    return Ok(None);
                };
                let path = key::to_path(item.key).map_err(|flaw| listing.cursor.malformed(flaw))?;
                debug_assert_eq!(path.file_name(), name);
                let parent = path.parent().unwrap_or_default();
                (listing, parent)
            }
            ChildrenState::At { mut listing, parent } => {
                listing.cursor.advance()?;
                (listing, parent)
            }
        };
        let Some((item, name)) = listing.current()? else {
            return Ok(None);
        };
        let name = Name::new(name).ok_or_else(|| listing.cursor.malformed("a key is not that of a path".into()))?;
        let entry = entry_of(item, parent.join(&name)).map_err(|flaw| listing.cursor.malformed(flaw))?;
        let found = (node_at(item.rank), entry);
        self.state = ChildrenState::At { listing, parent };
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
    At(Cursor),
    Ended,
}

impl Entries {
    fn try_next(&mut self) -> Result<Option<(NodeId, Entry)>, IndexError> {
        let cursor = match std::mem::replace(&mut self.state, EntriesState::Ended) {
            EntriesState::Ended => return Ok(None),
            EntriesState::Begin(tree) => tree.run.seek(&[])?,
            EntriesState::At(mut cursor) => {
                cursor.advance()?;
                cursor
            }
        };
        let found = read_at(Some(&cursor), |item| entry_of(item, key::to_path(item.key)?))?;
        self.state = EntriesState::At(cursor);
        Ok(found)
    }
}

impl Iterator for Entries {
    type Item = Result<(NodeId, Entry), IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

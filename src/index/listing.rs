//! Listing the entries of a directory, and those of a whole tree.

use super::key;
use super::merged::Merged;
use super::run::Item;
use super::{EntryAttributes, IndexError, Tree};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::ops::ControlFlow;

impl Tree {
    /// Lists the entries of a directory by name: all, or those after the entry `after`. Lists none
    /// if the node is not a directory. Ends with the first error.
    pub fn children(&self, directory: NodeId, after: Option<NodeId>) -> Children {
        Children {
            state: ChildrenState::Begin {
                tree: self.clone(),
                directory,
                after,
            },
        }
    }

    /// Calls `found` for every entry that [`children`](Self::children) lists, until it breaks.
    /// Reads only names and numbers, and allocates no memory for an entry.
    ///
    /// # Errors
    ///
    /// As [`entry`](Self::entry). The entries that were found before the error are right.
    pub fn scan(
        &self,
        directory: NodeId,
        after: Option<NodeId>,
        mut found: impl FnMut(NodeId, &[u8], &EntryAttributes) -> ControlFlow<()>,
    ) -> Result<(), IndexError> {
        let Some(mut listing) = DirectoryCursor::begin(self, directory, after)? else {
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

    /// Lists all entries in index order. Ends with the first error.
    pub fn all(&self) -> Entries {
        Entries {
            state: EntriesState::Begin(self.clone()),
        }
    }
}

/// The run of an entry, the entry, and its name.
type Named<'a> = (usize, Item<'a>, &'a [u8]);

/// A cursor through the entries of one directory.
#[derive(Debug)]
struct DirectoryCursor {
    cursor: Merged,
    prefix: Vec<u8>,
}

impl DirectoryCursor {
    fn begin(
        tree: &Tree,
        directory: NodeId,
        after: Option<NodeId>,
    ) -> Result<Option<Self>, IndexError> {
        let Some(prefix) = tree.prefix_of(directory)? else {
            return Ok(None);
        };
        if let Some(after) = after
            && let Some(spot) = tree.layers().at(after)?
            && let Some(item) = spot.item().filter(|item| item.key >= prefix.as_slice())
        {
            let mut cursor = tree.layers().seek(item.key)?;
            if cursor
                .current()
                .is_some_and(|(_, found)| found.key == item.key)
            {
                cursor.advance()?;
            }
            return Ok(Some(Self { cursor, prefix }));
        }
        let cursor = tree.layers().seek(&prefix)?;
        Ok(Some(Self { cursor, prefix }))
    }

    /// Returns the current entry; `None` past the last of the directory.
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

/// Lists the entries of a directory: see [`Tree::children`].
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
        listing: DirectoryCursor,
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
                let Some(listing) = DirectoryCursor::begin(&tree, directory, after)? else {
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

/// Lists all entries of a tree: see [`Tree::all`].
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
                let cursor = tree.layers().seek(&[])?;
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

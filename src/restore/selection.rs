//! The parts of a tree that are to be restored.

use super::{RestoreError, RestoreSource};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;

/// The selected part of a directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RestoreSelection {
    /// The directory and everything below it.
    All,
    /// Only these entries. The directory itself is made because they are in it.
    Only(BTreeMap<Name, RestoreSelection>),
}

const ALL: &RestoreSelection = &RestoreSelection::All;

/// A selection in a tree that has all of it.
#[derive(Debug)]
pub(super) struct SelectedTree {
    /// The selected part of the root.
    pub(super) selection: RestoreSelection,
    /// The number of the root.
    pub(super) root: NodeId,
    /// The entry of the root.
    pub(super) entry: Entry,
}

/// Finds each of `paths`, and the root. No paths select everything.
pub(super) fn find<S: RestoreSource>(
    source: &S,
    paths: &[TreePath],
) -> Result<SelectedTree, RestoreError> {
    let find = |path: &TreePath| {
        let found = source.find(path).map_err(|source| RestoreError::Tree {
            path: path.clone(),
            source: source.into(),
        })?;
        found.ok_or_else(|| RestoreError::Missing(path.clone()))
    };
    let mut selection = if paths.is_empty() {
        RestoreSelection::All
    } else {
        RestoreSelection::Only(BTreeMap::new())
    };
    for path in paths {
        find(path)?;
        selection.add(path);
    }
    let (root, entry) = find(&TreePath::root())?;
    Ok(SelectedTree {
        selection,
        root,
        entry,
    })
}

impl RestoreSelection {
    fn add(&mut self, path: &TreePath) {
        let mut place = self;
        for name in path.components().filter_map(Name::new) {
            let Self::Only(entries) = place else { return };
            place = entries
                .entry(name)
                .or_insert_with(|| Self::Only(BTreeMap::new()));
        }
        *place = Self::All;
    }
}

/// Calls `found` for the selected entries of a directory in order of name, with the selected part
/// of each, until it breaks.
pub(super) fn listing<'selection, S: RestoreSource>(
    source: &S,
    directory: NodeId,
    path: &TreePath,
    selection: &'selection RestoreSelection,
    mut found: impl FnMut(NodeId, Entry, &'selection RestoreSelection) -> ControlFlow<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    match selection {
        RestoreSelection::All => {
            for child in source.children(directory) {
                let (node, entry) = child?;
                if found(node, entry, ALL).is_break() {
                    break;
                }
            }
        }
        RestoreSelection::Only(entries) => {
            for (name, selection) in entries {
                let (node, entry) = source
                    .find(&path.join(name))?
                    .ok_or("the selected entry is gone")?;
                if found(node, entry, selection).is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RestoreSelection;
    use crate::model::TreePath;
    use std::collections::BTreeMap;

    fn selection(paths: &[&str]) -> RestoreSelection {
        let mut selection = RestoreSelection::Only(BTreeMap::new());
        paths
            .iter()
            .for_each(|path| selection.add(&TreePath::parse(path.as_bytes()).expect("legal")));
        selection
    }

    #[test]
    fn a_path_below_a_selected_one_adds_nothing_in_any_order() {
        let expected = selection(&["a/b", "c"]);
        assert_eq!(selection(&["a/b", "a/b/x", "c"]), expected);
        assert_eq!(selection(&["c", "a/b/x/y", "a/b/z", "a/b"]), expected);
        assert_ne!(selection(&["a/b", "a/bc", "c"]), expected);
        assert_eq!(selection(&["a", ""]), RestoreSelection::All);
    }
}

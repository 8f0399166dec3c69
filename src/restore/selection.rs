//! Which parts of the tree are to be restored.

use super::{RestoreError, Source};
use crate::model::{Entry, Name, NodeId, TreePath};
use std::collections::BTreeMap;
use std::error::Error;
use std::ops::ControlFlow;

/// What is chosen of a directory, or of the root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// It, and everything below it.
    All,
    /// These of its entries; it only as the place where they are.
    Only(BTreeMap<Name, Chosen>),
}

const ALL: &Chosen = &Chosen::All;

impl Chosen {
    /// The selection as a tree, all of it if it is empty, and the root of the backup; everything
    /// selected was found.
    pub(super) fn find<S: Source>(
        source: &S,
        selection: &[TreePath],
    ) -> Result<(Self, (NodeId, Entry)), RestoreError> {
        let find = |path: &TreePath| {
            source.find(path).map_err(|source| RestoreError::Tree {
                path: path.clone(),
                source: source.into(),
            })
        };
        let mut chosen = if selection.is_empty() {
            Self::All
        } else {
            Self::Only(BTreeMap::new())
        };
        for path in selection {
            find(path)?.ok_or_else(|| RestoreError::Missing(path.clone()))?;
            chosen.add(path);
        }
        let root =
            find(&TreePath::root())?.ok_or_else(|| RestoreError::Missing(TreePath::root()))?;
        Ok((chosen, root))
    }

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

/// Calls `found` for the chosen entries of a directory in order of name, with what is chosen of
/// each, until it breaks.
pub(super) fn listing<'chosen, S: Source>(
    source: &S,
    directory: NodeId,
    path: &TreePath,
    chosen: &'chosen Chosen,
    mut found: impl FnMut(NodeId, Entry, &'chosen Chosen) -> ControlFlow<()>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    match chosen {
        Chosen::All => {
            for child in source.children(directory) {
                let (node, entry) = child?;
                if found(node, entry, ALL).is_break() {
                    break;
                }
            }
        }
        Chosen::Only(entries) => {
            for (name, chosen) in entries {
                let (node, entry) = source
                    .find(&path.join(name))?
                    .ok_or("what was selected is gone")?;
                if found(node, entry, chosen).is_break() {
                    break;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Chosen;
    use crate::model::TreePath;
    use std::collections::BTreeMap;

    fn chosen(paths: &[&str]) -> Chosen {
        let mut chosen = Chosen::Only(BTreeMap::new());
        paths
            .iter()
            .for_each(|path| chosen.add(&TreePath::parse(path.as_bytes()).expect("legal")));
        chosen
    }

    #[test]
    fn what_lies_below_something_selected_adds_nothing_in_any_order() {
        let expected = chosen(&["a/b", "c"]);
        assert_eq!(chosen(&["a/b", "a/b/x", "c"]), expected);
        assert_eq!(chosen(&["c", "a/b/x/y", "a/b/z", "a/b"]), expected);
        assert_ne!(chosen(&["a/b", "a/bc", "c"]), expected);
        assert_eq!(chosen(&["a", ""]), Chosen::All);
    }
}

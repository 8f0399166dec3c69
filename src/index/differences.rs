//! The differences between the trees of two points in time.

use super::merged::Merged;
use super::run::Cursor;
use super::{IndexError, Tree, key};
use crate::model::{Entry, NodeId, TreePath};

/// A path under which two trees differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The path.
    pub path: TreePath,
    /// The entry of the earlier tree and its node there; `None` if it has no such path.
    pub before: Option<(NodeId, Entry)>,
    /// The entry of the later tree and its node there; `None` if it has no such path.
    pub after: Option<(NodeId, Entry)>,
}

/// Lists the differences: see [`Tree::differences`].
pub struct Differences {
    before: Tree,
    after: Tree,
    state: DifferencesState,
}

enum DifferencesState {
    Begin,
    /// One cursor for each run that only one of the trees has, at the first entry not passed yet.
    Runs(Vec<Cursor>),
    /// Reads both trees in full: in a subtree that one of those runs marks as gone, or from
    /// beginning to end if the trees share no run.
    Subtree(Vec<Cursor>, Box<Subtree>),
    Ended,
}

struct Subtree {
    before: Merged,
    after: Merged,
    /// The first key after the subtree; `None` for the whole tree.
    end: Option<Vec<u8>>,
}

impl Tree {
    /// Lists the differences between this tree and a later one of the same backup, in index order.
    /// Ends with the first error.
    ///
    /// Reads the runs that the trees do not share, and from the shared ones the entries under the
    /// same paths and those in directories that are gone. The work is proportional to what was
    /// written between the two.
    pub fn differences(&self, later: &Self) -> Differences {
        Differences::new(self, later)
    }
}

impl Differences {
    fn new(before: &Tree, after: &Tree) -> Self {
        Self {
            before: before.clone(),
            after: after.clone(),
            state: DifferencesState::Begin,
        }
    }

    fn begin(&self) -> Result<DifferencesState, IndexError> {
        let shared = self.before.layers().shared_with(self.after.layers());
        if shared == 0 {
            return Ok(DifferencesState::Subtree(
                Vec::new(),
                self.subtree(&[], None)?,
            ));
        }
        let mut cursors = self.before.layers().cursors_from(shared)?;
        cursors.extend(self.after.layers().cursors_from(shared)?);
        Ok(DifferencesState::Runs(cursors))
    }

    /// Begins to read both trees from `key` on, up to `end`.
    fn subtree(&self, key: &[u8], end: Option<Vec<u8>>) -> Result<Box<Subtree>, IndexError> {
        Ok(Box::new(Subtree {
            before: self.before.layers().seek(key)?,
            after: self.after.layers().seek(key)?,
            end,
        }))
    }

    fn try_next(&mut self) -> Result<Option<Difference>, IndexError> {
        loop {
            match std::mem::replace(&mut self.state, DifferencesState::Ended) {
                DifferencesState::Ended => return Ok(None),
                DifferencesState::Begin => self.state = self.begin()?,
                DifferencesState::Runs(mut cursors) => {
                    let Some(key) = take_least(&mut cursors)? else {
                        return Ok(None);
                    };
                    if key::is_subtree(&key) {
                        let subtree = self.subtree(&key, Some(key::after_subtree(&key)))?;
                        self.state = DifferencesState::Subtree(cursors, subtree);
                        continue;
                    }
                    self.state = DifferencesState::Runs(cursors);
                    let [before, after] = [self.before.find_key(&key)?, self.after.find_key(&key)?];
                    if let Some(difference) = difference(before, after) {
                        return Ok(Some(difference));
                    }
                }
                DifferencesState::Subtree(mut cursors, mut subtree) => {
                    match self.next_in(&mut subtree)? {
                        Some((before, after)) => {
                            self.state = DifferencesState::Subtree(cursors, subtree);
                            if let Some(difference) = difference(before, after) {
                                return Ok(Some(difference));
                            }
                        }
                        None => {
                            let Some(end) = subtree.end else {
                                return Ok(None);
                            };
                            pass_before(&mut cursors, &end)?;
                            self.state = DifferencesState::Runs(cursors);
                        }
                    }
                }
            }
        }
    }

    /// Returns the entries of both trees with the next key in the subtree.
    fn next_in(
        &self,
        Subtree { before, after, end }: &mut Subtree,
    ) -> Result<Option<(Found, Found)>, IndexError> {
        let key = |merged: &Merged| {
            merged
                .current()
                .map(|(_, item)| item.key.to_vec())
                .filter(|key| end.as_ref().is_none_or(|end| key < end))
        };
        let (first, second) = (key(before), key(after));
        let Some(least) = first.iter().chain(&second).min() else {
            return Ok(None);
        };
        let mut found = [None, None];
        for ((found, merged), (tree, key)) in found
            .iter_mut()
            .zip([before, after])
            .zip([(&self.before, &first), (&self.after, &second)])
        {
            if key.as_ref() == Some(least) {
                *found = tree.entry_here(merged)?;
                merged.advance()?;
            }
        }
        let [before, after] = found;
        Ok(Some((before, after)))
    }
}

/// Returns the least key of all runs, and moves every run past it.
fn take_least(cursors: &mut [Cursor]) -> Result<Option<Vec<u8>>, IndexError> {
    let keys = cursors.iter().filter_map(Cursor::current);
    let Some(least) = keys.map(|item| item.key).min().map(<[u8]>::to_vec) else {
        return Ok(None);
    };
    for cursor in cursors {
        if cursor.current().is_some_and(|item| item.key == least) {
            cursor.advance()?;
        }
    }
    Ok(Some(least))
}

/// Moves every run to its first key that is not less than `end`.
fn pass_before(cursors: &mut [Cursor], end: &[u8]) -> Result<(), IndexError> {
    for cursor in cursors {
        if cursor.current().is_some_and(|item| item.key < end) {
            cursor.seek(end)?;
        }
    }
    Ok(())
}

type Found = Option<(NodeId, Entry)>;

fn difference(before: Found, after: Found) -> Option<Difference> {
    let path = before
        .as_ref()
        .or(after.as_ref())
        .map(|(_, entry)| entry.path.clone())?;
    // Nodes depend on the number of runs. A changed link shows in the inode.
    let bare = |found: &Found| {
        found.as_ref().map(|(_, entry)| Entry {
            link_to: None,
            ..entry.clone()
        })
    };
    (bare(&before) != bare(&after)).then_some(Difference {
        path,
        before,
        after,
    })
}

impl Iterator for Differences {
    type Item = Result<Difference, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.try_next().transpose()
    }
}

//! What two points in time do not have in common.

use super::layers::Merged;
use super::run::Cursor;
use super::{IndexError, Tree, key};
use crate::model::{Entry, NodeId, TreePath};

/// A path under which two trees have something different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which path.
    pub path: TreePath,
    /// What the earlier tree has there, and its node in that tree.
    pub before: Option<(NodeId, Entry)>,
    /// What the later tree has there, and its node in that tree.
    pub after: Option<(NodeId, Entry)>,
}

/// What [`Tree::differences`] lists.
pub struct Differences {
    before: Tree,
    after: Tree,
    state: State,
}

enum State {
    Begin,
    /// Of each run that only one of the trees has, the first entry that was not passed yet.
    Runs(Vec<Cursor>),
    /// In a subtree that one of those runs says to be gone, or where nothing is shared: both trees
    /// are gone through.
    Subtree(Vec<Cursor>, Box<Subtree>),
    Ended,
}

struct Subtree {
    before: Merged,
    after: Merged,
    /// The first key after it; `None` where it is all there is.
    end: Option<Vec<u8>>,
}

impl Differences {
    pub(super) fn new(before: &Tree, after: &Tree) -> Self {
        Self {
            before: before.clone(),
            after: after.clone(),
            state: State::Begin,
        }
    }

    fn begin(&self) -> Result<State, IndexError> {
        let shared = self.before.layers().shared_with(self.after.layers());
        if shared == 0 {
            let (before, after) = (
                self.before.layers().seek(&[])?,
                self.after.layers().seek(&[])?,
            );
            return Ok(State::Subtree(
                Vec::new(),
                Box::new(Subtree {
                    before,
                    after,
                    end: None,
                }),
            ));
        }
        let mut cursors = self.before.layers().cursors_from(shared)?;
        cursors.extend(self.after.layers().cursors_from(shared)?);
        Ok(State::Runs(cursors))
    }

    fn try_next(&mut self) -> Result<Option<Difference>, IndexError> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Ok(None),
                State::Begin => self.state = self.begin()?,
                State::Runs(mut cursors) => {
                    let Some(key) = cursors
                        .iter()
                        .filter_map(Cursor::current)
                        .map(|item| item.key)
                        .min()
                        .map(<[u8]>::to_vec)
                    else {
                        return Ok(None);
                    };
                    for cursor in &mut cursors {
                        if cursor.current().is_some_and(|item| item.key == key) {
                            cursor.advance()?;
                        }
                    }
                    if key::is_subtree(&key) {
                        let (before, after) = (
                            self.before.layers().seek(&key)?,
                            self.after.layers().seek(&key)?,
                        );
                        let end = Some(key::after_subtree(&key));
                        self.state =
                            State::Subtree(cursors, Box::new(Subtree { before, after, end }));
                        continue;
                    }
                    self.state = State::Runs(cursors);
                    let [before, after] = [self.before.find_key(&key)?, self.after.find_key(&key)?];
                    if let Some(difference) = difference(before, after) {
                        return Ok(Some(difference));
                    }
                }
                State::Subtree(mut cursors, mut subtree) => match self.next_in(&mut subtree)? {
                    Some((before, after)) => {
                        self.state = State::Subtree(cursors, subtree);
                        if let Some(difference) = difference(before, after) {
                            return Ok(Some(difference));
                        }
                    }
                    None => {
                        let Some(end) = subtree.end else {
                            return Ok(None);
                        };
                        for cursor in &mut cursors {
                            if cursor
                                .current()
                                .is_some_and(|item| item.key < end.as_slice())
                            {
                                cursor.seek(&end)?;
                            }
                        }
                        self.state = State::Runs(cursors);
                    }
                },
            }
        }
    }

    /// What the trees have under the next key that any has in the subtree.
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

type Found = Option<(NodeId, Entry)>;

fn difference(before: Found, after: Found) -> Option<Difference> {
    let path = before
        .as_ref()
        .or(after.as_ref())
        .map(|(_, entry)| entry.path.clone())?;
    // Nodes differ with the number of runs; what a name is a link to shows in the inode.
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

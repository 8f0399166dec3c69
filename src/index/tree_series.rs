//! Several trees of one backup side by side: each path once, with its entry in each tree. Runs that
//! trees share are read once.

use super::error::Flaw;
use super::layers::{Layer, MOST_RUNS};
use super::run::Cursor;
use super::{BlockPlace, IndexError, Tree, entry_codec, key};
use crate::model::{Entry, LevelId, TreePath};
use std::collections::HashMap;
use std::ops::Range;

/// An entry, and consecutive trees that all have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spell {
    /// The trees, by their places in the series; never empty.
    pub trees: Range<usize>,
    /// The entry. It is never a link: it stands for itself.
    pub entry: Entry,
}

/// A path, and its entries in the trees of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathHistory {
    /// The path.
    pub path: TreePath,
    /// The entries, in the order of the trees. Trees without the path are missing.
    pub spells: Vec<Spell>,
}

/// A path as it stands in the index.
#[derive(Clone, Copy, Debug)]
pub struct PathKey<'a>(pub(super) &'a [u8]);

impl<'a> PathKey<'a> {
    /// Returns the last component; empty for the root.
    pub fn name(self) -> &'a [u8] {
        self.0.rsplit(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// Returns the whole path; `None` if the key is not that of a path.
    pub fn path(self) -> Option<TreePath> {
        key::to_path(self.0).ok()
    }
}

/// Several trees that share runs. Memory holds the root of every run once.
#[derive(Clone, Debug, Default)]
pub struct TreeSeries {
    pub(super) runs: Vec<Layer>,
    /// The numbers of the runs, by the levels that wrote them.
    known: HashMap<LevelId, usize>,
    /// For each run, whether it is the oldest of a tree: such a run cannot mark anything as gone.
    is_oldest: Vec<bool>,
    /// For each tree, the numbers of its runs, the newest first.
    pub(super) trees: Vec<Vec<usize>>,
}

/// The answer of one run about a key.
#[derive(Debug)]
enum RunAnswer {
    Nothing,
    Gone,
    Entry(RunFound),
}

/// An entry, or a mark, that a run has.
#[derive(Debug)]
pub(super) struct RunFound {
    pub(super) run: usize,
    /// The block that holds the entry, for errors.
    place: BlockPlace,
    rank: u64,
    pub(super) value: Vec<u8>,
}

impl RunFound {
    pub(super) fn at(run: usize, cursor: &Cursor) -> Option<Self> {
        let item = cursor.current()?;
        Some(Self {
            run,
            place: cursor.place(),
            rank: item.rank,
            value: item.value.to_vec(),
        })
    }

    pub(super) fn entry(&self, path: &TreePath) -> Result<Entry, IndexError> {
        let entry = entry_codec::decode(&self.value, path.clone(), MOST_RUNS)
            .map_err(|flaw| self.malformed(flaw))?;
        Ok(Entry {
            link_to: None,
            ..entry
        })
    }

    pub(super) fn malformed(&self, flaw: Flaw) -> IndexError {
        flaw.of_entry(self.rank).within(self.place)
    }
}

impl TreeSeries {
    /// Appends a tree to the series; `None` for an empty tree. Runs of the same level count as the
    /// same run. Loads nothing.
    pub fn push(&mut self, tree: Option<&Tree>) {
        let mut numbers = Vec::new();
        for layer in tree.into_iter().flat_map(|tree| tree.layers().each()) {
            let next = self.runs.len();
            let number = layer.level.as_ref().map_or(next, |level| {
                *self.known.entry(level.clone()).or_insert(next)
            });
            if number == next {
                self.runs.push(layer.clone());
                self.is_oldest.push(false);
            }
            numbers.push(number);
        }
        if let Some(oldest) = numbers
            .first()
            .and_then(|oldest| self.is_oldest.get_mut(*oldest))
        {
            *oldest = true;
        }
        numbers.reverse();
        self.trees.push(numbers);
    }

    /// Returns how many trees there are.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// Returns whether a tree was given as empty, or was left out.
    pub fn is_empty(&self, tree: usize) -> bool {
        self.trees.get(tree).is_none_or(Vec::is_empty)
    }

    /// Returns how many runs the trees have together, each counted once.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// Lists the trees that have a run.
    pub fn trees_with(&self, run: usize) -> impl Iterator<Item = usize> {
        self.trees
            .iter()
            .enumerate()
            .filter(move |(_, runs)| runs.contains(&run))
            .map(|(tree, _)| tree)
    }

    /// Makes a tree empty. The others keep their places. Runs that no tree has any more are not
    /// read.
    pub fn leave_out(&mut self, tree: usize) {
        self.trees.get_mut(tree).into_iter().for_each(Vec::clear);
    }

    /// Reads a run in full, including entries that newer runs replace. Stops when `goes_on` returns
    /// false.
    ///
    /// # Errors
    ///
    /// The first flaw. The rest of the run is not read then.
    pub fn verify(&self, run: usize, goes_on: impl Fn() -> bool) -> Result<(), IndexError> {
        let is_oldest = self.is_oldest.get(run).copied().unwrap_or_default();
        self.runs.get(run).map_or(Ok(()), |layer| {
            layer.verify(if is_oldest { 0 } else { MOST_RUNS }, goes_on)
        })
    }

    /// Returns the history of one path. Asks each run at most once, and only if no newer run
    /// answers.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn history(&self, path: &TreePath) -> Result<PathHistory, IndexError> {
        let key = key::of_path(path);
        let mut answers: Vec<Option<RunAnswer>> = self.runs.iter().map(|_| None).collect();
        let mut spells: Vec<(Range<usize>, usize)> = Vec::new();
        for (tree, numbers) in self.trees.iter().enumerate() {
            for number in numbers {
                let (Some(run), Some(slot)) = (self.runs.get(*number), answers.get_mut(*number))
                else {
                    continue;
                };
                let answer = match slot {
                    Some(answer) => answer,
                    None => slot.insert(self.ask(*number, run, &key)?),
                };
                match answer {
                    RunAnswer::Nothing => continue,
                    RunAnswer::Gone => break,
                    RunAnswer::Entry(_) => {}
                }
                match spells.last_mut() {
                    Some((trees, run)) if trees.end == tree && run == number => trees.end += 1,
                    _ => spells.push((tree..tree + 1, *number)),
                }
                break;
            }
        }
        let spells = spells
            .into_iter()
            .filter_map(|(trees, number)| match answers.get(number) {
                Some(Some(RunAnswer::Entry(found))) => {
                    Some(found.entry(path).map(|entry| Spell { trees, entry }))
                }
                _ => None,
            });
        Ok(PathHistory {
            path: path.clone(),
            spells: joined(spells.collect::<Result<_, _>>()?),
        })
    }

    fn ask(&self, number: usize, run: &Layer, key: &[u8]) -> Result<RunAnswer, IndexError> {
        if let Some(cursor) = run.run.get(key)? {
            let found = RunFound::at(number, &cursor);
            return Ok(found.map_or(RunAnswer::Nothing, |found| {
                if self.is_gone(&found) {
                    RunAnswer::Gone
                } else {
                    RunAnswer::Entry(found)
                }
            }));
        }
        Ok(if run.gone_above(key)?.is_some() {
            RunAnswer::Gone
        } else {
            RunAnswer::Nothing
        })
    }

    pub(super) fn is_gone(&self, found: &RunFound) -> bool {
        entry_codec::is_gone(&found.value) && self.is_oldest.get(found.run) == Some(&false)
    }
}

/// Joins consecutive spells with equal entries. Merged runs repeat the entries of older runs.
pub(super) fn joined(spells: Vec<Spell>) -> Vec<Spell> {
    let mut joined: Vec<Spell> = Vec::with_capacity(spells.len());
    for spell in spells {
        match joined.last_mut() {
            Some(last) if last.trees.end == spell.trees.start && last.entry == spell.entry => {
                last.trees.end = spell.trees.end
            }
            _ => joined.push(spell),
        }
    }
    joined
}

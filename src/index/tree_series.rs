//! Several trees of one backup side by side: each path once, with what it was in each. Runs that
//! trees share are read once.

use super::error::Flaw;
use super::layers::Layer;
use super::run::Cursor;
use super::{BlockPlace, IndexError, Tree, entry_codec, key};
use crate::model::{Entry, LevelId, TreePath};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashMap, binary_heap::PeekMut};
use std::ops::Range;

/// An entry, and trees that follow each other and all have it, by their places among those that
/// were asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spell {
    /// Which trees; never none.
    pub trees: Range<usize>,
    /// What they have there. It is no link to another entry: it stands for itself.
    pub entry: Entry,
}

/// A path, and what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathHistory {
    /// Which path.
    pub path: TreePath,
    /// In the order of the trees; those that have nothing there are missing.
    pub spells: Vec<Spell>,
}

/// A path that is not put together yet.
#[derive(Clone, Copy, Debug)]
pub struct PathKey<'a>(&'a [u8]);

impl<'a> PathKey<'a> {
    /// The last component; empty for the root.
    pub fn name(self) -> &'a [u8] {
        self.0.rsplit(|byte| *byte == 0).next().unwrap_or_default()
    }

    /// The whole path; `None` for what no tree can hold.
    pub fn path(self) -> Option<TreePath> {
        key::to_path(self.0).ok()
    }
}

/// Several trees that share runs. Memory holds the roots of all runs, each once.
#[derive(Clone, Debug, Default)]
pub struct TreeSeries {
    runs: Vec<Layer>,
    /// Their numbers, by the levels that wrote them.
    known: HashMap<LevelId, usize>,
    /// Whether some tree has nothing below this run, where nothing can be gone.
    is_oldest: Vec<bool>,
    /// Of each tree, the numbers of its runs, the newest first.
    trees: Vec<Vec<usize>>,
}

/// What one run says of a key.
#[derive(Debug)]
enum Said {
    Nothing,
    Gone,
    Entry(Found),
}

/// What a run has under a key.
#[derive(Debug)]
struct Found {
    run: usize,
    /// Where it stands, should it be malformed.
    place: BlockPlace,
    rank: u64,
    value: Vec<u8>,
}

impl Found {
    fn at(run: usize, cursor: &Cursor) -> Option<Self> {
        let item = cursor.current()?;
        Some(Self {
            run,
            place: cursor.place(),
            rank: item.rank,
            value: item.value.to_vec(),
        })
    }

    fn entry(&self, path: &TreePath) -> Result<Entry, IndexError> {
        let entry =
            entry_codec::decode(&self.value, path.clone()).map_err(|flaw| self.malformed(flaw))?;
        Ok(Entry {
            link_to: None,
            ..entry
        })
    }

    fn malformed(&self, flaw: Flaw) -> IndexError {
        flaw.of_entry(self.rank).within(self.place)
    }
}

impl TreeSeries {
    /// Puts a tree behind the others, or one that has nothing. A run of a level that another tree
    /// has too is taken for the same run. Loads nothing.
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

    /// How many trees there are.
    pub fn trees(&self) -> usize {
        self.trees.len()
    }

    /// How many runs the trees have together.
    pub fn runs(&self) -> usize {
        self.runs.len()
    }

    /// The trees that have a run.
    pub fn trees_with(&self, run: usize) -> impl Iterator<Item = usize> {
        self.trees
            .iter()
            .enumerate()
            .filter(move |(_, runs)| runs.contains(&run))
            .map(|(tree, _)| tree)
    }

    /// Lets a tree have nothing. The others keep their places, and a run that no tree has is not
    /// read.
    pub fn leave_out(&mut self, tree: usize) {
        self.trees.get_mut(tree).into_iter().for_each(Vec::clear);
    }

    /// Reads all of a run, also what newer runs replace, for as long as `goes_on` says so.
    ///
    /// # Errors
    ///
    /// The first that there is; what follows it in that run was not looked at.
    pub fn verify(&self, run: usize, goes_on: impl Fn() -> bool) -> Result<(), IndexError> {
        let is_oldest = self.is_oldest.get(run).copied().unwrap_or_default();
        self.runs
            .get(run)
            .map_or(Ok(()), |layer| layer.verify(is_oldest, goes_on))
    }

    /// What one path was in each tree. Asks each run once, and only those that no newer one answers
    /// for.
    ///
    /// # Errors
    ///
    /// [`IndexError::Fetch`] and [`IndexError::Malformed`].
    pub fn history(&self, path: &TreePath) -> Result<PathHistory, IndexError> {
        let key = key::of_path(path);
        let mut said: Vec<Option<Said>> = self.runs.iter().map(|_| None).collect();
        let mut spells: Vec<(Range<usize>, usize)> = Vec::new();
        for (tree, numbers) in self.trees.iter().enumerate() {
            for number in numbers {
                let (Some(run), Some(slot)) = (self.runs.get(*number), said.get_mut(*number))
                else {
                    continue;
                };
                let answer = match slot {
                    Some(answer) => answer,
                    None => slot.insert(self.ask(*number, run, &key)?),
                };
                match answer {
                    Said::Nothing => continue,
                    Said::Gone => break,
                    Said::Entry(_) => {}
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
            .filter_map(|(trees, number)| match said.get(number) {
                Some(Some(Said::Entry(found))) => {
                    Some(found.entry(path).map(|entry| Spell { trees, entry }))
                }
                _ => None,
            });
        Ok(PathHistory {
            path: path.clone(),
            spells: joined(spells.collect::<Result<_, _>>()?),
        })
    }

    fn ask(&self, number: usize, run: &Layer, key: &[u8]) -> Result<Said, IndexError> {
        if let Some(cursor) = run.run.get(key)? {
            let found = Found::at(number, &cursor);
            return Ok(found.map_or(Said::Nothing, |found| {
                if self.is_gone(&found) {
                    Said::Gone
                } else {
                    Said::Entry(found)
                }
            }));
        }
        Ok(if run.gone_above(key)?.is_some() {
            Said::Gone
        } else {
            Said::Nothing
        })
    }

    fn is_gone(&self, found: &Found) -> bool {
        entry_codec::is_gone(&found.value) && self.is_oldest.get(found.run) == Some(&false)
    }

    /// Goes through all paths that `wanted` takes, in the order of the index. Reads each run once,
    /// all of them at the same pace: memory holds a block or two of each. Ends with the first
    /// error.
    pub fn histories<W: FnMut(PathKey<'_>) -> bool>(&self, wanted: W) -> Histories<W> {
        let mut trees_of: Vec<Vec<Range<usize>>> = vec![Vec::new(); self.runs.len()];
        for (tree, numbers) in self.trees.iter().enumerate() {
            for number in numbers {
                let Some(ranges) = trees_of.get_mut(*number) else {
                    continue;
                };
                match ranges.last_mut() {
                    Some(range) if range.end == tree => range.end += 1,
                    _ => ranges.push(tree..tree + 1),
                }
            }
        }
        Histories {
            trees_of,
            series: self.clone(),
            wanted,
            state: State::Begin,
            cursors: Vec::new(),
            order: BinaryHeap::new(),
            gone: Vec::new(),
        }
    }
}

/// Puts spells together that follow each other with the same entry: runs that were merged have it
/// once more.
fn joined(spells: Vec<Spell>) -> Vec<Spell> {
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

/// Where a run has come to.
#[derive(Debug, PartialEq, Eq)]
struct Head {
    key: Vec<u8>,
    run: usize,
}

impl Ord for Head {
    /// The first key is the greatest head.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key).then(other.run.cmp(&self.run))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begin,
    Under,
    Ended,
}

/// What [`TreeSeries::histories`] lists.
pub struct Histories<W> {
    series: TreeSeries,
    /// Of each run, the trees that have it.
    trees_of: Vec<Vec<Range<usize>>>,
    wanted: W,
    state: State,
    /// Of each run that a tree has, the first entry that was not passed yet.
    cursors: Vec<Option<Cursor>>,
    order: BinaryHeap<Head>,
    /// Subtrees around the place that has been reached, and the runs that say they are gone.
    gone: Vec<(Vec<u8>, usize)>,
}

impl<W: FnMut(PathKey<'_>) -> bool> Histories<W> {
    fn begin(&mut self) -> Result<(), IndexError> {
        for (run, (layer, trees)) in self.series.runs.iter().zip(&self.trees_of).enumerate() {
            if trees.is_empty() {
                self.cursors.push(None);
                continue;
            }
            let mut cursor = layer.run.seek(&[])?;
            pass_unwanted(&mut cursor, &mut self.wanted)?;
            if let Some(item) = cursor.current() {
                self.order.push(Head {
                    key: item.key.to_vec(),
                    run,
                });
            }
            self.cursors.push(Some(cursor));
        }
        Ok(())
    }

    /// What the runs have under the next key, which is left in `key`; nothing past the last.
    fn take(&mut self, key: &mut Vec<u8>) -> Result<Vec<Found>, IndexError> {
        let mut found = Vec::new();
        while let Some(mut head) = self.order.peek_mut() {
            if found.is_empty() {
                key.clone_from(&head.key);
            } else if head.key != *key {
                break;
            }
            let Some(Some(cursor)) = self.cursors.get_mut(head.run) else {
                break;
            };
            found.extend(Found::at(head.run, cursor));
            cursor.advance()?;
            pass_unwanted(cursor, &mut self.wanted)?;
            match cursor.current() {
                Some(item) => {
                    head.key.clear();
                    head.key.extend_from_slice(item.key);
                }
                None => drop(PeekMut::pop(head)),
            }
        }
        Ok(found)
    }

    fn try_next(&mut self) -> Result<Option<PathHistory>, IndexError> {
        if self.state == State::Begin {
            self.state = State::Under;
            self.begin()?;
        }
        let mut key = Vec::new();
        loop {
            let found = self.take(&mut key)?;
            if found.is_empty() {
                return Ok(None);
            }
            self.gone.retain(|(subtree, _)| key.starts_with(subtree));
            if key::is_subtree(&key) {
                for found in &found {
                    if !self.series.is_gone(found) {
                        return Err(found.malformed("a key is not that of a path".into()));
                    }
                    key::check_subtree(&key).map_err(|flaw| found.malformed(flaw))?;
                    self.gone.push((key.clone(), found.run));
                }
                continue;
            }
            let spells = self.spells(&found);
            if spells.is_empty() {
                continue;
            }
            let path = match found.first() {
                Some(first) => key::to_path(&key).map_err(|flaw| first.malformed(flaw))?,
                None => continue,
            };
            let spells = spells.into_iter().map(|(trees, found)| {
                Ok(Spell {
                    trees,
                    entry: found.entry(&path)?,
                })
            });
            return Ok(Some(PathHistory {
                spells: joined(spells.collect::<Result<_, IndexError>>()?),
                path,
            }));
        }
    }

    /// Which trees have what.
    fn spells<'found>(&self, found: &'found [Found]) -> Vec<(Range<usize>, &'found Found)> {
        if let ([only], true) = (found, self.gone.is_empty()) {
            let trees = self
                .trees_of
                .get(only.run)
                .filter(|_| !self.series.is_gone(only));
            return trees
                .into_iter()
                .flatten()
                .map(|trees| (trees.clone(), only))
                .collect();
        }
        let mut spells: Vec<(Range<usize>, &Found)> = Vec::new();
        for (tree, runs) in self.series.trees.iter().enumerate() {
            let decides =
                runs.iter()
                    .find_map(|run| match found.iter().find(|found| found.run == *run) {
                        Some(found) => Some((!self.series.is_gone(found)).then_some(found)),
                        None => self
                            .gone
                            .iter()
                            .any(|(_, gone)| gone == run)
                            .then_some(None),
                    });
            let Some(Some(decides)) = decides else {
                continue;
            };
            match spells.last_mut() {
                Some((trees, last)) if trees.end == tree && last.value == decides.value => {
                    trees.end += 1
                }
                _ => spells.push((tree..tree + 1, decides)),
            }
        }
        spells
    }
}

/// Goes on to the next path that is wanted, or the next subtree that is gone.
fn pass_unwanted(
    cursor: &mut Cursor,
    wanted: &mut impl FnMut(PathKey<'_>) -> bool,
) -> Result<(), IndexError> {
    while cursor
        .current()
        .is_some_and(|item| !key::is_subtree(item.key) && !wanted(PathKey(item.key)))
    {
        cursor.advance()?;
    }
    Ok(())
}

impl<W: FnMut(PathKey<'_>) -> bool> Iterator for Histories<W> {
    type Item = Result<PathHistory, IndexError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Ended {
            return None;
        }
        let next = self.try_next().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Ended;
        }
        next
    }
}

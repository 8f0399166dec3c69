//! Every path of several trees, with its history.

use super::run::Cursor;
use super::tree_series::{RunFound, joined};
use super::{IndexError, PathHistory, PathKey, Spell, TreeSeries, key};
use std::cmp::Ordering;
use std::collections::{BinaryHeap, binary_heap::PeekMut};
use std::ops::Range;

impl TreeSeries {
    /// Lists the histories of all paths that `wanted` accepts, in index order. Ends with the first
    /// error.
    ///
    /// Reads each run once, all of them side by side: memory holds a block or two of each.
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
            phase: Phase::Begin,
            cursors: Vec::new(),
            order: BinaryHeap::new(),
            gone: Vec::new(),
        }
    }
}

/// The next key of a run.
#[derive(Debug, PartialEq, Eq)]
struct RunHead {
    key: Vec<u8>,
    run: usize,
}

impl Ord for RunHead {
    /// The first key is the greatest, so that it comes out of the heap first.
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key).then(other.run.cmp(&self.run))
    }
}

impl PartialOrd for RunHead {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Begin,
    Under,
    Ended,
}

/// Lists the histories of paths: see [`TreeSeries::histories`].
pub struct Histories<W> {
    series: TreeSeries,
    /// For each run, the trees that have it.
    trees_of: Vec<Vec<Range<usize>>>,
    wanted: W,
    phase: Phase,
    /// One cursor for each run that a tree has, at the first entry not passed yet.
    cursors: Vec<Option<Cursor>>,
    order: BinaryHeap<RunHead>,
    /// The subtrees around the current key that are gone, each with the run that marks it.
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
                self.order.push(RunHead {
                    key: item.key.to_vec(),
                    run,
                });
            }
            self.cursors.push(Some(cursor));
        }
        Ok(())
    }

    /// Takes the entries of all runs with the next key, and writes that key into `key`. Returns
    /// none past the last key.
    fn take(&mut self, key: &mut Vec<u8>) -> Result<Vec<RunFound>, IndexError> {
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
            found.extend(RunFound::at(head.run, cursor));
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
        if self.phase == Phase::Begin {
            self.phase = Phase::Under;
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

    /// Returns which trees have which of the entries that the runs have for one key.
    fn spells<'found>(&self, found: &'found [RunFound]) -> Vec<(Range<usize>, &'found RunFound)> {
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
        let mut spells: Vec<(Range<usize>, &RunFound)> = Vec::new();
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

/// Moves a cursor to the next path that is wanted, or the next subtree that is gone.
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
        if self.phase == Phase::Ended {
            return None;
        }
        let next = self.try_next().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.phase = Phase::Ended;
        }
        next
    }
}

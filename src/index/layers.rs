//! The runs of a tree on top of each other: of each key the newest run that has it decides.
//!
//! A run but the oldest may say that keys are gone: one, or all that lie in a directory (a
//! *subtree*). Layout: docs/format/index.md, "A tree of several runs".

use super::error::Flaw;
use super::run::{Cursor, Item, Run};
use super::{BlockCache, BlockPlace, BlockSource, IndexError, RunRoot, entry_codec, key};
use crate::model::{LevelId, NodeId};
use std::borrow::Cow;
use std::sync::Arc;

/// Below these bits a node holds a rank, above them which run it is a rank in.
const RANK_BITS: u32 = 34;

/// No tree has more runs: nodes of 40 bits name them all.
const MOST_RUNS: usize = 63;

/// The root, whichever run has it.
const ROOT: NodeId = NodeId(0);

/// A run as the manifest of a point in time names it.
#[derive(Clone)]
pub struct TreeRun {
    /// The level that wrote it: runs of two trees that the same level wrote are the same run. None
    /// is unlike any.
    pub level: Option<LevelId>,
    /// Its root.
    pub root: RunRoot,
    /// How many subtrees it says to be gone.
    pub subtrees: u64,
    /// Where its blocks are.
    pub source: Arc<dyn BlockSource>,
}

#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) level: Option<LevelId>,
    pub(super) run: Run,
    subtrees: u64,
}

impl Layer {
    /// The outermost subtree that `key` lies in and this run says to be gone.
    pub(super) fn gone_above<'key>(
        &self,
        key: &'key [u8],
    ) -> Result<Option<&'key [u8]>, IndexError> {
        if self.subtrees == 0 {
            return Ok(None);
        }
        for subtree in key::subtrees(key) {
            if self.run.get(subtree)?.is_some() {
                return Ok(Some(subtree));
            }
        }
        Ok(None)
    }

    /// Reads every entry in order and decodes it, those that newer runs replace and those that say
    /// what is gone among them, for as long as `goes_on` says so.
    pub(super) fn verify(
        &self,
        is_oldest: bool,
        goes_on: impl Fn() -> bool,
    ) -> Result<(), IndexError> {
        let mut cursor = self.run.seek(&[])?;
        let mut subtrees = 0;
        while let Some(item) = cursor.current() {
            if !goes_on() {
                return Ok(());
            }
            let checked = match (
                !is_oldest && entry_codec::is_gone(item.value),
                key::is_subtree(item.key),
            ) {
                (true, true) => {
                    subtrees += 1;
                    key::check_subtree(item.key)
                }
                (true, false) => key::to_path(item.key).map(drop),
                (false, _) => verify_entry(item),
            };
            checked.map_err(|flaw| cursor.malformed(flaw))?;
            cursor.advance()?;
        }
        if subtrees == self.subtrees {
            Ok(())
        } else {
            Err(Flaw::from(format!(
                "{subtrees} subtrees are gone in it, and should be {}",
                self.subtrees
            ))
            .within(BlockPlace::Root))
        }
    }
}

/// The opened runs of a tree, the oldest first: a run's number is its place. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    layers: Arc<[Layer]>,
}

/// An entry, and the run that has it.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) run: usize,
    pub(super) cursor: Cursor,
}

fn verify_entry(item: Item<'_>) -> Result<(), Flaw> {
    let entry = entry_codec::decode(item.value, key::to_path(item.key)?)?;
    entry
        .link_to
        .map_or(Ok(()), |first| check_link(first, item.rank))
}

/// Refuses a link to what does not come before it.
pub(super) fn check_link(first: NodeId, rank: u64) -> Result<(), Flaw> {
    if first.0 >= rank {
        Err("it is a link to an entry that does not come before it".into())
    } else {
        Ok(())
    }
}

fn is_gone(run: usize, item: Item<'_>) -> bool {
    // From the oldest run nothing can be gone; such a value is refused as an entry.
    run > 0 && entry_codec::is_gone(item.value)
}

impl Layers {
    /// Opens the runs of a tree, the newest first. Loads nothing.
    pub(super) fn open(runs: Vec<TreeRun>, cache: &Arc<BlockCache>) -> Result<Self, IndexError> {
        let refused = |what: &'static str| Flaw::from(what).within(BlockPlace::Root);
        if runs.is_empty() || runs.len() > MOST_RUNS {
            return Err(refused("a tree has no runs, or more than there may be"));
        }
        let open = |TreeRun {
                        level,
                        root,
                        subtrees,
                        source,
                    }| {
            let run = Run::open(root, source, Arc::clone(cache))?;
            if run.entries() >> RANK_BITS != 0 {
                return Err(refused("a run has more entries than can be numbered"));
            }
            Ok(Layer {
                level,
                run,
                subtrees,
            })
        };
        Ok(Self {
            layers: runs.into_iter().rev().map(open).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn cached_only(&self) -> Self {
        let layers = self.layers.iter().map(|layer| Layer {
            run: layer.run.cached_only(),
            ..layer.clone()
        });
        Self {
            layers: layers.collect(),
        }
    }

    /// Its oldest runs alone, one at least.
    pub(super) fn oldest(&self, count: usize) -> Self {
        Self {
            layers: self.layers.iter().take(count.max(1)).cloned().collect(),
        }
    }

    /// Every run, the oldest first.
    pub(super) fn each(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter()
    }

    /// How many of the oldest runs another tree has too.
    pub(super) fn shared_with(&self, other: &Self) -> usize {
        let pairs = self.layers.iter().zip(other.layers.iter());
        pairs
            .take_while(|(own, other)| own.level.is_some() && own.level == other.level)
            .count()
    }

    /// A cursor at the first entry of each run but the oldest ones.
    pub(super) fn cursors_from(&self, oldest: usize) -> Result<Vec<Cursor>, IndexError> {
        self.layers
            .iter()
            .skip(oldest)
            .map(|layer| layer.run.seek(&[]))
            .collect()
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }

    /// How many entries the runs have, those of older runs that newer ones replace counted too.
    pub(super) fn entries(&self) -> u64 {
        self.layers
            .iter()
            .map(|layer| layer.run.entries())
            .fold(0, u64::saturating_add)
    }

    /// The entry with this key, unless there is none.
    pub(super) fn find(&self, key: &[u8]) -> Result<Option<Spot>, IndexError> {
        for (run, layer) in self.layers.iter().enumerate().rev() {
            if let Some(cursor) = layer.run.get(key)? {
                let is_there = cursor.current().is_some_and(|item| !is_gone(run, item));
                return Ok(is_there.then_some(Spot { run, cursor }));
            }
            if layer.gone_above(key)?.is_some() {
                return Ok(None);
            }
        }
        Ok(None)
    }

    /// The entry that has this node; of an entry that a newer run replaces, what the older one
    /// says.
    pub(super) fn at(&self, node: NodeId) -> Result<Option<Spot>, IndexError> {
        if node == ROOT && self.layers.len() > 1 {
            return self.find(&[]);
        }
        let Some((run, layer)) = usize::try_from(node.0 >> RANK_BITS)
            .ok()
            .and_then(|run| Some((run, self.layers.get(run)?)))
        else {
            return Ok(None);
        };
        let spot = layer
            .run
            .at(node.0 & ((1 << RANK_BITS) - 1))?
            .map(|cursor| Spot { run, cursor });
        Ok(spot.filter(|spot| {
            spot.cursor
                .current()
                .is_some_and(|item| !is_gone(run, item))
        }))
    }

    /// The node of an entry.
    pub(super) fn node(&self, run: usize, item: Item<'_>) -> Result<NodeId, Flaw> {
        if item.key.is_empty() {
            return Ok(ROOT);
        }
        let node = NodeId((run as u64) << RANK_BITS | item.rank);
        if node == ROOT && self.layers.len() > 1 {
            Err("the oldest run does not begin with the root".into())
        } else {
            Ok(node)
        }
    }

    /// The run that has the entry of a node; `None` where there is no such node.
    pub(super) fn run_of(&self, node: NodeId) -> Result<Option<usize>, IndexError> {
        if node == ROOT {
            return Ok(self.at(node)?.map(|spot| spot.run));
        }
        Ok(usize::try_from(node.0 >> RANK_BITS)
            .ok()
            .filter(|run| *run < self.layers.len()))
    }

    /// The node of the entry with this rank in the same run, unless a newer run has another in its
    /// place, or says that it is gone.
    pub(super) fn neighbour(&self, run: usize, rank: u64) -> Result<Option<NodeId>, IndexError> {
        let Some(layer) = self.layers.get(run) else {
            return Ok(None);
        };
        let Some(cursor) = layer.run.at(rank)? else {
            return Ok(None);
        };
        let Some(item) = cursor.current().filter(|item| !is_gone(run, *item)) else {
            return Ok(None);
        };
        for newer in self.layers.iter().skip(run + 1) {
            if newer.run.get(item.key)?.is_some() || newer.gone_above(item.key)?.is_some() {
                return Ok(None);
            }
        }
        self.node(run, item)
            .map(Some)
            .map_err(|flaw| cursor.malformed(flaw))
    }

    /// A cursor at the first entry whose key is not less than `key`.
    pub(super) fn seek(&self, key: &[u8]) -> Result<Merged, IndexError> {
        let mut cursors = Vec::with_capacity(self.layers.len());
        let mut from = Cow::Borrowed(key);
        for layer in self.layers.iter().rev() {
            cursors.push(layer.run.seek(&from)?);
            // What is older has nothing in a subtree that is gone.
            if let Some(after) = layer.gone_above(&from)?.map(key::after_subtree) {
                from = Cow::Owned(after);
            }
        }
        cursors.reverse();
        let mut merged = Merged {
            layers: self.clone(),
            cursors,
            first: 0,
            second: None,
        };
        merged.settle()?;
        Ok(merged)
    }
}

/// A place in the runs of a tree together: at an entry, or past the last. After an error it must
/// not be used any more.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    layers: Layers,
    /// Of each run, the first entry that was not passed yet.
    cursors: Vec<Cursor>,
    /// The run that is at the least key of all, the newest of those.
    first: usize,
    /// The run that is at the least key of all others.
    second: Option<usize>,
}

impl Merged {
    fn item(&self, run: usize) -> Option<Item<'_>> {
        self.cursors.get(run).and_then(Cursor::current)
    }

    /// The entry here and its run; `None` past the last.
    pub(super) fn current(&self) -> Option<(usize, Item<'_>)> {
        Some((self.first, self.item(self.first)?))
    }

    /// Goes to the next entry.
    pub(super) fn advance(&mut self) -> Result<(), IndexError> {
        self.step(self.first)?;
        let stays_first = match (
            self.item(self.first),
            self.second.and_then(|second| self.item(second)),
        ) {
            (None, _) => self.second.is_none(),
            (Some(item), None) => !is_gone(self.first, item),
            (Some(item), Some(other)) => item.key < other.key && !is_gone(self.first, item),
        };
        if stays_first { Ok(()) } else { self.settle() }
    }

    /// Goes to the first entry whose key is not less than `key`.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), IndexError> {
        *self = self.layers.seek(key)?;
        Ok(())
    }

    /// An error about the entry here.
    pub(super) fn malformed(&self, flaw: Flaw) -> IndexError {
        self.cursors.get(self.first).map_or_else(
            || flaw.clone().within(BlockPlace::Root),
            |cursor| cursor.malformed(flaw.clone()),
        )
    }

    fn step(&mut self, run: usize) -> Result<(), IndexError> {
        self.cursors.get_mut(run).map_or(Ok(()), Cursor::advance)
    }

    /// Passes all that is gone.
    fn settle(&mut self) -> Result<(), IndexError> {
        loop {
            self.choose()?;
            let Some((run, item)) = self.current().filter(|(run, item)| is_gone(*run, *item))
            else {
                return Ok(());
            };
            if key::is_subtree(item.key) {
                key::check_subtree(item.key).map_err(|flaw| self.malformed(flaw))?;
                let subtree = item.key.to_vec();
                let after = key::after_subtree(&subtree);
                for (cursor, layer) in self
                    .cursors
                    .iter_mut()
                    .zip(self.layers.layers.iter())
                    .take(run)
                {
                    if cursor
                        .current()
                        .is_some_and(|item| item.key.starts_with(&subtree))
                    {
                        *cursor = layer.run.seek(&after)?;
                    }
                }
            }
            self.step(run)?;
        }
    }

    /// Finds the run with the least key, and has older runs pass the same one.
    fn choose(&mut self) -> Result<(), IndexError> {
        use std::cmp::Ordering::{Equal, Greater, Less};
        let (mut first, mut second) = (None::<usize>, None::<usize>);
        for run in (0..self.cursors.len()).rev() {
            let order = loop {
                let Some(item) = self.item(run) else {
                    break None;
                };
                match first
                    .and_then(|first| self.item(first))
                    .map_or(Less, |least| item.key.cmp(least.key))
                {
                    Equal => self.step(run)?,
                    order => break Some(order),
                }
            };
            match order {
                Some(Less) => (first, second) = (Some(run), first),
                Some(Greater) => {
                    let is_less = |other| {
                        self.item(run).map(|item| item.key) < self.item(other).map(|item| item.key)
                    };
                    if second.is_none_or(is_less) {
                        second = Some(run);
                    }
                }
                Some(Equal) | None => {}
            }
        }
        self.first = first.unwrap_or(0);
        self.second = second;
        Ok(())
    }
}

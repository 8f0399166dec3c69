//! The runs of a tree on top of each other: for each key, the newest run that has it decides.
//!
//! Every run except the oldest may mark keys as gone: a single key, or all keys in a directory (a
//! *subtree*). Layout: docs/format/index.md, "A tree of several runs".

use super::error::Flaw;
use super::node_number::{self, RANK_BITS, node_of, rank_of};
use super::run::{Cursor, Item, RunReader};
use super::{BlockCache, BlockPlace, BlockSource, IndexError, RunRoot, entry_codec, key};
use crate::model::{Kind, LevelId, NodeId};
use std::sync::Arc;

/// The most runs of a tree: nodes then fit into 40 bits.
pub(super) const MOST_RUNS: usize = 63;

/// The node of the root, whichever run has it.
const ROOT: NodeId = NodeId(0);

/// A run of a tree, as a manifest names it.
#[derive(Clone)]
pub struct TreeRun {
    /// The level that wrote the run. If two trees have runs of the same level, they share that run.
    /// A run with `None` is never shared.
    pub level: Option<LevelId>,
    /// The root of the run.
    pub root: RunRoot,
    /// How many subtrees the run marks as gone.
    pub subtrees: u64,
    /// The source of the run's blocks.
    pub source: Arc<dyn BlockSource>,
}

/// An opened run of a tree.
#[derive(Clone, Debug)]
pub(super) struct Layer {
    pub(super) level: Option<LevelId>,
    pub(super) run: RunReader,
    subtrees: u64,
}

impl Layer {
    /// Returns the outermost subtree that `key` lies in and that this run marks as gone.
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

    /// Reads and decodes every entry in order, including marks and entries that newer runs replace.
    /// `run` is how many runs are below this one, or more than any run has. Stops when `goes_on`
    /// returns false.
    pub(super) fn verify(&self, run: usize, goes_on: impl Fn() -> bool) -> Result<(), IndexError> {
        let mut cursor = self.run.seek(&[])?;
        let mut subtrees = 0;
        while let Some(item) = cursor.current() {
            if !goes_on() {
                return Ok(());
            }
            let checked = match (is_gone(run, item), key::is_subtree(item.key)) {
                (true, true) => {
                    subtrees += 1;
                    key::check_subtree(item.key)
                }
                (true, false) => key::to_path(item.key).map(drop),
                (false, _) => self.verify_link(item, run)?,
            };
            checked.map_err(|flaw| cursor.malformed(flaw))?;
            cursor.advance()?;
        }
        if subtrees == self.subtrees {
            Ok(())
        } else {
            Err(Flaw::from(format!(
                "it marks {subtrees} subtrees as gone, but should mark {}",
                self.subtrees
            ))
            .within(BlockPlace::Root))
        }
    }
}

impl Layer {
    /// Decodes an entry. Looks up the common record of its file, if that is another entry of this
    /// run.
    fn verify_link(&self, item: Item<'_>, run: usize) -> Result<Result<(), Flaw>, IndexError> {
        let first = match verify_entry(run, item) {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(Ok(())),
            Err(flaw) => return Ok(Err(flaw)),
        };
        let first = self.run.at(first)?;
        let first = first.as_ref().and_then(Cursor::current);
        let first = first.filter(|first| !is_gone(run, *first));
        Ok(first.map_or(Ok(()), |first| check_kinds(item, first)))
    }
}

/// The opened runs of a tree, the oldest first: a run's number is its place here. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Layers {
    layers: Arc<[Layer]>,
}

/// The place of an entry: its run, and a cursor there.
#[derive(Debug)]
pub(super) struct Spot {
    pub(super) run: usize,
    pub(super) cursor: Cursor,
}

/// Decodes an entry. Returns the rank of its common record, if that is another entry of this run.
fn verify_entry(run: usize, item: Item<'_>) -> Result<Option<u64>, Flaw> {
    let entry = entry_codec::decode(item.value, key::to_path(item.key)?, run)?;
    let Some(record) = entry.link_to else {
        return Ok(None);
    };
    check_link(record, run, item.rank)?;
    Ok((node_number::run_of(record) == run).then(|| rank_of(record)))
}

/// Refuses a link to a record of the same run that does not come before it.
fn check_link(first: NodeId, run: usize, rank: u64) -> Result<(), Flaw> {
    if node_number::run_of(first) == run && rank_of(first) >= rank {
        Err("it links to an entry that does not come before it".into())
    } else {
        Ok(())
    }
}

/// Refuses a further name of a file whose common record is another kind of entry, or a directory.
fn check_kinds(name: Item<'_>, first: Item<'_>) -> Result<(), Flaw> {
    let [name, first] =
        [name, first].map(|item| entry_codec::decode_attributes(item.value, MOST_RUNS));
    let (name, first) = (name?, first?);
    if name.kind == Kind::Directory || (name.kind, name.size) != (first.kind, first.size) {
        Err("it is a hard link to an entry of another kind or size, or to a directory".into())
    } else {
        Ok(())
    }
}

/// Returns whether an entry of run `run` is a mark that something is gone.
pub(super) fn is_gone(run: usize, item: Item<'_>) -> bool {
    // The oldest run cannot mark anything as gone. Decoding refuses such a value there.
    run > 0 && entry_codec::is_gone(item.value)
}

impl Layers {
    /// Opens the runs of a tree, the newest first. Loads nothing.
    pub(super) fn open(runs: Vec<TreeRun>, cache: &Arc<BlockCache>) -> Result<Self, IndexError> {
        let refused = |what: &'static str| Flaw::from(what).within(BlockPlace::Root);
        if runs.is_empty() || runs.len() > MOST_RUNS {
            return Err(refused("a tree has no runs, or more than 63"));
        }
        let open = |TreeRun {
                        level,
                        root,
                        subtrees,
                        source,
                    }| {
            let run = RunReader::open(root, source, Arc::clone(cache))?;
            if run.entries() >> RANK_BITS != 0 {
                return Err(refused("a run has more entries than nodes can number"));
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

    /// Returns the `count` oldest runs alone, at least one.
    pub(super) fn oldest(&self, count: usize) -> Self {
        Self {
            layers: self.layers.iter().take(count.max(1)).cloned().collect(),
        }
    }

    /// Lists the runs, the oldest first.
    pub(super) fn each(&self) -> impl DoubleEndedIterator<Item = &Layer> {
        self.layers.iter()
    }

    /// Returns how many of the oldest runs another tree shares.
    pub(super) fn shared_with(&self, other: &Self) -> usize {
        let pairs = self.layers.iter().zip(other.layers.iter());
        pairs
            .take_while(|(own, other)| own.level.is_some() && own.level == other.level)
            .count()
    }

    /// Returns one cursor for each run except the `oldest` oldest ones, at its first entry.
    pub(super) fn cursors_from(&self, oldest: usize) -> Result<Vec<Cursor>, IndexError> {
        self.layers
            .iter()
            .skip(oldest)
            .map(|layer| layer.run.seek(&[]))
            .collect()
    }

    /// Returns how many runs there are.
    pub(super) fn len(&self) -> usize {
        self.layers.len()
    }

    /// Returns how many entries the runs have, including those that newer runs replace.
    pub(super) fn entries(&self) -> u64 {
        self.layers
            .iter()
            .map(|layer| layer.run.entries())
            .fold(0, u64::saturating_add)
    }

    /// Finds the entry with this key.
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

    /// Finds the entry with this node. If a newer run replaces the entry, finds that of the older
    /// run all the same.
    pub(super) fn at(&self, node: NodeId) -> Result<Option<Spot>, IndexError> {
        if node == ROOT && self.layers.len() > 1 {
            return self.find(&[]);
        }
        let run = node_number::run_of(node);
        let Some(layer) = self.layers.get(run) else {
            return Ok(None);
        };
        let spot = layer
            .run
            .at(rank_of(node))?
            .map(|cursor| Spot { run, cursor });
        Ok(spot.filter(|spot| {
            spot.cursor
                .current()
                .is_some_and(|item| !is_gone(run, item))
        }))
    }

    /// Returns the node of an entry.
    pub(super) fn node(&self, run: usize, item: Item<'_>) -> Result<NodeId, Flaw> {
        if item.key.is_empty() {
            return Ok(ROOT);
        }
        let node = node_of(run, item.rank);
        if node == ROOT && self.layers.len() > 1 {
            Err("the oldest run does not begin with the root".into())
        } else {
            Ok(node)
        }
    }

    /// Returns the run that has the entry of a node; `None` if there is no such node.
    pub(super) fn run_of(&self, node: NodeId) -> Result<Option<usize>, IndexError> {
        if node == ROOT {
            return Ok(self.at(node)?.map(|spot| spot.run));
        }
        Ok(Some(node_number::run_of(node)).filter(|run| *run < self.layers.len()))
    }

    /// Returns the node of the record that the names of a file have in common, of which `name` in
    /// run `run` is one; `None` if it is not there. `malformed` makes an error about `name`.
    ///
    /// The record counts even if a newer run has something else in its place: that a name was moved
    /// or removed does not change the file.
    pub(super) fn common_record(
        &self,
        run: usize,
        name: Item<'_>,
        record: NodeId,
        malformed: impl Fn(Flaw) -> IndexError,
    ) -> Result<Option<NodeId>, IndexError> {
        check_link(record, run, name.rank).map_err(&malformed)?;
        let spot = self.at(record)?;
        let Some(item) = spot.as_ref().and_then(Spot::item) else {
            return Ok(None);
        };
        check_kinds(name, item).map_err(malformed)?;
        Ok(Some(record))
    }
}

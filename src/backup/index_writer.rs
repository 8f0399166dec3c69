//! The index of a new level on top of the earlier one.
//!
//! The index is a stack of runs. A new level adds a run of what differs, merged with earlier runs
//! once those have become many. A level without any difference adds none.

use super::checkpoint::IndexSoFar;
use super::compare::Change;
use super::error::BackupError;
use super::lane::LaneWriter;
use crate::format::manifest::Run;
use crate::index::{DeltaRun, DeltaWriter, IndexError, Tree, TreeWriter};
use crate::model::{Entry, NodeId};
use std::collections::HashMap;

/// A run is merged with the newer ones once those have more than this part of its entries together.
/// So each run is larger than all newer ones by this factor, and there are few.
const RATIO: u64 = 3;

/// Marks a node that [`IndexWriter::push`] returned for an entry of the new run: without it, the
/// number could be that of a node of an earlier run that is merged.
const FRESH: u64 = 1 << 63;

/// Returns how many of these runs, which are newest first, the next level leaves as they are. It
/// merges the others into its own run: those of a single block, because rewriting one is cheap, and
/// those that the newer ones together come near to in size.
pub(super) fn kept_runs(runs: &[Run]) -> usize {
    let (mut merged, mut newer) = (0, 0_u64);
    for (at, run) in runs.iter().enumerate() {
        if run.root.height == 0 || run.root.entries < newer.saturating_mul(RATIO) {
            merged = at + 1;
        }
        newer = newer.saturating_add(run.root.entries);
    }
    runs.len() - merged
}

/// The index of the base.
pub(super) struct EarlierIndex {
    pub(super) tree: Tree,
    /// Number of its runs, counted from the oldest, that the new index keeps.
    pub(super) kept: usize,
}

/// The index of a level, complete.
#[derive(Debug, Default)]
pub(super) struct WrittenIndex {
    /// The new run; `None` if nothing differs.
    pub(super) run: Option<DeltaRun>,
    /// Number of earlier runs, counted from the oldest, that lie below the new one: all of them if
    /// there is no new run.
    pub(super) kept: usize,
    /// Number of segments that the new blocks fill.
    pub(super) segments: u32,
}

/// Writes the index of a level entry by entry.
pub(super) struct IndexWriter<'run> {
    lane: LaneWriter<'run>,
    earlier: Option<EarlierIndex>,
    form: NewRun,
    /// Hard-linked files that became part of the new run when that was begun. By the earlier node of
    /// the record that their names had in common.
    relinked: HashMap<NodeId, Relinked>,
}

/// The new run, in one of its forms.
enum NewRun {
    /// Runs are to be merged, but nothing differs so far.
    Unchanged {
        delta: DeltaWriter,
        /// Number of entries, from the first on, that are as in the earlier index.
        count: u64,
    },
    /// The difference to the runs that are kept.
    Delta(DeltaWriter),
    /// A run of all entries.
    Whole(TreeWriter),
}

/// The first name of a hard-linked file, in the new run.
struct Relinked {
    node: NodeId,
    /// Number of its other names that are still to come.
    names_left: u32,
}

/// The record that the names of a hard-linked file have in common, as an entry names it.
enum Link {
    /// The entry is the first that came, or the only one.
    Nothing,
    /// A record of the new run.
    Fresh(NodeId),
    /// A record of a run that is kept.
    Kept(NodeId),
    /// A record of a run that is merged, none of whose names has come before.
    Merged(NodeId),
}

impl Link {
    /// Returns the node of the record in the new tree; `None` if the entry itself becomes it.
    fn node(&self) -> Option<NodeId> {
        match self {
            Self::Fresh(node) | Self::Kept(node) => Some(*node),
            Self::Nothing | Self::Merged(_) => None,
        }
    }
}

impl<'run> IndexWriter<'run> {
    /// Starts an index on top of `earlier`, or one of its own.
    pub(super) fn new(
        earlier: Option<EarlierIndex>,
        lane: LaneWriter<'run>,
    ) -> Result<Self, BackupError> {
        let form = match &earlier {
            None => NewRun::Whole(TreeWriter::new()),
            Some(EarlierIndex { tree, kept }) => {
                let delta = DeltaWriter::new(tree).map_err(BackupError::Base)?;
                if *kept == tree.runs() {
                    NewRun::Delta(delta)
                } else {
                    NewRun::Unchanged { delta, count: 0 }
                }
            }
        };
        Ok(Self {
            lane,
            earlier,
            form,
            relinked: HashMap::new(),
        })
    }

    /// Appends an entry, and returns the node that hard links to it name. For an entry that is as it
    /// was, that is the record that it has in common with its other names, wherever those are now.
    /// The inner error says that the entry does not fit the index and was left out.
    pub(super) fn push(
        &mut self,
        entry: &Entry,
        change: &Change,
    ) -> Result<Result<NodeId, IndexError>, BackupError> {
        if let NewRun::Unchanged { delta, count } = &mut self.form {
            if let Change::Unchanged { node, was_link_to } = change
                && let Some(record) = same_record(*node, *was_link_to, entry.link_to)
                && delta.is_next(&entry.path)
                && delta.keep(&entry.path, &mut self.lane).map_err(failed)?
            {
                *count += 1;
                return Ok(Ok(record));
            }
            self.begin()?;
        }
        let link = self.link_of(entry.link_to)?;
        if let Some(record) = self.keep(entry, change, &link)? {
            return Ok(Ok(record));
        }
        match self.write(entry, &link) {
            Ok(node) => Ok(Ok(NodeId(FRESH | node.0))),
            Err(error @ IndexError::Unfit { .. }) => Ok(Err(error)),
            Err(error) => Err(failed(error)),
        }
    }

    /// Leaves an unchanged entry to the kept run that has it, and returns the record that its names
    /// have in common. `None` if it must be written.
    fn keep(
        &mut self,
        entry: &Entry,
        change: &Change,
        link: &Link,
    ) -> Result<Option<NodeId>, BackupError> {
        let NewRun::Delta(delta) = &mut self.form else {
            return Ok(None);
        };
        let (Change::Unchanged { node, was_link_to }, Some(earlier)) = (change, &self.earlier)
        else {
            return Ok(None);
        };
        let link_to = match link {
            Link::Nothing => None,
            Link::Kept(record) => Some(*record),
            Link::Fresh(_) | Link::Merged(_) => return Ok(None),
        };
        let Some(record) = same_record(*node, *was_link_to, link_to) else {
            return Ok(None);
        };
        if !earlier.keeps(*node)? || !earlier.keeps(record)? {
            return Ok(None);
        }
        let is_kept = delta.keep(&entry.path, &mut self.lane).map_err(failed)?;
        Ok(is_kept.then_some(record))
    }

    /// Returns the new run as far as it is written.
    pub(super) fn so_far(&mut self) -> Result<IndexSoFar, BackupError> {
        let root = match &self.form {
            NewRun::Unchanged { .. } => TreeWriter::new().so_far(&mut self.lane),
            NewRun::Delta(delta) => delta.so_far(&mut self.lane),
            NewRun::Whole(tree) => tree.so_far(&mut self.lane),
        };
        Ok(IndexSoFar {
            root: root.map_err(failed)?,
            stored: self.lane.flush()?.stored,
        })
    }

    /// Ends the index.
    pub(super) fn finish(mut self) -> Result<WrittenIndex, BackupError> {
        let runs = self
            .earlier
            .as_ref()
            .map_or(0, |earlier| earlier.tree.runs());
        let kept = self.earlier.as_ref().map_or(0, |earlier| earlier.kept);
        if let NewRun::Unchanged { delta, .. } = &self.form {
            if delta.is_at_end() {
                return Ok(WrittenIndex {
                    run: None,
                    kept: runs,
                    segments: self.lane.finish()?,
                });
            }
            self.begin()?;
        }
        let run = match self.form {
            NewRun::Whole(tree) => {
                let (root, head) = tree.finish_with_head(&mut self.lane).map_err(failed)?;
                Some(DeltaRun {
                    root,
                    head,
                    subtrees: 0,
                })
            }
            NewRun::Unchanged { delta, .. } | NewRun::Delta(delta) => {
                Some(delta.finish(&mut self.lane).map_err(failed)?)
                    .filter(|run| run.root.entries > 0)
            }
        };
        Ok(WrittenIndex {
            run,
            kept,
            segments: self.lane.finish()?,
        })
    }

    /// Begins the new run: writes the entries that were unchanged so far and lie in runs that are
    /// to be merged.
    fn begin(&mut self) -> Result<(), BackupError> {
        let (NewRun::Unchanged { count, .. }, Some(EarlierIndex { tree, kept })) =
            (&self.form, &self.earlier)
        else {
            return Ok(());
        };
        let (tree, kept, count) = (tree.clone(), *kept, *count);
        self.form = if kept == 0 {
            NewRun::Whole(TreeWriter::new())
        } else {
            NewRun::Delta(DeltaWriter::new(&tree.oldest(kept)).map_err(BackupError::Base)?)
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        for found in tree.all().take(count) {
            let (node, entry) = found.map_err(BackupError::Base)?;
            if let (NewRun::Delta(delta), Some(earlier)) = (&mut self.form, &self.earlier)
                && earlier.keeps(node)?
                && delta.keep(&entry.path, &mut self.lane).map_err(failed)?
            {
                continue;
            }
            let link = self.link_of(entry.link_to)?;
            let written = self.write(&entry, &link).map_err(failed)?;
            let record = match link {
                Link::Nothing => node,
                Link::Merged(record) => record,
                Link::Fresh(_) | Link::Kept(_) => continue,
            };
            if entry.metadata.links > 1 {
                let relinked = Relinked {
                    node: written,
                    names_left: entry.metadata.links - 1,
                };
                self.relinked.insert(record, relinked);
            }
        }
        Ok(())
    }

    fn link_of(&mut self, link_to: Option<NodeId>) -> Result<Link, BackupError> {
        let Some(record) = link_to else {
            return Ok(Link::Nothing);
        };
        if record.0 & FRESH != 0 {
            return Ok(Link::Fresh(NodeId(record.0 & !FRESH)));
        }
        if let Some(relinked) = self.relinked.get_mut(&record) {
            let node = relinked.node;
            relinked.names_left = relinked.names_left.saturating_sub(1);
            if relinked.names_left == 0 {
                self.relinked.remove(&record);
            }
            return Ok(Link::Fresh(node));
        }
        let is_kept = match &self.earlier {
            Some(earlier) => earlier.keeps(record)?,
            None => false,
        };
        Ok(if is_kept {
            Link::Kept(record)
        } else {
            Link::Merged(record)
        })
    }

    fn write(&mut self, entry: &Entry, link: &Link) -> Result<NodeId, IndexError> {
        let link_to = link.node();
        let linked;
        let entry = if entry.link_to == link_to {
            entry
        } else {
            linked = Entry {
                link_to,
                ..entry.clone()
            };
            &linked
        };
        match &mut self.form {
            NewRun::Unchanged { delta, .. } | NewRun::Delta(delta) => {
                delta.push(entry, &mut self.lane)
            }
            NewRun::Whole(tree) => tree.push(entry, &mut self.lane),
        }
    }
}

impl EarlierIndex {
    /// Returns whether an entry lies in a run that is kept.
    fn keeps(&self, node: NodeId) -> Result<bool, BackupError> {
        let run = self.tree.run_of(node).map_err(BackupError::Base)?;
        Ok(run.is_some_and(|run| run < self.kept))
    }
}

/// Returns the record that the names of an unchanged entry have in common, if that is the same as
/// before. `link_to` is what it is a hard link to now; nothing if no other name came before it.
fn same_record(
    node: NodeId,
    was_link_to: Option<NodeId>,
    link_to: Option<NodeId>,
) -> Option<NodeId> {
    let record = was_link_to.unwrap_or(node);
    (link_to.is_none() || link_to == Some(record)).then_some(record)
}

/// Tells a fault of the earlier index, after which a full level is made, from one of the store.
fn failed(error: IndexError) -> BackupError {
    match error {
        IndexError::Malformed { .. } | IndexError::Fetch { .. } => BackupError::Base(error),
        error => BackupError::Index(error),
    }
}

#[cfg(test)]
mod tests {
    use super::kept_runs;
    use crate::format::manifest::{RootNode, Run};
    use crate::model::LevelSerial;

    fn run(entries: u64) -> Run {
        let height = u8::from(entries > 150);
        Run {
            serial: LevelSerial(1),
            root: RootNode {
                node: Vec::new(),
                height,
                entries,
            },
            segments: 0,
            subtrees: 0,
            head: Vec::new(),
        }
    }

    /// Returns how many entries are written by `levels` levels of `changed` changed entries each on
    /// top of `all`, and the largest number of runs.
    fn written(all: u64, changed: u64, levels: u64) -> (u64, usize) {
        let (mut runs, mut written, mut most) = (vec![run(all)], 0, 1);
        for _ in 0..levels {
            let kept = runs.split_off(runs.len() - kept_runs(&runs));
            let merged: u64 = runs.iter().map(|run| run.root.entries).sum();
            runs = if kept.is_empty() {
                vec![run(all)]
            } else {
                vec![run((merged + changed).min(all))]
            };
            written += runs[0].root.entries;
            runs.extend(kept);
            most = most.max(runs.len());
        }
        (written, most)
    }

    #[test]
    fn a_level_writes_in_proportion_to_its_changes_and_runs_stay_few() {
        for (all, changed) in [
            (500_000, 5_000),
            (500_000, 500),
            (10_000_000, 1_000),
            (10_000_000, 1),
            (1_000_000, 100_000),
            (100, 1),
        ] {
            let (written, most) = written(all, changed, 1_000);
            let factor = written as f64 / (changed * 1_000) as f64;
            assert!(most <= 9, "{all} entries, {changed} changed: {most} runs");
            let least_block = 150.0 / changed as f64;
            assert!(
                factor < 14.0 + least_block,
                "{all} entries, {changed} changed: {factor} times what changed"
            );
        }
    }

    #[test]
    fn an_index_of_one_block_is_written_again() {
        assert_eq!(kept_runs(&[run(100)]), 0);
        assert_eq!(kept_runs(&[run(1000)]), 1);
        assert_eq!(kept_runs(&[run(10), run(1000)]), 1);
        assert_eq!(kept_runs(&[run(400), run(1000)]), 0);
        assert_eq!(kept_runs(&[]), 0);
    }
}

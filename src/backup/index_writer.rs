//! The index of a level on top of that of the level before: what differs, merged with earlier runs
//! when those have become many.

use super::BackupError;
use super::compare::Change;
use super::lane::LaneWriter;
use super::uploads::Receipt;
use crate::format::manifest::Run;
use crate::index::{DeltaRun, DeltaWriter, IndexError, RunRoot, Tree, TreeWriter};
use crate::model::{Entry, NodeId};
use std::collections::HashMap;

/// A run is merged with the newer ones once they have more than this part of its entries together.
/// So each run is larger than all newer ones by this factor, and there are few.
const RATIO: u64 = 3;

/// Marks what [`IndexWriter::push`] returns for an entry of the new run; the bits below are its
/// rank there.
const FRESH: u64 = 1 << 63;

/// How many of these runs, which are newest first, the next level leaves as they are. It merges the
/// others with what it has to say: those of a single block, as rewriting one is cheap, and those
/// that the newer ones together have come near to in size.
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

/// The tree that a level is compared with.
pub(super) struct Earlier {
    pub(super) tree: Tree,
    /// So many of its runs, the oldest, are left as they are.
    pub(super) kept: usize,
}

/// What the index of a level came to.
#[derive(Debug, Default)]
pub(super) struct Indexed {
    /// The new run, if there is one.
    pub(super) run: Option<DeltaRun>,
    /// So many runs of the earlier tree, the oldest, lie below it: all of them when there is no
    /// difference.
    pub(super) kept: usize,
    /// How many segments its blocks fill.
    pub(super) segments: u32,
}

/// Writes the tree, or what makes it of the earlier one, or notices that it is the earlier one.
pub(super) struct IndexWriter<'run> {
    lane: LaneWriter<'run>,
    earlier: Option<Earlier>,
    state: State,
    /// Files of several names whose first is in the new run, of those that were the same before the
    /// run was begun: by the node of the first name, its rank and how many names are still to come.
    moved: HashMap<NodeId, (u64, u32)>,
}

enum State {
    /// Runs are to be merged, but so far nothing differs: so many entries, from the first on, are
    /// those of the earlier tree.
    Same(DeltaWriter, u64),
    /// The difference to the runs that are kept.
    Delta(DeltaWriter),
    /// A run of everything.
    Whole(TreeWriter),
}

/// What an entry is a link to.
enum Link {
    Nothing,
    /// An entry of the new run.
    Fresh(NodeId),
    /// An entry of a run that is kept.
    Kept(NodeId),
}

impl<'run> IndexWriter<'run> {
    pub(super) fn new(
        earlier: Option<Earlier>,
        lane: LaneWriter<'run>,
    ) -> Result<Self, BackupError> {
        let state = match &earlier {
            None => State::Whole(TreeWriter::new()),
            Some(Earlier { tree, kept }) => {
                let delta = DeltaWriter::new(tree).map_err(BackupError::Base)?;
                if *kept == tree.runs() {
                    State::Delta(delta)
                } else {
                    State::Same(delta, 0)
                }
            }
        };
        Ok(Self {
            lane,
            earlier,
            state,
            moved: HashMap::new(),
        })
    }

    /// Appends an entry; what it is a link to is named by what this returned for it. One that does
    /// not fit the index is told by the inner error, and left out.
    pub(super) fn push(
        &mut self,
        entry: &Entry,
        change: &Change,
    ) -> Result<Result<NodeId, IndexError>, BackupError> {
        if let State::Same(delta, count) = &mut self.state {
            if let Change::Unchanged(node, link_to) = change
                && *link_to == entry.link_to
                && delta.is_next(&entry.path)
                && delta.keep(&entry.path, &mut self.lane).map_err(failed)?
            {
                *count += 1;
                return Ok(Ok(*node));
            }
            self.begin()?;
        }
        let link = self.link_of(entry);
        if let State::Delta(delta) = &mut self.state
            && let Change::Unchanged(node, was) = change
            && let Some(Earlier { tree, kept }) = &self.earlier
            && tree
                .run_of(*node)
                .map_err(BackupError::Base)?
                .is_some_and(|run| run < *kept)
        {
            let is_same = match (&link, was) {
                // Two names of a file whose entries are in different runs stand each for itself.
                (Link::Nothing | Link::Kept(_), None) => true,
                (Link::Kept(first), Some(was)) => first == was,
                _ => false,
            };
            if is_same && delta.keep(&entry.path, &mut self.lane).map_err(failed)? {
                return Ok(Ok(*node));
            }
        }
        let first = match link {
            Link::Fresh(rank) => Some(rank),
            Link::Nothing | Link::Kept(_) => None,
        };
        match self.write(entry, first) {
            Ok(rank) => Ok(Ok(NodeId(FRESH | rank.0))),
            Err(error @ IndexError::Unfit { .. }) => Ok(Err(error)),
            Err(error) => Err(failed(error)),
        }
    }

    /// The new run as far as it is written, and what tells when all of that is stored.
    pub(super) fn so_far(&mut self) -> Result<(RunRoot, Receipt), BackupError> {
        let root = match &self.state {
            State::Same(..) => TreeWriter::new().so_far(&mut self.lane),
            State::Delta(delta) => delta.so_far(&mut self.lane),
            State::Whole(tree) => tree.so_far(&mut self.lane),
        };
        let root = root.map_err(failed)?;
        let (_, stored) = self.lane.flush()?;
        Ok((root, stored))
    }

    /// Ends the index.
    pub(super) fn finish(mut self) -> Result<Indexed, BackupError> {
        let runs = self
            .earlier
            .as_ref()
            .map_or(0, |earlier| earlier.tree.runs());
        let kept = self.earlier.as_ref().map_or(0, |earlier| earlier.kept);
        if let State::Same(delta, _) = &self.state {
            if delta.is_at_end() {
                return Ok(Indexed {
                    run: None,
                    kept: runs,
                    segments: self.lane.finish()?,
                });
            }
            self.begin()?;
        }
        let run = match self.state {
            State::Whole(tree) => {
                let (root, head) = tree.finish_with_head(&mut self.lane).map_err(failed)?;
                Some(DeltaRun {
                    root,
                    head,
                    subtrees: 0,
                })
            }
            State::Same(delta, _) | State::Delta(delta) => {
                Some(delta.finish(&mut self.lane).map_err(failed)?)
                    .filter(|run| run.root.entries > 0)
            }
        };
        Ok(Indexed {
            run,
            kept,
            segments: self.lane.finish()?,
        })
    }

    /// Writes what was the same so far, as far as it is in runs that are to be merged.
    fn begin(&mut self) -> Result<(), BackupError> {
        let (State::Same(_, count), Some(Earlier { tree, kept })) = (&self.state, &self.earlier)
        else {
            return Ok(());
        };
        let (tree, kept, count) = (tree.clone(), *kept, *count);
        self.state = if kept == 0 {
            State::Whole(TreeWriter::new())
        } else {
            State::Delta(DeltaWriter::new(&tree.oldest(kept)).map_err(BackupError::Base)?)
        };
        for found in tree
            .all()
            .take(usize::try_from(count).unwrap_or(usize::MAX))
        {
            let (node, entry) = found.map_err(BackupError::Base)?;
            if let State::Delta(delta) = &mut self.state
                && tree
                    .run_of(node)
                    .map_err(BackupError::Base)?
                    .is_some_and(|run| run < kept)
                && delta.keep(&entry.path, &mut self.lane).map_err(failed)?
            {
                continue;
            }
            let first = match self.link_of(&entry) {
                Link::Fresh(rank) => Some(rank),
                Link::Nothing | Link::Kept(_) => None,
            };
            let rank = self.write(&entry, first).map_err(failed)?;
            if entry.metadata.links > 1 && first.is_none() {
                self.moved.insert(node, (rank.0, entry.metadata.links - 1));
            }
        }
        Ok(())
    }

    fn link_of(&mut self, entry: &Entry) -> Link {
        let Some(first) = entry.link_to else {
            return Link::Nothing;
        };
        if first.0 & FRESH != 0 {
            return Link::Fresh(NodeId(first.0 & !FRESH));
        }
        match self.moved.get_mut(&first) {
            None => Link::Kept(first),
            Some((rank, names_left)) => {
                let rank = NodeId(*rank);
                *names_left = names_left.saturating_sub(1);
                if *names_left == 0 {
                    self.moved.remove(&first);
                }
                Link::Fresh(rank)
            }
        }
    }

    fn write(&mut self, entry: &Entry, link_to: Option<NodeId>) -> Result<NodeId, IndexError> {
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
        match &mut self.state {
            State::Same(delta, _) | State::Delta(delta) => delta.push(entry, &mut self.lane),
            State::Whole(tree) => tree.push(entry, &mut self.lane),
        }
    }
}

/// What is wrong with the earlier tree is told apart from what is wrong with the store: then a full
/// level is made.
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

    /// Entries written in `levels` levels of `changed` changed entries each on top of `all`, and
    /// the most runs there were.
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
    fn what_is_written_is_in_proportion_to_the_change_and_runs_stay_few() {
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
    fn a_tree_of_one_block_is_written_anew() {
        assert_eq!(kept_runs(&[run(100)]), 0);
        assert_eq!(kept_runs(&[run(1000)]), 1);
        assert_eq!(kept_runs(&[run(10), run(1000)]), 1);
        assert_eq!(kept_runs(&[run(400), run(1000)]), 0);
        assert_eq!(kept_runs(&[]), 0);
    }
}

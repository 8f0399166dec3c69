//! What a run takes up from interrupted runs of the same backup: the content of files that have not
//! changed since.
//!
//! No level can build on one that was never finished: its directories may lack entries. So it is
//! asked for one file at a time, when the base does not have the file as it is. The answer is
//! extents into the interrupted run's stream.

use super::base::Base;
use super::compare::{Comparison, Likeness, Previous};
use super::levels::Levels;
use super::moved::MovedEntries;
use crate::catalog::{Access, Blocks, Left};
use crate::format::checkpoint::Checkpoint;
use crate::format::frame::Lane;
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, IndexError, MemoryBlocks, Tree};
use crate::model::{BackupName, Content, Entry, Extent, Kind, LevelSerial, Ranges, TreePath};
use crate::platform::Stat;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most bytes of index blocks that are kept for one interrupted run.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// The content that interrupted runs have stored.
pub(super) struct Resumed {
    /// Newest first.
    runs: Vec<InterruptedRun>,
    /// The streams of the runs, and the streams that the runs took content from.
    streams: Vec<LevelParts>,
    /// The streams that an extent may lie in. Of a stream of the base only these ranges may still
    /// be there; `None` stands for all of it.
    usable: BTreeMap<LevelSerial, Option<Ranges>>,
}

struct InterruptedRun {
    tree: Tree,
    comparison: Comparison,
    moved: MovedEntries,
    /// The file that the run was writing when it stopped.
    begun: Option<Tree>,
    /// Set once a part of the index could not be read: the run is then asked no more.
    is_unreadable: AtomicBool,
}

/// A file whose content an interrupted run has stored.
pub(super) struct TakenFile<'run> {
    pub(super) previous: Previous,
    /// Never [`Likeness::None`].
    pub(super) likeness: Likeness,
    /// The rules that the file was compared by.
    pub(super) comparison: &'run Comparison,
}

impl Resumed {
    /// Opens what a level on top of `base` can use; `None` if there is nothing.
    pub(super) fn open(
        access: &Access,
        backup: &BackupName,
        left: &Left,
        base: Option<&Base>,
        levels: &Levels,
    ) -> Option<Self> {
        let streams = left.streams();
        let earlier = base.map(Base::levels).unwrap_or_default();
        if !streams.iter().all(|parts| agrees(parts, earlier)) {
            tracing::warn!(
                "an interrupted run does not fit the previous level; its data is not taken up"
            );
            return None;
        }
        let open = |checkpoint: &Checkpoint| {
            InterruptedRun::open(access, backup, checkpoint, levels)
                .inspect_err(|error| {
                    tracing::warn!(
                        level = %checkpoint.id,
                        error = &**error as &dyn Error,
                        "could not take up the data of an interrupted run"
                    )
                })
                .ok()
        };
        let runs: Vec<InterruptedRun> = left.checkpoints().iter().filter_map(open).collect();
        let is_sound = |serial: &LevelSerial| base.is_none_or(|base| base.is_sound(*serial));
        let all = streams
            .iter()
            .chain(earlier)
            .filter(|parts| is_sound(&parts.serial));
        let usable = all
            .map(|parts| (parts.serial, parts.live.clone()))
            .collect();
        (!runs.is_empty()).then_some(Self {
            runs,
            streams,
            usable,
        })
    }

    /// Returns the streams that extents may lie in beside those of the base.
    pub(super) fn streams(&self) -> &[LevelParts] {
        &self.streams
    }

    /// Finds the stored content of a file that is there now under this path. A file that was
    /// renamed since is found too.
    pub(super) fn find(&self, path: &TreePath, now: &Stat) -> Option<TakenFile<'_>> {
        self.runs.iter().find_map(|run| {
            let moved = || {
                run.comparison
                    .may_have_moved(now)
                    .then(|| run.moved.find(&run.tree, now))
                    .flatten()
            };
            let previous = run
                .at(path)
                .filter(|previous| run.likeness(previous, now) != Likeness::None)
                .or_else(moved)
                .filter(|previous| self.may_use(&previous.entry))?;
            let likeness = run.likeness(&previous, now);
            (likeness != Likeness::None).then_some(TakenFile {
                previous,
                likeness,
                comparison: &run.comparison,
            })
        })
    }

    /// Returns the newest version of a file whose blocks can be compared.
    pub(super) fn version(&self, path: &TreePath) -> Option<Previous> {
        let mut versions = self.runs.iter().filter_map(|run| run.at(path));
        versions.find(|version| {
            self.may_use(&version.entry) && !version.entry.metadata.signatures.is_empty()
        })
    }

    /// Returns the stored beginning of a file that a run was writing when it stopped, if the file
    /// has not changed since.
    pub(super) fn begun(&self, path: &TreePath, now: &Stat) -> Option<Vec<Extent>> {
        self.runs.iter().find_map(|run| {
            // This tree is one block, which is in memory: nothing is fetched.
            let (_, entry) = run.begun.as_ref()?.lookup(path).ok()??;
            if !self.may_use(&entry) || run.comparison.judge(&entry, now) != Likeness::Same {
                return None;
            }
            match entry.content {
                Content::File { extents, .. } => Some(extents),
                _ => None,
            }
        })
    }

    /// Returns whether an entry is a file, and all of it lies where extents may lie.
    fn may_use(&self, entry: &Entry) -> bool {
        entry.content.kind() == Kind::File
            && entry.places().all(|(level, start, length)| {
                let live = self.usable.get(&level);
                live.is_some_and(|live| {
                    live.as_ref()
                        .is_none_or(|live| live.cover(&(start.0..start.0.saturating_add(length))))
                })
            })
    }
}

/// Returns whether a stream has a serial of its own among the levels of the base.
fn agrees(parts: &LevelParts, earlier: &[LevelParts]) -> bool {
    earlier
        .iter()
        .all(|other| (other.serial == parts.serial) == (other.id == parts.id))
}

impl InterruptedRun {
    fn open(
        access: &Access,
        backup: &BackupName,
        checkpoint: &Checkpoint,
        levels: &Levels,
    ) -> Result<Self, Box<dyn Error>> {
        let root = (&checkpoint.index).into();
        let blocks = Arc::new(Blocks::new(access, backup, &checkpoint.id, Lane::Index));
        let tree = Tree::of_run_alone(root, blocks, &BlockCache::new(INDEX_CACHE_BYTES))?;
        let comparison = levels.comparison(checkpoint.began)?;
        let begun = checkpoint.begun.as_ref().map(|root| {
            let blocks = Arc::new(MemoryBlocks::default());
            Tree::of_run_alone(root.into(), blocks, &BlockCache::new(0))
        });
        Ok(Self {
            tree,
            comparison,
            moved: MovedEntries::default(),
            begun: begun.transpose()?,
            is_unreadable: AtomicBool::new(false),
        })
    }

    fn likeness(&self, previous: &Previous, now: &Stat) -> Likeness {
        self.comparison.judge(&previous.entry, now)
    }

    /// Returns the entry of a path.
    fn at(&self, path: &TreePath) -> Option<Previous> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return None;
        }
        let found = self.tree.lookup(path).unwrap_or_else(|error: IndexError| {
            if !self.is_unreadable.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "could not read part of an interrupted run's index; its files are stored again"
                );
            }
            None
        });
        found.map(|(node, entry)| Previous {
            node,
            entry,
            is_moved: false,
        })
    }
}

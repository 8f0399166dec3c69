//! What a run takes from runs of the same backup that were cut off: the content of files that have
//! not changed since.
//!
//! A level that was not made cannot be leaned on as a level is: what it has of a directory is not
//! all that was there. So this is asked for one file after the other, when the level that *is*
//! leaned on does not have it as it is; what it gives are extents into the cut-off run's stream.

use super::base::{Base, Levels};
use super::compare::{Comparison, Likeness, Previous};
use super::moved::Moved;
use crate::catalog::{Access, Blocks, Left};
use crate::format::checkpoint::Checkpoint;
use crate::format::frame::Lane;
use crate::format::manifest::LevelParts;
use crate::index::{BlockCache, IndexError, MemoryBlocks, RunRoot, Tree};
use crate::model::{
    BackupName, Content, Entry, Extent, Kind, LevelSerial, NodeId, Ranges, TreePath,
};
use crate::platform::Stat;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Most bytes of a cut-off run's index blocks that are kept.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// What cut-off runs have.
pub(super) struct Resumed {
    /// Newest first.
    runs: Vec<CutOff>,
    /// Their streams, and those that they took from.
    streams: Vec<LevelParts>,
    /// These, and those of the level that is leaned on, of which no more than what that needs may
    /// be there: no extent may lie anywhere else.
    known: BTreeMap<LevelSerial, Option<Ranges>>,
}

struct CutOff {
    tree: Tree,
    comparison: Comparison,
    moved: Moved,
    /// The file that it was at.
    begun: Option<Tree>,
    /// A part of its index cannot be read: it is asked no more.
    is_unreadable: AtomicBool,
}

impl Resumed {
    /// What the runs left that a level on top of `base` can use; `None` when that is nothing.
    pub(super) fn open(
        access: &Access,
        backup: &BackupName,
        left: &Left,
        base: Option<&Base>,
        levels: &Levels,
    ) -> Option<Self> {
        let streams = left.streams();
        let earlier = base
            .map(|base| &base.manifest.levels[..])
            .unwrap_or_default();
        let agrees = |parts: &LevelParts| {
            earlier
                .iter()
                .all(|other| (other.serial == parts.serial) == (other.id == parts.id))
        };
        if !streams.iter().all(agrees) {
            tracing::warn!(
                "what a cut-off run left does not fit the last level; it is not taken up"
            );
            return None;
        }
        let open = |checkpoint: &Checkpoint| match CutOff::open(access, backup, checkpoint, levels)
        {
            Ok(run) => Some(run),
            Err(error) => {
                tracing::warn!(level = %checkpoint.id, error = &*error as &dyn Error, "what a cut-off run left cannot be used");
                None
            }
        };
        let runs: Vec<CutOff> = left.checkpoints().iter().filter_map(open).collect();
        let is_sound = |serial: &LevelSerial| base.is_none_or(|base| base.is_sound(*serial));
        let all = streams
            .iter()
            .chain(earlier)
            .filter(|parts| is_sound(&parts.serial));
        let known = all
            .map(|parts| (parts.serial, parts.live.clone()))
            .collect();
        (!runs.is_empty()).then_some(Self {
            runs,
            streams,
            known,
        })
    }

    /// The streams that extents may lie in beside those of the level that is leaned on.
    pub(super) fn streams(&self) -> &[LevelParts] {
        &self.streams
    }

    /// What a cut-off run has of the file that is there now under this path, and how much of it is
    /// still right. A file that was renamed since is found as well.
    pub(super) fn find(
        &self,
        path: &TreePath,
        now: &Stat,
    ) -> Option<(Previous, Likeness, &Comparison)> {
        self.runs.iter().find_map(|run| {
            let same_path = run.at(path).map(|(node, entry)| Previous {
                node,
                entry,
                is_moved: false,
            });
            let found =
                same_path.filter(|found| run.comparison.judge(&found.entry, now) != Likeness::None);
            let moved = || {
                run.comparison
                    .may_have_moved(now)
                    .then(|| run.moved.find(&run.tree, now))
                    .flatten()
            };
            let found = found
                .or_else(moved)
                .filter(|found| self.may_use(&found.entry))?;
            let likeness = run.comparison.judge(&found.entry, now);
            (likeness != Likeness::None).then_some((found, likeness, &run.comparison))
        })
    }

    /// The newest version of a file of which blocks can be compared.
    pub(super) fn version(&self, path: &TreePath) -> Option<Previous> {
        let mut versions = self
            .runs
            .iter()
            .filter_map(|run| run.at(path))
            .map(|(node, entry)| Previous {
                node,
                entry,
                is_moved: false,
            });
        versions.find(|version| {
            self.may_use(&version.entry) && !version.entry.metadata.signatures.is_empty()
        })
    }

    /// Where the beginning of a file is that a run was at when it was cut off, if the file has not
    /// changed since.
    pub(super) fn begun(&self, path: &TreePath, now: &Stat) -> Option<Vec<Extent>> {
        self.runs.iter().find_map(|run| {
            // It has a root and no other block: nothing is fetched.
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

    fn may_use(&self, entry: &Entry) -> bool {
        entry.content.kind() == Kind::File
            && entry.places().all(|(level, start, length)| {
                let live = self.known.get(&level);
                live.is_some_and(|live| {
                    live.as_ref()
                        .is_none_or(|live| live.cover(&(start.0..start.0.saturating_add(length))))
                })
            })
    }
}

impl CutOff {
    fn open(
        access: &Access,
        backup: &BackupName,
        checkpoint: &Checkpoint,
        levels: &Levels,
    ) -> Result<Self, Box<dyn Error>> {
        let index = &checkpoint.index;
        let root = RunRoot {
            node: index.node.clone(),
            height: index.height,
            entries: index.entries,
        };
        let blocks = Arc::new(Blocks::new(access, backup, &checkpoint.id, Lane::Index));
        let tree = Tree::of_run_alone(root, blocks, &BlockCache::new(INDEX_CACHE_BYTES))?;
        let comparison = Comparison::new(checkpoint.began, levels)?;
        let begun = checkpoint.begun.as_ref().map(|root| {
            let root = RunRoot {
                node: root.node.clone(),
                height: root.height,
                entries: root.entries,
            };
            Tree::of_run_alone(root, Arc::new(MemoryBlocks::default()), &BlockCache::new(0))
        });
        let begun = begun.transpose()?;
        Ok(Self {
            tree,
            comparison,
            moved: Moved::default(),
            begun,
            is_unreadable: AtomicBool::new(false),
        })
    }

    fn at(&self, path: &TreePath) -> Option<(NodeId, Entry)> {
        if self.is_unreadable.load(Ordering::Relaxed) {
            return None;
        }
        self.tree.lookup(path).unwrap_or_else(|error: IndexError| {
            if !self.is_unreadable.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "a part of a cut-off run's index cannot be read; what it has is stored again"
                );
            }
            None
        })
    }
}

//! All points in time of a backup side by side: the versions of each path, and in which points each
//! is.
//!
//! What points in time share is read once: their runs of the index ([`TreeSeries`]).

use super::ReadError;
use crate::catalog::{Access, AccessError, Blocks, TreeError, open_tree};
use crate::format::frame::Lane;
use crate::index::{self, BlockCache, PathHistory, PathKey, Tree, TreeSeries};
use crate::model::{BackupName, Content, Entry, LevelId, TreePath};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// Manifests that are read at once: they are small, and reading them from afar is waiting.
const READERS: usize = 8;

/// Trees that are held before they become part of the series, where each run is held once.
const AT_ONCE: usize = 64;

/// Most bytes of index blocks that are kept beside those that are being read.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// An entry that is the same in several points in time that follow each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// What it was; the first of them, where they differ in what no [`Difference`] is.
    pub entry: Entry,
    /// In which points, by their places in [`Timeline::levels`].
    pub points: Range<usize>,
    /// In what it differs from the version before; nothing for the first.
    pub differs: Difference,
}

/// A path, and its versions, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The path.
    pub path: TreePath,
    /// None, if it never was.
    pub versions: Vec<Version>,
}

/// Why a point in time is no part of a timeline.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// Its manifest cannot be read.
    #[error(transparent)]
    Manifest(AccessError),
    /// Its manifest contradicts itself.
    #[error(transparent)]
    Tree(TreeError),
}

/// Points in time of one backup.
pub struct Timeline {
    levels: Vec<LevelId>,
    series: TreeSeries,
}

impl Timeline {
    /// Opens points in time, oldest first: reads the manifest of each and nothing else. One that
    /// cannot be opened is handed to `unopened`, and left out.
    pub fn open(
        access: &Access,
        backup: &BackupName,
        levels: impl IntoIterator<Item = LevelId>,
        mut unopened: impl FnMut(LevelId, Unopened),
    ) -> Self {
        let mut timeline = Self {
            levels: Vec::new(),
            series: TreeSeries::default(),
        };
        let cache = BlockCache::new(INDEX_CACHE_BYTES);
        let mut levels = levels.into_iter();
        loop {
            let some: Vec<LevelId> = levels.by_ref().take(AT_ONCE).collect();
            if some.is_empty() {
                return timeline;
            }
            for (level, tree) in some.iter().zip(open_all(access, backup, &some, &cache)) {
                match tree {
                    Ok(tree) => {
                        timeline.series.push(Some(&tree));
                        timeline.levels.push(level.clone());
                    }
                    Err(error) => unopened(level.clone(), error),
                }
            }
        }
    }

    /// The points in time that could be opened.
    pub fn levels(&self) -> &[LevelId] {
        &self.levels
    }

    /// The versions of all paths that `wanted` takes, in the order of the index. Each part of the
    /// index is read once, however many points in time have it. Ends with the first error.
    pub fn find(
        &self,
        wanted: impl FnMut(PathKey<'_>) -> bool,
    ) -> impl Iterator<Item = Result<Versions, ReadError>> {
        self.series
            .histories(wanted)
            .map(|history| Ok(versions(history?)))
    }

    /// The versions of one path.
    ///
    /// # Errors
    ///
    /// [`ReadError::Index`].
    pub fn history(&self, path: &TreePath) -> Result<Versions, ReadError> {
        Ok(versions(self.series.history(path)?))
    }
}

fn open_all(
    access: &Access,
    backup: &BackupName,
    levels: &[LevelId],
    cache: &Arc<BlockCache>,
) -> Vec<Result<Tree, Unopened>> {
    let next = AtomicUsize::new(0);
    let open_some = || {
        let mut opened = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(level) = levels.get(at) else {
                return opened;
            };
            opened.push((at, open(access, backup, level, cache)));
        }
    };
    let mut opened = thread::scope(|scope| {
        let others: Vec<_> = (1..READERS.min(levels.len()))
            .map(|_| scope.spawn(open_some))
            .collect();
        let mut opened = open_some();
        // A thread that panicked panics here too.
        opened.extend(others.into_iter().flat_map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }));
        opened
    });
    opened.sort_unstable_by_key(|(at, _)| *at);
    opened.into_iter().map(|(_, tree)| tree).collect()
}

fn open(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    cache: &Arc<BlockCache>,
) -> Result<Tree, Unopened> {
    let manifest = access.manifest(backup, level).map_err(Unopened::Manifest)?;
    let blocks = |level: &LevelId| {
        Arc::new(Blocks::new(access, backup, level, Lane::Index).ahead())
            as Arc<dyn index::BlockSource>
    };
    open_tree(&manifest, cache, blocks).map_err(Unopened::Tree)
}

/// Puts together what differs in nothing that is told.
fn versions(PathHistory { path, spells }: PathHistory) -> Versions {
    let mut versions: Vec<Version> = Vec::with_capacity(spells.len());
    for index::Spell { trees, entry } in spells {
        let mut differs = Difference::default();
        if let Some(last) = versions.last_mut() {
            differs = Difference::between(&last.entry, &entry);
            if differs.is_none() && last.points.end == trees.start {
                last.points.end = trees.end;
                continue;
            }
        }
        versions.push(Version {
            entry,
            points: trees,
            differs,
        });
    }
    Versions { path, versions }
}

/// In what two entries of one path differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// One is a file and the other a directory, say.
    pub kind: bool,
    /// The content of a file was stored anew; a link has another target, a device other numbers.
    pub content: bool,
    /// Permission bits.
    pub mode: bool,
    /// User or group.
    pub owner: bool,
    /// Time of the last change of the content.
    pub mtime: bool,
    /// Extended attributes, ACLs among them.
    pub xattrs: bool,
}

/// Whether nothing can have been written to a file between the two.
fn is_same_file(before: &Entry, after: &Entry) -> bool {
    let (Content::File { size: old, .. }, Content::File { size: new, .. }) =
        (&before.content, &after.content)
    else {
        return false;
    };
    old == new
        && before.metadata.mtime == after.metadata.mtime
        && before.metadata.ctime == after.metadata.ctime
}

impl Difference {
    /// Compares two entries. Reads no content: that of a file is the same when the same stored
    /// bytes make it up, and when size, mtime and ctime are the same: a backup stores again what
    /// was changed just before the last one.
    pub fn between(before: &Entry, after: &Entry) -> Self {
        let (old, new) = (&before.metadata, &after.metadata);
        let is_directory = before.content.kind() == crate::model::Kind::Directory;
        Self {
            kind: before.content.kind() != after.content.kind(),
            content: before.content != after.content && !is_same_file(before, after),
            mode: old.mode != new.mode,
            owner: old.owner != new.owner,
            // A directory's changes with what is in it, which is told of itself.
            mtime: old.mtime != new.mtime && !(is_directory && after.content == Content::Directory),
            xattrs: old.xattrs != new.xattrs,
        }
    }

    /// Whether there is none.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// The words for what differs.
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (self.kind, "kind"),
            (self.content && !self.kind, "content"),
            (self.mode, "mode"),
            (self.owner, "owner"),
            (self.mtime, "mtime"),
            (self.xattrs, "xattrs"),
        ];
        all.into_iter()
            .filter(|(differs, _)| *differs)
            .map(|(_, word)| word)
            .collect()
    }
}

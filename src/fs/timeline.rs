//! All points in time of a backup side by side: the versions of each path, and the points that have
//! them.
//!
//! Parts of the index that points in time share are read once ([`TreeSeries`]).

use super::ReadError;
use crate::catalog::{Access, AccessError, Blocks, TreeError, open_tree};
use crate::format::frame::Lane;
use crate::index::{self, BlockCache, PathHistory, PathKey, Tree, TreeSeries};
use crate::model::{BackupName, Content, Entry, LevelId, TreePath};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// How many manifests are read at once. They are small, so reading them from a far store is mostly
/// waiting.
const READERS: usize = 8;

/// How many trees are opened before they join the series, which holds each shared part once.
const AT_ONCE: usize = 64;

/// Most bytes of index blocks that are kept besides those being read.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// An entry that is the same in consecutive points in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// The entry. Where its copies differ in ways that [`EntryDifference`] ignores, the first one.
    pub entry: Entry,
    /// The points that have it, as indices in [`Timeline::levels`].
    pub points: Range<usize>,
    /// How it differs from the version before; no difference for the first version.
    pub differs: EntryDifference,
}

/// The versions of a path, the oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The path.
    pub path: TreePath,
    /// Empty if no point in time has the path.
    pub versions: Vec<Version>,
}

/// Why a point in time is not part of a timeline.
#[derive(Debug, thiserror::Error)]
pub enum Unopened {
    /// Its manifest cannot be read.
    #[error(transparent)]
    Manifest(AccessError),
    /// Its manifest contradicts itself.
    #[error(transparent)]
    Tree(TreeError),
}

/// The points in time of one backup.
pub struct Timeline {
    levels: Vec<LevelId>,
    series: TreeSeries,
}

impl Timeline {
    /// Opens points in time, given oldest first. Reads the manifest of each and nothing else. Hands
    /// those that cannot be opened to `unopened`, and leaves them out.
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

    /// Returns the points in time that could be opened, oldest first.
    pub fn levels(&self) -> &[LevelId] {
        &self.levels
    }

    /// Returns the versions of all paths that `wanted` accepts, in the order of the index. Reads
    /// each part of the index once, however many points in time have it. Ends with the first error.
    pub fn find(
        &self,
        wanted: impl FnMut(PathKey<'_>) -> bool,
    ) -> impl Iterator<Item = Result<Versions, ReadError>> {
        self.series
            .histories(wanted)
            .map(|history| Ok(versions(history?)))
    }

    /// Returns the versions of one path.
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

/// Joins consecutive versions without an [`EntryDifference`].
fn versions(PathHistory { path, spells }: PathHistory) -> Versions {
    let mut versions: Vec<Version> = Vec::with_capacity(spells.len());
    for index::Spell { trees, entry } in spells {
        let mut differs = EntryDifference::default();
        if let Some(last) = versions.last_mut() {
            differs = EntryDifference::between(&last.entry, &entry);
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

/// How two entries of one path differ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EntryDifference {
    /// Their kinds differ, such as a file and a directory.
    pub kind: bool,
    /// The content of a file was stored anew, a link has another target, or a device other numbers.
    pub content: bool,
    /// Their permission bits differ.
    pub mode: bool,
    /// Their users or groups differ.
    pub owner: bool,
    /// Their times of modification differ.
    pub mtime: bool,
    /// Their extended attributes differ, ACLs among them.
    pub xattrs: bool,
}

/// Whether both are files and size, mtime and ctime are the same: nothing was written in between.
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

impl EntryDifference {
    /// Compares two entries without reading content. The content of a file is the same when it
    /// consists of the same stored bytes, or when size, mtime and ctime are the same: a backup
    /// stores a file again that was changed just before the last backup.
    pub fn between(before: &Entry, after: &Entry) -> Self {
        let (old, new) = (&before.metadata, &after.metadata);
        let is_directory = before.content.kind() == crate::model::Kind::Directory;
        Self {
            kind: before.content.kind() != after.content.kind(),
            content: before.content != after.content && !is_same_file(before, after),
            mode: old.mode != new.mode,
            owner: old.owner != new.owner,
            // The mtime of a directory changes with its entries, which are compared themselves.
            mtime: old.mtime != new.mtime && !(is_directory && after.content == Content::Directory),
            xattrs: old.xattrs != new.xattrs,
        }
    }

    /// Whether the entries are the same.
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    /// Returns the words for the parts that differ.
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

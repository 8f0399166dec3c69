//! The point in time that a new level builds on, opened.

use super::compare::{Comparison, Previous, UNSURE};
use super::index_writer::{EarlierIndex, kept_runs};
use super::levels::{Chain, Levels, ParentLevel};
use super::moved::MovedEntries;
use crate::catalog::stream::find_segments;
use crate::catalog::{Access, Blocks, Order, lost_parts, open_tree};
use crate::format::frame::Lane;
use crate::format::lost::Lost;
use crate::format::manifest::{LevelParts, Manifest, Parent};
use crate::index::{BlockCache, BlockSource, Tree};
use crate::model::{BackupName, Content, Entry, Kind, LevelId, LevelSerial, NodeId};
use crate::platform::Stat;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes of index blocks that are kept while the index is read in order.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// The point in time that the new level is compared with.
pub(super) struct Base {
    pub(super) manifest: Manifest,
    digest: String,
    pub(super) tree: Tree,
    pub(super) comparison: Comparison,
    moved: MovedEntries,
    /// The parts of the streams below it that cannot be read any more.
    lost: BTreeMap<LevelSerial, Lost>,
    /// Number of entries that are gone, as far as the walk has come.
    removed: AtomicU64,
}

impl Base {
    /// Finds the point in time to build on; `None` makes a full level.
    ///
    /// A level that cannot be built on is passed over, and the log says so: to store more is better
    /// than to build on missing data.
    pub(super) fn choose(
        order: &Order,
        access: &Access,
        backup: &BackupName,
        levels: &Levels,
        now: jiff::Timestamp,
    ) -> Option<Self> {
        if !levels.incremental {
            return None;
        }
        let parent = Chain::read(order, access, backup)?.parent(levels, now)?;
        match Self::open(access, backup, parent, levels) {
            Ok(base) => Some(base),
            Err(error) => {
                tracing::warn!(
                    %backup,
                    error = &*error as &dyn Error,
                    "cannot build on the previous level; this one is full"
                );
                None
            }
        }
    }

    fn open(
        access: &Access,
        backup: &BackupName,
        parent: ParentLevel,
        levels: &Levels,
    ) -> Result<Self, Box<dyn Error>> {
        let ParentLevel {
            mut manifest,
            digest,
        } = parent;
        let features = manifest.read_only_for();
        if !features.is_empty() {
            let features = features.join(", ");
            return Err(
                format!("it has features that this freezer does not know: {features}").into(),
            );
        }
        let mut notes = lost_parts(&access.store(), backup)?;
        let mut lost = BTreeMap::new();
        for parts in &mut manifest.levels {
            let note = notes.remove(&parts.id).unwrap_or_default();
            // A repack may have moved the stream since this manifest was written.
            *parts = find_segments(access, backup, parts.clone(), note.missing_segments())?;
            if !note.is_empty() {
                lost.insert(parts.serial, note);
            }
        }
        let blocks = |level: &LevelId| {
            Arc::new(Blocks::new(access, backup, level, Lane::Index)) as Arc<dyn BlockSource>
        };
        let tree = open_tree(&manifest, &BlockCache::new(INDEX_CACHE_BYTES), blocks)?;
        let comparison = levels.comparison(manifest.date())?;
        Ok(Self {
            manifest,
            digest,
            tree,
            comparison,
            moved: MovedEntries::default(),
            lost,
            removed: AtomicU64::new(0),
        })
    }

    /// Returns what the manifest of a level says that builds on this one.
    pub(super) fn as_parent(&self) -> Parent {
        Parent {
            id: self.manifest.id.clone(),
            digest: self.digest.clone(),
        }
    }

    /// Returns the levels whose streams hold the content.
    pub(super) fn levels(&self) -> &[LevelParts] {
        &self.manifest.levels
    }

    /// Returns the index that a new one is laid over.
    pub(super) fn earlier_index(&self) -> EarlierIndex {
        EarlierIndex {
            tree: self.tree.clone(),
            kept: kept_runs(&self.manifest.index),
        }
    }

    /// Returns the root directory as it was.
    pub(super) fn root(&self) -> Option<Previous> {
        let node = NodeId(0);
        match self.tree.entry(node) {
            Ok(entry) => entry.map(|entry| self.previous(node, entry, false)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "could not read the index of the previous level; everything is stored again"
                );
                None
            }
        }
    }

    /// Returns an entry as it was. A file with lost content is marked, so that nobody takes it for
    /// unchanged.
    pub(super) fn previous(&self, node: NodeId, mut entry: Entry, is_moved: bool) -> Previous {
        if let Content::File { extents, .. } = &entry.content
            && extents.iter().any(|extent| {
                self.lost
                    .get(&extent.level)
                    .is_some_and(|lost| lost.touches(extent.stream.0, extent.length))
            })
        {
            entry.metadata.inode = UNSURE;
            // The new version must not build on its blocks either.
            entry.metadata.signatures.clear();
        }
        Previous {
            node,
            entry,
            is_moved,
        }
    }

    /// Returns whether nothing of a level's stream is known to be lost.
    pub(super) fn is_sound(&self, level: LevelSerial) -> bool {
        !self.lost.contains_key(&level)
    }

    /// Returns the directory that an open one is compared with: the one that had its path, or the
    /// one with its inode if that is another.
    pub(super) fn before(&self, named: Option<Previous>, now: Option<&Stat>) -> Option<Previous> {
        let Some(now) = now else { return named };
        let is_it = |named: &Previous| {
            (named.entry.metadata.device, named.entry.metadata.inode) == (now.device, now.inode)
        };
        if named.as_ref().is_some_and(is_it) {
            return named;
        }
        let Some(moved) = self.moved(now) else {
            return named;
        };
        if let Some(named) = named {
            // All entries below that one are gone, whatever has their names now. The directory
            // itself was replaced, not removed.
            self.count_removed(&named);
            self.removed.fetch_sub(1, Ordering::Relaxed);
        }
        Some(moved)
    }

    /// Returns the entry with the inode of a file, if it had another path.
    pub(super) fn moved(&self, now: &Stat) -> Option<Previous> {
        let moved = self
            .comparison
            .may_have_moved(now)
            .then(|| self.moved.find(&self.tree, now))
            .flatten()?;
        Some(self.previous(moved.node, moved.entry, moved.is_moved))
    }

    /// Counts an entry, and everything below it, as gone.
    pub(super) fn count_removed(&self, gone: &Previous) {
        let mut below = vec![gone.clone()];
        while let Some(gone) = below.pop() {
            self.removed.fetch_add(1, Ordering::Relaxed);
            if gone.is_directory() {
                let children = self.tree.children(gone.node, None).map_while(Result::ok);
                for (node, entry) in children {
                    if entry.content.kind() == Kind::Directory {
                        below.push(Previous {
                            node,
                            entry,
                            is_moved: false,
                        });
                    } else {
                        self.removed.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    /// Returns how many entries are gone, as far as the walk has come.
    pub(super) fn removed(&self) -> u64 {
        self.removed.load(Ordering::Relaxed)
    }
}

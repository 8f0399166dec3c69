//! The point in time that a level is compared with, and whether there is one.

use super::compare::{Comparison, Evidence, Lies, Previous, SameContent, UNSURE};
use super::index_writer::{Earlier, kept_runs};
use super::moved::Moved;
use crate::catalog::stream::find_segments;
use crate::catalog::{Access, Blocks, Order, lost_parts, open_tree};
use crate::format::frame::Lane;
use crate::format::lost::Lost;
use crate::format::manifest::{Manifest, Parent};
use crate::index::{BlockCache, BlockSource, Children, Tree};
use crate::model::order::is_ahead;
use crate::model::{BackupName, Content, Entry, LevelId, LevelSerial, NodeId, Time};
use crate::platform::Stat;
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Most bytes of the earlier index's blocks that are kept while it is read in order.
const INDEX_CACHE_BYTES: usize = 4 << 20;

/// A file system's clock ticks at least so often; what changed in the last tick before a walk began
/// may have changed again.
const TICK: jiff::SignedDuration = jiff::SignedDuration::from_millis(20);

/// Which level a run makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels {
    /// Whether a level may lean on earlier ones at all.
    pub incremental: bool,
    /// The highest number in a chain; after it comes a full level.
    pub max_level: Option<u32>,
    /// Levels grow up to this number and stay there: each one is then compared with the level
    /// before it in number.
    pub always_level: Option<u32>,
    /// A chain whose full level is older than this many days is not continued.
    pub restart_after_days: Option<u32>,
    /// What tells whether a file's content is another.
    pub evidence: Evidence,
    /// What the source's file system cannot be trusted with.
    pub lies: Lies,
    /// What becomes of a file of which only other things than its content are new.
    pub same_content: SameContent,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            incremental: true,
            max_level: None,
            always_level: None,
            restart_after_days: None,
            evidence: Evidence::default(),
            lies: Lies::default(),
            same_content: SameContent::default(),
        }
    }
}

/// An earlier point in time, opened.
pub(super) struct Base {
    pub(super) manifest: Manifest,
    digest: String,
    pub(super) tree: Tree,
    pub(super) comparison: Comparison,
    moved: Moved,
    /// What cannot be read any more of the streams it leans on.
    lost: BTreeMap<LevelSerial, Lost>,
    /// Entries that are there no more, as far as the walk has come.
    pub(super) removed: AtomicU64,
}

impl Base {
    /// Finds what a level is to be compared with; `None` makes it a full one. What cannot be leaned
    /// on is passed over, with a word in the log: a level more to store is better than one that
    /// leans on what is not there.
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
        let chain = Chain::read(order, access, backup)?;
        let (manifest, digest) = chain.parent(levels, now)?;
        match Self::open(access, backup, manifest, digest, levels) {
            Ok(base) => Some(base),
            Err(error) => {
                tracing::warn!(%backup, error = &*error as &dyn Error, "the last level cannot be leaned on; this one is full");
                None
            }
        }
    }

    fn open(
        access: &Access,
        backup: &BackupName,
        mut manifest: Manifest,
        digest: String,
        levels: &Levels,
    ) -> Result<Self, Box<dyn Error>> {
        let mut notes = lost_parts(&access.store(), backup)?;
        let mut lost = BTreeMap::new();
        for parts in &mut manifest.levels {
            let note = notes.remove(&parts.id).unwrap_or_default();
            // Where its stream is by now, and what this manifest needs of it.
            *parts = find_segments(access, backup, parts.clone(), note.missing_segments())?;
            if !note.is_empty() {
                lost.insert(parts.serial, note);
            }
        }
        let blocks = |level: &LevelId| {
            Arc::new(Blocks::new(access, backup, level, Lane::Index)) as Arc<dyn BlockSource>
        };
        let tree = open_tree(&manifest, &BlockCache::new(INDEX_CACHE_BYTES), blocks)?;
        let comparison = Comparison::new(manifest.date(), levels)?;
        Ok(Self {
            manifest,
            digest,
            tree,
            comparison,
            moved: Moved::default(),
            lost,
            removed: AtomicU64::new(0),
        })
    }

    /// What the manifest of a level says that leans on this.
    pub(super) fn as_parent(&self) -> Parent {
        Parent {
            id: self.manifest.id.clone(),
            digest: self.digest.clone(),
        }
    }

    /// What its index is to a new one.
    pub(super) fn earlier(&self) -> Earlier {
        Earlier {
            tree: self.tree.clone(),
            kept: kept_runs(&self.manifest.index),
        }
    }

    /// The root as it was.
    pub(super) fn root(&self) -> Option<Previous> {
        let node = NodeId(0);
        match self.tree.entry(node) {
            Ok(entry) => entry.map(|entry| self.previous(node, entry, false)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "the last level's index cannot be read; all is stored again"
                );
                None
            }
        }
    }

    /// An entry as it was. A file of which some cannot be read any more is none that could be taken
    /// for unchanged.
    fn previous(&self, node: NodeId, mut entry: Entry, is_moved: bool) -> Previous {
        if let Content::File { extents, .. } = &entry.content
            && extents.iter().any(|extent| {
                self.lost
                    .get(&extent.level)
                    .is_some_and(|lost| lost.touches(extent.stream.0, extent.length))
            })
        {
            entry.metadata.inode = UNSURE;
            // Its blocks are not to be leaned on either.
            entry.metadata.signatures.clear();
        }
        Previous {
            node,
            entry,
            is_moved,
        }
    }

    /// Whether all of a level's stream could be read when it was last looked at.
    pub(super) fn is_sound(&self, level: LevelSerial) -> bool {
        !self.lost.contains_key(&level)
    }

    /// What a directory held, to be gone through in the order of names.
    pub(super) fn listing(&self, directory: &Previous) -> Listing<'_> {
        let children = directory
            .is_directory()
            .then(|| self.tree.children(directory.node, None));
        Listing {
            base: self,
            children,
            next: None,
            has_lost: false,
            is_moved: directory.is_moved,
        }
    }

    /// What a directory was before: what had its path, unless that was another directory and this
    /// one had another path.
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
            // What was in that is not there any more, whatever has its names.
            self.count_removed(&named);
            self.removed.fetch_sub(1, Ordering::Relaxed);
        }
        Some(moved)
    }

    /// What had another path before.
    pub(super) fn moved(&self, now: &Stat) -> Option<Previous> {
        let moved = self
            .comparison
            .may_have_moved(now)
            .then(|| self.moved.find(&self.tree, now))
            .flatten()?;
        Some(self.previous(moved.node, moved.entry, moved.is_moved))
    }

    fn count_removed(&self, gone: &Previous) {
        let mut below = vec![gone.clone()];
        while let Some(gone) = below.pop() {
            self.removed.fetch_add(1, Ordering::Relaxed);
            if gone.is_directory() {
                let children = self.tree.children(gone.node, None).map_while(Result::ok);
                for (node, entry) in children {
                    if entry.content.kind() == crate::model::Kind::Directory {
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
}

/// What a directory held in the earlier point in time. Reads as far as it is asked.
pub(super) struct Listing<'base> {
    base: &'base Base,
    children: Option<Children>,
    next: Option<Previous>,
    has_lost: bool,
    /// Whether the directory had another path, where all of this is counted as gone.
    is_moved: bool,
}

impl Listing<'_> {
    /// What was there under `name`. Names must be asked for in their order; those passed over are
    /// gone.
    pub(super) fn find(&mut self, name: &[u8]) -> Option<Previous> {
        loop {
            let next = self.next.take().or_else(|| self.read())?;
            match next.entry.path.file_name().cmp(name) {
                std::cmp::Ordering::Less => self.lost(&next),
                std::cmp::Ordering::Equal => return Some(next),
                std::cmp::Ordering::Greater => {
                    self.next = Some(next);
                    return None;
                }
            }
        }
    }

    /// Nothing else is there any more. Returns whether anything is gone.
    pub(super) fn finish(mut self) -> bool {
        while let Some(gone) = self.next.take().or_else(|| self.read()) {
            self.lost(&gone);
        }
        self.has_lost
    }

    fn lost(&mut self, gone: &Previous) {
        self.has_lost = true;
        if !self.is_moved {
            self.base.count_removed(gone);
        }
    }

    fn read(&mut self) -> Option<Previous> {
        match self.children.as_mut()?.next()? {
            Ok((node, entry)) => Some(self.base.previous(node, entry, self.is_moved)),
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn Error,
                    "a part of the last level's index cannot be read; what it tells of is stored again"
                );
                self.children = None;
                None
            }
        }
    }
}

/// The level that was made last of those that can be read, and those before it that it was compared
/// with.
struct Chain<'run> {
    access: &'run Access,
    backup: &'run BackupName,
    /// Those that were made before it, the last first.
    earlier: Vec<LevelId>,
    newest: (Manifest, String),
}

impl<'run> Chain<'run> {
    fn read(order: &Order, access: &'run Access, backup: &'run BackupName) -> Option<Self> {
        let mut levels = order.levels().rev();
        let newest = levels.find_map(|level| {
            let opened = access.manifest_and_digest(backup, level);
            opened
                .inspect_err(|error| tracing::warn!(%backup, %level, error = error as &dyn Error, "its manifest cannot be read; it is not leaned on"))
                .ok()
        })?;
        Some(Self {
            access,
            backup,
            earlier: levels.cloned().collect(),
            newest,
        })
    }

    /// The rules of freezer: docs/user-guide.md, "Levels".
    fn parent(self, levels: &Levels, now: jiff::Timestamp) -> Option<(Manifest, String)> {
        let level = self.newest.0.level;
        if levels.max_level.is_some_and(|most| level >= most)
            || levels
                .always_level
                .is_some_and(|always| level > always || always == 0)
        {
            return None;
        }
        if let Some(days) = levels.restart_after_days {
            let age = jiff::SignedDuration::from_hours(24)
                .checked_mul(i32::try_from(days).unwrap_or(i32::MAX))?;
            // Of a chain that began in the future nobody knows how old it is.
            let chain = self.newest.0.chain;
            if chain < now.checked_sub(age).ok()? || is_ahead(chain, now) {
                return None;
            }
        }
        if levels.always_level == Some(level) {
            let parent = self.newest.0.parent.as_ref()?;
            return self.read_parent(parent).or_else(|| self.newest_below());
        }
        Some(self.newest)
    }

    fn read_parent(&self, parent: &Parent) -> Option<(Manifest, String)> {
        let (manifest, digest) = self
            .access
            .manifest_and_digest(self.backup, &parent.id)
            .ok()?;
        (digest == parent.digest).then_some((manifest, digest))
    }

    /// The newest level of the chain, of those that are left, whose number is one less than that of
    /// the newest.
    fn newest_below(&self) -> Option<(Manifest, String)> {
        let newest = &self.newest.0;
        let mut of_chain = self
            .earlier
            .iter()
            .filter_map(|level| self.access.manifest_and_digest(self.backup, level).ok())
            // A full level begins a chain, and no earlier chain is gone on with.
            .take_while(|(manifest, _)| manifest.chain == newest.chain);
        of_chain.find(|(manifest, _)| manifest.level + 1 == newest.level)
    }
}

impl Comparison {
    /// Compares with what a run saw that began its walk at `began`.
    pub(super) fn new(began: jiff::Timestamp, levels: &Levels) -> Result<Self, jiff::Error> {
        Ok(Self {
            trusted_before: time_of(began.checked_sub(TICK)?),
            lies: levels.lies,
            same_content: levels.same_content,
        })
    }
}

fn time_of(timestamp: jiff::Timestamp) -> Time {
    let nanoseconds = timestamp.subsec_nanosecond();
    let (seconds, nanoseconds) = if nanoseconds < 0 {
        (timestamp.as_second() - 1, nanoseconds + 1_000_000_000)
    } else {
        (timestamp.as_second(), nanoseconds)
    };
    Time::new(seconds, u32::try_from(nanoseconds).unwrap_or_default())
}

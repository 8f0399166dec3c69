//! Whether a level is all there, and which of its files damage touches.

use super::frames::Frames;
use crate::catalog::names::{self, Folder, LevelOf, Meaning};
use crate::catalog::stream::{self, RepackedError};
use crate::catalog::{Access, AccessError, Blocks, TreeError, open_tree};
use crate::format::frame::{FrameError, Lane};
use crate::format::manifest::{LevelParts, Manifest};
use crate::index::{BlockCache, BlockSource, IndexError};
use crate::model::{BackupName, Cancel, Content, Entry, Kind, LevelId, LevelSerial, NodeId, Progress, Ranges, TreePath};
use crate::store::{self, ObjectName};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Most bytes of index blocks that are kept while a tree is read.
const INDEX_CACHE_BYTES: usize = 16 << 20;

/// How much is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// Everything but the content of files: the manifest, all of index and frame tables, the sizes of segments.
    Structure,
    /// The content too: every frame is authenticated and decompressed.
    Data,
}

/// What a check came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Entries of the tree that were read.
    pub entries: u64,
    /// Frames that were looked up, or read.
    pub frames: u64,
    /// How often damage was told.
    pub damages: u64,
    /// Files that cannot be read as a whole.
    pub files_touched: u64,
}

/// One thing that is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// The level cannot be opened at all.
    #[error("the manifest cannot be read")]
    Manifest(#[source] AccessError),
    /// An object that must be there is not.
    #[error("{0} is missing")]
    Missing(ObjectName),
    /// An object has not the length that its frames fill.
    #[error("{object} has {found} bytes, and should have {expected}")]
    Length {
        /// Which.
        object: ObjectName,
        /// What the store says.
        found: u64,
        /// What the frame table says.
        expected: u64,
    },
    /// A part of a frame table cannot be read.
    #[error("the frame table cannot be read from frame {frame} on")]
    FrameTable {
        /// Where it begins to be unreadable.
        frame: u64,
        /// Why.
        source: IndexError,
    },
    /// Where a level was repacked to cannot be read.
    #[error("{object} cannot be read")]
    Repacked {
        /// What should say so.
        object: ObjectName,
        /// Why.
        source: RepackedError,
    },
    /// The frame table does not account for the whole stream.
    #[error("the frame table ends at byte {found} of the stream, which has {expected}")]
    StreamEnd {
        /// Where it ends.
        found: u64,
        /// What the manifest says.
        expected: u64,
    },
    /// A frame does not lie where frames can lie.
    #[error("frame {frame} lies outside of its segment {object}")]
    Place {
        /// Which frame.
        frame: u64,
        /// Where it should lie.
        object: ObjectName,
    },
    /// A frame could not be fetched.
    #[error("frame {frame} of {object} cannot be fetched")]
    Fetch {
        /// Which frame.
        frame: u64,
        /// Where it lies.
        object: ObjectName,
        /// What the store said.
        source: store::Error,
    },
    /// A frame is not what was stored.
    #[error("frame {frame} of {object} is damaged")]
    Frame {
        /// Which frame.
        frame: u64,
        /// Where it lies.
        object: ObjectName,
        /// What is wrong with it.
        source: FrameError,
    },
    /// The index cannot be opened.
    #[error("the index cannot be opened")]
    Index(#[source] TreeError),
    /// A part of the index cannot be read that this point in time does not need, but those that lean on it may.
    #[error("a part of the index that newer parts replace cannot be read")]
    Replaced(#[source] IndexError),
    /// What is in a directory cannot be read, from some name on.
    #[error("what is in {path:?} cannot be read")]
    Directory {
        /// Which directory.
        path: TreePath,
        /// Why.
        source: IndexError,
    },
    /// The tree has another number of entries than the manifest says.
    #[error("the tree has {found} entries, and should have {expected}")]
    Entries {
        /// How many were found.
        found: u64,
        /// How many the manifest says.
        expected: u64,
    },
    /// An extent names a level or a part of a stream that is not there.
    #[error("{0:?} leans on a part of the stream that does not exist")]
    Extent(TreePath),
    /// A file whose content is touched by damage that was told before.
    #[error("{0:?} cannot be read as a whole")]
    File(TreePath),
}

/// Why a check did not take place, or ended early.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The store could not be listed.
    #[error("could not list the store")]
    List(#[source] store::Error),
    /// The store refused or did not answer: that says nothing of what it holds.
    #[error("could not read the manifest of level {level}")]
    Manifest {
        /// Of which level.
        level: LevelId,
        /// What went wrong.
        source: AccessError,
    },
    /// No thread could be had to read with.
    #[error("could not start a thread")]
    Thread(#[source] std::io::Error),
    /// It was asked to stop.
    #[error("the check was interrupted")]
    Cancelled,
}

/// Checks one level, and all that its point in time leans on. Tells every damage to `found`, and goes on.
///
/// Memory holds the lengths of a level's segments, the damaged ranges, and what is between the root and the place in the
/// tree. With [`Depth::Data`] all bytes of the level are read once.
///
/// # Errors
///
/// [`CheckError`]: what the store holds is then unknown. Damage is no error.
pub fn check(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    depth: Depth,
    found: &mut dyn FnMut(Damage),
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Checked, CheckError> {
    let manifest = match access.manifest(backup, level) {
        Ok(manifest) => manifest,
        Err(AccessError::Store(error)) if !is_damage(&error) => {
            return Err(CheckError::Manifest { level: level.clone(), source: AccessError::Store(error) });
        }
        Err(error) => {
            found(Damage::Manifest(error));
            return Ok(Checked { damages: 1, ..Checked::default() });
        }
    };
    let mut check = Check { access, backup, found, progress, cancel, checked: Checked::default() };
    let mut streams = BTreeMap::new();
    if depth == Depth::Data {
        progress.expect_total(0, manifest.levels.iter().map(|parts| parts.stream_bytes).sum());
    }
    for parts in &manifest.levels {
        progress.stage(if depth == Depth::Data { "reading all data" } else { "checking the frame table" });
        let unreadable = check.stream(parts, depth)?;
        streams.insert(parts.serial, Stream { bytes: parts.stream_bytes, unreadable });
    }
    progress.stage("checking the tree");
    check.tree(&manifest, &streams)?;
    Ok(check.checked)
}

/// Whether a store's answer says that what it holds is damaged, rather than that it cannot be asked.
pub(super) fn is_damage(error: &store::Error) -> bool {
    match error.kind() {
        store::Kind::Missing | store::Kind::Short | store::Kind::TooLarge => true,
        store::Kind::Denied | store::Kind::Full | store::Kind::Unavailable | store::Kind::Failed => false,
    }
}

/// A level's tar stream, as far as the tree cares.
struct Stream {
    bytes: u64,
    unreadable: Ranges,
}

pub(super) struct Check<'run> {
    pub(super) access: &'run Access,
    pub(super) backup: &'run BackupName,
    found: &'run mut dyn FnMut(Damage),
    pub(super) progress: &'run dyn Progress,
    pub(super) cancel: &'run Cancel,
    pub(super) checked: Checked,
}

impl Check<'_> {
    pub(super) fn tell(&mut self, damage: Damage) {
        self.checked.damages += 1;
        (self.found)(damage);
    }

    /// Checks that the segments of a level are there and the frames fill them, and reads them if asked to.
    fn stream(&mut self, parts: &LevelParts, depth: Depth) -> Result<Ranges, CheckError> {
        if parts.live.as_ref().is_some_and(Ranges::is_empty) {
            // It is named for its index alone; its stream may have gone.
            return Ok(Ranges::of(0..u64::MAX));
        }
        let (lengths, repacked) = self.segment_lengths(parts)?;
        let of = LevelOf { backup: self.backup.clone(), level: parts.id.clone() };
        let newest;
        let parts = if repacked > parts.repacked {
            match stream::load(self.access.store().as_ref(), &self.access.opener(&parts.id), &of, repacked) {
                Ok(found) => {
                    newest = found.apply(parts.clone());
                    &newest
                }
                Err(source) => {
                    self.tell(Damage::Repacked { object: of.data_name(Folder::Repacked, repacked), source });
                    parts
                }
            }
        } else {
            parts
        };
        Frames::new(self, parts, lengths).check(depth)
    }

    /// The lengths of a level's segments as the store has them; those that are missing have none. And how often it was repacked.
    fn segment_lengths(&mut self, parts: &LevelParts) -> Result<(BTreeMap<u32, u64>, u32), CheckError> {
        let (mut lengths, mut repacked) = (BTreeMap::new(), parts.repacked);
        let store = self.access.store();
        let listed = store.list(&names::level_prefix(self.backup, &parts.id), &mut |object| {
            match names::meaning(&object.name) {
                Some(Meaning::Data { folder: Folder::Segments, number, .. }) => _ = lengths.insert(number, object.length),
                Some(Meaning::Data { folder: Folder::Repacked, number, .. }) => repacked = repacked.max(number),
                _ => {}
            }
            !self.cancel.is_requested()
        });
        listed.map_err(CheckError::List)?;
        if self.cancel.is_requested() {
            return Err(CheckError::Cancelled);
        }
        // Where only some bytes are needed, the frame table tells which segments must be there.
        if parts.live.is_none() {
            for number in (0..parts.segments).filter(|number| !lengths.contains_key(number)).collect::<Vec<_>>() {
                self.tell(Damage::Missing(self.segment(parts, number)));
            }
        }
        Ok((lengths, repacked))
    }

    pub(super) fn segment(&self, parts: &LevelParts, number: u32) -> ObjectName {
        names::data_name(self.backup, &parts.id, Folder::Segments, number)
    }

    /// Reads the whole tree, directory by directory, so that a damaged block hides no more than its own entries.
    fn tree(&mut self, manifest: &Manifest, streams: &BTreeMap<LevelSerial, Stream>) -> Result<(), CheckError> {
        let blocks = |level: &LevelId| Arc::new(Blocks::new(self.access, self.backup, level, Lane::Index)) as Arc<dyn BlockSource>;
        // The blocks that the manifest holds as well are read where they belong: there others need them.
        let mut bare = manifest.clone();
        bare.index.iter_mut().for_each(|run| run.head.clear());
        let tree = match open_tree(&bare, &BlockCache::new(INDEX_CACHE_BYTES), blocks) {
            Ok(tree) => tree,
            Err(error) => {
                self.tell(Damage::Index(error));
                return Ok(());
            }
        };
        let damages_before = self.checked.damages;
        let mut entries = 1;
        let mut waiting = vec![(NodeId(0), TreePath::root())];
        while let Some((directory, path)) = waiting.pop() {
            for child in tree.children(directory, None) {
                if self.cancel.is_requested() {
                    return Err(CheckError::Cancelled);
                }
                match child {
                    Ok((node, entry)) => {
                        entries += 1;
                        self.entry(&entry, streams);
                        if entry.content.kind() == Kind::Directory {
                            waiting.push((node, entry.path));
                        }
                    }
                    Err(source) => {
                        self.tell(Damage::Directory { path: path.clone(), source });
                        break;
                    }
                }
            }
        }
        self.checked.entries += entries;
        // With a directory unreadable the count cannot be right, and that was told.
        if self.checked.damages == damages_before && entries != manifest.counts.entries {
            self.tell(Damage::Entries { found: entries, expected: manifest.counts.entries });
        }
        if self.checked.damages == damages_before
            && tree.runs() > 1
            && let Err(error) = tree.verify()
        {
            self.tell(Damage::Replaced(error));
        }
        Ok(())
    }

    fn entry(&mut self, entry: &Entry, streams: &BTreeMap<LevelSerial, Stream>) {
        let Content::File { extents, .. } = &entry.content else { return };
        let exists = |extent: &crate::model::Extent| {
            streams
                .get(&extent.level)
                .is_some_and(|stream| extent.stream.0.checked_add(extent.length).is_some_and(|end| end <= stream.bytes))
        };
        if !extents.iter().all(exists) {
            self.checked.files_touched += 1;
            self.tell(Damage::Extent(entry.path.clone()));
            return;
        }
        if extents.iter().any(|extent| {
            streams
                .get(&extent.level)
                .is_some_and(|stream| stream.unreadable.touch(&(extent.stream.0..extent.stream.0.saturating_add(extent.length))))
        }) {
            self.checked.files_touched += 1;
            self.tell(Damage::File(entry.path.clone()));
        }
    }
}

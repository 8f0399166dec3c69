//! What the readers hand to the archive: the same pieces of directories, read.

use super::blocks::EarlierVersion;
use super::compare::{Change, Previous};
use super::step::WalkStep;
use crate::format::tar::DumpDir;
use crate::model::{Entry, Extent, TreePath, Trouble};
use crate::platform::{FileHandle, Stat};
use std::ops::Range;
use std::sync::Arc;

/// A piece of one directory with the metadata, and the content of small files, of its entries.
#[derive(Debug)]
pub(super) struct ReadStep {
    /// The directory.
    pub(super) path: TreePath,
    /// Whether this is the directory's first step.
    pub(super) is_first: bool,
    /// The directory itself, with its first step and if it is still there.
    pub(super) directory: Option<ReadEntry>,
    /// With the first step: all names of the directory, if they are known.
    pub(super) all_names: Option<DumpDir>,
    /// Whether names of the base are gone from the directory; known at the last step.
    pub(super) has_lost: bool,
    /// The entries in the order of their names.
    pub(super) entries: Vec<ReadEntry>,
    /// The content of the small files among the entries.
    pub(super) bytes: Vec<u8>,
    /// Number of sockets and things of unknown type that were passed over.
    pub(super) skipped: u64,
    /// The entries that could not be read. Whoever takes the step reports them.
    pub(super) troubles: Vec<Trouble>,
}

/// An entry without the extents that this level will store.
#[derive(Debug)]
pub(super) struct ReadEntry {
    pub(super) entry: Entry,
    pub(super) content: ContentSource,
    pub(super) change: Change,
    pub(super) inode: SourceInode,
}

/// The inode that an entry has in the source at this moment. Where inode numbers lie, an entry that
/// did not change still says those of an earlier level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct SourceInode {
    device: u64,
    inode: u64,
}

impl SourceInode {
    #[cfg(test)]
    pub(super) fn new(device: u64, inode: u64) -> Self {
        Self { device, inode }
    }

    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.device,
            inode: stat.inode,
        }
    }
}

/// Where the content of an entry comes from.
#[derive(Debug)]
pub(super) enum ContentSource {
    /// The entry has no content.
    Empty,
    /// This range of [`ReadStep::bytes`], without holes.
    Read(Range<usize>),
    /// The whole file.
    Whole(SourceFile),
    /// The new blocks of a large file; the others are in `earlier`, if there is one.
    Blocks {
        file: SourceFile,
        earlier: Option<Box<EarlierVersion>>,
    },
    /// The file behind its beginning, which an interrupted run has stored in these extents.
    Rest {
        file: SourceFile,
        begun: Vec<Extent>,
    },
    /// Earlier levels: the entry has its extents.
    Kept,
}

/// An open file and its metadata when it was opened.
#[derive(Debug)]
pub(super) struct SourceFile {
    pub(super) handle: Arc<FileHandle>,
    pub(super) stat: Stat,
}

impl ReadStep {
    /// Starts with what the walk knows.
    pub(super) fn of(step: &WalkStep) -> Self {
        Self {
            path: step.directory.path.clone(),
            is_first: step.is_first,
            directory: None,
            all_names: None,
            has_lost: step.has_lost,
            entries: Vec::with_capacity(step.names.len()),
            bytes: Vec::new(),
            skipped: 0,
            troubles: Vec::new(),
        }
    }
}

impl ReadEntry {
    /// Makes an entry that is as it was. Whether it is a link to another is for this level to find
    /// out.
    pub(super) fn unchanged(previous: &Previous, stat: &Stat) -> Self {
        let mut entry = previous.entry.clone();
        let was_link_to = entry.link_to.take();
        Self {
            entry,
            content: ContentSource::Kept,
            change: Change::Unchanged {
                node: previous.node,
                was_link_to,
            },
            inode: SourceInode::of(stat),
        }
    }

    /// Makes an entry that keeps the content of an earlier level.
    pub(super) fn kept(entry: Entry, change: Change, stat: &Stat) -> Self {
        Self {
            entry,
            content: ContentSource::Kept,
            change,
            inode: SourceInode::of(stat),
        }
    }

    /// Returns whether earlier levels have the content, or the whole entry is as it was.
    pub(super) fn is_kept(&self) -> bool {
        matches!(self.content, ContentSource::Kept)
    }
}

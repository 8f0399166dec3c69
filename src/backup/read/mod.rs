//! Reads the entries of a step: metadata, extended attributes, link targets, and the content of
//! small files.
//!
//! An entry is first compared with earlier levels (`unchanged`); a file whose content they do not
//! have is opened (`file`).

mod child;
mod extensions;
mod file;
mod unchanged;

use super::base::Base;
use super::blocks::Engine;
use super::compare::{Change, Likeness, Previous};
use super::content::StoredContent;
use super::read_step::{ContentSource, ReadEntry, ReadStep, SourceInode};
use super::resume::Resumed;
use super::source_calls::{NotAsked, SourceCalls};
use super::step::{DirectoryAccess, WalkStep, WalkedDirectory};
use super::unread::Unread;
use crate::format::content_hash::ContentHashing;
use crate::model::{Content, Entry, Extensions, Kind, Metadata, Name, TreePath, Trouble, Xattr};
use crate::platform::{Owners, Sort, Stat, Xattrs};
use child::ListedChild;
use std::cell::RefCell;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Reads steps. Several threads use it at once.
///
/// It owns all that it needs, so that a thread can be left behind in the middle of a step, if a
/// file system keeps it for ever.
pub(super) struct EntryReader {
    owners: Owners,
    xattrs: Xattrs,
    earlier: EarlierContent,
    engine: Engine,
    hashing: ContentHashing,
    calls: Arc<SourceCalls>,
}

/// Where content may be that does not have to be stored again.
#[derive(Clone)]
pub(super) struct EarlierContent {
    /// The point in time that the level builds on.
    pub(super) base: Option<Arc<Base>>,
    /// The streams of interrupted runs.
    pub(super) resumed: Option<Arc<Resumed>>,
    /// The stored bytes, if the content of each file is compared with them.
    pub(super) stored: Option<Arc<StoredContent>>,
}

/// The number of the name in a step that is being read, counted from 1; 0 is the directory itself.
pub(super) type PlaceInStep = Arc<AtomicUsize>;

/// Reads the entries of one step.
struct StepReader<'step> {
    owners: &'step Owners,
    xattrs: &'step Xattrs,
    earlier: &'step EarlierContent,
    engine: Engine,
    hashing: &'step ContentHashing,
    troubles: RefCell<Vec<Trouble>>,
}

impl EntryReader {
    /// Makes a reader that finds in `earlier` what does not have to be stored again.
    pub(super) fn new(
        earlier: EarlierContent,
        engine: Engine,
        hashing: ContentHashing,
        calls: &Arc<SourceCalls>,
    ) -> Self {
        Self {
            owners: Owners::new(),
            xattrs: Xattrs::new(),
            earlier,
            engine,
            hashing,
            calls: Arc::clone(calls),
        }
    }

    /// Reads all entries of a step. An entry that cannot be read is among the troubles and left
    /// out; one that has vanished since it was listed is left out without a trouble. `place` shows
    /// how far it has come.
    pub(super) fn read(&self, step: &WalkStep, place: &PlaceInStep) -> ReadStep {
        let reader = StepReader {
            owners: &self.owners,
            xattrs: &self.xattrs,
            earlier: &self.earlier,
            engine: self.engine,
            hashing: &self.hashing,
            troubles: RefCell::default(),
        };
        let mut read = ReadStep::of(step);
        let device = step.directory.device;
        if step.is_first && self.calls.check(&step.directory.path, device).is_ok() {
            read.directory = reader.directory(&step.directory);
        }
        if let Some(handle) = step.directory.access.handle() {
            for (number, name) in (1..).zip(&step.names) {
                place.store(number, Ordering::Relaxed);
                let path = step.directory.path.join(&name.listed.name);
                match self.calls.check(&path, device) {
                    Ok(()) => {}
                    // It was named when it did not answer.
                    Err(NotAsked::Name) => continue,
                    Err(silent) => {
                        reader.trouble(&path, Unread::NotAsked(silent));
                        continue;
                    }
                }
                let child = ListedChild::new(handle, name, &path);
                match reader.child(&child, &mut read) {
                    Ok(()) => {}
                    Err(error) if error.is_gone() => {
                        tracing::info!(%path, "vanished before it could be read")
                    }
                    Err(error) => reader.trouble(&path, error),
                }
            }
        }
        read.troubles = reader.troubles.into_inner();
        read
    }
}

impl StepReader<'_> {
    /// Reads the entry of a directory itself. `None` if it is gone.
    fn directory(&self, directory: &WalkedDirectory) -> Option<ReadEntry> {
        let stat = match &directory.access {
            DirectoryAccess::Open(handle) => handle.stat(),
            DirectoryAccess::ByName { parent, name } => Ok(stat_by_name(parent, name)?),
        };
        let stat = stat
            .map_err(|error| self.trouble(&directory.path, Unread::Stat(error)))
            .ok()?;
        let previous = directory
            .previous
            .as_ref()
            .filter(|previous| !previous.is_moved);
        if let Some(same) = previous.and_then(|previous| self.same(previous, &stat)) {
            return Some(same);
        }
        let (xattrs, extensions) = match &directory.access {
            DirectoryAccess::Open(handle) => (
                self.attributes(&directory.path, self.xattrs.of_open(handle, stat.device)),
                extensions::of_directory(&directory.path, handle),
            ),
            DirectoryAccess::ByName { .. } => (Vec::new(), Extensions::default()),
        };
        let mut entry = self.entry(&directory.path, &stat, xattrs, Content::Directory);
        entry.metadata.extensions = extensions;
        Some(self.same_after_all(previous, entry, &stat))
    }

    /// Reads one name of a directory into `read`.
    fn child(&self, child: &ListedChild<'_>, read: &mut ReadStep) -> Result<(), Unread> {
        let kept = match self.kept_file(child)? {
            Some(kept) => Some(kept),
            None => self.taken_file(child)?,
        };
        if let Some(kept) = kept {
            read.entries.push(kept);
            return Ok(());
        }
        if child.is_listed_file()
            && let Some(file) = child.open_listed_file()?
        {
            return self.file(child, file, read);
        }
        // If it was listed as a file, something else or nothing is in its place by now.
        self.other(child, read)
    }

    /// Reads a name that is no file, or was none when it was listed.
    fn other(&self, child: &ListedChild<'_>, read: &mut ReadStep) -> Result<(), Unread> {
        let (handle, name) = (child.directory, child.name);
        let stat = child.stat()?;
        let previous = child.previous();
        let is_as_listed = stat.sort != Sort::Kept(Kind::File) && Some(stat.sort) == child.sort;
        if let Some(same) = previous
            .filter(|_| is_as_listed)
            .and_then(|previous| self.same(previous, &stat))
        {
            read.entries.push(same);
            return Ok(());
        }
        let content = match stat.sort {
            Sort::Kept(Kind::File) => return self.file(child, child.open()?, read),
            // The walk enters only names that were listed as directories.
            Sort::Kept(Kind::Directory) if child.sort != Some(Sort::Kept(Kind::Directory)) => {
                return Err(Unread::Replaced);
            }
            Sort::Kept(Kind::Directory) => Content::Directory,
            Sort::Kept(Kind::Symlink) => {
                Content::Symlink(handle.read_link(name).map_err(Unread::Open)?)
            }
            Sort::Kept(Kind::CharDevice) => Content::CharDevice(stat.rdev),
            Sort::Kept(Kind::BlockDevice) => Content::BlockDevice(stat.rdev),
            Sort::Kept(Kind::Fifo) => Content::Fifo,
            Sort::Socket | Sort::Unknown => {
                tracing::info!(path = %child.path, "skipped: no backup can hold a socket");
                read.skipped += 1;
                return Ok(());
            }
        };
        let (xattrs, extensions) = self.child_attributes(child, &stat);
        let mut entry = self.entry(child.path, &stat, xattrs, content);
        entry.metadata.extensions = extensions;
        read.entries
            .push(self.same_after_all(previous, entry, &stat));
        Ok(())
    }

    /// Returns the entry of the base, if all of it is still right.
    fn same(&self, previous: &Previous, stat: &Stat) -> Option<ReadEntry> {
        let likeness = self
            .earlier
            .base
            .as_ref()?
            .comparison
            .judge(&previous.entry, stat);
        (likeness == Likeness::Same).then(|| ReadEntry::unchanged(previous, stat))
    }

    /// Returns an entry without content, or the one of the base if only its ctime differs and that
    /// is not looked at.
    fn same_after_all(&self, previous: Option<&Previous>, entry: Entry, stat: &Stat) -> ReadEntry {
        if let (Some(base), Some(previous)) = (&self.earlier.base, previous)
            && base.comparison.judge(&previous.entry, stat) == Likeness::Content
            && base.comparison.judge_metadata(&previous.entry, &entry) == Likeness::Same
        {
            return ReadEntry::unchanged(previous, stat);
        }
        ReadEntry {
            entry,
            content: ContentSource::Empty,
            change: Change::against(previous),
            inode: SourceInode::of(stat),
        }
    }

    fn child_attributes(&self, child: &ListedChild<'_>, stat: &Stat) -> (Vec<Xattr>, Extensions) {
        if stat.sort == Sort::Kept(Kind::Directory) {
            // The walk reports a directory that cannot be opened.
            let Ok(directory) = child.directory.open_child(child.name) else {
                return (Vec::new(), extensions::of_unopened(child));
            };
            let xattrs = self.xattrs.of_open(&directory, stat.device);
            return (
                xattrs.unwrap_or_default(),
                extensions::of_directory(child.path, &directory),
            );
        }
        let xattrs = self.xattrs.of_child(child.directory, child.name);
        (
            self.attributes(child.path, xattrs),
            extensions::of_unopened(child),
        )
    }

    /// Returns extended attributes; if they could not be read, reports that and returns none.
    fn attributes(&self, path: &TreePath, read: io::Result<Vec<Xattr>>) -> Vec<Xattr> {
        read.unwrap_or_else(|error| {
            self.trouble(path, Unread::Xattrs(error));
            Vec::new()
        })
    }

    fn entry(&self, path: &TreePath, stat: &Stat, xattrs: Vec<Xattr>, content: Content) -> Entry {
        let metadata = Metadata {
            mode: stat.mode,
            owner: self.owners.named(stat.uid, stat.gid),
            mtime: stat.mtime,
            ctime: stat.ctime,
            device: stat.device,
            inode: stat.inode,
            links: stat.links,
            blocks: stat.blocks,
            xattrs,
            signatures: Vec::new(),
            extensions: Extensions::default(),
        };
        Entry {
            path: path.clone(),
            metadata,
            content,
            link_to: None,
        }
    }

    fn trouble(&self, path: &TreePath, error: Unread) {
        self.troubles
            .borrow_mut()
            .push(Trouble::new(path.clone(), error));
    }
}

/// Returns the metadata of a directory that is not open. `None` if it is gone or no directory any
/// more: the walk has reported that.
fn stat_by_name(parent: &WalkedDirectory, name: &Name) -> Option<Stat> {
    let stat = parent.access.handle()?.stat_child(name).ok()?;
    (stat.sort == Sort::Kept(Kind::Directory)).then_some(stat)
}

//! Reads what a step names: metadata, extended attributes, link targets, and the content of small
//! files.

use super::base::Base;
use super::blocks::{Earlier, Engine};
use super::compare::{Change, Comparison, Likeness, Previous, SameContent};
use super::content::StoredContent;
use super::resume::Resumed;
use super::walk::{Directory, Opened, Seen, Step};
use crate::format::tar::DumpDir;
use crate::model::{Content, Entry, Extent, Kind, Metadata, Name, Progress, TreePath, Trouble};
use crate::platform::{DirHandle, FileHandle, Owners, Sort, Stat, Xattrs};
use std::io;
use std::ops::Range;

/// A file up to this length is read with its metadata; a longer one is left open and read when its
/// turn comes.
const SMALL_FILE_BYTES: usize = 128 << 10;

/// Bytes of small files that one step may hold; what does not fit is left open.
const STEP_BYTES: usize = 2 << 20;

/// What a step held.
#[derive(Debug)]
pub(super) struct Found {
    /// The directory it is a piece of.
    pub(super) path: TreePath,
    /// Whether it is the directory's first.
    pub(super) is_first: bool,
    /// The directory itself, if this was its first step and it is still there.
    pub(super) directory: Option<(Entry, Change)>,
    /// With the first: all its names.
    pub(super) all: Option<DumpDir>,
    /// Whether names that the level before has are gone; known at the last step.
    pub(super) has_lost: bool,
    /// Its entries, in order.
    pub(super) entries: Vec<FoundEntry>,
    /// The content of the small files among them.
    pub(super) bytes: Vec<u8>,
    /// How many sockets and unknown things were passed over.
    pub(super) skipped: u64,
}

/// One entry, its extents still missing.
#[derive(Debug)]
pub(super) struct FoundEntry {
    pub(super) entry: Entry,
    pub(super) body: Body,
    pub(super) change: Change,
}

/// Where an entry's content is.
#[derive(Debug)]
pub(super) enum Body {
    /// It has none.
    None,
    /// Here in [`Found::bytes`], all of it, without holes.
    Read(Range<usize>),
    /// In the file.
    Open(FileHandle, Stat),
    /// In a large file, and in part perhaps in earlier levels, if there is an earlier version.
    Blocks(FileHandle, Stat, Option<Box<Earlier>>),
    /// In a file whose beginning a cut-off run has stored, in these extents.
    Rest(FileHandle, Stat, Vec<Extent>),
    /// In earlier levels: the entry has its extents.
    Kept,
}

/// Why something could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Unread {
    /// A directory could not be listed.
    #[error("could not open the directory")]
    List(#[source] io::Error),
    /// A file could not be opened.
    #[error("could not open it")]
    Open(#[source] io::Error),
    /// What it is could not be found out.
    #[error("could not read its metadata")]
    Stat(#[source] io::Error),
    /// Extended attributes could not be read.
    #[error("could not read its extended attributes")]
    Xattrs(#[source] io::Error),
    /// The content of a small file could not be read, so there is no member of it.
    #[error("could not read it; it is left out")]
    Small(#[source] io::Error),
    /// Its content could not be read to its end.
    #[error("could not read it; the rest of it is kept as zeros")]
    Content(#[source] io::Error),
    /// A directory has taken the place of something else, or came back.
    #[error("it became a directory after it was listed, and what is in it is left out")]
    Replaced,
    /// It is shorter than it was when its header was written.
    #[error("it shrank by {0} bytes while it was read; they are kept as zeros")]
    Shrank(u64),
}

/// Reads entries. Used by several threads at once.
pub(super) struct Reader<'run> {
    owners: Owners,
    xattrs: Xattrs,
    comparison: Option<Comparison>,
    base: Option<&'run Base>,
    resumed: Option<&'run Resumed>,
    /// What is stored, if files are to be compared with that.
    stored: Option<&'run StoredContent<'run>>,
    engine: Engine,
    progress: &'run dyn Progress,
}

impl<'run> Reader<'run> {
    /// `base` is what the level is compared with, if there is anything, and `resumed` what cut-off
    /// runs have. With `stored`, no file is the same whose content is not.
    pub(super) fn new(
        (base, resumed): (Option<&'run Base>, Option<&'run Resumed>),
        stored: Option<&'run StoredContent<'run>>,
        engine: Engine,
        progress: &'run dyn Progress,
    ) -> Self {
        let comparison = base.map(|base| base.comparison);
        Self {
            owners: Owners::new(),
            xattrs: Xattrs::new(),
            comparison,
            base,
            resumed,
            stored,
            engine,
            progress,
        }
    }

    /// Reads all that a step names. What cannot be read is told to `progress` and left out; what
    /// has vanished since it was listed is left out as if it had gone before.
    pub(super) fn read(&self, step: Step) -> Found {
        let entries = Vec::with_capacity(step.names.len());
        let path = step.directory.path.clone();
        let (is_first, all, has_lost) = (step.is_first, step.all, step.has_lost);
        let mut found = Found {
            path,
            is_first,
            directory: None,
            all,
            has_lost,
            entries,
            bytes: Vec::new(),
            skipped: 0,
        };
        if step.is_first {
            found.directory = self.directory(&step.directory);
        }
        if let Opened::Open(handle) = &step.directory.opened {
            for seen in &step.names {
                let path = step.directory.path.join(&seen.listed.name);
                match self.child(handle, seen, &path, &mut found) {
                    Ok(()) => {}
                    Err(error) if error.is_gone() => {
                        tracing::info!(%path, "vanished before it could be read")
                    }
                    Err(error) => self.progress.trouble(Trouble::new(path, error)),
                }
            }
        }
        found
    }

    fn directory(&self, directory: &Directory) -> Option<(Entry, Change)> {
        let stat = match &directory.opened {
            Opened::Open(handle) => handle.stat(),
            Opened::Shut(parent, name) => match &parent.opened {
                Opened::Open(handle) => match handle.stat_child(name) {
                    Ok(stat) if stat.sort == Sort::Kept(Kind::Directory) => Ok(stat),
                    // It is gone, or no directory any more: the walk has told.
                    _ => return None,
                },
                Opened::Shut(..) => return None,
            },
        };
        let stat = match stat {
            Ok(stat) => stat,
            Err(error) => {
                self.progress
                    .trouble(Trouble::new(directory.path.clone(), Unread::Stat(error)));
                return None;
            }
        };
        let previous = directory
            .previous
            .as_ref()
            .filter(|previous| !previous.is_moved);
        if let Some(same) = previous.and_then(|previous| self.same(previous, &stat)) {
            return Some(same);
        }
        let xattrs = match &directory.opened {
            Opened::Open(handle) => {
                self.attributes(&directory.path, self.xattrs.of_open(handle, stat.device))
            }
            Opened::Shut(..) => Vec::new(),
        };
        let entry = self.entry(directory.path.clone(), &stat, xattrs, Content::Directory);
        Some(self.same_after_all(previous, entry, &stat))
    }

    /// An entry that is no file, or the earlier one if there is no difference but one that is not
    /// looked at.
    fn same_after_all(
        &self,
        previous: Option<&Previous>,
        entry: Entry,
        stat: &Stat,
    ) -> (Entry, Change) {
        if let (Some(comparison), Some(previous)) = (self.comparison, previous)
            && comparison.judge(&previous.entry, stat) == Likeness::Content
            && comparison.judge_metadata(&previous.entry, &entry) == Likeness::Same
        {
            return kept(previous);
        }
        (entry, Change::against(previous))
    }

    /// What the level before has, if that is still all true.
    fn same(&self, previous: &Previous, stat: &Stat) -> Option<(Entry, Change)> {
        (self.comparison?.judge(&previous.entry, stat) == Likeness::Same).then(|| kept(previous))
    }

    /// A file whose content earlier levels have. It is opened only if its metadata may be other
    /// than before.
    fn kept_file(
        &self,
        handle: &DirHandle,
        seen: &Seen,
        path: &TreePath,
    ) -> Result<Option<FoundEntry>, Unread> {
        let (Some(comparison), Some(base)) = (self.comparison, self.base) else {
            return Ok(None);
        };
        let name = &seen.listed.name;
        let previous = seen
            .previous
            .as_ref()
            .filter(|previous| previous.entry.content.kind() == Kind::File);
        if previous.is_none() && seen.listed.sort != Some(Sort::Kept(Kind::File)) {
            return Ok(None);
        }
        let stat = handle.stat_child(name).map_err(Unread::Stat)?;
        let likeness = previous.map_or(Likeness::None, |previous| {
            comparison.judge(&previous.entry, &stat)
        });
        // It may have had another name, also where another had this one. A new name explains that
        // its ctime is another.
        let moved = || {
            base.moved(&stat)
                .filter(|moved| comparison.judge(&moved.entry, &stat) != Likeness::None)
        };
        let moved = match previous {
            Some(previous) if previous.is_moved => {
                (likeness != Likeness::None).then(|| previous.clone())
            }
            _ if likeness == Likeness::None => moved(),
            _ => None,
        };
        if let Some(moved) =
            moved.filter(|moved| self.may_keep((handle, name), &stat, &moved.entry))
        {
            let entry = self.with_content_of(&moved.entry, (handle, name), path, &stat);
            let change = Change::against(previous.filter(|previous| !previous.is_moved));
            return Ok(Some(FoundEntry {
                entry,
                body: Body::Kept,
                change,
            }));
        }
        let Some(previous) = previous.filter(|previous| !previous.is_moved) else {
            return Ok(None);
        };
        if self.stored.is_some() {
            return Ok(self.read_file(previous, (handle, name), path, &stat, comparison));
        }
        match likeness {
            Likeness::None => Ok(None),
            Likeness::Same => {
                let (entry, change) = kept(previous);
                Ok(Some(FoundEntry {
                    entry,
                    body: Body::Kept,
                    change,
                }))
            }
            Likeness::Content => {
                let entry = self.with_content_of(&previous.entry, (handle, name), path, &stat);
                Ok(match comparison.judge_metadata(&previous.entry, &entry) {
                    Likeness::Same => {
                        let (entry, change) = kept(previous);
                        Some(FoundEntry {
                            entry,
                            body: Body::Kept,
                            change,
                        })
                    }
                    Likeness::Content if comparison.same_content == SameContent::Store => None,
                    Likeness::Content => Some(FoundEntry {
                        entry,
                        body: Body::Kept,
                        change: Change::Changed,
                    }),
                    Likeness::None => None,
                })
            }
        }
    }

    /// A file whose content a run has stored that was cut off, and that has not changed since.
    fn taken_file(
        &self,
        handle: &DirHandle,
        seen: &Seen,
        path: &TreePath,
    ) -> Result<Option<FoundEntry>, Unread> {
        let Some(resumed) = self
            .resumed
            .filter(|_| seen.listed.sort == Some(Sort::Kept(Kind::File)))
        else {
            return Ok(None);
        };
        let name = &seen.listed.name;
        let stat = handle.stat_child(name).map_err(Unread::Stat)?;
        let Some((earlier, likeness, comparison)) = resumed.find(path, &stat) else {
            return Ok(None);
        };
        let entry = match likeness {
            Likeness::None => return Ok(None),
            Likeness::Same if !earlier.is_moved => Entry {
                link_to: None,
                ..earlier.entry
            },
            Likeness::Same | Likeness::Content => {
                let entry = self.with_content_of(&earlier.entry, (handle, name), path, &stat);
                // A new name explains that its ctime is another.
                if !earlier.is_moved
                    && comparison.judge_metadata(&earlier.entry, &entry) == Likeness::None
                {
                    return Ok(None);
                }
                entry
            }
        };
        if !self.may_keep((handle, name), &stat, &entry) {
            return Ok(None);
        }
        let change = Change::against(seen.previous.as_ref().filter(|previous| !previous.is_moved));
        Ok(Some(FoundEntry {
            entry,
            body: Body::Kept,
            change,
        }))
    }

    /// Whether nothing speaks against the content that an entry says a file has.
    fn may_keep(&self, (handle, name): (&DirHandle, &Name), stat: &Stat, earlier: &Entry) -> bool {
        self.stored.is_none_or(|stored| {
            handle
                .open_file(name)
                .is_ok_and(|file| stored.is_that_of(&file, stat, earlier))
        })
    }

    /// A file whose content was read, and is what the level before has; whatever its metadata says.
    fn read_file(
        &self,
        previous: &Previous,
        of: (&DirHandle, &Name),
        path: &TreePath,
        stat: &Stat,
        comparison: Comparison,
    ) -> Option<FoundEntry> {
        let likeness = comparison.judge(&previous.entry, stat);
        let is_same = likeness == Likeness::Same;
        if !self.may_keep(of, stat, &previous.entry) {
            if is_same {
                tracing::warn!(%path, "has other content than is stored, and nothing else tells");
            }
            return None;
        }
        let entry = self.with_content_of(&previous.entry, of, path, stat);
        let differs_in_nothing = || match likeness {
            Likeness::Content => {
                comparison.judge_metadata(&previous.entry, &entry) == Likeness::Same
            }
            Likeness::Same | Likeness::None => entry.metadata == previous.entry.metadata,
        };
        if is_same || differs_in_nothing() {
            let (entry, change) = kept(previous);
            return Some(FoundEntry {
                entry,
                body: Body::Kept,
                change,
            });
        }
        let is_lean = comparison.same_content == SameContent::Lean;
        is_lean.then_some(FoundEntry {
            entry,
            body: Body::Kept,
            change: Change::Changed,
        })
    }

    /// A file as it is now, with the content that an earlier entry has.
    fn with_content_of(
        &self,
        earlier: &Entry,
        (handle, name): (&DirHandle, &Name),
        path: &TreePath,
        stat: &Stat,
    ) -> Entry {
        let xattrs = self.attributes(path, self.xattrs.of_child(handle, name));
        let mut entry = self.entry(path.clone(), stat, xattrs, earlier.content.clone());
        entry
            .metadata
            .signatures
            .clone_from(&earlier.metadata.signatures);
        entry
    }

    fn child(
        &self,
        handle: &DirHandle,
        seen: &Seen,
        path: &TreePath,
        found: &mut Found,
    ) -> Result<(), Unread> {
        let Seen { listed, previous } = seen;
        let name = &listed.name;
        let kept = self.kept_file(handle, seen, path)?;
        if let Some(kept) = kept.map_or_else(
            || self.taken_file(handle, seen, path),
            |kept| Ok(Some(kept)),
        )? {
            found.entries.push(kept);
            return Ok(());
        }
        // Of what had another path, only the content of files is of use.
        let previous = previous.as_ref().filter(|previous| !previous.is_moved);
        let change = Change::against(previous);
        if matches!(listed.sort, Some(Sort::Kept(Kind::File))) {
            match handle.open_file(name) {
                Ok(file) => {
                    let stat = file.stat().map_err(Unread::Stat)?;
                    if stat.sort == Sort::Kept(Kind::File) {
                        return self.file(
                            path,
                            file,
                            stat,
                            (change, seen.previous.as_ref()),
                            found,
                        );
                    }
                }
                // Links and sockets cannot be opened so.
                Err(error)
                    if handle
                        .stat_child(name)
                        .is_ok_and(|stat| stat.sort == Sort::Kept(Kind::File)) =>
                {
                    return Err(Unread::Open(error));
                }
                Err(_) => {}
            }
            // Something else has taken its place since it was listed, or nothing.
        }
        let stat = handle.stat_child(name).map_err(Unread::Stat)?;
        let still_to_be_read =
            matches!(stat.sort, Sort::Kept(Kind::File)) || Some(stat.sort) != listed.sort;
        if let Some(previous) = previous.filter(|_| !still_to_be_read)
            && let Some((entry, change)) = self.same(previous, &stat)
        {
            found.entries.push(FoundEntry {
                entry,
                body: Body::Kept,
                change,
            });
            return Ok(());
        }
        let content = match stat.sort {
            Sort::Kept(Kind::File) => {
                let file = handle.open_file(name).map_err(Unread::Open)?;
                let stat = file.stat().map_err(Unread::Stat)?;
                return self.file(path, file, stat, (change, seen.previous.as_ref()), found);
            }
            // The walk goes into what was listed as a directory, and into nothing else.
            Sort::Kept(Kind::Directory) if listed.sort != Some(Sort::Kept(Kind::Directory)) => {
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
                tracing::info!(%path, "skipped: a socket cannot be kept");
                found.skipped += 1;
                return Ok(());
            }
        };
        let xattrs = self.child_attributes(handle, name, path, &stat);
        let (entry, change) = self.same_after_all(
            previous,
            self.entry(path.clone(), &stat, xattrs, content),
            &stat,
        );
        let body = if matches!(change, Change::Unchanged(..)) {
            Body::Kept
        } else {
            Body::None
        };
        found.entries.push(FoundEntry {
            entry,
            body,
            change,
        });
        Ok(())
    }

    fn child_attributes(
        &self,
        handle: &DirHandle,
        name: &Name,
        path: &TreePath,
        stat: &Stat,
    ) -> Vec<crate::model::Xattr> {
        if stat.sort == Sort::Kept(Kind::Directory) {
            // The walk tells of a directory that cannot be opened.
            let read = handle
                .open_child(name)
                .and_then(|child| self.xattrs.of_open(&child, stat.device));
            return read.unwrap_or_default();
        }
        self.attributes(path, self.xattrs.of_child(handle, name))
    }

    fn file(
        &self,
        path: &TreePath,
        file: FileHandle,
        mut stat: Stat,
        (change, previous): (Change, Option<&Previous>),
        found: &mut Found,
    ) -> Result<(), Unread> {
        let xattrs = self.attributes(path, self.xattrs.of_open(&file, stat.device));
        let start = found.bytes.len();
        let has_room =
            stat.size <= SMALL_FILE_BYTES as u64 && start + SMALL_FILE_BYTES <= STEP_BYTES;
        let begun = || {
            self.resumed
                .filter(|_| self.stored.is_none() && !has_room)?
                .begun(path, &stat)
        };
        let body = if stat.size == 0 {
            Body::None
        } else if let Some(extents) = begun() {
            Body::Rest(file, stat.clone(), extents)
        } else if self.engine.takes(stat.size) {
            let unfinished = self.resumed.and_then(|resumed| resumed.version(path));
            Body::Blocks(
                file,
                stat.clone(),
                unfinished
                    .as_ref()
                    .or(previous)
                    .and_then(Earlier::of)
                    .map(Box::new),
            )
        } else if has_room && stat.blocks.saturating_mul(512) >= stat.size {
            let length = usize::try_from(stat.size).unwrap_or(usize::MAX);
            found.bytes.resize(start + length, 0);
            match file.read_at(&mut found.bytes[start..], 0) {
                Ok(read) => {
                    if read < length {
                        // Its header is not written yet, so what is there is all of it.
                        tracing::warn!(%path, "shrank while it was read");
                        found.bytes.truncate(start + read);
                        stat.size = read as u64;
                    } else {
                        report_if_changed(path, &file, &stat);
                    }
                    if read == 0 {
                        Body::None
                    } else {
                        Body::Read(start..start + read)
                    }
                }
                Err(error) => {
                    found.bytes.truncate(start);
                    return Err(Unread::Small(error));
                }
            }
        } else {
            Body::Open(file, stat.clone())
        };
        let content = Content::File {
            size: stat.size,
            extents: Vec::new(),
        };
        found.entries.push(FoundEntry {
            entry: self.entry(path.clone(), &stat, xattrs, content),
            body,
            change,
        });
        Ok(())
    }

    fn attributes(
        &self,
        path: &TreePath,
        read: io::Result<Vec<crate::model::Xattr>>,
    ) -> Vec<crate::model::Xattr> {
        read.unwrap_or_else(|error| {
            self.progress
                .trouble(Trouble::new(path.clone(), Unread::Xattrs(error)));
            Vec::new()
        })
    }

    fn entry(
        &self,
        path: TreePath,
        stat: &Stat,
        xattrs: Vec<crate::model::Xattr>,
        content: Content,
    ) -> Entry {
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
        };
        Entry {
            path,
            metadata,
            content,
            link_to: None,
        }
    }
}

/// An entry as it was. Whether it is a link to another is for this level to find out.
fn kept(previous: &Previous) -> (Entry, Change) {
    let mut entry = previous.entry.clone();
    let link_to = entry.link_to.take();
    (entry, Change::Unchanged(previous.node, link_to))
}

/// Logs when a file was written to between its first and its last byte: what is kept may be of two
/// minds.
pub(super) fn report_if_changed(path: &TreePath, file: &FileHandle, before: &Stat) {
    if let Ok(after) = file.stat()
        && (after.size, after.mtime, after.ctime) != (before.size, before.mtime, before.ctime)
    {
        tracing::warn!(%path, size_before = before.size, size_after = after.size, "changed while it was read");
    }
}

impl Unread {
    /// Whether the thing was simply not there any more.
    fn is_gone(&self) -> bool {
        match self {
            Self::Open(error) | Self::Stat(error) => error.kind() == io::ErrorKind::NotFound,
            Self::List(_)
            | Self::Xattrs(_)
            | Self::Small(_)
            | Self::Content(_)
            | Self::Replaced
            | Self::Shrank(_) => false,
        }
    }
}

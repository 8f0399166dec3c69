//! Turns entries into members of the tar stream and entries of the index, one after the other.
//!
//! Start reading at [`Archive::write`]. `members` writes members and the content of whole files,
//! `by_blocks` large files of which only some blocks are new, and `data_runs` finds the holes in a
//! file. `entry_index` puts entries into the index, and `hard_links` knows the files of several
//! names.

mod by_blocks;
mod data_runs;
mod entry_index;
mod file_hash;
mod hard_links;
mod members;

pub use entry_index::TakenUp;
pub(super) use entry_index::{EntryIndex, IndexedEntries, Tally};

use super::blocks::{BlockOptions, EarlierStreams};
use super::checkpoint::{CheckpointTimer, Mark, begun_file};
use super::compare::{Change, SameContent};
use super::error::BackupError;
use super::read_step::{ReadEntry, ReadStep};
use super::source_calls::SourceCaller;
use super::stop::StopSignal;
use super::stream::TarStream;
use super::unread::Unread;
use crate::format::content_hash::ContentHashing;
use crate::format::tar::{BLOCK, DumpDir, END_OF_ARCHIVE, MemberEncoder};
use crate::model::{Content, Entry, LevelSerial, Name, Progress, TreePath, Trouble};
use file_hash::FileHash;
use hard_links::HardLinks;
use std::collections::HashSet;
use std::sync::Arc;

/// The writer of one level.
pub(super) struct Archive<'run> {
    stream: TarStream,
    entries: EntryIndex<'run>,
    members: MemberEncoder,
    level: ArchivedLevel,
    blocks: BlockMembers<'run>,
    /// The directory that the walk is in.
    current: Option<CurrentDirectory>,
    /// Directories of the index that the walk has yet to enter: the siblings along the path from
    /// the root to the current one.
    awaited: HashSet<TreePath>,
    /// Whether the current directory is in the index.
    is_inside: bool,
    links: HardLinks,
    checkpoints: CheckpointTimer<'run>,
    /// The large file that is being written, with all extents that it is to have.
    in_hand: Option<Entry>,
    /// The hash of the file whose content is being written.
    hash: Option<FileHash>,
    progress: &'run dyn Progress,
    stop: StopSignal<'run>,
    /// Reads large files.
    source: Arc<SourceCaller>,
}

/// What an archive has to do with outside of stream and index.
pub(super) struct Outside<'run> {
    pub(super) progress: &'run dyn Progress,
    pub(super) stop: StopSignal<'run>,
    /// Reads large files.
    pub(super) source: SourceCaller,
}

/// The level that an archive is written for.
pub(super) struct ArchivedLevel {
    pub(super) serial: LevelSerial,
    pub(super) same_content: SameContent,
    pub(super) hashing: ContentHashing,
}

/// How large files are stored by blocks.
pub(super) struct BlockMembers<'run> {
    options: BlockOptions,
    /// The streams that earlier versions lie in.
    streams: &'run EarlierStreams,
    /// Number of members so far that hold blocks; it is part of their names.
    count: u64,
}

impl<'run> BlockMembers<'run> {
    /// Starts without any member.
    pub(super) fn new(options: BlockOptions, streams: &'run EarlierStreams) -> Self {
        Self {
            options,
            streams,
            count: 0,
        }
    }
}

/// The directory that the walk is in. An unchanged one has a member only if an entry in it has one
/// or is gone.
struct CurrentDirectory {
    entry: Entry,
    /// All names in it, until its member is written.
    all_names: Option<DumpDir>,
    is_written: bool,
    /// Names that kept their content and have new metadata; its member names them.
    touched: Vec<Name>,
}

/// A level whose last member is written.
pub(super) struct Archived {
    /// Length of the tar stream in bytes, before compression.
    pub(super) stream_bytes: u64,
    pub(super) entries: IndexedEntries,
}

impl<'run> Archive<'run> {
    /// Starts with an empty stream and an empty index. `stop` is asked inside long files too.
    pub(super) fn new(
        stream: TarStream,
        entries: EntryIndex<'run>,
        level: ArchivedLevel,
        blocks: BlockMembers<'run>,
        checkpoints: CheckpointTimer<'run>,
        outside: Outside<'run>,
    ) -> Self {
        let Outside {
            progress,
            stop,
            source,
        } = outside;
        Self {
            stream,
            entries,
            members: MemberEncoder::new(),
            level,
            blocks,
            current: None,
            awaited: HashSet::new(),
            is_inside: false,
            links: HardLinks::default(),
            checkpoints,
            in_hand: None,
            hash: None,
            progress,
            stop,
            source: Arc::new(source),
        }
    }

    /// Writes the entries of one step.
    pub(super) fn write(&mut self, step: ReadStep) -> Result<(), BackupError> {
        self.entries.count_skipped(step.skipped);
        if step.is_first {
            self.current = None;
            self.is_inside = step.path.is_root() || self.awaited.remove(&step.path);
        }
        if !self.is_inside {
            // When its parent was read it was missing, or no directory, or did not answer, which
            // was reported. Its entries would have no parent in the index.
            let has_answered = self.source.calls().check(&step.path, None).is_ok();
            if step.is_first && step.directory.is_some() && has_answered {
                self.progress
                    .trouble(Trouble::new(step.path, Unread::Replaced));
            }
            return Ok(());
        }
        if let Some(directory) = step.directory {
            self.enter(directory, step.all_names, &step.entries)?;
        } else if let Some(current) = &mut self.current {
            current.touched = touched_names(&step.entries);
        }
        let current = self.current.as_ref();
        if step.has_lost || current.is_some_and(|current| !current.touched.is_empty()) {
            self.write_directory()?;
        }
        for entry in step.entries {
            self.entry(entry, &step.bytes)?;
            self.checkpoint_if_due()?;
        }
        Ok(())
    }

    /// Begins a directory. `first` are the entries of its first step.
    fn enter(
        &mut self,
        directory: ReadEntry,
        mut all_names: Option<DumpDir>,
        first: &[ReadEntry],
    ) -> Result<(), BackupError> {
        let ReadEntry { entry, change, .. } = directory;
        if entry.path.is_root() {
            self.entries.push(&entry, &change)?;
        }
        if let Some(all_names) = &mut all_names {
            let kept = first
                .iter()
                .filter(|found| found.is_kept() && !self.needs_link(found));
            all_names.are_earlier(kept.map(|kept| kept.entry.path.file_name()));
        }
        self.current = Some(CurrentDirectory {
            entry,
            all_names,
            is_written: false,
            touched: touched_names(first),
        });
        if matches!(change, Change::Unchanged { .. }) {
            Ok(())
        } else {
            self.write_directory()
        }
    }

    /// Writes an entry, unless its content is kept, and puts it into the index.
    fn entry(&mut self, found: ReadEntry, bytes: &[u8]) -> Result<(), BackupError> {
        let is_kept = found.is_kept();
        let needs_link = !is_kept || self.needs_link(&found);
        let ReadEntry {
            mut entry,
            content,
            change,
            inode,
        } = found;
        if entry.content == Content::Directory {
            // Its member follows when the walk enters it.
            if self.entries.push(&entry, &change)?.is_some() {
                self.awaited.insert(entry.path);
            }
            return Ok(());
        }
        if let Some(first) = self.links.join(&mut entry, inode) {
            if needs_link {
                self.write_directory()?;
                self.header(&entry, Some(&first), &[])?;
                self.member_ended()?;
            }
            self.entries.push(&entry, &change)?;
            self.progress.advance(1, 0);
            return Ok(());
        }
        let mut read_bytes = 0;
        if !is_kept {
            self.write_directory()?;
            read_bytes = self.member(&mut entry, content, bytes)?;
            self.member_ended()?;
        }
        self.entries.count_logical_bytes(entry.content.size());
        if let Some(node) = self.entries.push(&entry, &change)? {
            self.links.remember(node, entry, inode, !is_kept);
        }
        self.progress.advance(1, read_bytes);
        Ok(())
    }

    /// Returns whether an entry that is as it was needs a member nevertheless. Where the streams alone
    /// make the tree, it must be linked to the name that its file was stored again under.
    fn needs_link(&self, found: &ReadEntry) -> bool {
        self.level.same_content == SameContent::Store
            && self.links.has_stored(&found.entry, found.inode)
    }

    /// Writes the member of the current directory, unless it is written and nothing is new in it.
    fn write_directory(&mut self) -> Result<(), BackupError> {
        let Some(current) = self
            .current
            .as_mut()
            .filter(|current| !current.is_written || !current.touched.is_empty())
        else {
            return Ok(());
        };
        current.is_written = true;
        let (members, all_names) = (&mut self.members, current.all_names.take());
        let touched = std::mem::take(&mut current.touched);
        let written = self
            .stream
            .append_with(|buffer| members.directory(&current.entry, all_names, &touched, buffer))?;
        written.map_err(BackupError::Member)?;
        self.member_ended()
    }

    /// Ends the frame with the member if it is long enough. If a checkpoint is due, that ends the
    /// frame once the member is in the index.
    fn member_ended(&mut self) -> Result<(), BackupError> {
        if self.checkpoints.is_due(self.stream.position()) {
            Ok(())
        } else {
            self.stream.member_ended()
        }
    }

    fn checkpoint_if_due(&mut self) -> Result<(), BackupError> {
        if self.checkpoints.is_due(self.stream.position()) && !self.stream.is_at_cut() {
            self.checkpoint()
        } else {
            Ok(())
        }
    }

    /// Takes a checkpoint when the run must end before it is done, inside a member too.
    pub(super) fn leave_checkpoint(&mut self) -> Result<(), BackupError> {
        if !self.checkpoints.is_worth_it(self.stream.position()) {
            return Ok(());
        }
        if self.stream.is_at_cut() {
            // The mark needs a frame behind all others, and a frame has at least one byte. Nothing
            // is written after this.
            self.stream.append_zeros(BLOCK as u64)?;
        }
        self.checkpoint()
    }

    fn checkpoint(&mut self) -> Result<(), BackupError> {
        let position = self.stream.position();
        let begun = self
            .in_hand
            .as_ref()
            .and_then(|entry| begun_file(entry, self.level.serial, position));
        let index = self.entries.so_far()?;
        self.checkpoints.taken(position);
        self.stream.cut_with(Mark { index, begun })
    }

    /// Ends stream and index.
    pub(super) fn finish(mut self) -> Result<Archived, BackupError> {
        self.stream.append(&END_OF_ARCHIVE)?;
        Ok(Archived {
            stream_bytes: self.stream.finish()?,
            entries: self.entries.finish()?,
        })
    }
}

/// Returns the names of the entries that kept their content and have new metadata.
fn touched_names(entries: &[ReadEntry]) -> Vec<Name> {
    let is_touched = |found: &&ReadEntry| {
        found.is_kept()
            && matches!(found.change, Change::New | Change::Changed)
            && found.entry.content != Content::Directory
    };
    entries
        .iter()
        .filter(is_touched)
        .filter_map(|found| Name::new(found.entry.path.file_name()))
        .collect()
}

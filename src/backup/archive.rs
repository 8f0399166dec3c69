//! Turns what was found into members of the stream and entries of the index, one after the other.

use super::BackupError;
use super::blocks::Blocks;
use super::checkpoint::{Due, Mark, begun};
use super::compare::{Change, UNSURE};
use super::index_writer::{IndexWriter, Indexed};
use super::live::Live;
use super::read::{Body, Found, FoundEntry, Unread, report_if_changed};
use super::stream::Stream;
use crate::format::manifest::Counts;
use crate::format::signature::SignatureWriter;
use crate::format::tar::{DumpDir, END_OF_ARCHIVE, MemberEncoder};
use crate::model::{
    Content, DataRun, Entry, Extent, FileOffset, Kind, LevelSerial, Name, NodeId, Progress, Ranges,
    SignaturePlace, Time, TreePath, Trouble,
};
use crate::platform::{FileHandle, Stat};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;

/// Most pieces a file's data may be in; what lies beyond is kept as data, holes as zeros. An entry
/// of the index with this many extents stays below the limit of a block.
const MAX_RUNS: usize = 1 << 20;

/// The writer of one level.
pub(super) struct Archive<'run> {
    pub(super) stream: Stream,
    tree: IndexWriter<'run>,
    members: MemberEncoder,
    pub(super) serial: LevelSerial,
    /// Where signatures of earlier versions are, and how many files this level has stored blocks
    /// of.
    pub(super) blocks: Blocks<'run>,
    /// The directory that the walk is in.
    current: Option<Current>,
    /// Directories in the index that the walk has yet to descend into: those beside the path from
    /// the root to where it is.
    awaited: HashSet<TreePath>,
    /// Whether what comes lies in a directory that the index has.
    is_inside: bool,
    /// Files of several names whose other names are still to come.
    linked: HashMap<(u64, u64), Linked>,
    /// What the entries need of earlier levels.
    live: Live,
    due: Due<'run>,
    /// The large file that is being written whole, with all the extents that it is to have.
    pub(super) in_hand: Option<Entry>,
    /// The streams of cut-off runs.
    unfinished: BTreeSet<LevelSerial>,
    pub(super) progress: &'run dyn Progress,
    pub(super) halt: &'run (dyn Fn() -> Result<(), BackupError> + 'run),
    tally: Tally,
}

/// A directory that the walk is in. One that is as it was has a member only if something in it has,
/// or is gone.
struct Current {
    entry: Entry,
    /// All names in it, until its member is written.
    all: Option<DumpDir>,
    is_written: bool,
    /// What has other metadata and kept its content, to be told of in a member of the directory.
    kept: Vec<Name>,
}

/// A file whose content goes into the stream.
pub(super) struct OpenFile<'file> {
    pub(super) file: &'file FileHandle,
    pub(super) stat: &'file Stat,
    /// It has lost bytes since `stat`, and that was told.
    pub(super) shrank: bool,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) logical_bytes: u64,
    pub(super) has_xattrs: bool,
    pub(super) taken: Taken,
}

/// What was taken from runs that were cut off, and did not have to be stored again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Files, each name of a hard-linked one counted, that have content in their streams.
    pub files: u64,
    /// Bytes of that, before compression; of a hard-linked file once.
    pub bytes: u64,
}

/// A level whose last member is written.
pub(super) struct Archived {
    /// The length of the tar stream, before compression.
    pub(super) stream_bytes: u64,
    pub(super) index: Indexed,
    /// The bytes of earlier levels that this point in time needs.
    pub(super) live: BTreeMap<LevelSerial, Ranges>,
    pub(super) tally: Tally,
}

struct Linked {
    node: NodeId,
    path: TreePath,
    kind: Kind,
    size: u64,
    mtime: Time,
    extents: Vec<Extent>,
    signatures: Vec<SignaturePlace>,
    names_left: u32,
}

/// The names of what has other metadata than before, and its content where it was.
fn kept_for_other_metadata(entries: &[FoundEntry]) -> Vec<Name> {
    let is_one = |found: &&FoundEntry| {
        matches!(
            (&found.body, &found.change),
            (Body::Kept, Change::New | Change::Changed)
        )
    };
    let names = entries
        .iter()
        .filter(is_one)
        .filter(|found| found.entry.content != Content::Directory);
    names
        .filter_map(|found| Name::new(found.entry.path.file_name()))
        .collect()
}

impl Linked {
    /// Whether an entry of the same inode is another name of the same content. It is not when the
    /// file was written to since, or when the first was deleted and its inode given to a new file.
    fn is_still(&self, entry: &Entry) -> bool {
        (self.kind, self.size, self.mtime)
            == (
                entry.content.kind(),
                entry.content.size(),
                entry.metadata.mtime,
            )
    }
}

impl<'run> Archive<'run> {
    /// `due` says when to take note of how far it has come, and `unfinished` which streams are
    /// those of cut-off runs. `halt` says whether the run is over before its end, and why; it is
    /// asked inside long files too.
    pub(super) fn new(
        stream: Stream,
        tree: IndexWriter<'run>,
        serial: LevelSerial,
        blocks: Blocks<'run>,
        (live, due, unfinished): (Live, Due<'run>, BTreeSet<LevelSerial>),
        progress: &'run dyn Progress,
        halt: &'run (dyn Fn() -> Result<(), BackupError> + 'run),
    ) -> Self {
        Self {
            stream,
            tree,
            members: MemberEncoder::new(),
            serial,
            blocks,
            current: None,
            awaited: HashSet::new(),
            is_inside: false,
            linked: HashMap::new(),
            live,
            due,
            in_hand: None,
            unfinished,
            progress,
            halt,
            tally: Tally::default(),
        }
    }

    /// Writes what one step found.
    pub(super) fn write(&mut self, found: Found) -> Result<(), BackupError> {
        self.tally.counts.skipped += found.skipped;
        if found.is_first {
            self.current = None;
            self.is_inside = found.path.is_root() || self.awaited.remove(&found.path);
        }
        if !self.is_inside {
            // When it was its turn as an entry it was not there, or no directory; what is in it
            // would hang in the air.
            if found.is_first && found.directory.is_some() {
                self.progress
                    .trouble(Trouble::new(found.path, Unread::Replaced));
            }
            return Ok(());
        }
        if let Some((directory, change)) = found.directory {
            if directory.path.is_root() {
                self.index(&directory, &change)?;
            }
            let mut all = found.all;
            if let Some(all) = &mut all {
                let kept = found
                    .entries
                    .iter()
                    .filter(|found| matches!(found.body, Body::Kept));
                all.are_earlier(kept.map(|found| found.entry.path.file_name()));
            }
            self.current = Some(Current {
                entry: directory,
                all,
                is_written: false,
                kept: kept_for_other_metadata(&found.entries),
            });
            if !matches!(change, Change::Unchanged(..)) {
                self.write_directory()?;
            }
        } else if let Some(current) = &mut self.current {
            current.kept = kept_for_other_metadata(&found.entries);
        }
        if found.has_lost
            || self
                .current
                .as_ref()
                .is_some_and(|current| !current.kept.is_empty())
        {
            self.write_directory()?;
        }
        for entry in found.entries {
            self.entry(entry, &found.bytes)?;
            self.checkpoint_if_due()?;
        }
        Ok(())
    }

    fn checkpoint_if_due(&mut self) -> Result<(), BackupError> {
        if self.due.is_due(self.stream.position()) && !self.stream.is_at_cut() {
            self.checkpoint()
        } else {
            Ok(())
        }
    }

    /// Takes note of what was written so far when the run has to end before it is done, in the
    /// midst of a member too.
    pub(super) fn leave_checkpoint(&mut self) -> Result<(), BackupError> {
        if !self.due.is_worth_it(self.stream.position()) {
            return Ok(());
        }
        if self.stream.is_at_cut() {
            // A frame has a byte at least, and it has to come after all others. No archive goes on
            // after this.
            self.stream.append_zeros(crate::format::tar::BLOCK as u64)?;
        }
        self.checkpoint()
    }

    fn checkpoint(&mut self) -> Result<(), BackupError> {
        let position = self.stream.position();
        let begun = self
            .in_hand
            .as_ref()
            .and_then(|entry| begun(entry, self.serial, position));
        let (index, index_stored) = self.tree.so_far()?;
        self.due.taken(position);
        self.stream.cut_with(Mark {
            index,
            index_stored,
            begun,
        })
    }

    /// Ends the frame with the member, if it is long enough. One that a checkpoint is due in is
    /// ended by that, when the member is in the index.
    fn member_ended(&mut self) -> Result<(), BackupError> {
        if self.due.is_due(self.stream.position()) {
            Ok(())
        } else {
            self.stream.member_ended()
        }
    }

    /// Writes the member of the directory that the walk is in, unless it is there and there is
    /// nothing new to tell.
    fn write_directory(&mut self) -> Result<(), BackupError> {
        let Some(current) = self
            .current
            .as_mut()
            .filter(|current| !current.is_written || !current.kept.is_empty())
        else {
            return Ok(());
        };
        current.is_written = true;
        let (members, names, kept) = (
            &mut self.members,
            current.all.take(),
            std::mem::take(&mut current.kept),
        );
        let written = self
            .stream
            .append_with(|buffer| members.directory(&current.entry, names, &kept, buffer))?;
        written.map_err(BackupError::Member)?;
        self.member_ended()
    }

    /// Ends stream and index.
    pub(super) fn finish(mut self) -> Result<Archived, BackupError> {
        self.stream.append(&END_OF_ARCHIVE)?;
        let stream_bytes = self.stream.finish()?;
        Ok(Archived {
            stream_bytes,
            index: self.tree.finish()?,
            live: self.live.finish(),
            tally: self.tally,
        })
    }

    fn entry(&mut self, found: FoundEntry, bytes: &[u8]) -> Result<(), BackupError> {
        let FoundEntry {
            mut entry,
            body,
            change,
        } = found;
        if entry.content == Content::Directory {
            // Its member follows when the walk descends into it.
            if self.index(&entry, &change)?.is_some() {
                self.awaited.insert(entry.path);
            }
            return Ok(());
        }
        let key = (entry.metadata.device, entry.metadata.inode);
        if let Some(linked) = self
            .linked
            .get_mut(&key)
            .filter(|linked| linked.is_still(&entry))
        {
            entry.link_to = Some(linked.node);
            if let Content::File { extents, .. } = &mut entry.content {
                extents.clone_from(&linked.extents);
            }
            entry.metadata.signatures.clone_from(&linked.signatures);
            let first = linked.path.clone();
            linked.names_left = linked.names_left.saturating_sub(1);
            if linked.names_left == 0 {
                self.linked.remove(&key);
            }
            if !matches!(body, Body::Kept) {
                self.write_directory()?;
                self.header(&entry, Some(&first), &[])?;
                self.member_ended()?;
            }
            self.index(&entry, &change)?;
            self.progress.advance(1, 0);
            return Ok(());
        }
        let told_bytes = match body {
            Body::Kept => 0,
            body => {
                self.write_directory()?;
                let told_bytes = self.member(&mut entry, body, bytes)?;
                self.member_ended()?;
                told_bytes
            }
        };
        self.tally.logical_bytes += entry.content.size();
        let node = self.index(&entry, &change)?;
        if let (Some(node), true) = (node, entry.metadata.links > 1) {
            let (kind, size, mtime) = (
                entry.content.kind(),
                entry.content.size(),
                entry.metadata.mtime,
            );
            let extents = match entry.content {
                Content::File { extents, .. } => extents,
                _ => Vec::new(),
            };
            let names_left = entry.metadata.links - 1;
            let signatures = entry.metadata.signatures;
            self.linked.insert(
                key,
                Linked {
                    node,
                    path: entry.path,
                    kind,
                    size,
                    mtime,
                    extents,
                    signatures,
                    names_left,
                },
            );
        }
        self.progress.advance(1, told_bytes);
        Ok(())
    }

    /// Writes a member that is not a hard link, and sets the entry's extents. Returns how many
    /// bytes of data `progress` was not told of yet.
    fn member(&mut self, entry: &mut Entry, body: Body, bytes: &[u8]) -> Result<u64, BackupError> {
        match body {
            Body::None | Body::Kept => {
                self.header(entry, None, &[])?;
                Ok(0)
            }
            Body::Read(range) => {
                let data = &bytes[range];
                let run = DataRun {
                    at: FileOffset(0),
                    length: data.len() as u64,
                };
                let runs = self.header(entry, None, &[run])?;
                self.set_extents(entry, &runs);
                self.stream.append(data)?;
                self.stream
                    .append_zeros(crate::format::tar::padding(run.length))?;
                Ok(run.length)
            }
            Body::Open(file, stat) => {
                let (planned, shrank) = self.data_of(&entry.path, &file, &stat);
                self.whole(
                    entry,
                    &OpenFile {
                        file: &file,
                        stat: &stat,
                        shrank,
                    },
                    &planned,
                    None,
                )?;
                report_if_changed(&entry.path, &file, &stat);
                Ok(0)
            }
            Body::Rest(file, stat, begun) => {
                self.rest(entry, &file, &stat, &begun)?;
                report_if_changed(&entry.path, &file, &stat);
                Ok(0)
            }
            Body::Blocks(file, stat, earlier) => {
                self.by_blocks(entry, &file, &stat, earlier.as_deref())?;
                report_if_changed(&entry.path, &file, &stat);
                Ok(0)
            }
        }
    }

    /// Where a file's data is, and whether it has shrunk since it was opened.
    pub(super) fn data_of(
        &self,
        path: &TreePath,
        file: &FileHandle,
        stat: &Stat,
    ) -> (Vec<DataRun>, bool) {
        let mut runs = self.runs_of(path, file, stat);
        let shrank = self.cut_off(path, file, stat, &mut runs);
        (runs, shrank)
    }

    /// Writes the member of a whole file with data in `planned`.
    pub(super) fn whole(
        &mut self,
        entry: &mut Entry,
        open: &OpenFile<'_>,
        planned: &[DataRun],
        mut signature: Option<&mut SignatureWriter>,
    ) -> Result<(), BackupError> {
        let runs = self.header(entry, None, planned)?;
        self.set_extents(entry, &runs);
        self.in_hand = Some(entry.clone()).filter(|_| !open.shrank);
        let mut data_bytes = 0;
        for run in &runs {
            self.copy(entry, open, *run, signature.as_deref_mut())?;
            data_bytes += run.length;
        }
        self.in_hand = None;
        self.stream
            .append_zeros(crate::format::tar::padding(data_bytes))
    }

    /// Writes a header; returns the runs of data that must follow it.
    pub(super) fn header(
        &mut self,
        entry: &Entry,
        link_to: Option<&TreePath>,
        runs: &[DataRun],
    ) -> Result<Vec<DataRun>, BackupError> {
        let members = &mut self.members;
        let runs = self.stream.append_with(|buffer| {
            members
                .header(entry, link_to, runs, buffer)
                .map(|plan| plan.runs().to_vec())
        })?;
        runs.map_err(BackupError::Member)
    }

    fn set_extents(&self, entry: &mut Entry, runs: &[DataRun]) {
        if let Content::File { extents, .. } = &mut entry.content {
            let mut stream = self.stream.position();
            for run in runs {
                extents.push(Extent {
                    at: run.at,
                    level: self.serial,
                    stream,
                    length: run.length,
                });
                stream.0 += run.length;
            }
        }
    }

    fn runs_of(&self, path: &TreePath, file: &FileHandle, stat: &Stat) -> Vec<DataRun> {
        let mut runs: Vec<DataRun> = Vec::new();
        for run in file.data_runs(stat) {
            match run {
                Ok(run) => runs.push(run),
                Err(error) => {
                    // Reading all of it loses no byte, only the knowledge of where holes were.
                    tracing::warn!(%path, %error, "could not find its holes; it is read as a whole");
                    return vec![DataRun {
                        at: FileOffset(0),
                        length: stat.size,
                    }];
                }
            }
            if runs.len() == MAX_RUNS {
                if let Some(last) = runs.last_mut() {
                    tracing::warn!(%path, "has more holes than can be kept; the rest of it is kept as data");
                    last.length = stat.size - last.at.0;
                }
                break;
            }
        }
        runs
    }

    /// What a file has lost since it was opened looks like a hole to whoever asks for its data: it
    /// is told of, and kept as one. Returns whether it was.
    fn cut_off(
        &self,
        path: &TreePath,
        file: &FileHandle,
        stat: &Stat,
        runs: &mut Vec<DataRun>,
    ) -> bool {
        let size = file.stat().map_or(stat.size, |now| now.size);
        if size >= stat.size {
            return false;
        }
        self.progress
            .trouble(Trouble::new(path.clone(), Unread::Shrank(stat.size - size)));
        runs.retain(|run| run.at.0 < size);
        if let Some(last) = runs.last_mut() {
            last.length = last.length.min(size - last.at.0);
        }
        true
    }

    /// Copies a run from the file into the stream. What the file does not give (any more) becomes
    /// zeros: the header before it has promised so many bytes. That is told, and noted in the
    /// entry.
    pub(super) fn copy(
        &mut self,
        entry: &mut Entry,
        open: &OpenFile<'_>,
        run: DataRun,
        mut signature: Option<&mut SignatureWriter>,
    ) -> Result<(), BackupError> {
        if let Some(signature) = signature.as_deref_mut() {
            signature.begin_run(self.stream.position());
        }
        let (mut at, mut left) = (run.at.0, run.length);
        if open.shrank {
            entry.metadata.inode = UNSURE;
        }
        while left > 0 {
            (self.halt)()?;
            let mut wanted = 0;
            let read: io::Result<usize> =
                self.stream.append_read(left, open.stat.size, |space| {
                    wanted = space.len();
                    let read = open.file.read_at(space, at)?;
                    if let Some(signature) = signature.as_deref_mut() {
                        signature.update(space.get(..read).unwrap_or_default());
                    }
                    Ok(read)
                })?;
            let trouble = match read {
                Ok(read) => {
                    at += read as u64;
                    left -= read as u64;
                    self.progress.advance(0, read as u64);
                    if read == wanted {
                        if self.in_hand.is_some() {
                            self.checkpoint_if_due()?;
                        }
                        continue;
                    }
                    Unread::Shrank(left)
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Unread::Content(error),
            };
            if let Some(signature) = signature.as_deref_mut() {
                signature.update_zeros(left);
            }
            self.stream.append_zeros(left)?;
            self.in_hand = None;
            entry.metadata.inode = UNSURE;
            if !open.shrank {
                self.progress
                    .trouble(Trouble::new(entry.path.clone(), trouble));
            }
            break;
        }
        Ok(())
    }

    fn index(&mut self, entry: &Entry, change: &Change) -> Result<Option<NodeId>, BackupError> {
        let counts = &mut self.tally.counts;
        match self.tree.push(entry, change)? {
            Ok(node) => {
                counts.entries += 1;
                match change {
                    Change::New => counts.new += 1,
                    Change::Changed => counts.changed += 1,
                    Change::Unchanged(..) => counts.unchanged += 1,
                }
                self.live.add(entry);
                match &entry.content {
                    Content::File { extents, .. } => {
                        counts.files += 1;
                        let taken = extents
                            .iter()
                            .filter(|extent| self.unfinished.contains(&extent.level))
                            .map(|extent| extent.length);
                        let taken: u64 = taken.sum();
                        self.tally.taken.files += u64::from(taken > 0);
                        self.tally.taken.bytes += if entry.link_to.is_none() { taken } else { 0 };
                    }
                    Content::Directory => counts.directories += 1,
                    _ => {}
                }
                self.tally.has_xattrs |= !entry.metadata.xattrs.is_empty();
                Ok(Some(node))
            }
            Err(unfit) => {
                self.progress
                    .trouble(Trouble::new(entry.path.clone(), unfit));
                Ok(None)
            }
        }
    }
}

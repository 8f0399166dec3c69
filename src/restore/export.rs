//! A view as one tar stream.
//!
//! The members are in the order of a backup (docs/format.md, "The tar stream"): a directory, its
//! entries in order of names without the directories among them, then each subdirectory with all
//! below it. GNU tar needs that order to give directories their times.

use super::rights::{SafeOwner, is_device, take_rights};
use super::{Attempt, EntryError, Trust};
use crate::format::content_hash::ContentCheck;
use crate::format::tar::{END_OF_ARCHIVE, MemberEncoder, TarError, padding};
use crate::fs::view::{FileContent, ROOT, ReadError, View};
use crate::model::{
    Advice, Cancel, Content, DataRun, Entry, FileOffset, Interrupted, Kind, NodeId, Owner,
    Progress, TreePath, Trouble, hints,
};
use crate::platform::ProcessIdentity;
use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write};

/// How many bytes are read and written at once.
const PIECE_BYTES: usize = 1 << 20;

/// A file of up to this many bytes is read as a whole before its header is written. If it cannot be
/// read, it is left out.
const WHOLE_BYTES: u64 = 16 << 20;

/// Why an export ended early. What was written by then is a cut-off archive.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The list of entries to export could not be read.
    #[error("could not read the entries of {0:?}")]
    Tree(TreePath, #[source] ReadError),
    /// A large file could not be read to its end, after its header had promised all of it.
    #[error("could not read {0} to its end; the archive is cut off there")]
    Cut(TreePath, #[source] ReadError),
    /// An entry that no archive can hold: a bug, or a forged index.
    #[error("the archive could not be written")]
    Member(#[source] TarError),
    /// The archive could not be written to its destination.
    #[error("the archive could not be written")]
    Write(#[source] io::Error),
    /// The user asked to stop.
    #[error("the export was interrupted, and the archive is cut off")]
    Interrupted(#[source] Interrupted),
}

impl Advice for ExportError {
    fn hint(&self) -> Option<&str> {
        match self {
            Self::Cut(..) => {
                Some("freezer restore leaves damaged files out and restores all others")
            }
            Self::Member(_) => Some(hints::BUG),
            Self::Interrupted(_) => Some("the archive is not complete: remove it"),
            Self::Tree(..) | Self::Write(_) => None,
        }
    }
}

/// How much an export wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Exported {
    /// Members of the archive.
    pub members: u64,
    /// Bytes of the archive.
    pub bytes: u64,
    /// Files that could not be read and are not in it. `Progress` got an error for each.
    pub left_out: u64,
    /// Entries whose owner no archive can name. They are in it without setuid or setgid, so that
    /// they do not act as whoever extracts them. `Progress` got an error for each.
    pub without_owner: u64,
    /// Entries that would have got rights from the backup, and did not because it is not trusted:
    /// devices, which are not in the archive, and members without those rights.
    pub withheld: u64,
}

/// Writes the whole tree of `view` to `out` as a tar archive with all metadata; with that which
/// gives no rights, where the backup is not trusted.
///
/// Leaves out a file that cannot be read, and reports it to `progress`. Fails where a file is
/// larger than 16 MiB and the damage is behind its first MiB: its header is written by then, and
/// nothing but the bytes of the file may follow.
///
/// # Errors
///
/// [`ExportError`].
pub fn export(
    view: &View,
    out: &mut dyn Write,
    trust: Trust,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Exported, ExportError> {
    progress.stage("exporting");
    progress.expect_total(view.totals().entries, view.totals().bytes);
    let root = view
        .entry(ROOT)
        .map_err(|error| ExportError::Tree(TreePath::root(), error))?;
    let mut export = Export {
        view,
        out,
        trust,
        identity: ProcessIdentity::of_process(),
        progress,
        cancel,
        members: MemberEncoder::new(),
        header: Vec::new(),
        piece: vec![0; PIECE_BYTES],
        exported: Exported::default(),
        first_names: HashMap::new(),
    };
    let mut waiting = vec![(ROOT, root)];
    while let Some((node, directory)) = waiting.pop() {
        let first = waiting.len();
        export.directory(node, &directory, &mut waiting)?;
        if let Some(subdirectories) = waiting.get_mut(first..) {
            subdirectories.reverse();
        }
    }
    // What could not be read after the wish to stop is no damage.
    if cancel.is_requested() {
        return Err(ExportError::Interrupted(Interrupted));
    }
    export.write(&END_OF_ARCHIVE)?;
    export.out.flush().map_err(ExportError::Write)?;
    Ok(export.exported)
}

struct Export<'run> {
    view: &'run View,
    out: &'run mut dyn Write,
    trust: Trust,
    identity: ProcessIdentity,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
    members: MemberEncoder,
    header: Vec<u8>,
    piece: Vec<u8>,
    exported: Exported,
    /// The names that other names of the same files are linked to, by the record that all names of a
    /// file have in common.
    first_names: HashMap<NodeId, FirstMember>,
}

/// The first name of a file with several names.
struct FirstMember {
    path: TreePath,
    /// How many more names can follow.
    more: u32,
}

impl Export<'_> {
    /// Writes a directory and its entries. Appends the directories among them to `waiting` instead.
    fn directory(
        &mut self,
        node: NodeId,
        directory: &Entry,
        waiting: &mut Vec<(NodeId, Entry)>,
    ) -> Result<(), ExportError> {
        self.member(directory, None, &[])?;
        for child in self.view.children(node) {
            if self.cancel.is_requested() {
                return Err(ExportError::Interrupted(Interrupted));
            }
            let (child, entry) =
                child.map_err(|error| ExportError::Tree(directory.path.clone(), error))?;
            if self.trust == Trust::Untrusted && is_device(&entry.content) {
                self.exported.withheld += 1;
                continue;
            }
            match entry.content.kind() {
                Kind::Directory => waiting.push((child, entry)),
                _ => self.entry(child, &entry)?,
            }
        }
        Ok(())
    }

    /// Writes the member of an entry that is no directory: a hard link if its file was written under
    /// another name.
    fn entry(&mut self, node: NodeId, entry: &Entry) -> Result<(), ExportError> {
        if let Err(error) = entry.metadata.extensions.understood() {
            self.leave_out(entry, error);
            return Ok(());
        }
        let record = entry.link_to.unwrap_or(node);
        if let Some(first) = self.first_names.get_mut(&record) {
            first.more = first.more.saturating_sub(1);
            let (path, is_last) = (first.path.clone(), first.more == 0);
            if is_last {
                self.first_names.remove(&record);
            }
            return self.member(entry, Some(&path), &[]).map(drop);
        }
        let is_written = match entry.content.kind() {
            Kind::File => self.file(entry)?,
            _ => self.member(entry, None, &[]).map(|_| true)?,
        };
        if is_written && entry.metadata.links > 1 {
            let first = FirstMember {
                path: entry.path.clone(),
                more: entry.metadata.links - 1,
            };
            self.first_names.insert(record, first);
        }
        Ok(())
    }

    /// Writes the member of a file. Returns false for one that cannot be read, and is left out.
    fn file(&mut self, entry: &Entry) -> Result<bool, ExportError> {
        let content = match self.readable(entry) {
            Ok(content) => content,
            Err(error) => {
                self.leave_out(entry, error);
                return Ok(false);
            }
        };
        let runs = self.member(entry, None, &runs_of(entry))?;
        let mut check = ContentCheck::of(entry, self.view.hashing());
        let mut data_bytes = 0;
        for run in runs {
            self.copy(entry, &content, run, check.as_mut())?;
            data_bytes += run.length;
        }
        check
            .map_or(Ok(()), ContentCheck::finish)
            .map_err(|error| ExportError::Cut(entry.path.clone(), error.into()))?;
        self.write_zeros(padding(data_bytes))?;
        Ok(true)
    }

    fn leave_out(&mut self, entry: &Entry, error: impl std::error::Error + Send + Sync + 'static) {
        self.exported.left_out += 1;
        self.progress
            .trouble(Trouble::new(entry.path.clone(), error));
    }

    /// Returns the content of a file after reading it: all of it, or the beginning of a large file.
    fn readable(&mut self, entry: &Entry) -> Result<FileContent, ReadError> {
        let content = self.view.content(entry)?;
        let mut check = ContentCheck::of(entry, self.view.hashing());
        let mut at = content.next_data(0);
        while let Some(from) = at.filter(|from| *from < content.size().min(WHOLE_BYTES)) {
            let read = content.read(from, &mut self.piece)?;
            if let Some(check) = &mut check {
                check.see(from, self.piece.get(..read).unwrap_or_default());
            }
            at = content.next_data(from + read as u64).filter(|_| read > 0);
            if content.size() > WHOLE_BYTES {
                return Ok(content);
            }
        }
        check.map_or(Ok(()), ContentCheck::finish)?;
        Ok(content)
    }

    fn copy(
        &mut self,
        entry: &Entry,
        content: &FileContent,
        run: DataRun,
        mut check: Option<&mut ContentCheck<'_>>,
    ) -> Result<(), ExportError> {
        let (mut at, mut left) = (run.at.0, run.length);
        while left > 0 {
            if self.cancel.is_requested() {
                return Err(ExportError::Interrupted(Interrupted));
            }
            let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(PIECE_BYTES);
            let Some(piece) = self.piece.get_mut(..wanted) else {
                break;
            };
            let read = content
                .read(at, piece)
                .map_err(|error| ExportError::Cut(entry.path.clone(), error))?;
            if read == 0 {
                break;
            }
            let data = piece.get(..read).unwrap_or_default();
            if let Some(check) = &mut check {
                check.see(at, data);
            }
            self.out.write_all(data).map_err(ExportError::Write)?;
            at += read as u64;
            left -= read as u64;
            self.exported.bytes += read as u64;
            self.progress.advance(0, read as u64);
        }
        // Runs lie within the file, so this writes nothing unless the index is wrong.
        self.write_zeros(left)
    }

    fn member(
        &mut self,
        entry: &Entry,
        link_to: Option<&TreePath>,
        runs: &[DataRun],
    ) -> Result<Vec<DataRun>, ExportError> {
        self.header.clear();
        let entry = &self.safe(entry);
        let plan = self
            .members
            .header(entry, link_to, runs, &mut self.header)
            .map_err(ExportError::Member)?;
        let runs = plan.runs().to_vec();
        self.out
            .write_all(&self.header)
            .map_err(ExportError::Write)?;
        self.exported.bytes += self.header.len() as u64;
        self.exported.members += 1;
        self.progress.advance(1, 0);
        Ok(runs)
    }

    /// Returns an entry without the rights that its member must not give to whoever extracts it.
    fn safe<'entry>(&mut self, entry: &'entry Entry) -> Cow<'entry, Entry> {
        let mut entry = Cow::Borrowed(entry);
        if self.trust == Trust::Untrusted {
            let ours = Owner {
                uid: self.identity.uid,
                gid: self.identity.gid,
                ..Owner::default()
            };
            let metadata = &mut entry.to_mut().metadata;
            metadata.owner = ours;
            self.exported.withheld += u64::from(take_rights(metadata));
        }
        let Owner { uid, gid, .. } = entry.metadata.owner;
        let owner = SafeOwner::judge(&entry.metadata.owner, uid, gid);
        if owner.without != 0 {
            entry.to_mut().metadata.mode &= !owner.without;
            self.exported.without_owner += 1;
            for reason in owner.reasons {
                let error = EntryError::new(Attempt::SetOwner, io::Error::other(reason));
                self.progress
                    .trouble(Trouble::new(entry.path.clone(), error));
            }
        }
        entry
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ExportError> {
        self.out.write_all(bytes).map_err(ExportError::Write)?;
        self.exported.bytes += bytes.len() as u64;
        Ok(())
    }

    fn write_zeros(&mut self, count: u64) -> Result<(), ExportError> {
        let mut left = count;
        while left > 0 {
            let length = usize::try_from(left)
                .unwrap_or(usize::MAX)
                .min(END_OF_ARCHIVE.len());
            self.write(END_OF_ARCHIVE.get(..length).unwrap_or_default())?;
            left -= length as u64;
        }
        Ok(())
    }
}

/// Returns the runs of data in a file, joined where they touch.
fn runs_of(entry: &Entry) -> Vec<DataRun> {
    let Content::File { extents, .. } = &entry.content else {
        return Vec::new();
    };
    let mut runs: Vec<DataRun> = Vec::new();
    for extent in extents {
        match runs.last_mut() {
            Some(last) if last.end() == Some(extent.at.0) => last.length += extent.length,
            _ => runs.push(DataRun {
                at: FileOffset(extent.at.0),
                length: extent.length,
            }),
        }
    }
    runs
}

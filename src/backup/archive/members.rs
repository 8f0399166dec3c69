//! Writes members, and copies the content of files into them.

use super::Archive;
use super::data_runs::FileData;
use super::file_hash::FileHash;
use crate::backup::compare::UNSURE;
use crate::backup::error::BackupError;
use crate::backup::read_step::{ContentSource, SourceFile};
use crate::backup::unread::{Unread, stayed_the_same};
use crate::format::signature::SignatureWriter;
use crate::format::tar::padding;
use crate::model::{Content, DataRun, Entry, Extent, FileOffset, TreePath, Trouble};
use std::io;

/// A piece of a file that was copied into the stream.
struct CopiedPiece {
    /// Bytes that the file was asked for.
    wanted: usize,
    /// Bytes that it gave.
    read: usize,
}

impl Archive<'_> {
    /// Writes a member that is not a hard link, and sets the entry's extents. Returns how many
    /// bytes `progress` has not been told of.
    pub(super) fn member(
        &mut self,
        entry: &mut Entry,
        content: ContentSource,
        bytes: &[u8],
    ) -> Result<u64, BackupError> {
        let file = match content {
            ContentSource::Empty | ContentSource::Kept => {
                self.header(entry, None, &[])?;
                return Ok(0);
            }
            ContentSource::Read(range) => return self.small(entry, &bytes[range]),
            ContentSource::Whole(file) => {
                let data = FileData::of(&entry.path, &file, &self.source, self.progress);
                self.whole(entry, &data, None)?;
                file
            }
            ContentSource::Rest { file, begun } => {
                self.rest(entry, &file, begun)?;
                file
            }
            ContentSource::Blocks { file, earlier } => {
                self.by_blocks(entry, &file, earlier.as_deref())?;
                file
            }
        };
        let hash = self.hash.take();
        if self.close(&entry.path, file)
            && let Some(hash) = hash
        {
            hash.finish(entry);
        }
        Ok(0)
    }

    /// Closes a file whose content is stored. Returns whether it surely stayed the same meanwhile; the
    /// log says so if not.
    fn close(&self, path: &TreePath, file: SourceFile) -> bool {
        let (device, of_file) = (Some(file.stat.device), path.clone());
        if self.source.calls().check(path, device).is_err() {
            // Closing it may hang as well. It is closed when the process ends.
            std::mem::forget(file);
            return false;
        }
        let looked = self
            .source
            .ask(path, device, move || Ok(stayed_the_same(&of_file, &file)));
        looked.unwrap_or_else(|error| {
            tracing::debug!(%path, %error, "could not see whether it changed while it was read");
            false
        })
    }

    /// Writes the member of a file whose content is in memory.
    fn small(&mut self, entry: &mut Entry, content: &[u8]) -> Result<u64, BackupError> {
        let length = content.len() as u64;
        let at = FileOffset(0);
        let runs = self.header(entry, None, &[DataRun { at, length }])?;
        self.set_extents(entry, &runs);
        self.stream.append(content)?;
        self.stream.append_zeros(padding(length))?;
        Ok(length)
    }

    /// Writes the member of a whole file.
    pub(super) fn whole(
        &mut self,
        entry: &mut Entry,
        data: &FileData<'_>,
        mut signature: Option<&mut SignatureWriter>,
    ) -> Result<(), BackupError> {
        let runs = self.header(entry, None, &data.runs)?;
        self.set_extents(entry, &runs);
        self.hash = Some(FileHash::new(&self.level.hashing));
        self.in_hand = Some(entry.clone()).filter(|_| !data.shrank);
        let mut data_bytes = 0;
        for run in &runs {
            self.copy(entry, data, *run, signature.as_deref_mut())?;
            data_bytes += run.length;
        }
        self.in_hand = None;
        self.stream.append_zeros(padding(data_bytes))
    }

    /// Writes a header, and returns the runs of data that must follow it.
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

    /// Appends the extents that `runs` will have once they are copied.
    pub(super) fn set_extents(&self, entry: &mut Entry, runs: &[DataRun]) {
        if let Content::File { extents, .. } = &mut entry.content {
            let mut stream = self.stream.position();
            for run in runs {
                extents.push(Extent {
                    at: run.at,
                    level: self.level.serial,
                    stream,
                    length: run.length,
                });
                stream.0 += run.length;
            }
        }
    }

    /// Copies a run from the file into the stream. Bytes that the file does not give become zeros,
    /// because the header has promised them. That is reported, and noted in the entry.
    pub(super) fn copy(
        &mut self,
        entry: &mut Entry,
        data: &FileData<'_>,
        run: DataRun,
        mut signature: Option<&mut SignatureWriter>,
    ) -> Result<(), BackupError> {
        if let Some(signature) = signature.as_deref_mut() {
            signature.begin_run(self.stream.position());
        }
        if data.shrank {
            entry.metadata.inode = UNSURE;
        }
        let mut left = run.length;
        while left > 0 {
            self.stop.check()?;
            let at = run.at.0 + (run.length - left);
            let trouble = match self.copy_piece(data, at, left, signature.as_deref_mut())? {
                Ok(CopiedPiece { wanted, read }) => {
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
            if let Some(signature) = signature {
                signature.update_zeros(left);
            }
            self.stream.append_zeros(left)?;
            self.in_hand = None;
            entry.metadata.inode = UNSURE;
            if !data.shrank {
                self.progress
                    .trouble(Trouble::new(entry.path.clone(), trouble));
            }
            break;
        }
        Ok(())
    }

    /// Copies as many of the `left` bytes at `at` as fit the current frame.
    fn copy_piece(
        &mut self,
        data: &FileData<'_>,
        at: u64,
        left: u64,
        signature: Option<&mut SignatureWriter>,
    ) -> Result<io::Result<CopiedPiece>, BackupError> {
        let (mut wanted, hash) = (0, &mut self.hash);
        let file_bytes = data.file.stat.size;
        let read = self.stream.append_read(left, file_bytes, |space| {
            wanted = space.len();
            let read = data.read_at(space, at)?;
            if let Some(signature) = signature {
                signature.update(space.get(..read).unwrap_or_default());
            }
            if let Some(hash) = hash {
                hash.store(at, space.get(..read).unwrap_or_default());
            }
            Ok(read)
        })?;
        Ok(read.map(|read| CopiedPiece { wanted, read }))
    }
}

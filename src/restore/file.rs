//! Makes entries that are not directories.

use super::attributes::Start;
use super::directory::TargetDirectory;
use super::run::RestoreRun;
use super::{Attempt, EntryError, Existing, RestoreSource};
use crate::format::content_hash::{ContentCheck, HASH_PIECE_BYTES, OtherContent, PieceHasher};
use crate::model::{Content, Device, Entry, Extent, Kind, Metadata, Name};
use crate::platform::{Attributes, DirHandle, NewFile};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A large file is written in pieces of this many bytes, by several threads at once.
pub(super) const PIECE_BYTES: u64 = HASH_PIECE_BYTES;

/// A part of a large file that one thread writes.
pub(super) struct FilePiece {
    /// Its number in the file, from 0.
    pub(super) number: u64,
    pub(super) extents: Vec<Extent>,
}

/// The name that an entry was made with, and the one it will have.
#[derive(Debug)]
struct Placed {
    /// The name it will have.
    name: Name,
    /// The name it has as long as another entry has that one.
    temporary: Option<Name>,
}

impl Placed {
    fn current(&self) -> &Name {
        self.temporary.as_ref().unwrap_or(&self.name)
    }

    /// Gives the entry its final name.
    fn settle(&self, directory: &TargetDirectory) -> Result<(), EntryError> {
        let Some(temporary) = &self.temporary else {
            return Ok(());
        };
        directory
            .handle
            .rename_over(temporary, &self.name)
            .map_err(|error| {
                self.discard(directory);
                EntryError::new(Attempt::Replace, error)
            })
    }

    /// Removes the entry, which is not whole.
    fn discard(&self, directory: &TargetDirectory) {
        if let Err(error) = directory.handle.remove(self.current()) {
            tracing::warn!(
                directory = %directory.path,
                name = %self.current(),
                %error,
                "could not remove an incomplete entry"
            );
        }
    }
}

/// A large file that several threads write.
#[derive(Debug)]
pub(super) struct LargeFile<C> {
    directory: Arc<TargetDirectory>,
    entry: Entry,
    content: C,
    /// The hash of what is written, if the backup has one to compare it with.
    hash: Option<PieceHasher>,
    file: NewFile,
    placed: Placed,
    start: Start,
    /// How many things are left to do: handing out its pieces, and each piece.
    outstanding: AtomicUsize,
    failed: AtomicBool,
}

impl<C> LargeFile<C> {
    /// Counts one more piece to write. [`RestoreRun::write_piece`] ends each.
    pub(super) fn enter(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }
}

impl<C> LargeFile<C> {
    /// Compares the hash of what was written with that of the backup, once all is written.
    fn compare(&self) -> Result<(), OtherContent> {
        match (&self.hash, self.entry.metadata.extensions.content_hash) {
            (Some(hash), Some(expected)) => hash.compare(expected),
            _ => Ok(()),
        }
    }
}

fn other_content(error: OtherContent) -> EntryError {
    EntryError::new(Attempt::Read, error)
}

impl<S: RestoreSource> RestoreRun<'_, S> {
    /// Makes an entry with its content and metadata. It must not be a directory.
    pub(super) fn make(
        &self,
        directory: &TargetDirectory,
        entry: &Entry,
    ) -> Result<(), EntryError> {
        let handle = &directory.handle;
        let mode = self.first_mode(directory, &entry.metadata);
        let special = |kind, numbers| {
            self.place(entry, |name| {
                handle.create_special(name, kind, numbers, mode)
            })
        };
        let ((), placed) = match &entry.content {
            Content::File { size, extents } => {
                return self.make_file(directory, entry, *size, extents);
            }
            Content::Directory => {
                return Err(EntryError::new(
                    Attempt::Create,
                    io::Error::from(io::ErrorKind::IsADirectory),
                ));
            }
            Content::Symlink(target) => {
                self.place(entry, |name| handle.create_symlink(name, target))
            }
            Content::CharDevice(numbers) => special(Kind::CharDevice, *numbers),
            Content::BlockDevice(numbers) => special(Kind::BlockDevice, *numbers),
            Content::Fifo => special(Kind::Fifo, Device { major: 0, minor: 0 }),
        }?;
        self.complete(
            directory,
            &handle.child(placed.current()),
            &placed,
            entry,
            self.start(directory, mode),
        )?;
        self.advance(1, 0);
        Ok(())
    }

    fn make_file(
        &self,
        directory: &TargetDirectory,
        entry: &Entry,
        size: u64,
        extents: &[Extent],
    ) -> Result<(), EntryError> {
        let (file, placed, start) = self.create_file(directory, entry)?;
        let mut check = ContentCheck::of(entry, &self.source.hashing());
        let written = self
            .content(entry)
            .and_then(|content| {
                self.copy(&content, extents, &file, |at, data| {
                    if let Some(check) = &mut check {
                        check.see(at, data);
                    }
                })
            })
            .and_then(|written| {
                check
                    .map_or(Ok(()), ContentCheck::finish)
                    .map_err(other_content)?;
                if extents.last().map_or(0, Extent::end) != size {
                    file.set_size(size)
                        .map_err(|error| EntryError::new(Attempt::Write, error))?;
                }
                Ok(written)
            });
        let written = written.inspect_err(|_| placed.discard(directory))?;
        self.complete(directory, &file, &placed, entry, start)?;
        self.advance(1, written);
        Ok(())
    }

    /// Gives the file `from` in the directory `of` a second name: that of `entry` in `directory`.
    pub(super) fn link(
        &self,
        directory: &TargetDirectory,
        entry: &Entry,
        of: &DirHandle,
        from: &Name,
    ) -> Result<(), EntryError> {
        let ((), placed) = self
            .place(entry, |name| directory.handle.create_link(name, of, from))
            .map_err(|error| EntryError {
                attempted: Attempt::Link,
                ..error
            })?;
        placed.settle(directory)?;
        self.advance(1, 0);
        Ok(())
    }

    /// Makes a large file without content, which is written in pieces. A call of
    /// [`write_piece`](Self::write_piece) without a piece says that all were handed out.
    pub(super) fn begin_large(
        &self,
        directory: &Arc<TargetDirectory>,
        entry: &Entry,
        size: u64,
    ) -> Result<Arc<LargeFile<S::Content>>, EntryError> {
        let content = self.content(entry)?;
        let (file, placed, start) = self.create_file(directory, entry)?;
        if let Err(error) = file.set_size(size) {
            placed.discard(directory);
            return Err(EntryError::new(Attempt::Write, error));
        }
        directory.enter();
        Ok(Arc::new(LargeFile {
            directory: Arc::clone(directory),
            entry: entry.clone(),
            content,
            hash: self.hash_of(entry, size),
            file,
            placed,
            start,
            outstanding: AtomicUsize::new(1),
            failed: AtomicBool::new(false),
        }))
    }

    /// Returns the hash of a large file, if the backup has one to compare it with.
    fn hash_of(&self, entry: &Entry, size: u64) -> Option<PieceHasher> {
        let Content::File { extents, .. } = &entry.content else {
            return None;
        };
        entry.metadata.extensions.content_hash?;
        PieceHasher::new(&self.source.hashing(), size, extents)
    }

    /// Writes a piece of a large file; `None` says that all pieces were handed out. The last call
    /// completes the file.
    pub(super) fn write_piece(&self, large: &LargeFile<S::Content>, piece: Option<&FilePiece>) {
        let given_up = || large.failed.load(Ordering::Relaxed) || self.is_stopped();
        if !given_up() {
            match piece.map_or(Ok(0), |piece| self.copy_piece(large, piece)) {
                Ok(written) => self.advance(0, written),
                Err(error) if !large.failed.swap(true, Ordering::Relaxed) => {
                    self.trouble(&large.entry.path, error)
                }
                Err(_) => {}
            }
        }
        // Acquire and Release, so that the last thread sees what the others did.
        if large.outstanding.fetch_sub(1, Ordering::AcqRel) != 1 {
            return;
        }
        if !given_up()
            && let Err(error) = large.compare()
        {
            large.failed.store(true, Ordering::Relaxed);
            self.trouble(&large.entry.path, other_content(error));
        }
        if given_up() {
            large.placed.discard(&large.directory);
        } else {
            match self.complete(
                &large.directory,
                &large.file,
                &large.placed,
                &large.entry,
                large.start,
            ) {
                Ok(()) => self.advance(1, 0),
                Err(error) => self.trouble(&large.entry.path, error),
            }
        }
        self.leave(&large.directory);
    }

    fn copy_piece(
        &self,
        large: &LargeFile<S::Content>,
        piece: &FilePiece,
    ) -> Result<u64, EntryError> {
        let mut hash = large.hash.as_ref().map(|hash| hash.piece(piece.number));
        let copied = self.copy(&large.content, &piece.extents, &large.file, |_, data| {
            if let Some(hash) = &mut hash {
                hash.update(data);
            }
        })?;
        if let Some(hash) = hash {
            hash.finish();
        }
        Ok(copied)
    }

    /// Gives an entry its metadata, and then its final name.
    fn complete(
        &self,
        directory: &TargetDirectory,
        node: &impl Attributes,
        placed: &Placed,
        entry: &Entry,
        start: Start,
    ) -> Result<(), EntryError> {
        let wanted = self.wanted(&entry.metadata);
        self.apply(node, entry.content.kind(), &wanted, start, |error| {
            self.trouble(&entry.path, error)
        });
        placed.settle(directory)?;
        self.flag_later(entry);
        Ok(())
    }

    fn create_file(
        &self,
        directory: &TargetDirectory,
        entry: &Entry,
    ) -> Result<(NewFile, Placed, Start), EntryError> {
        let mode = self.first_mode(directory, &entry.metadata);
        let (file, placed) = self.place(entry, |name| directory.handle.create_file(name, mode))?;
        Ok((file, placed, self.start(directory, mode)))
    }

    /// Makes an entry under its final name; under a temporary one where another entry has that name
    /// and may be replaced.
    fn place<T>(
        &self,
        entry: &Entry,
        create: impl Fn(&Name) -> io::Result<T>,
    ) -> Result<(T, Placed), EntryError> {
        let failed = |error: io::Error| EntryError::new(Attempt::Create, error);
        let name = Name::new(entry.path.file_name())
            .ok_or_else(|| failed(io::ErrorKind::InvalidFilename.into()))?;
        match create(&name) {
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && self.options.existing == Existing::Replace =>
            {
                let temporary = self.temporary_name().map_err(failed)?;
                let made = create(&temporary).map_err(failed)?;
                Ok((
                    made,
                    Placed {
                        name,
                        temporary: Some(temporary),
                    },
                ))
            }
            made => Ok((
                made.map_err(failed)?,
                Placed {
                    name,
                    temporary: None,
                },
            )),
        }
    }

    /// Returns the mode to make an entry with: the final one where no other user can reach the
    /// entry yet, else one for this user alone until the entry has its owner. Extended attributes
    /// of the `user` kind need a mode that allows writing.
    fn first_mode(&self, directory: &TargetDirectory, metadata: &Metadata) -> u32 {
        if directory.private && directory.plain && metadata.xattrs.is_empty() {
            metadata.mode & 0o777
        } else {
            0o600
        }
    }

    /// Returns the metadata of an entry that was just made with `mode` in `directory`.
    pub(super) fn start(&self, directory: &TargetDirectory, mode: u32) -> Start {
        if directory.plain {
            Start {
                mode: self.identity.umask.map(|umask| mode & !umask),
                ours: true,
                inherits: false,
            }
        } else {
            Start::UNKNOWN
        }
    }

    fn content(&self, entry: &Entry) -> Result<S::Content, EntryError> {
        self.source
            .content(entry)
            .map_err(|error| EntryError::new(Attempt::Read, error))
    }

    /// Copies extents to their places in `file`, and shows all data to `seen`. Returns how many bytes
    /// that were.
    fn copy(
        &self,
        content: &S::Content,
        extents: &[Extent],
        file: &NewFile,
        mut seen: impl FnMut(u64, &[u8]),
    ) -> Result<u64, EntryError> {
        let mut written = 0;
        for extent in pieces(extents).flatten() {
            let mut at = extent.at.0;
            let mut stuck = None;
            let mut take = |data: &[u8]| match file.write_all_at(data, at) {
                Ok(()) => {
                    seen(at, data);
                    at += data.len() as u64;
                    ControlFlow::Continue(())
                }
                Err(error) => {
                    stuck = Some(error);
                    ControlFlow::Break(())
                }
            };
            self.source
                .read(content, extent.at.0, extent.length, &mut take)
                .map_err(|error| EntryError::new(Attempt::Read, error))?;
            if let Some(error) = stuck {
                return Err(EntryError::new(Attempt::Write, error));
            }
            if at != extent.end() {
                return Err(EntryError::new(
                    Attempt::Read,
                    io::Error::from(io::ErrorKind::UnexpectedEof),
                ));
            }
            written += extent.length;
        }
        Ok(written)
    }
}

/// Cuts extents into groups of [`PIECE_BYTES`] each; the last may be smaller.
pub(super) fn pieces(extents: &[Extent]) -> impl Iterator<Item = Vec<Extent>> {
    let mut rest = extents.iter().copied();
    let mut current = rest.next();
    std::iter::from_fn(move || {
        let mut piece = Vec::new();
        let mut room = PIECE_BYTES;
        while let Some(extent) = current.as_mut().filter(|_| room > 0) {
            let length = extent.length.min(room);
            piece.push(Extent { length, ..*extent });
            room -= length;
            extent.at.0 += length;
            extent.stream.0 += length;
            extent.length -= length;
            if extent.length == 0 {
                current = rest.next();
            }
        }
        Some(piece).filter(|piece| !piece.is_empty())
    })
}

//! Files that survive a crash of the machine: makes them, flushes them and tells them apart.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::path::Path;

/// Tells one file from another, whatever their names are, as long as one of them is held open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity(system::FileIdentity);

impl FileIdentity {
    /// Returns the identity of the file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> Self {
        Self(system::identity(metadata))
    }
}

/// Who may read and write a new entry of a folder: the users that may read and write the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing(system::Rights);

impl Sharing {
    /// Returns access for the owner alone.
    pub fn private() -> Self {
        Self(system::private())
    }

    /// Returns the same access as that to the folder that `metadata` describes.
    pub fn like(metadata: &Metadata) -> Self {
        Self(system::rights(metadata))
    }
}

/// Makes a new file and opens it for writing.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] when anything has the name.
pub fn create_file(path: &Path, sharing: Sharing) -> io::Result<File> {
    system::create_file(path, sharing.0)
}

/// Makes one new folder.
///
/// # Errors
///
/// [`io::ErrorKind::AlreadyExists`] when anything has the name.
pub fn create_folder(path: &Path, sharing: Sharing) -> io::Result<()> {
    system::create_folder(path, sharing.0)
}

/// Waits until the names in a folder would survive a crash of the machine.
///
/// Windows has no such call. Its file system's journal keeps the order of changes, and the last
/// ones may be lost.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// Replaces the content of a file in one step, for its owner alone. Returns when the content would
/// survive a crash of the machine. A reader sees the old file or the new one.
///
/// The new content is written beside the file first, with the extension `new`: callers see to it
/// that only one of them replaces a file at a time.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let new = path.with_extension("new");
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = create_file(&new, Sharing::private())?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Returns the mode of a new file.
#[cfg(unix)]
pub(super) fn file_mode(sharing: Sharing) -> u32 {
    sharing.0 & 0o666
}

/// Returns the mode of a new folder.
#[cfg(unix)]
pub(super) fn folder_mode(sharing: Sharing) -> u32 {
    sharing.0
}

/// Does the same as [`sync_folder`] with an open folder.
#[cfg(unix)]
pub(super) fn sync_opened_folder(folder: &File) -> io::Result<()> {
    system::sync_opened_folder(folder)
}

/// Fills `buffer` with the bytes from `offset` on. Many threads may read one file.
///
/// # Errors
///
/// [`io::ErrorKind::UnexpectedEof`] when the file has fewer bytes.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    system::read_exact_at(file, buffer, offset)
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    /// Device and inode. The system gives a number to no other file while this one is open.
    pub type FileIdentity = (u64, u64);

    /// Permission bits of a folder.
    pub type Rights = u32;

    pub fn identity(metadata: &Metadata) -> FileIdentity {
        (metadata.dev(), metadata.ino())
    }

    pub fn private() -> Rights {
        0o700
    }

    pub fn rights(metadata: &Metadata) -> Rights {
        metadata.mode() & 0o777 | 0o700
    }

    pub fn create_file(path: &Path, rights: Rights) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(rights & 0o666)
            .open(path)
    }

    pub fn create_folder(path: &Path, rights: Rights) -> io::Result<()> {
        DirBuilder::new().mode(rights).create(path)
    }

    pub fn sync_folder(path: &Path) -> io::Result<()> {
        sync_opened_folder(&File::open(path)?)
    }

    pub fn sync_opened_folder(folder: &File) -> io::Result<()> {
        match folder.sync_all() {
            // Some network and FUSE file systems cannot sync a folder, and promise nothing more
            // (see also PostgreSQL, fsync_fname_ext).
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            done => done,
        }
    }

    pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }
}

#[cfg(windows)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::windows::fs::{FileExt, MetadataExt};
    use std::path::Path;

    /// Time of creation, time of the last write, and length: std offers no file number here.
    pub type FileIdentity = (u64, u64, u64);

    /// New entries inherit rights from their folder.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rights;

    pub fn identity(metadata: &Metadata) -> FileIdentity {
        if metadata.is_dir() {
            return (metadata.creation_time(), 0, 0);
        }
        (
            metadata.creation_time(),
            metadata.last_write_time(),
            metadata.file_size(),
        )
    }

    pub fn private() -> Rights {
        Rights
    }

    pub fn rights(_metadata: &Metadata) -> Rights {
        Rights
    }

    pub fn create_file(path: &Path, _rights: Rights) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub fn create_folder(path: &Path, _rights: Rights) -> io::Result<()> {
        DirBuilder::new().create(path)
    }

    pub fn sync_folder(path: &Path) -> io::Result<()> {
        std::fs::metadata(path).map(|_| ())
    }

    pub fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
        while !buffer.is_empty() {
            match file.seek_read(buffer, offset) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                    offset += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

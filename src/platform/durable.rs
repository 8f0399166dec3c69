//! Files that survive a crash of the machine: how to make them, flush them and tell them apart.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// Tells one file from another for as long as one of them is held open, whatever their names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileIdentity(system::FileIdentity);

impl FileIdentity {
    /// The identity of the file that `metadata` describes.
    pub fn of(metadata: &Metadata) -> Self {
        Self(system::identity(metadata))
    }
}

/// Who may read and write what is made inside a folder: what may be done with the folder itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing(system::Sharing);

impl Sharing {
    /// The owner alone.
    pub fn private() -> Self {
        Self(system::private())
    }

    /// The same as for the folder that `metadata` describes.
    pub fn like(metadata: &Metadata) -> Self {
        Self(system::access(metadata))
    }
}

/// Makes a file that was not there, for writing.
pub fn create_file(path: &Path, access: Sharing) -> io::Result<File> {
    system::create_file(path, access.0)
}

/// Makes one folder that was not there.
pub fn create_folder(path: &Path, access: Sharing) -> io::Result<()> {
    system::create_folder(path, access.0)
}

/// Waits until the names in a folder, as they are, would survive a crash of the machine.
///
/// Windows has no such call: there the file system's journal keeps the order of changes, and the
/// last ones may be lost.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    system::sync_folder(path)
}

/// The mode of a file that is made with this access.
#[cfg(unix)]
pub(super) fn file_mode(access: Sharing) -> u32 {
    access.0 & 0o666
}

/// The mode of a folder that is made with this access.
#[cfg(unix)]
pub(super) fn folder_mode(access: Sharing) -> u32 {
    access.0
}

/// Does what [`sync_folder`] does with a folder that is open.
#[cfg(unix)]
pub(super) fn sync_opened_folder(folder: &File) -> io::Result<()> {
    system::sync_opened_folder(folder)
}

/// Fills `buffer` with the bytes from `offset` on; `UnexpectedEof` when there are fewer. Many
/// threads may read one file.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    system::read_exact_at(file, buffer, offset)
}

#[cfg(unix)]
mod system {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
    use std::path::Path;

    /// Device and inode. A number is not given to another file while this one is open.
    pub type FileIdentity = (u64, u64);

    /// Permission bits of a folder.
    pub type Sharing = u32;

    pub fn identity(metadata: &Metadata) -> FileIdentity {
        (metadata.dev(), metadata.ino())
    }

    pub fn private() -> Sharing {
        0o700
    }

    pub fn access(metadata: &Metadata) -> Sharing {
        metadata.mode() & 0o777 | 0o700
    }

    pub fn create_file(path: &Path, access: Sharing) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(access & 0o666)
            .open(path)
    }

    pub fn create_folder(path: &Path, access: Sharing) -> io::Result<()> {
        DirBuilder::new().mode(access).create(path)
    }

    pub fn sync_folder(path: &Path) -> io::Result<()> {
        sync_opened_folder(&File::open(path)?)
    }

    pub fn sync_opened_folder(folder: &File) -> io::Result<()> {
        match folder.sync_all() {
            // Some network and FUSE file systems cannot sync a folder; what they promise is all
            // there is (see also PostgreSQL, fsync_fname_ext).
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

    /// Time of creation, time of the last write, length: std has no file number here.
    pub type FileIdentity = (u64, u64, u64);

    /// Rights are inherited from the folder.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sharing;

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

    pub fn private() -> Sharing {
        Sharing
    }

    pub fn access(_metadata: &Metadata) -> Sharing {
        Sharing
    }

    pub fn create_file(path: &Path, _access: Sharing) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).open(path)
    }

    pub fn create_folder(path: &Path, _access: Sharing) -> io::Result<()> {
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

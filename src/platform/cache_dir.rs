//! A private folder for a cache, in which no symbolic link is followed ([`FolderHandle`]).
//!
//! A folder or file in it counts only while it belongs to this user and nobody else may write to
//! it. So a user that made the folder first, or could write to it once, changes nothing.
//!
//! On Windows rights are not checked: they are those that the folder above hands down.

use super::durable::Sharing;
use super::folder_handle::{FolderHandle, is_link};
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// An open folder that belongs to this user alone. Many threads may use it at once.
#[derive(Debug)]
pub struct CacheDir(FolderHandle);

/// A regular file in a [`CacheDir`], as a listing needs it.
#[derive(Clone, Copy, Debug)]
pub struct CachedFile {
    /// Its length in bytes.
    pub length: u64,
    /// When it was changed, or marked as used.
    pub modified: SystemTime,
}

/// Why a folder cannot be opened as a [`CacheDir`].
#[derive(Debug, thiserror::Error)]
pub enum Distrust {
    /// The system refused it.
    #[error("the system refuses it")]
    System(#[source] io::Error),
    /// A file or a symbolic link has the name.
    #[error("it is a symbolic link or a file")]
    NotAFolder,
    /// Another user owns it.
    #[error("it belongs to user {owner}, and freezer runs as user {user}")]
    Foreign {
        /// The user number of its owner.
        owner: u32,
        /// The effective user number of this process.
        user: u32,
    },
    /// The mode lets its group or everybody write to it.
    #[error("its group or others may write to it")]
    OpenToOthers,
}

impl From<Distrust> for io::Error {
    fn from(distrust: Distrust) -> Self {
        match distrust {
            Distrust::System(error) => error,
            other => Self::new(io::ErrorKind::PermissionDenied, other),
        }
    }
}

impl CacheDir {
    /// Opens the folder `name` in the folder at `parent`, and makes it first if it is missing.
    ///
    /// Follows symbolic links in `parent`, as a person named it; `name` may not be one.
    pub fn open(parent: &Path, name: &str) -> Result<Self, Distrust> {
        let parent = FolderHandle::open(parent).map_err(Distrust::System)?;
        make(&parent, name)?;
        trusted(&parent, name)
    }

    /// Opens a folder in this one.
    pub fn child(&self, name: &str) -> Result<Self, Distrust> {
        trusted(&self.0, name)
    }

    /// Opens a folder in this one, and makes it first if it is missing.
    pub fn child_or_new(&self, name: &str) -> Result<Self, Distrust> {
        match self.child(name) {
            Err(Distrust::System(error)) if error.kind() == io::ErrorKind::NotFound => {
                make(&self.0, name)?;
                self.child(name)
            }
            opened => opened,
        }
    }

    /// Lists all names. Changes those that are not Unicode, which a cache has none of.
    pub fn names(&self) -> io::Result<Vec<String>> {
        let entries = self.0.entries()?.into_iter();
        Ok(entries
            .map(|entry| entry.name.to_string_lossy().into_owned())
            .collect())
    }

    /// Describes a regular file of this user; `None` for anything else, or when there is none.
    pub fn look(&self, name: &str) -> io::Result<Option<CachedFile>> {
        match self.0.look_at(name) {
            Ok(seen) if is_our_file(&seen) => Ok(Some(CachedFile {
                length: seen.len(),
                modified: seen.modified()?,
            })),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound || is_link(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Opens a regular file of this user for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        ours(self.0.open_to_touch(name)?)
    }

    /// Opens a regular file of this user for locking, and makes it first if it is missing.
    pub fn lock_file(&self, name: &str) -> io::Result<File> {
        let opened = match self.0.open_to_lock(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.0.create_file(name, Sharing::private()) {
                    // Another process made it meanwhile, or it is no regular file.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        self.0.open_to_lock(name)
                    }
                    made => made,
                }
            }
            opened => opened,
        };
        ours(opened?)
    }

    /// Makes a new file for writing by this user alone.
    pub fn create_file(&self, name: &str) -> io::Result<File> {
        self.0.create_file(name, Sharing::private())
    }

    /// Renames a file in this folder, in place of any file or link called `to`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, &self.0, to)
    }

    /// Removes a file or a link itself, never a folder; one that is not there counts as removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.0.remove_file(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

fn make(parent: &FolderHandle, name: &str) -> Result<(), Distrust> {
    match parent.create_folder(name, Sharing::private()) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(Distrust::System(error)),
        _ => Ok(()),
    }
}

/// Opens a folder if nobody but this user may write to it.
fn trusted(parent: &FolderHandle, name: &str) -> Result<CacheDir, Distrust> {
    let folder = parent.descend(name).map_err(|error| {
        if is_link(&error) || error.kind() == io::ErrorKind::NotADirectory {
            Distrust::NotAFolder
        } else {
            Distrust::System(error)
        }
    })?;
    let metadata = folder.metadata().map_err(Distrust::System)?;
    match system::distrust(&metadata) {
        Some(distrust) => Err(distrust),
        None => Ok(CacheDir(folder)),
    }
}

/// Fails for anything but a regular file that only this user may write to.
fn ours(file: File) -> io::Result<File> {
    if is_our_file(&file.metadata()?) {
        Ok(file)
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "it is not a regular file that only this user may write to",
        ))
    }
}

fn is_our_file(metadata: &Metadata) -> bool {
    metadata.is_file() && system::distrust(metadata).is_none()
}

#[cfg(unix)]
mod system {
    use super::Distrust;
    use std::fs::Metadata;
    use std::os::unix::fs::MetadataExt;

    /// Set for the group or for others: they may write.
    const WRITABLE_BY_OTHERS: u32 = 0o022;

    /// Returns why others than this user could have written there.
    pub fn distrust(metadata: &Metadata) -> Option<Distrust> {
        let (owner, user) = (metadata.uid(), rustix::process::geteuid().as_raw());
        if owner != user {
            Some(Distrust::Foreign { owner, user })
        } else if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
            Some(Distrust::OpenToOthers)
        } else {
            None
        }
    }
}

#[cfg(windows)]
mod system {
    use super::Distrust;
    use std::fs::Metadata;

    /// Rights are those that the folder above hands down.
    pub fn distrust(_: &Metadata) -> Option<Distrust> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{CacheDir, Distrust};
    use std::fs::{self, Permissions};
    use std::io::Write;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_folder_that_others_may_write_to_or_that_is_a_link_is_refused() {
        let room = tempfile::tempdir().expect("a directory");
        let made = CacheDir::open(room.path(), "made").expect("made");
        let mode = |name: &str| {
            let seen = fs::symlink_metadata(room.path().join(name)).expect("there");
            seen.permissions().mode() & 0o777
        };
        assert_eq!(mode("made"), 0o700, "for its owner alone");
        made.create_file("file")
            .expect("new")
            .write_all(b"x")
            .expect("written");
        assert_eq!(mode("made/file"), 0o600);

        symlink("made", room.path().join("link")).expect("linked");
        for name in ["link", "made/file"] {
            let refused = CacheDir::open(room.path(), name).expect_err("refused");
            assert!(matches!(refused, Distrust::NotAFolder), "{refused}");
        }
        for open in [0o720, 0o702, 0o777] {
            fs::set_permissions(room.path().join("made"), Permissions::from_mode(open))
                .expect("changed");
            let refused = CacheDir::open(room.path(), "made").expect_err("refused");
            assert!(matches!(refused, Distrust::OpenToOthers), "{refused}");
        }
    }

    #[test]
    fn no_link_is_followed_and_no_file_that_others_may_write_to_is_opened() {
        let room = tempfile::tempdir().expect("a directory");
        let (ours, theirs) = (room.path().join("ours"), room.path().join("theirs"));
        let folder = CacheDir::open(room.path(), "ours").expect("made");
        fs::write(&theirs, "x").expect("written");
        symlink(&theirs, ours.join("link")).expect("linked");
        fs::write(ours.join("open"), "x").expect("written");
        fs::set_permissions(ours.join("open"), Permissions::from_mode(0o666)).expect("changed");
        rustix::fs::mkfifoat(
            rustix::fs::CWD,
            ours.join("fifo"),
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        )
        .expect("made");
        for name in ["link", "open", "fifo"] {
            folder.open_file(name).expect_err("not opened");
            folder.lock_file(name).expect_err("not opened");
            folder.create_file(name).expect_err("not made");
            assert!(folder.look(name).expect("seen").is_none(), "{name}");
        }
        folder.remove("link").expect("the link itself is removed");
        assert_eq!(fs::read(&theirs).expect("there"), b"x");
        fs::create_dir(ours.join("folder")).expect("made");
        folder.remove("folder").expect_err("no folder is removed");
    }
}

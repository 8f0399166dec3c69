//! A private folder for a cache: reached through directory handles, never through a symbolic link.
//!
//! A folder or file in it counts only while it belongs to this user and nobody else may write to
//! it. So another user who made the folder first, or could write to it once, changes nothing.
//!
//! Windows has no directory handles in the standard library. There each step looks at the path
//! first and refuses links; rights are those that the folder around it hands down, and are not
//! looked at.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::SystemTime;

/// An open folder that belongs to this user alone. May be used by many threads at once.
#[derive(Debug)]
pub struct CacheDir(system::Dir);

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
    /// Another user made it, or was given it.
    #[error("it belongs to user {owner}, and freezer runs as user {user}")]
    Foreign {
        /// The user number of its owner.
        owner: u32,
        /// The effective user number of this process.
        user: u32,
    },
    /// The mode gives its group or everybody the right to write.
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
    /// Opens the folder `name` in the folder at `parent`, and makes it first where it is missing.
    ///
    /// Symbolic links in `parent` are followed, as a person named it; `name` may not be one.
    pub fn open(parent: &Path, name: &str) -> Result<Self, Distrust> {
        system::Dir::open(parent, name).map(Self)
    }

    /// Opens a folder in this one.
    pub fn child(&self, name: &str) -> Result<Self, Distrust> {
        self.0.child(name).map(Self)
    }

    /// Opens a folder in this one, and makes it first where it is missing.
    pub fn child_or_new(&self, name: &str) -> Result<Self, Distrust> {
        self.0.child_or_new(name).map(Self)
    }

    /// Lists all names. Those that are not Unicode are changed: they are none of a cache's.
    pub fn names(&self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    /// Describes a regular file of this user; `None` for anything else, or when there is none.
    pub fn look(&self, name: &str) -> io::Result<Option<CachedFile>> {
        match self.0.look(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            seen => seen,
        }
    }

    /// Opens a regular file of this user for reading.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.0.open_file(name)
    }

    /// Opens a regular file of this user for locking, and makes it first where it is missing.
    pub fn lock_file(&self, name: &str) -> io::Result<File> {
        self.0.lock_file(name)
    }

    /// Makes a file that was not there, for writing by this user alone.
    pub fn create_file(&self, name: &str) -> io::Result<File> {
        self.0.create_file(name)
    }

    /// Renames a file in this folder, in place of any file or link called `to`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.0.rename(from, to)
    }

    /// Removes a file or a link itself, never a folder; one that is not there counts as removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        match self.0.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Says that a name is not a regular file of this user.
fn not_ours() -> io::Error {
    io::Error::new(
        io::ErrorKind::PermissionDenied,
        "it is not a regular file of this user alone",
    )
}

#[cfg(unix)]
mod system {
    use super::{CachedFile, Distrust, not_ours};
    use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat};
    use rustix::io::{Errno, retry_on_intr};
    use std::fs::File;
    use std::io;
    use std::os::fd::{AsFd, OwnedFd};
    use std::path::Path;
    use std::time::{Duration, SystemTime};

    /// Set for the group or for others: they may write.
    const WRITABLE_BY_OTHERS: Mode = Mode::WGRP.union(Mode::WOTH);

    #[derive(Debug)]
    pub struct Dir(OwnedFd);

    impl Dir {
        pub fn open(parent: &Path, name: &str) -> Result<Self, Distrust> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let parent = retry_on_intr(|| rustix::fs::openat(CWD, parent, flags, Mode::empty()))
                .map_err(|error| Distrust::System(error.into()))?;
            make(&parent, name)?;
            open_in(&parent, name)
        }

        pub fn child(&self, name: &str) -> Result<Self, Distrust> {
            open_in(&self.0, name)
        }

        pub fn child_or_new(&self, name: &str) -> Result<Self, Distrust> {
            match open_in(&self.0, name) {
                Err(Distrust::System(error)) if error.kind() == io::ErrorKind::NotFound => {
                    make(&self.0, name)?;
                    open_in(&self.0, name)
                }
                opened => opened,
            }
        }

        pub fn names(&self) -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.0)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.push(String::from_utf8_lossy(name).into_owned());
                }
            }
            Ok(names)
        }

        pub fn look(&self, name: &str) -> io::Result<Option<CachedFile>> {
            let stat = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW)?;
            Ok(is_our_file(&stat).then(|| CachedFile {
                length: u64::try_from(stat.st_size).unwrap_or(0),
                // Before 1970: as old as can be.
                modified: u64::try_from(stat.st_mtime)
                    .ok()
                    .and_then(|seconds| {
                        let nanoseconds = u32::try_from(stat.st_mtime_nsec).unwrap_or(0);
                        SystemTime::UNIX_EPOCH.checked_add(Duration::new(seconds, nanoseconds))
                    })
                    .unwrap_or(SystemTime::UNIX_EPOCH),
            }))
        }

        pub fn open_file(&self, name: &str) -> io::Result<File> {
            self.file(name, OFlags::RDONLY)
        }

        pub fn lock_file(&self, name: &str) -> io::Result<File> {
            // Never written to, but NFS locks only what is open for writing.
            self.file(name, OFlags::WRONLY | OFlags::CREATE)
        }

        pub fn create_file(&self, name: &str) -> io::Result<File> {
            self.file(name, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
        }

        /// Never waits for the other end of a FIFO.
        fn file(&self, name: &str, flags: OFlags) -> io::Result<File> {
            let flags = flags | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let mode = Mode::RUSR | Mode::WUSR;
            let file = retry_on_intr(|| rustix::fs::openat(&self.0, name, flags, mode))?;
            if is_our_file(&rustix::fs::fstat(&file)?) {
                Ok(file.into())
            } else {
                Err(not_ours())
            }
        }

        pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&self.0, from, &self.0, to)?)
        }

        pub fn remove(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }
    }

    fn make(parent: &impl AsFd, name: &str) -> Result<(), Distrust> {
        match rustix::fs::mkdirat(parent, name, Mode::RWXU) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(error) => Err(Distrust::System(error.into())),
        }
    }

    fn open_in(parent: &impl AsFd, name: &str) -> Result<Dir, Distrust> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = retry_on_intr(|| rustix::fs::openat(parent, name, flags, Mode::empty()))
            .map_err(|error| match error {
                Errno::NOTDIR | Errno::LOOP => Distrust::NotAFolder,
                error => Distrust::System(error.into()),
            })?;
        let stat = rustix::fs::fstat(&folder).map_err(|error| Distrust::System(error.into()))?;
        let user = rustix::process::geteuid().as_raw();
        if stat.st_uid != user {
            return Err(Distrust::Foreign {
                owner: stat.st_uid,
                user,
            });
        }
        if Mode::from_raw_mode(stat.st_mode).intersects(WRITABLE_BY_OTHERS) {
            return Err(Distrust::OpenToOthers);
        }
        Ok(Dir(folder))
    }

    fn is_our_file(stat: &Stat) -> bool {
        FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
            && stat.st_uid == rustix::process::geteuid().as_raw()
            && !Mode::from_raw_mode(stat.st_mode).intersects(WRITABLE_BY_OTHERS)
    }
}

#[cfg(windows)]
mod system {
    use super::{CachedFile, Distrust, not_ours};
    use std::fs::{File, OpenOptions};
    use std::io;
    use std::os::windows::fs::OpenOptionsExt;
    use std::path::{Path, PathBuf};

    /// `FILE_FLAG_OPEN_REPARSE_POINT`: a link is opened itself, and is then no regular file.
    const NO_FOLLOW: u32 = 0x0020_0000;

    #[derive(Debug)]
    pub struct Dir(PathBuf);

    impl Dir {
        pub fn open(parent: &Path, name: &str) -> Result<Self, Distrust> {
            Self(parent.to_owned()).child_or_new(name)
        }

        pub fn child(&self, name: &str) -> Result<Self, Distrust> {
            let path = self.0.join(name);
            let seen = std::fs::symlink_metadata(&path).map_err(Distrust::System)?;
            if seen.is_dir() {
                Ok(Self(path))
            } else {
                Err(Distrust::NotAFolder)
            }
        }

        pub fn child_or_new(&self, name: &str) -> Result<Self, Distrust> {
            match std::fs::create_dir(self.0.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    Err(Distrust::System(error))
                }
                _ => self.child(name),
            }
        }

        pub fn names(&self) -> io::Result<Vec<String>> {
            std::fs::read_dir(&self.0)?
                .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
                .collect()
        }

        pub fn look(&self, name: &str) -> io::Result<Option<CachedFile>> {
            let seen = std::fs::symlink_metadata(self.0.join(name))?;
            if !seen.is_file() {
                return Ok(None);
            }
            Ok(Some(CachedFile {
                length: seen.len(),
                modified: seen.modified()?,
            }))
        }

        pub fn open_file(&self, name: &str) -> io::Result<File> {
            // The right to write is for the time that marks it as used.
            self.file(name, File::options().read(true).write(true))
        }

        pub fn lock_file(&self, name: &str) -> io::Result<File> {
            self.file(
                name,
                File::options().create(true).truncate(false).write(true),
            )
        }

        pub fn create_file(&self, name: &str) -> io::Result<File> {
            self.file(name, File::options().create_new(true).write(true))
        }

        fn file(&self, name: &str, options: &mut OpenOptions) -> io::Result<File> {
            let path = self.0.join(name);
            let file = options.custom_flags(NO_FOLLOW).open(path)?;
            if file.metadata()?.is_file() {
                Ok(file)
            } else {
                Err(not_ours())
            }
        }

        pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
            std::fs::rename(self.0.join(from), self.0.join(to))
        }

        pub fn remove(&self, name: &str) -> io::Result<()> {
            std::fs::remove_file(self.0.join(name))
        }
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

//! Writes a tree.

use super::DirHandle;
use crate::model::{Device, Kind, Name, Time, Xattr};
use crate::platform::Attributes;
use crate::platform::calls::{CallKind, during};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Makes entries in a directory. An entry is new, or the call fails: it never opens, follows or
/// changes an entry that has the name, such as a symbolic link. The system removes the bits of the
/// umask from modes.
impl DirHandle {
    /// Makes a directory.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name. So too for the other kinds.
    pub fn create_dir(&self, name: &Name, mode: u32) -> io::Result<()> {
        let made = during(CallKind::Write, self.as_fd().as_raw_fd(), || {
            rustix::fs::mkdirat(self, name.as_bytes(), Mode::from_raw_mode(mode))
        });
        Ok(made?)
    }

    /// Makes a regular file and opens it for writing, whatever its mode allows.
    pub fn create_file(&self, name: &Name, mode: u32) -> io::Result<NewFile> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || rustix::fs::openat(self, name.as_bytes(), flags, Mode::from_raw_mode(mode));
        let made = during(CallKind::Open, self.as_fd().as_raw_fd(), || {
            retry_on_intr(open)
        });
        Ok(NewFile(made?))
    }

    /// Makes a symbolic link.
    pub fn create_symlink(&self, name: &Name, target: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::symlinkat(target, self, name.as_bytes())?)
    }

    /// Makes a FIFO, or a device node, which only root may.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::InvalidInput`] for any other kind.
    pub fn create_special(
        &self,
        name: &Name,
        kind: Kind,
        numbers: Device,
        mode: u32,
    ) -> io::Result<()> {
        let file_type = match kind {
            Kind::Fifo => FileType::Fifo,
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::File | Kind::Directory | Kind::Symlink => {
                return Err(io::ErrorKind::InvalidInput.into());
            }
        };
        let device = rustix::fs::makedev(numbers.major, numbers.minor);
        Ok(rustix::fs::mknodat(
            self,
            name.as_bytes(),
            file_type,
            Mode::from_raw_mode(mode),
            device,
        )?)
    }

    /// Gives the file `from` in the directory `of` another name here. Links a symbolic link itself.
    pub fn create_link(&self, name: &Name, of: &Self, from: &Name) -> io::Result<()> {
        Ok(rustix::fs::linkat(
            of,
            from.as_bytes(),
            self,
            name.as_bytes(),
            AtFlags::empty(),
        )?)
    }

    /// Renames in this directory, in place of any entry called `to`. No observer sees `to` missing.
    ///
    /// Where both are names of one file, removes `from`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::IsADirectory`] when `to` is a directory; it stays.
    pub fn rename_over(&self, from: &Name, to: &Name) -> io::Result<()> {
        rustix::fs::renameat(self, from.as_bytes(), self, to.as_bytes())?;
        // rename(2): "If oldpath and newpath are existing hard links referring to the same file,
        // then rename() does nothing, and returns a success status."
        match self.remove(from) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Removes a name of any entry except a directory.
    pub fn remove(&self, name: &Name) -> io::Result<()> {
        Ok(rustix::fs::unlinkat(
            self,
            name.as_bytes(),
            AtFlags::empty(),
        )?)
    }

    /// Returns the entry `name`, to set its metadata without opening it.
    pub fn child<'names>(&'names self, name: &'names Name) -> UnopenedEntry<'names> {
        UnopenedEntry {
            directory: self,
            name,
        }
    }
}

/// A new file, open for writing. Many threads may write to it at once.
#[derive(Debug)]
pub struct NewFile(OwnedFd);

impl NewFile {
    /// Writes all of `data` from `offset` on. Bytes that no call writes are a hole.
    pub fn write_all_at(&self, mut data: &[u8], mut offset: u64) -> io::Result<()> {
        while !data.is_empty() {
            let written = during(CallKind::Write, self.0.as_raw_fd(), || {
                retry_on_intr(|| rustix::io::pwrite(&self.0, data, offset))
            })?;
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            data = data.get(written..).unwrap_or_default();
            offset += written as u64;
        }
        Ok(())
    }

    /// Makes the file `size` bytes long. Bytes that this adds are a hole.
    pub fn set_size(&self, size: u64) -> io::Result<()> {
        Ok(retry_on_intr(|| rustix::fs::ftruncate(&self.0, size))?)
    }
}

impl AsFd for NewFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Returns numbers as chown(2) takes them. It takes the number -1 for "leave it as it is".
fn numbers(uid: Option<u32>, gid: Option<u32>) -> io::Result<(Option<Uid>, Option<Gid>)> {
    if uid == Some(u32::MAX) || gid == Some(u32::MAX) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "no user or group has that number",
        ));
    }
    Ok((uid.map(Uid::from_raw), gid.map(Gid::from_raw)))
}

impl<Open: AsFd> Attributes for Open {
    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = numbers(uid, gid)?;
        Ok(rustix::fs::fchown(self, uid, gid)?)
    }

    fn owner(&self) -> io::Result<(u32, u32)> {
        let stat = rustix::fs::fstat(self)?;
        Ok((stat.st_uid, stat.st_gid))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(self, Mode::from_raw_mode(mode))?)
    }

    fn set_mtime(&self, mtime: Time) -> io::Result<()> {
        Ok(rustix::fs::futimens(self, &timestamps(mtime))?)
    }

    fn set_xattr(&self, xattr: &Xattr) -> io::Result<()> {
        Ok(rustix::fs::fsetxattr(
            self,
            &*xattr.name,
            &xattr.value,
            XattrFlags::empty(),
        )?)
    }

    fn remove_xattr(&self, name: &[u8]) -> io::Result<()> {
        absent_is_removed(rustix::fs::fremovexattr(self, name))
    }
}

/// An entry of a directory that must not be opened to set its metadata: a symbolic link, a device
/// or a FIFO.
#[derive(Debug)]
pub struct UnopenedEntry<'names> {
    directory: &'names DirHandle,
    name: &'names Name,
}

impl UnopenedEntry<'_> {
    /// Returns a path for calls that take no directory. Only its last component can be a link,
    /// which the calls used with it do not follow.
    fn path(&self) -> Vec<u8> {
        let mut path =
            format!("/proc/self/fd/{}/", self.directory.as_fd().as_raw_fd()).into_bytes();
        path.extend_from_slice(self.name.as_bytes());
        path
    }
}

impl Attributes for UnopenedEntry<'_> {
    fn set_owner(&self, uid: Option<u32>, gid: Option<u32>) -> io::Result<()> {
        let (uid, gid) = numbers(uid, gid)?;
        Ok(rustix::fs::chownat(
            self.directory,
            self.name.as_bytes(),
            uid,
            gid,
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn owner(&self) -> io::Result<(u32, u32)> {
        let stat = self.directory.stat_child(self.name)?;
        Ok((stat.uid, stat.gid))
    }

    fn set_mode(&self, mode: u32) -> io::Result<()> {
        // fchmodat(2) follows links, and its flag against that is younger than the kernels that
        // freezer runs on. A descriptor opened without following links names the entry itself.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let itself =
            rustix::fs::openat(self.directory, self.name.as_bytes(), flags, Mode::empty())?;
        if FileType::from_raw_mode(rustix::fs::fstat(&itself)?.st_mode) == FileType::Symlink {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "a symbolic link has no mode of its own",
            ));
        }
        Ok(rustix::fs::chmod(
            format!("/proc/self/fd/{}", itself.as_raw_fd()),
            Mode::from_raw_mode(mode),
        )?)
    }

    fn set_mtime(&self, mtime: Time) -> io::Result<()> {
        Ok(rustix::fs::utimensat(
            self.directory,
            self.name.as_bytes(),
            &timestamps(mtime),
            AtFlags::SYMLINK_NOFOLLOW,
        )?)
    }

    fn set_xattr(&self, xattr: &Xattr) -> io::Result<()> {
        Ok(rustix::fs::lsetxattr(
            self.path(),
            &*xattr.name,
            &xattr.value,
            XattrFlags::empty(),
        )?)
    }

    fn remove_xattr(&self, name: &[u8]) -> io::Result<()> {
        absent_is_removed(rustix::fs::lremovexattr(self.path(), name))
    }
}

/// Counts an attribute as removed where it is absent, or where the file system has none.
fn absent_is_removed(done: Result<(), Errno>) -> io::Result<()> {
    match done {
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        done => Ok(done?),
    }
}

/// Returns times that leave the access time as it is.
fn timestamps(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        },
        last_modification: Timespec {
            tv_sec: mtime.seconds(),
            tv_nsec: mtime.nanoseconds().into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::model::{Device, Kind, Name, Time, Xattr};
    use crate::platform::{Attributes, DirHandle, Sort, Xattrs};
    use std::fs;
    use std::io::ErrorKind;
    use std::os::unix::fs::symlink;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).expect("a legal name")
    }

    fn fresh() -> (tempfile::TempDir, DirHandle) {
        let folder = tempfile::tempdir().unwrap();
        let directory = DirHandle::open(folder.path()).unwrap();
        (folder, directory)
    }

    fn is_root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn nothing_is_made_through_a_planted_link_or_over_what_is_there() {
        let (outside, _) = fresh();
        let (folder, directory) = fresh();
        let victim = outside.path().join("victim");
        symlink(&victim, folder.path().join("planted")).unwrap();
        let planted = name("planted");
        let refusals = [
            directory.create_file(&planted, 0o600).map(|_| ()),
            directory.create_dir(&planted, 0o700),
            directory.create_symlink(&planted, b"x"),
            directory.create_special(&planted, Kind::Fifo, Device { major: 0, minor: 0 }, 0o600),
            directory.create_link(&planted, &directory, &planted),
        ];
        for refusal in refusals {
            assert_eq!(refusal.unwrap_err().kind(), ErrorKind::AlreadyExists);
        }
        assert!(!victim.exists());
    }

    #[test]
    fn a_change_hits_the_link_and_not_its_target() {
        let (folder, directory) = fresh();
        fs::write(folder.path().join("file"), b"").unwrap();
        symlink("file", folder.path().join("link")).unwrap();
        let before = directory.stat_child(&name("file")).unwrap();
        let link_name = name("link");
        let link = directory.child(&link_name);
        let time = Time::new(-5, 7);
        link.set_mtime(time).unwrap();
        assert_eq!(
            link.set_mode(0o777).unwrap_err().kind(),
            ErrorKind::Unsupported
        );
        if is_root() {
            let xattr = Xattr {
                name: (*b"trusted.x").into(),
                value: (*b"1").into(),
            };
            link.set_owner(Some(12), Some(34)).unwrap();
            link.set_xattr(&xattr).unwrap();
            let found = directory.stat_child(&link_name).unwrap();
            assert_eq!((found.uid, found.gid), (12, 34));
            assert_eq!(
                Xattrs::new().of_child(&directory, &link_name).unwrap(),
                [xattr]
            );
            link.remove_xattr(b"trusted.x").unwrap();
            assert_eq!(Xattrs::new().of_child(&directory, &link_name).unwrap(), []);
        }
        assert_eq!(directory.stat_child(&link_name).unwrap().mtime, time);
        assert_eq!(directory.stat_child(&name("file")).unwrap(), before);
    }

    #[test]
    fn a_new_file_takes_all_metadata() {
        let (_folder, directory) = fresh();
        let file = directory.create_file(&name("file"), 0o400).unwrap();
        file.write_all_at(b"data", 1 << 20).unwrap();
        file.set_size(2 << 20).unwrap();
        let xattr = Xattr {
            name: (*b"user.x").into(),
            value: (*b"\0\xff").into(),
        };
        file.set_mode(0o640).unwrap();
        file.set_xattr(&xattr).unwrap();
        file.set_mode(0o6755).unwrap();
        file.set_mtime(Time::new(1 << 33, 999_999_999)).unwrap();
        file.remove_xattr(b"user.never_was").unwrap();
        let stat = directory.stat_child(&name("file")).unwrap();
        assert_eq!(
            (stat.size, stat.mode, stat.mtime),
            (2 << 20, 0o6755, Time::new(1 << 33, 999_999_999))
        );
        assert!(stat.blocks * 512 < 1 << 20, "the hole was written");
        assert_eq!(Xattrs::new().of_open(&file, stat.device).unwrap(), [xattr]);
    }

    #[test]
    fn the_number_that_leaves_an_owner_as_it_is_is_no_owner() {
        let (_folder, directory) = fresh();
        let file = directory.create_file(&name("file"), 0o600).unwrap();
        let there = file.owner().unwrap();
        for numbers in [(Some(u32::MAX), None), (None, Some(u32::MAX))] {
            let (uid, gid) = numbers;
            for refused in [
                file.set_owner(uid, gid),
                directory.child(&name("file")).set_owner(uid, gid),
            ] {
                assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
            }
        }
        assert_eq!(directory.child(&name("file")).owner().unwrap(), there);
    }

    #[test]
    fn a_fifo_gets_its_mode_without_being_opened() {
        let (_folder, directory) = fresh();
        directory
            .create_special(
                &name("fifo"),
                Kind::Fifo,
                Device { major: 0, minor: 0 },
                0o600,
            )
            .unwrap();
        directory.child(&name("fifo")).set_mode(0o1622).unwrap();
        let stat = directory.stat_child(&name("fifo")).unwrap();
        assert_eq!((stat.sort, stat.mode), (Sort::Kept(Kind::Fifo), 0o1622));
    }

    #[test]
    fn a_rename_replaces_and_leaves_no_second_name() {
        let (folder, directory) = fresh();
        let (old, new, link) = (name("old"), name("new"), name("link"));
        fs::write(folder.path().join("old"), b"old").unwrap();
        fs::write(folder.path().join("new"), b"new").unwrap();
        directory.rename_over(&new, &old).unwrap();
        assert_eq!(fs::read(folder.path().join("old")).unwrap(), b"new");
        directory.create_link(&link, &directory, &old).unwrap();
        directory.rename_over(&link, &old).unwrap();
        assert_eq!(directory.list().unwrap().len(), 1);

        fs::create_dir(folder.path().join("directory")).unwrap();
        assert_eq!(
            directory
                .rename_over(&old, &name("directory"))
                .unwrap_err()
                .kind(),
            ErrorKind::IsADirectory
        );
    }
}

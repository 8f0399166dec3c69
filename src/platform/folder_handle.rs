//! A folder of our own making, in which other users may have written as well.

use super::durable::Access;
use std::ffi::OsString;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// An open folder. Everything below it is reached through it, one name at a time, and never through
/// a symbolic link: what somebody links into its place is refused, not followed.
///
/// Names are components joined by `/`; none of them is `.` or `..`. On Windows each step is looked
/// at before it is taken, so that a link is refused there too, but not one that is made in between.
#[derive(Debug)]
pub struct FolderHandle(system::FolderHandle);

/// A name in a folder, as a listing shows it.
#[derive(Debug)]
pub struct FolderEntry {
    /// The name.
    pub name: OsString,
    /// What it stands for. A link is a link, whatever it points to.
    pub kind: EntryKind,
}

/// What a name in a folder stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link, or what else leads to another place.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// Why others may change what is in a folder although the folder it belongs to does not let them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Intrusion {
    /// Another user owns it.
    ForeignOwner,
    /// Its mode lets more users write than that of the uppermost folder.
    MoreWriters,
}

impl FolderHandle {
    /// Opens the folder at `path`, following links: a person named it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotADirectory`] when it is something else.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::FolderHandle::open(path).map(Self)
    }

    /// Describes the folder itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Opens a folder below this one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] and [`io::ErrorKind::NotADirectory`] as usual; an error that
    /// says so, of another kind, where a symbolic link is on the way ([`is_link`]).
    pub fn descend(&self, name: &str) -> io::Result<Self> {
        self.0.descend(name).map(Self)
    }

    /// Describes what is at `name`, without opening it.
    ///
    /// # Errors
    ///
    /// As [`descend`](Self::descend), also where `name` itself is a link.
    pub fn look_at(&self, name: &str) -> io::Result<Metadata> {
        self.0.look_at(name)
    }

    /// Opens a file for reading.
    ///
    /// # Errors
    ///
    /// As [`descend`](Self::descend), also where `name` itself is a link;
    /// [`io::ErrorKind::NotFound`] where it is no regular file. Never waits for a pipe's other end.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        if !self.look_at(name)?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        let file = self.0.open_file(name)?;
        // It may have been put in the other's place since.
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Opens a file of this folder to lock it, and leaves what is in it as it is.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file).
    pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
        if self.look_at(name)?.is_file() {
            self.0.open_to_lock(name)
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Makes a file that was not there in this folder, for writing.
    pub fn create_file(&self, name: &str, access: Access) -> io::Result<File> {
        self.0.create_file(name, access)
    }

    /// Makes a folder that was not there in this one.
    pub fn create_folder(&self, name: &str, access: Access) -> io::Result<()> {
        self.0.create_folder(name, access)
    }

    /// Lists all names in this folder, in the file system's order.
    pub fn entries(&self) -> io::Result<Vec<FolderEntry>> {
        self.0.entries()
    }

    /// Renames a file of this folder into another, in place of whatever file or link has the name.
    pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        self.0.rename(name, &to.0, new_name)
    }

    /// Gives a file of this folder a second name in another.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name.
    pub fn link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        self.0.link(name, &to.0, new_name)
    }

    /// Removes a file of this folder.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        self.0.remove_file(name)
    }

    /// Removes an empty folder of this one.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.0.remove_folder(name)
    }

    /// Waits until the names in this folder, as they are, would survive a crash of the machine.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// Tells whether users may write here whom the uppermost folder, `top`, does not let write
    /// there: others than its owner and the user of this process, or than the group that it is
    /// shared with. Windows has no modes to compare: there it is never said.
    pub fn intrusion(&self, top: &Metadata) -> io::Result<Option<Intrusion>> {
        Ok(system::intrusion(top, &self.metadata()?))
    }
}

/// Tells whether an error of a [`FolderHandle`] says that a symbolic link is in the way.
pub fn is_link(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<LinkInTheWay>())
}

/// A symbolic link where a folder or file should be.
#[derive(Debug, thiserror::Error)]
#[error("a symbolic link is in the way, and links are not followed here")]
struct LinkInTheWay;

fn link_in_the_way() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, LinkInTheWay)
}

#[cfg(unix)]
mod system {
    use super::{EntryKind, FolderEntry, Intrusion, link_in_the_way};
    use crate::platform::durable::{self, Access};
    use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags};
    use rustix::io::{Errno, retry_on_intr};
    use std::ffi::OsString;
    use std::fs::{File, Metadata};
    use std::io;
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    /// Opens what is there without reading it, waiting for it, or changing it.
    #[cfg(target_os = "linux")]
    const PLACE: OFlags = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    const PLACE: OFlags = OFlags::NONBLOCK;

    #[derive(Debug)]
    pub struct FolderHandle(File);

    impl FolderHandle {
        pub fn open(path: &Path) -> io::Result<Self> {
            let flags = PLACE | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = retry_on_intr(|| rustix::fs::openat(CWD, path, flags, Mode::empty()))?;
            Ok(Self(File::from(opened)))
        }

        pub fn metadata(&self) -> io::Result<Metadata> {
            self.0.metadata()
        }

        pub fn descend(&self, name: &str) -> io::Result<Self> {
            self.open_below(name, PLACE | OFlags::DIRECTORY).map(Self)
        }

        pub fn look_at(&self, name: &str) -> io::Result<Metadata> {
            let metadata = self.open_below(name, PLACE)?.metadata()?;
            // A system without O_NOFOLLOW on the last step of a place would show it here.
            if metadata.is_symlink() {
                Err(link_in_the_way())
            } else {
                Ok(metadata)
            }
        }

        pub fn open_file(&self, name: &str) -> io::Result<File> {
            self.open_below(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
        }

        pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
            self.open_below(name, OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY)
        }

        pub fn create_file(&self, name: &str, access: Access) -> io::Result<File> {
            let flags =
                OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mode = Mode::from_raw_mode(durable::file_mode(access));
            let opened = retry_on_intr(|| rustix::fs::openat(&self.0, name, flags, mode))?;
            Ok(File::from(opened))
        }

        pub fn create_folder(&self, name: &str, access: Access) -> io::Result<()> {
            let mode = Mode::from_raw_mode(durable::folder_mode(access));
            Ok(rustix::fs::mkdirat(&self.0, name, mode)?)
        }

        pub fn entries(&self) -> io::Result<Vec<FolderEntry>> {
            let mut listed = Vec::new();
            for entry in Dir::new(self.readable()?)? {
                let entry = entry?;
                let name = entry.file_name();
                if name == c"." || name == c".." {
                    continue;
                }
                let mut kind = entry.file_type();
                if kind == FileType::Unknown {
                    match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
                        Ok(found) => kind = FileType::from_raw_mode(found.st_mode),
                        Err(Errno::NOENT) => continue,
                        Err(error) => return Err(error.into()),
                    }
                }
                let kind = match kind {
                    FileType::RegularFile => EntryKind::File,
                    FileType::Directory => EntryKind::Folder,
                    FileType::Symlink => EntryKind::Link,
                    _ => EntryKind::Other,
                };
                let name = OsString::from_vec(name.to_bytes().to_vec());
                listed.push(FolderEntry { name, kind });
            }
            Ok(listed)
        }

        pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
            Ok(rustix::fs::renameat(&self.0, name, &to.0, new_name)?)
        }

        pub fn link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
            let flags = AtFlags::empty();
            Ok(rustix::fs::linkat(&self.0, name, &to.0, new_name, flags)?)
        }

        pub fn remove_file(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::empty())?)
        }

        pub fn remove_folder(&self, name: &str) -> io::Result<()> {
            Ok(rustix::fs::unlinkat(&self.0, name, AtFlags::REMOVEDIR)?)
        }

        pub fn sync(&self) -> io::Result<()> {
            durable::sync_opened_folder(&File::from(self.readable()?))
        }

        /// The same folder, opened so that it can be listed and flushed.
        fn readable(&self) -> io::Result<rustix::fd::OwnedFd> {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let open = || rustix::fs::openat(&self.0, ".", flags, Mode::empty());
            Ok(retry_on_intr(open)?)
        }

        fn open_below(&self, name: &str, flags: OFlags) -> io::Result<File> {
            let flags = flags | OFlags::CLOEXEC;
            #[cfg(target_os = "linux")]
            if let Some(opened) = self.open_in_one_step(name, flags) {
                return opened;
            }
            self.open_step_by_step(name, flags | OFlags::NOFOLLOW)
        }

        /// Lets the kernel refuse links (Linux 5.6, openat2(2)). Nothing where it cannot: an older
        /// kernel, or a container that forbids the call.
        ///
        /// Without O_NOFOLLOW: together with O_PATH it would open a link that stands last.
        #[cfg(target_os = "linux")]
        fn open_in_one_step(&self, name: &str, flags: OFlags) -> Option<io::Result<File>> {
            use rustix::fs::ResolveFlags;
            let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            let open = || rustix::fs::openat2(&self.0, name, flags, Mode::empty(), resolve);
            match retry_on_intr(open) {
                Ok(opened) => Some(Ok(File::from(opened))),
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => None,
                Err(Errno::LOOP) => Some(Err(link_in_the_way())),
                Err(error) => Some(Err(error.into())),
            }
        }

        pub(super) fn open_step_by_step(&self, name: &str, last: OFlags) -> io::Result<File> {
            let mut at: Option<File> = None;
            let mut steps = name.split('/').peekable();
            while let Some(step) = steps.next() {
                let from = at.as_ref().unwrap_or(&self.0);
                let flags = match steps.peek() {
                    Some(_) => PLACE | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
                    None => last,
                };
                let open = || rustix::fs::openat(from, step, flags, Mode::empty());
                match retry_on_intr(open) {
                    Ok(opened) => at = Some(File::from(opened)),
                    // What systems say of a link differs, and some say it of other things too.
                    Err(Errno::LOOP | Errno::MLINK | Errno::NOTDIR)
                        if rustix::fs::readlinkat(from, step, Vec::new()).is_ok() =>
                    {
                        return Err(link_in_the_way());
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            let opened = at.ok_or(io::ErrorKind::InvalidInput)?;
            // With O_PATH, Linux opens a link itself.
            if opened.metadata()?.is_symlink() {
                Err(link_in_the_way())
            } else {
                Ok(opened)
            }
        }
    }

    pub fn intrusion(top: &Metadata, below: &Metadata) -> Option<Intrusion> {
        const GROUP_WRITES: u32 = 0o020;
        const OTHERS_WRITE: u32 = 0o002;
        let is_shared = top.mode() & GROUP_WRITES != 0 && below.gid() == top.gid();
        let may_write = |bit: u32| below.mode() & bit != 0 && top.mode() & bit == 0;
        let foreign_group = below.mode() & GROUP_WRITES != 0 && below.gid() != top.gid();
        let ours = [top.uid(), rustix::process::geteuid().as_raw()].contains(&below.uid());
        if !ours && !is_shared && top.mode() & OTHERS_WRITE == 0 {
            Some(Intrusion::ForeignOwner)
        } else if may_write(OTHERS_WRITE) || may_write(GROUP_WRITES) || foreign_group {
            Some(Intrusion::MoreWriters)
        } else {
            None
        }
    }
}

#[cfg(windows)]
mod system {
    use super::{EntryKind, FolderEntry, Intrusion, link_in_the_way};
    use crate::platform::durable::{self, Access};
    use std::fs::{self, File, Metadata};
    use std::io;
    use std::path::{Path, PathBuf};

    #[derive(Debug)]
    pub struct FolderHandle(PathBuf);

    impl FolderHandle {
        pub fn open(path: &Path) -> io::Result<Self> {
            if fs::metadata(path)?.is_dir() {
                Ok(Self(path.to_owned()))
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }

        pub fn metadata(&self) -> io::Result<Metadata> {
            fs::metadata(&self.0)
        }

        pub fn descend(&self, name: &str) -> io::Result<Self> {
            if self.look_at(name)?.is_dir() {
                Ok(Self(self.0.join(name)))
            } else {
                Err(io::ErrorKind::NotADirectory.into())
            }
        }

        pub fn look_at(&self, name: &str) -> io::Result<Metadata> {
            let mut path = self.0.clone();
            let mut found = fs::metadata(&path)?;
            for step in name.split('/') {
                path.push(step);
                found = fs::symlink_metadata(&path)?;
                if found.is_symlink() {
                    return Err(link_in_the_way());
                }
            }
            Ok(found)
        }

        pub fn open_file(&self, name: &str) -> io::Result<File> {
            self.look_at(name)?;
            File::open(self.0.join(name))
        }

        pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
            self.look_at(name)?;
            File::options().write(true).open(self.0.join(name))
        }

        pub fn create_file(&self, name: &str, access: Access) -> io::Result<File> {
            durable::create_file(&self.0.join(name), access)
        }

        pub fn create_folder(&self, name: &str, access: Access) -> io::Result<()> {
            durable::create_folder(&self.0.join(name), access)
        }

        pub fn entries(&self) -> io::Result<Vec<FolderEntry>> {
            let mut listed = Vec::new();
            for entry in fs::read_dir(&self.0)? {
                let entry = entry?;
                let kind = match entry.file_type() {
                    Ok(kind) if kind.is_symlink() => EntryKind::Link,
                    Ok(kind) if kind.is_dir() => EntryKind::Folder,
                    Ok(kind) if kind.is_file() => EntryKind::File,
                    Ok(_) => EntryKind::Other,
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error),
                };
                let name = entry.file_name();
                listed.push(FolderEntry { name, kind });
            }
            Ok(listed)
        }

        pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
            fs::rename(self.0.join(name), to.0.join(new_name))
        }

        pub fn link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
            fs::hard_link(self.0.join(name), to.0.join(new_name))
        }

        pub fn remove_file(&self, name: &str) -> io::Result<()> {
            fs::remove_file(self.0.join(name))
        }

        pub fn remove_folder(&self, name: &str) -> io::Result<()> {
            fs::remove_dir(self.0.join(name))
        }

        pub fn sync(&self) -> io::Result<()> {
            durable::sync_folder(&self.0)
        }
    }

    pub fn intrusion(_top: &Metadata, _below: &Metadata) -> Option<Intrusion> {
        None
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{EntryKind, FolderHandle, Intrusion, is_link};
    use crate::platform::durable::Access;
    use rustix::fs::OFlags;
    use std::fs;
    use std::io::{self, ErrorKind};
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    /// `there/` holds `a/b/file`, and links that lead to the same things in `elsewhere/`.
    fn linked() -> (tempfile::TempDir, FolderHandle) {
        let room = tempfile::tempdir().expect("a folder");
        let at = |path: &str| room.path().join(path);
        fs::create_dir_all(at("there/a/b")).expect("made");
        fs::create_dir_all(at("elsewhere/b")).expect("made");
        fs::write(at("there/a/b/file"), "ours").expect("written");
        fs::write(at("elsewhere/b/file"), "theirs").expect("written");
        symlink(at("elsewhere"), at("there/linked")).expect("linked");
        symlink("a", at("there/inside")).expect("linked");
        symlink(at("elsewhere/b/file"), at("there/a/b/link")).expect("linked");
        symlink("nowhere", at("there/a/dangling")).expect("linked");
        let folder = FolderHandle::open(&at("there")).expect("opened");
        (room, folder)
    }

    fn refuses<T>(result: io::Result<T>) -> bool {
        result.is_err_and(|error| is_link(&error))
    }

    #[test]
    fn a_link_is_refused_wherever_it_stands() {
        let (_room, folder) = linked();
        for name in [
            "linked",
            "inside",
            "linked/b",
            "inside/b",
            "a/b/link",
            "a/dangling",
        ] {
            assert!(refuses(folder.descend(name)), "descend {name}");
            assert!(refuses(folder.look_at(name)), "look_at {name}");
            assert!(refuses(folder.open_file(name)), "open_file {name}");
        }
        for name in ["linked/b/file", "inside/b/file", "a/b/link", "a/dangling"] {
            assert!(refuses(folder.open_file(name)), "open_file {name}");
            let opened = folder
                .0
                .open_step_by_step(name, OFlags::RDONLY | OFlags::NOFOLLOW);
            assert!(refuses(opened), "step by step {name}");
            let opened = folder
                .0
                .open_step_by_step(name, OFlags::PATH | OFlags::NOFOLLOW);
            assert!(refuses(opened), "step by step {name}");
        }
        assert_eq!(read(&folder, "a/b/file"), "ours");
        let kind = |name: &str| folder.descend(name).expect_err("refused").kind();
        assert_eq!(
            [kind("none"), kind("a/b/file")],
            [ErrorKind::NotFound, ErrorKind::NotADirectory]
        );
    }

    fn read(folder: &FolderHandle, name: &str) -> String {
        io::read_to_string(folder.open_file(name).expect("opened")).expect("read")
    }

    #[test]
    fn what_is_changed_is_changed_here_and_a_link_is_replaced_itself() {
        let (room, folder) = linked();
        let b = folder.descend("a/b").expect("opened");
        b.create_file("link", Access::private())
            .expect_err("a link has the name");
        drop(b.create_file("new", Access::private()).expect("made"));
        b.rename("new", &b, "link").expect("renamed");
        assert_eq!(read(&folder, "a/b/link"), "");
        let theirs = room.path().join("elsewhere/b/file");
        assert_eq!(fs::read_to_string(&theirs).expect("there"), "theirs");
        folder.remove_file("linked").expect("the link itself");
        assert!(theirs.exists());
        assert_eq!(
            folder.remove_folder("a").expect_err("not empty").kind(),
            ErrorKind::DirectoryNotEmpty
        );
    }

    #[test]
    fn a_listing_tells_links_from_what_they_point_to() {
        let (_room, folder) = linked();
        let mut listed: Vec<_> = folder.entries().expect("listed");
        listed.sort_by(|left, right| left.name.cmp(&right.name));
        let kinds: Vec<_> = listed.iter().map(|entry| entry.kind).collect();
        assert_eq!(kinds, [EntryKind::Folder, EntryKind::Link, EntryKind::Link]);
        let dev = FolderHandle::open(Path::new("/dev")).expect("opened");
        let null = dev
            .entries()
            .expect("listed")
            .into_iter()
            .find(|entry| entry.name == "null");
        assert_eq!(null.expect("there").kind, EntryKind::Other);
        assert_eq!(
            dev.open_file("null").expect_err("no file").kind(),
            ErrorKind::NotFound
        );
    }

    #[test]
    fn a_folder_tells_who_may_write_in_it_besides_those_who_may_above() {
        let room = tempfile::tempdir().expect("a folder");
        let top = FolderHandle::open(room.path()).expect("opened");
        top.create_folder("below", Access::private()).expect("made");
        let below = top.descend("below").expect("opened");
        let mut seen = Vec::new();
        for (above, mode) in [
            (0o700, 0o700),
            (0o700, 0o770),
            (0o700, 0o707),
            (0o770, 0o770),
        ] {
            fs::set_permissions(room.path(), fs::Permissions::from_mode(above)).expect("set");
            let path = room.path().join("below");
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
            let top = top.metadata().expect("there");
            seen.push(below.intrusion(&top).expect("there"));
        }
        let more = Some(Intrusion::MoreWriters);
        assert_eq!(seen, [None, more, more, None]);
    }
}

//! Folders of our own making, which other users may have written to.

mod entry;
#[cfg(unix)]
#[path = "unix.rs"]
mod system;
#[cfg(windows)]
#[path = "windows.rs"]
mod system;

pub use entry::{EntryKind, FolderEntry, Intrusion, is_link};

use super::durable::Sharing;
use std::fs::{File, Metadata};
use std::io;
use std::path::Path;

/// An open folder. Everything below it is reached through it, one name at a time, and never through
/// a symbolic link: a link in the way is an error.
///
/// Names are components joined by `/`; none of them is `.` or `..`. On Windows each step is looked
/// at before it is taken. So a link is refused there too, but not one that is made in between.
#[derive(Debug)]
pub struct FolderHandle(system::OpenFolder);

impl FolderHandle {
    /// Opens the folder at `path`. Follows links, as a person named the path.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotADirectory`] for anything but a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        system::OpenFolder::open(path).map(Self)
    }

    /// Returns the metadata of the folder itself.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// Opens a folder below this one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::NotFound`] and [`io::ErrorKind::NotADirectory`] as usual. An error that
    /// [`is_link`] recognises where a symbolic link is in the way.
    pub fn descend(&self, name: &str) -> io::Result<Self> {
        self.0.descend(name).map(Self)
    }

    /// Returns the metadata of the entry at `name`, without opening it.
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
    /// [`io::ErrorKind::NotFound`] where it is no regular file. Never waits for the other end of a
    /// pipe.
    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.expect_file(name)?;
        regular(self.0.open_file(name)?)
    }

    /// Opens a file for reading, so that its times can be set as well.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file).
    pub fn open_to_touch(&self, name: &str) -> io::Result<File> {
        self.expect_file(name)?;
        regular(self.0.open_to_touch(name)?)
    }

    /// Opens a file of this folder to lock it, and leaves its content alone.
    ///
    /// # Errors
    ///
    /// As [`open_file`](Self::open_file).
    pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
        self.expect_file(name)?;
        self.0.open_to_lock(name)
    }

    /// Fails where `name` is no regular file.
    fn expect_file(&self, name: &str) -> io::Result<()> {
        if self.look_at(name)?.is_file() {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Makes a new file in this folder and opens it for writing.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name.
    pub fn create_file(&self, name: &str, sharing: Sharing) -> io::Result<File> {
        self.0.create_file(name, sharing)
    }

    /// Makes a new folder in this one.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name.
    pub fn create_folder(&self, name: &str, sharing: Sharing) -> io::Result<()> {
        self.0.create_folder(name, sharing)
    }

    /// Lists all names in this folder, in the file system's order.
    pub fn entries(&self) -> io::Result<Vec<FolderEntry>> {
        let mut listed = Vec::new();
        self.each(&mut |entry| {
            listed.push(entry);
            Ok(())
        })?;
        Ok(listed)
    }

    /// Hands over each name in this folder, in the file system's order, until `found` fails.
    pub fn each(&self, found: &mut dyn FnMut(FolderEntry) -> io::Result<()>) -> io::Result<()> {
        self.0.each(found)
    }

    /// Renames a file of this folder into the folder `to`, in place of any file or link that has
    /// the name.
    pub fn rename(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        self.0.rename(name, &to.0, new_name)
    }

    /// Gives a file of this folder a second name in the folder `to`.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] when anything has the name.
    pub fn link(&self, name: &str, to: &Self, new_name: &str) -> io::Result<()> {
        self.0.link(name, &to.0, new_name)
    }

    /// Removes a file or a link of this folder, and not what the link points to.
    pub fn remove_file(&self, name: &str) -> io::Result<()> {
        self.0.remove_file(name)
    }

    /// Removes an empty folder in this one.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        self.0.remove_folder(name)
    }

    /// Waits until the names in this folder would survive a crash of the machine.
    pub fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }

    /// Returns why users can write here that cannot write to the uppermost folder, `top`. Its
    /// owner, the user of this process and the group that `top` is shared with may. Always `None`
    /// on Windows, which has no modes to compare.
    pub fn intrusion(&self, top: &Metadata) -> io::Result<Option<Intrusion>> {
        Ok(system::intrusion(top, &self.metadata()?))
    }
}

/// Fails for anything but a regular file: another entry may have taken its place since it was
/// looked at.
fn regular(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::{EntryKind, FolderHandle, Intrusion, is_link};
    use crate::platform::durable::Sharing;
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
    fn a_change_hits_this_folder_and_replaces_a_link_itself() {
        let (room, folder) = linked();
        let b = folder.descend("a/b").expect("opened");
        b.create_file("link", Sharing::private())
            .expect_err("a link has the name");
        drop(b.create_file("new", Sharing::private()).expect("made"));
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
    fn a_listing_tells_links_from_files_and_folders() {
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
    fn a_folder_is_compared_with_the_one_above_for_users_that_may_write() {
        let room = tempfile::tempdir().expect("a folder");
        let top = FolderHandle::open(room.path()).expect("opened");
        top.create_folder("below", Sharing::private())
            .expect("made");
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

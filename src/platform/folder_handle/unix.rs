//! Folders as directory handles, in which the kernel follows no link.

use super::entry::{EntryKind, FolderEntry, Intrusion, link_in_the_way};
use crate::platform::durable::{self, Sharing};
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
pub struct OpenFolder(File);

impl OpenFolder {
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
        // A system that ignores O_NOFOLLOW on the last step of a place shows the link here.
        if metadata.is_symlink() {
            Err(link_in_the_way())
        } else {
            Ok(metadata)
        }
    }

    pub fn open_file(&self, name: &str) -> io::Result<File> {
        self.open_below(name, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    pub fn open_to_touch(&self, name: &str) -> io::Result<File> {
        self.open_file(name)
    }

    pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
        self.open_below(name, OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY)
    }

    pub fn create_file(&self, name: &str, sharing: Sharing) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(durable::file_mode(sharing));
        let opened = retry_on_intr(|| rustix::fs::openat(&self.0, name, flags, mode))?;
        Ok(File::from(opened))
    }

    pub fn create_folder(&self, name: &str, sharing: Sharing) -> io::Result<()> {
        let mode = Mode::from_raw_mode(durable::folder_mode(sharing));
        Ok(rustix::fs::mkdirat(&self.0, name, mode)?)
    }

    pub fn each(&self, found: &mut dyn FnMut(FolderEntry) -> io::Result<()>) -> io::Result<()> {
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
            found(FolderEntry { name, kind })?;
        }
        Ok(())
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

    /// Opens the same folder again, so that it can be listed and flushed.
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

    /// Has the kernel refuse links (Linux 5.6, openat2(2)). Returns `None` where it cannot: an
    /// older kernel, or a container that forbids the call.
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
                // Systems differ in the error for a link, and some return it for other entries too.
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

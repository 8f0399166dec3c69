//! Folders as paths: the standard library has no directory handles here. Each step is looked at
//! before it is taken.

use super::entry::{EntryKind, FolderEntry, Intrusion, link_in_the_way};
use crate::platform::durable::{self, Sharing};
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct OpenFolder(PathBuf);

impl OpenFolder {
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

    /// Setting the time takes the right to write here.
    pub fn open_to_touch(&self, name: &str) -> io::Result<File> {
        self.look_at(name)?;
        File::options()
            .read(true)
            .write(true)
            .open(self.0.join(name))
    }

    pub fn open_to_lock(&self, name: &str) -> io::Result<File> {
        self.look_at(name)?;
        File::options().write(true).open(self.0.join(name))
    }

    pub fn create_file(&self, name: &str, sharing: Sharing) -> io::Result<File> {
        durable::create_file(&self.0.join(name), sharing)
    }

    pub fn create_folder(&self, name: &str, sharing: Sharing) -> io::Result<()> {
        durable::create_folder(&self.0.join(name), sharing)
    }

    pub fn each(&self, found: &mut dyn FnMut(FolderEntry) -> io::Result<()>) -> io::Result<()> {
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
            found(FolderEntry { name, kind })?;
        }
        Ok(())
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

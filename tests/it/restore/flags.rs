//! Inode flags and birth times, from a source to a target.

use super::{fresh, is_root};
use crate::support::{backup, reading, scratch};
use freezer::model::progress::Collected;
use freezer::model::{Cancel, InodeFlags, Name, TreePath};
use freezer::platform::DirHandle;
use freezer::restore::{Options, restore};
use freezer::store::memory::MemoryStore;
use std::fs;
use std::path::Path;
use std::sync::Arc;

const NO_DUMP: u32 = 0x40;

/// Sets the flags of a file or a directory. Returns false where the file system has none.
fn set(path: &Path, flags: u32) -> bool {
    let folder = DirHandle::open(path.parent().expect("a folder")).expect("opened");
    let name = path.file_name().expect("a name").as_encoded_bytes();
    let name = Name::new(name).expect("legal");
    let done = match folder.open_child(&name) {
        Ok(directory) => directory.set_inode_flags(InodeFlags(flags)),
        Err(_) => folder
            .open_file(&name)
            .and_then(|file| file.set_inode_flags(InodeFlags(flags))),
    };
    match done {
        Ok(()) => true,
        Err(error) => {
            let known = [Some(libc_errno::NOTTY), Some(libc_errno::NOT_SUPPORTED)];
            assert!(known.contains(&error.raw_os_error()), "{error}");
            false
        }
    }
}

/// What file systems say that have no flags.
mod libc_errno {
    pub const NOTTY: i32 = 25;
    pub const NOT_SUPPORTED: i32 = 95;
}

fn flags_of(path: &Path) -> Option<InodeFlags> {
    let folder = DirHandle::open(path.parent().expect("a folder")).expect("opened");
    let name = path.file_name().expect("a name").as_encoded_bytes();
    let name = Name::new(name).expect("legal");
    match folder.open_child(&name) {
        Ok(directory) => directory.inode_flags().expect("read"),
        Err(_) => folder
            .open_file(&name)
            .expect("opened")
            .inode_flags()
            .expect("read"),
    }
}

#[test]
fn flags_come_back_last_and_only_root_makes_files_immutable() {
    let source = scratch();
    let at = |name: &str| source.path().join(name);
    fs::create_dir(at("directory")).expect("made");
    for name in ["directory/in it", "fixed", "no dump", "plain"] {
        fs::write(at(name), name).expect("written");
    }
    fs::hard_link(at("fixed"), at("fixed too")).expect("linked");
    if !set(&at("no dump"), NO_DUMP) {
        return;
    }
    let mut expected = vec![("no dump", NO_DUMP), ("directory", NO_DUMP)];
    if is_root() {
        assert!(set(&at("fixed"), InodeFlags::IMMUTABLE));
        assert!(set(&at("directory"), NO_DUMP | InodeFlags::APPEND_ONLY));
        expected[1].1 |= InodeFlags::APPEND_ONLY;
        expected.push(("fixed", InodeFlags::IMMUTABLE));
        expected.push(("fixed too", InodeFlags::IMMUTABLE));
    } else {
        assert!(set(&at("directory"), NO_DUMP));
    }
    let access = backup::create_encrypted(Arc::new(MemoryStore::default()));
    let report = backup::back_up(&access, &[source.path()], |_| {});
    let level = report.manifest.id;
    let view = reading::open(&access, &backup::name(), &level, &reading::reader()).expect("open");
    for (name, flags) in &expected {
        let path = TreePath::parse(name.as_bytes()).expect("legal");
        let (_, entry) = view.lookup(&path).expect("read").expect("there");
        let extensions = entry.metadata.extensions;
        assert_eq!(extensions.inode_flags, Some(InodeFlags(*flags)), "{name}");
        let made = fs::metadata(at(name)).expect("there").created().ok();
        assert_eq!(extensions.birth.is_some(), made.is_some(), "{name}");
    }
    let (_folder, target) = fresh();
    let progress = Collected::default();
    let options = Options::default();
    restore(&view, &[], &target, &options, &progress, &Cancel::new()).expect("restored");
    let is_supported = set(&target.join("plain"), NO_DUMP);
    let troubles = progress.told().troubles;
    for (name, flags) in &expected {
        let found = flags_of(&target.join(name));
        if is_supported {
            assert_eq!(found, Some(InodeFlags(*flags)), "{name}");
        } else {
            let is_told = |trouble: &String| trouble.starts_with(name);
            assert!(troubles.iter().any(is_told), "{name}: {troubles:?}");
        }
    }
    // They cannot be removed otherwise.
    for place in [source.path(), &target] {
        for name in ["fixed", "directory"] {
            set(&place.join(name), NO_DUMP);
        }
    }
}

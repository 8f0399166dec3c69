//! Trees on disk: a torture tree, and reading any tree into what can be stored.

use super::stored_tree::Planned;
use freezer::model::{Content, Device, Entry, Metadata, NodeId, Owner, Time, TreePath, Xattr};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, SeekFrom, Stat};
use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// Reads a tree with everything in it, in index order.
pub fn read_tree(root: &Path) -> Vec<Planned> {
    let mut reader = TreeReader { planned: Vec::new(), links: HashMap::new() };
    reader.push(root, TreePath::root());
    reader.directory(root, &TreePath::root());
    reader.planned
}

struct TreeReader {
    planned: Vec<Planned>,
    /// The first name of files with several.
    links: HashMap<(u64, u64), NodeId>,
}

impl TreeReader {
    fn directory(&mut self, on_disk: &Path, path: &TreePath) {
        let mut names: Vec<_> = fs::read_dir(on_disk).expect("listed").map(|entry| entry.expect("listed").file_name().into_vec()).collect();
        names.sort();
        let mut directories = Vec::new();
        for name in names {
            let child = path.join(&freezer::model::Name::new(name.as_slice()).expect("a legal name"));
            let on_disk = on_disk.join(OsStr::from_bytes(&name));
            if self.push(&on_disk, child.clone()) {
                directories.push((on_disk, child));
            }
        }
        for (on_disk, path) in directories {
            self.directory(&on_disk, &path);
        }
    }

    /// Returns whether it is a directory.
    fn push(&mut self, on_disk: &Path, path: TreePath) -> bool {
        let stat = rustix::fs::lstat(on_disk).expect("stat");
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut data = Vec::new();
        let content = match kind {
            FileType::RegularFile => {
                data = read_data(on_disk, &stat);
                Content::File { size: u64::try_from(stat.st_size).expect("not negative"), extents: Vec::new() }
            }
            FileType::Directory => Content::Directory,
            FileType::Symlink => Content::Symlink(rustix::fs::readlink(on_disk, Vec::new()).expect("a link").into_bytes().into()),
            FileType::Fifo => Content::Fifo,
            FileType::CharacterDevice => Content::CharDevice(device(&stat)),
            FileType::BlockDevice => Content::BlockDevice(device(&stat)),
            other => panic!("{other:?} cannot be stored"),
        };
        let time = |seconds, nanoseconds: u64| Time::new(seconds, u32::try_from(nanoseconds).expect("below a second"));
        let metadata = Metadata {
            mode: stat.st_mode & 0o7777,
            owner: Owner { uid: stat.st_uid, gid: stat.st_gid, ..Owner::default() },
            mtime: time(stat.st_mtime, stat.st_mtime_nsec),
            ctime: time(stat.st_ctime, stat.st_ctime_nsec),
            device: stat.st_dev,
            inode: stat.st_ino,
            links: u32::try_from(stat.st_nlink).expect("few"),
            blocks: u64::try_from(stat.st_blocks).expect("not negative"),
            xattrs: xattrs(on_disk),
        };
        let node = NodeId(self.planned.len() as u64);
        let is_directory = kind == FileType::Directory;
        let link_to = if stat.st_nlink > 1 && !is_directory {
            let first = *self.links.entry((stat.st_dev, stat.st_ino)).or_insert(node);
            (first != node).then_some(first)
        } else {
            None
        };
        self.planned.push(Planned { entry: Entry { path, metadata, content, link_to }, data });
        is_directory
    }
}

fn device(stat: &Stat) -> Device {
    Device { major: rustix::fs::major(stat.st_rdev), minor: rustix::fs::minor(stat.st_rdev) }
}

fn read_data(path: &Path, stat: &Stat) -> Vec<(u64, Vec<u8>)> {
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).expect("opened");
    let mut pieces = Vec::new();
    let mut at = 0;
    while let Ok(begin) = rustix::fs::seek(&file, SeekFrom::Data(at)) {
        let end = rustix::fs::seek(&file, SeekFrom::Hole(begin)).expect("data ends");
        // Pieces of some length, as the archive would not hold a large file in memory either.
        let mut from = begin;
        while from < end {
            let mut piece = vec![0; usize::try_from((end - from).min(4 << 20)).expect("small")];
            let mut filled = 0;
            while filled < piece.len() {
                filled += match rustix::io::pread(&file, &mut piece[filled..], from + filled as u64).expect("read") {
                    0 => panic!("{} ended early", path.display()),
                    length => length,
                };
            }
            from += piece.len() as u64;
            pieces.push((from - piece.len() as u64, piece));
        }
        at = end;
    }
    assert!(at <= u64::try_from(stat.st_size).expect("not negative"));
    pieces
}

fn xattrs(path: &Path) -> Vec<Xattr> {
    let mut names = vec![0; 65536];
    let length = rustix::fs::llistxattr(path, &mut names[..]).expect("listed");
    let mut xattrs: Vec<Xattr> = names[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(path, name, &mut value[..]).expect("read");
            Xattr { name: name.into(), value: value[..length].into() }
        })
        .collect();
    xattrs.sort_by(|a, b| a.name.cmp(&b.name));
    xattrs
}

/// Bytes that no compressor makes shorter.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Makes a tree with one of everything that a Linux file system can hold. As root it has devices, owners and
/// capabilities too.
pub fn torture_tree(root: &Path) {
    let at = |name: &[u8]| root.join(OsStr::from_bytes(name));
    let write = |name: &[u8], data: &[u8]| fs::write(at(name), data).expect("written");
    fs::create_dir(at(b"empty directory")).expect("made");
    fs::create_dir_all(at(b"deep/").join("directory ".repeat(20)).join("x".repeat(255)).join("y")).expect("made");
    for name in [&b"plain"[..], b" leading space", b"new\nline", b"\xff\xfe not UTF-8", b"-dash", b"caf\xc3\xa9", b"\x01control"] {
        write(name, name);
    }
    write(&[b'n'; 255], b"the longest name");
    write(b"empty", b"");
    write(b"big", &noise(1, 5_000_000));
    write(b"text", "to be or not to be\n".repeat(100_000).as_bytes());
    for number in 0..300 {
        write(format!("many {number:04}").as_bytes(), format!("content {number}").repeat(number).as_bytes());
    }
    for (name, mode) in [("setuid", 0o4755), ("setgid", 0o2755), ("unreadable", 0o000), ("everything", 0o7777)] {
        write(name.as_bytes(), b"mode");
        rustix::fs::chmod(at(name.as_bytes()), Mode::from_raw_mode(mode)).expect("mode set");
    }
    fs::create_dir(at(b"sticky")).expect("made");
    rustix::fs::chmod(at(b"sticky"), Mode::from_raw_mode(0o1777)).expect("mode set");

    std::os::unix::fs::symlink("plain", at(b"link")).expect("linked");
    std::os::unix::fs::symlink(OsStr::from_bytes(&[b'l'; 4095]), at(b"long link")).expect("linked");
    std::os::unix::fs::symlink("nowhere/at all", at(b"dangling")).expect("linked");
    fs::hard_link(at(b"plain"), at(b"hard link")).expect("linked");
    fs::hard_link(at(b"big"), at(b"deep/big again")).expect("linked");
    fs::hard_link(at(b"plain"), at(b"deep/plain again")).expect("linked");

    sparse(&at(b"sparse"), &[(0, 4096), (1 << 20, 100_000), (64 << 20, 4096)], (64 << 20) + 8192);
    sparse(&at(b"hole at the start"), &[(8 << 20, 4096)], (8 << 20) + 4096);
    sparse(&at(b"nothing but a hole"), &[], 10 << 20);

    rustix::fs::mknodat(CWD, at(b"fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0).expect("made");
    xattr(&at(b"plain"), "user.comment", b"a comment");
    xattr(&at(b"plain"), "user.empty", b"");
    xattr(&at(b"text"), "user.large", &noise(2, 2000));
    xattr(&at(b"empty directory"), "user.of a directory", b"\0\xff");
    if rustix::process::geteuid().is_root() {
        rustix::fs::mknodat(CWD, at(b"character device"), FileType::CharacterDevice, Mode::from_raw_mode(0o600), rustix::fs::makedev(5, 1))
            .expect("made");
        rustix::fs::mknodat(CWD, at(b"block device"), FileType::BlockDevice, Mode::from_raw_mode(0o660), rustix::fs::makedev(259, 70_000))
            .expect("made");
        std::os::unix::fs::lchown(at(b"many 0001"), Some(12345), Some(54321)).expect("owner set");
        std::os::unix::fs::lchown(at(b"link"), Some(4_000_000_000), Some(1)).expect("owner set");
        // cap_net_raw+ep, version 2.
        xattr(&at(b"many 0002"), "security.capability", &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        xattr(&at(b"many 0003"), "trusted.secret", b"for root");
    }
    // user::rw-, user:7:r--, group::r--, mask::r--, other::---
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255,
        255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];
    xattr(&at(b"many 0004"), "system.posix_acl_access", &acl);
    xattr(&at(b"empty directory"), "system.posix_acl_default", &acl);

    let times = [
        (b"text".as_slice(), -1, 999_999_999),
        (b"empty", -5_000_000_000, 1),
        (b"long link", 4_294_967_297, 123_456_789),
        (b"sticky", 0, 0),
        (b"big", 1, 1),
    ];
    for (name, seconds, nanoseconds) in times {
        let time = rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        rustix::fs::utimensat(CWD, at(name), &times, AtFlags::SYMLINK_NOFOLLOW).expect("time set");
    }
}

fn xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty())
        .unwrap_or_else(|error| panic!("{name} of {}: {error}", path.display()));
}

fn sparse(path: &Path, pieces: &[(u64, usize)], size: u64) {
    let file = fs::File::create(path).expect("made");
    for (at, length) in pieces {
        std::os::unix::fs::FileExt::write_all_at(&file, &noise(*at, *length), *at).expect("written");
    }
    file.set_len(size).expect("extended");
}

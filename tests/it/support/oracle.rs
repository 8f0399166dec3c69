//! Whether two trees are the same: asked of rsync, and looked at for ourselves.
#![expect(clippy::disallowed_methods, reason = "the oracle is another program")]

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, openat, readlinkat, statat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fmt::Debug;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Asks rsync what it would change in `copy` to make it like `original`: one line each, none if
/// they are the same.
///
/// Looks at everything, contents included, except below `/giant`, which it would read whole, holes
/// too ([`differences`] looks there), and at sockets, which a backup does not hold.
pub fn rsync(original: &Path, copy: &Path) -> Vec<String> {
    let below = |path: &Path| [path.as_os_str().as_bytes(), b"/"].concat();
    let output = Command::new("rsync")
        .args([
            "-aHAXSnc",
            "--devices",
            "--specials",
            "--delete",
            "--itemize-changes",
            "--8-bit-output",
        ])
        .args(["--exclude=/giant", "--exclude=socket"])
        .arg(OsStr::from_bytes(&below(original)))
        .arg(OsStr::from_bytes(&below(copy)))
        .output()
        .expect("rsync runs");
    let mut lines: Vec<String> = lines_of(&output.stdout);
    lines.extend(lines_of(&output.stderr));
    if !output.status.success() {
        lines.push(format!("rsync ended with {}", output.status));
    }
    lines
}

fn lines_of(output: &[u8]) -> Vec<String> {
    output
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| line.escape_ascii().to_string())
        .collect()
}

/// What [`differences`] makes of holes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holes {
    /// Both files must have them at the same places.
    Same,
    /// A hole is as good as zeros.
    Zeros,
}

/// Compares two trees entry by entry: kind, mode, owners, times to the nanosecond, device numbers,
/// link targets, extended attributes, which names are one file, size, content. Sockets count as
/// absent. One line for each difference, none if the trees are the same.
pub fn differences(original: &Path, copy: &Path, holes: Holes) -> Vec<String> {
    compare(&scan(original), &scan(copy), holes)
}

/// The same for trees that were looked at before.
pub fn compare(original: &Tree, copy: &Tree, holes: Holes) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, was) in original {
        let path_text = path.escape_ascii();
        let Some(is) = copy.get(path) else {
            lines.push(format!("{path_text}: missing"));
            continue;
        };
        let mut check = |what: &str, was: &dyn Debug, is: &dyn Debug| {
            let (was, is) = (format!("{was:?}"), format!("{is:?}"));
            if was != is {
                lines.push(format!("{path_text}: {what}: {was} became {is}"));
            }
        };
        check("kind", &was.kind, &is.kind);
        check(
            "mode",
            &format_args!("{:o}", was.mode),
            &format_args!("{:o}", is.mode),
        );
        check("owner", &(was.uid, was.gid), &(is.uid, is.gid));
        check("mtime", &was.mtime, &is.mtime);
        check("device number", &was.device, &is.device);
        check("target", &Bytes(&was.target), &Bytes(&is.target));
        check("links", &was.links, &is.links);
        check(
            "first name",
            &Bytes(&was.first_name),
            &Bytes(&is.first_name),
        );
        check("size", &was.size, &is.size);
        check("content", &was.content, &is.content);
        if holes == Holes::Same {
            check("data runs", &was.runs, &is.runs);
        }
        for (name, value) in &was.xattrs {
            let now = is.xattrs.get(name).map(|value| Bytes(value));
            check(
                &format!("xattr {}", name.escape_ascii()),
                &Some(Bytes(value)),
                &now,
            );
        }
        for (name, _) in is
            .xattrs
            .iter()
            .filter(|(name, _)| !was.xattrs.contains_key(*name))
        {
            lines.push(format!(
                "{path_text}: xattr {} appeared",
                name.escape_ascii()
            ));
        }
    }
    let new = copy.keys().filter(|path| !original.contains_key(*path));
    lines.extend(new.map(|path| format!("{}: appeared", path.escape_ascii())));
    lines
}

struct Bytes<'a>(&'a [u8]);

impl Debug for Bytes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "\"{}\"", self.0.escape_ascii())
    }
}

/// What a tree holds, by path without a leading slash; the root is the empty path.
pub type Tree = BTreeMap<Vec<u8>, Found>;

/// All of an entry that a copy of it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Regular file, directory and so on.
    pub kind: FileType,
    /// Permission bits with setuid, setgid and sticky.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Numbers of a device.
    pub device: (u32, u32),
    /// Target of a symbolic link.
    pub target: Vec<u8>,
    /// How many names it has; 0 for directories, whose number is the file system's affair.
    pub links: u64,
    /// The first of its names in the tree, in order of bytes.
    pub first_name: Vec<u8>,
    /// Length of a regular file.
    pub size: u64,
    /// Digest of a regular file's content, the same however its zeros are stored.
    pub content: String,
    /// Offset and length of each run of data in a regular file.
    pub runs: Vec<(u64, u64)>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// Looks at a whole tree. Works below a path of any length.
pub fn scan(root: &Path) -> Tree {
    let directory = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let opened = openat(rustix::fs::CWD, root, directory, Mode::empty())
        .unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut scan = Scan {
        tree: Tree::new(),
        names: HashMap::new(),
    };
    scan.entry(opened.as_fd(), b".", Vec::new());
    scan.directory(opened, Vec::new());
    // Names are met in the file system's order; the first is the first in the tree's order.
    let mut first_names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    for path in scan.tree.keys() {
        first_names
            .entry(scan.names[path])
            .or_insert_with(|| path.clone());
    }
    for (path, found) in &mut scan.tree {
        found.first_name.clone_from(&first_names[&scan.names[path]]);
    }
    scan.tree
}

struct Scan {
    tree: Tree,
    /// Device and inode of each path.
    names: HashMap<Vec<u8>, (u64, u64)>,
}

impl Scan {
    fn directory(&mut self, directory: OwnedFd, path: Vec<u8>) {
        let listing = rustix::fs::Dir::read_from(&directory).expect("a directory lists");
        for entry in listing {
            let entry = entry.expect("a directory lists to its end");
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let child = if path.is_empty() {
                name.to_vec()
            } else {
                [&path, &b"/"[..], name].concat()
            };
            if self.entry(directory.as_fd(), name, child.clone()) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                self.directory(
                    openat(&directory, name, flags, Mode::empty()).expect("a directory opens"),
                    child,
                );
            }
        }
    }

    fn entry(&mut self, directory: BorrowedFd<'_>, name: &[u8], path: Vec<u8>) -> FileType {
        let shown = || path.escape_ascii().to_string();
        let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)
            .unwrap_or_else(|error| panic!("{}: stat: {error}", shown()));
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            return kind;
        }
        let is_device = matches!(kind, FileType::CharacterDevice | FileType::BlockDevice);
        let mut found = Found {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: (
                stat.st_mtime,
                u32::try_from(stat.st_mtime_nsec).expect("below a second"),
            ),
            device: if is_device {
                (
                    rustix::fs::major(stat.st_rdev),
                    rustix::fs::minor(stat.st_rdev),
                )
            } else {
                (0, 0)
            },
            target: Vec::new(),
            links: if kind == FileType::Directory {
                0
            } else {
                stat.st_nlink
            },
            first_name: Vec::new(),
            size: 0,
            content: String::new(),
            runs: Vec::new(),
            xattrs: xattrs(directory, name)
                .unwrap_or_else(|error| panic!("{}: xattrs: {error}", shown())),
        };
        match kind {
            FileType::Symlink => {
                found.target = readlinkat(directory, name, Vec::new())
                    .expect("a link reads")
                    .into_bytes()
            }
            FileType::RegularFile => {
                let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let file = openat(directory, name, flags, Mode::empty())
                    .unwrap_or_else(|error| panic!("{}: open: {error}", shown()));
                found.size = u64::try_from(stat.st_size).expect("a size");
                found.runs = runs(&file, found.size);
                found.content = content(&std::fs::File::from(file), &found.runs)
                    .unwrap_or_else(|error| panic!("{}: read: {error}", shown()));
            }
            _ => {}
        }
        self.names.insert(path.clone(), (stat.st_dev, stat.st_ino));
        self.tree.insert(path, found);
        kind
    }
}

/// Reads all extended attributes through the directory's descriptor: there is no call for devices
/// and links that takes one.
fn xattrs(directory: BorrowedFd<'_>, name: &[u8]) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut path = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
    path.push(OsStr::from_bytes(name));
    let mut list = vec![0; 65536];
    let length = match rustix::fs::llistxattr(&path, &mut list[..]) {
        Err(Errno::NOTSUP) => 0,
        other => other?,
    };
    let names = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 65536];
            let length = rustix::fs::lgetxattr(&path, name, &mut value[..])?;
            value.truncate(length);
            Ok((name.to_vec(), value))
        })
        .collect()
}

/// Where a file has data.
fn runs(file: &OwnedFd, size: u64) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Err(Errno::NXIO) => break,
            other => other.expect("SEEK_DATA works"),
        };
        at = rustix::fs::seek(file, SeekFrom::Hole(start)).expect("SEEK_HOLE works");
        runs.push((start, at - start));
    }
    runs
}

fn content(file: &std::fs::File, runs: &[(u64, u64)]) -> std::io::Result<String> {
    let mut digest = ContentDigest::default();
    let mut buffer = vec![0; 1 << 16];
    for (start, length) in runs {
        let mut at = *start;
        while at < start + length {
            let wanted = usize::try_from((start + length - at).min(1 << 16)).expect("small");
            let got = file.read_at(&mut buffer[..wanted], at)?;
            if got == 0 {
                return Err(std::io::Error::other(format!(
                    "ends at {at} although SEEK_DATA names bytes there"
                )));
            }
            digest.update(at, &buffer[..got]);
            at += got as u64;
        }
    }
    Ok(digest.finish())
}

/// Digest of the bytes of a file that are not 0 and of their places.
#[derive(Default)]
pub struct ContentDigest {
    hash: Sha256,
    /// Where the hashed run of non-zero bytes goes on.
    next: u64,
}

impl ContentDigest {
    /// Adds the bytes from `at`; pieces come in order.
    pub fn update(&mut self, mut at: u64, mut bytes: &[u8]) {
        while let Some(start) = bytes.iter().position(|byte| *byte != 0) {
            bytes = &bytes[start..];
            at += start as u64;
            let length = bytes
                .iter()
                .position(|byte| *byte == 0)
                .unwrap_or(bytes.len());
            if at != self.next {
                // A zero cannot stand in a run: it marks where the next one begins.
                self.hash.update([0]);
                self.hash.update(at.to_le_bytes());
            }
            self.hash.update(&bytes[..length]);
            self.next = at + length as u64;
            at = self.next;
            bytes = &bytes[length..];
        }
    }

    /// The digest in hexadecimal.
    pub fn finish(self) -> String {
        self.hash
            .finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

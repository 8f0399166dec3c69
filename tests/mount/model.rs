//! The random model that drives `View`, against a mount in the kernel.

use super::*;
use freezer::model::{Device, Kind, Time, TreePath};
use proptest::test_runner::{Config, TestRunner};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use support::random_tree::{
    ShownAttributes, ShownTree, check, random_reads, random_recipe, random_tree,
};

/// A mount, asked by the system calls that programs use.
struct Kernel<'show>(&'show Show);

impl Kernel<'_> {
    fn at(&self, path: &TreePath) -> PathBuf {
        let mount_point = self.0.mounted().mount_point();
        mount_point.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn seek(&self, file: &TreePath, to: SeekFrom) -> Option<u64> {
        let opened =
            rustix::fs::open(self.at(file), OFlags::RDONLY, Mode::empty()).expect("opened");
        match rustix::fs::seek(&opened, to) {
            Ok(offset) => Some(offset),
            Err(Errno::NXIO) => None,
            Err(error) => panic!("{file}: {error}"),
        }
    }
}

impl ShownTree for Kernel<'_> {
    fn attributes(&self, path: &TreePath) -> ShownAttributes {
        let stat = rustix::fs::lstat(self.at(path)).expect("there");
        let kind = match rustix::fs::FileType::from_raw_mode(stat.st_mode) {
            rustix::fs::FileType::RegularFile => Kind::File,
            rustix::fs::FileType::Directory => Kind::Directory,
            rustix::fs::FileType::Symlink => Kind::Symlink,
            rustix::fs::FileType::CharacterDevice => Kind::CharDevice,
            rustix::fs::FileType::Fifo => Kind::Fifo,
            other => panic!("{path}: a {other:?} was never stored"),
        };
        ShownAttributes {
            kind,
            mode: stat.st_mode & 0o7777,
            size: match kind {
                Kind::Directory => 0,
                _ => u64::try_from(stat.st_size).expect("a length"),
            },
            mtime: Time::new(
                stat.st_mtime,
                u32::try_from(stat.st_mtime_nsec).expect("nanoseconds"),
            ),
            numbers: (kind == Kind::CharDevice).then(|| Device {
                major: rustix::fs::major(stat.st_rdev),
                minor: rustix::fs::minor(stat.st_rdev),
            }),
        }
    }

    fn names(&self, directory: &TreePath) -> Vec<Vec<u8>> {
        let listed = fs::read_dir(self.at(directory)).expect("listed");
        listed
            .map(|entry| entry.expect("listed").file_name().as_bytes().to_vec())
            .collect()
    }

    fn link_target(&self, link: &TreePath) -> Vec<u8> {
        let target = fs::read_link(self.at(link)).expect("a link");
        target.as_os_str().as_bytes().to_vec()
    }

    fn xattrs(&self, path: &TreePath) -> Vec<Xattr> {
        let path = self.at(path);
        let mut names = vec![0; 4096];
        match rustix::fs::llistxattr(&path, &mut names[..]) {
            Ok(length) => names.truncate(length),
            // A mount says so once for a tree in which no entry has any.
            Err(Errno::OPNOTSUPP) => return Vec::new(),
            Err(error) => panic!("{}: {error}", path.display()),
        }
        let names = names.split_inclusive(|byte| *byte == 0);
        let value = |name: &[u8]| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::lgetxattr(&path, name, &mut value[..]).expect("read");
            value.truncate(length);
            value
        };
        names
            .map(|name| name.strip_suffix(&[0]).expect("it ends with a zero"))
            .map(|name| Xattr {
                name: name.into(),
                value: value(name).into(),
            })
            .collect()
    }

    fn read(&self, file: &TreePath, from: u64, length: usize) -> Vec<u8> {
        let opened = fs::File::open(self.at(file)).expect("opened");
        let mut buffer = vec![0xaa; length];
        let mut got = 0;
        while got < length {
            let at = from + got as u64;
            match opened.read_at(&mut buffer[got..], at).expect("read") {
                0 => break,
                more => got += more,
            }
        }
        buffer.truncate(got);
        buffer
    }

    fn next_data(&self, file: &TreePath, from: u64) -> Option<u64> {
        self.seek(file, SeekFrom::Data(from))
    }

    fn next_hole(&self, file: &TreePath, from: u64) -> Option<u64> {
        self.seek(file, SeekFrom::Hole(from))
    }
}

/// Mounts `cases` random trees one after the other, and compares each with what was stored.
fn check_mounts(cases: u32) {
    let strategy = (
        random_tree(),
        random_recipe(),
        0_usize..20_000,
        random_reads(),
    );
    let mut runner = TestRunner::new(Config {
        cases,
        failure_persistence: None,
        // Each step of shrinking is a mount.
        max_shrink_iters: 200,
        ..Config::default()
    });
    let result = runner.run(&strategy, |(planned, recipe, cache_bytes, reads)| {
        let stored = store(planned.clone(), recipe);
        let reader = support::stored_tree::reader(cache_bytes);
        let show = Show::new(Forest::of_tree(stored.view_through(&reader)));
        check(&planned, &reads, &Kernel(&show))
    });
    result.unwrap_or_else(|error| panic!("{error}"));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_shows_the_tree_that_was_stored() {
    check_mounts(24);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn nightly_mounts_show_the_trees_that_were_stored() {
    check_mounts(1000);
}

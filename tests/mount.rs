//! Real FUSE mounts: what the kernel and ordinary programs see of a point in time.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "oracles are ordinary programs, and they are started here")]

#[path = "it/support/mod.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;

use freezer::backup::{BlockOptions, Engine};
use freezer::catalog::names::{self, Folder};
use freezer::format::frame::{Compression, Protection};
use freezer::fs::fuse::Permissions;
use freezer::fs::mount::{self, Audience, MountError, MountOptions, Mounted};
use freezer::fs::points::{Forest, PointSource, SourceError};
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::{LevelId, StoreId, Xattr};
use freezer::store::faulty::Faulty;
use freezer::store::memory::Memory;
use freezer::store::{ObjectName, Store, Verb};
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use support::backup;
use support::oracle::{self, Holes};
use support::scratch;
use support::stored_tree::{Planned, Recipe, StoredTree};
use support::torture::{self, noise};

/// A mount in a directory of its own, unmounted when it goes.
struct Show {
    mounted: Option<Mounted>,
    /// Goes after the mount.
    _directory: tempfile::TempDir,
}

impl Show {
    fn new(forest: Forest) -> Self {
        Self::with(forest, |_| ())
    }

    fn with(forest: Forest, change: impl FnOnce(&mut MountOptions)) -> Self {
        let directory = scratch();
        let mut options = MountOptions::new(directory.path(), "test");
        change(&mut options);
        let mounted = mount::mount(&options, forest).expect("mounted");
        Self { mounted: Some(mounted), _directory: directory }
    }

    fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().expect("still there")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.mounted().mount_point().join(path)
    }

    fn counts(&self) -> HashMap<&'static str, u64> {
        self.mounted().counts().snapshot().into_iter().collect()
    }

    /// Waits until so many files in all were sent to the kernel unasked.
    fn wait_until_sent(&self, files: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.counts()["sent_ahead"] != files {
            assert!(Instant::now() < deadline, "{:?}", self.counts());
            thread::yield_now();
        }
    }

    /// Does something and says how many requests it cost.
    fn cost(&self, what: impl FnOnce()) -> u64 {
        let before = self.mounted().counts().answered();
        what();
        self.mounted().counts().answered() - before
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            mounted.unmount().expect("unmounted");
        }
    }
}

fn store(entries: impl IntoIterator<Item = Planned>, recipe: Recipe) -> StoredTree {
    StoredTree::write(Arc::new(Memory::default()), entries, recipe)
}

fn show(entries: impl IntoIterator<Item = Planned>) -> Show {
    Show::new(Forest::of_tree(store(entries, Recipe::default()).view()))
}

/// A real backup of a tree on disk, in a store in memory.
fn back_up(source: &Path, compression: Compression, encrypted: bool) -> View {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let access = if encrypted { backup::create_encrypted(store) } else { backup::create_plain(store) };
    let report = backup::back_up(&access, &[source], |request| {
        request.compression = compression;
        request.compression_level = compression.default_level();
    });
    let parts = ViewParts {
        manifest: report.manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup::name(),
    };
    View::open(parts, &support::stored_tree::reader(64 << 20)).expect("opened")
}

/// A tree with everything, and its mount.
fn show_everything() -> (tempfile::TempDir, Show) {
    let source = scratch();
    torture::build(source.path());
    let show = Show::new(Forest::of_tree(back_up(source.path(), Compression::Zstd, true)));
    (source, show)
}

/// Runs a program to its end and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).env("LC_ALL", "C").output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {} {errors}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("made by this test")
}

fn small_files(directories: usize, files: usize) -> Vec<Planned> {
    let mut tree = vec![Planned::directory("")];
    tree.extend((0..directories).map(|number| Planned::directory(&format!("d{number:03}"))));
    for directory in 0..directories {
        let content = |file: usize| format!("line {file} of directory {directory}\n").repeat(1 + file % 90);
        tree.extend((0..files).map(|file| Planned::file(&format!("d{directory:03}/f{file:04}"), content(file))));
    }
    tree
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_of_a_tree_with_everything_is_that_tree() {
    let source = scratch();
    torture::build(source.path());
    // What is not on the disk yet may take another number of blocks there.
    run("sync", &["-f", text(source.path())]);
    let expected = oracle::scan(source.path());
    let usage = |path: &Path| run("du", &["-s", "--block-size=1", text(path)]).split('\t').next().expect("a number").to_owned();
    for (compression, encrypted) in [(Compression::Zstd, true), (Compression::Gzip, false), (Compression::Xz, true)] {
        let show = Show::new(Forest::of_tree(back_up(source.path(), compression, encrypted)));
        let mount_point = show.mounted().mount_point();
        let differences = oracle::compare(&expected, &oracle::scan(mount_point), Holes::Same);
        assert!(differences.is_empty(), "{compression}:\n{}", differences.join("\n"));
        if compression == Compression::Zstd {
            assert_eq!(oracle::rsync(source.path(), mount_point), [""; 0]);
            assert_eq!(usage(source.path()), usage(mount_point));
        }
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_copy_out_of_the_mount_is_the_source_with_its_holes() {
    let (source, show) = show_everything();
    let target = scratch();
    run("cp", &["-a", &format!("{}/.", text(&show.at(""))), text(target.path())]);
    let differences = oracle::differences(source.path(), target.path(), Holes::Same);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn numbers_that_stat_shows_are_those_of_the_source() {
    let (source, show) = show_everything();
    for folder in ["", "links", "special", "sizes", "sparse", "times", "modes"] {
        for entry in fs::read_dir(source.path().join(folder)).expect("listed") {
            let entry = entry.expect("listed");
            let Ok(shown) = rustix::fs::lstat(show.at(folder).join(entry.file_name())) else {
                assert_eq!(entry.file_name(), "socket");
                continue;
            };
            let expected = rustix::fs::lstat(entry.path()).expect("stat");
            let numbers = |stat: &rustix::fs::Stat| {
                let times = [(stat.st_mtime, stat.st_mtime_nsec), (stat.st_ctime, stat.st_ctime_nsec)];
                // A directory's size is its file system's own.
                let size = if stat.st_mode & 0o170_000 == 0o040_000 { 0 } else { stat.st_size };
                ((stat.st_mode, stat.st_uid, stat.st_gid), (stat.st_nlink, size, stat.st_rdev, stat.st_blksize), times)
            };
            assert_eq!(numbers(&shown), numbers(&expected), "{}", entry.path().display());
        }
    }
    let shown = |path: &Path| fs::symlink_metadata(path).expect("there");
    let mut names = HashMap::<u64, Vec<PathBuf>>::new();
    for entry in fs::read_dir(source.path().join("links")).expect("listed") {
        let entry = entry.expect("listed");
        names.entry(entry.metadata().expect("known").ino()).or_default().push(entry.file_name().into());
    }
    let inode = |name: &PathBuf| shown(&show.at("links").join(name)).ino();
    let groups: Vec<u64> = names.values().map(|names| inode(&names[0])).collect();
    for names in names.values() {
        assert!(names.iter().all(|name| inode(name) == inode(&names[0])), "names of one file have different inodes: {names:?}");
    }
    assert_eq!(groups.iter().collect::<std::collections::HashSet<_>>().len(), groups.len(), "different files share an inode");
    assert_eq!(shown(&show.at("links/..")).ino(), 1);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn holes_are_found_with_seek_through_the_mount() {
    let (source, show) = show_everything();
    let mut files = 0;
    for folder in ["sparse", "giant", "sizes"] {
        let entries = fs::read_dir(source.path().join(folder)).expect("listed").map(|entry| entry.expect("listed").path());
        for path in entries.filter(|path| path.is_file()) {
            let name = path.strip_prefix(source.path()).expect("below it");
            let open = |root: &Path| rustix::fs::open(root.join(name), OFlags::RDONLY, Mode::empty()).expect("opened");
            let (expected, shown) = (open(source.path()), open(show.mounted().mount_point()));
            let size = fs::metadata(&path).expect("there").len();
            for from in [0, 1, 4095, 4096, 8192, 1 << 20, (1 << 20) + 1, 8 << 20, size.saturating_sub(1), size, size + 1] {
                let data = |file| rustix::fs::seek(file, SeekFrom::Data(from));
                let hole = |file| rustix::fs::seek(file, SeekFrom::Hole(from));
                assert_eq!(data(&shown), data(&expected), "data of {} from {from}", name.display());
                assert_eq!(hole(&shown), hole(&expected), "hole of {} from {from}", name.display());
            }
            files += 1;
        }
    }
    assert!(files > 10);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_file_of_many_gigabytes_is_as_long_as_it_was() {
    let size = 20 << 30;
    let content = freezer::model::Content::File { size, extents: Vec::new() };
    let mut file = Planned::new("disk", Default::default(), content);
    file.data = vec![(0, b"begin".to_vec()), (size - 3, b"end".to_vec())];
    let show = show([Planned::directory(""), file]);
    let disk = fs::File::open(show.at("disk")).expect("opened");
    let mut buffer = [1; 10];
    assert_eq!(disk.read_at(&mut buffer, size - 7).expect("read"), 7);
    assert_eq!(&buffer, b"\0\0\0\0end\x01\x01\x01");
    assert_eq!(disk.metadata().expect("known").len(), size);
    assert_eq!(rustix::fs::seek(&disk, SeekFrom::Data(10)), Ok(size - 3));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_listing_with_attributes_costs_no_request_the_second_time_and_few_the_first() {
    let (directories, files) = (20, 100);
    let show = show(small_files(directories, files));
    let root = show.at("");
    let list = || assert_eq!(run("ls", &["-lR", text(&root)]).lines().filter(|line| line.contains(" f")).count(), directories * files);
    let first = show.cost(list);
    // A directory of 100 entries takes two answers: one with entries, one that there are no more. Then one or two for all:
    // the root's attributes, and that there are no extended attributes.
    assert!(first <= 3 * directories as u64 + 10, "{first} requests: {:?}", show.counts());
    assert_eq!(show.cost(list), 0, "{:?}", show.counts());
    let counts = show.counts();
    assert!(counts["lookup"] <= 2 && counts["opendir"] <= 1 && counts["getxattr"] + counts["listxattr"] <= 2, "{counts:?}");
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_copy_costs_at_most_one_request_for_each_small_file_and_a_second_reading_none() {
    let (directories, files) = (10, 100);
    let show = show(small_files(directories, files));
    let root = show.at("");
    let target = scratch();
    let copy = show.cost(|| {
        run("cp", &["-a", text(&root), text(&target.path().join("copy"))]);
    });
    let all = (directories * files) as u64;
    assert!(copy <= all + 4 * directories as u64 + 20, "{copy} requests for {all} files: {:?}", show.counts());
    let search = || assert_eq!(run("grep", &["-rl", "line", text(&root)]).lines().count(), directories * files);
    // One is the size of the file system, which the kernel never keeps.
    assert!(show.cost(search) <= 1, "{:?}", show.counts());
    let counts = show.counts();
    assert!(counts["open"] <= 1 && counts["flush"] <= 1 && counts["release"] == 0, "{counts:?}");
    assert_eq!(run("diff", &["-r", text(&root), text(&target.path().join("copy"))]), "");
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn files_that_follow_those_read_in_order_are_there_before_they_are_asked_for() {
    let show = show(small_files(2, 40));
    let read = |directory: usize, file: usize| {
        let expected = format!("line {file} of directory {directory}\n").repeat(1 + file % 90);
        assert_eq!(fs::read_to_string(show.at(&format!("d{directory:03}/f{file:04}"))).expect("read"), expected);
    };
    run("ls", &["-lR", text(&show.at(""))]);
    read(0, 0);
    assert_eq!(show.cost(|| read(0, 1)), 1, "one file read is no order yet");
    show.wait_until_sent(4);
    assert_eq!(show.cost(|| (2..6).for_each(|file| read(0, file))), 0, "{:?}", show.counts());
    assert_eq!(show.cost(|| read(0, 6)), 1, "what was not sent tells that the reader came so far");
    show.wait_until_sent(4 + 8);
    assert_eq!(show.cost(|| (7..15).for_each(|file| read(0, file))), 0, "{:?}", show.counts());
    // The first file of another directory: the walk goes on there.
    assert_eq!(show.cost(|| read(1, 0)), 1);
    show.wait_until_sent(4 + 8 + 8);
    assert_eq!(show.cost(|| (1..9).for_each(|file| read(1, file))), 0, "{:?}", show.counts());
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn who_reads_here_and_there_is_sent_nothing_unasked() {
    let show = show(small_files(2, 97));
    run("ls", &["-lR", text(&show.at(""))]);
    for turn in 0..96 {
        let file = turn * 31 % 97;
        fs::read(show.at(&format!("d{:03}/f{file:04}", turn % 2))).expect("read");
    }
    let counts = show.counts();
    assert_eq!((counts["read"], counts["sent_ahead"]), (96, 0), "{counts:?}");
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn what_is_not_there_is_asked_for_once() {
    let show = show(small_files(1, 1));
    let absent = show.at("d000/absent");
    assert!(!absent.exists());
    assert_eq!(show.cost(|| assert!(!absent.exists())), 0);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn changes_are_refused_even_to_root_and_even_when_somebody_mounts_it_writable() {
    let mut tree = small_files(1, 1);
    tree[0].entry.metadata.xattrs = vec![Xattr { name: (*b"user.a").into(), value: (*b"b").into() }];
    let show = show(tree);
    let file = show.at("d000/f0000");
    for flags in [MountFlags::RDONLY, MountFlags::empty()] {
        rustix::mount::mount_remount(show.mounted().mount_point(), flags, c"").expect("root may");
        let errors = [
            fs::write(&file, "x"),
            fs::remove_file(&file),
            fs::create_dir(show.at("new")),
            fs::write(show.at("new"), "x"),
            fs::rename(&file, show.at("new")),
            fs::hard_link(&file, show.at("new")),
            fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)),
            fs::remove_dir(show.at("d000")),
            std::os::unix::fs::symlink("x", show.at("new")),
            std::os::unix::fs::chown(&file, Some(1), Some(1)),
            rustix::fs::setxattr(&file, "user.x", b"y", rustix::fs::XattrFlags::empty()).map_err(Into::into),
            rustix::fs::removexattr(show.at(""), "user.a").map_err(Into::into),
            fs::File::options().write(true).open(&file).and_then(|file| file.write_at(b"x", 0)).map(|_| ()),
            fs::File::options().write(true).open(&file).and_then(|file| file.set_len(0)),
        ];
        for (number, result) in errors.into_iter().enumerate() {
            let error = result.expect_err("nothing can be changed");
            assert_eq!(error.raw_os_error(), Some(Errno::ROFS.raw_os_error()), "change {number} with {flags:?}: {error}");
        }
    }
    assert!(fs::read(&file).expect("read").starts_with(b"line 0"));
}

/// Whether a process of another user can read a file.
fn can_read(user: u32, group: u32, path: &Path) -> bool {
    let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
    let status = Command::new("setpriv")
        .args([&user, &group, "--clear-groups", "cat"])
        .arg(path)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    status.expect("setpriv runs").success()
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn permissions_are_those_of_the_source_acls_among_them() {
    let with_mode = |name: &str, mode: u32| {
        let mut file = Planned::file(name, "x");
        file.entry.metadata.mode = mode;
        file.entry.metadata.owner.uid = 1000;
        file.entry.metadata.owner.gid = 2000;
        file
    };
    // user::rw-, user:7:r--, group::---, mask::r--, other::---: the group's bits in the mode are the mask's.
    let acl = [
        2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 7, 0, 0, 0, 4, 0, 0, 0, 255, 255, 255, 255, 16, 0, 4, 0, 255, 255, 255,
        255, 32, 0, 0, 0, 255, 255, 255, 255,
    ];
    let mut listed = with_mode("acl", 0o640);
    listed.entry.metadata.xattrs = vec![Xattr { name: (*b"system.posix_acl_access").into(), value: acl.into() }];
    let tree = [Planned::directory(""), listed, with_mode("everybody", 0o644), with_mode("group", 0o640), with_mode("owner", 0o600)];
    let view = store(tree, Recipe::default()).view();
    let everyone = |options: &mut MountOptions| options.audience = Audience::Everyone;
    let show = Show::with(Forest::of_tree(view.clone()), everyone);
    let may = |user, group| ["acl", "everybody", "group", "owner"].map(|name| can_read(user, group, &show.at(name)));
    assert_eq!(may(1000, 1), [true, true, true, true], "the owner");
    assert_eq!(may(7, 7), [true, true, false, false], "whom the ACL names");
    assert_eq!(may(8, 2000), [false, true, true, false], "the group, which the ACL shuts out");
    assert_eq!(may(8, 8), [false, true, false, false], "anybody");
    drop(show);

    let show = Show::new(Forest::of_tree(view.clone()));
    assert!(!can_read(1000, 1, &show.at("everybody")), "a mount is its owner's unless it is said otherwise");
    drop(show);

    let show = Show::with(Forest::of_tree(view), |options| {
        everyone(options);
        options.appearance.uid = Some(77);
        options.appearance.gid = Some(88);
        options.appearance.permissions = Permissions::Ignored;
    });
    let metadata = fs::metadata(show.at("owner")).expect("there");
    assert_eq!((metadata.uid(), metadata.gid()), (77, 88));
    assert!(can_read(8, 8, &show.at("owner")));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn damage_is_an_input_error_for_the_files_it_hits_and_everything_else_reads() {
    let contents: Vec<_> = (0..60).map(|number| noise(number, 40_000)).collect();
    let files = contents.iter().enumerate().map(|(number, content)| Planned::file(&format!("file {number:02}"), content.clone()));
    let tree: Vec<_> = std::iter::once(Planned::directory("")).chain(files).collect();
    let recipe = Recipe { frame_bytes: 200_000, segment_bytes: 500_000, ..Recipe::default() };
    for harm in ["flip", "cut", "delete"] {
        let stored = store(tree.clone(), recipe);
        let mut segments: Vec<ObjectName> = Vec::new();
        stored
            .store
            .list("data/", &mut |object| {
                segments.extend(Some(object.name).filter(|name| name.as_str().contains("/segments/")));
                true
            })
            .expect("listed");
        let name = &segments[1];
        let mut body = stored.store.get(name, u64::MAX).expect("there");
        match harm {
            "flip" => body[1000] ^= 1,
            "cut" => body.truncate(100),
            _ => (),
        }
        match harm {
            "delete" => stored.store.delete(name).expect("deleted"),
            _ => stored.store.put(name, &vec![body]).expect("stored"),
        }
        let show = Show::new(Forest::of_tree(stored.view()));
        assert_eq!(fs::read_dir(show.at("")).expect("listed").count(), contents.len());
        let mut failed = 0;
        for (number, content) in contents.iter().enumerate() {
            match fs::read(show.at(&format!("file {number:02}"))) {
                Ok(read) => assert!(read == *content, "{harm}: wrong bytes in file {number}"),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{harm}: {error}");
                    failed += 1;
                }
            }
        }
        assert!((1..=20).contains(&failed), "{harm}: {failed} files failed");
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_damaged_index_is_an_input_error_and_never_an_empty_directory_or_no_such_file() {
    let tree = small_files(20, 150);
    let stored = store(tree, Recipe { segment_bytes: 4 << 20, ..Recipe::default() });
    let index = names::data_name(&stored.backup, &stored.manifest.id, Folder::Index, 0);
    let mut body = stored.store.get(&index, u64::MAX).expect("there");
    let middle = body.len() / 2;
    body[middle] ^= 1;
    stored.store.put(&index, &vec![body]).expect("stored");
    let show = Show::new(Forest::of_tree(stored.view()));
    let is_input_error = |error: &std::io::Error| error.raw_os_error() == Some(Errno::IO.raw_os_error());
    let (mut whole, mut broken) = (0, 0);
    for directory in 0..20 {
        let directory = show.at(&format!("d{directory:03}"));
        let names: Result<Vec<_>, _> = fs::read_dir(&directory).expect("opening asks for nothing").collect();
        match names {
            Ok(names) => {
                assert_eq!(names.len(), 150, "{}", directory.display());
                whole += 1;
            }
            Err(error) => {
                assert!(is_input_error(&error), "{error}");
                broken += 1;
            }
        }
        for file in 0..150 {
            if let Err(error) = fs::metadata(directory.join(format!("f{file:04}"))) {
                assert!(is_input_error(&error), "{error}");
            }
        }
    }
    assert!(whole > 10 && broken > 0, "{whole} directories whole, {broken} broken");
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_store_that_does_not_answer_is_an_input_error_after_the_deadline_until_it_does() {
    let faulty = Arc::new(Faulty::new(Memory::default()));
    let tree = [Planned::directory(""), Planned::file("file", noise(1, 100_000)), Planned::file("other", noise(2, 100_000))];
    let stored = StoredTree::write(Arc::clone(&faulty) as Arc<dyn Store>, tree, Recipe { frame_bytes: 100_000, ..Recipe::default() });
    let patience = Duration::from_millis(100);
    let fetch_threads = NonZeroUsize::new(2).expect("not zero");
    let reader = FileReader::new(&ReadOptions { patience, fetch_threads, ..ReadOptions::default() }).expect("threads");
    let show = Show::with(Forest::of_tree(stored.view_through(&Arc::new(reader))), |options| options.appearance.patience = patience);
    let gate = faulty.gate(Verb::Get);
    let error = fs::read(show.at("file")).expect_err("the store does not answer");
    assert_eq!(error.raw_os_error(), Some(Errno::IO.raw_os_error()), "{error}");
    assert_eq!(fs::read_dir(show.at("")).expect("in memory").count(), 2);
    gate.open();
    assert!(fs::read(show.at("other")).expect("the store answers again") == noise(2, 100_000));
    assert!(fs::read(show.at("file")).expect("the error is not remembered") == noise(1, 100_000));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_file_whose_blocks_lie_in_twenty_levels_reads_as_one() {
    let source = scratch();
    let access = backup::create_encrypted(Arc::new(Memory::default()));
    let mut content = noise(7, 9 << 20);
    let mut manifest = None;
    for level in 0..20_u64 {
        for page in 0..10 {
            let at = usize::try_from((level * 77_719 + page * 947_291) % (content.len() as u64 - 5000)).expect("small");
            content[at..at + 4096].copy_from_slice(&noise(level * 100 + page, 4096));
        }
        content.splice(9000..9000, noise(level, 100));
        fs::write(source.path().join("image"), &content).expect("written");
        let report = backup::back_up(&access, &[source.path()], |request| {
            request.levels = freezer::backup::Levels::default();
            request.engine = Engine::Rsync(BlockOptions::default());
        });
        manifest = Some(report.manifest);
    }
    let manifest = manifest.expect("twenty");
    assert_eq!(manifest.levels.len(), 20, "each holds some of it");
    let (store, store_id, protection) = (access.store(), access.store_id(), access.protection());
    let parts = ViewParts { manifest, store, store_id, protection, backup: backup::name() };
    let view = View::open(parts, &support::stored_tree::reader(64 << 20)).expect("opened");
    let show = Show::new(Forest::of_tree(view));
    let file = fs::File::open(show.at("image")).expect("opened");
    for turn in 0..300_u64 {
        let at = usize::try_from(turn * 7_654_321 % (content.len() as u64 - 10_000)).expect("small");
        let mut buffer = vec![0; 10_000];
        file.read_exact_at(&mut buffer, at as u64).expect("read");
        assert!(buffer == content[at..at + 10_000], "wrong bytes at {at}");
    }
    assert!(fs::read(show.at("image")).expect("read") == content);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn many_readers_at_once_each_read_right_through_a_small_cache() {
    let content = noise(7, 20_000_000);
    let files =
        [Planned::directory(""), Planned::file("random", content.clone()), Planned::file("text", b"to be or not to be\n".repeat(500_000))];
    let stored = store(files, Recipe { frame_bytes: 300_000, ..Recipe::default() });
    let reader = support::stored_tree::reader(2_000_000);
    let show = Show::new(Forest::of_tree(stored.view_through(&reader)));
    thread::scope(|scope| {
        for reader in 0..8_u64 {
            let (content, path) = (&content, show.at("random"));
            scope.spawn(move || {
                let file = fs::File::open(path).expect("opened");
                let mut place = reader.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
                for turn in 0..60 {
                    place = place.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let at = usize::try_from((place >> 33) % 19_000_000).expect("small");
                    let length = if turn % 4 == 0 { 900_000 } else { 5000 };
                    let mut buffer = vec![0; length];
                    file.read_exact_at(&mut buffer, at as u64).expect("read");
                    assert!(buffer == content[at..at + length], "wrong bytes at {at}");
                }
            });
        }
        scope.spawn(|| assert!(fs::read(show.at("random")).expect("read") == content));
        scope.spawn(|| assert_eq!(fs::read(show.at("text")).expect("read").len(), 19 * 500_000));
    });
    assert!(reader.counts().held_bytes <= 2_000_000);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_slow_store_does_not_keep_what_is_in_memory_from_being_read() {
    let faulty = Arc::new(Faulty::new(Memory::default()));
    let mut tree = small_files(1, 50);
    tree.push(Planned::file("d000/z big", noise(1, 5_000_000)));
    let stored = StoredTree::write(Arc::clone(&faulty) as Arc<dyn Store>, tree, Recipe { frame_bytes: 100_000, ..Recipe::default() });
    let show = Show::new(Forest::of_tree(stored.view()));
    let first = fs::read(show.at("d000/f0001")).expect("read");
    let gate = faulty.gate(Verb::Get);
    thread::scope(|scope| {
        let waiting: Vec<_> = (0..8)
            .map(|reader| {
                let path = show.at("d000/z big");
                scope.spawn(move || {
                    let mut buffer = [0; 10];
                    fs::File::open(path)
                        .expect("opened")
                        .read_exact_at(&mut buffer, reader * 500_000 + 1_000_000)
                        .expect("read in the end");
                })
            })
            .collect();
        gate.wait_for(2);
        // All threads that fetch now stand at the gate. What needs no fetch is answered: an attribute that the kernel does not
        // know yet, a listing, a small file in the frame at hand.
        assert_eq!(fs::read_dir(show.at("d000")).expect("listed").count(), 51);
        assert_eq!(fs::read(show.at("d000/f0001")).expect("read"), first);
        assert_eq!(fs::read(show.at("d000/f0002")).expect("read").len(), "line 2 of directory 0\n".len() * 3);
        assert!(waiting.iter().all(|reader| !reader.is_finished()));
        gate.open();
    });
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn everything_is_found_again_after_the_kernel_forgot_it() {
    let show = show(small_files(5, 50));
    let read = || run("sh", &["-c", &format!("cd '{}' && find . -printf '%i %p %s\\n' | sort && cat d00*/*", text(&show.at("")))]);
    let first = read();
    // Mounting it again where it is makes the kernel drop every entry that is not in use.
    rustix::mount::mount_remount(show.mounted().mount_point(), MountFlags::RDONLY, c"").expect("root may");
    assert_eq!(read(), first);
    assert!(show.counts()["forget"] > 200, "{:?}", show.counts());
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_next_mount_of_a_point_in_time_has_the_same_inode_numbers() {
    let stored = store(small_files(3, 40), Recipe::default());
    let numbers = || {
        let show = Show::new(Forest::of_tree(stored.view()));
        run("sh", &["-c", &format!("cd '{}' && find . -printf '%i %p\\n' | sort -k 2", text(&show.at("")))])
    };
    let first = numbers();
    assert_eq!(first.lines().count(), 1 + 3 + 3 * 40);
    assert_eq!(numbers(), first);
}

/// Prints the SHA-256 of a file, read through a shared read-only mapping from its last page to its first.
const HASH_OF_A_MAPPING: &str = "
import hashlib, mmap, sys
with open(sys.argv[1], 'rb') as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
    pages = [mapping[at:at + 4096] for at in reversed(range(0, len(mapping), 4096))]
print(hashlib.sha256(b''.join(reversed(pages))).hexdigest())
";

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mapping_of_a_file_shows_its_bytes_whatever_page_is_touched_first() {
    let content = noise(7, 3_000_001);
    let directory = scratch();
    let original = directory.path().join("original");
    fs::write(&original, &content).expect("written");
    let show = show([Planned::directory(""), Planned::file("file", content)]);
    let hash = |path: &Path| run("python3", &["-c", HASH_OF_A_MAPPING, text(path)]);
    assert_eq!(hash(&show.at("file")), hash(&original));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_device_is_there_with_its_numbers_and_does_not_act() {
    let null = freezer::model::Content::CharDevice(freezer::model::Device { major: 1, minor: 3 });
    let mut device = Planned::new("null", Default::default(), null);
    device.entry.metadata.mode = 0o666;
    let show = show([Planned::directory(""), device]);
    let shown = fs::metadata(show.at("null")).expect("there");
    assert_eq!(shown.rdev(), fs::metadata("/dev/null").expect("every system has it").rdev());
    let error = fs::read(show.at("null")).expect_err("it is a picture of a device");
    assert_eq!(error.raw_os_error(), Some(Errno::ACCESS.raw_os_error()));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn sizes_of_extended_attributes_are_told_and_checked() {
    let mut file = Planned::file("plain", "x");
    let xattr = |name: &str, value: &[u8]| Xattr { name: name.as_bytes().into(), value: value.into() };
    file.entry.metadata.xattrs = vec![xattr("user.comment", b"a comment"), xattr("user.empty", b"")];
    let show = show([Planned::directory(""), file, Planned::file("without", "x")]);
    let path = show.at("plain");
    let mut value = [0; 100];
    assert_eq!(rustix::fs::getxattr(&path, "user.comment", &mut value), Ok(9));
    assert_eq!(&value[..9], b"a comment");
    assert_eq!(rustix::fs::getxattr(&path, "user.comment", &mut [0; 3][..]), Err(Errno::RANGE));
    assert_eq!(rustix::fs::getxattr_query(&path, "user.comment"), Ok(9));
    assert_eq!(rustix::fs::getxattr(&path, "user.empty", &mut value), Ok(0));
    assert_eq!(rustix::fs::getxattr(&path, "user.absent", &mut value), Err(Errno::NODATA));
    assert_eq!(rustix::fs::getxattr(show.at("without"), "user.absent", &mut value), Err(Errno::NODATA));
    assert_eq!(rustix::fs::listxattr(&path, &mut value), Ok(b"user.comment\0user.empty\0".len()));
    assert_eq!(rustix::fs::listxattr(&path, &mut [0; 3][..]), Err(Errno::RANGE));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_size_of_the_file_system_is_that_of_the_tree() {
    let show = show(small_files(2, 30));
    let statistics = rustix::fs::statvfs(show.at("")).expect("known");
    assert_eq!((statistics.f_files, statistics.f_ffree, statistics.f_bfree), (63, 0, 0));
    assert!(statistics.f_blocks > 0);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_point_that_cannot_be_used_is_refused_by_name() {
    let view = store(small_files(1, 1), Recipe::default()).view();
    let directory = scratch();
    let attempt = |path: &Path, store: Option<&Path>| {
        let options = MountOptions { store: store.map(Path::to_owned), ..MountOptions::new(path, "test") };
        mount::mount(&options, Forest::of_tree(view.clone())).map(|_| ()).expect_err("refused")
    };
    let inside = directory.path().join("store/inside");
    fs::create_dir_all(&inside).expect("made");
    fs::write(directory.path().join("file"), "x").expect("written");
    assert!(matches!(attempt(&directory.path().join("absent"), None), MountError::MountPoint { .. }));
    assert!(matches!(attempt(&directory.path().join("file"), None), MountError::NotADirectory(_)));
    assert!(matches!(attempt(directory.path(), None), MountError::Occupied(_)));
    let store = directory.path().join("store");
    assert!(matches!(attempt(directory.path(), Some(&store)), MountError::CoversStore { .. }));
    assert!(matches!(attempt(&store, Some(&store)), MountError::CoversStore { .. }));
    assert!(matches!(attempt(&inside, Some(&store)), MountError::CoversStore { .. }));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_ends_though_a_program_is_in_it() {
    let show = show(small_files(1, 1));
    let mount_point = show.mounted().mount_point().to_owned();
    let held = fs::File::open(show.at("d000/f0000")).expect("opened");
    drop(show);
    assert!(!run("cat", &["/proc/self/mounts"]).contains(text(&mount_point)));
    drop(held);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_listing_goes_on_from_any_position_it_had() {
    let show = show(small_files(3, 2000));
    let directory = rustix::fs::open(show.at("d001"), OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).expect("opened");
    let list = || {
        // A small buffer: the kernel is asked in many steps.
        let mut buffer = Vec::with_capacity(1000);
        let mut entries = rustix::fs::RawDir::new(&directory, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry.expect("listed");
            names.push((entry.file_name().to_owned(), entry.next_entry_cookie()));
        }
        names
    };
    let all = list();
    assert_eq!(all.len(), 2002);
    for at in [0, 1, 2, 3, 500, 1999, 2001] {
        rustix::fs::seek(&directory, SeekFrom::Start(all[at].1)).expect("sought");
        assert_eq!(list(), all[at + 1..], "after entry {at}");
    }
    rustix::fs::seek(&directory, SeekFrom::Start(0)).expect("sought");
    assert_eq!(list(), all);
}

/// Levels of a backup that come while it is mounted.
struct Levels {
    store: Arc<dyn Store>,
    reader: Arc<FileReader>,
    levels: Mutex<Vec<StoredTree>>,
    opened: Mutex<Vec<LevelId>>,
}

impl Levels {
    fn add(&self, number: u32) {
        let tree = [Planned::directory(""), Planned::file("file", format!("content {number}")), Planned::file("same", "same")];
        let recipe = Recipe { number, ..Recipe::default() };
        let stored = StoredTree::write_level(Arc::clone(&self.store), tree, recipe, StoreId([1; 16]), Protection::Checksum);
        self.levels.lock().expect("no panic").push(stored);
    }

    fn opened(&self) -> usize {
        self.opened.lock().expect("no panic").len()
    }
}

impl PointSource for Levels {
    fn list(&self) -> Result<Vec<LevelId>, SourceError> {
        Ok(self.levels.lock().expect("no panic").iter().map(|level| level.manifest.id.clone()).collect())
    }

    fn open(&self, level: &LevelId) -> Result<View, SourceError> {
        self.opened.lock().expect("no panic").push(level.clone());
        let levels = self.levels.lock().expect("no panic");
        Ok(levels.iter().find(|stored| stored.manifest.id == *level).ok_or("no such level")?.view_through(&self.reader))
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn points_in_time_are_folders_that_come_and_go_by_themselves() {
    let store: Arc<dyn Store> = Arc::new(Memory::default());
    let reader = support::stored_tree::reader(1 << 20);
    let levels = Arc::new(Levels { store, reader: Arc::clone(&reader), levels: Mutex::default(), opened: Mutex::default() });
    levels.add(1);
    levels.add(2);
    let source = Arc::clone(&levels) as Arc<dyn PointSource>;
    let forest = Forest::of_points(source, reader, jiff::tz::TimeZone::UTC, (0, 0)).listing_every(Duration::ZERO);
    let show = Show::new(forest);
    let names = || run("ls", &["-U", text(&show.at(""))]).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(names(), ["2026-11-22T23.34.50", "2026-11-23T00.34.50", "latest"]);
    assert_eq!(levels.opened(), 0, "a listing of names opens none");
    let read = |path: &str| fs::read_to_string(show.at(path)).expect("read");
    assert_eq!(read("2026-11-22T23.34.50/file"), "content 1");
    assert_eq!(levels.opened(), 1, "looking into one does not open the others");
    assert_eq!(read("latest/file"), "content 2");
    assert_eq!(fs::read_link(show.at("latest")).expect("a link"), Path::new("2026-11-23T00.34.50"));
    assert_eq!(run("ls", &["-lR", text(&show.at(""))]).matches(" file").count(), 2);

    levels.add(3);
    assert_eq!(names().len(), 4);
    assert_eq!(read("latest/file"), "content 3");
    assert_eq!(read("2026-11-22T23.34.50/file"), "content 1");
    levels.levels.lock().expect("no panic").remove(0);
    assert_eq!(names(), ["2026-11-23T00.34.50", "2026-11-23T01.34.50", "latest"]);
    assert!(!show.at("2026-11-22T23.34.50").exists());
    assert_eq!(read("2026-11-23T00.34.50/same"), "same");
    let inode = |path: &str| fs::metadata(show.at(path)).expect("there").ino();
    assert_ne!(inode("2026-11-23T00.34.50/file"), inode("2026-11-23T01.34.50/file"));
    assert_eq!(run("find", &[text(&show.at("")), "-name", "file"]).lines().count(), 2);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn what_is_not_a_mount_of_ours_is_not_unmounted() {
    let directory = scratch();
    assert!(matches!(mount::unmount(directory.path()), Err(MountError::NotOurs(_))));
    assert!(matches!(mount::unmount(Path::new("/proc")), Err(MountError::NotOurs(_))));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_that_is_in_use_is_not_unmounted_until_it_is_free() {
    let mut show = show(small_files(1, 1));
    let mount_point = show.mounted().mount_point().to_owned();
    let held = fs::File::open(show.at("d000/f0000")).expect("opened");
    let error = mount::unmount(&mount_point).expect_err("a file is open");
    let source = std::error::Error::source(&error).expect("a cause").downcast_ref::<std::io::Error>().expect("of the system");
    assert_eq!(source.raw_os_error(), Some(Errno::BUSY.raw_os_error()));
    drop(held);
    mount::unmount(&mount_point).expect("free");
    show.mounted.take().expect("still there").unmount().expect("it has ended by itself");
    assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0);
}

/// Serves a mount in a process of its own, for another test that writes the mount point to its input.
#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn serve_for_another_test() {
    let mut mount_point = String::new();
    std::io::stdin().read_line(&mut mount_point).expect("a line");
    if mount_point.is_empty() {
        return; // no other test has started this
    }
    let view: View = store(small_files(3, 30), Recipe::default()).view();
    let options = MountOptions {
        stats_file: Some(PathBuf::from(format!("{}.stats", mount_point.trim()))),
        ..MountOptions::new(mount_point.trim(), "test")
    };
    mount::serve(&options, Forest::of_tree(view), || println!("\nready")).expect("served to the end");
}

fn serve_elsewhere(mount_point: &Path) -> std::process::Child {
    let program = std::env::current_exe().expect("this program");
    let mut child = Command::new(program)
        .args(["--exact", "serve_for_another_test", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("started");
    writeln!(child.stdin.take().expect("piped"), "{}", text(mount_point)).expect("written");
    let mut output = BufReader::new(child.stdout.take().expect("piped"));
    let mut line = String::new();
    while line.trim() != "ready" {
        line.clear();
        assert!(output.read_line(&mut line).expect("read") > 0, "it ended before it was ready");
    }
    // Its end must not be held up by a full pipe.
    thread::spawn(move || output.read_to_end(&mut Vec::new()));
    child
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_whose_process_was_killed_is_taken_away_by_the_next() {
    let directory = scratch();
    let mount_point = directory.path().join("mnt");
    fs::create_dir(&mount_point).expect("made");
    let mut child = serve_elsewhere(&mount_point);
    assert!(mount_point.join("d000/f0001").exists());
    child.kill().expect("killed");
    child.wait().expect("ended");
    assert_eq!(rustix::fs::statvfs(&mount_point).err(), Some(Errno::NOTCONN));
    let view = store(small_files(1, 1), Recipe::default()).view();
    let mounted = mount::mount(&MountOptions::new(&mount_point, "test"), Forest::of_tree(view)).expect("mounted again");
    assert!(mount_point.join("d000/f0000").exists());
    mounted.unmount().expect("unmounted");
    assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0, "nothing is left");
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_signal_ends_the_mount_and_leaves_nothing_but_the_counts() {
    use rustix::process::{Pid, Signal, kill_process};
    for signal in [Signal::INT, Signal::TERM] {
        let directory = scratch();
        let mount_point = directory.path().join("mnt");
        fs::create_dir(&mount_point).expect("made");
        let mut child = serve_elsewhere(&mount_point);
        assert_eq!(fs::read_dir(mount_point.join("d001")).expect("listed").count(), 30);
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("sent");
        assert!(child.wait().expect("ended").success());
        assert_eq!(fs::read_dir(&mount_point).expect("listed").count(), 0);
        let stats = fs::read_to_string(directory.path().join("mnt.stats")).expect("written");
        let stats: serde_json::Value = serde_json::from_str(&stats).expect("JSON");
        assert!(stats["requests"]["readdirplus"].as_u64().is_some_and(|count| count > 0), "{stats}");
        assert!(stats["cache"]["fetched"].is_u64(), "{stats}");
    }
}

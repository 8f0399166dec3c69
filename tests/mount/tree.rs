//! Names, numbers, contents and holes: a mount of a tree is that tree.

use super::*;

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_mount_of_a_tree_with_everything_is_that_tree() {
    let source = scratch();
    torture::build(source.path());
    // The number of blocks is final only once the files are on the disk.
    run("sync", &["-f", text(source.path())]);
    let expected = oracle::scan(source.path());
    let usage = |path: &Path| {
        run("du", &["-s", "--block-size=1", text(path)])
            .split('\t')
            .next()
            .expect("a number")
            .to_owned()
    };
    for (compression, encrypted) in [
        (Compression::Zstd, true),
        (Compression::Gzip, false),
        (Compression::Xz, true),
    ] {
        let show = Show::new(Forest::of_tree(back_up(
            source.path(),
            compression,
            encrypted,
        )));
        let mount_point = show.mounted().mount_point();
        let differences = oracle::compare(&expected, &oracle::scan(mount_point), Holes::Same);
        assert!(
            differences.is_empty(),
            "{compression}:\n{}",
            differences.join("\n")
        );
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
    run(
        "cp",
        &[
            "-a",
            &format!("{}/.", text(&show.at(""))),
            text(target.path()),
        ],
    );
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
                let times = [
                    (stat.st_mtime, stat.st_mtime_nsec),
                    (stat.st_ctime, stat.st_ctime_nsec),
                ];
                // The size of a directory depends on its file system.
                let size = if stat.st_mode & 0o170_000 == 0o040_000 {
                    0
                } else {
                    stat.st_size
                };
                (
                    (stat.st_mode, stat.st_uid, stat.st_gid),
                    (stat.st_nlink, size, stat.st_rdev, stat.st_blksize),
                    times,
                )
            };
            assert_eq!(
                numbers(&shown),
                numbers(&expected),
                "{}",
                entry.path().display()
            );
        }
    }
    let shown = |path: &Path| fs::symlink_metadata(path).expect("there");
    let mut names = HashMap::<u64, Vec<PathBuf>>::new();
    for entry in fs::read_dir(source.path().join("links")).expect("listed") {
        let entry = entry.expect("listed");
        names
            .entry(entry.metadata().expect("known").ino())
            .or_default()
            .push(entry.file_name().into());
    }
    let inode = |name: &PathBuf| shown(&show.at("links").join(name)).ino();
    let groups: Vec<u64> = names.values().map(|names| inode(&names[0])).collect();
    for names in names.values() {
        assert!(
            names.iter().all(|name| inode(name) == inode(&names[0])),
            "names of one file have different inodes: {names:?}"
        );
    }
    assert_eq!(
        groups
            .iter()
            .collect::<std::collections::HashSet<_>>()
            .len(),
        groups.len(),
        "different files share an inode"
    );
    assert_eq!(shown(&show.at("links/..")).ino(), 1);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn holes_are_found_with_seek_through_the_mount() {
    let (source, show) = show_everything();
    let mut files = 0;
    for folder in ["sparse", "giant", "sizes"] {
        let entries = fs::read_dir(source.path().join(folder))
            .expect("listed")
            .map(|entry| entry.expect("listed").path());
        for path in entries.filter(|path| path.is_file()) {
            let name = path.strip_prefix(source.path()).expect("below it");
            let open = |root: &Path| {
                rustix::fs::open(root.join(name), OFlags::RDONLY, Mode::empty()).expect("opened")
            };
            let (expected, shown) = (open(source.path()), open(show.mounted().mount_point()));
            let size = fs::metadata(&path).expect("there").len();
            for from in [
                0,
                1,
                4095,
                4096,
                8192,
                1 << 20,
                (1 << 20) + 1,
                8 << 20,
                size.saturating_sub(1),
                size,
                size + 1,
            ] {
                let data = |file| rustix::fs::seek(file, SeekFrom::Data(from));
                let hole = |file| rustix::fs::seek(file, SeekFrom::Hole(from));
                assert_eq!(
                    data(&shown),
                    data(&expected),
                    "data of {} from {from}",
                    name.display()
                );
                assert_eq!(
                    hole(&shown),
                    hole(&expected),
                    "hole of {} from {from}",
                    name.display()
                );
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
    let content = freezer::model::Content::File {
        size,
        extents: Vec::new(),
    };
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
fn everything_is_found_again_after_the_kernel_forgot_it() {
    let show = show(small_files(5, 50));
    let read = || {
        run(
            "sh",
            &[
                "-c",
                &format!(
                    "cd '{}' && find . -printf '%i %p %s\\n' | sort && cat d00*/*",
                    text(&show.at(""))
                ),
            ],
        )
    };
    let first = read();
    // Mounting it again where it is makes the kernel drop every entry that is not in use.
    rustix::mount::mount_remount(show.mounted().mount_point(), MountFlags::RDONLY, c"")
        .expect("root may");
    assert_eq!(read(), first);
    assert!(show.counts()["forget"] > 200, "{:?}", show.counts());
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_next_mount_of_a_point_in_time_has_the_same_inode_numbers() {
    let stored = store(small_files(3, 40), Recipe::default());
    let numbers = || {
        let show = Show::new(Forest::of_tree(stored.view()));
        run(
            "sh",
            &[
                "-c",
                &format!(
                    "cd '{}' && find . -printf '%i %p\\n' | sort -k 2",
                    text(&show.at(""))
                ),
            ],
        )
    };
    let first = numbers();
    assert_eq!(first.lines().count(), 1 + 3 + 3 * 40);
    assert_eq!(numbers(), first);
}

/// Prints the SHA-256 of a file, read through a shared read-only mapping from its last page to its
/// first.
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
fn a_device_has_its_numbers_and_does_not_work() {
    let null = freezer::model::Content::CharDevice(freezer::model::Device { major: 1, minor: 3 });
    let mut device = Planned::new("null", Default::default(), null);
    device.entry.metadata.mode = 0o666;
    let show = show([Planned::directory(""), device]);
    let shown = fs::metadata(show.at("null")).expect("there");
    assert_eq!(
        shown.rdev(),
        fs::metadata("/dev/null")
            .expect("every system has it")
            .rdev()
    );
    let error = fs::read(show.at("null")).expect_err("it is a picture of a device");
    assert_eq!(error.raw_os_error(), Some(Errno::ACCESS.raw_os_error()));
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn sizes_of_extended_attributes_are_shown_and_checked() {
    let mut file = Planned::file("plain", "x");
    let xattr = |name: &str, value: &[u8]| Xattr {
        name: name.as_bytes().into(),
        value: value.into(),
    };
    file.entry.metadata.xattrs = vec![
        xattr("user.comment", b"a comment"),
        xattr("user.empty", b""),
    ];
    let show = show([Planned::directory(""), file, Planned::file("without", "x")]);
    let path = show.at("plain");
    let mut value = [0; 100];
    assert_eq!(
        rustix::fs::getxattr(&path, "user.comment", &mut value),
        Ok(9)
    );
    assert_eq!(&value[..9], b"a comment");
    assert_eq!(
        rustix::fs::getxattr(&path, "user.comment", &mut [0; 3][..]),
        Err(Errno::RANGE)
    );
    assert_eq!(rustix::fs::getxattr_query(&path, "user.comment"), Ok(9));
    assert_eq!(rustix::fs::getxattr(&path, "user.empty", &mut value), Ok(0));
    assert_eq!(
        rustix::fs::getxattr(&path, "user.absent", &mut value),
        Err(Errno::NODATA)
    );
    assert_eq!(
        rustix::fs::getxattr(show.at("without"), "user.absent", &mut value),
        Err(Errno::NODATA)
    );
    assert_eq!(
        rustix::fs::listxattr(&path, &mut value),
        Ok(b"user.comment\0user.empty\0".len())
    );
    assert_eq!(
        rustix::fs::listxattr(&path, &mut [0; 3][..]),
        Err(Errno::RANGE)
    );
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn the_size_of_the_file_system_is_that_of_the_tree() {
    let show = show(small_files(2, 30));
    let statistics = rustix::fs::statvfs(show.at("")).expect("known");
    assert_eq!(
        (statistics.f_files, statistics.f_ffree, statistics.f_bfree),
        (63, 0, 0)
    );
    assert!(statistics.f_blocks > 0);
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn a_listing_goes_on_from_any_position_it_had() {
    let show = show(small_files(3, 2000));
    let directory = rustix::fs::open(
        show.at("d001"),
        OFlags::RDONLY | OFlags::DIRECTORY,
        Mode::empty(),
    )
    .expect("opened");
    let list = || {
        // A small buffer, so that the listing takes many steps.
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

//! The files that a restore leaves on disk.

mod contents;
mod flags;
mod random;
mod real;
mod rights;
mod tree;

use freezer::catalog::{is_store, store_around};
use freezer::model::progress::{Collected, Silent};
use freezer::model::{Cancel, Content, Device, Metadata, Owner, Progress, Time, TreePath, Trouble};
use freezer::restore::{
    Existing, KeepOut, Options, Ownership, RestoreError, Summary, list, restore,
};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::PathBuf;
use tempfile::TempDir;
use tree::{Memory, Tree, assert_all_restored, assert_restored, names_below, path};

/// A place for a target that does not exist yet.
fn fresh() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("new/target");
    (folder, target)
}

fn replace() -> Options {
    Options {
        existing: Existing::Replace,
        ..Options::default()
    }
}

/// Replaces entries, except in stores.
fn outside_stores() -> Options {
    Options {
        keep_out: KeepOut {
            is: is_store,
            around: store_around,
        },
        ..replace()
    }
}

/// Makes a folder a store with an object.
fn make_store(folder: &std::path::Path) {
    fs::create_dir_all(folder.join("data")).expect("made");
    let document = r#"{"format":"freezer store","version":1}"#;
    fs::write(folder.join("freezer.json"), document).expect("written");
    fs::set_permissions(folder, fs::Permissions::from_mode(0o500)).expect("changed");
}

/// Whether a store is unchanged.
fn is_untouched(folder: &std::path::Path) -> bool {
    let mode = fs::metadata(folder).expect("there").mode() & 0o7777;
    let names: std::collections::BTreeSet<_> = fs::read_dir(folder)
        .expect("listed")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    let document = fs::read_to_string(folder.join("freezer.json")).expect("readable");
    let nothing_new = fs::read_dir(folder.join("data")).expect("listed").count() == 0;
    mode == 0o500
        && document.contains("freezer store")
        && names == ["data".into(), "freezer.json".into()].into()
        && nothing_new
}

#[test]
fn a_target_in_a_store_is_refused_before_anything_is_made() {
    let (folder, _) = fresh();
    let room = folder.path();
    let store = room.join("store");
    make_store(&store);
    symlink("store/data", room.join("link")).expect("linked");
    let memory = Tree::new().file("freezer.json", b"mine").memory();
    for target in [
        "store",
        "store/data",
        "store/new/newer",
        "link",
        "link/new",
        "missing/../store/new",
    ] {
        for options in [
            outside_stores(),
            Options {
                existing: Existing::Refuse,
                ..outside_stores()
            },
        ] {
            let target = room.join(target);
            let error = restore(&memory, &[], &target, &options, &Silent, &Cancel::new())
                .expect_err("refused");
            assert!(
                matches!(error, RestoreError::InStore { .. }),
                "{target:?}: {error:?}"
            );
        }
        assert!(is_untouched(&store), "{target}");
        assert!(!room.join("missing").exists(), "{target}");
    }
}

#[test]
fn a_store_in_the_target_is_left_out_and_reported() {
    let (folder, _) = fresh();
    let target = folder.path();
    let store = target.join("a/store");
    make_store(&store);
    let memory = Tree::new()
        .directory("a", 0o755)
        .file("a/beside", b"restored")
        .directory("a/store", 0o755)
        .file("a/store/freezer.json", b"mine")
        .directory("a/store/data", 0o755)
        .file("a/store/data/x", b"mine")
        .memory();
    let progress = Collected::default();
    let cancel = Cancel::new();
    let summary = restore(&memory, &[], target, &outside_stores(), &progress, &cancel)
        .expect("all else can be restored");
    assert_eq!(summary.troubles, 1);
    let troubles = progress.told().troubles;
    assert!(troubles[0].contains("a/store"), "{troubles:?}");
    assert!(is_untouched(&store));
    assert_eq!(
        fs::read(target.join("a/beside")).expect("there"),
        b"restored"
    );
}

#[test]
fn a_backup_of_a_store_is_restored_where_there_is_none() {
    let (_folder, target) = fresh();
    let memory = Tree::new()
        .file("freezer.json", br#"{"format":"freezer store"}"#)
        .directory("data", 0o700)
        .file("data/x", b"y")
        .memory();
    restore_all(&memory, &target, &outside_stores());
    assert_all_restored(&memory, &target);
}

/// A part of a store that is mounted elsewhere too, until this is dropped.
struct Bound(PathBuf);

impl Bound {
    fn new(source: PathBuf, place: PathBuf) -> Self {
        fs::create_dir_all(&place).expect("made");
        rustix::mount::mount_bind(&source, &place).expect("root may");
        Self(place)
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let flags = rustix::mount::UnmountFlags::empty();
        rustix::mount::unmount(&self.0, flags).expect("unmounted");
    }
}

#[test]
#[ignore = "needs root and the right to mount"]
fn a_part_of_a_store_that_is_mounted_elsewhere_is_a_part_of_the_store() {
    let (folder, _) = fresh();
    let (room, target) = (folder.path(), folder.path().join("target"));
    let store = room.join("store");
    make_store(&store);
    let _first = Bound::new(store.join("data"), room.join("bound"));
    let _second = Bound::new(store.join("data"), target.join("x"));
    let memory = Tree::new()
        .directory("x", 0o755)
        .file("x/y", b"mine")
        .memory();
    let cancel = Cancel::new();
    let options = outside_stores();
    let bound = room.join("bound/new");
    let error = restore(&memory, &[], &bound, &options, &Silent, &cancel).expect_err("refused");
    assert!(matches!(error, RestoreError::InStore { .. }), "{error:?}");
    let summary = restore(&memory, &[], &target, &options, &Silent, &cancel).expect("restored");
    assert_eq!(summary.troubles, 1);
    assert!(is_untouched(&store));
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Restores everything, and expects no errors.
fn restore_all(memory: &Memory, target: &std::path::Path, options: &Options) -> Summary {
    let progress = Collected::default();
    let summary = restore(memory, &[], target, options, &progress, &Cancel::new())
        .expect("it can be restored");
    assert_eq!(progress.told().troubles, Vec::<String>::new());
    assert_eq!(summary.troubles, 0);
    assert_eq!(progress.told().done, (summary.files, summary.bytes));
    summary
}

/// One entry of each kind that a user other than root can make.
fn torture() -> Tree {
    let long = vec![b'n'; 255];
    let mut deep = Vec::new();
    let mut tree = Tree::new();
    for _ in 0..30 {
        deep.extend_from_slice(&[b'd'; 200]);
        tree = tree.directory(&deep, 0o755);
        deep.push(b'/');
    }
    deep.extend_from_slice(b"bottom");
    tree.file(&deep, b"far below PATH_MAX")
        .file(&long, b"long name")
        .file(b"\xff\n\x01", b"odd name")
        .file("empty", b"")
        .change("empty", |metadata| metadata.mode = 0)
        .file("setuid", b"#!")
        .change("setuid", |metadata| metadata.mode = 0o6755)
        .file("before 1970", b"1")
        .change("before 1970", |metadata| {
            metadata.mtime = Time::new(-1, 999_999_999)
        })
        .file("after 2038", b"2")
        .change("after 2038", |metadata| {
            metadata.mtime = Time::new(1 << 33, 1)
        })
        .sparse(
            "sparse",
            5 << 20,
            &[(1 << 20, &[1; 4096]), (3 << 20, &[2; 8192])],
        )
        .sparse("hole", 1 << 20, &[])
        .symlink("link", b"../no/such/place")
        .symlink("long link", &[b'/'; 4000])
        .with("fifo", 0o622, Content::Fifo)
        .directory("closed", 0o500)
        .file("closed/file", b"in a directory that cannot be written")
        .change("closed/file", |metadata| metadata.mode = 0o400)
        .xattr("closed/file", "user.read_only", b"1")
        .directory("sticky", 0o3777)
        .directory("sticky/empty", 0o700)
        .xattr("sticky", "user.directory", b"\0\xff")
        .file("a/b", b"")
        .directory("a", 0o711)
        .link("a/second", "empty")
        .link("sticky/third", "empty")
        .directory("z", 0o755)
        .link("z/link to a fifo", "fifo")
        .file(
            "z/large",
            &(0..9_000_000_u32)
                .map(|at| (at / 1000 % 251) as u8)
                .collect::<Vec<_>>(),
        )
}

#[test]
fn everything_comes_back_as_it_was() {
    let (_folder, target) = fresh();
    let mut tree = torture();
    if is_root() {
        tree = tree
            .with(
                "device",
                0o640,
                Content::CharDevice(Device {
                    major: 4095,
                    minor: 1_000_000,
                }),
            )
            .with(
                "disk",
                0o660,
                Content::BlockDevice(Device { major: 7, minor: 3 }),
            )
            .xattr("disk", "trusted.device", b"x")
            .xattr("link", "trusted.link", b"y")
            // cap_net_raw=ep, as setcap(8) writes it.
            .xattr(
                "setuid",
                "security.capability",
                b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            );
        for at in ["setuid", "link", "fifo", "z", "z/large", "closed", "disk"] {
            tree = tree.change(at, |metadata| {
                (metadata.owner.uid, metadata.owner.gid) = (1234, 5678)
            });
        }
        // The other name of the same FIFO.
        tree = tree.change("z/link to a fifo", |metadata| {
            (metadata.owner.uid, metadata.owner.gid) = (1234, 5678)
        });
    }
    let memory = tree.memory();
    let summary = restore_all(
        &memory,
        &target,
        &Options {
            ownership: Ownership::ByNumber,
            ..Options::default()
        },
    );
    assert_all_restored(&memory, &target);
    assert_eq!(
        summary.files + summary.directories,
        memory.entries.len() as u64
    );
    assert_eq!(summary.left_out, 0);
}

#[test]
fn names_of_one_file_are_one_file() {
    let (_folder, target) = fresh();
    let memory = Tree::new()
        .file("a", b"x")
        .directory("b", 0o755)
        .link("b/a", "a")
        .link("z", "a")
        .memory();
    restore_all(&memory, &target, &Options::default());
    assert_all_restored(&memory, &target);
    let inode = |name: &str| fs::metadata(target.join(name)).unwrap().ino();
    assert_eq!((inode("b/a"), inode("z")), (inode("a"), inode("a")));
}

#[test]
fn access_lists_come_back_and_none_are_inherited() {
    let (folder, target) = fresh();
    // Version 2; user::rwx, user 77:r--, group::r-x, mask::r-x, other::--- as acl(5) and the
    // kernel's posix_acl_xattr.h say.
    let acl = |user: u8| {
        let entry = |tag: u8, rights: u8, id: u32| {
            [[tag, 0, rights, 0].as_slice(), &id.to_le_bytes()].concat()
        };
        let none = u32::MAX;
        let entries = [
            entry(1, 7, none),
            entry(2, 4, user.into()),
            entry(4, 5, none),
            entry(16, 5, none),
            entry(32, 0, none),
        ];
        [vec![2, 0, 0, 0], entries.concat()].concat()
    };
    fs::create_dir_all(&target).unwrap();
    let set = rustix::fs::setxattr(
        &target,
        "system.posix_acl_default",
        &acl(99),
        rustix::fs::XattrFlags::CREATE,
    );
    set.expect("the test's folder takes access lists");
    let memory = Tree::new()
        .file("with", b"")
        .xattr("with", "system.posix_acl_access", &acl(77))
        .change("with", |metadata| metadata.mode = 0o750)
        .file("without", b"")
        .with("fifo", 0o666, Content::Fifo)
        .symlink("link", b"x")
        .directory("directory", 0o750)
        .xattr("directory", "system.posix_acl_access", &acl(77))
        .xattr("directory", "system.posix_acl_default", &acl(78))
        .file("directory/without", b"")
        .directory("directory/bare", 0o777)
        .memory();
    restore_all(&memory, &target, &Options::default());
    assert_all_restored(&memory, &target);
    drop(folder);
}

#[test]
fn a_target_that_passes_its_group_on_passes_nothing_on() {
    let (_folder, target) = fresh();
    fs::create_dir_all(&target).unwrap();
    if is_root() {
        std::os::unix::fs::chown(&target, None, Some(4321)).unwrap();
    }
    fs::set_permissions(&target, fs::Permissions::from_mode(0o2777)).unwrap();
    let memory = torture().memory();
    restore_all(&memory, &target, &Options::default());
    assert_all_restored(&memory, &target);
}

#[test]
fn an_owner_is_found_by_name_unless_told_otherwise() {
    if !is_root() {
        return;
    }
    let owner = Owner {
        uid: 4242,
        gid: 4243,
        user: (*b"root").into(),
        group: (*b"no such group").into(),
    };
    let memory = Tree::new()
        .file("file", b"")
        .change("file", |metadata| metadata.owner = owner)
        .memory();
    for (ownership, uid) in [(Ownership::ByName, 0), (Ownership::ByNumber, 4242)] {
        let (_folder, target) = fresh();
        restore_all(
            &memory,
            &target,
            &Options {
                ownership,
                ..Options::default()
            },
        );
        let found = fs::metadata(target.join("file")).unwrap();
        assert_eq!((found.uid(), found.gid()), (uid, 4243));
    }
}

#[test]
fn a_selection_keeps_its_place_and_brings_nothing_else() {
    let (_folder, target) = fresh();
    let memory = Tree::new()
        .directory("a", 0o711)
        .directory("a/b", 0o750)
        .file("a/b/file", b"1")
        .file("a/b/other", b"2")
        .directory("a/c", 0o755)
        .directory("a/c/d", 0o755)
        .file("a/c/d/file", b"3")
        .file("ab", b"4")
        .link("link", "a/b/other")
        .memory();
    let selection = [path("link"), path("a/c/d"), path("a/b/file"), path("a/c")];
    restore(
        &memory,
        &selection,
        &target,
        &Options::default(),
        &Silent,
        &Cancel::new(),
    )
    .unwrap();
    let expected = [
        "",
        "a",
        "a/b",
        "a/b/file",
        "a/c",
        "a/c/d",
        "a/c/d/file",
        "link",
    ];
    assert_eq!(names_below(&target), expected.map(path).into());
    for entry in memory
        .entries
        .iter()
        .filter(|entry| expected[1..].contains(&entry.path.to_string().as_str()))
    {
        // Its other name was not selected.
        let links = if entry.metadata.links == 2 {
            1
        } else {
            entry.metadata.links
        };
        let metadata = Metadata {
            links,
            ..entry.metadata.clone()
        };
        assert_restored(
            &memory,
            &freezer::model::Entry {
                metadata,
                ..entry.clone()
            },
            &target,
        );
    }

    let mut listed = Vec::new();
    list(&memory, &selection, |entry| listed.push(entry.path.clone())).unwrap();
    listed.sort();
    assert_eq!(listed, expected.map(path));
}

#[test]
fn a_listing_has_each_directory_before_its_entries() {
    let memory = torture().memory();
    let mut listed = Vec::new();
    list(&memory, &[], |entry| listed.push(entry.path.clone())).unwrap();
    let in_order: Vec<_> = memory
        .entries
        .iter()
        .map(|entry| entry.path.clone())
        .collect();
    assert_eq!(listed, in_order);
}

#[test]
fn a_missing_path_is_refused_before_anything_is_made() {
    let (_folder, target) = fresh();
    let memory = Tree::new().file("a", b"").memory();
    let refused = restore(
        &memory,
        &[path("a"), path("b")],
        &target,
        &Options::default(),
        &Silent,
        &Cancel::new(),
    );
    assert!(matches!(refused, Err(RestoreError::Missing(missing)) if missing == path("b")));
    assert!(!target.exists());
}

#[test]
fn a_target_with_entries_is_refused() {
    let (folder, _) = fresh();
    fs::write(folder.path().join("mine"), b"mine").unwrap();
    let memory = Tree::new().file("mine", b"theirs").memory();
    let refused = restore(
        &memory,
        &[],
        folder.path(),
        &Options::default(),
        &Silent,
        &Cancel::new(),
    );
    assert!(
        matches!(refused, Err(RestoreError::NotEmpty(_))),
        "{refused:?}"
    );
    assert_eq!(fs::read(folder.path().join("mine")).unwrap(), b"mine");
}

#[test]
fn a_target_that_is_a_file_is_refused() {
    let (folder, _) = fresh();
    let target = folder.path().join("file");
    fs::write(&target, b"mine").unwrap();
    let refused = restore(
        &Tree::new().memory(),
        &[],
        &target,
        &replace(),
        &Silent,
        &Cancel::new(),
    );
    assert!(
        matches!(refused, Err(RestoreError::Target { .. })),
        "{refused:?}"
    );
}

#[test]
fn replaced_files_are_whole_and_all_others_stay() {
    let (_folder, target) = fresh();
    let memory = torture().memory();
    restore_all(&memory, &target, &Options::default());
    // A program that has the old file open keeps it, and so does another name of it.
    let elsewhere = target.with_file_name("elsewhere");
    fs::hard_link(target.join("sparse"), &elsewhere).unwrap();
    fs::write(&elsewhere, b"old").unwrap();
    fs::write(target.join("a/b"), b"changed and longer").unwrap();
    fs::remove_file(target.join("link")).unwrap();
    fs::write(target.join("link"), b"not a link").unwrap();
    fs::remove_file(target.join("before 1970")).unwrap();
    fs::set_permissions(target.join("closed"), fs::Permissions::from_mode(0o0)).unwrap();
    restore_all(&memory, &target, &replace());
    assert_all_restored(&memory, &target);
    assert_eq!(fs::read(&elsewhere).unwrap(), b"old");

    fs::write(target.join("sticky/mine"), b"mine").unwrap();
    restore_all(&memory, &target, &replace());
    assert_eq!(fs::read(target.join("sticky/mine")).unwrap(), b"mine");
}

#[test]
fn a_planted_link_is_replaced_and_never_followed() {
    let (folder, target) = fresh();
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), b"safe").unwrap();
    fs::create_dir_all(&target).unwrap();
    symlink(&outside, target.join("directory")).unwrap();
    symlink(outside.join("file"), target.join("file")).unwrap();
    symlink(outside.join("new"), target.join("other")).unwrap();
    symlink(outside.join("new"), target.join("fifo")).unwrap();
    let before = fs::metadata(&outside).unwrap();
    let memory = Tree::new()
        .directory("directory", 0o700)
        .file("directory/file", b"evil")
        .file("file", b"evil")
        .with("fifo", 0o666, Content::Fifo)
        .link("other", "directory/file")
        .memory();
    restore_all(&memory, &target, &replace());
    assert_all_restored(&memory, &target);
    let after = fs::metadata(&outside).unwrap();
    assert_eq!(
        (after.mode(), after.mtime(), after.ctime_nsec()),
        (before.mode(), before.mtime(), before.ctime_nsec())
    );
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"safe");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
}

#[test]
fn a_directory_is_not_replaced_by_something_else() {
    let (_folder, target) = fresh();
    fs::create_dir_all(target.join("file")).unwrap();
    fs::write(target.join("file/mine"), b"mine").unwrap();
    let memory = Tree::new().file("file", b"x").file("other", b"y").memory();
    let progress = Collected::default();
    let summary = restore(&memory, &[], &target, &replace(), &progress, &Cancel::new()).unwrap();
    assert_eq!(
        progress.told().troubles,
        [
            "file: could not put it in the place of the entry that is there: Is a directory (os error 21)"
        ]
    );
    assert_eq!((summary.troubles, summary.files), (1, 1));
    assert_eq!(
        names_below(&target),
        ["", "file", "file/mine", "other"].map(path).into()
    );
}

#[test]
fn unreadable_files_are_reported_and_not_made_and_all_others_are() {
    let (_folder, target) = fresh();
    let tree = torture()
        .file("bad", &[7; 10_000])
        .file("bad large", &[8; 9_000_000])
        .link("bad second", "bad");
    let memory = tree
        .clone()
        .broken("bad")
        .broken("bad large")
        .broken("bad second")
        .memory();
    let progress = Collected::default();
    let summary = restore(
        &memory,
        &[],
        &target,
        &Options::default(),
        &progress,
        &Cancel::new(),
    )
    .unwrap();
    let mut troubles = progress.told().troubles;
    troubles.sort();
    let what = "could not read its content from the backup: frame 7 fails authentication";
    assert_eq!(
        troubles,
        ["bad large", "bad second", "bad"].map(|name| format!("{name}: {what}"))
    );
    assert_eq!(summary.troubles, 3);
    for entry in &memory.entries {
        if entry.path.as_bytes().starts_with(b"bad") {
            assert!(
                !target.join(entry.path.to_string()).exists(),
                "{}",
                entry.path
            );
        } else {
            assert_restored(&memory, entry, &target);
        }
    }

    // The entry that was there before stays.
    restore_all(&tree.memory(), &target, &replace());
    let summary = restore(&memory, &[], &target, &replace(), &Silent, &Cancel::new()).unwrap();
    assert_eq!(summary.troubles, 3);
    assert_all_restored(&tree.memory(), &target);
}

#[test]
fn one_broken_name_does_not_break_the_next_name_of_the_file() {
    let (_folder, target) = fresh();
    let memory = Tree::new()
        .file("a", b"x")
        .link("b", "a")
        .link("c", "a")
        .broken("a")
        .memory();
    let summary = restore(
        &memory,
        &[],
        &target,
        &Options::default(),
        &Silent,
        &Cancel::new(),
    )
    .unwrap();
    assert_eq!(summary.troubles, 1);
    assert_eq!(fs::read(target.join("c")).unwrap(), b"x");
    assert_eq!(
        fs::metadata(target.join("c")).unwrap().ino(),
        fs::metadata(target.join("b")).unwrap().ino()
    );
}

#[test]
fn restoring_into_a_missing_place_makes_it_for_its_owner_alone_until_it_is_done() {
    let (_folder, target) = fresh();
    let memory = Tree::new()
        .with("fifo", 0o600, Content::Fifo)
        .change("", |root| root.mode = 0o751)
        .memory();
    restore_all(&memory, &target, &Options::default());
    assert_all_restored(&memory, &target);
    assert!(
        fs::symlink_metadata(target.join("fifo"))
            .unwrap()
            .file_type()
            .is_fifo()
    );
    assert_eq!(
        names_below(&target),
        [TreePath::root(), path("fifo")].into()
    );
}

/// Asks for a stop as soon as one entry is done.
struct Impatient(Cancel);

impl Progress for Impatient {
    fn stage(&self, _: &'static str) {}
    fn expect_total(&self, _: u64, _: u64) {}
    fn trouble(&self, _: Trouble) {}

    fn advance(&self, _: u64, _: u64) {
        self.0.request();
    }
}

#[test]
fn a_cancelled_restore_says_so_and_leaves_only_whole_files() {
    let (_folder, target) = fresh();
    let mut tree = Tree::new();
    for directory in 0..20 {
        tree = tree.directory(format!("{directory:02}"), 0o755);
        for file in 0..50 {
            tree = tree.file(format!("{directory:02}/{file}"), &[7; 5000]);
        }
        tree = tree.file(format!("{directory:02}/large"), &vec![8; 5_000_000]);
    }
    let memory = tree.memory();
    let cancel = Cancel::new();
    let stopped = restore(
        &memory,
        &[],
        &target,
        &Options::default(),
        &Impatient(cancel.clone()),
        &cancel,
    );
    assert!(
        matches!(stopped, Err(RestoreError::Interrupted(_))),
        "{stopped:?}"
    );
    let names = names_below(&target);
    assert!(names.len() < memory.entries.len(), "it went on to the end");
    for entry in memory
        .entries
        .iter()
        .filter(|entry| names.contains(&entry.path) && entry.content.size() > 0)
    {
        assert_restored(&memory, entry, &target);
    }
}

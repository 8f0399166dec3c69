//! What a backup may not give an entry: owners that are none, and rights without trust.

use super::tree::Tree;
use super::{fresh, is_root, replace, restore_all};
use crate::support::stored_tree::{Planned, Recipe, StoredTree};
use freezer::model::progress::Collected;
use freezer::model::{Cancel, Content, Device, Metadata, Owner};
use freezer::restore::{Existing, Exported, Options, Ownership, Summary, Trust, export, restore};
use freezer::store::memory::MemoryStore;
use rustix::fs::getxattr;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

fn owner(number: u32, name: &str) -> Owner {
    Owner {
        uid: number,
        gid: number,
        user: name.as_bytes().into(),
        group: name.as_bytes().into(),
    }
}

/// Restores everything; returns what was told of entries.
fn restored(tree: &Tree, target: &Path, options: &Options) -> (Summary, Vec<String>) {
    let progress = Collected::default();
    let memory = tree.memory();
    let summary = restore(&memory, &[], target, options, &progress, &Cancel::new())
        .expect("it can be restored");
    let troubles = progress.told().troubles;
    (summary, troubles)
}

/// User, group and mode.
fn rights(path: &Path) -> (u32, u32, u32) {
    let stat = fs::symlink_metadata(path).expect("there");
    (stat.uid(), stat.gid(), stat.mode() & 0o7777)
}

#[test]
fn an_owner_that_nobody_can_be_never_makes_a_program_that_acts_as_whoever_restores() {
    if !is_root() {
        return;
    }
    let nobody = owner(u32::MAX, "");
    let tree = Tree::new()
        .directory("directory", 0o7777)
        .change("directory", |metadata| metadata.owner = nobody.clone())
        .with("pipe", 0o6755, Content::Fifo)
        .change("pipe", |metadata| metadata.owner = nobody.clone())
        .file("program", b"#!")
        .change("program", |metadata| {
            (metadata.owner, metadata.mode) = (nobody.clone(), 0o6755);
        })
        .file("user alone", b"#!")
        .change("user alone", |metadata| {
            metadata.owner = Owner {
                gid: 4243,
                ..nobody.clone()
            };
            metadata.mode = 0o6755;
        });
    let (_folder, target) = fresh();
    let by_number = Options {
        ownership: Ownership::ByNumber,
        ..replace()
    };
    for options in [Options::default(), replace(), by_number] {
        let (_, troubles) = restored(&tree, &target, &options);
        for name in ["directory", "pipe", "program", "user alone"] {
            assert!(
                troubles.iter().any(|told| told.contains(name)),
                "{name} is not told of: {troubles:?}"
            );
        }
        assert_eq!(rights(&target.join("directory")), (0, 0, 0o1777));
        assert_eq!(rights(&target.join("pipe")), (0, 0, 0o755));
        assert_eq!(rights(&target.join("program")), (0, 0, 0o755));
        // The group is given, and the program may act as it.
        assert_eq!(rights(&target.join("user alone")), (0, 4243, 0o2755));
    }
}

#[test]
fn a_name_that_is_roots_here_alone_makes_no_program_of_root() {
    if !is_root() {
        return;
    }
    let tree = Tree::new()
        .file("was another", b"#!")
        .change("was another", |metadata| {
            (metadata.owner, metadata.mode) = (owner(4242, "root"), 0o6755);
        })
        .file("was root", b"#!")
        .change("was root", |metadata| {
            (metadata.owner, metadata.mode) = (owner(0, "root"), 0o6755);
        });
    let (_folder, target) = fresh();
    let (_, troubles) = restored(&tree, &target, &Options::default());
    assert_eq!(rights(&target.join("was another")), (0, 0, 0o755));
    assert_eq!(rights(&target.join("was root")), (0, 0, 0o6755));
    assert_eq!(troubles.len(), 2, "{troubles:?}");
    assert!(troubles.iter().all(|told| told.contains("was another")));
}

#[test]
fn without_trust_nothing_gets_rights_and_everything_belongs_to_whoever_restores() {
    let (_folder, target) = fresh();
    let secret = target.parent().expect("a folder").join("secret");
    let foreign = owner(4242, "root");
    let tree = Tree::new()
        .with(
            "device",
            0o666,
            Content::CharDevice(Device { major: 1, minor: 3 }),
        )
        .link("device again", "device")
        .with(
            "disk",
            0o666,
            Content::BlockDevice(Device { major: 7, minor: 0 }),
        )
        .directory("directory", 0o7777)
        .change("directory", |metadata| metadata.owner = foreign.clone())
        .symlink("link", secret.as_os_str().as_encoded_bytes())
        .change("link", |metadata| metadata.owner = foreign.clone())
        .xattr("link", "trusted.x", b"1")
        .file("program", b"#!")
        .change("program", |metadata| {
            (metadata.owner, metadata.mode) = (foreign.clone(), 0o6755);
        })
        .xattr(
            "program",
            "security.capability",
            b"\x01\0\0\x02\0\0\0\0\0\0\0\0",
        )
        .xattr("program", "user.mine", b"1");
    let untrusted = Options {
        trust: Trust::Untrusted,
        ..Options::default()
    };
    let (summary, troubles) = restored(&tree, &target, &untrusted);
    assert_eq!((troubles.len(), summary.left_out), (0, 0), "{troubles:?}");
    assert_eq!(summary.withheld, 6, "three devices, three entries");
    let us = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    for (name, mode) in [("directory", 0o1777), ("program", 0o755), ("link", 0o777)] {
        assert_eq!(rights(&target.join(name)), (us.0, us.1, mode), "{name}");
    }
    for name in ["device", "device again", "disk"] {
        assert!(fs::symlink_metadata(target.join(name)).is_err(), "{name}");
    }
    let mut value = [0; 64];
    let program = target.join("program");
    assert_eq!(getxattr(&program, "user.mine", &mut value), Ok(1));
    assert!(getxattr(&program, "security.capability", &mut value).is_err());
    assert!(fs::read_link(target.join("link")).is_ok() && !secret.exists());
}

#[test]
fn without_trust_what_is_there_is_replaced_and_never_followed() {
    let (_folder, target) = fresh();
    let outside = target.parent().expect("a folder").join("outside");
    fs::create_dir_all(&target).expect("made");
    fs::write(&outside, "theirs").expect("written");
    std::os::unix::fs::symlink(&outside, target.join("file")).expect("linked");
    let tree = Tree::new().file("file", b"ours");
    let untrusted = Options {
        existing: Existing::Replace,
        trust: Trust::Untrusted,
        ..Options::default()
    };
    restore_all(&tree.memory(), &target, &untrusted);
    assert_eq!(fs::read(&outside).expect("there"), b"theirs");
    let file = fs::symlink_metadata(target.join("file")).expect("there");
    assert!(file.is_file());
}

/// Exports a tree of a program and a device; returns the mode and user in the program's header,
/// and what was told.
fn exported(owner: Owner, trust: Trust) -> ((u64, u64), Exported, Vec<String>) {
    let mut program = Planned::file("program", "#!");
    program.entry.metadata.owner = owner;
    program.entry.metadata.mode = 0o6755;
    let device = Content::CharDevice(Device { major: 1, minor: 3 });
    let tree = [
        Planned::directory(""),
        Planned::new("device", Metadata::default(), device),
        program,
    ];
    let store = Arc::new(MemoryStore::default());
    let view = StoredTree::write(store, tree, Recipe::default()).view();
    let (mut archive, progress) = (Vec::new(), Collected::default());
    let exported = export(&view, &mut archive, trust, &progress, &Cancel::new());
    let header = archive
        .chunks(512)
        .find(|block| block.starts_with(b"./program\0"))
        .expect("a member");
    let number = |field: &[u8]| match field {
        [0x80, digits @ ..] => digits
            .iter()
            .fold(0, |all, byte| all << 8 | u64::from(*byte)),
        digits => digits
            .iter()
            .take_while(|digit| digit.is_ascii_digit())
            .fold(0, |all, digit| all << 3 | u64::from(digit - b'0')),
    };
    let found = (number(&header[100..108]), number(&header[108..116]));
    let told = progress.told().troubles;
    (found, exported.expect("exported"), told)
}

#[test]
fn an_archive_makes_nobody_the_owner_of_a_program_by_leaving_its_owner_out() {
    let ((mode, user), exported, told) = exported(owner(u32::MAX, ""), Trust::Trusted);
    assert_eq!((mode, user), (0o755, u64::from(u32::MAX)));
    assert_eq!((exported.without_owner, exported.withheld), (1, 0));
    assert!(told.iter().all(|told| told.contains("program")), "{told:?}");
    assert!(!told.is_empty());
    let ((mode, user), exported, told) = self::exported(owner(4242, ""), Trust::Trusted);
    assert_eq!((mode, user), (0o6755, 4242));
    assert_eq!((exported.without_owner, told.len()), (0, 0));
}

#[test]
fn an_archive_without_trust_has_no_devices_and_no_rights() {
    let ((mode, user), exported, told) = exported(owner(4242, "root"), Trust::Untrusted);
    let us = u64::from(rustix::process::geteuid().as_raw());
    assert_eq!((mode, user, told.len()), (0o755, us, 0));
    assert_eq!((exported.withheld, exported.members), (2, 2));
}

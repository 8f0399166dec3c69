//! Extracts our archives with GNU tar, bsdtar and Python's tarfile.
#![expect(clippy::disallowed_methods, reason = "the oracles are other programs")]

use super::members::{Member, archive, bytes_of};
use super::properties;
use crate::support::oracle::{ContentDigest, Found, Holes, Tree, compare, scan};
use crate::support::scratch;
use freezer::model::{Content, Device, TreePath};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use rustix::fs::FileType;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};

const NONE: u32 = u32::MAX;

/// Makes members of every kind.
fn everything() -> Vec<Member> {
    let long = |byte: u8, length| vec![byte; length];
    let access: &[(u16, u16, u32)] = &[
        (1, 6, NONE),
        (2, 7, 12_345),
        (2, 4, 4_000_000_000),
        (4, 4, NONE),
        (8, 0, 54_321),
        (16, 7, NONE),
        (32, 0, NONE),
    ];
    let default: &[(u16, u16, u32)] = &[
        (1, 7, NONE),
        (2, 6, 12_345),
        (4, 5, NONE),
        (16, 6, NONE),
        (32, 1, NONE),
    ];
    let first = Member::file("links/first", 1000)
        .owner(12_345, 54_321, "", "")
        .xattr("user.of", "every name");
    let odd_first = Member::file([&b"links/caf\xe9"[..], &long(b'x', 120)].concat(), 10);
    let link_first = Member::symlink("links/symbolic", "somewhere");
    let device_first = Member::new(
        "links/device",
        Content::CharDevice(Device { major: 5, minor: 1 }),
    );
    let mut all = vec![Member::directory("").mode(0o1755).time(1_234_567_890, 1)];
    // Sizes, modes, owners.
    for size in [0, 1, 511, 512, 513, 1024, 100_000] {
        all.push(Member::file(format!("size {size}"), size));
    }
    for mode in [0, 0o444, 0o1777, 0o2755, 0o4755, 0o7777] {
        all.push(Member::file(format!("mode {mode:o}"), 3).mode(mode));
        all.push(Member::directory(format!("mode dir {mode:o}")).mode(mode));
        all.push(Member::file(format!("mode dir {mode:o}/inside"), 3));
    }
    for id in [0, 1000, 2_097_151, 2_097_152, 4_294_967_294] {
        all.push(Member::file(format!("owner {id}"), 0).owner(id, id, "", ""));
        all.push(Member::symlink(format!("owner of link {id}"), "x").owner(id, id, "", ""));
    }
    all.push(Member::file("named owner", 0).owner(0, 0, "root", "root"));
    all.push(Member::file("long owner", 0).owner(1, 2, &"u".repeat(32), &"g".repeat(200)));
    all.push(Member::file("owner of 31", 0).owner(1, 2, &"u".repeat(31), "\u{3b1}\u{3b2}"));
    // Times.
    for (seconds, nanoseconds) in [
        (0, 0),
        (0, 1),
        (-1, 0),
        (-1, 500_000_000),
        (-1_000_000_000, 123_456_789),
        (-(1 << 31), 0),
        (1_700_000_000, 0),
        (1_700_000_000, 999_999_999),
        (1_700_000_000, 100_000_000),
        (1 << 31, 1),
        ((1 << 33) - 1, 0),
        (1 << 33, 0),
        ((1 << 33) + 1, 987_654_321),
    ] {
        all.push(
            Member::file(format!("time {seconds}.{nanoseconds}"), 1).time(seconds, nanoseconds),
        );
        all.push(
            Member::directory(format!("time dir {seconds}.{nanoseconds}"))
                .time(seconds, nanoseconds),
        );
        all.push(
            Member::symlink(format!("time link {seconds}.{nanoseconds}"), "x")
                .time(seconds, nanoseconds),
        );
    }
    // Names. After `./`, 98 bytes fill the name field, and 155 bytes the prefix.
    let bytes: Vec<u8> = (1..=255).filter(|byte| *byte != b'/').collect();
    let mut names: Vec<Vec<u8>> = [97, 98, 99, 255]
        .iter()
        .flat_map(|length| [b'n', 0xe9, b'\n'].map(|byte| long(byte, *length)))
        .collect();
    names.extend(
        [
            "\u{e9}".into(),
            "\u{4e2d}\u{6587} \u{1f980}".into(),
            "\u{e9}".repeat(49),
            "\u{e9}".repeat(127),
        ]
        .map(String::into_bytes),
    );
    names.extend(
        [
            &b"-rf"[..],
            b" ",
            b"\\",
            b"\\n",
            b"a\nb",
            b"caf\xe9",
            b"\xff",
            b"%",
            b"=",
            b"12 path=x\n",
            b"*",
            b"\x7f",
            &bytes,
        ]
        .map(<[u8]>::to_vec),
    );
    for name in &names {
        all.push(Member::file(
            [&b"file "[..], &name[..name.len().min(250)]].concat(),
            5,
        ));
        let directory = [&b"dir "[..], &name[..name.len().min(251)]].concat();
        all.push(Member::directory(&directory));
        for inside in [
            &b"f"[..],
            b"caf\xe9",
            "\u{e9}".as_bytes(),
            &long(b'f', 100),
            &long(b'f', 101),
            &long(0xe9, 101),
        ] {
            all.push(Member::file([&directory, &b"/"[..], inside].concat(), 5));
        }
    }
    for length in [150, 152, 153, 154] {
        let directory = long(b'p', length);
        all.push(Member::directory(&directory));
        for name in [98, 99, 100, 101] {
            all.push(Member::file(
                [&directory, &b"/"[..], &long(b'f', name)].concat(),
                5,
            ));
            all.push(Member::directory(
                [&directory, &b"/"[..], &long(b'd', name)].concat(),
            ));
        }
    }
    let mut deep = Vec::new();
    for byte in b'a'..b'n' {
        deep.extend(long(byte, 250));
        all.push(Member::directory(&deep));
        deep.push(b'/');
    }
    all.push(Member::file([&deep, &b"file"[..]].concat(), 5));
    // Symbolic links.
    for target in [
        &b"x"[..],
        b"/a/b",
        b"dir/",
        b"caf\xe9",
        "\u{e9}".as_bytes(),
        b"a\nb",
        &long(b't', 100),
        &long(b't', 101),
        &long(0xe9, 101),
        &long(b't', 4095),
    ] {
        all.push(Member::symlink(
            format!("link {}", target.escape_ascii())
                .replace(['/', '\\'], "_")
                .get(..99)
                .map_or_else(
                    || format!("link {}", target.escape_ascii()).replace(['/', '\\'], "_"),
                    |name| format!("{name} {}", target.len()),
                ),
            target,
        ));
    }
    // Hard links.
    all.push(Member::directory("links"));
    all.extend([
        first.clone(),
        odd_first.clone(),
        link_first.clone(),
        device_first.clone(),
    ]);
    all.push(Member::hard_link("links/second", &first));
    all.push(Member::hard_link(b"links/\xe9", &odd_first));
    all.push(Member::hard_link("links/\u{e9}", &odd_first));
    all.push(Member::hard_link("links/symbolic too", &link_first));
    all.push(Member::hard_link("links/device too", &device_first));
    // Depth first: GNU tar sets the time of a directory when it leaves it.
    all.push(Member::hard_link(long(b'h', 200), &first));
    // Devices and FIFOs.
    all.push(Member::new(
        "character",
        Content::CharDevice(Device {
            major: 4095,
            minor: 1_048_575,
        }),
    ));
    all.push(
        Member::new(
            "block",
            Content::BlockDevice(Device {
                major: 259,
                minor: 65_536,
            }),
        )
        .mode(0o600),
    );
    all.push(Member::new("fifo", Content::Fifo).mode(0o622));
    // Extended attributes.
    all.push(
        Member::file("xattr text", 3)
            .xattr("user.a", "text")
            .xattr("user.b", "")
            .xattr("trusted.c", "c"),
    );
    all.push(
        Member::file("xattr binary", 0)
            .xattr("user.binary", (0..=255).collect::<Vec<u8>>())
            .xattr("user.record", "1\n12 path=x\n"),
    );
    all.push(Member::file("xattr large", 0).xattr("user.large", long(b'v', 3500)));
    all.push(Member::file("xattr capability", 0).xattr(
        "security.capability",
        [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ));
    all.push(Member::directory("xattr dir").xattr("user.dir", "d"));
    all.push(Member::symlink("xattr link", "x").xattr("trusted.link", "l"));
    all.push(Member::file(b"xattr \xe9", 0).xattr("user.\u{e9}", b"\xe9"));
    all.push(
        Member::file("acl", 0)
            .mode(0o670)
            .xattr("system.posix_acl_access", acl(access))
            .xattr("user.beside", "it"),
    );
    all.push(Member::directory("acl default").xattr("system.posix_acl_default", acl(default)));
    let both = Member::directory("acl both").mode(0o670);
    all.push(
        both.xattr("system.posix_acl_access", acl(access))
            .xattr("system.posix_acl_default", acl(default)),
    );
    // Sparse files. File systems keep holes of whole pages, so do these.
    let page = 4096;
    all.push(Member::sparse(
        "sparse start",
        20 * page,
        &[(16 * page, 4 * page)],
    ));
    all.push(Member::sparse(
        "sparse middle",
        20 * page,
        &[(0, page), (16 * page, 4 * page)],
    ));
    all.push(Member::sparse("sparse end", 20 * page, &[(0, page)]));
    all.push(Member::sparse("sparse all", 20 * page, &[]));
    all.push(Member::sparse(
        "sparse cut",
        20 * page + 77,
        &[(2 * page, page), (20 * page, 77)],
    ));
    all.push(Member::sparse(
        "sparse odd runs",
        100 * page,
        &[
            (5, 100),
            (20 * page + 511, 2),
            (40 * page, 513),
            (60 * page, 20),
        ],
    ));
    all.push(Member::sparse(
        "sparse 9 GiB",
        9 << 30,
        &[(0, page), (8 << 30, page)],
    ));
    all.push(Member::sparse(
        "sparse 1 TiB",
        1 << 40,
        &[(1 << 39, page), ((1 << 40) - page, page)],
    ));
    all.push(Member::sparse(
        "sparse many",
        4000 * page,
        &(0..200)
            .map(|run| (run * 20 * page, page))
            .collect::<Vec<_>>(),
    ));
    all.push(Member::sparse(
        [&b"sparse caf\xe9 "[..], &long(b's', 200)].concat(),
        20 * page,
        &[(0, page)],
    ));
    all.push(
        Member::sparse("sparse \u{e9}", 20 * page, &[(0, page)])
            .xattr("user.x", "x")
            .time(-5, 5),
    );
    let sparse_first = Member::sparse("sparse first", 20 * page, &[(0, page)]);
    all.push(sparse_first.clone());
    all.push(Member::hard_link("sparse second", &sparse_first));
    all
}

fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        value.extend(
            tag.to_le_bytes()
                .into_iter()
                .chain(permissions.to_le_bytes())
                .chain(id.to_le_bytes()),
        );
    }
    value
}

/// Returns the tree that the members describe.
fn expected(members: &[Member]) -> Tree {
    let mut tree = Tree::new();
    for member in members {
        let metadata = &member.entry.metadata;
        let first_name = member
            .link_to
            .as_ref()
            .unwrap_or(&member.entry.path)
            .as_bytes()
            .to_vec();
        let names = members
            .iter()
            .filter(|other| {
                other
                    .link_to
                    .as_ref()
                    .unwrap_or(&other.entry.path)
                    .as_bytes()
                    == first_name
            })
            .count();
        let mut digest = ContentDigest::default();
        member
            .runs
            .iter()
            .for_each(|run| digest.update(run.at.0, &bytes_of(&member.runs, run.at.0, run.length)));
        let (kind, target, device) = match &member.entry.content {
            Content::File { .. } => (FileType::RegularFile, Vec::new(), (0, 0)),
            Content::Directory => (FileType::Directory, Vec::new(), (0, 0)),
            Content::Symlink(target) => (FileType::Symlink, target.to_vec(), (0, 0)),
            Content::CharDevice(device) => (
                FileType::CharacterDevice,
                Vec::new(),
                (device.major, device.minor),
            ),
            Content::BlockDevice(device) => (
                FileType::BlockDevice,
                Vec::new(),
                (device.major, device.minor),
            ),
            Content::Fifo => (FileType::Fifo, Vec::new(), (0, 0)),
        };
        let found = Found {
            kind,
            mode: metadata.mode,
            uid: metadata.owner.uid,
            gid: metadata.owner.gid,
            mtime: (metadata.mtime.seconds(), metadata.mtime.nanoseconds()),
            device,
            target,
            links: if kind == FileType::Directory {
                0
            } else {
                names as u64
            },
            first_name,
            size: member.size(),
            content: if kind == FileType::RegularFile {
                digest.finish()
            } else {
                String::new()
            },
            runs: Vec::new(),
            xattrs: metadata
                .xattrs
                .iter()
                .map(|xattr| (xattr.name.to_vec(), xattr.value.to_vec()))
                .collect(),
        };
        tree.insert(member.entry.path.as_bytes().to_vec(), found);
    }
    name_groups(&mut tree);
    tree
}

/// Makes the first name of each group the first one in byte order, as [`scan`] does.
fn name_groups(tree: &mut Tree) {
    let mut firsts: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
    for (path, found) in tree.iter() {
        firsts
            .entry(found.first_name.clone())
            .or_insert_with(|| path.clone());
    }
    tree.values_mut()
        .for_each(|found| found.first_name = firsts[&found.first_name].clone());
}

/// Extracts `members` with a program that reads `archive.tar` next to the directory that it runs
/// in.
fn extract(members: &[Member], locale: &str, program: &[&str]) -> (tempfile::TempDir, Output) {
    let scratch = scratch();
    std::fs::write(scratch.path().join("archive.tar"), archive(members))
        .expect("room for the archive");
    let output = run(scratch.path(), locale, program);
    (scratch, output)
}

/// Runs a reader in the new directory `out` of `scratch`.
pub fn run(scratch: &Path, locale: &str, program: &[&str]) -> Output {
    let out = scratch.join("out");
    std::fs::create_dir(&out).expect("a directory");
    Command::new(program[0])
        .args(&program[1..])
        .env("LC_ALL", locale)
        .current_dir(&out)
        .output()
        .expect("the reader runs")
}

pub const GNU_TAR: &[&str] = &[
    "tar",
    "--xattrs",
    "--xattrs-include=*",
    "--acls",
    "--numeric-owner",
    "-xpf",
    "../archive.tar",
];
pub const BSDTAR: &[&str] = &[
    "bsdtar",
    "--xattrs",
    "--acls",
    "--numeric-owner",
    "-xpf",
    "../archive.tar",
];
const PYTHON: &[&str] = &[
    "python3",
    "-c",
    "
import sys, tarfile
with tarfile.open('../archive.tar') as archive:
    archive.errorlevel = 2
    if hasattr(tarfile, 'fully_trusted_filter'):
        archive.extraction_filter = staticmethod(tarfile.fully_trusted_filter)
    archive.extractall('.', numeric_owner=True)
",
];

#[test]
fn gnu_tar_restores_everything_in_any_locale() {
    for locale in ["C", "C.UTF-8"] {
        let members = everything();
        let (scratch, output) = extract(&members, locale, GNU_TAR);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        assert_eq!(
            complaints(
                &said,
                &[
                    "extended header keyword 'hdrcharset'",
                    "implausibly old time stamp",
                    "s in the future"
                ]
            ),
            Vec::<&str>::new()
        );
        assert_eq!(
            compare(
                &expected(&members),
                &scan(&scratch.path().join("out")),
                Holes::Zeros
            ),
            Vec::<String>::new()
        );
    }
}

#[test]
fn bsdtar_restores_everything_except_for_its_known_bugs() {
    let members = everything();
    let (scratch, output) = extract(&members, "C.UTF-8", BSDTAR);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    assert_eq!(complaints(&said, &[]), Vec::<&str>::new());
    let restored = scan(&scratch.path().join("out"));
    let expected = as_bsdtar_restores(expected(&members), &restored);
    assert_eq!(
        compare(&expected, &restored, Holes::Zeros),
        Vec::<String>::new()
    );
}

/// Applies the known faults of bsdtar 3.6 to the tree `was`.
pub fn as_bsdtar_restores(mut was: Tree, restored: &Tree) -> Tree {
    // bsdtar sets the time of an existing directory at once, and loses it when it fills the
    // directory.
    was.get_mut(&b""[..]).expect("the root").mtime = restored[&b""[..]].mtime;
    for found in was.values_mut() {
        // libarchive's pax_time() applies the sign only to the whole seconds.
        if let (seconds @ ..0, nanoseconds @ 1..) = found.mtime {
            found.mtime = (seconds + 1, 1_000_000_000 - nanoseconds);
        }
        // Its numbers in ACLs are signed, and it does not decode the names of attributes.
        for (name, value) in std::mem::take(&mut found.xattrs) {
            let is_acl = name.starts_with(b"system.posix_acl_");
            let encoded = name.iter().flat_map(|byte| match byte {
                b'%' => b"%25".to_vec(),
                b'=' => b"%3D".to_vec(),
                other => vec![*other],
            });
            found.xattrs.insert(
                encoded.collect(),
                if is_acl {
                    with_signed_ids(value)
                } else {
                    value
                },
            );
        }
    }
    was
}

fn with_signed_ids(mut acl: Vec<u8>) -> Vec<u8> {
    for id in acl[4..]
        .chunks_exact_mut(8)
        .map(|entry| &mut entry[4..])
        .filter(|id| **id != NONE.to_le_bytes())
    {
        let number = u32::from_le_bytes([id[0], id[1], id[2], id[3]]);
        id.copy_from_slice(&number.min(0x7fff_ffff).to_le_bytes());
    }
    acl
}

#[test]
fn tarfile_restores_everything_that_it_knows() {
    // tarfile sets the owner of the target of a further name of a dangling link, and fails.
    let is_link_to_link = |member: &Member| {
        member.link_to.is_some() && matches!(member.entry.content, Content::Symlink(_))
    };
    let members: Vec<_> = everything()
        .into_iter()
        .filter(|member| !is_link_to_link(member))
        .collect();
    let (scratch, output) = extract(&members, "C.UTF-8", PYTHON);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut expected = expected(&members);
    let mut restored = scan(&scratch.path().join("out"));
    for (path, found) in &mut expected {
        // tarfile does not know extended attributes and does not set the time of symbolic links.
        // Its times are floating point numbers.
        found.xattrs.clear();
        if let Some(is) = restored.get_mut(path) {
            let apart = |was: (i64, u32), is: (i64, u32)| {
                (i128::from(was.0 - is.0) * 1_000_000_000 + i128::from(was.1) - i128::from(is.1))
                    .abs()
            };
            if found.kind == FileType::Symlink || apart(found.mtime, is.mtime) < 2_000 {
                is.mtime = found.mtime;
            }
        }
    }
    assert_eq!(
        compare(&expected, &restored, Holes::Zeros),
        Vec::<String>::new()
    );
}

/// Returns the output of a program without the lines that it always prints.
fn complaints<'a>(said: &'a str, known: &[&str]) -> Vec<&'a str> {
    said.lines()
        .filter(|line| !known.iter().any(|known| line.contains(known)))
        .collect()
}

/// Lists the texts of each member in hexadecimal, and its numbers: one line for each member.
const PYTHON_LIST: &[&str] = &[
    "python3",
    "-c",
    "
import os, tarfile
with tarfile.open('../archive.tar') as archive:
    for member in archive:
        texts = (member.name, member.linkname, member.uname, member.gname)
        texts = [os.fsencode(text).hex() for text in texts]
        devices = (member.devmajor, member.devminor)
        print(*texts, member.uid, member.gid, member.size, *devices, sep=' ')
",
];

#[test]
fn tarfile_lists_the_names_and_numbers_of_random_members() {
    let mut runner = TestRunner::deterministic();
    let members: Vec<_> = std::iter::repeat_with(|| {
        properties::member()
            .new_tree(&mut runner)
            .expect("a member")
            .current()
    })
    .filter(|member| member.size() < 200_000)
    .take(1000)
    .collect();
    let (_scratch, output) = extract(&members, "C.UTF-8", PYTHON_LIST);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).expect("text");
    assert_eq!(listed.lines().count(), members.len());
    let hex = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<String>()
    };
    for (member, listed) in members.iter().zip(listed.lines()) {
        let (owner, entry) = (&member.entry.metadata.owner, &member.entry);
        let name_of = |path: &TreePath| hex(&[b"./", path.as_bytes()].concat());
        let (link, device) = match (&member.link_to, &entry.content) {
            (Some(first), _) => (name_of(first), None),
            (None, Content::Symlink(target)) => (hex(target), None),
            (None, Content::CharDevice(device) | Content::BlockDevice(device)) => {
                (String::new(), Some(device))
            }
            (None, _) => (String::new(), None),
        };
        let size = if member.link_to.is_some() {
            0
        } else {
            member.size()
        };
        let (major, minor) = device.map_or((0, 0), |device| (device.major, device.minor));
        let (name, user, group) = (name_of(&entry.path), hex(&owner.user), hex(&owner.group));
        assert_eq!(
            listed,
            format!(
                "{name} {link} {user} {group} {} {} {size} {major} {minor}",
                owner.uid, owner.gid
            )
        );
    }
}

//! Encodes the torture tree and extracts it with GNU tar and bsdtar.

use super::readers::{BSDTAR, GNU_TAR, as_bsdtar_restores, run};
use crate::support::oracle::{Holes, Tree, compare, scan};
use crate::support::{scratch, torture};
use freezer::format::tar::{END_OF_ARCHIVE, MemberEncoder};
use freezer::model::{
    Content, DataRun, Device, Entry, FileOffset, Metadata, Owner, Time, TreePath, Xattr,
};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Writes `tree`, which is below `root`, as an archive.
fn write_archive(root: &Path, tree: &Tree, archive: &Path) {
    let mut paths: Vec<_> = tree.keys().collect();
    // Depth first, as a backup writes it.
    paths.sort_by_key(|path| path.split(|byte| *byte == b'/').collect::<Vec<_>>());
    let mut out = BufWriter::new(std::fs::File::create(archive).expect("a file"));
    let mut encoder = MemberEncoder::new();
    let mut header = Vec::new();
    let mut written = std::collections::HashMap::new();
    for path in paths {
        let found = &tree[path];
        let device = Device {
            major: found.device.0,
            minor: found.device.1,
        };
        let content = match found.kind {
            FileType::RegularFile => Content::File {
                size: found.size,
                extents: Vec::new(),
            },
            FileType::Directory => Content::Directory,
            FileType::Symlink => Content::Symlink(found.target.as_slice().into()),
            FileType::CharacterDevice => Content::CharDevice(device),
            FileType::BlockDevice => Content::BlockDevice(device),
            FileType::Fifo => Content::Fifo,
            other => panic!("{other:?} is not backed up"),
        };
        let xattr = |(name, value): (&Vec<u8>, &Vec<u8>)| Xattr {
            name: name.as_slice().into(),
            value: value.as_slice().into(),
        };
        let metadata = Metadata {
            mode: found.mode,
            owner: Owner {
                uid: found.uid,
                gid: found.gid,
                ..Owner::default()
            },
            mtime: Time::new(found.mtime.0, found.mtime.1),
            xattrs: found.xattrs.iter().map(xattr).collect(),
            ..Metadata::default()
        };
        let entry = Entry {
            path: TreePath::parse(path).expect("a legal path"),
            metadata,
            content,
            link_to: None,
        };
        let runs: Vec<_> = found
            .runs
            .iter()
            .map(|(at, length)| DataRun {
                at: FileOffset(*at),
                length: *length,
            })
            .collect();
        let link_to = written.get(&found.first_name).cloned();
        header.clear();
        let plan = encoder
            .header(&entry, link_to.as_ref(), &runs, &mut header)
            .expect("it can be written");
        out.write_all(&header).expect("room");
        for run in plan.runs() {
            let file = std::fs::File::open(root.join(OsStr::from_bytes(path))).expect("a file");
            let mut data = vec![0; usize::try_from(run.length).expect("small runs")];
            file.read_exact_at(&mut data, run.at.0)
                .expect("the file did not change");
            out.write_all(&data).expect("room");
        }
        out.write_all(&vec![0; usize::try_from(plan.padding()).expect("small")])
            .expect("room");
        written
            .entry(found.first_name.clone())
            .or_insert(entry.path);
    }
    out.write_all(&END_OF_ARCHIVE).expect("room");
    out.into_inner().expect("room").sync_data().expect("room");
}

#[test]
fn the_torture_tree_comes_back_whole_by_gnu_tar_and_bsdtar() {
    let scratch = scratch();
    let root = scratch.path().join("tree");
    std::fs::create_dir(&root).expect("a directory");
    assert_eq!(
        torture::build(&root),
        Vec::<String>::new(),
        "run this as root; {} is short of something",
        root.display()
    );
    let original = scan(&root);
    write_archive(&root, &original, &scratch.path().join("archive.tar"));

    let output = run(scratch.path(), "C.UTF-8", GNU_TAR);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(
        compare(&original, &scan(&scratch.path().join("out")), Holes::Zeros),
        Vec::<String>::new()
    );

    std::fs::rename(
        scratch.path().join("out"),
        scratch.path().join("by GNU tar"),
    )
    .expect("another name");
    let output = run(scratch.path(), "C.UTF-8", BSDTAR);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let restored = scan(&scratch.path().join("out"));
    assert_eq!(
        compare(
            &as_bsdtar_restores(original, &restored),
            &restored,
            Holes::Zeros
        ),
        Vec::<String>::new()
    );
}

//! Levels of real trees, read back by programs that know nothing of Freezer.
#![expect(clippy::disallowed_methods, reason = "the oracles are other programs")]

mod blocks;
mod changing;
mod checksum;
mod hashes;
mod hung;
mod index_runs;
pub(crate) mod levels;
mod linked;
mod locks;
mod renamed;
mod several;
mod tar_levels;

use crate::support::{backup, oracle, torture};
use freezer::catalog::names::{Folder, level_prefix};
use freezer::format::frame::Compression;
use freezer::store::Store;
use freezer::store::local::Local;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// Pipes the segments of a level, in order, through `filter` into stock tar.
fn extract_by_hand(store: &Path, prefix: &str, filter: &str, target: &Path) {
    std::fs::create_dir_all(target).expect("made");
    let script = format!(
        "set -o pipefail; cat '{}'/{prefix}segments/* | {filter} \
         | tar --xattrs --xattrs-include='*' --acls -xpf - -C '{}'",
        store.display(),
        target.display()
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{filter}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn stock_tar_extracts_the_segments_of_a_level_put_together() {
    let room = tempfile::tempdir().expect("a directory");
    let tree = room.path().join("tree");
    std::fs::create_dir(&tree).expect("made");
    torture::build(&tree);
    segments_are_a_tar(room.path(), &tree, &[(Compression::Zstd, "zstd -dc")]);
}

#[test]
fn the_same_holds_for_every_other_compression() {
    let room = tempfile::tempdir().expect("a directory");
    let tree = room.path().join("tree");
    std::fs::create_dir(&tree).expect("made");
    for (number, length) in [0, 1, 511, 512, 513, 700_000, 2_000_000, 9 << 20]
        .into_iter()
        .enumerate()
    {
        std::fs::write(
            tree.join(format!("{number}")),
            torture::noise(number as u64, length),
        )
        .expect("written");
    }
    let filters = [
        (Compression::Gzip, "gzip -dc"),
        (Compression::Bzip2, "bzip2 -dc"),
        (Compression::Xz, "xz -dc"),
        (Compression::None, "cat"),
    ];
    segments_are_a_tar(room.path(), &tree, &filters);
}

fn segments_are_a_tar(room: &Path, tree: &Path, filters: &[(Compression, &str)]) {
    let expected = oracle::scan(tree);
    for (method, filter) in filters.iter().copied() {
        let place = room.join(method.name());
        let access = backup::create_plain(Arc::new(Local::create(&place).expect("a store")));
        let report = backup::back_up(&access, &[tree], |request| {
            request.compression = method;
            request.compression_level = method.default_level();
            request.segment_bytes = 1 << 20;
        });
        assert_eq!(report.manifest.counts.failed, 0);
        let target = room.join(format!("out-{method}"));
        extract_by_hand(
            &place,
            &level_prefix(&backup::name(), &report.manifest.id),
            filter,
            &target,
        );
        let differences = oracle::compare(&expected, &oracle::scan(&target), oracle::Holes::Zeros);
        assert!(
            differences.is_empty(),
            "{method}:\n{}",
            differences.join("\n")
        );
    }
}

#[test]
fn only_objects_that_the_manifest_names_are_stored() {
    let room = tempfile::tempdir().expect("a directory");
    std::fs::write(room.path().join("a"), b"hello").expect("written");
    let store = Arc::new(freezer::store::memory::MemoryStore::default());
    let access = backup::create_plain(store.clone());
    let report = backup::back_up(&access, &[room.path()], |_| {});
    let mut names = Vec::new();
    store
        .list("", &mut |object| {
            names.push(object.name.to_string());
            true
        })
        .expect("listed");
    let id = &report.manifest.id;
    let segment = freezer::catalog::names::data_name(&backup::name(), id, Folder::Segments, 0);
    assert_eq!(
        names,
        [
            segment.to_string(),
            "freezer-copy.json".to_owned(),
            "freezer.json".to_owned(),
            format!("manifests/host/tree/{id}")
        ]
    );
    assert_eq!(
        access.manifest(&backup::name(), id).expect("read"),
        report.manifest
    );
}

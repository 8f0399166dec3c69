//! Real trees, backed up and restored, compared by rsync and by this program.

use super::{fresh, is_root};
use crate::support::{backup, oracle, torture};
use freezer::backup::Report;
use freezer::catalog::Access;
use freezer::format::frame::Compression;
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::Cancel;
use freezer::model::progress::Collected;
use freezer::restore::{Existing, Options, restore};
use freezer::store::memory::MemoryStore;
use std::sync::Arc;

fn view_of(access: &Access, report: &Report) -> View {
    let parts = ViewParts {
        manifest: report.manifest.clone(),
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup::name(),
    };
    let reader = Arc::new(FileReader::new(&ReadOptions::default()).expect("threads"));
    View::open(parts, &reader).expect("a view")
}

#[test]
fn a_torture_tree_comes_back_and_comes_back_over_itself() {
    let room = tempfile::tempdir().expect("a folder");
    let left_out = torture::build(room.path());
    assert!(!is_root() || left_out.is_empty(), "{left_out:?}");
    let original = oracle::scan(room.path());
    let access = backup::create_hidden(Arc::new(MemoryStore::default()));
    let report = backup::back_up(&access, &[room.path()], |request| {
        request.compression = Compression::Zstd
    });
    let view = view_of(&access, &report);
    let (_folder, target) = fresh();
    for existing in [Existing::Refuse, Existing::Replace] {
        let progress = Collected::default();
        let options = Options {
            existing,
            ..Options::default()
        };
        let summary = restore(&view, &[], &target, &options, &progress, &Cancel::new())
            .expect("it can be restored");
        assert_eq!(progress.told().troubles, Vec::<String>::new());
        assert_eq!((summary.troubles, summary.left_out), (0, 0));
        assert_eq!(summary.files + summary.directories, view.totals().entries);
        let differences = oracle::compare(&original, &oracle::scan(&target), oracle::Holes::Same);
        assert!(
            differences.is_empty(),
            "{existing:?}:\n{}",
            differences.join("\n")
        );
    }
    let changes = oracle::rsync(room.path(), &target);
    assert!(changes.is_empty(), "{}", changes.join("\n"));
}

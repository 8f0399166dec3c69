//! Real trees, backed up and restored, compared by rsync and by ourselves.

use super::{fresh, is_root};
use crate::support::{backup, oracle, torture};
use freezer::backup::Report;
use freezer::catalog::Access;
use freezer::catalog::names::{Folder, data_name};
use freezer::format::frame::{Compression, Lane};
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::progress::Collected;
use freezer::model::{Cancel, LevelId};
use freezer::restore::{Existing, Options, restore};
use freezer::store::memory::Memory;
use std::path::Path;
use std::sync::Arc;

fn view_of(access: &Access, report: &Report) -> View {
    let namer = |level: &LevelId, lane: Lane, number: u32| {
        let folder = match lane {
            Lane::Data => Folder::Segments,
            Lane::Index => Folder::Index,
            Lane::FrameTable | Lane::Manifest => Folder::Frames,
        };
        data_name(&backup::name(), level, folder, number)
    };
    let parts = ViewParts {
        manifest: report.manifest.clone(),
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        namer: Arc::new(namer),
    };
    let reader = Arc::new(FileReader::new(&ReadOptions::default()).expect("threads"));
    View::open(parts, &reader).expect("a view")
}

fn assert_same(original: &Path, copy: &Path) {
    let differences = oracle::differences(original, copy, oracle::Holes::Same);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let changes = oracle::rsync(original, copy);
    assert!(changes.is_empty(), "{}", changes.join("\n"));
}

#[test]
fn a_torture_tree_comes_back_and_comes_back_over_itself() {
    let room = tempfile::tempdir().expect("a folder");
    let left_out = torture::build(room.path());
    assert!(!is_root() || left_out.is_empty(), "{left_out:?}");
    for access in [backup::create_plain(Arc::new(Memory::default())), backup::create_encrypted(Arc::new(Memory::default()))] {
        let report = backup::back_up(&access, &[room.path()], |request| request.compression = Compression::Zstd);
        let view = view_of(&access, &report);
        let (_folder, target) = fresh();
        for existing in [Existing::Refuse, Existing::Replace] {
            let progress = Collected::default();
            let options = Options { existing, ..Options::default() };
            let summary = restore(&view, &[], &target, &options, &progress, &Cancel::new()).expect("it can be restored");
            assert_eq!(progress.told().troubles, Vec::<String>::new());
            assert_eq!((summary.troubles, summary.left_out), (0, 0));
            assert_eq!(summary.files + summary.directories, view.totals().entries);
            assert_same(room.path(), &target);
        }
    }
}

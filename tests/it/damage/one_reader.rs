//! Several points in time read through one cache never see each other's bytes.

use crate::support::{backup, reading};
use freezer::catalog::{Access, Catalog};
use freezer::model::{BackupName, LevelId};
use freezer::store::memory::MemoryStore;
use std::sync::Arc;

/// Makes a level of a tree that is one file. Two such levels differ only in the file's bytes.
fn level_of(access: &Access, backup: &BackupName, text: &str) -> LevelId {
    let tree = crate::support::scratch();
    std::fs::write(tree.path().join("file"), text).expect("written");
    backup::back_up(access, &[tree.path()], |request| {
        request.backup = backup.clone()
    })
    .manifest
    .id
}

fn text_of(
    access: &Access,
    backup: &BackupName,
    level: &LevelId,
    reader: &Arc<freezer::fs::FileReader>,
) -> String {
    let view = reading::open(access, backup, level, reader).expect("a sound level opens");
    let path = freezer::model::TreePath::parse(b"file").expect("legal");
    let (_, entry) = view.lookup(&path).expect("read").expect("it is there");
    String::from_utf8(reading::content(&view, &entry).expect("read")).expect("text")
}

#[test]
fn levels_of_two_backups_and_two_stores_do_not_mix() {
    let reader = reading::reader();
    let accesses = [
        backup::create_plain(Arc::new(MemoryStore::default())),
        backup::create_hidden(Arc::new(MemoryStore::default())),
    ];
    for (access, store) in accesses.iter().zip(["one", "two"]) {
        for name in ["docs", "mail"] {
            let backup = BackupName::new("host", name).expect("legal");
            let text = format!("{name} {store}");
            let level = level_of(access, &backup, &text);
            assert_eq!(text_of(access, &backup, &level, &reader), text);
        }
    }
}

#[test]
fn a_level_made_after_the_newest_was_withdrawn_does_not_show_its_bytes() {
    let reader = reading::reader();
    let access = backup::create_plain(Arc::new(MemoryStore::default()));
    let docs = backup::name();
    for text in ["first ", "second", "third "] {
        let level = level_of(&access, &docs, text);
        assert_eq!(text_of(&access, &docs, &level, &reader), text);
        Catalog::new(access.store())
            .withdraw(&docs, &level)
            .expect("removed");
    }
}

//! The cost of looking into a point in time.

use crate::support::{backup, scratch};
use freezer::fs::view::{ROOT, View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::store::faulty::Faulty;
use freezer::store::memory::MemoryStore;
use freezer::store::{Operation, Store};
use std::fs;
use std::ops::ControlFlow;
use std::sync::Arc;

#[test]
fn the_top_of_a_large_tree_is_listed_with_nothing_but_the_manifest() {
    let source = scratch();
    for directory in 0..40 {
        let path = source.path().join(format!("directory {directory:02}"));
        fs::create_dir(&path).expect("made");
        for file in 0..60 {
            fs::write(
                path.join(format!(
                    "a file with a name of some length, number {file:03}"
                )),
                "",
            )
            .expect("written");
        }
    }
    let store = Arc::new(Faulty::new(MemoryStore::default()));
    let access = backup::create_encrypted(Arc::clone(&store) as Arc<dyn Store>);
    let manifest = backup::back_up(&access, &[source.path()], |_| ()).manifest;
    assert!(
        manifest.index[0].root.height > 0,
        "the tree does not fit its root block"
    );
    let parts = ViewParts {
        manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup::name(),
    };
    let reader =
        Arc::new(FileReader::new(&ReadOptions::default()).expect("threads can be started"));
    let before = store.calls().of(Operation::Get);
    let view = View::open(parts, &reader).expect("opened");
    let mut names = 0;
    let count = |_: freezer::fs::view::ChildEntry<'_>| {
        names += 1;
        ControlFlow::Continue(())
    };
    view.list(ROOT, None, count).expect("listed");
    assert_eq!(names, 40);
    assert_eq!(store.calls().of(Operation::Get), before);
}

//! All points of a backup as one tree.

use crate::support::stored_tree::{Planned, Recipe, StoredTree, reader};
use freezer::format::frame::Protection;
use freezer::fs::forest::{
    FolderOwner, Forest, ForestEntry, PointSource, PointSourceError, TOP, Validity,
};
use freezer::fs::view::View;
use freezer::fs::{FileReader, ReadError};
use freezer::model::{Dated, Kind, LevelId, StoreId};
use freezer::store::Store;
use freezer::store::memory::MemoryStore;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

/// Levels that are added while a forest shows them.
struct Levels {
    store: Arc<dyn Store>,
    reader: Arc<FileReader>,
    levels: Mutex<Vec<StoredTree>>,
    opened: Mutex<Vec<LevelId>>,
}

impl Levels {
    fn new() -> Arc<Self> {
        let store = Arc::new(MemoryStore::default());
        Arc::new(Self {
            store,
            reader: reader(1 << 20),
            levels: Mutex::default(),
            opened: Mutex::default(),
        })
    }

    fn add(&self, number: u32, content: &str) {
        let tree = [
            Planned::directory(""),
            Planned::file("file", content),
            Planned::directory("folder"),
            Planned::file("folder/inner", "inner"),
        ];
        let recipe = Recipe {
            number,
            ..Recipe::default()
        };
        let stored = StoredTree::write_level(
            Arc::clone(&self.store),
            tree,
            recipe,
            StoreId([1; 16]),
            Protection::Checksum,
        );
        self.levels.lock().expect("no panic").push(stored);
    }
}

impl PointSource for Levels {
    fn list(&self) -> Result<Vec<Dated>, PointSourceError> {
        Ok(self
            .levels
            .lock()
            .expect("no panic")
            .iter()
            .map(|level| Dated {
                level: level.manifest.id.clone(),
                date: level.manifest.date(),
            })
            .collect())
    }

    fn open(&self, level: &LevelId) -> Result<View, PointSourceError> {
        self.opened.lock().expect("no panic").push(level.clone());
        let levels = self.levels.lock().expect("no panic");
        let stored = levels
            .iter()
            .find(|stored| stored.manifest.id == *level)
            .ok_or("no such level")?;
        Ok(stored.view_through(&self.reader))
    }
}

fn forest(levels: &Arc<Levels>) -> Forest {
    Forest::of_points(
        Arc::clone(levels) as Arc<dyn PointSource>,
        Arc::clone(&levels.reader),
        jiff::tz::TimeZone::UTC,
        FolderOwner { uid: 5, gid: 6 },
    )
}

fn names(forest: &Forest, directory: u64) -> Vec<String> {
    let mut names = Vec::new();
    let mut after = 0;
    // One entry at a time, as a listing may be cut anywhere.
    loop {
        let mut next = None;
        forest
            .list(directory, after, |found| {
                next = Some((
                    found.cursor,
                    String::from_utf8_lossy(found.name).into_owned(),
                ));
                ControlFlow::Break(())
            })
            .expect("listed");
        let Some((cursor, name)) = next else {
            return names;
        };
        (after, _) = (cursor, names.push(name));
    }
}

fn child(forest: &Forest, directory: u64, name: &str) -> Option<ForestEntry<'static>> {
    let found = forest
        .child(directory, name.as_bytes())
        .expect("read")
        .ok()?;
    Some(ForestEntry { name: b"", ..found })
}

fn content(forest: &Forest, inode: u64) -> String {
    let mut buffer = [0; 100];
    let length = forest
        .file(inode)
        .expect("a file")
        .read(0, &mut buffer)
        .expect("read");
    String::from_utf8_lossy(&buffer[..length]).into_owned()
}

#[test]
fn each_point_is_a_folder_named_by_its_time_and_latest_leads_to_the_newest() {
    let levels = Levels::new();
    levels.add(1, "one");
    levels.add(2, "two");
    let forest = forest(&levels);
    assert_eq!(
        names(&forest, TOP),
        ["2026-11-22T23.34.50", "2026-11-23T00.34.50", "latest"]
    );
    assert!(
        levels.opened.lock().expect("no panic").is_empty(),
        "a listing opens nothing"
    );
    let latest = child(&forest, TOP, "latest").expect("there");
    assert_eq!(
        (latest.attributes.kind, latest.validity),
        (Kind::Symlink, Validity::Now)
    );
    assert_eq!(
        &*forest.link_target(latest.inode).expect("a link"),
        b"2026-11-23T00.34.50"
    );
    let top = forest.get(TOP).expect("there").attributes;
    assert_eq!((top.uid, top.gid, top.links), (5, 6, 4));
}

#[test]
fn files_of_different_points_have_different_inodes_and_each_its_own_content() {
    let levels = Levels::new();
    levels.add(1, "one");
    levels.add(2, "two");
    let forest = forest(&levels);
    let first = child(&forest, TOP, "2026-11-22T23.34.50")
        .expect("there")
        .inode;
    let second = child(&forest, TOP, "2026-11-23T00.34.50")
        .expect("there")
        .inode;
    let file = |point| child(&forest, point, "file").expect("there");
    assert_ne!(file(first).inode, file(second).inode);
    assert_eq!(file(first).validity, Validity::Forever);
    assert_eq!(
        (
            content(&forest, file(first).inode),
            content(&forest, file(second).inode)
        ),
        ("one".to_owned(), "two".to_owned())
    );
    assert_eq!(names(&forest, second), ["file", "folder"]);
    let folder = child(&forest, first, "folder").expect("there").inode;
    assert_eq!(forest.parent(folder).expect("read"), first);
    assert_eq!(forest.parent(first).expect("read"), TOP);
    assert!(child(&forest, first, "nothing").is_none());
    assert!(child(&forest, TOP, "nothing").is_none());
    assert!(matches!(
        forest.get(77 << 40 | 1),
        Err(ReadError::NoSuchNode)
    ));
}

#[test]
fn a_forest_at_hand_waits_for_nothing_and_sees_what_was_opened() {
    let levels = Levels::new();
    levels.add(1, "one");
    let forest = forest(&levels);
    let at_hand = forest.at_hand();
    assert!(matches!(
        at_hand.child(TOP, b"latest"),
        Err(ReadError::WouldWait)
    ));
    let point = child(&forest, TOP, "2026-11-22T23.34.50")
        .expect("there")
        .inode;
    let file = child(&at_hand, point, "file")
        .expect("a small tree is all in its manifest")
        .inode;
    assert!(matches!(
        at_hand.file(file).expect("a file").read(0, &mut [0; 3]),
        Err(ReadError::WouldWait)
    ));
    assert_eq!(content(&forest, file), "one");
    assert_eq!(content(&at_hand, file), "one");
    assert_eq!(
        levels.opened.lock().expect("no panic").len(),
        1,
        "a point is opened once"
    );
}

#[test]
fn closed_points_are_opened_again_under_the_same_inodes() {
    let levels = Levels::new();
    (1..=40).for_each(|number| levels.add(number, &format!("content {number}")));
    let forest = forest(&levels);
    let points: Vec<_> = names(&forest, TOP)
        .into_iter()
        .filter(|name| name != "latest")
        .collect();
    let files: Vec<_> = points
        .iter()
        .map(|name| {
            let point = child(&forest, TOP, name).expect("there").inode;
            child(&forest, point, "file").expect("there").inode
        })
        .collect();
    for (number, file) in files.into_iter().enumerate() {
        assert_eq!(content(&forest, file), format!("content {}", number + 1));
    }
}

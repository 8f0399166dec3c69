//! All points in time of a backup side by side, and the cost of looking at them.

use crate::support::{backup, scratch};
use freezer::backup::Levels;
use freezer::catalog::{Access, Catalog};
use freezer::fs::timeline::{Timeline, Versions};
use freezer::model::{LevelId, TreePath};
use freezer::store::faulty::Faulty;
use freezer::store::memory::MemoryStore;
use freezer::store::{Operation, Store, StoreExt};
use std::fs;
use std::path::Path;
use std::sync::Arc;

const DIRECTORIES: usize = 40;
const FILES: usize = 60;

fn path_of(directory: usize, file: usize) -> String {
    format!("directory {directory:02}/a file with a name of some length, number {file:03}")
}

/// Levels of a tree in which a few files change each time.
struct Series {
    store: Arc<Faulty<MemoryStore>>,
    access: Access,
    levels: Vec<LevelId>,
    /// Requests that would be needed to read all blocks of all levels, if none were shared.
    blocks: u64,
}

impl Series {
    /// `changes` gives the files that each level writes anew.
    fn new(levels: usize, changes: impl Fn(usize) -> Vec<(usize, usize)>) -> Self {
        let source = scratch();
        for directory in 0..DIRECTORIES {
            fs::create_dir(source.path().join(format!("directory {directory:02}"))).expect("made");
            (0..FILES).for_each(|file| write(source.path(), &path_of(directory, file), "first"));
        }
        let store = Arc::new(Faulty::new(MemoryStore::default()));
        let access = backup::create_encrypted(Arc::clone(&store) as Arc<dyn Store>);
        let (mut made, mut blocks) = (Vec::new(), 0);
        for level in 0..levels {
            for (directory, file) in changes(level) {
                write(
                    source.path(),
                    &path_of(directory, file),
                    &format!("written by level {level}"),
                );
            }
            let report = backup::back_up(&access, &[source.path()], |request| {
                request.levels = Levels::default()
            });
            made.push(report.manifest.id.clone());
            if let Some(newest) = report
                .manifest
                .index
                .first()
                .filter(|run| run.serial == report.manifest.serial)
            {
                // A block holds a hundred entries or so.
                blocks += newest.root.entries / 60 + 2;
            }
        }
        Self {
            store,
            access,
            levels: made,
            blocks,
        }
    }

    fn open(&self) -> Timeline {
        let before = self.store.calls().all();
        let levels = Catalog::new(self.access.store())
            .levels(&backup::name())
            .expect("listed");
        assert_eq!(levels, self.levels);
        let timeline = Timeline::open(&self.access, &backup::name(), levels, |level, error| {
            panic!("{level}: {error}")
        });
        let calls = self.store.calls().all() - before;
        assert_eq!(
            calls,
            self.levels.len() as u64 + 1,
            "a listing and a manifest each"
        );
        timeline
    }

    fn gets(&self, of: impl FnOnce() -> Versions) -> (Versions, u64) {
        let before = self.store.calls().of(Operation::Get);
        let found = of();
        (found, self.store.calls().of(Operation::Get) - before)
    }
}

fn write(tree: &Path, path: &str, content: &str) {
    fs::write(tree.join(path), content).expect("written");
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text.as_bytes()).expect("legal")
}

#[test]
fn a_history_reads_nothing_of_points_in_time_without_changes() {
    // One file changes at first and in the middle; all other levels change nothing.
    let series = Series::new(30, |level| {
        if level == 15 {
            vec![(7, 7)]
        } else {
            Vec::new()
        }
    });
    let timeline = series.open();
    for (file, versions) in [((7, 7), 2), ((20, 20), 1)] {
        let path = path(&path_of(file.0, file.1));
        let (found, gets) = series.gets(|| timeline.history(&path).expect("sound"));
        assert_eq!(found.versions.len(), versions, "{found:?}");
        // A block of each run on the way, which may be two blocks deep.
        assert!(
            gets <= 2 * versions as u64 + 2,
            "{gets} requests for {versions} versions in 30 points in time"
        );
        let covered: Vec<_> = found
            .versions
            .iter()
            .flat_map(|version| version.points.clone())
            .collect();
        assert_eq!(covered, (0..30).collect::<Vec<_>>());
        assert!(
            found
                .versions
                .iter()
                .skip(1)
                .all(|version| version.differs.content && version.points.start == 15)
        );
    }
    let (nothing, gets) = series.gets(|| {
        timeline
            .history(&path("directory 09/nothing"))
            .expect("sound")
    });
    assert!(nothing.versions.is_empty() && gets <= 4, "{gets} requests");
}

#[test]
fn finding_files_reads_each_part_of_the_index_once_however_many_points_have_it() {
    let changes = |level: usize| {
        (0..24)
            .map(|file| {
                (
                    (level * 7 + file) % DIRECTORIES,
                    (level * 13 + file) % FILES,
                )
            })
            .collect()
    };
    let series = Series::new(40, changes);
    let timeline = series.open();
    let before = series.store.calls().of(Operation::Get);
    let all: Vec<Versions> = timeline
        .find(|_| true)
        .collect::<Result<_, _>>()
        .expect("sound");
    let gets = series.store.calls().of(Operation::Get) - before;
    assert_eq!(all.len(), 1 + DIRECTORIES * (1 + FILES));
    assert!(
        gets <= series.blocks,
        "{gets} requests where {} would read every block by itself",
        series.blocks
    );
    // A search and a question for one path give the same versions.
    for found in all.iter().step_by(97) {
        assert_eq!(timeline.history(&found.path).expect("sound"), *found);
    }
    let versions: usize = all.iter().map(|found| found.versions.len()).sum();
    let written = 40 * 24;
    assert!(
        versions > all.len() + written / 2 && versions <= all.len() + written + 200,
        "{versions} versions of {} paths",
        all.len()
    );
}

#[test]
fn a_point_in_time_that_cannot_be_opened_is_named_and_the_others_are_shown() {
    let series = Series::new(3, |_| vec![(1, 1)]);
    let name = freezer::catalog::names::manifest_name(&backup::name(), &series.levels[1]);
    let body = series.store.get(&name, u64::MAX).expect("it is there");
    series
        .store
        .put(&name, &vec![body[..body.len() / 2].to_vec()])
        .expect("stored");
    let mut told = Vec::new();
    let timeline = Timeline::open(
        &series.access,
        &backup::name(),
        series.levels.clone(),
        |level, _| told.push(level),
    );
    assert_eq!(told, series.levels[1..2]);
    assert_eq!(
        timeline.levels(),
        [series.levels[0].clone(), series.levels[2].clone()]
    );
    let found = timeline.history(&path(&path_of(2, 2))).expect("sound");
    assert_eq!(
        (found.versions.len(), found.versions[0].points.clone()),
        (1, 0..2)
    );
}

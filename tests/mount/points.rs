//! Points in time as folders.

use super::*;

/// Levels of a backup that are added while it is mounted.
struct Levels {
    store: Arc<dyn Store>,
    reader: Arc<FileReader>,
    levels: Mutex<Vec<StoredTree>>,
    opened: Mutex<Vec<LevelId>>,
}

impl Levels {
    fn add(&self, number: u32) {
        let tree = [
            Planned::directory(""),
            Planned::file("file", format!("content {number}")),
            Planned::file("same", "same"),
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

    fn opened(&self) -> usize {
        self.opened.lock().expect("no panic").len()
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
        Ok(levels
            .iter()
            .find(|stored| stored.manifest.id == *level)
            .ok_or("no such level")?
            .view_through(&self.reader))
    }
}

#[test]
#[ignore = "needs root, /dev/fuse and the right to mount"]
fn points_in_time_are_folders_that_come_and_go_by_themselves() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let reader = support::stored_tree::reader(1 << 20);
    let levels = Arc::new(Levels {
        store,
        reader: Arc::clone(&reader),
        levels: Mutex::default(),
        opened: Mutex::default(),
    });
    levels.add(1);
    levels.add(2);
    let source = Arc::clone(&levels) as Arc<dyn PointSource>;
    let forest = Forest::of_points(
        source,
        reader,
        jiff::tz::TimeZone::UTC,
        FolderOwner { uid: 0, gid: 0 },
    )
    .listing_every(Duration::ZERO);
    let show = Show::new(forest);
    let names = || {
        run("ls", &["-U", text(&show.at(""))])
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(),
        ["2026-11-22T23.34.50", "2026-11-23T00.34.50", "latest"]
    );
    assert_eq!(levels.opened(), 0, "a listing of names opens none");
    let read = |path: &str| fs::read_to_string(show.at(path)).expect("read");
    assert_eq!(read("2026-11-22T23.34.50/file"), "content 1");
    assert_eq!(
        levels.opened(),
        1,
        "looking into one does not open the others"
    );
    assert_eq!(read("latest/file"), "content 2");
    assert_eq!(
        fs::read_link(show.at("latest")).expect("a link"),
        Path::new("2026-11-23T00.34.50")
    );
    assert_eq!(
        run("ls", &["-lR", text(&show.at(""))])
            .matches(" file")
            .count(),
        2
    );

    levels.add(3);
    assert_eq!(names().len(), 4);
    assert_eq!(read("latest/file"), "content 3");
    assert_eq!(read("2026-11-22T23.34.50/file"), "content 1");
    levels.levels.lock().expect("no panic").remove(0);
    assert_eq!(
        names(),
        ["2026-11-23T00.34.50", "2026-11-23T01.34.50", "latest"]
    );
    assert!(!show.at("2026-11-22T23.34.50").exists());
    assert_eq!(read("2026-11-23T00.34.50/same"), "same");
    let inode = |path: &str| fs::metadata(show.at(path)).expect("there").ino();
    assert_ne!(
        inode("2026-11-23T00.34.50/file"),
        inode("2026-11-23T01.34.50/file")
    );
    assert_eq!(
        run("find", &[text(&show.at("")), "-name", "file"])
            .lines()
            .count(),
        2
    );
}

//! Levels that build on earlier ones: every point in time gives the source as it was.

use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, reading, torture};
use freezer::backup::{Engine, Levels, Lies, Report, run};
use freezer::catalog::Access;
use freezer::catalog::names::{Folder, Meaning, data_name, level_prefix, meaning};
use freezer::format::frame::Compression;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, Excludes, LevelId};
use freezer::platform::ManualClock;
use freezer::restore::{Options, Trust, export, restore};
use freezer::store::local::Local;
use freezer::store::{Store, StoreExt};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, XattrFlags, setxattr, utimensat};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// A source, a store, and a clock ahead of the file system's: every change of a file is older than
/// the next run.
pub(crate) struct Series {
    room: TempDir,
    pub(crate) access: Access,
    pub(crate) clock: ManualClock,
    pub(crate) levels: Levels,
    pub(crate) excludes: Vec<Vec<u8>>,
    pub(crate) segment_bytes: u64,
    pub(crate) engine: Engine,
    pub(crate) compression: Compression,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self::with(|store| backup::create_hidden(store))
    }

    /// Makes the series in a store without encryption.
    pub(crate) fn plain() -> Self {
        Self::with(|store| backup::create_plain(store))
    }

    fn with(create: impl FnOnce(Arc<Local>) -> Access) -> Self {
        let room = tempfile::tempdir().expect("a directory");
        fs::create_dir(room.path().join("tree")).expect("made");
        let access = create(Arc::new(
            Local::create(&room.path().join("store")).expect("a store"),
        ));
        let clock = ManualClock::at(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
        Self {
            room,
            access,
            clock,
            levels: Levels::default(),
            excludes: Vec::new(),
            segment_bytes: 1 << 20,
            engine: Engine::Tar,
            compression: Compression::Zstd,
        }
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.room.path().join("tree")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.room.path().join("store")
    }

    pub(crate) fn export(&self, level: &LevelId, out: &mut dyn std::io::Write) {
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        export(&view, out, Trust::Trusted, &Silent, &Cancel::new()).expect("exported");
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.tree().join(name), content).expect("written");
    }

    /// Makes a level. Each is a day later than the one before.
    pub(crate) fn back_up(&self) -> Report {
        let tree = self.tree();
        let mut request = backup::request(&[&tree]);
        request.levels = self.levels;
        request.excludes = Excludes::new(&self.excludes);
        (request.segment_bytes, request.engine) = (self.segment_bytes, self.engine);
        (request.compression, request.compression_level) =
            (self.compression, self.compression.default_level());
        let report =
            run(&request, &self.access, &self.clock, &Silent, &Cancel::new()).expect("a backup");
        self.clock
            .set(report.manifest.started + jiff::SignedDuration::from_hours(24));
        let counts = report.manifest.counts;
        assert_eq!(
            counts.new + counts.changed + counts.unchanged,
            counts.entries,
            "{counts:?}"
        );
        assert_eq!(counts.failed, 0);
        report
    }

    /// Restores a level and scans the result.
    pub(crate) fn restored(&self, level: &LevelId) -> oracle::Tree {
        let target = tempfile::tempdir().expect("a directory");
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        let target = target.path().join("out");
        let summary = restore(
            &view,
            &[],
            &target,
            &Options::default(),
            &Silent,
            &Cancel::new(),
        )
        .expect("restored");
        assert_eq!(summary.troubles, 0);
        oracle::scan(&target)
    }

    /// Returns how many objects a level has in a folder.
    pub(crate) fn objects(&self, level: &LevelId, folder: Folder) -> usize {
        let prefix = level_prefix(&backup::name(), level);
        let mut count = 0;
        let counted = self.access.store().list(&prefix, &mut |object| {
            if let Some(Meaning::Data { folder: of, .. }) = meaning(&object.name) {
                count += usize::from(of == folder);
            }
            true
        });
        counted.expect("listed");
        count
    }
}

/// Pseudo-random numbers, the same for the same seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn roll(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % sides as u64).expect("small")
    }
}

/// Returns all paths below `folder`, sorted: first directories, itself among them, then all others.
fn paths(folder: &Path) -> (Vec<PathBuf>, Vec<PathBuf>) {
    let (mut directories, mut others, mut at) = (vec![folder.to_owned()], Vec::new(), 0);
    while at < directories.len() {
        let mut names: Vec<PathBuf> = fs::read_dir(&directories[at])
            .expect("listed")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        names.sort();
        for path in names {
            if path.symlink_metadata().expect("there").is_dir() {
                directories.push(path)
            } else {
                others.push(path)
            }
        }
        at += 1;
    }
    (directories, others)
}

/// Changes the tree in one random way.
pub(crate) fn edit(tree: &Path, dice: &mut Dice) {
    let (directories, others) = paths(tree);
    let directory = &directories[dice.roll(directories.len())];
    let fresh = directory.join(format!("n{}", dice.roll(1_000_000)));
    let other = (!others.is_empty()).then(|| &others[dice.roll(others.len())]);
    let file = other.filter(|path| path.symlink_metadata().expect("there").is_file());
    let noise = torture::noise(dice.roll(1 << 30) as u64, dice.roll(20_000));
    match (dice.roll(15), file, other) {
        (0..=2, ..) => fs::write(&fresh, noise).expect("written"),
        (3, ..) => fs::create_dir(&fresh).expect("made"),
        (4, ..) => symlink(format!("target {}", dice.roll(100)), &fresh).expect("linked"),
        (5, Some(file), _) => fs::write(file, noise).expect("written"),
        (6, Some(file), _) => fs::OpenOptions::new()
            .write(true)
            .open(file)
            .expect("opened")
            .set_len(dice.roll(60_000) as u64)
            .expect("cut"),
        (7, Some(file), _) => {
            fs::set_permissions(
                file,
                fs::Permissions::from_mode(0o400 + u32::try_from(dice.roll(0o400)).expect("small")),
            )
            .expect("changed");
        }
        (8, Some(file), _) => setxattr(
            file,
            "user.x",
            &noise[..noise.len().min(50)],
            XattrFlags::empty(),
        )
        .expect("set"),
        (9, Some(file), _) => fs::hard_link(file, &fresh).expect("linked"),
        (10, _, Some(other)) => fs::rename(other, &fresh).expect("renamed"),
        (11, _, Some(other)) => fs::remove_file(other).expect("removed"),
        (12, ..)
            if directories.len() > 1 && !fresh.starts_with(directories.last().expect("one")) =>
        {
            fs::rename(directories.last().expect("one"), &fresh).expect("renamed");
        }
        (13, ..) if directories.len() > 3 => {
            fs::remove_dir_all(&directories[1 + dice.roll(directories.len() - 1)]).expect("removed")
        }
        (14, _, Some(other)) => {
            fs::remove_file(other).expect("removed");
            fs::create_dir(other).expect("made");
        }
        _ => set_mtime(directory, i64::try_from(dice.roll(1 << 30)).expect("small")),
    }
}

pub(crate) fn set_mtime(path: &Path, seconds: i64) {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: 5,
    };
    utimensat(
        CWD,
        path,
        &Timestamps {
            last_access: time,
            last_modification: time,
        },
        AtFlags::SYMLINK_NOFOLLOW,
    )
    .expect("set");
}

/// Makes a level for each pair in `edits`: the number of random edits before it, and the number of
/// new directories of 50 files. Checks every point in time at the end. Returns the number of runs
/// in the index of each.
pub(crate) fn chain_of_edits(seed: u64, edits: &[(usize, usize)]) -> Vec<usize> {
    let series = Series::new();
    let mut dice = Dice(seed);
    let mut history = Vec::new();
    for (level, (edits, directories)) in (0..).zip(edits) {
        for directory in 0..*directories {
            let path = series.tree().join(format!("filled {level} {directory}"));
            fs::create_dir(&path).expect("made");
            (0..50).for_each(|file| {
                fs::write(path.join(format!("file {file}")), format!("{level}")).expect("written")
            });
        }
        for _ in 0..*edits {
            edit(&series.tree(), &mut dice);
        }
        let report = series.back_up();
        assert_eq!(report.manifest.level, level, "seed {seed}");
        history.push((report.manifest, oracle::scan(&series.tree())));
    }
    for (manifest, expected) in &history {
        let differences = compare(expected, &series.restored(&manifest.id), Holes::Zeros);
        assert!(
            differences.is_empty(),
            "seed {seed}, level {}: {differences:#?}",
            manifest.level
        );
        assert_eq!(
            manifest.counts.entries,
            expected.len() as u64,
            "seed {seed}, level {}",
            manifest.level
        );
    }
    for pair in history.windows(2) {
        let [(before, was), (after, is)] = pair else {
            unreachable!("two")
        };
        assert_eq!(
            after.parent.as_ref().map(|parent| &parent.id),
            Some(&before.id)
        );
        let gone = was.keys().filter(|path| !is.contains_key(*path)).count() as u64;
        let new = is.keys().filter(|path| !was.contains_key(*path)).count() as u64;
        assert_eq!(
            (after.counts.removed, after.counts.new),
            (gone, new),
            "seed {seed}, level {}",
            after.level
        );
    }
    history
        .iter()
        .map(|(manifest, _)| manifest.index.len())
        .collect()
}

#[test]
fn every_point_in_time_of_a_chain_of_random_edits_gives_the_tree_as_it_was() {
    for seed in 0..6 {
        chain_of_edits(
            seed,
            &[120, 20, 3, 24, 0, 9, 1, 15, 7].map(|edits| (edits, 0)),
        );
    }
}

#[test]
fn a_run_in_which_nothing_changed_stores_no_data_and_no_index() {
    let series = Series::new();
    for number in 0..3000 {
        series.write(&format!("file {number}"), torture::noise(number, 100));
    }
    let full = series.back_up().manifest;
    assert!(
        series.objects(&full.id, Folder::Index) > 0,
        "the test needs an index of several blocks"
    );
    let next = series.back_up().manifest;
    assert_eq!(
        (next.counts.unchanged, next.counts.new, next.counts.changed),
        (full.counts.entries, 0, 0)
    );
    assert_eq!(next.index, full.index);
    assert_eq!(series.objects(&next.id, Folder::Index), 0);
    assert_eq!(next.bytes.stream, 1024, "the end of the archive alone");
    // The next level builds on one without an index of its own.
    series.write("file 1000", b"changed");
    let third = series.back_up().manifest;
    assert_eq!((third.counts.changed, third.counts.new), (1, 0));
    assert!(
        compare(
            &oracle::scan(&series.tree()),
            &series.restored(&third.id),
            Holes::Zeros
        )
        .is_empty()
    );
    assert!(
        !compare(
            &oracle::scan(&series.tree()),
            &series.restored(&next.id),
            Holes::Zeros
        )
        .is_empty()
    );
}

#[test]
fn a_change_of_metadata_alone_stores_no_data() {
    let series = Series::new();
    series.write("file", torture::noise(1, 1 << 20));
    series.back_up();
    let file = series.tree().join("file");
    for change in 0..3 {
        match change {
            0 => fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).expect("changed"),
            1 => setxattr(&file, "user.comment", b"x", XattrFlags::empty()).expect("set"),
            _ => fs::hard_link(&file, series.tree().join("second name")).expect("linked"),
        }
        let report = series.back_up().manifest;
        assert!(report.counts.changed > 0, "change {change}");
        assert!(
            report.bytes.stream < 10_000,
            "change {change}: {} bytes",
            report.bytes.stream
        );
        let differences = compare(
            &oracle::scan(&series.tree()),
            &series.restored(&report.id),
            Holes::Zeros,
        );
        assert!(differences.is_empty(), "change {change}: {differences:#?}");
    }
}

#[test]
fn content_that_changed_without_a_new_time_or_size_is_stored() {
    let series = Series::new();
    let file = series.tree().join("file");
    series.write("file", b"before");
    set_mtime(&file, 1_000_000);
    series.back_up();
    series.write("file", b"behind");
    set_mtime(&file, 1_000_000);
    let report = series.back_up().manifest;
    assert_eq!(report.counts.changed, 1);
    assert!(
        compare(
            &oracle::scan(&series.tree()),
            &series.restored(&report.id),
            Holes::Zeros
        )
        .is_empty()
    );
    // If ctime is ignored, the change goes unnoticed; a change of the mode does not.
    let ignoring = Series {
        levels: Levels {
            lies: Lies {
                ctime: true,
                inode: false,
            },
            ..Levels::default()
        },
        ..series
    };
    ignoring.write("file", b"beyond");
    set_mtime(&file, 1_000_000);
    assert_eq!(ignoring.back_up().manifest.counts.changed, 0);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o611)).expect("changed");
    assert_eq!(ignoring.back_up().manifest.counts.changed, 1);
}

#[test]
fn a_file_that_changed_while_the_last_level_was_made_is_read_again() {
    let series = Series::new();
    series.write("file", b"before");
    let written = jiff::Timestamp::new(
        fs::metadata(series.tree().join("file"))
            .expect("there")
            .ctime(),
        0,
    )
    .expect("a time");
    series.clock.set(written);
    series.back_up();
    let again = series.back_up().manifest;
    assert!(
        again.counts.changed >= 1,
        "its ctime is as late as the walk: {:?}",
        again.counts
    );
    assert_eq!(
        series.back_up().manifest.counts.changed,
        0,
        "its ctime is earlier than the walk"
    );
}

#[test]
fn level_numbers_grow_and_begin_again_by_the_options() {
    let numbers = |change: fn(&mut Levels), runs: usize| -> Vec<u32> {
        let mut series = Series::new();
        change(&mut series.levels);
        (0..runs)
            .map(|run| {
                series.write("file", format!("{run}"));
                series.back_up().manifest.level
            })
            .collect()
    };
    assert_eq!(numbers(|_| (), 4), [0, 1, 2, 3]);
    assert_eq!(numbers(|levels| levels.incremental = false, 3), [0, 0, 0]);
    assert_eq!(
        numbers(|levels| levels.max_level = Some(2), 7),
        [0, 1, 2, 0, 1, 2, 0]
    );
    assert_eq!(numbers(|levels| levels.max_level = Some(0), 2), [0, 0]);
    assert_eq!(
        numbers(|levels| levels.always_level = Some(1), 4),
        [0, 1, 1, 1]
    );
    assert_eq!(
        numbers(|levels| levels.always_level = Some(2), 5),
        [0, 1, 2, 2, 2]
    );
    // A day passes between two runs.
    assert_eq!(
        numbers(|levels| levels.restart_after_days = Some(2), 7),
        [0, 1, 2, 0, 1, 2, 0]
    );
}

#[test]
fn a_differential_level_holds_all_changes_since_the_level_below_it() {
    let mut series = Series::new();
    series.levels.always_level = Some(1);
    series.write("first", torture::noise(1, 50_000));
    let full = series.back_up().manifest;
    for name in ["second", "third", "fourth"] {
        series.write(name, torture::noise(2, 50_000));
        let report = series.back_up().manifest;
        assert_eq!(
            report.parent.as_ref().map(|parent| &parent.id),
            Some(&full.id)
        );
        assert_eq!(report.levels.len(), 2, "the level itself and the full one");
        assert!(
            compare(
                &oracle::scan(&series.tree()),
                &series.restored(&report.id),
                Holes::Zeros
            )
            .is_empty()
        );
    }
}

#[test]
fn no_level_builds_on_a_damaged_one() {
    let series = Series::new();
    for number in 0..3000 {
        series.write(&format!("file {number}"), torture::noise(number, 300));
    }
    let full = series.back_up().manifest;
    let store = series.access.store();
    let last = data_name(&backup::name(), &full.id, Folder::Index, 0);
    let sound = store.get(&last, u64::MAX).expect("there");
    // Its index is damaged.
    let mut damaged = sound.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    store.put(&last, &vec![damaged]).expect("stored");
    series.write("file 2999", b"changed");
    let next = series.back_up().manifest;
    assert!(
        compare(
            &oracle::scan(&series.tree()),
            &series.restored(&next.id),
            Holes::Zeros
        )
        .is_empty()
    );
    store.put(&last, &vec![sound]).expect("stored");
    // A segment is missing.
    store
        .delete(&data_name(&backup::name(), &next.id, Folder::Segments, 0))
        .expect("removed");
    let third = series.back_up().manifest;
    assert_eq!((third.level, third.levels.len()), (0, 1));
    assert!(
        compare(
            &oracle::scan(&series.tree()),
            &series.restored(&third.id),
            Holes::Zeros
        )
        .is_empty()
    );
}

#[test]
fn a_level_does_not_lean_on_levels_that_it_needs_nothing_of() {
    let series = Series::new();
    let mut seen = BTreeMap::new();
    for run in 0..5_u64 {
        series.write("file", torture::noise(run, 10_000));
        let manifest = series.back_up().manifest;
        seen.insert(run, manifest.levels.len());
    }
    assert!(
        seen.values().all(|levels| *levels == 1),
        "all content is new in each level: {seen:?}"
    );
}

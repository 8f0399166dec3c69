//! Levels for which every file is read and compared with its stored content (`--checksum`).

use super::levels::{Dice, Series, edit};
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, torture};
use freezer::backup::{Evidence, Levels, Lies};
use freezer::catalog::names::{Folder, data_name};
use freezer::model::{LevelId, TreePath};
use freezer::store::{Store, StoreExt};
use std::fs;
use std::os::unix::fs::FileExt;
use std::time::{Duration, SystemTime};

fn series() -> Series {
    let mut series = Series::new();
    series.levels.evidence = Evidence::Content;
    series
}

/// Sets the mtime of a file, in seconds.
fn set_time(series: &Series, name: &str, seconds: u64) {
    let file = fs::File::options()
        .write(true)
        .open(series.tree().join(name))
        .expect("there");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
        .expect("set");
}

/// Returns the paths of files that have content in the level's own stream.
fn stored(series: &Series, level: &LevelId) -> Vec<String> {
    let manifest = series
        .access
        .manifest(&backup::name(), level)
        .expect("sound");
    let whole = crate::support::reading::whole(&series.access, &backup::name(), level);
    let has_own =
        |entry: &freezer::model::Entry| entry.places().any(|(of, ..)| of == manifest.serial);
    whole
        .iter()
        .filter(|(entry, _)| has_own(entry))
        .map(|(entry, _)| entry.path.to_string())
        .collect()
}

#[track_caller]
fn assert_is_tree(series: &Series, level: &LevelId, what: &str) {
    let (expected, restored) = (oracle::scan(&series.tree()), series.restored(level));
    let differences = compare(&expected, &restored, Holes::Zeros);
    assert!(differences.is_empty(), "{what}: {differences:#?}");
}

#[test]
fn a_touched_file_is_not_stored_and_a_hidden_change_is() {
    let mut series = series();
    for (name, seed) in [("hidden", 1), ("same", 2), ("touched", 3), ("written", 4)] {
        series.write(name, torture::noise(seed, 700_000));
        set_time(&series, name, 1_000_000);
    }
    // No test can set a ctime, so the run ignores it.
    series.levels.lies = Lies {
        ctime: true,
        inode: false,
    };
    let first = series.back_up();
    let mut hidden = torture::noise(1, 700_000);
    hidden[650_000] ^= 1;
    series.write("hidden", &hidden);
    set_time(&series, "hidden", 1_000_000);
    set_time(&series, "touched", 2_000_000);
    // The same bytes are written again: only the mtime is new.
    series.write("written", torture::noise(4, 700_000));
    series.levels.evidence = Evidence::Metadata;
    let trusting = series.back_up();
    assert_eq!(
        stored(&series, &trusting.manifest.id),
        ["touched", "written"],
        "metadata shows only these"
    );
    let hidden = |level: &LevelId| series.restored(level)[&b"hidden"[..]].clone();
    assert!(hidden(&trusting.manifest.id) == hidden(&first.manifest.id));

    set_time(&series, "touched", 3_000_000);
    set_time(&series, "written", 3_000_000);
    series.levels.evidence = Evidence::Content;
    let reading = series.back_up();
    assert_eq!(stored(&series, &reading.manifest.id), ["hidden"]);
    let counts = reading.manifest.counts;
    assert_eq!(
        (counts.new, counts.changed, counts.removed),
        (0, 3, 0),
        "{counts:?}"
    );
    assert_is_tree(&series, &reading.manifest.id, "hidden change");

    let again = series.back_up().manifest;
    assert_eq!((again.counts.changed, again.counts.unchanged), (0, 5));
    assert!(
        again.index.iter().all(|run| run.serial != again.serial),
        "an index was written, although nothing differs"
    );
}

#[test]
fn holes_links_and_renamed_files_are_compared_by_content() {
    let mut series = series();
    series.levels.evidence = Evidence::Content;
    let sparse = |name: &str, filled: u8| {
        let file = fs::File::create(series.tree().join(name)).expect("made");
        file.set_len(3 << 20).expect("long");
        file.write_all_at(&torture::noise(9, 200_000), 1 << 20)
            .expect("written");
        if filled > 0 {
            file.write_all_at(&[filled], 2 << 20).expect("written");
        }
    };
    sparse("sparse", 0);
    sparse("filled", 0);
    series.write("linked", torture::noise(1, 50_000));
    fs::hard_link(
        series.tree().join("linked"),
        series.tree().join("linked too"),
    )
    .expect("linked");
    series.write("renamed", torture::noise(2, 50_000));
    series.write("replaced", torture::noise(3, 50_000));
    series.back_up();
    // Zeros in place of a hole are the same content; other bytes are not.
    let file = fs::File::options()
        .write(true)
        .open(series.tree().join("sparse"))
        .expect("there");
    file.write_all_at(&[0; 70_000], 100_000).expect("written");
    sparse("filled", 7);
    fs::rename(series.tree().join("renamed"), series.tree().join("another")).expect("renamed");
    fs::set_permissions(
        series.tree().join("linked"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .expect("set");
    series.write("replaced", torture::noise(4, 50_000));
    let next = series.back_up();
    // The clock is ahead of the file system's, so the rename looks older than the last level.
    assert_eq!(
        stored(&series, &next.manifest.id),
        ["another", "filled", "replaced"]
    );
    assert_is_tree(&series, &next.manifest.id, "all kinds");
}

#[test]
fn a_file_whose_stored_content_is_damaged_is_stored_again() {
    let series = series();
    series.write("a", torture::noise(1, 50_000));
    let first = series.back_up().manifest.id;
    let name = data_name(&backup::name(), &first, Folder::Segments, 0);
    let store = series.access.store();
    let mut bytes = store.get(&name, u64::MAX).expect("there");
    bytes[20_000] ^= 1;
    store.put(&name, &vec![bytes]).expect("stored");
    let next = series.back_up();
    assert_eq!(stored(&series, &next.manifest.id), ["a"]);
    let whole = crate::support::reading::whole(&series.access, &backup::name(), &next.manifest.id);
    let a = TreePath::parse(b"a").expect("legal");
    assert!(
        whole
            .iter()
            .any(|(entry, content)| entry.path == a && *content == torture::noise(1, 50_000))
    );
}

#[test]
fn every_level_of_random_edits_gives_the_tree_as_it_was() {
    let mut series = series();
    let mut dice = Dice::new(15);
    for level in 0..6 {
        for _ in 0..12 {
            edit(&series.tree(), &mut dice);
        }
        series.levels = Levels {
            evidence: if level % 2 == 0 {
                Evidence::Content
            } else {
                Evidence::Metadata
            },
            ..Levels::default()
        };
        let report = series.back_up();
        assert_is_tree(&series, &report.manifest.id, &format!("level {level}"));
    }
}

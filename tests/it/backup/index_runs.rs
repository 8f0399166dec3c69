//! Levels whose index is a run of changes on top of earlier runs.

use super::levels::{Series, chain_of_edits};
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, reading, scratch};
use freezer::backup::{Levels, Lies};
use freezer::catalog::names::{Folder, Meaning, level_prefix, meaning};
use freezer::fs::view::{ROOT, View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::store::faulty::Faulty;
use freezer::store::memory::MemoryStore;
use freezer::store::{Operation, Store};
use freezer::upkeep::{Depth, Portion, check};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

#[test]
fn every_point_in_time_of_a_chain_with_several_runs_gives_the_tree_as_it_was() {
    for seed in 100..103 {
        let runs = chain_of_edits(
            seed,
            &[
                (60, 30),
                (10, 0),
                (5, 5),
                (20, 0),
                (12, 0),
                (0, 0),
                (8, 6),
                (2, 0),
                (25, 10),
                (12, 0),
            ],
        );
        assert!(runs.iter().any(|runs| *runs > 2), "seed {seed}: {runs:?}");
    }
}

/// Makes directories of empty files with long names.
fn fill(tree: &Path, directories: usize, files: usize) {
    for directory in 0..directories {
        let path = tree.join(format!("directory {directory:02}"));
        fs::create_dir(&path).expect("made");
        for file in 0..files {
            fs::write(
                path.join(format!(
                    "a file with a name of some length, number {file:03}"
                )),
                "",
            )
            .expect("written");
        }
    }
}

/// Returns the stored bytes of a level's index.
fn index_bytes(store: &dyn Store, level: &LevelId) -> u64 {
    let mut bytes = 0;
    let listed = store.list(&level_prefix(&backup::name(), level), &mut |object| {
        if matches!(
            meaning(&object.name),
            Some(Meaning::Data {
                folder: Folder::Index,
                ..
            })
        ) {
            bytes += object.length;
        }
        true
    });
    listed.expect("listed");
    bytes
}

/// Returns how many requests it takes to open a level and list its root, without the manifest.
fn requests_to_look_in(
    access: &freezer::catalog::Access,
    store: &Faulty<MemoryStore>,
    level: &LevelId,
) -> u64 {
    let manifest = access.manifest(&backup::name(), level).expect("sound");
    let expected = manifest.counts.directories - 1;
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
    let listed = view.list(ROOT, None, |_| {
        names += 1;
        ControlFlow::Continue(())
    });
    listed.expect("listed");
    assert_eq!(names, expected);
    store.calls().of(Operation::Get) - before
}

#[test]
fn index_bytes_follow_the_changes_and_late_levels_take_no_more_requests() {
    let source = scratch();
    fill(source.path(), 40, 60);
    let store = Arc::new(Faulty::new(MemoryStore::default()));
    let access = backup::create_encrypted(Arc::clone(&store) as Arc<dyn Store>);
    let mut made = Vec::new();
    for level in 0..=60_usize {
        // One file in a hundred changes, all over the tree.
        for file in 0..24 {
            let (directory, file) = ((level * 7 + file) % 40, (level * 13 + file) % 60);
            let path = source.path().join(format!(
                "directory {directory:02}/a file with a name of some length, number {file:03}"
            ));
            fs::write(path, format!("{level}")).expect("written");
        }
        made.push(
            backup::back_up(&access, &[source.path()], |request| {
                request.levels = Levels::default()
            })
            .manifest,
        );
    }
    let whole = index_bytes(store.as_ref(), &made[0].id);
    let later: u64 = made[1..]
        .iter()
        .map(|manifest| index_bytes(store.as_ref(), &manifest.id))
        .sum();
    assert!(
        later / 60 < whole / 4,
        "{} bytes a level, {whole} for everything",
        later / 60
    );
    let most = made
        .iter()
        .map(|manifest| manifest.index.len())
        .max()
        .expect("several");
    assert!((2..=5).contains(&most), "{most} runs");
    let first = requests_to_look_in(&access, &store, &made[0].id);
    for (level, manifest) in made.iter().enumerate() {
        let requests = requests_to_look_in(&access, &store, &manifest.id);
        assert!(
            requests <= first + level as u64 / 20,
            "level {level}: {requests} requests, level 0: {first}"
        );
        for run in &manifest.index {
            assert!(
                manifest
                    .levels
                    .iter()
                    .any(|parts| parts.serial == run.serial),
                "level {level}: the manifest does not name the level of a run"
            );
        }
    }
}

#[test]
fn a_removed_directory_is_gone_with_everything_in_it() {
    let series = Series::new();
    fill(&series.tree(), 10, 60);
    series.back_up();
    fs::remove_dir_all(series.tree().join("directory 03")).expect("removed");
    fs::remove_dir_all(series.tree().join("directory 04")).expect("removed");
    series.write("directory 04", b"a file");
    let second = series.back_up().manifest;
    assert_eq!(second.index.len(), 2);
    assert_eq!(second.index[0].subtrees, 2);
    assert!(
        second.index[0].root.entries < 10,
        "{}",
        second.index[0].root.entries
    );
    // They come back with other content.
    fs::remove_file(series.tree().join("directory 04")).expect("removed");
    for name in ["directory 03", "directory 04"] {
        fs::create_dir(series.tree().join(name)).expect("made");
        series.write(&format!("{name}/new"), b"new");
    }
    let third = series.back_up().manifest;
    assert!(
        compare(
            &oracle::scan(&series.tree()),
            &series.restored(&third.id),
            Holes::Zeros
        )
        .is_empty()
    );
    let mut told = |_: &[LevelId], damage| panic!("{damage}");
    let checked = check(
        &series.access,
        &backup::name(),
        std::slice::from_ref(&third.id),
        Depth::Data(Portion::All),
        &mut told,
        &Silent,
        &Cancel::new(),
    )
    .expect("the store answers");
    assert_eq!(checked.entries, third.counts.entries);
}

#[test]
fn an_entry_that_is_skipped_is_not_taken_from_an_earlier_run() {
    let series = Series::new();
    fill(&series.tree(), 10, 60);
    let full = series.back_up().manifest;
    // A socket takes the place of a file: it is skipped, and the file is gone.
    let path = series
        .tree()
        .join("directory 05/a file with a name of some length, number 007");
    fs::remove_file(&path).expect("removed");
    let _socket = std::os::unix::net::UnixListener::bind(&path).expect("bound");
    let next = series.back_up().manifest;
    assert_eq!(
        (next.counts.entries, next.counts.skipped),
        (full.counts.entries - 1, 1)
    );
    let view = reading::open(
        &series.access,
        &backup::name(),
        &next.id,
        &reading::reader(),
    )
    .expect("it opens");
    assert_eq!(
        view.all().filter(Result::is_ok).count() as u64,
        next.counts.entries
    );
}

#[test]
fn hard_links_stay_one_file_or_become_files_of_their_own() {
    for lies in [
        Lies::default(),
        Lies {
            ctime: true,
            inode: false,
        },
    ] {
        let mut series = Series::new();
        series.levels.lies = lies;
        fill(&series.tree(), 10, 60);
        series.write("directory 02/linked", b"one content");
        let at = |name: &str| series.tree().join(name);
        fs::hard_link(at("directory 02/linked"), at("directory 06/linked")).expect("linked");
        fs::hard_link(at("directory 02/linked"), at("directory 08/linked")).expect("linked");
        series.back_up();
        let steps: [&dyn Fn(); 5] = [
            &|| fs::rename(at("directory 02/linked"), at("directory 09/linked")).expect("renamed"),
            &|| fs::write(at("directory 06/linked"), b"other content").expect("written"),
            &|| {
                fs::hard_link(at("directory 06/linked"), at("directory 01/linked")).expect("linked")
            },
            &|| {
                fs::remove_file(at("directory 01/linked")).expect("removed");
                fs::write(at("directory 01/linked"), b"a file of its own").expect("written");
            },
            &|| fs::remove_file(at("directory 06/linked")).expect("removed"),
        ];
        for (step, change) in steps.iter().enumerate() {
            change();
            let manifest = series.back_up().manifest;
            assert!(manifest.index.len() > 1, "step {step}");
            let differences = compare(
                &oracle::scan(&series.tree()),
                &series.restored(&manifest.id),
                Holes::Zeros,
            );
            assert!(
                differences.is_empty(),
                "step {step}, {lies:?}: {differences:#?}"
            );
        }
    }
}

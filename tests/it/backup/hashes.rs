//! The hash of each file's content, as it is in the index.

use super::levels::{Dice, Series, edit};
use crate::support::{backup, reading, torture};
use freezer::backup::{BlockOptions, Engine};
use freezer::format::content_hash::ContentCheck;
use freezer::model::{Content, LevelId};
use std::fs;
use std::os::unix::fs::FileExt;

/// Checks that each file of a level that has content has the right hash. Returns how many have one.
fn check_all(series: &Series, level: &LevelId) -> usize {
    let view = reading::open(&series.access, &backup::name(), level, &reading::reader())
        .expect("it opens");
    let mut hashes = 0;
    for found in view.all() {
        let (_, entry) = found.expect("sound");
        let Content::File { size, .. } = &entry.content else {
            assert_eq!(entry.metadata.extensions.content_hash, None);
            continue;
        };
        let check = ContentCheck::of(&entry, view.hashing());
        assert_eq!(check.is_some(), *size > 0, "{}", entry.path);
        // Files that are nearly all holes are larger than memory.
        if *size > 1 << 30 {
            continue;
        }
        if let Some(mut check) = check {
            check.see(0, &reading::content(&view, &entry).expect("sound"));
            check
                .finish()
                .unwrap_or_else(|error| panic!("{}: {error}", entry.path));
            hashes += 1;
        }
    }
    hashes
}

#[test]
fn every_file_has_the_hash_of_its_content_in_every_level() {
    for seed in 0..3 {
        let series = Series::new();
        let mut dice = Dice::new(seed);
        for level in 0..6 {
            for _ in 0..(if level == 0 { 120 } else { 20 }) {
                edit(&series.tree(), &mut dice);
            }
            let manifest = series.back_up().manifest;
            assert!(check_all(&series, &manifest.id) > 0);
        }
    }
}

#[test]
fn files_with_holes_and_files_of_all_lengths_have_one_too() {
    let series = Series::new();
    let _ = torture::build(&series.tree());
    // The file that is larger than a disk is left out: its content is not read here.
    let _ = fs::remove_file(series.tree().join("giant"));
    let manifest = series.back_up().manifest;
    assert!(check_all(&series, &manifest.id) > 10);
}

#[test]
fn the_engine_rsync_has_the_hash_of_the_whole_file() {
    let mut series = Series::new();
    series.engine = Engine::Rsync(BlockOptions {
        threshold_bytes: 64 << 10,
        least_block_bytes: 4 << 10,
    });
    let content = torture::noise(5, 3_000_000);
    series.write("image", &content);
    series.write("log", &content[..1_000_000]);
    let full = series.back_up().manifest;
    assert_eq!(check_all(&series, &full.id), 2);
    for round in 0..3_u64 {
        let image = fs::OpenOptions::new()
            .write(true)
            .open(series.tree().join("image"))
            .expect("opened");
        image
            .write_all_at(b"changed", 700_000 * (round + 1))
            .expect("written");
        let mut log = fs::read(series.tree().join("log")).expect("read");
        log.extend(torture::noise(round + 9, 400_000));
        series.write("log", &log);
        let mut moved = fs::read(series.tree().join("image")).expect("read");
        drop(moved.splice(0..0, torture::noise(round, 333)));
        series.write("image", &moved);
        let manifest = series.back_up().manifest;
        assert_eq!(check_all(&series, &manifest.id), 2, "round {round}");
        assert!(
            manifest.levels[0].stream_bytes < 2_500_000,
            "it was not stored by blocks"
        );
    }
}

#[test]
fn without_encryption_the_hash_is_that_of_any_other_program() {
    let series = Series::plain();
    series.write("file", "to be or not to be");
    let manifest = series.back_up().manifest;
    let view = reading::open(
        &series.access,
        &backup::name(),
        &manifest.id,
        &reading::reader(),
    )
    .expect("it opens");
    let found = view.all().map(|found| found.expect("sound").1);
    let hashes: Vec<String> = found
        .filter_map(|entry| entry.metadata.extensions.content_hash)
        .map(|hash| hash.to_string())
        .collect();
    let expected = blake3::hash(b"to be or not to be").to_hex();
    assert_eq!(hashes, [expected[..40].to_owned()]);
}

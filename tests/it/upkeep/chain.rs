//! Chains of levels that are edited, pruned and repacked at random. Every point in time that is
//! left equals its source, however it is read, and the space that it takes stays bounded.
#![expect(
    clippy::disallowed_methods,
    reason = "tar and the rescue script are other programs"
)]

use super::partial::check_all;
use super::repack::{NOTHING, repack};
use super::{FILE_BYTES, Series, prune};
use crate::backup::levels::{self, Dice, edit};
use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, torture};
use freezer::backup::{BlockOptions, Engine, run};
use freezer::catalog::Catalog;
use freezer::format::frame::Compression;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId, Retention};
use freezer::store::{ObjectInfo, Store};
use freezer::upkeep::{GRACE, Going};
use jiff::SignedDuration;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Makes a large file, or replaces a part of one. Some of its frames outlive others.
fn edit_large(tree: &Path, dice: &mut Dice) {
    let path = tree.join(format!("large {}", dice.roll(4)));
    let mut content = fs::read(&path).unwrap_or_default();
    match dice.roll(4) {
        0 => content = torture::noise(dice.roll(1 << 30) as u64, 200_000 + dice.roll(2_000_000)),
        1 => {
            let at = dice.roll(content.len().max(1)).min(content.len());
            content.splice(
                at..at,
                torture::noise(dice.roll(1 << 30) as u64, dice.roll(300_000)),
            );
        }
        2 => content.truncate(dice.roll(content.len() + 1)),
        _ => {
            let at = dice.roll(content.len().max(1)).min(content.len());
            let piece = torture::noise(dice.roll(1 << 30) as u64, dice.roll(100_000));
            let end = content.len().min(at + piece.len());
            content.splice(at..end, piece);
        }
    }
    if path.is_dir() {
        fs::remove_dir_all(&path).expect("removed");
    }
    fs::write(path, content).expect("written");
}

fn unpacked(archive: &Path) -> oracle::Tree {
    let target = tempfile::tempdir().expect("a directory");
    let mut tar = Command::new("tar");
    tar.args(["--xattrs", "--xattrs-include=*", "--acls", "-p", "-x", "-f"])
        .arg(archive)
        .arg("-C")
        .arg(target.path());
    let done = tar.output().expect("tar runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    oracle::scan(target.path())
}

/// Asserts that a restore, an export and the rescue script each bring back the tree as it was.
fn check_every_way(series: &levels::Series, level: &LevelId, expected: &oracle::Tree, what: &str) {
    let differences = compare(expected, &series.restored(level), Holes::Zeros);
    assert!(
        differences.is_empty(),
        "{what}, restored {level}: {differences:#?}"
    );
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    series.export(level, file.as_file_mut());
    let differences = compare(expected, &unpacked(file.path()), Holes::Zeros);
    assert!(
        differences.is_empty(),
        "{what}, exported {level}: {differences:#?}"
    );
    let passphrase = series.store().join("../passphrase");
    fs::write(&passphrase, backup::passphrase().expose()).expect("written");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut rescue = Command::new("/usr/bin/python3");
    rescue
        .arg(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/packaging/rescue/freezer-rescue.py"
        ))
        .arg(series.store());
    rescue
        .arg(format!("host/tree/{level}"))
        .arg("--tree")
        .arg("--pass-file")
        .arg(&passphrase);
    let done = rescue
        .stdout(file.reopen().expect("opened"))
        .output()
        .expect("Python runs");
    assert!(
        done.status.success(),
        "{what}, rescue of {level}: {}",
        String::from_utf8_lossy(&done.stderr)
    );
    let differences = compare(expected, &unpacked(file.path()), Holes::Zeros);
    assert!(
        differences.is_empty(),
        "{what}, rescued {level}: {differences:#?}"
    );
}

fn chain(mut series: levels::Series, seed: u64, rounds: usize) {
    let mut dice = Dice::new(seed);
    let mut history: BTreeMap<LevelId, oracle::Tree> = BTreeMap::new();
    let (mut repacked, mut went) = (0, 0);
    for round in 0..rounds {
        let what = format!("seed {seed}, round {round}");
        for _ in 0..(if round == 0 { 80 } else { 12 }) {
            edit(&series.tree(), &mut dice);
        }
        for _ in 0..3 {
            edit_large(&series.tree(), &mut dice);
        }
        series.segment_bytes = [1 << 20, 2 << 20, 300_000][dice.roll(3)];
        // Frames are short, so that files do not share one.
        series.compression =
            [Compression::None, Compression::None, Compression::Gzip][dice.roll(3)];
        series.engine = match dice.roll(3) {
            0 => Engine::Rsync(BlockOptions {
                threshold_bytes: 50_000,
                least_block_bytes: 4096,
            }),
            _ => Engine::Tar,
        };
        let manifest = series.back_up().manifest;
        history.insert(manifest.id.clone(), oracle::scan(&series.tree()));
        let grace = [SignedDuration::ZERO, GRACE][dice.roll(2)];
        while history.len() > 2 && dice.roll(5) < 3 {
            let level = history
                .keys()
                .nth(dice.roll(history.len() - 1))
                .expect("one of them")
                .clone();
            history.remove(&level);
            prune(&series.access, &series.clock, &Going::Named(level), grace).expect("pruned");
            went += 1;
        }
        if dice.roll(2) == 0 {
            let below = [0.3, 0.6, 1.0][dice.roll(3)];
            repacked += repack(&series.access, &series.clock, below, grace)
                .expect("repacked")
                .segments;
            if dice.roll(2) == 0 {
                prune(&series.access, &series.clock, &NOTHING(), grace).expect("pruned");
            }
        }
        let levels = Catalog::new(series.access.store())
            .levels(&backup::name())
            .expect("listed");
        assert!(levels.iter().eq(history.keys()), "{what}");
        check_all(&series.access, &what);
        for (level, expected) in &history {
            if round + 1 == rounds || dice.roll(5) == 0 {
                check_every_way(&series, level, expected, &what);
            }
        }
    }
    assert!(
        repacked > 0 && went > 3,
        "seed {seed}: {repacked} segments were repacked, {went} points in time went"
    );
}

#[test]
fn every_point_in_time_that_is_left_is_what_the_source_was_however_it_is_read() {
    chain(levels::Series::new(), 1, 16);
    chain(levels::Series::plain(), 2, 16);
}

#[test]
fn a_backup_that_is_incremental_for_ever_stays_bounded_in_space() {
    const FILES: u64 = 12;
    let mut series = Series::with_large_files_in(3 * (FILE_BYTES as u64 + 5000), 1, FILES, 0);
    let keep = Going::Unprotected(Retention {
        last: 4,
        ..Retention::default()
    });
    let mut largest = 0;
    for level in 1..300_u64 {
        series.write_large((level * 7 + level / FILES) % FILES, level);
        let request = series.request();
        let report = run(
            &request,
            &series.access,
            &series.clock,
            &Silent,
            &Cancel::new(),
        )
        .expect("a backup");
        assert_eq!(u64::from(report.manifest.level), level, "no new full level");
        assert!(
            report.manifest.levels.len() as u64 <= 2 * FILES + 6,
            "it leans on {} levels",
            report.manifest.levels.len()
        );
        if level >= 296 {
            let whole = crate::support::reading::whole(
                &series.access,
                &backup::name(),
                &report.manifest.id,
            );
            series.held.insert(report.manifest.id.clone(), whole);
        }
        series.pass(SignedDuration::from_hours(24));
        series.prune(&keep, GRACE).expect("pruned");
        repack(&series.access, &series.clock, 0.5, GRACE).expect("repacked");
        if level > 20 {
            largest = largest.max(series.stored_bytes());
        }
    }
    // Twelve files of the newest level, three that others still have, and data that is not worth
    // copying or waits for its readers.
    assert!(
        largest < 2 * (FILES + 4) * FILE_BYTES as u64,
        "{largest} bytes"
    );
    series.check(&series.access, "after 300 levels");
    assert_eq!(check_all(&series.access, "after 300 levels"), 4);
    let names = |folder: &str| {
        let mut count = 0;
        let mut each = |object: ObjectInfo| {
            count += usize::from(object.name.as_str().contains(folder));
            true
        };
        series.store.list("", &mut each).expect("listed");
        count
    };
    assert!(names("") < 150, "{} objects", names(""));
}

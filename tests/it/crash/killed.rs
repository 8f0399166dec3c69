//! The program itself, killed in the middle of a backup.
#![expect(
    clippy::disallowed_methods,
    reason = "the test runs the program to kill it"
)]

use crate::support::{oracle, reading, scratch, torture};
use freezer::catalog::{Access, Catalog};
use freezer::model::{BackupName, Entry, LevelId};
use freezer::store::local::Local;
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// A process that is ended and reaped, also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("a child");
        self.0.wait().expect("a child");
    }
}

fn freezer(room: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
    command
        .env_clear()
        .env("HOME", room)
        .env("PATH", "/usr/bin:/bin")
        .current_dir(room)
        .stdin(Stdio::null());
    command
        .args(["backup", "tree", "--hostname", "host", "--store", "store"])
        .args(options);
    command
}

/// Counts the data objects of all levels.
fn objects(folder: &Path) -> usize {
    let below = |entry: fs::DirEntry| {
        if entry.path().is_dir() {
            objects(&entry.path())
        } else {
            1
        }
    };
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(below)
        .sum()
}

#[test]
fn a_backup_that_is_killed_leaves_no_half_level_and_needs_no_repair() {
    let room = scratch();
    let tree = room.path().join("tree");
    fs::create_dir(&tree).expect("made");
    for number in 0..16 {
        fs::write(
            tree.join(number.to_string()),
            torture::noise(number, 1 << 20),
        )
        .expect("written");
    }
    let done = freezer(room.path(), &["--compression", "none"])
        .output()
        .expect("it runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );

    let name = BackupName::new("host", "tree").expect("legal");
    let store = room.path().join("store");
    let open =
        || Access::open(Arc::new(Local::open(&store).expect("a store")), None).expect("it opens");
    let levels = || Catalog::new(open().store()).levels(&name).expect("listed");
    let first = levels();
    let whole = reading::whole(&open(), &name, &first[0]);

    for round in 1..3 {
        // This run would take some seconds.
        let slow = [
            "--no-incremental",
            "--compression",
            "bzip2",
            "--max-segment-size",
            "1MiB",
        ];
        let before = data_of(&store);
        // Count the objects of this run: those of the one before go meanwhile.
        let stored = || {
            data_of(&store)
                .difference(&before)
                .map(|level| objects(&store.join("data/host/tree").join(level)))
                .sum::<usize>()
        };
        let mut child = Killed(
            freezer(room.path(), &slow)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts"),
        );
        while stored() < round {
            assert!(
                child.0.try_wait().expect("a child").is_none(),
                "round {round}: it ended before it could be killed"
            );
            std::thread::yield_now();
        }
        drop(child);
        assert_eq!(levels(), first, "round {round}: a half level is listed");
        assert!(
            reading::whole(&open(), &name, &first[0]) == whole,
            "round {round}: the level from before has changed"
        );
    }
    let done = freezer(room.path(), &["--compression", "none"])
        .output()
        .expect("it runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let levels = levels();
    assert_eq!((levels.len(), &levels[0]), (2, &first[0]));
    let next = reading::whole(&open(), &name, &levels[1]);
    assert!(super::same_content(&next, &whole));
    assert_eq!(
        data_of(&store),
        levels.iter().map(ToString::to_string).collect(),
        "what the killed runs left is gone"
    );
}

#[test]
fn a_large_backup_that_is_killed_is_gone_on_with() {
    let room = scratch();
    let tree = room.path().join("tree");
    fs::create_dir_all(tree.join("below")).expect("made");
    const FILE_BYTES: usize = 3 << 20;
    for number in 0..50 {
        let name = if number % 2 == 0 {
            format!("{number:02}")
        } else {
            format!("below/{number:02}")
        };
        fs::write(tree.join(name), torture::noise(number, FILE_BYTES)).expect("written");
    }
    let options = [
        "--compression",
        "none",
        "--max-segment-size",
        "2MiB",
        "--checkpoint-interval",
        "0s",
    ];
    let data = room.path().join("store/data/host/tree");
    let of_runs = || {
        fs::read_dir(&data)
            .into_iter()
            .flatten()
            .flatten()
            .map(|level| level.path())
            .collect::<Vec<_>>()
    };
    let checkpoint = |level: &Path| {
        let names = fs::read_dir(level.join("checkpoints"))
            .into_iter()
            .flatten()
            .flatten();
        names
            .filter_map(|entry| entry.file_name().into_string().ok()?.parse::<u64>().ok())
            .max()
    };
    for round in 0..2 {
        // The second run takes data from the first, and makes its own checkpoint.
        let before = of_runs();
        let newest = || {
            of_runs()
                .iter()
                .filter(|level| !before.contains(level))
                .find_map(|level| checkpoint(level))
        };
        let mut child = Killed(
            freezer(room.path(), &options)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts"),
        );
        while newest().is_none() {
            assert!(
                child.0.try_wait().expect("a child").is_none(),
                "round {round}: it ended before it could be killed"
            );
            std::thread::yield_now();
        }
    }
    let left = of_runs().len();
    let done = freezer(room.path(), &["--json", "--compression", "zstd"])
        .output()
        .expect("it runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let last = String::from_utf8(done.stdout)
        .expect("text")
        .lines()
        .last()
        .expect("a result")
        .to_owned();
    let result: serde_json::Value = serde_json::from_str(&last).expect("JSON");
    let number = |value: &serde_json::Value| value.as_u64().expect("a number");
    let (taken, stored) = (
        number(&result["taken"]["bytes"]),
        number(&result["bytes"]["stored"]),
    );
    let all = 50 * FILE_BYTES as u64;
    assert!(
        taken >= 60 << 20,
        "{taken} bytes were taken, of two checkpoints of 32 MiB"
    );
    assert!(
        stored <= all - taken + (1 << 20),
        "{stored} bytes were stored, and {taken} of {all} taken"
    );
    assert!(left == 2 && result["level"] == 0, "{result}");

    let out = room.path().join("out");
    let mut restore = Command::new(env!("CARGO_BIN_EXE_freezer"));
    restore
        .env_clear()
        .env("HOME", room.path())
        .current_dir(room.path())
        .args(["restore", "tree", "--store", "store", "--target", "out"]);
    let restored = restore.output().expect("it runs");
    assert!(
        restored.status.success(),
        "{}",
        String::from_utf8_lossy(&restored.stderr)
    );
    assert_eq!(oracle::rsync(&tree, &out), Vec::<String>::new());
    for level in of_runs() {
        assert!(
            !level.join("checkpoints").exists() || checkpoint(&level).is_none(),
            "{} still has a checkpoint",
            level.display()
        );
    }
    assert!(
        !room.path().join("store/locks").exists(),
        "no claim is left"
    );
}

/// Returns the levels that have data. A run that is killed after it made a folder and before it
/// stored the first object in it leaves the folder, which is no data.
fn data_of(store: &Path) -> BTreeSet<String> {
    let of_backup = fs::read_dir(store.join("data/host/tree"))
        .expect("listed")
        .map(|entry| entry.expect("an entry"));
    of_backup
        .filter(|level| objects(&level.path()) > 0)
        .map(|level| level.file_name().into_string().expect("text"))
        .collect()
}

/// The entries of a level, each with the digest of its content. The content of all levels would not
/// fit in memory.
type Digests = Vec<(Entry, [u8; 32])>;

/// Kills runs of a chain in which the tree changes all the time.
fn kill_a_chain(kills: u64) {
    let room = scratch();
    let (tree, store) = (room.path().join("tree"), room.path().join("store"));
    for folder in 0..20 {
        fs::create_dir_all(tree.join(folder.to_string())).expect("made");
    }
    let name = BackupName::new("host", "tree").expect("legal");
    let open =
        || Access::open(Arc::new(Local::open(&store).expect("a store")), None).expect("it opens");
    let whole = |access: &Access, level: &LevelId| -> Digests {
        let whole = reading::whole(access, &name, level);
        whole
            .into_iter()
            .map(|(entry, content)| (entry, Sha256::digest(&content).into()))
            .collect()
    };
    let mut kept: Vec<(LevelId, Digests)> = Vec::new();
    let (_nobody, never) = std::sync::mpsc::channel::<()>();
    // How long the last runs took that were not killed. Otherwise a machine that was busy for a
    // while would slow down all later rounds.
    let mut whole_run = Duration::from_millis(60);
    let mut cut_off = 0;
    for round in 0..4 * kills {
        // A run that ended before it was killed proves nothing, so another takes its place.
        if round >= kills && cut_off > kills / 4 {
            break;
        }
        for change in 0..40 {
            let noise = torture::noise(
                round * 1000 + change,
                200 + usize::from(change == 0) * 1_500_000,
            );
            let file = tree
                .join((noise[1] % 20).to_string())
                .join((noise[2] % 32).to_string());
            fs::write(file, noise).expect("written");
        }
        let options = ["--max-segment-size", "100KiB"];
        let mut child = Killed(
            freezer(room.path(), &options)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts"),
        );
        let seed = torture::noise(round, 4);
        let share = f64::from(u32::from_le_bytes([seed[0], seed[1], seed[2], seed[3]]))
            / f64::from(u32::MAX);
        never
            .recv_timeout(whole_run.mul_f64(share))
            .expect_err("it waits");
        let was_done = child.0.try_wait().expect("a child").is_some();
        drop(child);
        cut_off += u64::from(!was_done);
        if round % 4 == 0 {
            let began = freezer::platform::monotonic();
            let done = freezer(room.path(), &options).output().expect("it runs");
            assert!(
                done.status.success(),
                "round {round}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            whole_run = began.elapsed();
        }
        let access = open();
        let levels = Catalog::new(access.store()).levels(&name).expect("listed");
        for level in &levels[kept.len()..] {
            kept.push((level.clone(), whole(&access, level)));
        }
        assert_eq!(levels.len(), kept.len(), "round {round}");
        let probe = usize::from(seed[0]) % kept.len().max(1);
        if let Some((level, held)) = kept.get(probe) {
            assert!(
                whole(&access, level) == *held,
                "round {round}: {level} has changed"
            );
        }
    }
    let done = freezer(room.path(), &[]).output().expect("it runs");
    assert!(
        done.status.success(),
        "{}",
        String::from_utf8_lossy(&done.stderr)
    );
    let access = open();
    let levels = Catalog::new(access.store()).levels(&name).expect("listed");
    assert_eq!(
        data_of(&store),
        levels.iter().map(ToString::to_string).collect(),
        "what killed runs left is gone"
    );
    assert!(!store.join("locks").exists(), "no claim is left");
    for (level, held) in &kept {
        assert!(whole(&access, level) == *held, "{level} has changed");
    }
    assert!(
        cut_off > kills / 4,
        "only {cut_off} of {} runs were cut off",
        4 * kills
    );
}

#[test]
fn runs_of_a_chain_that_are_killed_at_any_moment_harm_no_earlier_point_in_time() {
    kill_a_chain(12);
}

#[test]
#[ignore = "takes minutes: the profile nightly runs it"]
fn nightly_two_hundred_kills() {
    kill_a_chain(200);
}

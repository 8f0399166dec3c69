//! The program itself, killed in the middle of a backup.
#![expect(clippy::disallowed_methods, reason = "the test runs the program to kill it")]

use crate::support::{reading, scratch, torture};
use freezer::catalog::{Access, Catalog};
use freezer::model::BackupName;
use freezer::store::local::Local;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// Ends and reaps it, also when the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        self.0.kill().expect("a child");
        self.0.wait().expect("a child");
    }
}

fn freezer(room: &Path, options: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
    command.env_clear().env("HOME", room).env("PATH", "/usr/bin:/bin").current_dir(room).stdin(Stdio::null());
    command.args(["backup", "tree", "--hostname", "host", "--store", "store"]).args(options);
    command
}

/// How many objects of data there are, of all levels together.
fn objects(folder: &Path) -> usize {
    let below = |entry: fs::DirEntry| if entry.path().is_dir() { objects(&entry.path()) } else { 1 };
    fs::read_dir(folder).into_iter().flatten().flatten().map(below).sum()
}

#[test]
fn a_backup_that_is_killed_leaves_no_half_level_and_needs_no_repair() {
    let room = scratch();
    let tree = room.path().join("tree");
    fs::create_dir(&tree).expect("made");
    for number in 0..16 {
        fs::write(tree.join(number.to_string()), torture::noise(number, 1 << 20)).expect("written");
    }
    let done = freezer(room.path(), &["--compression", "none"]).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let name = BackupName::new("host", "tree").expect("legal");
    let store = room.path().join("store");
    let open = || Access::open(Arc::new(Local::open(&store).expect("a store")), None).expect("it opens");
    let levels = || Catalog::new(open().store()).levels(&name).expect("listed");
    let first = levels();
    let whole = reading::whole(&open(), &name, &first[0]);

    for round in 1..3 {
        // Takes some seconds to its end.
        let slow = ["--no-incremental", "--compression", "bzip2", "--max-segment-size", "1MiB"];
        let before = objects(&store.join("data"));
        let mut child = Killed(freezer(room.path(), &slow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts"));
        while objects(&store.join("data")) < before + round {
            assert!(child.0.try_wait().expect("a child").is_none(), "round {round}: it ended before it could be killed");
            std::thread::yield_now();
        }
        drop(child);
        assert_eq!(levels(), first, "round {round}: a half level is listed");
        assert!(reading::whole(&open(), &name, &first[0]) == whole, "round {round}: the level from before has changed");
    }
    let done = freezer(room.path(), &["--compression", "none"]).output().expect("it runs");
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let levels = levels();
    assert_eq!((levels.len(), &levels[0]), (2, &first[0]));
    let next = reading::whole(&open(), &name, &levels[1]);
    assert!(super::same_content(&next, &whole));
}

//! A state folder whose disk is full for a while.

use super::{Node, Scheduler, exec, fifo, job, until};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

/// A small file system in memory.
struct Small(PathBuf);

impl Small {
    fn at(path: PathBuf) -> Self {
        std::fs::create_dir(&path).expect("a folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "small"])
            .arg(&path)
            .status()
            .expect("mount is there");
        assert!(mounted.success(), "this test needs the right to mount");
        Self(path)
    }

    /// Leaves not a byte of it free, also of what was given back since.
    fn fill(&self) {
        let mut filler = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.0.join("filler"))
            .expect("a file");
        while filler.write_all(&[7; 4096]).is_ok() {}
        while filler.write_all(&[7]).is_ok() {}
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).expect("it is there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(&self.0).status().ok();
    }
}

#[test]
#[ignore = "needs the right to mount"]
fn a_full_disk_begins_nothing_ends_nothing_and_all_goes_on_when_there_is_space() {
    let node = Node::new();
    let small = Small::at(node.path("small"));
    let append = node.script("append", "echo $FREEZER_DUE >> ran");
    fifo(&node.path("go"));
    let slow = node.script("slow", "echo x >> began; read x < go; echo x >> ended");
    node.write(
        "jobs/often.conf",
        &job("c", &json!({ "schedule_second": "*" }), &[exec(&append)]).to_string(),
    );
    node.write(
        "jobs/slow.conf",
        &job("c", &json!({}), &[exec(&slow)]).to_string(),
    );
    let log = std::fs::File::create(node.path("log")).expect("a log");
    let arguments = [
        "scheduler",
        "start",
        "--foreground",
        "--no-api",
        "--jobs-dir",
        "jobs",
        "--interval",
        "1",
        "--concurrent-jobs",
        "2",
        "-v",
    ];
    let mut command = node.command(&arguments);
    command.args(["--state-dir", "small/state"]).stderr(log);
    let mut scheduler = Scheduler {
        child: command.spawn().expect("it starts"),
    };
    until("both jobs", || {
        (node.read("ran").lines().count() >= 2 && !node.read("began").is_empty()).then_some(())
    });
    let troubles = || node.read("log").matches("No space left on device").count();
    let another_try = || {
        let before = troubles();
        until("another try", || {
            small.fill();
            (troubles() > before).then_some(())
        });
    };
    another_try();
    // Those that had begun by then have ended by now.
    another_try();
    let ran = node.read("ran");
    // What had begun goes on, and ends; what it has to say waits for space.
    std::fs::write(node.path("go"), "on\n").expect("it is waited for");
    until("the end of the slow one", || {
        (!node.read("ended").is_empty()).then_some(())
    });
    another_try();
    assert!(
        scheduler
            .child
            .try_wait()
            .expect("it can be asked")
            .is_none(),
        "{}",
        node.read("log")
    );
    assert_eq!(node.read("ran"), ran, "nothing began");
    small.free();
    until("it goes on", || {
        (node.read("ran").lines().count() >= ran.lines().count() + 2).then_some(())
    });
    let result = until("the result of the slow one", || {
        let status = node.json(&[
            "scheduler",
            "status",
            "--no-api",
            "--state-dir",
            "small/state",
        ]);
        let run = status["last_runs"]
            .as_array()
            .expect("a list")
            .iter()
            .find(|run| run["job"] == "slow")
            .cloned();
        run.map(|run| run["outcome"]["result"].clone())
    });
    assert_eq!(result, "success");
    drop(scheduler);
    let ran = node.read("ran");
    let moments: BTreeSet<&str> = ran.lines().collect();
    assert_eq!(moments.len(), ran.lines().count(), "{ran}");
    assert_eq!(node.read("began"), "x\n");
}

//! Each exit code, as docs/cli.md lists them.

use super::User;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

/// A user with a backup of `docs` and a copy of its store in `copy`.
fn user() -> User {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here");
    user.succeeds("sync .local/share/freezer/store copy");
    user.write("docs/later.txt", "later\n");
    user.succeeds("backup docs --hostname here");
    user.write("pass", "secret\n");
    user.write("other-pass", "other\n");
    user
}

/// Puts a claim on `docs` into a store: a run on a machine that nobody knows anything of.
fn claim(user: &User, store: &str) {
    let until = super::unlock::in_hours(1);
    let claim = format!("20200101T000000.000Z-00000001/{until}");
    user.write(&format!("{store}/locks/here/docs/{claim}"), "");
}

const STORE: &str = ".local/share/freezer/store";

#[test]
fn an_interrupt_while_another_run_is_waited_for_exits_130() {
    for (store, arguments) in [
        (STORE, "backup docs --hostname here --wait"),
        (STORE, "prune docs --keep-last 1 --yes --wait=1h"),
        (STORE, "repack docs --below 100% --yes --wait"),
        (STORE, "repair docs --yes --wait"),
        ("copy", "sync .local/share/freezer/store copy docs --wait"),
    ] {
        let user = user();
        if arguments.starts_with("repack") {
            leave_unneeded_data(&user);
        }
        claim(&user, store);
        let mut child = user
            .freezer()
            .args(arguments.split_whitespace())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let stderr = child.stderr.take().expect("piped");
        let mut lines = BufReader::new(stderr)
            .lines()
            .map(|line| line.expect("a line"));
        let mut told = Vec::new();
        for line in lines.by_ref() {
            let waits = line.contains("waiting for it");
            told.push(line);
            if waits {
                kill_process(Pid::from_child(&child), Signal::INT).expect("sent");
                break;
            }
        }
        told.extend(lines);
        let code = child.wait().expect("it ends").code();
        assert_eq!(code, Some(130), "{arguments}: {told:?}");
        let last = told.join("\n");
        assert!(last.contains("interrupted"), "{arguments}: {told:?}");
    }
}

/// Has a segment hold data that is needed beside data that is not.
fn leave_unneeded_data(user: &User) {
    user.write("docs/large", vec![b'x'; 1 << 20]);
    user.write("docs/small", "small\n");
    user.outlive_a_tick("docs/small");
    user.succeeds("backup docs --hostname here --compression none");
    std::fs::remove_file(user.path("docs/large")).expect("removed");
    user.succeeds("backup docs --hostname here");
    user.succeeds("prune docs --keep-last 1 --grace 0 --yes");
}

/// What a user does, and the exit code.
const CASES: &[(i32, &str)] = &[
    (0, "list"),
    (0, "check"),
    (0, "prune docs --keep-last 9 --yes"),
    (1, "restore docs@latest no/such/file --target new"),
    (1, "list nothing"),
    (1, "init"),
    (10, "backup docs --must-exist --store nowhere"),
    (10, "list --store nowhere"),
    (10, "check --store nowhere"),
    (10, "prune --store nowhere --yes"),
    (10, "repair docs --store nowhere"),
    (10, "sync nowhere copy"),
    (12, "ls docs --store secret --encrypt-pass-file other-pass"),
    (12, "ls docs --store secret"),
    (12, "check --store secret --encrypt-pass-file other-pass"),
    (
        12,
        "backup docs --store secret --encrypt-pass-file other-pass",
    ),
    (1, "backup docs --encrypt-pass-file pass"),
    (1, "backup no-such-folder"),
    (11, "backup docs --hostname here --store claimed"),
    (11, "prune docs --keep-last 1 --yes --store claimed"),
    (0, "check --store damaged"),
    (1, "check --store damaged --read-data"),
    (2, "list --no-such-option"),
    (2, "list --config no-such-file"),
    (2, "list --config broken.conf"),
    (2, "backup"),
    (2, "backup docs --wait=soon"),
    (2, "prune docs --keep-last 1"),
    (2, "prune -N @@ --keep-last 1 --yes"),
    (2, "repack docs@latest"),
    (2, "list --store one --store two"),
    (3, "repair docs --store damaged --dry-run"),
    (3, "restore docs --store damaged --target from-damaged"),
    (130, "an interrupt: the test above"),
];

/// Prepares the stores that [`CASES`] name.
fn prepared() -> User {
    let user = user();
    user.succeeds("backup docs --hostname here --store secret --encrypt-pass-file pass");
    user.succeeds("backup docs --hostname here --store claimed");
    user.succeeds("backup docs --hostname here --store claimed");
    claim(&user, "claimed");
    user.succeeds("backup docs --hostname here --store damaged");
    let mut folders = vec![user.path("damaged/data")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("/segments/") {
                flip(&path);
            }
        }
    }
    user.write("broken.conf", "no value here\n");
    user
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).expect("an object");
    if let Some(byte) = bytes.last_mut() {
        *byte ^= 1;
    }
    std::fs::write(path, bytes).expect("written");
}

#[test]
fn every_case_has_the_exit_code_of_the_documented_table() {
    let page = include_str!("../../../docs/cli.md");
    let table = page
        .split("| exit code | means |")
        .nth(1)
        .expect("the table of exit codes");
    let documented: BTreeSet<i32> = table
        .lines()
        .skip(2)
        .map_while(|line| line.strip_prefix("| ")?.split(' ').next()?.parse().ok())
        .collect();
    let tried: BTreeSet<i32> = CASES.iter().map(|(code, _)| *code).collect();
    assert_eq!(tried, documented);
    let user = prepared();
    let wrong: Vec<String> = CASES
        .iter()
        .filter(|(code, _)| *code != 130)
        .filter_map(|(code, arguments)| {
            let said = user.runs(arguments);
            (said.code != *code).then(|| format!("{arguments}: not {code}: {said:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

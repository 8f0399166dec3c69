//! An SFTP server that lies: every command ends in time, with an error that says why, or with the
//! truth. `tests/env/fake_sftp.py` stands in the place of `ssh`.

use super::{Said, User, said};

/// Long enough for a busy machine to begin a session.
const PATIENT: &str = "20s";

/// A user whose `ssh` leads to a server that lies in this way, and who waits for it so long.
fn listing(lie: &str, timeout: &str) -> Said {
    use std::os::unix::fs::PermissionsExt;
    let user = User::new();
    let server = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/env/fake_sftp.py");
    user.write("bin/ssh", format!("#!/bin/sh\nexec python3 '{server}'\n"));
    let executable = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(user.path("bin/ssh"), executable).expect("an executable file");
    let path = std::env::var("PATH").unwrap_or_default();
    let path = format!("{}:{path}", user.path("bin").display());
    let mut command = user.freezer();
    command
        .args("list --store sftp://h/x --retry-for 0s".split_whitespace())
        .args(["--timeout", timeout])
        .env("PATH", path)
        .env("FAKE_SFTP", lie);
    said(&mut command)
}

#[test]
#[ignore = "needs python3"]
fn a_server_over_ssh_that_lies_is_given_up_with_a_reason() {
    for (lie, reason) in [
        ("huge greeting", "longer than any may be"),
        ("no greeting", "did not begin"),
        ("version 99", "SFTP version 3"),
        ("huge size", "larger than it can be"),
        ("short", "shorter than"),
        ("long", "wrong type"),
        ("empty", "wrong type"),
        ("wrong type", "wrong type"),
        ("another", "no answer"),
        ("huge", "longer than any may be"),
        ("crumbs", "a few bytes at a time"),
        ("drip", "bytes in"),
        ("cut", "connection broke"),
        ("escape", "freezer: all is well"),
        ("count of names", "no answer"),
        ("endless folders", "none of a store"),
    ] {
        let timeout = match lie {
            "no greeting" => "1s",
            "drip" => "5s",
            _ => PATIENT,
        };
        let told = listing(lie, timeout);
        assert_eq!(told.code, 1, "{lie}: {told:?}");
        assert!(told.err.contains(reason), "{lie}: {told:?}");
        assert!(!told.err.contains("panicked"), "{lie}: {told:?}");
        let is_shown = |c: char| c == '\n' || !c.is_control() && c != '\u{202e}';
        assert!(told.err.chars().all(is_shown), "{lie}: {told:?}");
        let is_forged = |line: &str| line.starts_with("freezer: all is well");
        assert!(!told.err.lines().any(is_forged), "{lie}: {told:?}");
    }
}

#[test]
#[ignore = "needs python3"]
fn what_is_odd_and_no_lie_over_ssh_is_passed_by() {
    for lie in ["", "odd names", "nested", "count=100000"] {
        let told = listing(lie, PATIENT);
        assert_eq!(told.code, 0, "{lie}: {told:?}");
        assert!(told.err.contains("no backups"), "{lie}: {told:?}");
    }
}

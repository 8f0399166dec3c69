//! Help is there for everything, with examples.

use super::User;

const COMMANDS: [&str; 76] = [
    "backup",
    "init",
    "list",
    "ls",
    "cat",
    "mount",
    "umount",
    "restore",
    "export",
    "diff",
    "find",
    "history",
    "du",
    "check",
    "prune",
    "repack",
    "repair",
    "sync",
    "unlock",
    "key",
    "key list",
    "key add",
    "key remove",
    "key change",
    "api",
    "api migrate",
    "api export",
    "api import",
    "api users",
    "api add-user",
    "api remove-user",
    "api tokens",
    "api add-token",
    "api revoke-token",
    "scheduler",
    "scheduler start",
    "scheduler stop",
    "scheduler status",
    "scheduler reload",
    "scheduler once",
    "job",
    "job list",
    "job show",
    "job get",
    "job create",
    "job update",
    "job start",
    "job stop",
    "job abort",
    "job delete",
    "session",
    "session list",
    "session show",
    "session create",
    "session update",
    "session delete",
    "session add-job",
    "session remove-job",
    "session start",
    "client",
    "client list",
    "client show",
    "client register",
    "client delete",
    "action",
    "action list",
    "action show",
    "action create",
    "action update",
    "action delete",
    "backup-list",
    "backup-list show",
    "backup-list create",
    "backup-list delete",
    "completions",
    "man",
];

#[test]
fn every_command_has_help_with_an_example() {
    let user = User::new();
    for command in COMMANDS {
        let said = user.succeeds(&format!("{command} --help"));
        assert!(said.out.contains("Example"), "{command}: {}", said.out);
        assert!(
            said.out.contains(&format!("freezer {command}")),
            "{command}: {}",
            said.out
        );
        assert_eq!(said.err, "", "{command}");
    }
    assert!(user.succeeds("--help").out.contains("Examples:"));
    assert!(user.succeeds("--version").out.starts_with("freezer "));
}

#[test]
fn every_option_has_help() {
    let user = User::new();
    for command in COMMANDS {
        let said = user.succeeds(&format!("{command} --help"));
        let mut lines = said.out.lines().peekable();
        while let Some(line) = lines.next() {
            if line.starts_with("  ") && line.trim_start().starts_with('-') {
                let alone = line.trim().split("  ").count() == 1;
                let next = lines.peek().map(|next| next.trim()).unwrap_or_default();
                assert!(
                    !alone || (!next.is_empty() && !next.starts_with('-')),
                    "{command}: {line:?} has no help"
                );
            }
        }
    }
}

#[test]
fn without_arguments_it_shows_help_and_that_something_is_missing() {
    let said = User::new().fails(2, "");
    assert!(said.err.contains("Usage: freezer"), "{said:?}");
}

#[test]
fn a_wrong_word_is_answered_with_the_right_one() {
    let user = User::new();
    assert!(user.fails(2, "bakup docs").err.contains("backup"));
    assert!(
        user.fails(2, "backup --compresion zstd")
            .err
            .contains("--compression")
    );
    assert!(
        user.fails(2, "backup --compression lz4 .")
            .err
            .contains("bzip2")
    );
    assert!(
        user.fails(2, "backup")
            .err
            .contains("hint: freezer backup PATH")
    );
    assert!(
        user.fails(2, "--store rclone://bucket list")
            .err
            .contains("rclone")
    );
    assert!(user.fails(2, "ls docs@soon").err.contains("soon"));
}

#[test]
fn completions_and_manual_pages_are_made() {
    let user = User::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(
            user.succeeds(&format!("completions {shell}"))
                .out
                .contains("encrypt-pass-file"),
            "{shell}"
        );
    }
    user.write("man/x", "");
    user.succeeds("man man");
    let page = std::fs::read_to_string(user.path("man/freezer-backup.1")).expect("a page");
    assert!(page.contains("max\\-segment\\-size"), "{page}");
}

#[test]
fn a_command_of_another_program_is_answered_with_ours() {
    let user = User::new();
    for (theirs, ours) in [
        ("snapshots", "freezer list"),
        ("forget --keep-last 3", "freezer prune"),
        ("stats", "freezer du"),
        ("verify", "freezer check"),
        ("create /x", "freezer backup"),
        ("extract docs", "freezer restore"),
    ] {
        let said = user.fails(2, theirs);
        assert!(
            said.err.contains("hint: here it is") && said.err.contains(ours),
            "{said:?}"
        );
        user.succeeds(&format!(
            "{} --help",
            ours.strip_prefix("freezer ").expect("ours")
        ));
    }
}

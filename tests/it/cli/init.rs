//! A store is made when it is asked for, and never in silence.

use super::{User, said};
use std::process::Stdio;

#[test]
fn init_makes_one_store_and_a_backup_that_must_find_one_makes_none() {
    let user = User::with_docs();
    user.write("pass", "secret\n");
    let missing = user.fails(10, "backup docs --must-exist --store disk/store");
    assert!(missing.err.contains("no freezer store"), "{missing:?}");
    assert!(!user.path("disk/store/freezer.json").exists());

    let made = user.succeeds("init --store disk/store --encrypt-pass-file pass --json");
    assert_eq!(made.json()["encrypted"], true, "{made:?}");
    user.succeeds("backup docs --must-exist --store disk/store --encrypt-pass-file pass");
    let again = user.fails(1, "init --store disk/store --encrypt-pass-file pass");
    assert!(again.err.contains("already"), "{again:?}");
}

#[test]
fn must_exist_holds_for_each_of_several_stores() {
    let user = User::with_docs();
    user.succeeds("init --store a");
    let said = user.fails(3, "backup docs --must-exist --store a --store b");
    assert!(
        said.err.contains("b did not get this point in time"),
        "{said:?}"
    );
    assert!(!user.path("b/freezer.json").exists());
}

#[test]
fn a_new_store_is_told_of_to_the_quiet_as_well() {
    let user = User::with_docs();
    let first = user.succeeds("backup docs --quiet");
    assert!(first.err.contains("made a store"), "{first:?}");
    assert_eq!(user.succeeds("backup docs --quiet").err, "");
}

#[test]
fn a_passphrase_comes_from_standard_input_or_a_command() {
    let user = User::with_docs();
    user.write("pass", "\u{feff}secret\r\nmore\n");
    user.succeeds("backup docs --encrypt-pass-file pass");
    let input = std::fs::File::open(user.path("pass")).expect("there");
    let mut of_input = user.freezer();
    of_input
        .args(["ls", "docs", "--encrypt-pass-file", "-"])
        .stdin(Stdio::from(input));
    assert_eq!(said(&mut of_input).code, 0);
    let mut of_command = user.freezer();
    of_command.args(["ls", "docs", "--password-command", "printf 'sec%s' ret"]);
    assert_eq!(said(&mut of_command).code, 0);
    let mut by_variable = user.freezer();
    by_variable
        .args(["ls", "docs"])
        .env("FREEZER_PASSWORD_COMMAND", "echo secret");
    assert_eq!(said(&mut by_variable).code, 0);
    for (command, told) in [
        ("echo wrong", "wrong passphrase"),
        ("exit 3", "command failed"),
    ] {
        let mut failing = user.freezer();
        failing.args(["ls", "docs", "--password-command", command]);
        let said = said(&mut failing);
        assert!(said.code != 0 && said.err.contains(told), "{said:?}");
    }
}

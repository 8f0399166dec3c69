//! Encrypted stores and their keys.

use super::{User, said};

fn user_with_encrypted_store() -> User {
    let user = User::with_docs();
    user.write("pass", "correct horse\n");
    user.write("other", "battery staple\r\n");
    for file in ["pass", "other"] {
        std::fs::set_permissions(
            user.path(file),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .expect("changed");
    }
    let said = user.succeeds("backup docs --encrypt-pass-file pass");
    assert!(said.err.contains("an encrypted store"), "{said:?}");
    user
}

#[test]
fn a_passphrase_opens_its_store_and_another_does_not() {
    let user = user_with_encrypted_store();
    assert_eq!(
        user.succeeds("cat docs a.txt --encrypt-pass-file pass").out,
        "hello\n"
    );
    let wrong = user.fails(12, "cat docs a.txt --encrypt-pass-file other");
    assert!(wrong.err.contains("wrong passphrase"), "{wrong:?}");
    assert!(!wrong.err.contains("staple"));
    let said = user.fails(12, "list");
    assert!(said.err.contains("no passphrase was given"), "{said:?}");
    user.succeeds("list --encrypt-pass-file pass");
}

#[test]
fn a_store_that_is_not_encrypted_refuses_a_passphrase() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    user.write("pass", "x");
    let said = user.fails(1, "backup docs --encrypt-pass-file pass");
    assert!(
        said.err.contains("not encrypted") && said.err.contains("hint:"),
        "{said:?}"
    );
    assert!(
        said.err.contains("other users may read pass: chmod 600"),
        "{said:?}"
    );
}

#[test]
fn without_terminal_and_file_it_says_what_is_needed() {
    let user = user_with_encrypted_store();
    let mut command = user.program("setsid");
    let said = said(command.args(["--wait", env!("CARGO_BIN_EXE_freezer"), "ls", "docs"]));
    assert_eq!(said.code, 12, "{said:?}");
    assert!(said.err.contains("hint: write the passphrase"), "{said:?}");
}

#[test]
fn on_a_terminal_it_asks_and_does_not_show_the_answer() {
    let user = user_with_encrypted_store();
    let mut dialogue = user.on_terminal("cat docs a.txt");
    // What is typed before the question is thrown away.
    dialogue.until(": ");
    // A wrong letter taken back, and then the right one.
    dialogue.press(b"correct horsf\x7fe\n");
    let (shown, code) = dialogue.end();
    assert_eq!(code, Some(0), "{shown}");
    assert!(
        shown.contains("Passphrase of ") && shown.contains("hello"),
        "{shown}"
    );
    assert!(!shown.contains("correct"), "{shown}");
}

#[test]
fn keys_are_added_changed_and_removed_without_touching_data() {
    let user = user_with_encrypted_store();
    let before = user.objects("/data/");
    user.succeeds("key add --encrypt-pass-file pass --new-pass-file other --comment vault");
    let keys = user
        .succeeds("key list --encrypt-pass-file other --json")
        .json();
    assert_eq!(keys.as_array().map(Vec::len), Some(2));
    let in_use = keys
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["in_use"] == true)
        .expect("one opened it");
    assert_eq!(in_use["comment"], "vault");

    let first = keys
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["in_use"] == false)
        .expect("the other");
    user.succeeds(&format!(
        "key remove {} --encrypt-pass-file other",
        first["id"].as_str().expect("text")
    ));
    user.fails(12, "ls docs --encrypt-pass-file pass");
    let last = user.fails(
        1,
        &format!(
            "key remove {} --encrypt-pass-file other",
            in_use["id"].as_str().expect("text")
        ),
    );
    assert!(last.err.contains("is the last key"), "{last:?}");

    user.succeeds("key change --encrypt-pass-file other --new-pass-file pass");
    user.fails(12, "ls docs --encrypt-pass-file other");
    assert_eq!(
        user.succeeds("ls docs --encrypt-pass-file pass").out,
        "a.txt\nsub\n"
    );
    assert_eq!(user.objects("/data/"), before);
    assert!(
        user.fails(1, "key remove 00000000 --encrypt-pass-file pass")
            .err
            .contains("hint: freezer key list")
    );
}

#[test]
fn a_damaged_key_is_told_by_a_check_though_another_opens_the_store() {
    let user = user_with_encrypted_store();
    let first = user.objects("/keys/").pop().expect("one");
    user.succeeds("key add --encrypt-pass-file pass --new-pass-file other");
    let added = user
        .objects("/keys/")
        .into_iter()
        .find(|key| *key != first)
        .expect("two");
    user.succeeds("check --encrypt-pass-file pass");
    let body = std::fs::read(&added).expect("read");
    std::fs::remove_file(&added).expect("removed");
    std::fs::write(&added, &body[..body.len() / 2]).expect("written");
    let said = user.fails(1, "check --encrypt-pass-file pass");
    let name = added
        .file_name()
        .expect("one")
        .to_string_lossy()
        .into_owned();
    assert!(
        said.out.contains("one of the keys: ") && said.out.contains(&name),
        "{said:?}"
    );
    let event = user
        .fails(1, "check --encrypt-pass-file pass --json")
        .event("damaged_key");
    assert!(
        event["error"]
            .as_str()
            .is_some_and(|error| error.contains(&name)),
        "{event}"
    );
    // It says nothing of one backup.
    user.succeeds("check docs --encrypt-pass-file pass");
}

#[test]
fn what_holds_a_passphrase_leaves_no_core_file() {
    let user = User::with_docs();
    // Waits for the passphrase, which never comes.
    let command = format!(
        "ulimit -c unlimited; exec {} backup docs --encrypt-pass-file /dev/fd/0",
        env!("CARGO_BIN_EXE_freezer")
    );
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &command])
        .current_dir(user.path(""))
        .env("HOME", user.path(""))
        .stdin(std::process::Stdio::piped());
    let mut child = shell
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let of_child = |what: &str| {
        std::fs::read_to_string(format!("/proc/{}/{what}", child.id())).unwrap_or_default()
    };
    while !(of_child("cmdline").ends_with("/dev/fd/0\0") && of_child("stat").contains(") S ")) {
        assert!(
            !of_child("stat").contains(") Z "),
            "it ended before it had a passphrase"
        );
        std::thread::yield_now();
    }
    let limits = of_child("limits");
    let cores = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .expect("a limit");
    let soft = cores.split_whitespace().nth(4).expect("a limit").to_owned();
    child.kill().expect("a child");
    child.wait().expect("a child");
    assert_eq!(soft, "0");
}

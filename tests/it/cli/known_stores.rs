//! A store that is not what this machine saw there before is told, and not written to.

use super::{Said, User};
use std::fs;
use std::path::PathBuf;

const PASS: &str = "--encrypt-pass-file pass";
const REFUSED: i32 = 1;

/// A user with an encrypted store that has three points of `docs`.
fn user_with_three_points() -> User {
    let user = User::with_docs();
    user.write("pass", "secret pass\n");
    user.make_store_that_shows_names(".local/share/freezer/store", "pass");
    for day in 1..=3 {
        user.write("docs/day.txt", format!("{day}\n"));
        user.succeeds(&format!("backup docs {PASS}"));
    }
    user
}

fn store(user: &User) -> PathBuf {
    user.path(".local/share/freezer/store")
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("copied");
        }
    }
}

/// Removes the newest point as a provider would that rolls the store back.
fn roll_back(user: &User) {
    let mut manifests = user.objects("/manifests/");
    let newest = manifests.pop().expect("three points");
    let level = newest.file_name().expect("a level").to_owned();
    fs::remove_file(&newest).expect("removed");
    let hosts = fs::read_dir(store(user).join("data")).expect("data");
    for host in hosts {
        let data = host.expect("a host").path().join("docs").join(&level);
        fs::remove_dir_all(data).expect("removed");
    }
}

fn says(said: &Said, text: &str) {
    assert!(said.err.contains(text), "{text:?} is not in {said:?}");
}

#[test]
fn a_rolled_back_store_is_told_by_every_reader_and_refused_by_every_writer() {
    let user = user_with_three_points();
    roll_back(&user);
    for reader in [
        "list docs",
        "ls docs",
        "check",
        "restore docs --target out",
        "diff docs docs",
    ] {
        let said = user.runs(&format!("{reader} {PASS}"));
        says(&said, "has lost its newest points");
        assert_eq!(
            said.code,
            i32::from(reader == "check"),
            "{reader}: {said:?}"
        );
    }
    for writer in [
        "backup docs",
        "prune docs --keep-last 1 --yes",
        "repack docs --yes",
        "repair docs",
    ] {
        let said = user.fails(REFUSED, &format!("{writer} {PASS}"));
        says(&said, "has lost its newest points");
        says(&said, "--forget-store");
    }
    let said = user.succeeds(&format!("backup docs --forget-store {PASS}"));
    assert!(!said.err.contains("lost"), "{said:?}");
    user.succeeds(&format!("check {PASS}"));
}

#[test]
fn an_empty_place_where_a_store_was_gets_no_new_store() {
    let user = user_with_three_points();
    let away = user.path("away");
    fs::rename(store(&user), &away).expect("moved");
    for options in ["", "-q"] {
        let said = user.fails(REFUSED, &format!("backup docs {PASS} {options}"));
        says(&said, "holds no store");
        assert!(!store(&user).join("freezer.json").exists());
    }
    says(&user.runs(&format!("list {PASS}")), "this machine knows");
    fs::remove_dir_all(store(&user)).ok();
    fs::rename(&away, store(&user)).expect("moved back");
    user.succeeds(&format!("backup docs {PASS}"));
}

#[test]
fn another_store_in_the_place_of_a_known_one_is_refused() {
    let user = user_with_three_points();
    fs::rename(store(&user), user.path("away")).expect("moved");
    user.succeeds(&format!("backup docs {PASS} --store other"));
    copy(&user.path("other"), &store(&user));
    fs::remove_dir_all(user.path(".local/state/freezer/known-stores")).expect("the memory");
    fs::remove_dir_all(store(&user)).expect("removed");
    fs::rename(user.path("away"), store(&user)).expect("moved back");
    user.succeeds(&format!("list docs {PASS}"));
    fs::remove_dir_all(store(&user)).expect("removed");
    copy(&user.path("other"), &store(&user));
    for reader in ["list", "list docs", "ls docs"] {
        let said = user.succeeds(&format!("{reader} {PASS}"));
        says(&said, "shows another store than before");
    }
    let said = user.fails(REFUSED, &format!("backup docs {PASS}"));
    says(&said, "shows another store than before");
    user.succeeds(&format!("backup docs {PASS} --forget-store"));
    user.succeeds(&format!("backup docs {PASS}"));
}

#[test]
fn a_plain_store_in_the_place_of_an_encrypted_one_is_refused() {
    let user = user_with_three_points();
    fs::rename(store(&user), user.path("away")).expect("moved");
    user.succeeds("backup docs --store plain");
    copy(&user.path("plain"), &store(&user));
    fs::remove_dir_all(user.path("plain")).expect("removed");
    let said = user.fails(REFUSED, "backup docs");
    says(&said, "shows another store than before");
}

#[test]
fn a_prune_of_the_newest_point_is_no_surprise_to_the_one_that_did_it() {
    let user = user_with_three_points();
    user.succeeds(&format!("prune --all --yes --grace 0 {PASS}"));
    let said = user.succeeds(&format!("backup docs {PASS}"));
    assert!(!said.err.contains("lost"), "{said:?}");
}

#[test]
fn a_copy_that_another_machine_pruned_is_no_surprise_while_it_has_newer_points() {
    let user = user_with_three_points();
    let other = |arguments: &str| {
        let said = super::said(
            user.freezer()
                .env("XDG_STATE_HOME", user.path("other-state"))
                .args(arguments.split_whitespace()),
        );
        assert_eq!(said.code, 0, "{said:?}");
    };
    user.write("docs/day.txt", "4\n");
    other(&format!("backup docs {PASS}"));
    other(&format!("prune docs --keep-last 1 --yes --grace 0 {PASS}"));
    let said = user.succeeds(&format!("backup docs {PASS}"));
    assert!(!said.err.contains("lost"), "{said:?}");
}

#[test]
fn a_memory_that_cannot_be_used_stops_writers_and_not_readers() {
    let user = user_with_three_points();
    for entry in fs::read_dir(user.path(".local/state/freezer/known-stores")).expect("there") {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            fs::write(path, "{").expect("damaged");
        }
    }
    says(&user.succeeds(&format!("list docs {PASS}")), "is damaged");
    let said = user.fails(REFUSED, &format!("backup docs {PASS}"));
    says(&said, "is damaged");
    says(&said, "--forget-store");
}

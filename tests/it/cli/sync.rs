//! Copies of a store.

use super::User;

#[test]
fn a_copy_opens_with_the_same_passphrase_and_follows() {
    let user = User::with_docs();
    user.write("key", "a good passphrase\n");
    user.succeeds("backup docs --hostname here -q --store one --encrypt-pass-file key");
    let said = user.succeeds("sync one two --encrypt-pass-file key --dry-run");
    assert!(
        said.err
            .contains("here/docs: the copy lacks 1 point in time; nothing was copied"),
        "{said:?}"
    );
    assert!(!user.path("two").exists(), "a rehearsal makes nothing");
    let said = user.succeeds("sync one two --encrypt-pass-file key");
    assert!(
        said.err.contains("here/docs: copied 1 point in time, "),
        "{said:?}"
    );
    assert_eq!(
        user.succeeds("cat docs a.txt --store two --encrypt-pass-file key")
            .out,
        user.succeeds("cat docs a.txt --store one --encrypt-pass-file key")
            .out
    );
    user.succeeds("check --read-data --store two --encrypt-pass-file key");

    user.write("docs/a.txt", "later\n");
    user.succeeds("backup docs --hostname here -q --store one --encrypt-pass-file key");
    let told = user
        .succeeds("sync one two docs --encrypt-pass-file key --json")
        .event("result");
    assert_eq!(
        (
            told["backup"].as_str(),
            told["copied"]["points_in_time"].as_u64()
        ),
        (Some("here/docs"), Some(1)),
        "{told}"
    );
    assert_eq!(
        user.succeeds("cat docs a.txt --store two --encrypt-pass-file key")
            .out,
        "later\n"
    );
    assert!(
        user.succeeds("sync one two --encrypt-pass-file key")
            .err
            .contains("is up to date")
    );
    // The copy is a store like any other, and can be the one to go on with.
    user.write("docs/a.txt", "latest\n");
    user.succeeds("backup docs --hostname here -q --store two --encrypt-pass-file key");
    user.succeeds("sync two one --encrypt-pass-file key");
    assert_eq!(
        user.succeeds("cat docs a.txt --store one --encrypt-pass-file key")
            .out,
        "latest\n"
    );
}

#[test]
fn a_store_of_its_own_is_left_alone() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q --store one");
    user.succeeds("backup docs --hostname here -q --store two");
    let said = user.fails(1, "sync one two");
    assert!(
        said.err.contains("is a different store, not a copy of")
            && said.err.contains("hint: name an empty place"),
        "{said:?}"
    );
    assert_eq!(
        user.succeeds("list docs --json --store two")
            .json()
            .as_array()
            .expect("a list")
            .len(),
        1
    );
    assert!(
        user.fails(10, "sync nowhere three")
            .err
            .contains("there is no freezer store at")
    );
    assert!(!user.path("three").exists());
    assert!(
        user.fails(1, "sync one three missing")
            .err
            .contains("no backup")
    );
}

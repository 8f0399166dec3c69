//! Stores of version 2: upgrades, rotations and hidden names, as people meet them.

use super::User;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;

fn encrypted() -> User {
    let user = User::with_docs();
    for (file, text) in [("pass", "correct horse"), ("other", "battery staple")] {
        user.write(file, text);
        std::fs::set_permissions(user.path(file), PermissionsExt::from_mode(0o600))
            .expect("changed");
    }
    user.succeeds("backup docs --encrypt-pass-file pass");
    user
}

fn store(user: &User) -> std::path::PathBuf {
    user.path(".local/share/freezer/store")
}

/// Puts the store of a user back to version 1, as far as commands look at it.
fn make_version_1(user: &User) {
    let store = store(user);
    let identity = std::fs::read(store.join("freezer.json")).expect("there");
    let identity: Value = serde_json::from_slice(&identity).expect("JSON");
    let old = json!({
        "format": "freezer store", "version": 1, "id": identity["id"], "cipher": "none",
        "created": identity["created"],
    });
    std::fs::write(store.join("freezer.json"), old.to_string()).expect("written");
    std::fs::remove_file(store.join("freezer-copy.json")).expect("removed");
    std::fs::remove_dir_all(user.path(".local/state/freezer/known-stores")).expect("forgotten");
}

#[test]
fn a_store_of_version_1_is_only_read_until_it_is_upgraded() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    make_version_1(&user);
    assert_eq!(user.succeeds("cat docs a.txt").out, "hello\n");
    user.succeeds("check docs");
    for refused in [
        "backup docs",
        "prune docs --keep-last 1 --yes",
        "repack docs --yes",
        "repair docs",
        "unlock docs",
    ] {
        let said = user.fails(1, refused);
        assert!(
            said.err
                .contains("hint: freezer upgrade-store makes it version 2"),
            "{refused}: {said:?}"
        );
    }
    let before = std::fs::read(store(&user).join("freezer.json")).expect("there");
    let said = user.succeeds("upgrade-store --dry-run");
    assert_eq!(
        said.out,
        "would rewrite freezer.json\nwould rewrite freezer-copy.json\n"
    );
    let after = std::fs::read(store(&user).join("freezer.json")).expect("there");
    assert_eq!(before, after, "a rehearsal changes nothing");
    let said = user.succeeds("upgrade-store");
    assert_eq!(
        said.out,
        "rewrote freezer.json\nrewrote freezer-copy.json\n"
    );
    assert!(said.err.contains("is now of version 2"), "{said:?}");
    let said = user.succeeds("upgrade-store --json");
    let again: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&again["from"], &again["objects"]), (&json!(2), &json!([])));
    user.succeeds("backup docs");
    user.succeeds("check docs --read-data");
}

#[test]
fn an_identity_that_was_put_back_to_version_1_is_told_and_nothing_is_written() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    let known = user.path(".local/state/freezer/known-stores");
    let kept = user.path("kept");
    std::fs::rename(&known, &kept).expect("put aside");
    std::fs::create_dir_all(&known).expect("made");
    make_version_1(&user);
    std::fs::rename(&kept, &known).expect("put back");
    let said = user.succeeds("ls docs");
    assert!(
        said.err
            .contains("was of version 2 and now says that it is of 1"),
        "{said:?}"
    );
    let said = user.fails(1, "upgrade-store");
    assert!(said.err.contains("--forget-store"), "{said:?}");
}

#[test]
fn a_lost_identity_is_told_and_repaired() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    let identity = store(&user).join("freezer.json");
    let right = std::fs::read(&identity).expect("there");
    std::fs::remove_file(&identity).expect("removed");
    let said = user.succeeds("ls docs");
    assert!(said.err.contains("freezer repair mends it"), "{said:?}");
    let said = user.fails(1, "check");
    assert!(said.out.contains("freezer.json is missing"), "{said:?}");
    let said = user.succeeds("repair docs --dry-run");
    assert!(said.err.contains("would be put back"), "{said:?}");
    assert!(!identity.exists());
    let said = user.succeeds("repair docs");
    assert!(
        said.err
            .contains("freezer.json was missing, and was put back"),
        "{said:?}"
    );
    assert_eq!(std::fs::read(&identity).expect("there"), right);
}

#[test]
fn a_rotation_closes_the_store_to_other_passphrases() {
    let user = encrypted();
    let add = "key add --comment vault --new-pass-file other --encrypt-pass-file pass";
    user.succeeds(add);
    let refused = user.fails(2, "key rotate --encrypt-pass-file pass");
    assert!(
        refused.err.contains("the key was not rotated"),
        "{refused:?}"
    );
    let said = user.succeeds("key rotate --yes --json --encrypt-pass-file pass");
    let rotated: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(
        (&rotated["done"], &rotated["epoch"]),
        (&json!("rotated"), &json!(2))
    );
    let removed = rotated["removed"].as_array().expect("a list");
    assert!(
        removed.iter().any(|key| key["comment"] == "vault"),
        "{rotated}"
    );
    let said = user.fails(12, "ls docs --encrypt-pass-file other");
    assert!(said.err.contains("wrong passphrase"), "{said:?}");
    user.succeeds("backup docs --encrypt-pass-file pass");
    user.succeeds("check --read-data --encrypt-pass-file pass");
    user.succeeds(add);
    assert_eq!(
        user.succeeds("cat docs a.txt --encrypt-pass-file other")
            .out,
        "hello\n"
    );
    user.succeeds("key rotate --yes --encrypt-pass-file other");
    let listed = user
        .succeeds("key list --json --encrypt-pass-file other")
        .out;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!((&listed[0]["epoch"], &listed[1]), (&json!(3), &Value::Null));
    user.succeeds("backup docs --encrypt-pass-file other");
    user.succeeds("check --read-data --encrypt-pass-file other");
    let plain = User::with_docs();
    plain.succeeds("backup docs");
    let said = plain.fails(1, "key rotate --yes");
    assert!(said.err.contains("it has no keys"), "{said:?}");
}

#[test]
fn a_copy_gets_the_new_key_and_keeps_the_hidden_names() {
    let user = encrypted();
    user.succeeds("sync .local/share/freezer/store copy --encrypt-pass-file pass");
    user.succeeds("key rotate --yes --encrypt-pass-file pass");
    user.succeeds("backup docs --encrypt-pass-file pass");
    user.succeeds("sync .local/share/freezer/store copy --encrypt-pass-file pass");
    let names = |store: &str| {
        let listed = std::fs::read_dir(user.path(store).join("manifests")).expect("listed");
        let mut names: Vec<_> = listed
            .map(|entry| entry.expect("listed").file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names("copy"), names(".local/share/freezer/store"));
    assert!(names("copy")[0].to_str().expect("text").starts_with("%~"));
    user.succeeds("check --read-data --store copy --encrypt-pass-file pass");
    let keys = user
        .succeeds("key list --json --store copy --encrypt-pass-file pass")
        .out;
    let keys: Value = serde_json::from_str(&keys).expect("JSON");
    assert_eq!((&keys[0]["epoch"], &keys[1]), (&json!(2), &Value::Null));
}

#[test]
fn a_passphrase_of_an_earlier_epoch_is_a_surprise() {
    let user = encrypted();
    let keys = store(&user).join("keys");
    let old = std::fs::read_dir(&keys).expect("listed").next();
    let old = old.expect("a key").expect("listed").path();
    let slot = std::fs::read(&old).expect("readable");
    user.succeeds("key rotate --yes --encrypt-pass-file pass");
    std::fs::remove_dir_all(&keys).expect("removed");
    std::fs::create_dir(&keys).expect("made");
    std::fs::write(&old, slot).expect("put back");
    let said = user.succeeds("ls docs --encrypt-pass-file pass");
    assert!(said.err.contains("was rotated to epoch 2"), "{said:?}");
    let said = user.fails(1, "backup docs --encrypt-pass-file pass");
    assert!(said.err.contains("was rotated to epoch 2"), "{said:?}");
}

#[test]
fn the_serial_of_a_point_that_was_removed_is_never_given_out_again() {
    let user = User::with_docs();
    let serial = |count: usize| {
        let access = freezer::catalog::Access::open(
            std::sync::Arc::new(
                freezer::store::local::Local::open(&store(&user)).expect("a store"),
            ),
            None,
        )
        .expect("opened");
        let catalog = freezer::catalog::Catalog::new(access.store());
        let backup = catalog
            .find(&"docs".parse().expect("a name"))
            .expect("found");
        let levels = catalog.levels(&backup).expect("listed");
        assert_eq!(levels.len(), count);
        let newest = levels.last().expect("a level");
        let manifest = access.manifest(&backup, newest).expect("it opens");
        (newest.clone(), manifest.serial.0, manifest.next_serial().0)
    };
    user.succeeds("backup docs");
    user.succeeds("backup docs");
    let (newest, second, _) = serial(2);
    assert_eq!(second, 2);
    user.succeeds(&format!("prune docs@{newest} --yes"));
    user.succeeds("prune docs --yes --grace 0");
    assert_eq!(serial(1).1, 1);
    user.succeeds("check docs");
    user.succeeds("backup docs");
    let (newest, third, next) = serial(2);
    assert_eq!((third, next), (3, 4), "2 was given out before");
    // The same where nothing is kept for readers.
    user.succeeds(&format!("prune docs@{newest} --yes --grace 0"));
    user.succeeds("backup docs");
    assert_eq!(serial(2).1, 4);
    user.succeeds("prune docs --keep-last 1 --yes --grace 0");
    let notes = store(&user).join("withdrawn");
    let left = walk(&notes);
    assert_eq!(left, 0, "a manifest knows which serial comes next");
}

fn walk(folder: &std::path::Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return 0;
    };
    entries
        .map(|entry| entry.expect("listed").path())
        .map(|path| if path.is_dir() { walk(&path) } else { 1 })
        .sum()
}

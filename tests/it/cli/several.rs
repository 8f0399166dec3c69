//! Of several stores, one bad copy never stops a backup to the others.

use super::User;
use std::fs;

const BOTH: &str = "--store good --store bad";

/// A user who has backed up to two stores that are copies of each other.
fn user_with_two_copies() -> User {
    let user = User::with_docs();
    user.write("pass", "secret\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(user.path("pass"), fs::Permissions::from_mode(0o600)).expect("set");
    }
    user.make_store_that_shows_names("good", "pass");
    let said = user.succeeds(&format!(
        "backup docs --hostname here --encrypt-pass-file pass {BOTH}"
    ));
    assert!(said.err.contains("backed up"), "{said:?}");
    user.write("docs/a.txt", "later\n");
    user
}

fn points(user: &User, store: &str) -> usize {
    let manifests = user.path(store).join("manifests/here/docs");
    fs::read_dir(manifests).map_or(0, Iterator::count)
}

/// Backs up to both. Asserts that only the good one gets the point in time, whichever is named
/// first, and that the other is told of in these words.
#[track_caller]
fn only_the_good_one_gets_it(user: &User, why: &str) {
    for stores in [BOTH, "--store bad --store good"] {
        let before = points(user, "good");
        user.write("docs/a.txt", format!("{why} {before}"));
        let said = user.fails(
            3,
            &format!("backup docs --hostname here --encrypt-pass-file pass {stores}"),
        );
        assert!(said.err.contains(why), "{said:?}");
        assert!(
            said.err.contains("bad did not get this point in time"),
            "{said:?}"
        );
        assert_eq!(points(user, "good"), before + 1, "{said:?}");
    }
    user.succeeds("check --read-data --store good --encrypt-pass-file pass");
}

#[test]
fn a_copy_with_another_identity_stops_nothing() {
    let user = user_with_two_copies();
    let path = user.path("bad/freezer.json");
    let text = fs::read_to_string(&path).expect("there");
    let mut document: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    document["id"] = "00112233445566778899aabbccddeeff".into();
    fs::write(path, document.to_string()).expect("written");
    only_the_good_one_gets_it(&user, "another store than before");
}

#[test]
fn a_copy_that_was_emptied_stops_nothing() {
    let user = user_with_two_copies();
    fs::remove_dir_all(user.path("bad")).expect("removed");
    fs::create_dir(user.path("bad")).expect("made");
    only_the_good_one_gets_it(&user, "holds no store: this machine knows store");
}

#[test]
fn a_copy_without_its_keys_stops_nothing() {
    let user = user_with_two_copies();
    // With the other named first, the copy gets its key back, as a copy does that lacks one.
    fs::remove_dir_all(user.path("bad/keys")).expect("removed");
    let said = user
        .succeeds("backup docs --hostname here --encrypt-pass-file pass --store good --store bad");
    assert!(said.err.contains("backed up"), "{said:?}");
}

#[test]
fn a_copy_that_shows_an_older_state_stops_nothing() {
    let user = user_with_two_copies();
    let later = format!("backup docs --hostname here --encrypt-pass-file pass -q {BOTH}");
    user.succeeds(&later);
    // The copy is as it was before the last run.
    let manifests = user.path("bad/manifests/here/docs");
    let mut names: Vec<_> = fs::read_dir(manifests)
        .expect("there")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    names.sort();
    fs::remove_file(names.remove(1)).expect("removed");
    only_the_good_one_gets_it(&user, "has lost its newest points");
}

#[test]
fn a_copy_whose_newest_manifest_is_damaged_stops_nothing() {
    let user = user_with_two_copies();
    let manifests = user.path("bad/manifests/here/docs");
    let mut entries = fs::read_dir(manifests).expect("there");
    let manifest = entries.next().expect("one").expect("an entry").path();
    let mut body = fs::read(&manifest).expect("there");
    body[50] ^= 1;
    fs::remove_file(&manifest).expect("removed");
    fs::write(&manifest, body).expect("written");
    only_the_good_one_gets_it(&user, "its newest manifest of here/docs is damaged");
}

#[test]
fn a_claim_in_one_copy_stops_nothing() {
    let user = user_with_two_copies();
    let until = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5);
    let until = until.strftime("%Y%m%dT%H%M%S.000Z").to_string();
    let claim = user.path("bad/locks/here/docs/20261130T000000.000Z-00000000");
    fs::create_dir_all(&claim).expect("made");
    fs::write(
        claim.join(until),
        r#"{"version":1,"host":"x","action":"backup","since":"2026-11-30T00:00:00Z","process":{"pid":1,"machine":"m","boot":"x","namespace":"n","began":5}}"#,
    )
    .expect("written");
    only_the_good_one_gets_it(&user, "another run has claimed here/docs there");
}

#[test]
fn a_copy_that_is_behind_is_told() {
    let user = user_with_two_copies();
    user.succeeds("backup docs --hostname here -q --encrypt-pass-file pass --store good");
    let said = user.fails(
        3,
        &format!("backup docs --hostname here --encrypt-pass-file pass {BOTH}"),
    );
    assert!(said.err.contains("is behind"), "{said:?}");
}

#[test]
fn this_machine_remembers_of_each_copy_what_it_got() {
    let user = user_with_two_copies();
    user.succeeds(&format!(
        "backup docs --hostname here -q --encrypt-pass-file pass {BOTH}"
    ));
    fs::remove_dir_all(user.path("good/manifests/here/docs")).expect("removed");
    let said = user.runs("list --store good --encrypt-pass-file pass");
    assert!(said.err.contains("has lost its newest points"), "{said:?}");
}

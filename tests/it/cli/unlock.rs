//! Claims that nobody gives up by himself: they are bounded, shown and ended.

use super::User;

const STORE: &str = ".local/share/freezer/store";

/// A user with a backup that somebody claims until the moment `until`, as in an object's name.
fn user_with_claim(until: &str) -> User {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here");
    let document = r#"{"version":1,"host":"far","action":"backup","since":"2026-11-30T00:00:00Z",
        "process":{"pid":7,"machine":"0123","boot":"x","namespace":"n","began":5}}"#;
    let folder = format!("{STORE}/locks/here/docs/20261130T000000.000Z-00000000");
    user.write(&format!("{folder}/{until}"), document);
    user
}

/// A moment from now, as it stands in the name of a claim's object.
pub(super) fn in_hours(hours: i64) -> String {
    let then = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(hours);
    let then = then.to_zoned(jiff::tz::TimeZone::UTC);
    then.strftime("%Y%m%dT%H%M%S.000Z").to_string()
}

#[test]
fn a_claim_for_longer_than_any_run_asks_for_keeps_nobody_out() {
    let user = user_with_claim("99980101T000000.000Z");
    for command in [
        "backup docs --hostname here",
        "prune docs --keep-last 1 --yes",
        "repair docs --yes",
    ] {
        let said = user.succeeds(command);
        assert!(
            said.err.contains("it does not count"),
            "{command}: {said:?}"
        );
    }
}

#[test]
fn unlock_shows_a_claim_and_ends_it() {
    let user = user_with_claim(&in_hours(1));
    let said = user.fails(11, "backup docs --hostname here");
    assert!(said.err.contains("freezer unlock"), "{said:?}");
    let said = user.fails(2, "unlock docs");
    assert!(said.out.contains("a backup on far (process 7)"), "{said:?}");
    assert!(said.err.contains("--yes"), "{said:?}");
    user.fails(11, "backup docs --hostname here");
    let json = user.succeeds("unlock docs --yes --json").json();
    assert_eq!(
        (&json["host"], &json["process"]),
        (&"far".into(), &7.into())
    );
    user.succeeds("backup docs --hostname here");
    let said = user.succeeds("unlock docs --yes");
    assert!(said.err.contains("nothing to do"), "{said:?}");
}

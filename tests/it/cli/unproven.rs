//! Listings of an encrypted store show nothing that was not authenticated, and say what it was.

use super::User;
use std::fs;

/// A user whose encrypted store somebody has added objects to.
fn user_with_junk() -> User {
    let user = User::with_docs();
    user.write("pass", "secret\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(user.path("pass"), fs::Permissions::from_mode(0o600)).expect("set");
    }
    user.make_store_that_shows_names(".local/share/freezer/store", "pass");
    user.succeeds("backup docs --hostname here -q --encrypt-pass-file pass");
    user.write(
        ".local/share/freezer/store/manifests/here/docs/20991130T025420.000Z-00000000",
        "junk",
    );
    user.write(
        ".local/share/freezer/store/manifests/evil/boss/20261130T025420.000Z-00000000",
        "junk",
    );
    // A genuine manifest under the name of another backup.
    let manifest = user.objects("/manifests/here/docs/2026").remove(0);
    let name = manifest
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let bytes = fs::read(manifest).expect("there");
    user.write(
        &format!(".local/share/freezer/store/manifests/here/moved/{name}"),
        bytes,
    );
    user
}

#[test]
fn names_that_nothing_proves_are_told_and_no_backups() {
    let user = user_with_junk();
    let said = user.fails(3, "list --encrypt-pass-file pass");
    assert!(
        said.out.contains("here/docs") && !said.out.contains("evil") && !said.out.contains("moved"),
        "{said:?}"
    );
    assert!(!said.out.contains("2099"), "{said:?}");
    for name in ["\"evil/boss\"", "\"here/moved\""] {
        assert!(said.err.contains(name), "{said:?}");
    }
    assert!(said.err.contains("count for nothing"), "{said:?}");

    let said = user.fails(3, "list --json --encrypt-pass-file pass");
    let listed = said.json();
    let backups: Vec<_> = listed
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|element| element["backup"].as_str())
        .collect();
    assert_eq!(backups, ["here/docs"]);
    assert_eq!(listed[0]["levels"], 1, "{listed}");
    assert_eq!(listed[0]["unauthenticated"], 1, "{listed}");
    assert_eq!(listed[1]["unauthenticated_name"], "evil/boss", "{listed}");
}

#[test]
fn an_object_that_is_no_manifest_has_no_date() {
    let user = user_with_junk();
    let said = user.fails(3, "list docs --encrypt-pass-file pass");
    assert!(
        said.out.contains("20991130T025420.000Z-00000000") && said.out.contains("unreadable"),
        "{said:?}"
    );
    assert!(!said.out.contains("2099-11-30"), "{said:?}");
    let listed = user
        .fails(3, "list docs --json --encrypt-pass-file pass")
        .json();
    assert!(listed[1].get("started").is_none(), "{listed}");
}

//! What `freezer check` takes for damage beside objects that cannot be read.

use super::User;

const STORE: &str = ".local/share/freezer/store";

#[test]
fn a_store_without_points_in_time_is_not_sound() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q");
    user.succeeds("check");
    for folder in ["manifests", "data"] {
        std::fs::remove_dir_all(user.path(STORE).join(folder)).expect("removed");
    }
    // This machine remembers the point in time; another one does not.
    std::fs::remove_dir_all(user.path(".local/state")).expect("removed");
    let said = user.fails(1, "check");
    assert!(
        said.err.contains("there is no point in time to check") && said.err.contains("hint: "),
        "{said:?}"
    );
    let said = user.fails(1, "check --json");
    assert_eq!(said.event("result")["points_in_time"], 0, "{said:?}");
    assert!(
        said.out.contains("there is no point in time to check"),
        "{said:?}"
    );
}

#[test]
fn data_that_nothing_explains_is_damage() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q");
    user.write("docs/a.txt", "other\n");
    user.succeeds("backup docs --hostname here -q");
    user.succeeds("backup docs/sub -N sub --hostname here -q");
    std::fs::remove_dir_all(user.path(".local/state")).expect("removed");
    // The newest of two points in time, and the only one of a backup.
    let newest = user.objects("/manifests/here/docs/").remove(1);
    std::fs::remove_file(newest).expect("removed");
    let only = user.objects("/manifests/here/sub/").remove(0);
    std::fs::remove_file(only).expect("removed");
    let said = user.fails(1, "check");
    for backup in ["here/docs@", "here/sub@"] {
        let line = said.out.lines().find(|line| line.starts_with(backup));
        assert!(
            line.is_some_and(|line| line.contains("its manifest is gone")),
            "{said:?}"
        );
    }
    assert!(said.err.contains("there is damage"), "{said:?}");
    let said = user.fails(1, "check docs --json");
    assert!(
        said.event("damage")["error"]
            .as_str()
            .is_some_and(|error| error.contains("its manifest is gone")),
        "{said:?}"
    );
    user.succeeds("prune docs --keep-last 1 --grace 0 --yes");
    user.succeeds("check docs");
}

#[test]
fn data_of_points_in_time_that_a_prune_removed_is_no_damage() {
    let user = User::with_docs();
    for text in ["one\n", "two\n"] {
        user.write("docs/a.txt", text);
        user.succeeds("backup docs --hostname here -q --no-incremental");
    }
    user.succeeds("prune docs --keep-last 1 --yes");
    let said = user.succeeds("check");
    assert!(said.err.contains("no point in time needs"), "{said:?}");
    user.succeeds("prune docs --keep-last 1 --grace 0 --yes");
    user.succeeds("check");
}

//! A backup that goes to several stores, and stores that the configuration describes.

use super::User;

fn content(user: &User, store: &str) -> String {
    user.succeeds(&format!("cat docs a.txt --store {store}"))
        .out
}

#[test]
fn several_stores_get_the_same_and_each_is_whole() {
    let user = User::with_docs();
    let told = user
        .succeeds("backup docs --hostname here --store one --store two --json")
        .event("result");
    assert_eq!(told["stores"].as_array().map(Vec::len), Some(2), "{told}");
    assert!(told["stores"][0].get("failure").is_none(), "{told}");
    user.write("docs/a.txt", "later\n");
    user.succeeds("backup docs --hostname here -q -C one -C two");
    for store in ["one", "two"] {
        assert_eq!(content(&user, store), "later\n");
        assert_eq!(
            user.succeeds(&format!("list docs --json --store {store}"))
                .json()
                .as_array()
                .expect("a list")
                .len(),
            2
        );
        user.succeeds(&format!("check --read-data --store {store}"));
    }
    let said = user.fails(2, "list --store one --store two");
    assert!(
        said.err.contains("several were named") && said.err.contains("hint: name one"),
        "{said:?}"
    );
}

#[test]
fn a_store_that_is_gone_stops_nothing_and_is_brought_up_to_date_later() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q --store one --store two");
    std::fs::rename(user.path("two"), user.path("two.away")).expect("renamed");
    user.write("two", "a file where the store was\n");
    user.write("docs/a.txt", "later\n");
    let said = user.fails(3, "backup docs --hostname here --store two --store one");
    assert!(
        said.err.contains("two did not get this point in time: ")
            && said.err.contains("hint: freezer sync "),
        "{said:?}"
    );
    assert_eq!(content(&user, "one"), "later\n");
    user.fails(
        1,
        "backup docs --hostname here --store one --store two --on-store-failure abort",
    );

    // It is back, and lacks a level that the next one leans on.
    std::fs::remove_file(user.path("two")).expect("removed");
    std::fs::rename(user.path("two.away"), user.path("two")).expect("renamed");
    user.write("docs/a.txt", "latest\n");
    let said = user.fails(3, "backup docs --hostname here --store one --store two");
    assert!(
        said.err
            .contains("it lacks earlier points in time that this one needs"),
        "{said:?}"
    );
    assert_eq!(
        user.succeeds("list docs --json --store two")
            .json()
            .as_array()
            .expect("a list")
            .len(),
        1,
        "nothing half done"
    );
    user.succeeds("sync one two");
    assert_eq!(content(&user, "two"), "latest\n");
    user.succeeds("check --read-data --store two");
    user.write("docs/a.txt", "and on\n");
    user.succeeds("backup docs --hostname here --store one --store two");
    assert_eq!(content(&user, "two"), "and on\n");
}

#[test]
fn no_store_is_made_that_would_be_no_copy_of_one_that_cannot_be_opened() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q --store one");
    std::fs::rename(user.path("one"), user.path("one.away")).expect("renamed");
    user.write("one", "a file where the store was\n");
    let said = user.fails(1, "backup docs --hostname here --store one --store two");
    assert!(
        said.err
            .contains("freezer makes a new store only when all places can be opened"),
        "{said:?}"
    );
    assert!(!user.path("two/freezer.json").exists());
    std::fs::remove_file(user.path("one")).expect("removed");
    std::fs::rename(user.path("one.away"), user.path("one")).expect("renamed");
    user.succeeds("sync one two");
    user.succeeds("backup docs --hostname here --store one --store two");
}

#[test]
fn of_two_stores_that_were_made_apart_the_first_one_is_used() {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q --store one");
    user.succeeds("backup docs --hostname here -q --store two");
    let said = user.fails(3, "backup docs --hostname here --store one --store two");
    assert!(
        said.err.contains("is a different store, not a copy of"),
        "{said:?}"
    );
    user.fails(
        1,
        "backup docs --hostname here --store one --store two --on-store-failure abort",
    );
}

#[test]
fn sections_of_the_configuration_describe_stores() {
    let user = User::with_docs();
    user.write(
        "many.conf",
        "container = ignored\n[storage:near]\nstorage = local\ncontainer = one\n[storage:far]\
         \nstore = two\n",
    );
    user.succeeds("backup docs --hostname here -q --config many.conf");
    assert!(
        !user.path("ignored").exists(),
        "sections take the place of what is above them"
    );
    assert_eq!(content(&user, "one"), content(&user, "two"));
    assert_eq!(
        user.succeeds("cat docs a.txt --config many.conf --store far")
            .out,
        content(&user, "two"),
        "or the one that is named"
    );
    user.succeeds("backup docs --hostname here -q --config many.conf --store far");
    assert_eq!(
        user.succeeds("list docs --json --store one")
            .json()
            .as_array()
            .expect("a list")
            .len(),
        1
    );
    user.succeeds("sync far near --config many.conf");
    assert_eq!(
        user.succeeds("list docs --json --store one")
            .json()
            .as_array()
            .expect("a list")
            .len(),
        2
    );

    user.write("bad.conf", "[storage:x]\nstore = one\nbackup_name = a\n");
    let said = user.fails(2, "list --config bad.conf");
    assert!(
        said.err.contains("there is no option backup-name")
            && said.err.contains("bad.conf, line 3"),
        "{said:?}"
    );
    user.write("bad.conf", "[storage:x]\nstorage = local\n");
    assert!(
        user.fails(2, "list --config bad.conf")
            .err
            .contains("the configuration does not say where the store x is")
    );
}

#[cfg(unix)]
#[test]
fn a_file_with_secrets_that_others_may_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let user = User::with_docs();
    user.write(
        "s3.conf",
        "[storage:far]\nstore = s3://bucket/x\naccess_key = a\nsecret_key = hush\n",
    );
    for (mode, is_open) in [(0o644, true), (0o600, false)] {
        std::fs::set_permissions(user.path("s3.conf"), std::fs::Permissions::from_mode(mode))
            .expect("changed");
        let said = user.succeeds("backup docs --hostname here --store one --config s3.conf");
        assert_eq!(
            said.err.contains("other users may read the secrets in "),
            is_open,
            "{mode:o}: {said:?}"
        );
        assert!(!said.err.contains("hush"), "{said:?}");
    }
}

#[test]
fn what_was_read_is_read_from_the_disk_cache_when_the_store_is_gone() {
    let user = User::with_docs();
    user.write("key", "a good passphrase\n");
    user.succeeds("backup docs --hostname here -q --encrypt-pass-file key");
    let cat = "cat docs a.txt --encrypt-pass-file key --disk-cache cache";
    let content = user.succeeds(cat).out;
    let segments = user.objects("segments");
    assert!(!segments.is_empty());
    segments
        .iter()
        .for_each(|segment| std::fs::remove_file(segment).expect("removed"));
    assert_eq!(user.succeeds(cat).out, content, "from the cache");
    user.fails(1, "cat docs a.txt --encrypt-pass-file key");
    user.fails(1, "check --encrypt-pass-file key --disk-cache cache");
}

/// A user who has backed up the small tree.
fn user_with_backup() -> User {
    let user = User::with_docs();
    user.succeeds("backup docs --hostname here -q");
    user
}

#[test]
fn a_disk_cache_touches_nothing_but_its_own_folder() {
    let user = user_with_backup();
    let digits = "0".repeat(62);
    let foreign = [
        "srv/db/data.sqlite".to_owned(),
        "srv/go/main.go".to_owned(),
        "srv/go/Makefile".to_owned(),
        format!("srv/db/{digits}"),
        format!("srv/db/{digits}.part"),
        "srv/lock".to_owned(),
        "srv/bytes".to_owned(),
    ];
    foreign.iter().for_each(|path| user.write(path, "mine"));
    // A limit of nothing removes all that it takes for its own.
    for size in ["1GiB", "0"] {
        user.succeeds(&format!(
            "cat docs a.txt --disk-cache srv --disk-cache-size {size}"
        ));
        for path in &foreign {
            assert_eq!(
                std::fs::read(user.path(path)).expect("there"),
                b"mine",
                "{path}"
            );
        }
    }
    assert!(user.path("srv/freezer-cache/CACHEDIR.TAG").exists());
}

#[test]
fn a_disk_cache_that_is_not_ours_alone_is_refused_with_what_to_do() {
    let user = user_with_backup();
    let cat = "cat docs a.txt --disk-cache dc";
    user.write("dc/freezer-cache/notes.txt", "mine");
    let said = user.fails(1, cat);
    assert!(
        said.err.contains("freezer did not make it") && said.err.contains("--disk-cache DIR"),
        "{said:?}"
    );
    assert_eq!(
        std::fs::read_dir(user.path("dc/freezer-cache"))
            .expect("there")
            .count(),
        1,
        "nothing was put there"
    );

    std::fs::remove_dir_all(user.path("dc")).expect("removed");
    user.succeeds(cat);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    std::fs::set_permissions(user.path("dc/freezer-cache"), open).expect("changed");
    let said = user.fails(1, cat);
    assert!(
        said.err.contains("others may write to it") && said.err.contains("only copies"),
        "{said:?}"
    );

    std::fs::rename(user.path("dc/freezer-cache"), user.path("elsewhere")).expect("moved");
    std::os::unix::fs::symlink(user.path("elsewhere"), user.path("dc/freezer-cache"))
        .expect("linked");
    let said = user.fails(1, cat);
    assert!(said.err.contains("symbolic link"), "{said:?}");
}

#[test]
#[ignore = "needs root"]
fn root_does_not_use_a_disk_cache_that_a_user_made() {
    let user = user_with_backup();
    let cat = "cat docs a.txt --disk-cache dc";
    user.succeeds(cat);
    let inside = user.path("dc/freezer-cache");
    for path in [user.path("dc"), inside.clone()] {
        std::os::unix::fs::chown(path, Some(65_534), Some(65_534)).expect("root");
    }
    let said = user.fails(1, cat);
    assert!(
        said.err
            .contains("it belongs to user 65534, and freezer runs as user 0"),
        "{said:?}"
    );

    // The folder around it may be another's: what is made there is ours.
    std::fs::remove_dir_all(&inside).expect("removed");
    user.succeeds(cat);
    // A marker of another user is none.
    let marker = inside.join("freezer-disk-cache");
    std::os::unix::fs::chown(marker, Some(65_534), None).expect("root");
    let said = user.fails(1, cat);
    assert!(
        said.err
            .contains("not a regular file that only this user may write to"),
        "{said:?}"
    );
}

#[test]
fn a_disk_cache_never_writes_through_links() {
    let user = user_with_backup();
    user.write("passwd", "root:x:0:0");
    user.succeeds("cat docs a.txt --disk-cache dc");
    let inside = user.path("dc/freezer-cache");
    for name in ["bytes", "lock"] {
        std::fs::remove_file(inside.join(name)).expect("there");
        std::os::unix::fs::symlink(user.path("passwd"), inside.join(name)).expect("linked");
        user.runs("cat docs a.txt --disk-cache dc");
        assert_eq!(
            std::fs::read(user.path("passwd")).expect("there"),
            b"root:x:0:0",
            "{name}"
        );
    }
}

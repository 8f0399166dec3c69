//! What only a store in a folder has to keep.

use freezer::store::local::Local;
use freezer::store::{ErrorKind, ObjectName, Operation, Store, StoreExt};
use std::fs;

fn name(text: &str) -> ObjectName {
    ObjectName::new(text).expect("legal")
}

#[test]
fn ten_thousand_files_are_listed_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut expected: Vec<_> = (0..10_000_u32)
        .map(|number| {
            format!(
                "data/{}/{:07}",
                number % 3,
                number.wrapping_mul(7919) % 10_000
            )
        })
        .collect();
    // Names of one file: making ten thousand files, or putting them, would take longer than all
    // that is tested here.
    fs::write(folder.path().join("one"), "").expect("written");
    (0..3).for_each(|part| {
        fs::create_dir_all(folder.path().join(format!("data/{part}"))).expect("made")
    });
    expected.iter().for_each(|object| {
        fs::hard_link(folder.path().join("one"), folder.path().join(object)).expect("linked")
    });
    expected.sort();
    let mut listed = Vec::new();
    let mut keep = |info: freezer::store::ObjectInfo| {
        listed.push(info.name.to_string());
        true
    };
    Local::open(folder.path())
        .expect("a store")
        .list("data/", &mut keep)
        .expect("listed");
    assert_eq!(listed, expected);
}

#[test]
fn what_is_not_an_object_is_not_listed() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Local::open(folder.path()).expect("a store");
    store
        .put(&name("data/a"), &vec![b"x".to_vec()])
        .expect("stored");
    fs::write(folder.path().join("not a legal name"), "").expect("written");
    fs::create_dir_all(folder.path().join("data/empty/folder")).expect("made");
    let mut listed = Vec::new();
    let mut keep = |info: freezer::store::ObjectInfo| {
        listed.push(info.name.to_string());
        true
    };
    store.list("", &mut keep).expect("listed");
    assert_eq!(listed, ["data/a"]);
}

#[test]
fn an_error_names_the_folder_that_is_missing_and_open_makes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("not/there");
    let error = Local::open(&path).expect_err("missing");
    assert_eq!(
        (error.kind(), error.verb()),
        (ErrorKind::Missing, Operation::Open)
    );
    let told = std::error::Error::source(&error)
        .expect("a cause")
        .to_string();
    assert_eq!(told, path.display().to_string());
    assert!(!path.exists());
    Local::create(&path).expect("made");
    Local::open(&path).expect("there");
    fs::write(folder.path().join("file"), "").expect("written");
    assert_eq!(
        Local::open(&folder.path().join("file"))
            .expect_err("no folder")
            .kind(),
        ErrorKind::Failed
    );
}

#[test]
fn a_store_that_is_only_read_is_never_written_to() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Local::open(folder.path()).expect("a store");
    store.get(&name("a"), 1).expect_err("missing");
    store.list("", &mut |_| true).expect("listed");
    store.delete(&name("a")).expect("it counts as removed");
    assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 0);
}

#[test]
fn a_store_whose_folder_went_away_is_unavailable_and_not_made_again() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("store");
    fs::create_dir(&folder).expect("made");
    let store = Local::open(&folder).expect("a store");
    store.put(&name("a/b"), &vec![]).expect("stored");
    fs::rename(&folder, parent.path().join("elsewhere")).expect("moved");
    for round in ["gone", "replaced by an empty folder"] {
        let errors = [
            store.get(&name("a/b"), 1).map(drop),
            store.get_range(&name("a/b"), 0, 0).map(drop),
            store.list("", &mut |_| true),
            store.put(&name("c"), &vec![]),
            store.put(&name("a/c"), &vec![]),
            store.delete(&name("a/b")),
        ];
        for error in errors {
            let error = error.expect_err("the store is gone");
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{round}: {error}");
        }
        assert_eq!(
            fs::read_dir(&folder).map_or(0, Iterator::count),
            0,
            "{round}: nothing was made"
        );
        if round == "gone" {
            fs::create_dir(&folder).expect("made");
        }
    }
}

#[test]
fn an_object_that_another_process_replaces_is_not_served_from_the_old_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let (ours, theirs) = (
        Local::open(folder.path()).expect("a store"),
        Local::open(folder.path()).expect("a store"),
    );
    theirs
        .put(&name("a/b"), &vec![b"old".to_vec()])
        .expect("stored");
    assert_eq!(ours.get_range(&name("a/b"), 0, 3).expect("read"), b"old");
    theirs
        .put(&name("a/b"), &vec![b"new".to_vec()])
        .expect("stored");
    assert_eq!(ours.get_range(&name("a/b"), 0, 3).expect("read"), b"new");
    theirs.delete(&name("a/b")).expect("removed");
    assert_eq!(
        ours.get_range(&name("a/b"), 0, 3)
            .expect_err("removed")
            .kind(),
        ErrorKind::Missing
    );
    assert!(
        !folder.path().join("a").exists(),
        "no empty folder is left behind"
    );
}

#[cfg(unix)]
mod unix {
    use super::name;
    use freezer::store::local::Local;
    use freezer::store::{Created, ErrorKind, Store, StoreExt};
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::Path;

    /// A store with the object `data/h/a` and links in it that lead out of it, to `elsewhere`,
    /// where there is what a store could have: `h/a` and `a`.
    fn linked() -> (tempfile::TempDir, Local) {
        let room = tempfile::tempdir().expect("a folder");
        let at = |path: &str| room.path().join(path);
        let store = Local::create(&at("store")).expect("made");
        store
            .put(&name("data/h/a"), &vec![b"ours".to_vec()])
            .expect("stored");
        fs::create_dir_all(at("elsewhere/h")).expect("made");
        for file in ["elsewhere/a", "elsewhere/h/a"] {
            fs::write(at(file), "theirs").expect("written");
        }
        symlink(at("elsewhere"), at("store/manifests")).expect("linked");
        symlink(at("elsewhere/h"), at("store/data/link")).expect("linked");
        symlink(at("elsewhere/a"), at("store/data/h/b")).expect("linked");
        symlink("h", at("store/data/inside")).expect("linked");
        symlink("..", at("store/data/h/loop")).expect("linked");
        symlink("/dev/zero", at("store/freezer.json")).expect("linked");
        (room, store)
    }

    /// Returns every name below a folder, with the content of its file.
    fn tree(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).expect("there") {
            let path = entry.expect("read").path();
            if path.is_dir() {
                found.extend(tree(&path));
            }
            let bytes = fs::read(&path).unwrap_or_default();
            found.push((path.display().to_string(), bytes));
        }
        found.sort_unstable();
        found
    }

    #[test]
    fn a_link_is_no_object_and_nothing_behind_it_is_read_written_or_removed() {
        let (room, store) = linked();
        let before = tree(&room.path().join("elsewhere"));
        let through = [
            "manifests/a",
            "manifests/h/a",
            "data/link/a",
            "data/inside/a",
        ];
        let links = ["data/h/b", "freezer.json"];
        for object in through.into_iter().chain(links).map(name) {
            let errors = [
                store.get(&object, 100).map(drop),
                store.get_range(&object, 0, 1).map(drop),
                store.delete(&object),
            ];
            for error in errors {
                let error = error.expect_err("refused");
                assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
                let cause = std::error::Error::source(&error).expect("a cause");
                let cause = cause.source().expect("a cause").to_string();
                assert!(cause.contains("symbolic link"), "{object}: {cause}");
            }
        }
        for object in through.map(name) {
            let body = vec![b"new".to_vec()];
            assert_eq!(
                store.put(&object, &body).expect_err("refused").kind(),
                ErrorKind::Failed
            );
            assert_eq!(
                store.put_new(&object, &body).expect_err("refused").kind(),
                ErrorKind::Failed
            );
        }
        assert_eq!(
            store
                .list("manifests/", &mut |_| true)
                .expect_err("refused")
                .kind(),
            ErrorKind::Failed
        );
        let mut listed = Vec::new();
        let mut keep = |info: freezer::store::ObjectInfo| {
            listed.push(info.name.to_string());
            true
        };
        store.list("", &mut keep).expect("listed");
        assert_eq!(listed, ["data/h/a"]);
        let taken = store.put_new(&name("data/h/b"), &vec![]).expect("told");
        assert_eq!(taken, Created::WasThere);
        store
            .put(&name("data/h/b"), &vec![b"new".to_vec()])
            .expect("the link itself is replaced");
        assert_eq!(store.get(&name("data/h/b"), 100).expect("read"), b"new");
        assert_eq!(tree(&room.path().join("elsewhere")), before);
    }

    #[test]
    fn a_folder_that_is_swapped_for_a_link_after_it_was_used_is_refused() {
        let (room, store) = linked();
        let at = |path: &str| room.path().join(path);
        assert_eq!(
            store.get_range(&name("data/h/a"), 0, 4).expect("read"),
            b"ours"
        );
        fs::rename(at("store/data/h"), at("store/data/away")).expect("renamed");
        symlink(at("elsewhere/h"), at("store/data/h")).expect("linked");
        let before = tree(&at("elsewhere"));
        for result in [
            store.get_range(&name("data/h/a"), 0, 4).map(drop),
            store.put(&name("data/h/c"), &vec![]),
            store.delete(&name("data/h/a")),
        ] {
            assert_eq!(result.expect_err("refused").kind(), ErrorKind::Failed);
        }
        assert_eq!(tree(&at("elsewhere")), before);
    }

    #[test]
    fn a_pipe_or_socket_in_place_of_an_object_is_no_object_and_nobody_waits_for_it() {
        let room = tempfile::tempdir().expect("a folder");
        let store = Local::open(room.path()).expect("a store");
        let made = std::os::unix::net::UnixListener::bind(room.path().join("socket"));
        drop(made.expect("made"));
        let pipe = room.path().join("pipe");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RUSR).expect("made");
        for object in ["pipe", "socket"].map(name) {
            assert_eq!(
                store.get(&object, 1).expect_err("no object").kind(),
                ErrorKind::Missing
            );
            assert_eq!(
                store
                    .get_range(&object, 0, 1)
                    .expect_err("no object")
                    .kind(),
                ErrorKind::Missing
            );
        }
        store
            .list("", &mut |object| panic!("{} is listed", object.name))
            .expect("listed");
    }

    #[test]
    fn the_rights_of_the_stores_folder_hold_for_all_below_it() {
        let parent = tempfile::tempdir().expect("a folder");
        let mode = |path: &str| {
            fs::metadata(parent.path().join(path))
                .expect("there")
                .permissions()
                .mode()
                & 0o777
        };
        Local::create(&parent.path().join("own/store"))
            .expect("made")
            .put(&name("a/b"), &vec![])
            .expect("stored");
        assert_eq!(
            ["own", "own/store", "own/store/a", "own/store/a/b"].map(mode),
            [0o700, 0o700, 0o700, 0o600]
        );
        fs::create_dir(parent.path().join("shared")).expect("made");
        fs::set_permissions(
            parent.path().join("shared"),
            fs::Permissions::from_mode(0o750),
        )
        .expect("set");
        Local::create(&parent.path().join("shared"))
            .expect("there")
            .put(&name("a/b"), &vec![])
            .expect("stored");
        assert_eq!(["shared/a", "shared/a/b"].map(mode), [0o750, 0o640]);
    }

    #[test]
    fn a_device_or_pipe_is_no_object() {
        let store = Local::open(std::path::Path::new("/dev")).expect("a folder");
        assert_eq!(
            store.get(&name("null"), 1).expect_err("a device").kind(),
            ErrorKind::Missing
        );
        assert_eq!(
            store
                .get_range(&name("null"), 0, 0)
                .expect_err("a device")
                .kind(),
            ErrorKind::Missing
        );
    }
}

//! Which files are the cache's own, and what becomes of the others.

use super::{CacheFolder, OpenError};
use crate::store::disk_cache::region::{Chunk, Region};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

const LIMIT: u64 = 1 << 20;

fn region() -> Region {
    Region::new("memory:", "data/1", 0)
}

fn chunk(offset: u64) -> Chunk {
    Chunk {
        offset,
        length: 500,
    }
}

fn keep(folder: &CacheFolder, offset: u64) {
    folder
        .keep(&region(), chunk(offset), &[1; 500])
        .expect("kept");
}

fn finds(folder: &CacheFolder, offset: u64) -> bool {
    folder.find(&region(), chunk(offset)).is_some()
}

/// The two-digit folder of the region.
fn two_digits(room: &Path) -> PathBuf {
    room.join("freezer-cache").join(region().folder())
}

#[test]
fn what_is_beside_the_cache_and_what_is_not_its_own_inside_stays() {
    let room = tempfile::tempdir().expect("a directory");
    let inside = room.path().join("freezer-cache");
    keep(&CacheFolder::open(room.path(), LIMIT).expect("made"), 0);
    let digits = "0".repeat(62);
    let foreign = [
        room.path().join("go/main.go"),
        room.path().join(format!("db/{digits}")),
        room.path().join(format!("db/{digits}.part")),
        inside.join("notes.txt"),
        inside.join("go/main.go"),
        inside.join(format!("go/{digits}")),
        inside.join(format!("abc/{digits}")),
        two_digits(room.path()).join("x.part"),
        two_digits(room.path()).join("x"),
        two_digits(room.path()).join(digits.replace('0', "G")),
        two_digits(room.path()).join(format!("{digits}.part.part")),
        two_digits(room.path()).join(format!("{digits}.txt")),
    ];
    for path in &foreign {
        fs::create_dir_all(path.parent().expect("it has one")).expect("made");
        fs::write(path, vec![0; 100_000]).expect("written");
    }
    let left = two_digits(room.path()).join(format!("{digits}.part"));
    fs::write(&left, "x").expect("written");

    let folder = CacheFolder::open(room.path(), LIMIT).expect("ours");
    assert_eq!(folder.counted(), Some(4096), "only the chunk is counted");
    assert!(!left.exists(), "our own unfinished chunk is removed");
    let folder = CacheFolder::open(room.path(), 0).expect("ours");
    assert_eq!(folder.counted(), Some(0));
    assert!(!finds(&folder, 0));
    for path in &foreign {
        assert_eq!(fs::read(path).expect("there").len(), 100_000, "{path:?}");
    }
}

#[test]
fn a_folder_that_is_neither_empty_nor_ours_is_refused_and_not_touched() {
    let room = tempfile::tempdir().expect("a directory");
    let inside = room.path().join("freezer-cache");
    fs::create_dir(&inside).expect("made");
    fs::write(inside.join("x"), "x").expect("written");
    let refused = CacheFolder::open(room.path(), LIMIT)
        .err()
        .expect("refused");
    assert!(matches!(refused, OpenError::NotOurs(_)), "{refused}");
    assert_eq!(fs::read_dir(&inside).expect("there").count(), 1);

    fs::remove_file(inside.join("x")).expect("removed");
    drop(CacheFolder::open(room.path(), LIMIT).expect("an empty one is taken"));
    let tag = fs::read_to_string(inside.join("CACHEDIR.TAG")).expect("there");
    assert!(tag.starts_with("Signature: 8a477f597d28d172789f06886806bc55\n"));
    fs::write(inside.join("freezer-disk-cache"), "freezer disk cache 3\n").expect("written");
    let refused = CacheFolder::open(room.path(), LIMIT)
        .err()
        .expect("refused");
    assert!(matches!(refused, OpenError::OtherForm(_)), "{refused}");
}

#[test]
fn a_folder_whose_making_was_cut_off_is_finished() {
    let room = tempfile::tempdir().expect("a directory");
    let inside = room.path().join("freezer-cache");
    fs::create_dir(&inside).expect("made");
    for name in ["lock", "CACHEDIR.TAG", "freezer-disk-cache.part"] {
        fs::write(inside.join(name), "").expect("written");
        drop(CacheFolder::open(room.path(), LIMIT).expect("finished"));
        assert!(inside.join("freezer-disk-cache").exists(), "{name}");
        fs::remove_file(inside.join("freezer-disk-cache")).expect("removed");
        fs::remove_file(inside.join("bytes")).expect("removed");
    }
}

#[test]
fn a_folder_that_others_could_have_filled_is_refused() {
    let room = tempfile::tempdir().expect("a directory");
    drop(CacheFolder::open(room.path(), LIMIT).expect("made"));
    let inside = room.path().join("freezer-cache");
    fs::set_permissions(&inside, Permissions::from_mode(0o770)).expect("changed");
    let refused = CacheFolder::open(room.path(), LIMIT)
        .err()
        .expect("refused");
    assert!(matches!(refused, OpenError::Unsafe { .. }), "{refused}");
    fs::set_permissions(&inside, Permissions::from_mode(0o700)).expect("changed");

    let marker = inside.join("freezer-disk-cache");
    fs::set_permissions(&marker, Permissions::from_mode(0o666)).expect("changed");
    let refused = CacheFolder::open(room.path(), LIMIT)
        .err()
        .expect("refused");
    assert!(matches!(refused, OpenError::Use { .. }), "{refused}");

    let elsewhere = room.path().join("elsewhere");
    fs::rename(&inside, &elsewhere).expect("moved");
    symlink(&elsewhere, &inside).expect("linked");
    let refused = CacheFolder::open(room.path(), LIMIT)
        .err()
        .expect("refused");
    assert!(matches!(refused, OpenError::Unsafe { .. }), "{refused}");
}

#[test]
fn no_link_inside_is_followed() {
    let room = tempfile::tempdir().expect("a directory");
    let inside = room.path().join("freezer-cache");
    let theirs = room.path().join("theirs");
    let folder = CacheFolder::open(room.path(), LIMIT).expect("made");
    keep(&folder, 0);

    // The count, a chunk and an unfinished chunk are replaced, and what they led to stays.
    fs::write(&theirs, "precious").expect("written");
    let name = region().name_of(chunk(1000));
    let places = [
        inside.join("bytes"),
        two_digits(room.path()).join(&name),
        two_digits(room.path()).join(format!("{name}.part")),
    ];
    for link in &places {
        fs::remove_file(link).ok();
        symlink(&theirs, link).expect("linked");
    }
    assert!(!finds(&folder, 1000));
    keep(&folder, 1000);
    assert!(finds(&folder, 1000) && finds(&folder, 0));
    assert_eq!(folder.counted(), Some(8192));

    // A lock that is a link is none.
    fs::remove_file(inside.join("lock")).expect("removed");
    symlink(&theirs, inside.join("lock")).expect("linked");
    assert!(folder.keep(&region(), chunk(2000), &[1; 500]).is_err());
    assert!(CacheFolder::open(room.path(), LIMIT).is_err());
    fs::remove_file(inside.join("lock")).expect("removed");

    // A two-digit folder that is a link is none, and nothing behind it is removed.
    let elsewhere = room.path().join("elsewhere");
    fs::rename(two_digits(room.path()), &elsewhere).expect("moved");
    symlink(&elsewhere, two_digits(room.path())).expect("linked");
    assert!(!finds(&folder, 0) && folder.held(&region()).is_empty());
    assert!(folder.keep(&region(), chunk(2000), &[1; 500]).is_err());
    let folder = CacheFolder::open(room.path(), 0).expect("ours");
    assert_eq!(folder.counted(), Some(0));
    assert_eq!(fs::read_dir(&elsewhere).expect("there").count(), 2);
    assert_eq!(fs::read(&theirs).expect("there"), b"precious");
}

#[test]
fn a_process_that_does_not_let_go_of_the_lock_holds_nobody_up_for_long() {
    let room = tempfile::tempdir().expect("a directory");
    let folder = CacheFolder::open(room.path(), LIMIT).expect("made");
    let lock = fs::File::open(room.path().join("freezer-cache/lock")).expect("there");
    lock.lock().expect("free");
    for offset in 0..1000 {
        let kept = folder.keep(&region(), chunk(offset), &[1; 500]);
        assert!(kept.is_err(), "only the first waits at all");
    }
    drop(lock);
    keep(&folder, 0);
    assert!(finds(&folder, 0));
}

//! Files that were renamed, or got new metadata, after the last level by the system's own clock.

use crate::support::oracle::{self, Holes, compare};
use crate::support::{backup, reading, torture};
use freezer::backup::{Levels, Lies, SameContent, run};
use freezer::catalog::Access;
use freezer::format::manifest::Manifest;
use freezer::model::progress::Silent;
use freezer::model::{Cancel, LevelId};
use freezer::platform::SystemClock;
use freezer::restore::{Options, restore};
use freezer::store::memory::MemoryStore;
use rustix::fs::{XattrFlags, setxattr};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// More stream bytes than the headers of a level have here. The contents are far longer.
const HEADERS: u64 = 40_000;

struct Place {
    room: TempDir,
    access: Access,
}

impl Place {
    fn new() -> Self {
        let room = tempfile::tempdir().expect("a directory");
        fs::create_dir(room.path().join("tree")).expect("made");
        Self {
            room,
            access: backup::create_plain(Arc::new(MemoryStore::default())),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.room.path().join("tree").join(path)
    }

    fn write(&self, path: &str, seed: u64, length: usize) {
        fs::create_dir_all(self.at(path).parent().expect("a directory")).expect("made");
        fs::write(self.at(path), torture::noise(seed, length)).expect("written");
    }

    fn rename(&self, from: &str, to: &str) {
        fs::rename(self.at(from), self.at(to)).expect("renamed");
    }

    fn back_up(&self) -> Manifest {
        self.back_up_with(Levels::default())
    }

    /// Waits until the file system's clock is past all changes so far, makes a level, and checks
    /// that it gives the tree.
    fn back_up_with(&self, levels: Levels) -> Manifest {
        let tick = |name: &str| {
            let probe = self.room.path().join(name);
            fs::write(&probe, b"tick").expect("written");
            let metadata = fs::metadata(&probe).expect("there");
            metadata.ctime() * 1000 + metadata.ctime_nsec() / 1_000_000
        };
        let began = tick("began");
        while tick("probe") < began + 40 {
            std::thread::yield_now();
        }
        let tree = self.at("");
        let mut request = backup::request(&[&tree]);
        request.levels = levels;
        let manifest = run(
            &request,
            &self.access,
            &SystemClock,
            &Silent,
            &Cancel::new(),
        )
        .expect("a level")
        .manifest;
        let differences = compare(
            &oracle::scan(&tree),
            &self.restored(&manifest.id),
            Holes::Zeros,
        );
        assert!(differences.is_empty(), "{differences:#?}");
        manifest
    }

    fn restored(&self, level: &LevelId) -> oracle::Tree {
        let target = tempfile::tempdir().expect("a directory");
        let view = reading::open(&self.access, &backup::name(), level, &reading::reader())
            .expect("it opens");
        restore(
            &view,
            &[],
            &target.path().join("out"),
            &Options::default(),
            &Silent,
            &Cancel::new(),
        )
        .expect("restored");
        oracle::scan(&target.path().join("out"))
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

#[test]
fn a_renamed_directory_stores_no_data_again() {
    let place = Place::new();
    for number in 0..300 {
        place.write(
            &format!("project/part {}/file {number}", number % 7),
            number,
            5_000,
        );
    }
    place.write("project/linked", 1000, 5_000);
    fs::hard_link(
        place.at("project/linked"),
        place.at("project/part 1/linked"),
    )
    .expect("linked");
    let full = place.back_up();
    place.rename("project", "a new name");
    let renamed = place.back_up();
    assert!(
        renamed.bytes.stream < HEADERS,
        "{} bytes of stream",
        renamed.bytes.stream
    );
    assert_eq!(
        renamed.counts.removed, renamed.counts.new,
        "{:?}",
        renamed.counts
    );
    assert_eq!(
        (renamed.counts.entries, renamed.counts.new),
        (full.counts.entries, full.counts.entries - 1)
    );
    // Below the renamed directory, files are new, changed and gone.
    place.rename("a new name", "z");
    place.rename("z/part 3", "z/part x");
    place.write("z/part x/new", 2000, 9_000);
    place.write("z/part x/file 3", 2001, 9_000);
    fs::remove_file(place.at("z/part x/file 10")).expect("removed");
    let again = place.back_up();
    assert!(
        (18_000..18_000 + HEADERS).contains(&again.bytes.stream),
        "{} bytes of stream",
        again.bytes.stream
    );
    assert_eq!(place.back_up().counts.unchanged, again.counts.entries);
}

#[test]
fn directories_that_swap_their_names_store_no_data_again() {
    let place = Place::new();
    for number in 0..20 {
        place.write(&format!("one/file {number}"), number, 5_000);
        place.write(&format!("two/file {number}"), 100 + number, 5_000);
    }
    place.back_up();
    place.rename("one", "x");
    place.rename("two", "one");
    place.rename("x", "two");
    let manifest = place.back_up();
    assert!(
        manifest.bytes.stream < HEADERS,
        "{} bytes of stream",
        manifest.bytes.stream
    );
    assert_eq!(
        manifest.counts.removed, manifest.counts.new,
        "{:?}",
        manifest.counts
    );
}

#[test]
fn renamed_files_store_no_data_again_even_if_names_shift() {
    let place = Place::new();
    for number in 0..5 {
        place.write(&format!("log.{number}"), number, 50_000);
    }
    place.write("a/deep/er", 10, 50_000);
    place.back_up();
    for number in (0..5).rev() {
        place.rename(&format!("log.{number}"), &format!("log.{}", number + 1));
    }
    place.write("log.0", 11, 50_000);
    place.rename("a/deep/er", "moved");
    let manifest = place.back_up();
    assert!(
        (50_000..50_000 + HEADERS).contains(&manifest.bytes.stream),
        "{} bytes of stream",
        manifest.bytes.stream
    );
    place.rename("moved", "a/deep/again");
    place.write("moved", 12, 50_000);
    let manifest = place.back_up();
    assert!(
        (50_000..50_000 + HEADERS).contains(&manifest.bytes.stream),
        "{} bytes of stream",
        manifest.bytes.stream
    );
}

#[test]
fn a_change_of_metadata_alone_after_the_last_level_stores_no_data() {
    let place = Place::new();
    place.write("file", 1, 1 << 20);
    place.back_up();
    for change in 0..3 {
        match change {
            0 => chmod(&place.at("file"), 0o600),
            1 => {
                setxattr(place.at("file"), "user.comment", b"x", XattrFlags::empty()).expect("set")
            }
            _ => fs::hard_link(place.at("file"), place.at("a second name")).expect("linked"),
        }
        let manifest = place.back_up();
        assert!(
            manifest.bytes.stream < HEADERS,
            "change {change}: {} bytes",
            manifest.bytes.stream
        );
    }
}

#[test]
fn another_file_under_a_known_name_is_stored() {
    let place = Place::new();
    place.write("a", 1, 50_000);
    place.write("b", 2, 50_000);
    place.back_up();
    // The size is the same, and the inode may be that of the removed file.
    fs::remove_file(place.at("a")).expect("removed");
    place.write("c", 3, 50_000);
    let manifest = place.back_up();
    assert!(manifest.bytes.stream > 50_000);
    // This file is changed in place and renamed.
    place.write("b", 4, 50_000);
    place.rename("b", "d");
    assert!(place.back_up().bytes.stream > 50_000);
}

#[test]
fn renamed_files_are_stored_where_inodes_lie_or_levels_must_be_complete() {
    let place = Place::new();
    place.write("file", 1, 50_000);
    place.back_up();
    for (round, levels) in [
        Levels {
            lies: Lies {
                inode: true,
                ctime: false,
            },
            ..Levels::default()
        },
        Levels {
            same_content: SameContent::Store,
            ..Levels::default()
        },
    ]
    .into_iter()
    .enumerate()
    {
        place.rename(
            if round == 0 { "file" } else { "file 0" },
            &format!("file {round}"),
        );
        assert!(
            place.back_up_with(levels).bytes.stream > 50_000,
            "round {round}"
        );
    }
}

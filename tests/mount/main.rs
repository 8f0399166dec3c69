//! Real FUSE mounts: points in time as the kernel and ordinary programs see them.
#![cfg(target_os = "linux")]
#![allow(clippy::too_many_lines, reason = "a test may tell a long story")]
#![expect(
    clippy::disallowed_methods,
    reason = "oracles are ordinary programs, and they are started here"
)]

#[path = "../it/support/mod.rs"]
#[expect(dead_code, reason = "the other tests use the rest")]
mod support;

mod access;
mod cost;
mod damage;
mod ends;
mod model;
mod points;
mod readers;
mod tree;

use freezer::backup::{BlockOptions, Engine};
use freezer::catalog::names::{self, Folder};
use freezer::format::frame::{Compression, Protection};
use freezer::fs::forest::{FolderOwner, Forest, PointSource, PointSourceError};
use freezer::fs::fuse::Permissions;
use freezer::fs::mount::{self, Audience, MountError, MountOptions, Mounted};
use freezer::fs::view::{View, ViewParts};
use freezer::fs::{FileReader, ReadOptions};
use freezer::model::{Dated, LevelId, StoreId, Xattr};
use freezer::store::faulty::Faulty;
use freezer::store::memory::MemoryStore;
use freezer::store::{ObjectName, Operation, Store};
use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mount::MountFlags;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::num::NonZeroUsize;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use support::backup;
use support::oracle::{self, Holes};
use support::scratch;
use support::stored_tree::{Planned, Recipe, StoredTree};
use support::torture::{self, noise};

/// A mount in a directory of its own, unmounted when it is dropped.
struct Show {
    mounted: Option<Mounted>,
    /// Removed after the mount has ended.
    _directory: tempfile::TempDir,
}

impl Show {
    fn new(forest: Forest) -> Self {
        Self::with(forest, |_| ())
    }

    fn with(forest: Forest, change: impl FnOnce(&mut MountOptions)) -> Self {
        let directory = scratch();
        let mut options = MountOptions::new(directory.path(), "test");
        change(&mut options);
        let mounted = mount::mount(&options, forest).expect("mounted");
        Self {
            mounted: Some(mounted),
            _directory: directory,
        }
    }

    fn mounted(&self) -> &Mounted {
        self.mounted.as_ref().expect("still there")
    }

    fn at(&self, path: &str) -> PathBuf {
        self.mounted().mount_point().join(path)
    }

    fn counts(&self) -> HashMap<&'static str, u64> {
        self.mounted().counts().snapshot().into_iter().collect()
    }

    /// Waits until this many files in all were put into the kernel's cache ahead.
    fn wait_until_sent(&self, files: u64) {
        // Finds a hang: far above what a busy machine needs.
        let deadline = freezer::platform::monotonic() + Duration::from_secs(180);
        while self.counts()["sent_ahead"] != files {
            assert!(
                freezer::platform::monotonic() < deadline,
                "{:?}",
                self.counts()
            );
            thread::yield_now();
        }
    }

    /// Runs `what` and returns how many requests it cost.
    fn cost(&self, what: impl FnOnce()) -> u64 {
        let before = self.mounted().counts().answered();
        what();
        self.mounted().counts().answered() - before
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            mounted.unmount().expect("unmounted");
        }
    }
}

fn store(entries: impl IntoIterator<Item = Planned>, recipe: Recipe) -> StoredTree {
    StoredTree::write(Arc::new(MemoryStore::default()), entries, recipe)
}

fn show(entries: impl IntoIterator<Item = Planned>) -> Show {
    Show::new(Forest::of_tree(store(entries, Recipe::default()).view()))
}

/// A real backup of a tree on disk, in a store in memory.
fn back_up(source: &Path, compression: Compression, encrypted: bool) -> View {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let access = if encrypted {
        backup::create_encrypted(store)
    } else {
        backup::create_plain(store)
    };
    let report = backup::back_up(&access, &[source], |request| {
        request.compression = compression;
        request.compression_level = compression.default_level();
    });
    let parts = ViewParts {
        manifest: report.manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup::name(),
    };
    View::open(parts, &support::stored_tree::reader(64 << 20)).expect("opened")
}

/// A tree with everything, and its mount.
fn show_everything() -> (tempfile::TempDir, Show) {
    let source = scratch();
    torture::build(source.path());
    let show = Show::new(Forest::of_tree(back_up(
        source.path(),
        Compression::Zstd,
        true,
    )));
    (source, show)
}

/// Runs a program to its end and returns what it printed.
fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {} {errors}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn text(path: &Path) -> &str {
    path.to_str().expect("made by this test")
}

fn small_files(directories: usize, files: usize) -> Vec<Planned> {
    let mut tree = vec![Planned::directory("")];
    tree.extend((0..directories).map(|number| Planned::directory(&format!("d{number:03}"))));
    for directory in 0..directories {
        let content =
            |file: usize| format!("line {file} of directory {directory}\n").repeat(1 + file % 90);
        tree.extend(
            (0..files)
                .map(|file| Planned::file(&format!("d{directory:03}/f{file:04}"), content(file))),
        );
    }
    tree
}

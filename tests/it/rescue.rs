//! `packaging/rescue/freezer-rescue.py` reads stores without any part of Freezer.
#![expect(
    clippy::disallowed_methods,
    reason = "the script and tar are other programs"
)]

use crate::support::python::{self, SCRIPT};
use crate::support::{backup, oracle, torture};
use freezer::catalog::Access;
use freezer::format::frame::Compression;
use freezer::store::local::Local;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

struct Room {
    folder: tempfile::TempDir,
    tree: PathBuf,
    store: PathBuf,
    pass_file: PathBuf,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let at = |name| folder.path().join(name);
        let (tree, store, pass_file) = (at("tree"), at("store"), at("passphrase"));
        std::fs::create_dir(&tree).expect("made");
        let line = [backup::passphrase().expose(), &b"\n"[..]].concat();
        std::fs::write(&pass_file, line).expect("written");
        Self {
            folder,
            tree,
            store,
            pass_file,
        }
    }

    /// Writes files of 300 KiB that do not compress. They follow each other in the stream, in
    /// several frames and segments.
    fn fill(&self) {
        let mut state = 1_u64;
        for file in 0..16 {
            let random = std::iter::repeat_with(|| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                state.to_be_bytes()[0]
            });
            let content: Vec<u8> = random.take(300 << 10).collect();
            std::fs::write(self.tree.join(format!("file {file:02}")), content).expect("written");
        }
    }

    fn store(&self) -> Arc<Local> {
        Arc::new(Local::create(&self.store).expect("a store"))
    }

    /// Makes a level and returns the folder of its segments.
    fn back_up(&self, access: &Access, method: Compression) -> PathBuf {
        let report = backup::back_up(access, &[&self.tree], |request| {
            request.compression = method;
            request.compression_level = method.default_level();
        });
        self.store
            .join(format!("data/host/tree/{}/segments", report.manifest.id))
    }

    fn rescue(&self, python: &str, arguments: &[&str]) -> Output {
        let mut script = Command::new(python);
        script
            .arg(SCRIPT)
            .arg(&self.store)
            .args(arguments)
            .arg("--pass-file")
            .arg(&self.pass_file);
        script.stdin(Stdio::null()).output().expect("Python runs")
    }

    /// Unpacks a stream with stock tar. Returns the folder, and whether tar succeeded.
    fn extract(&self, stream: &[u8]) -> (PathBuf, bool) {
        let target = tempfile::tempdir_in(self.folder.path())
            .expect("a directory")
            .keep();
        let file = target.with_extension("tar");
        std::fs::write(&file, stream).expect("written");
        let options = ["--xattrs", "--xattrs-include=*", "--acls", "-xpf"];
        let tar = Command::new("tar")
            .args(options)
            .arg(&file)
            .arg("-C")
            .arg(&target)
            .output()
            .expect("tar runs");
        (target, tar.status.success())
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Flips a byte in the middle of a segment. With the data of [`Room::fill`], that is in the payload
/// of a frame.
fn flip_a_byte(segment: &Path) {
    let mut bytes = std::fs::read(segment).expect("read");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(segment, bytes).expect("written");
}

#[test]
fn the_script_turns_an_encrypted_level_into_a_stream_that_stock_tar_extracts_whole() {
    let room = Room::new();
    torture::build(&room.tree);
    let expected = oracle::scan(&room.tree);
    room.back_up(&backup::create_encrypted(room.store()), Compression::Zstd);
    let output = room.rescue(python::with_cryptography(), &["host/tree"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let (target, tar_was_happy) = room.extract(&output.stdout);
    assert!(tar_was_happy);
    let differences = oracle::compare(&expected, &oracle::scan(&target), oracle::Holes::Zeros);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn every_python_here_opens_the_store_whichever_argon2_it_has() {
    let room = Room::new();
    room.fill();
    room.back_up(&backup::create_encrypted(room.store()), Compression::Zstd);
    for python in python::with("cryptography") {
        let output = room.rescue(python, &[]);
        assert!(
            output.status.success(),
            "{python}: {}",
            text(&output.stderr)
        );
        assert!(text(&output.stdout).starts_with("host/tree/"), "{python}");
    }
}

#[test]
fn the_script_reads_every_compression_with_and_without_a_passphrase() {
    for encrypted in [true, false] {
        let room = Room::new();
        room.fill();
        let expected = oracle::scan(&room.tree);
        let access = if encrypted {
            backup::create_encrypted(room.store())
        } else {
            backup::create_plain(room.store())
        };
        for method in Compression::ALL {
            let segments = room.back_up(&access, method);
            let output = room.rescue(python::with_cryptography(), &["host/tree"]);
            assert!(
                output.status.success(),
                "{method}: {}",
                text(&output.stderr)
            );
            let (target, tar_was_happy) = room.extract(&output.stdout);
            assert!(tar_was_happy);
            let differences =
                oracle::compare(&expected, &oracle::scan(&target), oracle::Holes::Zeros);
            assert!(
                differences.is_empty(),
                "{method}, encrypted: {encrypted}:\n{}",
                differences.join("\n")
            );
            assert!(
                std::fs::read_dir(segments).expect("listed").count() > 1,
                "one segment proves little"
            );
        }
        let listed = room.rescue(python::with_cryptography(), &[]);
        assert!(listed.status.success(), "{}", text(&listed.stderr));
        let lines = text(&listed.stdout);
        assert_eq!(lines.lines().count(), Compression::ALL.len(), "{lines}");
        assert!(
            lines
                .lines()
                .all(|line| line.starts_with("host/tree/") && line.ends_with("17 entries")),
            "{lines}"
        );
    }
}

#[test]
fn the_script_finds_hidden_names_and_reads_every_key_epoch() {
    let room = Room::new();
    room.fill();
    let expected = oracle::scan(&room.tree);
    let access = backup::create_hidden(room.store());
    room.back_up(&access, Compression::Zstd);
    access
        .rotate_key(
            &backup::passphrase(),
            backup::CHEAP,
            jiff::Timestamp::UNIX_EPOCH,
        )
        .expect("rotated");
    let again = Arc::new(Local::open(&room.store).expect("a store"));
    let access = Access::open(again, Some(&backup::passphrase())).expect("opened");
    std::fs::write(room.tree.join("file 00"), "changed").expect("written");
    room.back_up(&access, Compression::Gzip);
    std::fs::remove_file(room.store.join("freezer.json")).expect("its copy is enough");
    for python in python::with("cryptography") {
        let listed = room.rescue(python, &[]);
        let lines = text(&listed.stdout);
        assert_eq!(lines.matches("host/tree/").count(), 2, "{lines}");
        let output = room.rescue(python, &["host/tree", "--tree"]);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let (target, tar_was_happy) = room.extract(&output.stdout);
        assert!(tar_was_happy);
        let found = oracle::scan(&target);
        assert_eq!(found.len(), expected.len());
        let changed = std::fs::read(target.join("file 00")).expect("there");
        assert_eq!(changed, b"changed");
    }
}

#[test]
fn a_wrong_passphrase_is_reported_and_nothing_comes_out() {
    let room = Room::new();
    room.fill();
    room.back_up(&backup::create_encrypted(room.store()), Compression::Zstd);
    std::fs::write(&room.pass_file, "incorrect horse\n").expect("written");
    for python in python::with("cryptography") {
        let output = room.rescue(python, &["host/tree"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("wrong passphrase"),
            "{python}: {}",
            text(&output.stderr)
        );
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn a_tampered_frame_never_comes_out_and_the_rest_does_when_asked_for() {
    let room = Room::new();
    room.fill();
    let expected = oracle::scan(&room.tree);
    let segments = room.back_up(&backup::create_encrypted(room.store()), Compression::Gzip);
    flip_a_byte(&segments.join("00000001"));
    let python = python::with_cryptography();

    let strict = room.rescue(python, &["host/tree"]);
    assert_eq!(strict.status.code(), Some(1));
    let said = text(&strict.stderr);
    assert!(
        said.contains("in segment 00000001 fails authentication"),
        "{said}"
    );

    let lenient = room.rescue(python, &["host/tree", "--keep-going"]);
    assert_eq!(lenient.status.code(), Some(3));
    assert!(
        text(&lenient.stderr)
            .contains("in segment 00000001 fails authentication: filler takes its place")
    );
    let (target, _) = room.extract(&lenient.stdout);
    let found = oracle::scan(&target);
    let intact = expected.iter().filter(|(path, entry)| {
        found
            .get(*path)
            .is_some_and(|now| now.content == entry.content)
    });
    let intact = intact.count();
    assert!(intact < expected.len(), "the damage hit nothing");
    assert!(
        intact >= expected.len() - 6,
        "only {intact} of {} entries came through one damaged frame",
        expected.len()
    );
}

#[test]
fn a_missing_segment_is_named() {
    for encrypted in [true, false] {
        let room = Room::new();
        room.fill();
        let access = if encrypted {
            backup::create_encrypted(room.store())
        } else {
            backup::create_plain(room.store())
        };
        let segments = room.back_up(&access, Compression::Gzip);
        std::fs::remove_file(segments.join("00000001")).expect("removed");
        let output = room.rescue(python::with_cryptography(), &["host/tree"]);
        assert_eq!(output.status.code(), Some(1));
        assert!(
            text(&output.stderr).contains("segment 00000001 of ")
                && text(&output.stderr).contains(" is missing"),
            "{}",
            text(&output.stderr)
        );
    }
}

//! The stores in tests/data/vectors, sound and not: Freezer, the rescue script and the independent
//! decoder all read what is sound, and none of them shows what is not. docs/format/reading.md has
//! the rules, and tests/vectors/README.md the vectors.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests run freezer, Python and GNU tar"
)]

use crate::support::python::{self, SCRIPT};
use crate::support::scratch;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// What the rescue script puts at the end of the name of a file with damage in it.
const MARKED: &str = ".damaged-by-freezer-rescue";

/// Vectors that Freezer does not yet judge as it should, and what it does.
const NOT_YET: &[&str] = &[
    "frames-that-overlap",
    "no-root",
    "record-of-another-size",
    "record-that-is-a-directory",
];

/// How a store reads, or what a check of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Sound,
    Damaged,
    /// Damaged in a place that a reader who follows names from the root never sees.
    Unseen,
}

/// A store, and what has to come of it.
struct Vector {
    name: String,
    read: Verdict,
    check: Verdict,
    /// What may come out, by path.
    tree: Map<String, Value>,
    /// Paths that are one file.
    links: Vec<Vec<String>>,
    is_encrypted: bool,
    store: PathBuf,
}

/// What a reader made of a store.
#[derive(Debug)]
struct Seen {
    exit_code: Option<i32>,
    tree: Map<String, Value>,
    /// Paths by what tells one file from another.
    files: BTreeMap<u64, Vec<String>>,
    said: String,
}

fn verdict(value: &Value) -> Verdict {
    match value.as_str().expect("a verdict") {
        "sound" => Verdict::Sound,
        "damaged" => Verdict::Damaged,
        "unseen" => Verdict::Unseen,
        other => panic!("{other} is no verdict"),
    }
}

/// Unpacks all vectors into a folder with a store for each, and a file with the passphrase.
fn unpack(room: &Path) -> Vec<Vector> {
    let listed = fs::read_dir(Path::new(ROOT).join("tests/data/vectors")).expect("the vectors");
    let mut paths: Vec<PathBuf> = listed.map(|entry| entry.expect("listed").path()).collect();
    paths.sort_by_key(|path| path.file_stem().map(ToOwned::to_owned));
    assert!(paths.len() > 150, "there are too few vectors");
    fs::write(room.join("passphrase"), "correct horse\n").expect("written");
    fs::set_permissions(room.join("passphrase"), fs::Permissions::from_mode(0o600)).expect("set");
    paths
        .into_iter()
        .map(|path| {
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            let says: Value =
                serde_json::from_slice(&fs::read(&path).expect("read")).expect("JSON");
            let store = room.join("stores").join(&name);
            for (object, bytes) in says["objects"].as_object().expect("objects") {
                let bytes = match bytes["text"].as_str() {
                    Some(text) => text.as_bytes().to_vec(),
                    None => BASE64_STANDARD
                        .decode(bytes["base64"].as_str().expect("base64"))
                        .expect("base64"),
                };
                let at = store.join(object);
                fs::create_dir_all(at.parent().expect("a folder")).expect("made");
                fs::write(at, bytes).expect("written");
            }
            Vector {
                read: verdict(&says["read"]),
                check: verdict(&says["check"]),
                tree: says["tree"].as_object().expect("a tree").clone(),
                links: serde_json::from_value(says["links"].clone()).expect("lists of paths"),
                is_encrypted: says["passphrase"].is_string(),
                name,
                store,
            }
        })
        .collect()
}

/// What is in a folder, as the vectors describe it.
fn scan(folder: &Path, below: &str, seen: &mut Seen) {
    for entry in fs::read_dir(folder).expect("listed") {
        let entry = entry.expect("listed");
        let path = format!("{below}{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type().expect("a kind");
        let described = if kind.is_dir() {
            scan(&entry.path(), &format!("{path}/"), seen);
            json!({"kind": "directory"})
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("a target");
            json!({"kind": "symlink", "target": target.to_string_lossy()})
        } else if kind.is_file() {
            let bytes = fs::read(entry.path()).expect("read");
            json!({"kind": "file", "content": String::from_utf8_lossy(&bytes)})
        } else if kind.is_fifo() {
            json!({"kind": "pipe"})
        } else {
            json!({"kind": "character"})
        };
        let inode = std::os::unix::fs::MetadataExt::ino(&entry.metadata().expect("metadata"));
        seen.files.entry(inode).or_default().push(path.clone());
        seen.tree.insert(path, described);
    }
}

impl Seen {
    /// What a program showed that writes a tar stream.
    fn of_stream(output: &Output, room: &Path) -> Self {
        let mut seen = Self::said(output);
        let (tar, target) = (room.join("stream.tar"), room.join("out"));
        fs::write(&tar, &output.stdout).expect("written");
        fs::remove_dir_all(&target).ok();
        fs::create_dir(&target).expect("made");
        if !output.stdout.is_empty() {
            let tar = Command::new("tar")
                .args(["--no-same-owner", "-C"])
                .arg(&target)
                .arg("-xf")
                .arg(&tar)
                .output();
            tar.expect("tar runs");
        }
        scan(&target, "", &mut seen);
        seen
    }

    fn said(output: &Output) -> Self {
        Self {
            exit_code: output.status.code(),
            tree: Map::new(),
            files: BTreeMap::new(),
            said: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// What is wrong with it.
    fn judge_reading(&self, vector: &Vector) -> Vec<String> {
        let mut wrong = self.judge_end(vector.read);
        for (path, described) in &self.tree {
            if !path.ends_with(MARKED) && vector.tree.get(path) != Some(described) {
                wrong.push(format!("it showed {path}: {described}"));
            }
        }
        if vector.read == Verdict::Sound {
            for path in vector.tree.keys() {
                if !self.tree.contains_key(path) {
                    wrong.push(format!("{path} is missing"));
                }
            }
            for one in &vector.links {
                let mut names: Vec<_> = self
                    .files
                    .values()
                    .map(|names| {
                        let mut names = names.clone();
                        names.sort();
                        names
                    })
                    .collect();
                names.retain(|names| names == one);
                if names.is_empty() {
                    wrong.push(format!("{one:?} are not one file"));
                }
            }
        }
        wrong
    }

    fn judge_end(&self, verdict: Verdict) -> Vec<String> {
        let mut wrong = Vec::new();
        match (verdict, self.exit_code) {
            (Verdict::Sound, Some(0)) | (Verdict::Unseen, Some(_)) => {}
            (Verdict::Damaged, Some(code)) if code != 0 => {}
            (_, code) => wrong.push(format!("it ended with {code:?}")),
        }
        if self.said.contains("Traceback") || self.said.contains("panicked") {
            wrong.push("it crashed".to_owned());
        }
        wrong
    }
}

/// Collects what was wrong with each vector.
#[derive(Default)]
struct Faults(BTreeMap<String, Vec<String>>);

impl Faults {
    fn add(&mut self, vector: &Vector, wrong: Vec<String>, said: &str) {
        if !wrong.is_empty() {
            let faults = self.0.entry(vector.name.clone()).or_default();
            faults.push(format!("{}; it said: {}", wrong.join("; "), said.trim()));
        }
    }

    #[track_caller]
    fn none(&self) {
        let told = self
            .0
            .iter()
            .map(|(name, faults)| format!("{name}: {}", faults.join("\n  ")));
        let told: Vec<String> = told.collect();
        assert!(
            told.is_empty(),
            "{} vectors:\n{}",
            told.len(),
            told.join("\n")
        );
    }
}

fn freezer(vector: &Vector, room: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
    command.args(arguments).arg("--store").arg(&vector.store);
    if vector.is_encrypted {
        command
            .arg("--encrypt-pass-file")
            .arg(room.join("passphrase"));
    }
    command
        .stdin(Stdio::null())
        .env_clear()
        .env("HOME", room.join("home").join(&vector.name))
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .output()
        .expect("it starts")
}

#[test]
fn freezer_shows_what_is_sound_of_every_vector_and_a_check_tells_the_rest() {
    let room = scratch();
    let room = room.path();
    let mut faults = Faults::default();
    for vector in unpack(room) {
        let read = freezer(&vector, room, &["export", "host/tree"]);
        let seen = Seen::of_stream(&read, room);
        faults.add(&vector, seen.judge_reading(&vector), &seen.said);
        let checked = Seen::said(&freezer(&vector, room, &["check", "--read-data"]));
        let wrong = checked.judge_end(vector.check);
        let wrong = wrong.into_iter().map(|what| format!("check: {what}"));
        faults.add(&vector, wrong.collect(), &checked.said);
    }
    for known in NOT_YET {
        let fault = faults.0.remove(*known);
        assert!(fault.is_some(), "{known} is right: take it off the list");
    }
    faults.none();
}

#[test]
fn the_rescue_script_shows_what_is_sound_of_every_vector_and_tells_the_rest() {
    let room = scratch();
    let room = room.path();
    let mut faults = Faults::default();
    for vector in unpack(room) {
        let rescue = Command::new(python::with_cryptography())
            .arg(SCRIPT)
            .arg(&vector.store)
            .args(["host/tree", "--tree", "--keep-going", "--pass-file"])
            .arg(room.join("passphrase"))
            .stdin(Stdio::null())
            .output()
            .expect("Python runs");
        let seen = Seen::of_stream(&rescue, room);
        faults.add(&vector, seen.judge_reading(&vector), &seen.said);
    }
    faults.none();
}

#[test]
fn the_independent_decoder_shows_what_is_sound_of_every_vector_and_tells_the_rest() {
    let room = scratch();
    let room = room.path();
    let vectors = unpack(room);
    let output = Command::new(python::for_the_decoder())
        .arg(Path::new(ROOT).join("tests/oracle/vectors.py"))
        .arg(room.join("stores"))
        .arg(room.join("passphrase"))
        .output()
        .expect("Python runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let mut faults = Faults::default();
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let results: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(results.len(), vectors.len());
    for (result, vector) in results.iter().zip(&vectors) {
        assert_eq!(result["name"], vector.name);
        let seen = of_decoder(vector, result, "read");
        faults.add(vector, seen.judge_reading(vector), &said);
        let wrong = of_decoder(vector, result, "check").judge_end(vector.check);
        faults.add(vector, wrong, &said);
    }
    faults.none();
}

/// What the decoder showed. It says of contents only the SHA-256.
fn of_decoder(vector: &Vector, result: &Value, what: &str) -> Seen {
    let mut seen = Seen {
        exit_code: result[what]
            .as_i64()
            .and_then(|code| i32::try_from(code).ok()),
        tree: Map::new(),
        files: BTreeMap::new(),
        said: String::new(),
    };
    let entries = result["entries"].as_array().expect("a list");
    let path_of = |entry: &Value, key: &str| entry[key].as_str().map(str::to_owned);
    let names: Vec<String> = entries.iter().filter_map(|e| path_of(e, "path")).collect();
    for (number, entry) in (0_u64..).zip(entries) {
        let path = path_of(entry, "path").expect("a path");
        if path.is_empty() {
            continue;
        }
        let known = &vector.tree.get(&path).cloned().unwrap_or_default()["content"];
        let is_known = known.as_str().is_some_and(|text| {
            let digest = Sha256::digest(text.as_bytes());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            entry["sha256"] == digest
        });
        let described = match entry["kind"].as_str().expect("a kind") {
            "-" if is_known => json!({"kind": "file", "content": known}),
            "-" => json!({"kind": "file", "sha256": entry["sha256"]}),
            "d" => json!({"kind": "directory"}),
            "l" => json!({"kind": "symlink", "target": entry["target"]}),
            "p" => json!({"kind": "pipe"}),
            _ => json!({"kind": "character"}),
        };
        let first = path_of(entry, "first")
            .and_then(|first| names.iter().position(|name| *name == first))
            .map_or(number, |first| first as u64);
        seen.files.entry(first).or_default().push(path.clone());
        seen.tree.insert(path, described);
    }
    seen
}

#[test]
fn the_vectors_are_what_the_forger_makes() {
    let room = scratch();
    let made = Command::new(python::with_cryptography())
        .arg(Path::new(ROOT).join("tests/vectors/make.py"))
        .arg(room.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("Python runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let names = |folder: &Path| {
        let listed = fs::read_dir(folder).expect("listed");
        let mut names: Vec<_> = listed
            .map(|entry| entry.expect("listed").file_name())
            .collect();
        names.sort();
        names
    };
    let stored = Path::new(ROOT).join("tests/data/vectors");
    assert_eq!(names(room.path()), names(&stored));
    for name in names(&stored) {
        // What the library of xz makes may change with its version; it is read all the same.
        if name.to_string_lossy().contains("xz") {
            continue;
        }
        let both = [room.path(), &stored].map(|at| fs::read(at.join(&name)).expect("read"));
        assert!(
            both[0] == both[1],
            "{}: run tests/vectors/make.py",
            name.display()
        );
    }
}

//! Readers that share no code with Freezer find in old stores what was stored: the rescue script,
//! with GNU tar behind it, and the decoder in tests/oracle.
#![expect(clippy::disallowed_methods, reason = "the readers are other programs")]

use super::{Old, Point, Tree, assert_same, escaped, is_root, scanned};
use crate::support::python::{self, SCRIPT};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// What the rescue script puts at the end of the name of a file with damage in it.
const MARKED: &str = ".damaged-by-freezer-rescue";

/// Runs a reader on an old store.
fn read_by(old: &Old, python: &str, script: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(python);
    command.arg(script);
    if let Some(passphrase) = old.passphrases().first() {
        fs::write(old.path("passphrase"), passphrase).expect("written");
        command.arg("--pass-file").arg(old.path("passphrase"));
    }
    command
        .arg(old.path("store"))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .expect("Python runs")
}

/// Returns what was expected of a point in time, without the files that were lost.
fn not_lost(point: &Point) -> Tree {
    let lost = |path: &String| {
        point
            .lost
            .iter()
            .any(|lost| escaped(lost.as_bytes()) == *path)
    };
    let kept = point.tree.iter().filter(|(path, _)| !lost(path));
    kept.map(|(path, entry)| (path.clone(), entry.clone()))
        .collect()
}

#[test]
fn the_rescue_script_reads_every_point_in_time_of_an_old_store() {
    if !is_root() {
        return;
    }
    for old in Old::stores() {
        for point in old.points() {
            let (backup, level) = (&point.known["backup"], &point.level);
            let what = format!("{}: {}", old.what, point.known);
            let wanted = format!("{}/{level}", backup.as_str().expect("text"));
            let arguments = [wanted.as_str(), "--tree", "--keep-going"];
            let output = read_by(
                &old,
                python::with_cryptography(),
                Path::new(SCRIPT),
                &arguments,
            );
            let said = String::from_utf8_lossy(&output.stderr);
            let code = if point.lost.is_empty() { 0 } else { 3 };
            assert_eq!(output.status.code(), Some(code), "{what}: {said}");
            let room = tempfile::tempdir().expect("a directory");
            let (tar, target) = (room.path().join("tar"), room.path().join("out"));
            fs::write(&tar, &output.stdout).expect("written");
            fs::create_dir(&target).expect("made");
            let done = Command::new("tar")
                .args([
                    "--numeric-owner",
                    "--xattrs",
                    "--xattrs-include=*",
                    "--acls",
                    "-xpf",
                ])
                .arg(&tar)
                .arg("-C")
                .arg(&target)
                .output()
                .expect("tar runs");
            assert!(
                done.status.success(),
                "{what}: {}",
                String::from_utf8_lossy(&done.stderr)
            );
            let mut found = scanned(&target);
            found.retain(|path, _| !path.ends_with(MARKED));
            let mut expected = not_lost(&point);
            for entry in found.values_mut().chain(expected.values_mut()) {
                // Where the holes are depends on the file system.
                entry.remove("runs");
            }
            assert_same(&expected, &found, &what);
        }
    }
}

#[test]
fn the_independent_decoder_reads_every_point_in_time_of_an_old_store() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/decoder.py");
    for old in Old::stores() {
        for point in old.points() {
            let what = format!("{}: {}", old.what, point.known);
            let backup = point.known["backup"].as_str().expect("text");
            let wanted = format!("{backup}@{}", point.level);
            let output = read_by(&old, python::for_the_decoder(), &script, &["dump", &wanted]);
            let said = String::from_utf8_lossy(&output.stderr);
            let code = if point.lost.is_empty() { 0 } else { 3 };
            assert_eq!(output.status.code(), Some(code), "{what}: {said}");
            let lines = String::from_utf8(output.stdout).expect("UTF-8");
            let found = of_dump(
                lines
                    .lines()
                    .map(|line| serde_json::from_str(line).expect("JSON")),
            );
            assert_same(&not_lost(&point), &found, &what);
        }
        if old.expected["lost"].as_object().is_none_or(Map::is_empty) {
            let output = read_by(&old, python::for_the_decoder(), &script, &["check"]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", old.what);
        }
    }
}

/// Returns the bytes that the decoder writes as Latin-1, as make.py writes them.
fn text(value: &Value) -> String {
    let latin = value.as_str().expect("text").chars();
    let bytes: Vec<u8> = latin
        .map(|c| u8::try_from(u32::from(c)).expect("a byte"))
        .collect();
    escaped(&bytes)
}

/// What the decoder printed, as make.py describes it.
fn of_dump(entries: impl Iterator<Item = Value>) -> Tree {
    let entries: Vec<Value> = entries.collect();
    let mut first_names: BTreeMap<String, String> = BTreeMap::new();
    let first_of = |entry: &Value| match &entry["first"] {
        Value::Null => text(&entry["path"]),
        first => text(first),
    };
    for entry in &entries {
        let path = text(&entry["path"]);
        let name = first_names
            .entry(first_of(entry))
            .or_insert_with(|| path.clone());
        *name = (*name).clone().min(path);
    }
    let described = |entry: &Value| {
        let mut found = json!({
            "path": text(&entry["path"]),
            "mode": format!("{:04o}", entry["mode"].as_u64().expect("a number")),
            "uid": entry["uid"],
            "gid": entry["gid"],
            "mtime": format!(
                "{}.{:09}",
                entry["mtime"][0].as_i64().expect("a number"),
                entry["mtime"][1].as_u64().expect("a number")
            ),
        });
        let kind = match entry["kind"].as_str().expect("a kind") {
            "-" => {
                found["size"] = entry["size"].clone();
                found["sha256"] = entry["sha256"].clone();
                found["runs"] = runs(&entry["extents"]);
                "file"
            }
            "d" => "directory",
            "l" => {
                found["target"] = json!(text(&entry["target"]));
                "symlink"
            }
            "p" => "fifo",
            "c" => "char device",
            _ => "block device",
        };
        found["kind"] = json!(kind);
        if kind.ends_with("device") {
            found["device"] = entry["rdev"].clone();
        }
        if kind != "directory" {
            found["links"] = entry["nlink"].clone();
            if entry["nlink"].as_u64() > Some(1) {
                found["first_name"] = json!(first_names[&first_of(entry)]);
            }
        }
        let xattrs = entry["xattrs"].as_array().expect("a list");
        if !xattrs.is_empty() {
            let xattrs = xattrs
                .iter()
                .map(|pair| (text(&pair[0]), json!(text(&pair[1]))));
            found["xattrs"] = xattrs.collect::<Map<_, _>>().into();
        }
        let found = found.as_object().expect("it is one").clone();
        (text(&entry["path"]), found)
    };
    entries.iter().map(described).collect()
}

/// Joins extents that follow each other.
fn runs(extents: &Value) -> Value {
    let mut runs: Vec<[u64; 2]> = Vec::new();
    for extent in extents.as_array().expect("a list") {
        let number = |at: usize| extent[at].as_u64().expect("a number");
        match runs.last_mut() {
            Some([at, length]) if *at + *length == number(0) => *length += number(1),
            _ => runs.push([number(0), number(1)]),
        }
    }
    json!(runs)
}

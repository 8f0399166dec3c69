//! Stores that earlier versions wrote, as tests/data/README.md describes them: every later version
//! finds in them what was stored, and goes on with them.
#![expect(
    clippy::disallowed_methods,
    reason = "these tests run freezer and GNU tar"
)]

mod independent;

use crate::support::{oracle, reading, scratch};
use freezer::catalog::{Access, Catalog};
use freezer::fs::FileReader;
use freezer::model::{BackupRef, Content, Entry, LevelId, NodeId, Passphrase};
use freezer::store::local::Local;
use rustix::fs::FileType;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;

/// The versions that have stores here, and the SHA-256 of each one's list of checksums. A line is
/// added with each release; none is ever changed.
const VERSIONS: &[(&str, &str)] = &[(
    "0.1.0",
    "fd0f777d05a48291003f5ada3437050e1a459fec5c7ba7003030f3ea69a237b5",
)];

fn folder_of(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(version)
}

fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Printable ASCII as it is, but for `%`; other bytes as `%XX`: as make.py writes them.
fn escaped(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            0x20..0x7f if *byte != b'%' => char::from(*byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

/// What stands in a tree, by path.
type Tree = BTreeMap<String, Map<String, Value>>;

/// A point in time that an old store has.
struct Point {
    backup: BackupRef,
    level: LevelId,
    /// All that is known of it.
    known: Value,
    tree: Tree,
    /// Files whose content was lost when the store was written.
    lost: Vec<String>,
}

/// A copy of an old store, and what has to be found in it.
struct Old {
    what: String,
    expected: Value,
    room: TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

impl Old {
    /// All of them.
    fn stores() -> impl Iterator<Item = Self> {
        let names = |version: &'static str| {
            let listed = fs::read_dir(folder_of(version)).expect("the stores are there");
            let mut names: Vec<String> = listed
                .map(|entry| entry.expect("listed").file_name())
                .filter_map(|name| Some(name.to_str()?.strip_suffix(".json")?.to_owned()))
                .collect();
            names.sort();
            assert!(!names.is_empty(), "{version} has no stores");
            names.into_iter().map(move |name| (version, name))
        };
        let versions = VERSIONS.iter().flat_map(move |(version, _)| names(version));
        versions.map(|(version, name)| Self::unpack(version, &name))
    }

    fn unpack(version: &str, name: &str) -> Self {
        let folder = folder_of(version);
        let expected = fs::read(folder.join(format!("{name}.json"))).expect("what has to be found");
        let room = scratch();
        let store = room.path().join("store");
        fs::create_dir(&store).expect("made");
        let packed = fs::File::open(folder.join(format!("{name}.tar.zst"))).expect("the store");
        let tar = room.path().join("store.tar");
        let mut unpacked = fs::File::create(&tar).expect("made");
        let mut decoder = zstd::stream::read::Decoder::new(packed).expect("zstd");
        decoder.window_log_max(27).expect("within the bounds");
        std::io::copy(&mut decoder, &mut unpacked).expect("unpacked");
        let done = Command::new("tar")
            .arg("--no-same-owner")
            .arg("-C")
            .arg(&store)
            .arg("-xf")
            .arg(&tar)
            .status();
        assert!(done.expect("tar runs").success(), "{name}: tar failed");
        fs::remove_file(&tar).expect("removed");
        Self {
            what: format!("{version}/{name}"),
            expected: serde_json::from_slice(&expected).expect("it is JSON"),
            room,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.room.path().join(name)
    }

    fn passphrases(&self) -> Vec<&str> {
        let listed = self.expected["passphrases"].as_array().expect("a list");
        listed
            .iter()
            .map(|text| text.as_str().expect("text"))
            .collect()
    }

    /// Opened with the first passphrase, where the store is encrypted.
    fn access(&self) -> Access {
        self.access_with(self.passphrases().first().copied())
    }

    fn access_with(&self, passphrase: Option<&str>) -> Access {
        let passphrase = passphrase.map(|text| Passphrase::new(text.as_bytes().to_vec()));
        let store = Local::open(&self.path("store")).expect("a store");
        Access::open(Arc::new(store), passphrase.as_ref())
            .unwrap_or_else(|error| panic!("{}: {error}", self.what))
    }

    /// Oldest first within each backup.
    fn points(&self) -> Vec<Point> {
        let points = self.expected["points"].as_array().expect("a list");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let point = |known: &Value| {
            let tree = self.expected["trees"][text(&known["tree"])].as_array();
            let entries = tree.expect("a tree").iter().map(|entry| {
                let entry = entry.as_object().expect("an entry").clone();
                (text(&entry["path"]), entry)
            });
            let lost = self.expected["lost"][text(&known["level_id"])].as_array();
            Point {
                backup: text(&known["backup"]).parse().expect("a backup's name"),
                level: text(&known["level_id"]).parse().expect("a level's id"),
                known: known.clone(),
                tree: entries.collect(),
                lost: lost.into_iter().flatten().map(text).collect(),
            }
        };
        points.iter().map(point).collect()
    }

    /// The newest point in time of each backup.
    fn newest(&self) -> Vec<Point> {
        let mut newest = BTreeMap::new();
        for point in self.points() {
            newest.insert(point.known["backup"].to_string(), point);
        }
        newest.into_values().collect()
    }

    /// `freezer` with arguments that stand apart by blanks, and then some that may hold blanks.
    fn runs(&self, arguments: &str, more: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
        command
            .args(arguments.split_whitespace())
            .args(more)
            .args(["--store", "store"]);
        if let Some(passphrase) = self.passphrases().first() {
            fs::write(self.path("passphrase"), passphrase).expect("written");
            command.args(["--encrypt-pass-file", "passphrase"]);
        }
        let output = command
            .current_dir(self.room.path())
            .stdin(Stdio::null())
            .env_clear()
            .env("HOME", self.room.path())
            .env("TZ", "UTC")
            .env("LC_ALL", "C.UTF-8")
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .output()
            .expect("it starts");
        Said {
            out: String::from_utf8(output.stdout).expect("UTF-8"),
            err: String::from_utf8(output.stderr).expect("UTF-8"),
            code: output.status.code(),
        }
    }

    #[track_caller]
    fn succeeds(&self, arguments: &str, more: &[&str]) -> Said {
        let said = self.runs(arguments, more);
        assert_eq!(
            said.code,
            Some(0),
            "{}: freezer {arguments} {more:?}: {said:?}",
            self.what
        );
        said
    }

    /// Upgrades the store, after it was seen that nothing can be changed in it before.
    #[track_caller]
    fn upgraded(self) -> Self {
        for refused in [
            "backup . -N docs",
            "prune --all --keep-last 1 --yes",
            "key list",
        ] {
            let said = self.runs(refused, &[]);
            let is_refused = said.code == Some(1) && said.err.contains("freezer upgrade-store");
            assert!(
                is_refused || refused == "key list" && said.code == Some(0),
                "{}: freezer {refused}: {said:?}",
                self.what
            );
        }
        self.succeeds("upgrade-store --dry-run", &[]);
        assert!(self.access().identity().is_earlier(), "{}", self.what);
        self.succeeds("upgrade-store", &[]);
        assert!(!self.access().identity().is_earlier(), "{}", self.what);
        let again = self.succeeds("upgrade-store --json", &[]).out;
        let again: Value = serde_json::from_str(&again).expect("it is JSON");
        assert_eq!(
            again["objects"],
            json!([]),
            "{}: a second upgrade",
            self.what
        );
        self
    }

    /// Reads points in time in every detail, and wants them to be what they were.
    #[track_caller]
    fn has(&self, access: &Access, points: &[Point]) {
        let reader = reading::reader();
        for point in points {
            let what = format!("{}: {}", self.what, point.known);
            let found = read(access, point, &reader, &what);
            assert_same(&point.tree, &found, &what);
        }
    }

    /// Checks everything; the files that cannot be read and what else it says.
    fn check(&self) -> Value {
        let said = self.runs("check --read-data --json", &[]);
        let events: Vec<Value> = said
            .out
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let sorted = |event: &str, key: &str| {
            let found = events.iter().filter(|line| line["event"] == event);
            let mut found: Vec<_> = found.filter_map(|line| line[key].as_str()).collect();
            found.sort_unstable();
            found.dedup();
            json!(found)
        };
        let result = events.iter().find(|line| line["event"] == "result");
        let result = result.unwrap_or_else(|| panic!("{}: no result: {said:?}", self.what));
        json!({
            "exit_code": said.code,
            "points_in_time": result["points_in_time"],
            "entries": result["entries"],
            "damages": result["damages"],
            "files_touched": result["files_touched"],
            "files": sorted("damage", "file"),
            "remarks": sorted("remark", "remark"),
        })
    }
}

/// What a point in time shows.
#[track_caller]
fn read(access: &Access, point: &Point, reader: &Arc<FileReader>, what: &str) -> Tree {
    let backup = Catalog::new(access.store())
        .find(&point.backup)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let view = reading::open(access, &backup, &point.level, reader)
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    let entries: Vec<(NodeId, Entry)> = view
        .all()
        .map(|entry| entry.unwrap_or_else(|error| panic!("{what}: {error}")))
        .collect();
    let mut tree = Tree::new();
    let mut first_names: BTreeMap<NodeId, String> = BTreeMap::new();
    for (node, entry) in &entries {
        let path = escaped(entry.path.as_bytes());
        let first = entry.link_to.unwrap_or(*node);
        let name = first_names.entry(first).or_insert_with(|| path.clone());
        *name = (*name).clone().min(path);
    }
    for (node, entry) in &entries {
        let mut found = described(entry);
        if entry.metadata.links > 1 && entry.content != Content::Directory {
            let first = entry.link_to.unwrap_or(*node);
            found.insert("first_name".into(), json!(first_names[&first]));
        }
        let path = entry.path.to_string();
        match (reading::content(&view, entry), &entry.content) {
            (Ok(bytes), Content::File { .. }) => {
                assert!(!point.lost.contains(&path), "{what}: {path} is not lost");
                found.insert("sha256".into(), json!(sha256(&bytes)));
            }
            (Ok(_), _) => {}
            (Err(error), _) => {
                assert!(point.lost.contains(&path), "{what}: {path}: {error}");
                let known = &point.tree[&path]["sha256"];
                found.insert("sha256".into(), known.clone());
            }
        }
        tree.insert(escaped(entry.path.as_bytes()), found);
    }
    tree
}

/// An entry as make.py describes it, without its content.
fn described(entry: &Entry) -> Map<String, Value> {
    let metadata = &entry.metadata;
    let (seconds, nanoseconds) = (metadata.mtime.seconds(), metadata.mtime.nanoseconds());
    let mut found = json!({
        "path": escaped(entry.path.as_bytes()),
        "mode": format!("{:04o}", metadata.mode),
        "uid": metadata.owner.uid,
        "gid": metadata.owner.gid,
        "mtime": format!("{seconds}.{nanoseconds:09}"),
    });
    let kind = match &entry.content {
        Content::File { size, extents } => {
            found["size"] = json!(size);
            let mut runs: Vec<[u64; 2]> = Vec::new();
            for extent in extents {
                match runs.last_mut() {
                    Some([at, length]) if *at + *length == extent.at.0 => *length += extent.length,
                    _ => runs.push([extent.at.0, extent.length]),
                }
            }
            found["runs"] = json!(runs);
            "file"
        }
        Content::Directory => "directory",
        Content::Symlink(target) => {
            found["target"] = json!(escaped(target));
            "symlink"
        }
        Content::CharDevice(device) => {
            found["device"] = json!([device.major, device.minor]);
            "char device"
        }
        Content::BlockDevice(device) => {
            found["device"] = json!([device.major, device.minor]);
            "block device"
        }
        Content::Fifo => "fifo",
    };
    found["kind"] = json!(kind);
    if entry.content != Content::Directory {
        found["links"] = json!(metadata.links);
    }
    if !metadata.xattrs.is_empty() {
        let xattrs = metadata.xattrs.iter();
        found["xattrs"] = xattrs
            .map(|xattr| (escaped(&xattr.name), json!(escaped(&xattr.value))))
            .collect::<Map<_, _>>()
            .into();
    }
    match found {
        Value::Object(found) => found,
        _ => unreachable!("it was made as an object"),
    }
}

/// The same of a tree that the kernel shows.
fn scanned(root: &Path) -> Tree {
    let mut tree = Tree::new();
    for (path, found) in oracle::scan(root) {
        let kind = match found.kind {
            FileType::RegularFile => "file",
            FileType::Directory => "directory",
            FileType::Symlink => "symlink",
            FileType::Fifo => "fifo",
            FileType::CharacterDevice => "char device",
            FileType::BlockDevice => "block device",
            other => panic!("{}: {other:?}", escaped(&path)),
        };
        let mut entry = json!({
            "path": escaped(&path),
            "kind": kind,
            "mode": format!("{:04o}", found.mode),
            "uid": found.uid,
            "gid": found.gid,
            "mtime": format!("{}.{:09}", found.mtime.0, found.mtime.1),
        });
        if kind != "directory" {
            entry["links"] = json!(found.links);
            if found.links > 1 {
                entry["first_name"] = json!(escaped(&found.first_name));
            }
        }
        if kind == "file" {
            use std::os::unix::ffi::OsStrExt;
            let bytes = fs::read(root.join(std::ffi::OsStr::from_bytes(&path))).expect("readable");
            entry["size"] = json!(found.size);
            entry["sha256"] = json!(sha256(&bytes));
            entry["runs"] = json!(found.runs);
        }
        if kind == "symlink" {
            entry["target"] = json!(escaped(&found.target));
        }
        if kind.ends_with("device") {
            entry["device"] = json!([found.device.0, found.device.1]);
        }
        if !found.xattrs.is_empty() {
            let xattrs = found.xattrs.iter();
            entry["xattrs"] = xattrs
                .map(|(name, value)| (escaped(name), json!(escaped(value))))
                .collect::<Map<_, _>>()
                .into();
        }
        let entry = entry.as_object().expect("it is one").clone();
        tree.insert(escaped(&path), entry);
    }
    tree
}

#[track_caller]
fn assert_same(expected: &Tree, found: &Tree, what: &str) {
    let paths: std::collections::BTreeSet<_> = expected.keys().chain(found.keys()).collect();
    let differences: Vec<String> = paths
        .into_iter()
        .filter(|path| expected.get(*path) != found.get(*path))
        .map(|path| {
            let (was, is) = (expected.get(path), found.get(path));
            format!("{path:?}:\n  was {was:?}\n  is  {is:?}")
        })
        .collect();
    assert!(
        differences.is_empty(),
        "{what}: read another way:\n{}",
        differences.join("\n")
    );
}

#[test]
fn old_stores_are_the_bytes_that_were_written() {
    for (version, digest) in VERSIONS {
        let folder = folder_of(version);
        let list = fs::read_to_string(folder.join("SHA256SUMS")).expect("the list");
        assert_eq!(
            &sha256(list.as_bytes()),
            digest,
            "the list of {version} was edited: what a release wrote stays as it is"
        );
        let mut known: BTreeMap<&str, &str> = list
            .lines()
            .filter_map(|line| line.split_once("  "))
            .map(|(digest, name)| (name, digest))
            .collect();
        for entry in fs::read_dir(&folder).expect("listed") {
            let path = entry.expect("listed").path();
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.expect("a plain name");
            if matches!(name, "SHA256SUMS" | "make.py") {
                continue;
            }
            let digest = known.remove(name);
            let digest = digest.unwrap_or_else(|| panic!("{version}/{name} is not in the list"));
            let bytes = fs::read(&path).expect("readable");
            assert_eq!(sha256(&bytes), digest, "{version}/{name} was edited");
        }
        assert!(known.is_empty(), "{version} lacks {known:?}");
    }
}

#[test]
fn every_point_in_time_of_an_old_store_is_listed_and_read_as_it_was() {
    for old in Old::stores() {
        let points = old.points();
        for point in &points {
            let backup = point.known["backup"].as_str().expect("text");
            let listed = old.succeeds("list --json", &[backup]).out;
            let listed: Vec<Value> = serde_json::from_str(&listed).expect("it is JSON");
            let of_it = points
                .iter()
                .filter(|other| other.known["backup"] == point.known["backup"]);
            assert_eq!(listed.len(), of_it.count(), "{}: {backup}", old.what);
            let listed = listed
                .iter()
                .find(|listed| listed["level_id"] == point.known["level_id"]);
            let listed = listed.unwrap_or_else(|| panic!("{}: no {}", old.what, point.known));
            for (key, value) in point.known.as_object().expect("it is one") {
                assert!(
                    key == "tree" || &listed[key] == value,
                    "{}: {key} of {} is {}",
                    old.what,
                    point.known,
                    listed[key]
                );
            }
        }
        match &old.passphrases()[..] {
            [] => old.has(&old.access_with(None), &points),
            [first, others @ ..] => {
                old.has(&old.access_with(Some(first)), &points);
                for passphrase in others {
                    old.has(&old.access_with(Some(passphrase)), &old.newest());
                }
            }
        }
    }
}

#[test]
fn a_check_of_an_old_store_says_what_it_said() {
    for old in Old::stores() {
        let (mut expected, mut found) = (old.expected["check"].clone(), old.check());
        // What waits for its grace to end is remarked upon until then.
        expected["remarks"] = Value::Null;
        found["remarks"] = Value::Null;
        assert_eq!(found, expected, "{}", old.what);
    }
}

/// Whether this process may give files to others and make devices.
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn an_old_chain_is_gone_on_with() {
    for old in Old::stores().map(Old::upgraded) {
        for point in old.newest() {
            let has_devices = point
                .tree
                .values()
                .any(|entry| entry.contains_key("device"));
            if has_devices && !is_root() {
                continue;
            }
            let backup = point.known["backup"].as_str().expect("text");
            let (host, name) = backup.split_once('/').expect("both");
            let restored = old.runs("restore --quiet --target", &["tree", backup]);
            // Only root can give files to others.
            let is_restored = restored.code == Some(0) || !is_root() && restored.code == Some(3);
            assert!(is_restored, "{}: {backup}: {restored:?}", old.what);
            fs::write(old.path("tree/added later"), b"by a later version\n").expect("written");
            let said = old.succeeds(
                "backup tree --ignore-inode --ignore-ctime --json --hostname",
                &[host, "-N", name],
            );
            let result = said
                .out
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"))
                .find(|line| line["event"] == "result")
                .expect("a result");
            let what = format!("{}: {backup}", old.what);
            let level = point.known["level"].as_u64().expect("a number");
            assert_eq!(result["level"], json!(level + 1), "{what}");
            assert_eq!(result["parent"], point.known["level_id"], "{what}");
            leans_on_what_is_stored(&old, &point, &result, &what);
            fs::remove_dir_all(old.path("tree")).expect("removed");
        }
        old.has(&old.access(), &old.points());
        let (before, after) = (&old.expected["check"], old.check());
        for key in ["exit_code", "damages", "files"] {
            assert_eq!(after[key], before[key], "{}: {key}", old.what);
        }
    }
}

/// No content of a file that an old level holds was stored again, and all of it reads.
#[track_caller]
fn leans_on_what_is_stored(old: &Old, before: &Point, result: &Value, what: &str) {
    let (access, reader) = (old.access(), reading::reader());
    let backup = Catalog::new(access.store())
        .find(&before.backup)
        .expect("it is there");
    let level: LevelId = result["level_id"]
        .as_str()
        .and_then(|id| id.parse().ok())
        .expect("a level's id");
    let manifest = access.manifest(&backup, &level).expect("it was just made");
    let view = reading::open(&access, &backup, &level, &reader).expect("it opens");
    let mut files = 0;
    for entry in view.all() {
        let (_, entry) = entry.unwrap_or_else(|error| panic!("{what}: {error}"));
        let path = escaped(entry.path.as_bytes());
        let Content::File { extents, .. } = &entry.content else {
            continue;
        };
        let is_new = extents.iter().any(|extent| extent.level == manifest.serial);
        // A file from the future may change again without another time: it is stored each time.
        let has_to_be = ["added later", "time after 2106"].contains(&path.as_str());
        assert_eq!(is_new, has_to_be, "{what}: {path}");
        if let Some(expected) = before.tree.get(&path) {
            let bytes = reading::content(&view, &entry);
            let bytes = bytes.unwrap_or_else(|error| panic!("{what}: {path}: {error}"));
            assert_eq!(expected["sha256"], sha256(&bytes), "{what}: {path}");
            files += 1;
        }
    }
    let expected = before.tree.values();
    let expected = expected.filter(|entry| entry["kind"] == "file").count();
    assert_eq!(files, expected, "{what}: files are missing");
}

#[test]
fn an_old_store_can_be_pruned_and_repacked() {
    for old in Old::stores().map(Old::upgraded) {
        old.succeeds("prune --all --keep-last 1 --grace 0 --yes", &[]);
        let newest = old.newest();
        old.has(&old.access(), &newest);
        old.succeeds("repack --all --below 100% --grace 0 --yes", &[]);
        old.has(&old.access(), &newest);
        let check = old.check();
        assert_eq!(
            (&check["exit_code"], &check["points_in_time"]),
            (&json!(0), &json!(newest.len())),
            "{}: {check}",
            old.what
        );
    }
}

#[test]
fn what_an_old_run_left_that_was_cut_off_is_taken_up() {
    for (version, _) in VERSIONS {
        let old = Old::unpack(version, "cut-off");
        let old = Old::upgraded(old);
        assert_eq!(old.check()["remarks"], json!(["cut_off"]), "{version}");
        let tree = old.path("tree");
        fs::create_dir(&tree).expect("made");
        // The files that the run was at when it was killed, as make.py made them.
        let line = b"the same line, again and again\n";
        for number in 0..3 {
            let path = tree.join(format!("long {number}"));
            fs::write(&path, line.repeat(500_000)).expect("written");
            let mtime =
                std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_768_478_400 + number);
            let file = fs::File::options().write(true).open(&path);
            file.expect("opened").set_modified(mtime).expect("set");
        }
        let said = old.succeeds(
            "backup tree --ignore-inode --ignore-ctime --json --hostname alpha -N docs",
            &[],
        );
        let result = said
            .out
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).expect("it is JSON"))
            .find(|line| line["event"] == "result")
            .expect("a result");
        assert_eq!(result["parent"], old.points()[0].known["level_id"]);
        let taken = result["taken"]["bytes"].as_u64();
        assert!(taken.is_some_and(|bytes| bytes > 0), "{version}: {said:?}");
        let check = old.check();
        assert_eq!(check["exit_code"], 0, "{check}");
        // The file that is not there any more is left.
        assert_eq!(check["remarks"], json!(["unneeded"]), "{check}");
        let said = old.succeeds("restore --quiet --target out docs", &[]);
        for number in 0..3 {
            let bytes = fs::read(old.path(&format!("out/long {number}")));
            assert!(
                bytes.expect("restored") == line.repeat(500_000),
                "{version}: long {number}: {said:?}"
            );
        }
    }
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn a_mount_shows_an_old_store_as_it_was() {
    for old in Old::stores() {
        for point in old.newest() {
            let backup = point.known["backup"].as_str().expect("text");
            fs::create_dir_all(old.path("mounted")).expect("made");
            old.succeeds("mount", &[&format!("{backup}@latest"), "mounted"]);
            let found = std::panic::catch_unwind(|| scanned(&old.path("mounted")));
            let ended = Command::new(env!("CARGO_BIN_EXE_freezer"))
                .arg("umount")
                .arg(old.path("mounted"))
                .status();
            assert!(ended.expect("it starts").success(), "{}", old.what);
            let found = found.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let what = format!("{}: {backup}", old.what);
            assert_same(&point.tree, &found, &what);
        }
    }
}

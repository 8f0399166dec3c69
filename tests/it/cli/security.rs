//! What docs/security.md promises and no other test shows.

use super::User;
use std::path::Path;

/// What an encrypted store may not show: names, contents and link targets that `User::with_marks`
/// has, and the names of its backup.
const MARKS: &[&str] = &[
    "MARK-name",
    "MARK-folder",
    "MARK-content",
    "MARK-target",
    "MARK-host",
    "MARK-backup",
];

const BACKUP: &str = "backup docs --compression none --hostname MARK-host -N MARK-backup";

impl User {
    fn with_marks() -> Self {
        let user = Self::new();
        user.write("docs/MARK-folder/MARK-name", "MARK-content");
        std::os::unix::fs::symlink("MARK-target", user.path("docs/link")).expect("linked");
        user.write("pass", "secret\n");
        user.write("other-pass", "other\n");
        user
    }
}

/// The marks that stand in the files below a folder, or in their names.
fn marks_in(folder: &Path) -> Vec<&'static str> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
            if path.is_dir() {
                waiting.push(path);
            } else {
                bytes.extend(std::fs::read(path).expect("readable"));
            }
            let is_there = |mark: &&&str| {
                bytes
                    .windows(mark.len())
                    .any(|part| part == mark.as_bytes())
            };
            found.extend(MARKS.iter().filter(is_there));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

#[test]
fn an_encrypted_store_shows_no_content_no_name_of_a_file_and_no_target_of_a_link() {
    let user = User::with_marks();
    user.succeeds(&format!("{BACKUP} --store plain"));
    assert_eq!(marks_in(&user.path("plain")).len(), MARKS.len());
    user.succeeds(&format!("{BACKUP} --store closed --encrypt-pass-file pass"));
    assert_eq!(marks_in(&user.path("closed")), Vec::<&str>::new());
}

#[test]
fn a_passphrase_that_was_removed_opens_the_store_no_longer() {
    let user = User::with_marks();
    user.succeeds("backup docs --store st --encrypt-pass-file pass");
    user.succeeds("key add --store st --encrypt-pass-file pass --new-pass-file other-pass");
    user.succeeds("ls docs --store st --encrypt-pass-file other-pass");
    let keys = user.succeeds("key list --store st --encrypt-pass-file other-pass --json");
    let keys = keys.json();
    let key = keys
        .as_array()
        .expect("a list")
        .iter()
        .find(|key| key["in_use"] == serde_json::Value::Bool(false))
        .unwrap_or_else(|| panic!("another key: {keys}"));
    let key = key["id"].as_str().expect("an id");
    user.succeeds(&format!(
        "key remove {key} --store st --encrypt-pass-file other-pass"
    ));
    user.fails(12, "ls docs --store st --encrypt-pass-file pass");
    user.succeeds("ls docs --store st --encrypt-pass-file other-pass");
}

#[test]
#[ignore = "needs /dev/fuse and the right to mount"]
fn nothing_in_a_mount_acts_as_its_owner_or_as_a_device() {
    let user = User::with_docs();
    user.succeeds("backup docs");
    std::fs::create_dir(user.path("m")).expect("made");
    user.succeeds("mount docs@latest m");
    let place = user.path("m").canonicalize().expect("there");
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("readable");
    user.succeeds("umount m");
    let place = place.to_str().expect("text");
    let ours = mounts
        .lines()
        .find(|line| line.split(' ').nth(1) == Some(place))
        .unwrap_or_else(|| panic!("{place} is not in {mounts}"));
    let options: Vec<&str> = ours
        .split(' ')
        .nth(3)
        .expect("options")
        .split(',')
        .collect();
    for option in ["ro", "nosuid", "nodev"] {
        assert!(options.contains(&option), "{ours}");
    }
    user.fails(2, "mount docs m --uid 4294967295");
}

#[test]
fn a_forged_note_of_losses_costs_space_and_no_bytes() {
    let user = User::with_docs();
    user.succeeds("backup docs --store st");
    let mut folder = user.path("st/manifests");
    let mut name = Vec::new();
    while folder.is_dir() {
        let below = std::fs::read_dir(&folder).expect("a folder").next();
        folder = below.expect("an entry").expect("an entry").path();
        let part = folder.file_name().expect("a name").to_str().expect("text");
        name.push(part.to_owned());
    }
    let note = r#"{"version":1,"missing_segments":1,"ranges":[[0,1000000]]}"#;
    user.write(&format!("st/lost/{}", name.join("/")), note);
    user.succeeds("backup docs --store st");
    let level = name.last().expect("a level").clone();
    let (day, time) = (&level[..8], &level[9..19]);
    let first = format!(
        "docs@{}-{}-{}T{}:{}:{}Z",
        &day[..4],
        &day[4..6],
        &day[6..],
        &time[..2],
        &time[2..4],
        &time[4..]
    );
    for (target, point) in [("first", first.as_str()), ("last", "docs")] {
        user.succeeds(&format!("restore {point} --store st --target {target}"));
        let restored = std::fs::read(user.path(target).join("a.txt")).expect("there");
        assert_eq!(restored, b"hello\n", "{target}");
    }
    let stored = bytes_of(&user.path("st/data"), &level);
    assert!(stored > 0, "the forged note took data away");
}

/// Bytes of the objects below a folder whose path has `part` in it.
fn bytes_of(folder: &Path, part: &str) -> u64 {
    let mut waiting = vec![folder.to_owned()];
    let mut bytes = 0;
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.to_string_lossy().contains(part) {
                bytes += std::fs::metadata(path).expect("there").len();
            }
        }
    }
    bytes
}

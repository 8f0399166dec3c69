//! The units for systemd: sound by its own judgement, and their commands ones that there are.
#![cfg(target_os = "linux")]
#![expect(clippy::disallowed_methods, reason = "the judge is another program")]

use std::path::Path;
use std::process::Command;

#[test]
#[ignore = "needs systemd-analyze, of the package systemd"]
fn systemd_takes_the_units_and_freezer_takes_their_commands() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let room = crate::support::scratch();
    let mut seen = 0;
    for entry in std::fs::read_dir(&units).expect("there are some") {
        let path = entry.expect("listed").path();
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        // Where the program is here.
        let here = room.path().join(&name);
        std::fs::write(
            &here,
            text.replace("/usr/bin/freezer", env!("CARGO_BIN_EXE_freezer")),
        )
        .expect("written");
        let mut judge = Command::new("systemd-analyze");
        judge.args(["verify", "--man=no"]);
        if name.contains(".user.") {
            // It needs a place for the sockets of a user's session.
            judge.arg("--user").env("XDG_RUNTIME_DIR", room.path());
        }
        let output = judge.arg(&here).output().expect("systemd-analyze is there");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        let about_this: Vec<&str> = told.lines().filter(|line| line.contains(&name)).collect();
        assert!(
            output.status.success() && about_this.is_empty(),
            "{name}: {told}"
        );
        for line in text
            .lines()
            .filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/freezer "))
        {
            let words: Vec<&str> = line
                .split_whitespace()
                .filter(|word| !word.starts_with('$'))
                .collect();
            let output = Command::new(env!("CARGO_BIN_EXE_freezer"))
                .args(words)
                .arg("--help")
                .output()
                .expect("it runs");
            assert!(
                output.status.success(),
                "{name}: {line}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

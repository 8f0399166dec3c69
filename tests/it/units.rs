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

/// The settings of a unit: keys and values.
fn settings(unit: &str) -> Vec<(String, String)> {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
    let text = std::fs::read_to_string(units.join(unit)).expect("text");
    text.lines()
        .filter(|line| !line.starts_with(['#', '[']))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[test]
fn no_setting_hides_a_folder_from_the_scheduler_or_keeps_it_from_restoring_one() {
    const HIDES: &[&str] = &[
        "Bind",
        "DeviceAllow",
        "DevicePolicy",
        "DynamicUser",
        "Inaccessible",
        "Join",
        "MountFlags",
        "NoExecPaths",
        "Private",
        "ProcSubset",
        "Protect",
        "ReadOnly",
        "ReadWrite",
        "RestrictSUIDSGID",
        "Root",
        "Temporary",
        "UMask",
        "User",
    ];
    for unit in [
        "freezer-scheduler.service",
        "freezer-scheduler.user.service",
    ] {
        for (key, _) in settings(unit) {
            let hides = HIDES.iter().any(|hides| key.starts_with(hides));
            assert!(
                !hides,
                "{unit}: {key} gives the scheduler a tree that is not the machine's"
            );
        }
    }
    // What a restore as root needs, and snapshots.
    let kept = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
    ];
    let kept = kept
        .iter()
        .chain(&["MAC_ADMIN", "MKNOD", "SETFCAP", "SYS_ADMIN", "SYS_NICE"]);
    let taken: String = settings("freezer-scheduler.service")
        .into_iter()
        .filter(|(key, _)| key == "CapabilityBoundingSet")
        .map(|(_, value)| {
            value
                .strip_prefix('~')
                .expect("a list of what goes")
                .to_owned()
                + " "
        })
        .collect();
    assert!(taken.contains("CAP_SYS_MODULE "), "{taken}");
    for kept in kept {
        let taken = taken
            .split_whitespace()
            .any(|taken| taken == format!("CAP_{kept}"));
        assert!(!taken, "CAP_{kept}");
    }
}

#[test]
#[ignore = "needs systemd-analyze, of the package systemd"]
fn systemd_finds_the_units_no_more_exposed_than_they_were() {
    // Tenths of its scores from 0 to 10: 8.5 and 9.6 without hardening.
    for (unit, most) in [
        ("freezer-api.service", 20),
        ("freezer-scheduler.service", 75),
    ] {
        let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/systemd");
        let output = Command::new("systemd-analyze")
            .args(["security", "--no-pager", "--offline=yes"])
            .arg(format!("--threshold={most}"))
            .arg(units.join(unit))
            .output()
            .expect("systemd-analyze is there");
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{told}");
        assert!(told.contains("Overall exposure level"), "{told}");
    }
}

//! Names that mislead: none reaches a terminal, a pipe or the log as it is. JSON has them exact.

use super::{Said, User};

/// What a name may do to a reader.
#[cfg(target_os = "linux")]
const NAMES: [&[u8]; 7] = [
    b"\x1b]0;title\x07",
    b"a\nfreezer: all is well\nb",
    b"\r\x1b[2Kgone",
    b"\xff\xfe\x9b31m",
    "\u{202e}gpj.exe".as_bytes(),
    "\u{9b}31mC1".as_bytes(),
    "\u{2028}\u{feff}\u{e0041}x".as_bytes(),
];

/// Fails where anything but plain text is shown.
#[cfg(target_os = "linux")]
fn check(text: &str, what: &str) {
    let is_plain = |c: char| {
        c == '\n'
            || c == '\t'
            || freezer::model::printable(c.to_string().as_bytes()) == c.to_string()
    };
    let bad: Vec<char> = text.chars().filter(|c| !is_plain(*c)).collect();
    assert!(bad.is_empty(), "{what}: {bad:?} in {text:?}");
    let is_forged = |line: &str| line.starts_with("freezer: all is well");
    assert!(!text.lines().any(is_forged), "{what}: {text}");
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_never_disturbs_what_is_shown_or_logged() {
    use std::os::unix::ffi::OsStrExt;
    let user = User::new();
    for name in NAMES {
        for kind in [b"f", b"d"] {
            let name = [kind, name].concat();
            let path = user.path("docs").join(std::ffi::OsStr::from_bytes(&name));
            std::fs::create_dir_all(user.path("docs")).expect("a directory");
            if kind == b"f" {
                std::fs::write(&path, b"x").expect("written");
            } else {
                std::fs::create_dir(&path).expect("a directory");
                let socket = std::os::unix::net::UnixListener::bind(path.join("s"));
                drop(socket.expect("a socket"));
            }
        }
    }
    let log = user.path("log");
    let log = log.to_str().expect("text");
    let backup = format!("backup docs --hostname here -vvv --log-file {log}");
    let commands = [
        backup.as_str(),
        "list",
        "list docs",
        "ls docs",
        "ls -lR docs",
        "find docs *",
        "du docs",
        "diff docs docs",
        "check",
        "restore docs --target there --dry-run",
        "restore docs --target there",
    ];
    for command in commands {
        let Said { out, err, .. } = user.runs(command);
        check(&out, command);
        check(&err, command);
    }
    check(&std::fs::read_to_string(log).expect("a log"), "the log");
    let shown = user.succeeds("ls -R docs --json");
    check(&shown.out, "JSON");
    let first: serde_json::Value =
        serde_json::from_str(shown.out.lines().next().expect("a line")).expect("JSON");
    assert!(first.is_object(), "{first}");
}

#[test]
fn a_secret_in_a_url_is_not_repeated() {
    let user = User::new();
    for url in [
        "webdav://user:hunter2@127.0.0.1:9/x",
        "https://user:hunter2@127.0.0.1:9/x",
        "s3://AK:hunter2@bucket/p",
        "s3:AK:hunter2@bucket/p",
        "sftp://u:hunter2@127.0.0.1/p",
        "swift:x?password=hunter2",
        "s3://bucket?hunter2",
        "s3://bucket?endpoint=http://u:hunter2@127.0.0.1:9",
    ] {
        let Said { out, err, .. } = user.runs(&format!(
            "list --store {url} --retry-for 0s --timeout 1s -vvv"
        ));
        assert!(
            !err.contains("hunter2") && !out.contains("hunter2"),
            "{url}: {err}"
        );
        assert!(err.contains("freezer: "), "{url}: {err}");
    }
}

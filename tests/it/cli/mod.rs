//! The command line: what it takes, prints and returns, run as people run it.
#![expect(clippy::disallowed_methods, reason = "these tests run programs")]

mod check;
mod damage;
mod drips;
mod empty;
mod excludes;
mod exit_codes;
mod help;
mod init;
mod keys;
mod known_stores;
mod layers;
mod looking;
mod mount;
mod original;
mod outside;
mod plain_http;
mod printable;
mod private_files;
mod prune;
mod repack;
mod security;
mod several;
#[cfg(unix)]
mod sftp_lies;
mod signals;
mod sources;
mod stores;
mod sync;
mod terminal;
mod transcript;
mod unlock;
mod unproven;
mod untrusted;
mod version_2;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// The longest tick of a file system's clock that a backup reckons with.
const LONGEST_TICK: std::time::Duration = std::time::Duration::from_millis(20);

/// A user with a home of their own and nothing in it.
struct User {
    home: TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
struct Said {
    out: String,
    err: String,
    code: i32,
}

impl User {
    fn new() -> Self {
        Self {
            home: tempfile::tempdir().expect("a directory"),
        }
    }

    /// A user who has a small tree called `docs`.
    fn with_docs() -> Self {
        let user = Self::new();
        user.write("docs/a.txt", "hello\n");
        user.write("docs/sub/b.txt", "bee\n");
        user
    }

    fn path(&self, below_home: impl AsRef<Path>) -> PathBuf {
        self.home.path().join(below_home)
    }

    /// Makes an encrypted store as one that was upgraded is: its objects show the names of hosts
    /// and backups.
    fn make_store_that_shows_names(&self, below_home: &str, pass_file: &str) {
        use crate::support::backup::create_encrypted_with;
        let line = std::fs::read(self.path(pass_file)).expect("written before");
        let passphrase = freezer::model::Passphrase::new(line.trim_ascii_end().to_vec());
        let store = freezer::store::local::Local::create(&self.path(below_home)).expect("made");
        create_encrypted_with(std::sync::Arc::new(store), &passphrase);
    }

    fn write(&self, below_home: &str, content: impl AsRef<[u8]>) {
        let path = self.path(below_home);
        std::fs::create_dir_all(path.parent().expect("below home")).expect("a directory");
        std::fs::write(path, content).expect("written");
    }

    /// Waits until a file is older than a tick of the file system's clock. One that is read within
    /// a tick of its change is stored again by the next backup.
    fn outlive_a_tick(&self, below_home: &str) {
        let path = self.path(below_home);
        let age = || {
            let changed = std::fs::metadata(&path).and_then(|stat| stat.modified());
            changed.expect("a time").elapsed().unwrap_or_default()
        };
        while age() < LONGEST_TICK {
            std::thread::yield_now();
        }
    }

    /// `freezer`, in the home directory, with nothing in its environment that the machine put
    /// there.
    fn freezer(&self) -> Command {
        self.program(env!("CARGO_BIN_EXE_freezer"))
    }

    fn program(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .env_clear();
        command
            .env("HOME", self.home.path())
            .env("TZ", "Europe/Berlin")
            .env("LC_ALL", "C.UTF-8");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// Runs `freezer` with arguments as they would be typed, apart by blanks.
    fn runs(&self, arguments: &str) -> Said {
        said(self.freezer().args(arguments.split_whitespace()))
    }

    /// Runs it, and wants it to have done all.
    fn succeeds(&self, arguments: &str) -> Said {
        let said = self.runs(arguments);
        assert_eq!(said.code, 0, "freezer {arguments}: {said:?}");
        said
    }

    /// Runs it, and wants this exit code.
    fn fails(&self, code: i32, arguments: &str) -> Said {
        let said = self.runs(arguments);
        assert_eq!(said.code, code, "freezer {arguments}: {said:?}");
        said
    }

    /// The objects of the default store's levels whose path has this in it.
    fn objects(&self, part: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut waiting = vec![self.path(".local/share/freezer/store")];
        while let Some(folder) = waiting.pop() {
            for entry in std::fs::read_dir(folder).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    waiting.push(path);
                } else if path.to_string_lossy().contains(part) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }
}

fn said(command: &mut Command) -> Said {
    let Output {
        stdout,
        stderr,
        status,
    } = command.output().expect("it starts");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said {
        out: text(stdout),
        err: text(stderr),
        code: status.code().expect("it ended by itself"),
    }
}

impl Said {
    fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The event of this kind among the lines of a long run.
    fn event(&self, kind: &str) -> serde_json::Value {
        let events = self
            .out
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a line is JSON"));
        events
            .into_iter()
            .find(|event| event["event"] == kind)
            .unwrap_or_else(|| panic!("no {kind}: {self:?}"))
    }
}

//! Readers that share no code with Freezer read what Freezer writes: random trees, in every
//! compression, with and without a passphrase, in chains, by both engines, and after a repack.
#![expect(
    clippy::disallowed_methods,
    reason = "the readers are other programs, and so is freezer"
)]

use crate::support::dice::Dice;
use crate::support::python::{self, SCRIPT};
use crate::support::{backup, oracle, scratch};
use freezer::backup::{BlockOptions, Engine};
use freezer::catalog::Access;
use freezer::format::frame::Compression;
use freezer::store::local::Local;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

/// How many times the tree is changed and backed up again.
const LATER_LEVELS: u64 = 2;
/// How many changes there are before each level.
const CHANGES: u64 = 25;

/// A tree that changes, and a store that it is backed up to.
struct Room {
    folder: tempfile::TempDir,
    dice: Dice,
    next: u64,
    seed: u64,
}

impl Room {
    fn new(seed: u64) -> Self {
        let folder = scratch();
        fs::create_dir(folder.path().join("tree")).expect("made");
        let passphrase = [backup::passphrase().expose(), &b"\n"[..]].concat();
        fs::write(folder.path().join("passphrase"), passphrase).expect("written");
        let file = folder.path().join("passphrase");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(file, private).expect("set");
        Self {
            folder,
            dice: Dice::of(seed),
            next: 0,
            seed,
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn content(&mut self) -> Vec<u8> {
        let length = match self.dice.below(8) {
            0 => 0,
            1 => 40_000 + self.dice.below(300_000),
            _ => self.dice.below(3_000),
        };
        let word = self.dice.below(1 << 40).to_le_bytes();
        let repeats = self.dice.below(2) == 0;
        let byte = |at: u64| {
            if repeats {
                word[usize::try_from(at % 8).expect("below 8")]
            } else {
                (word[0] ^ at.wrapping_mul(2_654_435_761).to_le_bytes()[2]) ^ word[1]
            }
        };
        (0..length).map(byte).collect()
    }

    /// Every directory, and every other entry, of the tree.
    fn entries(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let (mut directories, mut others) = (vec![self.at("tree")], Vec::new());
        let mut next = 0;
        while let Some(directory) = directories.get(next).cloned() {
            next += 1;
            let mut listed: Vec<PathBuf> = fs::read_dir(directory)
                .expect("listed")
                .map(|entry| entry.expect("listed").path())
                .collect();
            listed.sort();
            for path in listed {
                let is_directory = path.symlink_metadata().expect("there").is_dir();
                if is_directory {
                    &mut directories
                } else {
                    &mut others
                }
                .push(path);
            }
        }
        (directories, others)
    }

    /// Changes the tree in some way.
    fn change(&mut self) {
        let (directories, others) = self.entries();
        let new = self.dice.one(&directories).join(format!("n{}", self.next));
        self.next += 1;
        let some = (!others.is_empty()).then(|| self.dice.one(&others).clone());
        match (self.dice.below(12), some) {
            (0..=3, _) | (_, None) => {
                let content = self.content();
                fs::write(new, content).expect("written");
            }
            (4, _) => fs::create_dir(new).expect("made"),
            (5, Some(some)) => fs::hard_link(some, new).expect("linked"),
            (6, Some(some)) => std::os::unix::fs::symlink(some, new).expect("linked"),
            (7, Some(some)) => fs::remove_file(some).expect("removed"),
            (8, Some(some)) if some.is_file() && !some.is_symlink() => {
                let mut content = fs::read(&some).expect("read");
                content.extend(self.content());
                fs::write(some, content).expect("written");
            }
            (9, Some(some)) if some.is_file() && !some.is_symlink() => {
                let file = fs::OpenOptions::new()
                    .write(true)
                    .open(some)
                    .expect("opened");
                file.set_len(self.dice.below(200_000))
                    .expect("cut or made longer");
            }
            (10, _) => {
                let directory = self.dice.one(&directories).clone();
                if directory != self.at("tree") && !new.starts_with(&directory) {
                    fs::rename(directory, new).expect("renamed");
                }
            }
            (_, Some(some)) => fs::rename(some, new).expect("renamed"),
        }
    }

    fn python(&self, python: &str, script: &Path, arguments: &[&str]) -> Output {
        Command::new(python)
            .arg(script)
            .arg("--pass-file")
            .arg(self.at("passphrase"))
            .arg(self.at("store"))
            .args(arguments)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::null())
            .output()
            .expect("Python runs")
    }

    /// Reads the newest point in time with both readers, and wants it to be the tree.
    fn agree(&self, what: &str) {
        let expected = oracle::scan(&self.at("tree"));
        let decoder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/decoder.py");
        let decoded = self.at("decoded");
        fs::remove_dir_all(&decoded).ok();
        let target = decoded.to_str().expect("UTF-8");
        let python = python::for_the_decoder();
        let output = self.python(python, &decoder, &["x", "host/tree", target]);
        self.same(&expected, &output, &decoded, &format!("{what}, decoder"));
        let checked = self.python(python, &decoder, &["check"]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(
            checked.status.success(),
            "{what}, check by the decoder: {said}"
        );

        let script = Path::new(SCRIPT);
        let output = self.python(
            python::with_cryptography(),
            script,
            &["host/tree", "--tree"],
        );
        let (tar, rescued) = (self.at("tar"), self.at("rescued"));
        fs::write(&tar, &output.stdout).expect("written");
        fs::remove_dir_all(&rescued).ok();
        fs::create_dir(&rescued).expect("made");
        let done = Command::new("tar")
            .arg("-C")
            .arg(&rescued)
            .arg("-xpf")
            .arg(&tar)
            .output()
            .expect("tar runs");
        assert!(
            done.status.success(),
            "{what}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        self.same(&expected, &output, &rescued, &format!("{what}, rescue"));
    }

    fn same(&self, expected: &oracle::Tree, output: &Output, target: &Path, what: &str) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {said}");
        let found = oracle::scan(target);
        let differences = oracle::compare(expected, &found, oracle::Holes::Zeros);
        assert!(
            differences.is_empty(),
            "{what}:\n{}",
            differences.join("\n")
        );
    }

    fn freezer(&self, arguments: &str, is_encrypted: bool) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
        command
            .args(arguments.split_whitespace())
            .arg("--store")
            .arg(self.at("store"));
        if is_encrypted {
            command
                .arg("--encrypt-pass-file")
                .arg(self.at("passphrase"));
        }
        let output = command
            .stdin(Stdio::null())
            .env("HOME", self.at("home"))
            .output()
            .expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "freezer {arguments}: {said}");
    }

    /// A chain of levels of the changing tree, read after each; then pruned, repacked, read again.
    fn chain(&mut self, method: Compression, is_encrypted: bool, engine: Engine) {
        let what = format!(
            "seed {}, {method}, encrypted: {is_encrypted}, {engine:?}",
            self.seed
        );
        let store = Arc::new(Local::create(&self.at("store")).expect("a store"));
        let access: Access = if is_encrypted {
            backup::create_hidden(store)
        } else {
            backup::create_plain(store)
        };
        for level in 0..=LATER_LEVELS {
            (0..CHANGES).for_each(|_| self.change());
            let tree = self.at("tree");
            backup::back_up(&access, &[&tree], |request| {
                request.levels.incremental = true;
                request.engine = engine;
                request.compression = method;
                request.compression_level = method.default_level();
            });
            if level == 0 || level == LATER_LEVELS {
                self.agree(&format!("{what}, level {level}"));
            }
        }
        self.freezer("prune --all --keep-last 1 --grace 0 --yes", is_encrypted);
        self.freezer("repack --all --below 100% --grace 0 --yes", is_encrypted);
        self.agree(&format!("{what}, repacked"));
    }
}

#[test]
fn independent_readers_agree_on_chains_of_random_trees() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let seed = Dice::any_seed();
    let blocks = BlockOptions {
        least_block_bytes: 4096,
        threshold_bytes: 20_000,
    };
    let kinds = Compression::ALL
        .into_iter()
        .flat_map(|method| [(method, false), (method, true)]);
    for (number, (method, is_encrypted)) in (0..).zip(kinds) {
        let engine = match number % 4 {
            1 | 2 => Engine::Rsync(blocks),
            _ => Engine::Tar,
        };
        Room::new(seed.wrapping_add(number).max(1)).chain(method, is_encrypted, engine);
    }
}

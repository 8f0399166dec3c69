//! Commands that ask on a terminal.

use super::User;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A command on a terminal of its own, and what it has shown so far.
pub(super) struct Dialogue {
    child: Child,
    keyboard: ChildStdin,
    screen: ChildStdout,
    shown: Vec<u8>,
}

/// The key that interrupts.
const CTRL_C: &[u8] = b"\x03";

impl User {
    /// Starts `freezer` with these arguments on a terminal.
    pub(super) fn on_terminal(&self, arguments: &str) -> Dialogue {
        let line = format!("{} {arguments}", env!("CARGO_BIN_EXE_freezer"));
        let mut child = self
            .program("script")
            .args(["--quiet", "--return", "--echo", "never", "--command", &line])
            .arg("/dev/null")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        Dialogue {
            keyboard: child.stdin.take().expect("piped"),
            screen: child.stdout.take().expect("piped"),
            child,
            shown: Vec::new(),
        }
    }
}

impl Dialogue {
    /// Reads until this is shown. What is typed before a question may be thrown away.
    pub(super) fn until(&mut self, end: &str) {
        while !self.shown.ends_with(end.as_bytes()) {
            let mut byte = [0];
            if let Err(error) = self.screen.read_exact(&mut byte) {
                panic!("{end:?} is not shown: {error}: {:?}", self.text());
            }
            self.shown.extend(byte);
        }
    }

    pub(super) fn press(&mut self, keys: &[u8]) {
        self.keyboard.write_all(keys).expect("typed");
    }

    /// Waits for the end; returns all that was shown, and the exit code.
    pub(super) fn end(mut self) -> (String, Option<i32>) {
        self.screen.read_to_end(&mut self.shown).expect("the rest");
        let status = self.child.wait().expect("it ends");
        (self.text(), status.code())
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.shown).into_owned()
    }
}

/// A user with two points in time.
fn user_with_two_points() -> User {
    let user = User::with_docs();
    for content in ["one\n", "two\n"] {
        user.write("docs/a.txt", content);
        user.succeeds("backup docs --hostname here -q");
    }
    user
}

/// A user with two points in time, of which the first cannot be opened.
fn user_with_an_unreadable_point() -> User {
    let user = user_with_two_points();
    let manifest = user.objects("/manifests/").remove(0);
    std::fs::remove_file(&manifest).expect("removed");
    std::fs::write(&manifest, "junk").expect("written");
    user
}

#[test]
fn an_interrupt_at_a_question_ends_the_command_and_changes_nothing() {
    for (user, command) in [
        (user_with_an_unreadable_point(), "repair docs"),
        (user_with_two_points(), "prune docs --keep-last 1"),
    ] {
        let before = user.objects("/");
        let mut dialogue = user.on_terminal(command);
        dialogue.until("[y/N] ");
        dialogue.press(CTRL_C);
        let (shown, code) = dialogue.end();
        assert_eq!(code, Some(130), "{command}: {shown}");
        // A claim that the command held is given up, and the command was not cut off.
        assert_eq!(user.objects("/"), before, "{command}: {shown}");
        assert!(!shown.contains("at once"), "{command}: {shown}");
    }
}

#[test]
fn only_a_yes_removes_what_cannot_be_opened() {
    let user = user_with_an_unreadable_point();
    for (answer, left) in [("\n", 2), ("no\n", 2), ("y\n", 1)] {
        let mut dialogue = user.on_terminal("repair docs");
        dialogue.until("[y/N] ");
        dialogue.press(answer.as_bytes());
        let (shown, _) = dialogue.end();
        assert_eq!(user.objects("/manifests/").len(), left, "{shown}");
    }
}

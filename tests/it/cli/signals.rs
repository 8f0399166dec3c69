//! Interrupted, and with nobody reading.

use super::User;
use rustix::process::{Pid, Signal, kill_process};
use std::io::Read;
use std::process::{Child, Stdio};

/// A user with a backup that no pipe holds, and `freezer export` of it, after its first byte was
/// read.
fn exporting() -> (User, Child) {
    let user = User::new();
    for file in 0_u8..4 {
        user.write(&format!("docs/{file}"), vec![file; 4 << 20]);
    }
    user.succeeds("backup docs");
    let mut child = user
        .freezer()
        .args(["export", "docs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = [0];
    child
        .stdout
        .as_mut()
        .expect("piped")
        .read_exact(&mut first)
        .expect("a first byte");
    (user, child)
}

#[test]
fn an_interrupt_ends_the_work_in_order_with_its_exit_code() {
    for signal in [Signal::INT, Signal::TERM] {
        let (_user, mut child) = exporting();
        let pid = Pid::from_child(&child);
        kill_process(pid, signal).expect("sent");
        let mut rest = Vec::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_end(&mut rest)
            .expect("read");
        let output = child.wait_with_output().expect("it ends");
        let told = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(130), "{told}");
        assert!(
            told.contains("interrupted") && told.contains("hint:"),
            "{told}"
        );
        assert!(rest.len() < 16 << 20, "it went on to the end");
    }
}

#[test]
fn a_second_interrupt_ends_it_at_once() {
    // It hangs in a write that nobody takes, so it cannot look at the flag.
    let (_user, mut child) = exporting();
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT).expect("sent");
    while child.try_wait().expect("asked").is_none() {
        // The same signal, sent while the first waits, is merged with it.
        kill_process(pid, Signal::INT).expect("sent");
        std::thread::yield_now();
    }
    assert_eq!(child.wait().expect("ended").code(), Some(130));
}

#[test]
fn when_nobody_reads_any_more_it_ends_quietly() {
    let (_user, mut child) = exporting();
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

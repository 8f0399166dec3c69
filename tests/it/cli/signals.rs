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

/// Whether this process was started with a signal ignored, as by `nohup`. Its children are too.
fn is_ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let bits = u64::from_str_radix(ignored.expect("there").trim(), 16).expect("bits");
    bits >> (signal.as_raw() - 1) & 1 == 1
}

#[test]
fn one_signal_of_any_kind_ends_a_run_that_hangs() {
    // It hangs in a write that nobody takes.
    let signals = [
        Signal::INT,
        Signal::TERM,
        Signal::HUP,
        Signal::QUIT,
        Signal::XFSZ,
    ];
    let told = signals.into_iter().filter(|signal| !is_ignored(*signal));
    let hanging: Vec<_> = told
        .map(|signal| {
            let (user, child) = exporting();
            kill_process(Pid::from_child(&child), signal).expect("sent");
            (signal, user, child)
        })
        .collect();
    for (signal, _user, mut child) in hanging {
        let status = child.wait().expect("it ends");
        let mut told = String::new();
        child
            .stderr
            .take()
            .expect("piped")
            .read_to_string(&mut told)
            .expect("text");
        assert_eq!(status.code(), Some(130), "{signal:?}: {told}");
        assert!(told.contains("did not answer within"), "{signal:?}: {told}");
    }
}

#[test]
fn a_run_under_nohup_does_not_hear_of_a_hang_up() {
    let user = User::new();
    for file in 0_u8..4 {
        user.write(&format!("docs/{file}"), vec![file; 4 << 20]);
    }
    user.succeeds("backup docs");
    let mut child = user
        .program("sh")
        .args(["-c", "trap '' HUP; exec \"$@\"", "sh"])
        .args([env!("CARGO_BIN_EXE_freezer"), "export", "docs"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut first = [0];
    let output = child.stdout.as_mut().expect("piped");
    output.read_exact(&mut first).expect("a first byte");
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::HUP).expect("sent");
    // Were it the second signal, it would end the process at once and without a word.
    kill_process(pid, Signal::TERM).expect("sent");
    child.wait().expect("it ends");
    let mut told = String::new();
    let mut errors = child.stderr.take().expect("piped");
    errors.read_to_string(&mut told).expect("text");
    assert!(told.contains("did not answer within"), "{told}");
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

//! Child processes: the one place that starts any.

use super::system;
use std::ffi::OsStr;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};

/// What a process in the background says on its standard output when it is ready.
const READY: &[u8; 1] = b"R";

/// Runs a program to its end, with no input, and gives what it printed.
///
/// # Errors
///
/// When it could not be started; how it ended is in the output.
pub fn run<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> io::Result<Output> {
    command(program).args(arguments).stdin(Stdio::null()).output()
}

/// A child process that is talked to: its standard input, output and error are pipes, each to be taken once.
#[derive(Debug)]
pub struct Piped {
    child: Child,
    /// Where it reads from.
    pub input: Option<ChildStdin>,
    /// Where it writes to.
    pub output: Option<ChildStdout>,
    /// Where it says what goes wrong.
    pub errors: Option<ChildStderr>,
}

impl Piped {
    /// Ends it, if it has not ended, and leaves nothing of it behind.
    pub fn kill(&mut self) {
        // One that has ended already cannot be killed, and need not be.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a program to be talked to.
///
/// # Errors
///
/// When it could not be started.
pub fn start_piped<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> io::Result<Piped> {
    let mut child = command(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    Ok(Piped { input: child.stdin.take(), output: child.stdout.take(), errors: child.stderr.take(), child })
}

/// How a process that was to go on in the background began.
#[derive(Debug)]
pub enum Background {
    /// It said that it is ready, and goes on under this process number.
    Ready(u32),
    /// It ended before that. What went wrong it has told on the standard error, which it shares until it is ready.
    Ended(ExitStatus),
}

/// Starts a program, and waits until it says by [`report_ready`] that it is ready, or ends.
///
/// Its standard output is how it says so: it must print nothing there before. It should begin with
/// [`leave_session`], so that the terminal's interrupts and hang-up do not reach it.
pub fn start_in_background<S: AsRef<OsStr>>(program: &Path, arguments: impl IntoIterator<Item = S>) -> io::Result<Background> {
    let mut child = command(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let mut said = [0];
    let heard = child.stdout.take().map(|mut output| output.read_exact(&mut said));
    match heard {
        Some(Ok(())) if said == *READY => Ok(Background::Ready(child.id())),
        _ => child.wait().map(Background::Ended),
    }
}

/// Takes this process out of its terminal's session.
///
/// # Errors
///
/// When it leads a process group already, as one started by a shell for itself does.
pub fn leave_session() -> io::Result<()> {
    system::leave_session()
}

/// Tells the process that started this one by [`start_in_background`] that it is ready, and lets go of standard output
/// and error, which are nowhere from then on.
///
/// # Errors
///
/// When nobody waits for it any more.
pub fn report_ready() -> io::Result<()> {
    system::report_ready(READY)
}

#[expect(clippy::disallowed_methods, reason = "the one home of child processes")]
fn command(program: &Path) -> Command {
    Command::new(program)
}

#[cfg(all(test, unix))]
mod tests {
    use super::{Background, run, start_in_background};

    fn shell(script: &str) -> Background {
        start_in_background("/bin/sh".as_ref(), ["-c", script]).expect("a shell")
    }

    #[test]
    fn a_child_that_says_it_is_ready_goes_on_alone() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
        let script = format!("printf R; exec >/dev/null; read word < '{0}'; echo \"$word\" > '{0}'", fifo.display());
        assert!(matches!(shell(&script), Background::Ready(_)));
        std::fs::write(&fifo, "alive\n").unwrap();
        assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "alive\n");
    }

    #[test]
    fn a_child_that_ends_before_it_is_ready_gives_its_status() {
        let Background::Ended(status) = shell("exit 7") else { panic!("it was never ready") };
        assert_eq!(status.code(), Some(7));
        let Background::Ended(status) = shell("echo wrong; exit 3") else { panic!("it said something else") };
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_run_gives_what_was_printed() {
        let output = run("/bin/sh".as_ref(), ["-c", "cat; echo out; echo err >&2; exit 2"]).unwrap();
        assert_eq!((&*output.stdout, &*output.stderr, output.status.code()), (&b"out\n"[..], &b"err\n"[..], Some(2)));
    }
}

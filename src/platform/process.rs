//! Child processes. No other module starts any.

use super::{Running, system};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::{
    Child, ChildStderr, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio,
};

/// The bytes that a process in the background writes to its standard output when it is ready.
const READY: &[u8; 1] = b"R";

/// Runs a program to its end without input, and returns what it printed.
///
/// # Errors
///
/// When the program could not be started. The output says how it ended.
pub fn run<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<Output> {
    command(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
}

/// Runs a program like [`run`], with these environment variables besides those of this process.
///
/// # Errors
///
/// When the program could not be started. The output says how it ended.
#[cfg(unix)]
pub fn run_with<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
    variables: &[(&str, String)],
) -> io::Result<Output> {
    command(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .output()
}

/// Runs a program to its end, with the standard input, output and error of this process.
///
/// # Errors
///
/// When the program could not be started.
pub fn run_attached<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<ExitStatus> {
    command(program).args(arguments).status()
}

/// Runs a program to its end with the standard input and error of this process, and reads at most
/// `most` bytes of what it prints into `output`, which does not grow if it has room for them.
///
/// # Errors
///
/// When the program could not be started, or its output not be read.
pub fn read_output<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
    most: u64,
    output: &mut Vec<u8>,
) -> io::Result<ExitStatus> {
    let mut child = command(program)
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()?;
    let read = child
        .stdout
        .take()
        .map_or(Ok(0), |printed| printed.take(most).read_to_end(output));
    // The pipe is closed by now, so a program that prints more ends too.
    let status = child.wait()?;
    read.map(|_| status)
}

/// A child process behind pipes: its standard input, output and error, each to be taken once.
#[derive(Debug)]
pub struct Piped {
    child: Child,
    /// Its standard input.
    pub input: Option<ChildStdin>,
    /// Its standard output.
    pub output: Option<ChildStdout>,
    /// Its standard error.
    pub errors: Option<ChildStderr>,
}

impl Piped {
    /// Ends the process if it still runs, and leaves no zombie behind.
    pub fn kill(&mut self) {
        // Fails only if the process has ended, which is what is wanted.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Starts a program with pipes to its standard input, output and error.
///
/// # Errors
///
/// When the program could not be started.
pub fn start_piped<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<Piped> {
    let mut child = command(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    Ok(Piped {
        input: child.stdin.take(),
        output: child.stdout.take(),
        errors: child.stderr.take(),
        child,
    })
}

/// A signal to another process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Asks it to end in order (`SIGTERM`).
    Gently,
    /// Ends it at once (`SIGKILL`).
    AtOnce,
    /// Does not end it: has it read its settings again (`SIGHUP`).
    Reload,
}

/// Returns the signals that ask this process to end: `SIGINT`, `SIGTERM`, `SIGQUIT` and `SIGXFSZ`,
/// and `SIGHUP` if it is wanted and this process was not started with it ignored, as by `nohup`.
pub fn ending_signals(hang_up: HangUp) -> Vec<i32> {
    system::ending_signals(hang_up)
}

/// Whether `SIGHUP` ends a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HangUp {
    /// It ends the process, as the other signals do.
    Ends,
    /// It means something else.
    MeansMore,
}

/// Sends a signal to one process. A process that has ended already is no error.
pub fn end(process: &Running, how: End) -> io::Result<()> {
    system::end_process(process, how)
}

/// Kills all processes of a session that have `variable` with this value in their environment.
/// Returns how many.
pub fn kill_marked(session: u32, variable: &str, value: &str) -> io::Result<usize> {
    system::kill_marked(session, variable, value)
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Its file, or a name to be looked up in `PATH`.
    pub program: OsString,
    /// Its arguments, without the program itself.
    pub arguments: Vec<OsString>,
}

/// A pipeline of programs in a process group of their own: each reads the output of the one before.
#[derive(Debug)]
pub struct Group {
    children: Vec<Child>,
    leader: u32,
    /// The exit code of each that has ended.
    ended: Vec<Option<i32>>,
}

impl Group {
    /// Starts them without input, with these environment variables besides those of this process.
    ///
    /// # Errors
    ///
    /// When one could not be started. Those before it are killed.
    pub fn start(
        programs: &[Program],
        variables: &[(&str, String)],
        output: &File,
        errors: &File,
    ) -> io::Result<Self> {
        let mut group = Self {
            children: Vec::new(),
            leader: 0,
            ended: Vec::new(),
        };
        let mut input = Stdio::null();
        for (index, program) in programs.iter().enumerate() {
            let is_last = index + 1 == programs.len();
            let started = group.add(
                program,
                variables,
                input,
                if is_last {
                    output.try_clone()?.into()
                } else {
                    Stdio::piped()
                },
                errors,
            );
            input = match started {
                Ok(output) => output.map_or_else(Stdio::null, Stdio::from),
                Err(error) => {
                    group.end(End::AtOnce)?;
                    group
                        .children
                        .iter_mut()
                        .try_for_each(|child| child.wait().map(drop))?;
                    return Err(error);
                }
            };
        }
        Ok(group)
    }

    fn add(
        &mut self,
        program: &Program,
        variables: &[(&str, String)],
        input: Stdio,
        output: Stdio,
        errors: &File,
    ) -> io::Result<Option<ChildStdout>> {
        let mut command = command(program.program.as_ref());
        command
            .args(&program.arguments)
            .envs(variables.iter().map(|(name, value)| (*name, value)));
        command
            .stdin(input)
            .stdout(output)
            .stderr(errors.try_clone()?);
        system::into_group(
            &mut command,
            (!self.children.is_empty()).then_some(self.leader),
        )?;
        let mut child = command.spawn()?;
        if self.children.is_empty() {
            self.leader = child.id();
        }
        let output = child.stdout.take();
        self.children.push(child);
        self.ended.push(None);
        Ok(output)
    }

    /// Returns the exit code of the last one that failed, or 0 if none failed. `None` while one
    /// still runs.
    pub fn ended(&mut self) -> io::Result<Option<i32>> {
        // The leader comes last: until it is waited for, the system gives the number of its group
        // to no other.
        for (child, ended) in self.children.iter_mut().zip(&mut self.ended).rev() {
            if ended.is_none() {
                match child.try_wait()? {
                    Some(status) => *ended = Some(system::exit_code(status)),
                    None => return Ok(None),
                }
            }
        }
        Ok(Some(
            self.ended
                .iter()
                .rev()
                .flatten()
                .find(|code| **code != 0)
                .copied()
                .unwrap_or(0),
        ))
    }

    /// Sends a signal to the whole group, with the processes that its programs have started.
    pub fn end(&self, how: End) -> io::Result<()> {
        if self.children.is_empty() {
            Ok(())
        } else {
            system::end_group(self.leader, how)
        }
    }
}

/// A program that goes on when this process ends.
#[derive(Debug)]
pub struct Detached(Child);

impl Detached {
    /// Starts a program with `input` as its standard input, which holds the locks of that file.
    pub fn start(program: &Program, input: File, output: &File) -> io::Result<Self> {
        let mut command = command(program.program.as_ref());
        command
            .args(&program.arguments)
            .stdin(input)
            .stdout(output.try_clone()?)
            .stderr(output.try_clone()?);
        Ok(Self(command.spawn()?))
    }

    /// Returns its process number.
    pub fn id(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    pub fn wait(mut self) -> io::Result<()> {
        self.0.wait().map(drop)
    }
}

/// How the start of a process in the background went.
#[derive(Debug)]
pub enum Background {
    /// It reported that it is ready, and goes on under this process number.
    Ready(u32),
    /// It ended before that. It has printed the reason on the standard error, which it shares with
    /// this process until it is ready.
    Ended(ExitStatus),
}

/// Starts a program, and waits until it calls [`report_ready`] or ends.
///
/// It reports on its standard output, so it must print nothing there before. It should begin with
/// [`leave_session`], so that the terminal's interrupts and hang-up do not reach it.
pub fn start_in_background<S: AsRef<OsStr>>(
    program: &Path,
    arguments: impl IntoIterator<Item = S>,
) -> io::Result<Background> {
    let mut child = command(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = [0];
    let heard = child
        .stdout
        .take()
        .map(|mut output| output.read_exact(&mut said));
    match heard {
        Some(Ok(())) if said == *READY => Ok(Background::Ready(child.id())),
        _ => child.wait().map(Background::Ended),
    }
}

/// Takes this process out of its terminal's session.
///
/// # Errors
///
/// When it leads a process group already, as a process does that an interactive shell started.
pub fn leave_session() -> io::Result<()> {
    system::leave_session()
}

/// Reports that this process is ready to the process that started it with [`start_in_background`].
/// From then on standard output and error lead to `/dev/null`.
///
/// # Errors
///
/// When nobody waits for the report any more.
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
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RWXU,
            0,
        )
        .unwrap();
        let script = format!(
            "printf R; exec >/dev/null; read word < '{0}'; echo \"$word\" > '{0}'",
            fifo.display()
        );
        assert!(matches!(shell(&script), Background::Ready(_)));
        std::fs::write(&fifo, "alive\n").unwrap();
        assert_eq!(std::fs::read_to_string(&fifo).unwrap(), "alive\n");
    }

    #[test]
    fn a_child_that_ends_before_it_is_ready_gives_its_status() {
        let Background::Ended(status) = shell("exit 7") else {
            panic!("it was never ready")
        };
        assert_eq!(status.code(), Some(7));
        let Background::Ended(status) = shell("echo wrong; exit 3") else {
            panic!("it said something else")
        };
        assert_eq!(status.code(), Some(3));
    }

    #[test]
    fn a_run_gives_what_was_printed() {
        let output = run(
            "/bin/sh".as_ref(),
            ["-c", "cat; echo out; echo err >&2; exit 2"],
        )
        .unwrap();
        assert_eq!(
            (&*output.stdout, &*output.stderr, output.status.code()),
            (&b"out\n"[..], &b"err\n"[..], Some(2))
        );
    }
}

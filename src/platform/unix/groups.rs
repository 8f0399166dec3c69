//! Signals to processes and process groups.

use crate::platform::Running;
use crate::platform::process::End;
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use std::fs;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

/// Has a program lead a group of its own, or join the group of `leader`.
pub fn into_group(command: &mut Command, leader: Option<u32>) -> io::Result<()> {
    let group = leader
        .map_or(Ok(0), i32::try_from)
        .map_err(|_| io::ErrorKind::InvalidInput)?;
    command.process_group(group);
    Ok(())
}

/// Sends a signal to a group. A group that has ended is no error.
pub fn end_group(leader: u32, how: End) -> io::Result<()> {
    let Some(group) = i32::try_from(leader).ok().and_then(Pid::from_raw) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    done(kill_process_group(group, signal(how)))
}

/// Sends a signal to one process. A process that has ended is no error.
pub fn end_process(process: &Running, how: End) -> io::Result<()> {
    if process.has_surely_ended() {
        return Ok(());
    }
    let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    done(kill_process(pid, signal(how)))
}

/// Kills all processes of a session that have a variable with this value in their environment.
/// Returns how many.
pub fn kill_marked(session: u32, variable: &str, value: &str) -> io::Result<usize> {
    let mark = format!("{variable}={value}");
    let mut killed = 0;
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name
            .to_str()
            .and_then(|name| name.parse::<i32>().ok())
            .and_then(Pid::from_raw)
        else {
            continue;
        };
        // Fails for a process that has ended meanwhile, or belongs to another user.
        let Ok(environment) = fs::read(format!("/proc/{}/environ", pid.as_raw_nonzero())) else {
            continue;
        };
        let is_marked = environment
            .split(|byte| *byte == 0)
            .any(|variable| variable == mark.as_bytes());
        if is_marked && session_of(pid) == Some(session) {
            done(kill_process(pid, Signal::KILL))?;
            killed += 1;
        }
    }
    Ok(killed)
}

/// Returns the exit code of a process; for one that a signal ended, 128 plus that signal.
pub fn exit_code(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(-1)
}

/// Reads the field `session` of proc_pid_stat(5).
fn session_of(pid: Pid) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(3)?.parse().ok()
}

fn signal(how: End) -> Signal {
    match how {
        End::Gently => Signal::TERM,
        End::AtOnce => Signal::KILL,
        End::Reload => Signal::HUP,
    }
}

fn done(sent: rustix::io::Result<()>) -> io::Result<()> {
    match sent {
        Err(Errno::SRCH) => Ok(()),
        sent => Ok(sent?),
    }
}

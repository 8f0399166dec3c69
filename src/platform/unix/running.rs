//! Describes processes, and finds out whether one runs.

use crate::platform::Running;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use std::fs;

/// Describes this process.
pub fn this_process() -> Running {
    let pid = std::process::id();
    let id = fs::read_to_string("/etc/machine-id")
        .ok()
        .filter(|id| !id.trim().is_empty());
    let name = super::host_name().ok();
    Running {
        pid,
        machine: id
            .zip(name)
            .map(|(id, name)| format!("{} {name}", id.trim())),
        boot: fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .map(|id| id.trim().to_owned()),
        namespace: fs::read_link("/proc/self/ns/pid")
            .ok()
            .map(|link| link.to_string_lossy().into_owned()),
        began: began(pid),
    }
}

/// Whether a process with that number runs and began at that time. A process that this user may not
/// look at counts as running.
pub fn is_running(pid: u32, since: Option<u64>) -> bool {
    let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else {
        return false;
    };
    if test_kill_process(number) == Err(Errno::SRCH) {
        return false;
    }
    since.zip(began(pid)).is_none_or(|(then, now)| then == now)
}

/// Reads the field `starttime` of proc_pid_stat(5). Counts fields from the end of the name, which
/// may contain spaces and parentheses.
fn began(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}

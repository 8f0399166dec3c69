//! Priorities of this process.

use crate::platform::process;
use std::io;
use std::path::Path;

/// Sets the CPU priority of this thread and of all threads that it starts from now on. −20 is the
/// highest, 19 the lowest.
///
/// # Errors
///
/// When a user other than root asks for a higher priority than it has.
pub fn set_nice(level: i32) -> io::Result<()> {
    Ok(rustix::process::setpriority_process(None, level)?)
}

/// Sets the priority of reads and writes for the same threads: the class (1 realtime, 2 best
/// effort, 3 idle) and the level in it, 0 to 7, of which 7 is the lowest.
///
/// Runs the program `ionice` of util-linux, since the C library has no function for it.
///
/// # Errors
///
/// When the program is missing, or the system does not allow the priority.
pub fn set_io_priority(class: u8, level: u8) -> io::Result<()> {
    let own = rustix::thread::gettid().as_raw_nonzero().to_string();
    let mut arguments = vec!["-c".to_owned(), class.to_string()];
    if class != 3 {
        arguments.extend(["-n".to_owned(), level.to_string()]);
    }
    arguments.extend(["-p".to_owned(), own]);
    let output = process::run(Path::new("ionice"), arguments)?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    ))
}

/// Writes out all data that the kernel has not written to its file systems yet.
///
/// # Errors
///
/// Never on this system.
pub fn flush_file_systems() -> io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

//! Moves this process to the background.

use rustix::fs::{CWD, Mode, OFlags};
use std::io;

pub(in crate::platform) fn leave_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}

pub(in crate::platform) fn report_ready(word: &[u8]) -> io::Result<()> {
    // Opened first: after the report, nothing may fail.
    let nowhere = rustix::fs::openat(
        CWD,
        c"/dev/null",
        OFlags::RDWR | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    rustix::io::retry_on_intr(|| rustix::io::write(rustix::stdio::stdout(), word))?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    rustix::stdio::dup2_stderr(&nowhere)?;
    Ok(())
}

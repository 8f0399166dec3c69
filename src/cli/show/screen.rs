//! Standard error, shared by words, log lines and the progress bar so that none writes over
//! another.

use indicatif::{MultiProgress, ProgressBar};
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Standard error.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Screen(MultiProgress);

impl Screen {
    /// Prints a line above the progress bar. That nobody reads it is no reason to fail.
    pub(in crate::cli) fn print(&self, line: &str) {
        self.write_lines(format!("{line}\n").as_bytes()).ok();
    }

    /// Puts a progress bar below what is printed.
    pub(in crate::cli) fn show(&self, bar: ProgressBar) -> ProgressBar {
        self.0.add(bar)
    }

    fn write_lines(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes))
    }
}

/// Log lines come through here, whole ones in each call.
impl Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_lines(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Screen {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

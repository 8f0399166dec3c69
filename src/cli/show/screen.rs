//! Standard error. Messages, log lines and the progress bar share it, so that none overwrites
//! another.

use indicatif::{MultiProgress, ProgressBar};
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Standard error.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Screen(MultiProgress);

impl Screen {
    /// Prints a line above the progress bar. A failure is ignored.
    pub(in crate::cli) fn print(&self, line: &str) {
        self.write_lines(format!("{line}\n").as_bytes()).ok();
    }

    /// Shows a progress bar below the printed lines.
    pub(in crate::cli) fn show(&self, bar: ProgressBar) -> ProgressBar {
        self.0.add(bar)
    }

    fn write_lines(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.suspend(|| io::stderr().lock().write_all(bytes))
    }
}

/// Writes log lines; each call brings whole ones.
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

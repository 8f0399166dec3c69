//! Standard error. Messages, log lines and the progress bar share it, so that none overwrites
//! another.

use crate::model::printable_lines;
use indicatif::{MultiProgress, ProgressBar};
use std::io::{self, Write};

/// Standard error. Everything that is printed here is printable, whatever it came from.
#[derive(Clone, Debug, Default)]
pub(in crate::cli) struct Screen(MultiProgress);

impl Screen {
    /// Prints a message above the progress bar. A failure is ignored.
    ///
    /// The message may have several lines: what came from outside in it is
    /// [`printable`](crate::model::printable) already.
    pub(in crate::cli) fn print(&self, message: &str) {
        self.write_lines(format!("{message}\n").as_bytes()).ok();
    }

    /// Shows a progress bar below the printed lines.
    pub(in crate::cli) fn show(&self, bar: ProgressBar) -> ProgressBar {
        self.0.add(bar)
    }

    pub(in crate::cli) fn write_lines(&self, bytes: &[u8]) -> io::Result<()> {
        let text = printable_lines(bytes);
        self.0
            .suspend(|| io::stderr().lock().write_all(text.as_bytes()))
    }
}

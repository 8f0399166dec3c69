//! Prints data to standard output and words for people to standard error.

use crate::cli::show::screen::Screen;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, BufWriter, Stdout, Write};

/// Standard output could not be written to.
#[derive(Debug, thiserror::Error)]
#[error("could not write to standard output")]
pub(in crate::cli) struct Closed(#[source] io::Error);

impl Closed {
    pub(in crate::cli) fn new(source: io::Error) -> Self {
        Self(source)
    }

    /// Whether the reader has closed the pipe, as `head` does when it has enough. That is no
    /// failure.
    pub(in crate::cli) fn is_broken_pipe(&self) -> bool {
        self.0.kind() == io::ErrorKind::BrokenPipe
    }
}

/// The form in which data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum OutputForm {
    /// For people.
    Text,
    /// For programs: one document, or a line for each event of a long run.
    Json,
}

/// The output of a command.
pub(in crate::cli) struct Output {
    pub(in crate::cli) form: OutputForm,
    quiet: bool,
    screen: Screen,
    data: BufWriter<Stdout>,
}

impl Output {
    pub(in crate::cli) fn new(form: OutputForm, quiet: bool, screen: Screen) -> Self {
        Self {
            form,
            quiet,
            screen,
            data: BufWriter::with_capacity(64 << 10, io::stdout()),
        }
    }

    /// Prints one line of data.
    pub(in crate::cli) fn line(&mut self, line: impl Display) -> Result<(), Closed> {
        writeln!(self.data, "{line}").map_err(Closed)
    }

    /// Prints bytes as they are.
    pub(in crate::cli) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.data.write_all(bytes).map_err(Closed)
    }

    /// Prints a JSON document on a line of its own and flushes it.
    pub(in crate::cli) fn json(&mut self, document: &impl Serialize) -> Result<(), Closed> {
        self.json_line(document)?;
        self.flush()
    }

    /// Prints one of many JSON documents on a line of its own, buffered.
    pub(in crate::cli) fn json_line(&mut self, document: &impl Serialize) -> Result<(), Closed> {
        serde_json::to_writer(&mut self.data, document).map_err(|error| Closed(error.into()))?;
        self.data.write_all(b"\n").map_err(Closed)
    }

    /// Prints a table with a heading; each column is as wide as its widest cell.
    pub(in crate::cli) fn table<const COLUMNS: usize>(
        &mut self,
        columns: [Column; COLUMNS],
        rows: &[[String; COLUMNS]],
    ) -> Result<(), Closed> {
        let mut widths = columns.map(|column| column.heading.chars().count());
        for row in rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = columns.map(|column| column.heading.to_owned());
        for row in std::iter::once(&headings).chain(rows) {
            let mut line = String::new();
            for ((cell, column), width) in row.iter().zip(&columns).zip(widths) {
                if !line.is_empty() {
                    line.push_str("  ");
                }
                match column.side {
                    Side::Left => line.push_str(&format!("{cell:<width$}")),
                    Side::Right => line.push_str(&format!("{cell:>width$}")),
                }
            }
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// Prints a line for people, unless `--quiet` is given.
    pub(in crate::cli) fn note(&self, text: impl Display) {
        if !self.quiet {
            self.screen.print(&text.to_string());
        }
    }

    /// Prints a line for people, also with `--quiet`: of what nobody should overlook.
    pub(in crate::cli) fn announce(&self, text: impl Display) {
        self.screen.print(&text.to_string());
    }

    /// Prints a warning for people, also with `--quiet`.
    pub(in crate::cli) fn warn(&self, text: impl Display) {
        self.screen.print(&format!("freezer: warning: {text}"));
    }

    /// Writes out what is buffered.
    pub(in crate::cli) fn flush(&mut self) -> Result<(), Closed> {
        self.data.flush().map_err(Closed)
    }

    /// Returns the writer of data, for commands that print much of it.
    pub(in crate::cli) fn writer(&mut self) -> &mut dyn Write {
        &mut self.data
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Column {
    heading: &'static str,
    side: Side,
}

#[derive(Clone, Copy, Debug)]
enum Side {
    Left,
    Right,
}

impl Column {
    /// A column of text, aligned left.
    pub(in crate::cli) const fn text(heading: &'static str) -> Self {
        Self {
            heading,
            side: Side::Left,
        }
    }

    /// A column of numbers, aligned right.
    pub(in crate::cli) const fn number(heading: &'static str) -> Self {
        Self {
            heading,
            side: Side::Right,
        }
    }
}

//! Prints data to standard output and words for people to standard error.

use crate::cli::show::screen::Screen;
use crate::model::{TreePath, printable, printable_json, printable_lines};
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
        self.text(line)?;
        self.data.write_all(b"\n").map_err(Closed)
    }

    /// Prints the beginning of a line of data.
    pub(in crate::cli) fn text(&mut self, text: impl Display) -> Result<(), Closed> {
        let text = text.to_string();
        self.data
            .write_all(printable_lines(text.as_bytes()).as_bytes())
            .map_err(Closed)
    }

    /// Prints the content of a file as it is: a person asked for it.
    pub(in crate::cli) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Closed> {
        self.data.write_all(bytes).map_err(Closed)
    }

    /// Prints the name of a file. What could disturb a terminal or mislead a reader is escaped,
    /// wherever the output goes: the exact name is in JSON.
    pub(in crate::cli) fn name(&mut self, name: &[u8]) -> Result<(), Closed> {
        self.data
            .write_all(printable(name).as_bytes())
            .map_err(Closed)
    }

    /// Prints a path as [`name`](Self::name) does; the root is a dot.
    pub(in crate::cli) fn path(&mut self, path: &TreePath) -> Result<(), Closed> {
        self.name(if path.is_root() {
            b"."
        } else {
            path.as_bytes()
        })
    }

    /// Prints a JSON document on a line of its own and flushes it.
    pub(in crate::cli) fn json(&mut self, document: &impl Serialize) -> Result<(), Closed> {
        self.json_line(document)?;
        self.flush()
    }

    /// Prints one of many JSON documents on a line of its own, buffered.
    pub(in crate::cli) fn json_line(&mut self, document: &impl Serialize) -> Result<(), Closed> {
        let document = serde_json::to_string(document).map_err(|error| Closed(error.into()))?;
        writeln!(self.data, "{}", printable_json(&document)).map_err(Closed)
    }

    /// Prints a table with a heading; each column is as wide as its widest cell.
    pub(in crate::cli) fn table<const COLUMNS: usize>(
        &mut self,
        columns: [Column; COLUMNS],
        rows: &[[String; COLUMNS]],
    ) -> Result<(), Closed> {
        let mut widths = columns.map(|column| column.heading.chars().count());
        let printed = |cells: &[String; COLUMNS]| {
            std::array::from_fn(|at| printable(cells[at].as_bytes()).into_owned())
        };
        let rows: Vec<[String; COLUMNS]> = rows.iter().map(printed).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = columns.map(|column| column.heading.to_owned());
        for row in std::iter::once(&headings).chain(&rows) {
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

    /// Prints one line for people, unless `--quiet` is given.
    pub(in crate::cli) fn note(&self, text: impl Display) {
        if !self.quiet {
            self.screen.print(&printable(text.to_string().as_bytes()));
        }
    }

    /// Prints a line for people, also with `--quiet`: of what nobody should overlook.
    pub(in crate::cli) fn announce(&self, text: impl Display) {
        self.screen.print(&printable(text.to_string().as_bytes()));
    }

    /// Prints a warning of one line for people, also with `--quiet`.
    pub(in crate::cli) fn warn(&self, text: impl Display) {
        let text = format!("freezer: warning: {text}");
        self.screen.print(&printable(text.as_bytes()));
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

//! The command line: arguments in, text and exit code out.
//!
//! This module owns what people see: names of options, help, tables, progress, messages. It builds
//! the concrete parts (store, keys, view) and hands them to the services, which know nothing of it.
//! Each command is a file or folder with its `Arguments` and a `run`. To add one, add the file, a
//! line in `arguments` and a line in `program`.
//!
//! | room | what it holds |
//! |---|---|
//! | `program`, `arguments` | one run: parse, dispatch, exit code |
//! | `commands` | a file for each command, `local` to a store or about the `server` |
//! | `open` | stores, keys, points in time, the connection to a server |
//! | `options` | what a user can ask for, and the layers it comes from |
//! | `show` | output, tables, progress, logs, failures |
//!
//! A room names only rooms below it in this table.
//!
//! Start reading at [`run`].
//!
//! Invariants: data goes to standard output, words for people to standard error. `--json` changes
//! the form of the data, never what is done. An error is told once, with its causes and what to do
//! next: it answers for itself, see [`Advice`](crate::model::Advice). A secret is never an
//! argument.

mod arguments;
mod commands;
mod interrupt;
mod open;
mod options;
mod program;
mod show;

pub use program::run;

//! The command line: arguments in, text and exit code out.
//!
//! Owns what people see: option names, help, tables, progress, messages. Builds the concrete parts
//! (store, keys, view) and joins them to the services, which know nothing of it. Each command is a
//! file with its arguments and a `run`; adding one is that file, a line in `arguments` and a line
//! in `dispatch`.
//!
//! | room | what it holds |
//! |---|---|
//! | `program` | one run: parse, dispatch, exit code |
//! | `commands` | a file for each command, `local` to a store or about the `server` |
//! | `open` | stores, keys, points in time, the connection to a server |
//! | `options` | what a user can ask for, and the layers it comes from |
//! | `show` | output, tables, progress, logs, failures |
//!
//! A room names only rooms below it.
//!
//! Start reading at [`run`].
//!
//! Invariants: data goes to standard output, words for people to standard error; `--json` changes
//! the form of the data, never what is done; an error is said once, with its causes, and what to do
//! next; a secret is never an argument.

mod arguments;
mod commands;
mod interrupt;
mod open;
mod options;
mod program;
mod show;

pub use program::run;

//! The commands: a file for each, with its arguments and a `run`.

pub(in crate::cli) mod local;
pub(in crate::cli) mod server;

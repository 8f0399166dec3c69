//! What people and programs see: tables, JSON, progress, logs, failures and hints.

pub(in crate::cli) mod document;
pub(in crate::cli) mod failure;
pub(in crate::cli) mod hint;
pub(in crate::cli) mod log_file;
pub(in crate::cli) mod logging;
pub(in crate::cli) mod output;
pub(in crate::cli) mod progress;
pub(in crate::cli) mod screen;
pub(in crate::cli) mod when;

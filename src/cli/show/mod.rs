//! What people and programs see: tables, JSON, progress, questions, logs and failures.

pub(in crate::cli) mod confirm;
pub(in crate::cli) mod document;
pub(in crate::cli) mod failure;
pub(in crate::cli) mod log_file;
mod log_lines;
pub(in crate::cli) mod logging;
pub(in crate::cli) mod output;
pub(in crate::cli) mod progress;
pub(in crate::cli) mod screen;
pub(in crate::cli) mod when;
pub(in crate::cli) mod withheld;
pub(in crate::cli) mod words;
pub(in crate::cli) mod wrong_dates;

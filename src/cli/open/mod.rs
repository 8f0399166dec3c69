//! Opening what a command works with: stores, their keys, backups, points in time, a server.

pub(in crate::cli) mod backups;
pub(in crate::cli) mod destinations;
pub(in crate::cli) mod foreign_store;
pub(in crate::cli) mod json_file;
mod known;
pub(in crate::cli) mod list_file;
pub(in crate::cli) mod lock;
pub(in crate::cli) mod outside;
pub(in crate::cli) mod path;
pub(in crate::cli) mod place;
mod plain_http;
pub(in crate::cli) mod point;
pub(in crate::cli) mod server;
pub(in crate::cli) mod session;
mod vetting;

//! Commands that work on a store themselves.

pub(in crate::cli) mod backup;
pub(in crate::cli) mod cat;
pub(in crate::cli) mod check;
pub(in crate::cli) mod completions;
mod contents;
mod damage;
pub(in crate::cli) mod diff;
pub(in crate::cli) mod du;
pub(in crate::cli) mod export;
pub(in crate::cli) mod find;
pub(in crate::cli) mod init;
pub(in crate::cli) mod key;
mod key_rotation;
pub(in crate::cli) mod list;
mod list_backups;
pub(in crate::cli) mod ls;
#[cfg(unix)]
pub(in crate::cli) mod mount;
#[cfg(windows)]
#[path = "mount_windows.rs"]
pub(in crate::cli) mod mount;
pub(in crate::cli) mod prune;
mod remarks;
mod removal;
pub(in crate::cli) mod repack;
mod repacking;
pub(in crate::cli) mod repair;
mod repair_report;
pub(in crate::cli) mod restore;
pub(in crate::cli) mod sync;
pub(in crate::cli) mod unlock;
pub(in crate::cli) mod upgrade_store;

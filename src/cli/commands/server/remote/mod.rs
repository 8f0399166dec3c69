//! The commands that talk to a Freezer API: `freezer job`, `session`, `client`, `action`,
//! `backup-list`.

pub(in crate::cli) mod action;
pub(in crate::cli) mod backup_list;
pub(in crate::cli) mod client;
mod documents;
mod edit;
pub(in crate::cli) mod job;
mod job_document;
mod list_options;
pub(in crate::cli) mod session;
mod session_restore;
mod show;

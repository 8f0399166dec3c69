//! Commands of the service: the server, the scheduler of a node, and clients of a server.

pub(in crate::cli) mod api;
pub(in crate::cli) mod remote;
#[cfg(unix)]
pub(in crate::cli) mod scheduler;
#[cfg(windows)]
#[path = "scheduler_windows.rs"]
pub(in crate::cli) mod scheduler;

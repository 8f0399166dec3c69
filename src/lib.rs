//! Freezer: backs up file trees as a stream and gives every point in time back as a read-only
//! filesystem.
pub mod api;
pub mod backup;
pub mod catalog;
pub mod cli;
pub mod config;
pub mod format;
pub mod fs;
pub mod index;
pub mod model;
pub mod net;
pub mod platform;
pub mod restore;
pub mod sched;
pub mod store;
pub mod upkeep;

//! Freezer: backs up file trees as a stream and gives every point in time back as a read-only
//! filesystem.
//!
//! | module | the question it answers |
//! |---|---|
//! | [`model`] | what are the words? |
//! | [`platform`] | what differs between systems? |
//! | [`net`] | how do we talk HTTP? |
//! | [`format`](mod@format) | what do the bytes mean? |
//! | [`store`] | where are objects kept? |
//! | [`index`] | where in the stream is a path? |
//! | [`catalog`] | which backups exist? |
//! | [`fs`] | what did the tree look like then? |
//! | [`backup`] | how does a tree become a level? |
//! | [`restore`] | how does a view become files? |
//! | [`upkeep`] | is it sound, what may go? |
//! | [`api`] | what does the server know? |
//! | [`sched`] | who runs what, when? |
//! | [`config`], [`cli`] | what did the user ask for? |
//!
//! A module names only what stands below it: `tests/it/architecture.rs` holds the edges.
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

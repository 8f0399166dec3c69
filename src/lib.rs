//! Freezer backs up file trees as a stream, and shows every point in time as a read-only file
//! system.
//!
//! This is the map. Each module answers one question, and its `mod.rs` says what it owns, what it
//! does not know, and where to start reading.
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
//! A module names only modules that stand above it in this table, and not all of those:
//! `tests/it/architecture.rs` holds the edges. `docs/glossary.md` says what words mean, and
//! `docs/design` why things are as they are.
#![cfg_attr(
    test,
    allow(clippy::too_many_lines, reason = "a test may tell a long story")
)]

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

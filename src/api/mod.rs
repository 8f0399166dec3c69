//! The server: clients, actions, jobs, sessions and what was backed up, over HTTP, in a database.
//! It holds no backup data.
//!
//! Speaks versions 1 and 2 of the Freezer API, so that the clients people have work with it;
//! `docs/api.md` says where it is better than the original and what it does otherwise. Start
//! reading at `routes`, the table of addresses, then at one resource, such as `jobs`.
//!
//! Invariants: a process holds no state but caches, and any number of them stand before one
//! database; every change is one transaction, and one that met another's is run again as a whole;
//! every query is bound to a project, but for those whose policy rule says otherwise; nothing that
//! a client sends is answered with a 500; a request that has begun comes to its end, also when its
//! client does not wait, and none waits for the database without an end.

mod actions;
mod answer;
mod auth;
mod backups;
mod call;
mod clients;
mod db;
mod discovery;
mod error;
mod exchange;
mod identity_api;
mod jobs;
mod listing;
mod metrics;
mod openapi;
mod request;
mod router;
mod routes;
mod serve;
mod server;
mod service;
mod sessions;
mod settings;

pub use auth::accounts::{AccountError, KnownToken, NewToken, TokenScope, User, token_name};
pub use auth::keystone::KeystoneSettings;
pub use auth::policy::PolicyError;
pub use db::DatabaseError;
pub use exchange::{ExchangeError, Exchanged};
pub use serve::TlsFiles;
pub use service::{ApiService, ServiceError};
pub use settings::{ServerSettings, Tokens};

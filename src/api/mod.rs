//! The server: clients, actions, jobs, sessions and what was backed up, over HTTP, in a database.
//! It holds no backup data.
//!
//! Speaks versions 1 and 2 of the Freezer API, so that the clients people have work with it;
//! `docs/api.md` says where it is better than the original, and where it differs. Start reading at
//! `routes`, the table of addresses, then at one resource, such as `jobs`.
//!
//! Invariants:
//!
//! - A process holds no state but caches, so that any number of them can serve one database.
//! - Every change is one transaction. One that conflicts with another is run again as a whole.
//! - Every query is bound to a project, except where the rule of the policy allows more.
//! - Nothing that a client sends is answered with a 500.
//! - A request that has begun is finished, even when its client no longer waits. No request waits
//!   for the database without a bound.

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

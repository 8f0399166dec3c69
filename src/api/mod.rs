//! The server: clients, actions, jobs, sessions and what was backed up, over HTTP, in a database.
//! It holds no backup data.
//!
//! Speaks versions 1 and 2 of the Freezer API, so that the clients people have work with it;
//! `docs/api.md` says where it is better than the original and what it does otherwise. Start
//! reading at `router`, whose table names every address, then at one resource, `jobs` for one.
//!
//! Invariants: a process holds no state but caches, and any number of them stand before one
//! database; every change is one transaction, and one that met another's is run again as a whole;
//! every query is bound to a project, but for those whose policy rule says otherwise; nothing that
//! a client sends is answered with a 500; a request that has begun comes to its end, also when its
//! client does not wait, and none waits for the database without an end.

mod actions;
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
mod metrics;
mod openapi;
mod router;
mod serve;
mod service;
mod sessions;

pub use auth::accounts::{AccountError, KnownToken, NewToken, TokenScope, User, token_name};
pub use auth::keystone::KeystoneSettings;
pub use auth::policy::PolicyError;
pub use db::Error as DatabaseError;
pub use exchange::{ExchangeError, Exchanged};
pub use serve::TlsFiles;
pub use service::{Service, ServiceError};

use crate::platform::Clock;
use auth::Authenticator;
use auth::policy::Policy;
use auth::rate::Rate;
use db::Database;
use metrics::Metrics;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

/// Where tokens come from.
#[derive(Debug)]
pub enum Tokens {
    /// This server's own users.
    Builtin,
    /// OpenStack's.
    Keystone(KeystoneSettings),
}

/// How a server behaves.
#[derive(Debug)]
pub struct Settings {
    /// Where tokens come from.
    pub tokens: Tokens,
    /// The text of a policy file.
    pub policy: Option<String>,
    /// How many bytes the body of a request can have.
    pub body_limit: usize,
    /// How many requests an asker can make in a second.
    pub rate_limit: Option<u32>,
    /// After how long a session whose nodes do not all say how they ended is over.
    pub session_timeout: Duration,
    /// How long a client can take for the head or the body of a request, be silent between two, or
    /// take nothing of an answer.
    pub patience: Duration,
    /// The address that clients know the server by; else the one they ask at.
    pub public_url: Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            tokens: Tokens::Builtin,
            policy: None,
            body_limit: 4 * 1024 * 1024,
            rate_limit: None,
            session_timeout: Duration::from_secs(24 * 3600),
            patience: Duration::from_secs(30),
            public_url: None,
        }
    }
}

/// What all requests share.
struct Server {
    database: Database,
    authenticator: Authenticator,
    policy: Policy,
    rate: Rate,
    /// How often one address can send a wrong password.
    logins: Rate,
    /// How many passwords are looked at at a time: each takes a core and 19 MiB.
    hashing: tokio::sync::Semaphore,
    metrics: Metrics,
    /// The second in which it was last logged that the database is away.
    told_away: AtomicI64,
    clock: Arc<dyn Clock>,
    body_limit: usize,
    session_timeout: Duration,
    patience: Duration,
    public_url: Option<String>,
    /// `https` when it listens with TLS.
    scheme: &'static str,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

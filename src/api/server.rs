//! The state that all requests share.

use super::auth::Authenticator;
use super::auth::policy::AccessPolicy;
use super::auth::rate::Rate;
use super::db::Database;
use super::metrics::Metrics;
use crate::platform::Clock;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::Duration;

/// The state that all requests share.
pub(super) struct Server {
    /// The documents, the tokens and the users.
    pub(super) database: Database,
    /// Knows the callers by their tokens.
    pub(super) authenticator: Authenticator,
    /// Knows what callers may do.
    pub(super) policy: AccessPolicy,
    /// How many requests a caller can make.
    pub(super) rate: Rate,
    /// How often one address can send a wrong password.
    pub(super) logins: Rate,
    /// How many passwords are looked at at a time: each takes a core and 19 MiB.
    pub(super) hashing: tokio::sync::Semaphore,
    /// For Prometheus.
    pub(super) metrics: Metrics,
    /// The second in which it was last logged that the database is away.
    pub(super) told_away: AtomicI64,
    /// The clock.
    pub(super) clock: Arc<dyn Clock>,
    /// Most bytes of the body of a request.
    pub(super) body_limit: usize,
    /// After how long a session whose nodes do not all say how they ended is over.
    pub(super) session_timeout: Duration,
    /// How long a client can take for a request.
    pub(super) patience: Duration,
    /// The address that clients know the server by.
    pub(super) public_url: Option<String>,
    /// `https` when it listens with TLS.
    pub(super) scheme: &'static str,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

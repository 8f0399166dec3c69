//! How a server behaves.

use super::auth::keystone::KeystoneSettings;
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
pub struct ServerSettings {
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

impl Default for ServerSettings {
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

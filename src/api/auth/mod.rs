//! Who asks, and what he may.
//!
//! A token says who asks ([`Identity`]); [`builtin`] knows the tokens of this server's own users,
//! [`keystone`] those of OpenStack. [`policy`] says what he may. Headers that a proxy or an
//! attacker sends about identities are never read.

pub(super) mod accounts;
pub(super) mod keystone;
pub(super) mod policy;
pub(super) mod rate;

use super::db::Database;
use super::error::Failure;
use crate::platform::Clock;
use keystone::Keystone;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// Who asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// His id.
    pub(super) user_id: String,
    /// His name.
    pub(super) user_name: String,
    /// The project that his token is for.
    pub(super) project_id: String,
    /// His roles there, in lower case.
    pub(super) roles: Vec<String>,
    /// The node, for a token that is for one node alone.
    pub(super) client_id: Option<String>,
}

/// How many answers about tokens are remembered at most.
const REMEMBERED: usize = 20_000;

/// Tells who has a token.
#[derive(Debug)]
pub(super) struct Authenticator {
    source: Source,
    /// Seconds for which an answer holds. A token that was taken back still works that long in
    /// other processes.
    remember: i64,
    /// Guards what was answered of late, by the digest of the token: until which second it holds,
    /// and the answer.
    answers: Mutex<HashMap<String, (i64, Option<Identity>)>>,
}

#[derive(Debug)]
enum Source {
    Builtin,
    Keystone(Keystone),
}

impl Authenticator {
    /// That of this server's own users.
    pub(super) fn builtin() -> Self {
        Self {
            source: Source::Builtin,
            remember: 5,
            answers: Mutex::default(),
        }
    }

    /// That of OpenStack.
    pub(super) fn keystone(keystone: Keystone) -> Self {
        Self {
            source: Source::Keystone(keystone),
            remember: 60,
            answers: Mutex::default(),
        }
    }

    /// The address that clients are told to get tokens at, where it is another server's.
    pub(super) fn address(&self) -> Option<&str> {
        match &self.source {
            Source::Builtin => None,
            Source::Keystone(keystone) => Some(keystone.address()),
        }
    }

    /// Who has this token.
    pub(super) async fn identify(
        &self,
        database: &Database,
        clock: &dyn Clock,
        token: &str,
    ) -> Result<Identity, Failure> {
        // What is no header of ours is not worth a question.
        if token.is_empty() || token.len() > 8192 || !token.is_ascii() {
            return Err(Failure::Unauthenticated);
        }
        let digest = accounts::digest(token);
        let now = clock.now().as_second();
        if let Some((until, answer)) = self.answers().get(&digest)
            && *until > now
        {
            return answer.clone().ok_or(Failure::Unauthenticated);
        }
        let (identity, expires) = match &self.source {
            Source::Builtin => accounts::identify(database, &digest, clock.now()).await?,
            Source::Keystone(keystone) => keystone.identify(token).await?,
        }
        .map_or((None, i64::MAX), |(identity, expires)| {
            (Some(identity), expires)
        });
        let identity = identity.filter(|_| expires > now);
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            // Whoever sends tokens that nobody has must not push out those of others.
            if identity.is_none() {
                return Err(Failure::Unauthenticated);
            }
            answers.retain(|_, (until, _)| *until > now);
            if answers.len() >= REMEMBERED {
                answers.clear();
            }
        }
        answers.insert(digest, (expires.min(now + self.remember), identity.clone()));
        identity.ok_or(Failure::Unauthenticated)
    }

    /// Forgets what was answered about a token.
    pub(super) fn forget(&self, token: &str) {
        self.answers().remove(&accounts::digest(token));
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, (i64, Option<Identity>)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

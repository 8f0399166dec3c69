//! Tells who has a token, and remembers the answers for some seconds.

use super::accounts;
use super::caller::Caller;
use super::keystone::Keystone;
use crate::api::db::Database;
use crate::api::error::Failure;
use crate::platform::Clock;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

/// How many answers about tokens are remembered at most.
const REMEMBERED: usize = 20_000;

/// Resolves tokens to callers.
#[derive(Debug)]
pub(in crate::api) struct Authenticator {
    source: TokenSource,
    /// Seconds for which an answer holds. A token that was taken back still works that long in
    /// other processes.
    remember: i64,
    /// Guards what was answered of late, by the digest of the token: until which second it holds,
    /// and the answer.
    answers: Mutex<HashMap<String, (i64, Option<Caller>)>>,
}

#[derive(Debug)]
enum TokenSource {
    Builtin,
    Keystone(Keystone),
}

impl Authenticator {
    /// Knows the tokens of this server's own users.
    pub(in crate::api) fn builtin() -> Self {
        Self {
            source: TokenSource::Builtin,
            remember: 5,
            answers: Mutex::default(),
        }
    }

    /// Asks Keystone about tokens.
    pub(in crate::api) fn keystone(keystone: Keystone) -> Self {
        Self {
            source: TokenSource::Keystone(keystone),
            remember: 60,
            answers: Mutex::default(),
        }
    }

    /// The address that clients are told to get tokens at, where it is another server's.
    pub(in crate::api) fn address(&self) -> Option<&str> {
        match &self.source {
            TokenSource::Builtin => None,
            TokenSource::Keystone(keystone) => Some(keystone.address()),
        }
    }

    /// Returns the caller that has this token.
    pub(in crate::api) async fn identify(
        &self,
        database: &Database,
        clock: &dyn Clock,
        token: &str,
    ) -> Result<Caller, Failure> {
        // A text that cannot be a token is not looked up.
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
            TokenSource::Builtin => accounts::identify(database, &digest, clock.now()).await?,
            TokenSource::Keystone(keystone) => keystone.identify(token).await?,
        }
        .map_or((None, i64::MAX), |(identity, expires)| {
            (Some(identity), expires)
        });
        let identity = identity.filter(|_| expires > now);
        let mut answers = self.answers();
        if answers.len() >= REMEMBERED {
            // Unknown tokens must not push out the answers about known ones.
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

    /// Whether the token was good when it was last looked up.
    pub(in crate::api) fn was_good(&self, token: &str) -> bool {
        let answers = self.answers();
        let answer = answers.get(&accounts::digest(token));
        answer.is_some_and(|(_, answer)| answer.is_some())
    }

    /// Forgets what was answered about a token.
    pub(in crate::api) fn forget(&self, token: &str) {
        self.answers().remove(&accounts::digest(token));
    }

    fn answers(&self) -> std::sync::MutexGuard<'_, HashMap<String, (i64, Option<Caller>)>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

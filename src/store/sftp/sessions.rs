//! The session that all threads of a store share: it begins when it is needed, and again when it broke.

use super::connection::{Connection, SessionCall, SessionEnded, Times};
use crate::store::StoreSettings;
use crate::store::address::Address;
use std::ffi::OsString;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Begins sessions with one server.
pub(super) struct Sessions {
    /// The arguments of `ssh`.
    arguments: Vec<OsString>,
    times: Times,
    held: Mutex<HeldSession>,
    /// Tells that a session has begun, or failed to.
    changed: Condvar,
}

/// The session that all threads share.
#[derive(Default)]
struct HeldSession {
    connection: Option<Arc<Connection>>,
    /// Whether a thread begins one. The others wait for its result.
    begins: bool,
    /// How many failed to begin.
    failures: u64,
    failure: Option<SessionEnded>,
}

/// Lets the next thread begin a session, also when this one panics.
struct Beginning<'store>(&'store Sessions);

impl Drop for Beginning<'_> {
    fn drop(&mut self) {
        self.0.held().begins = false;
        self.0.changed.notify_all();
    }
}

impl Sessions {
    /// Makes one for the server at an address. Begins no session yet.
    pub(super) fn new(address: &Address, settings: &StoreSettings) -> Self {
        let (idle, whole) = (settings.idle(), settings.whole());
        // A session begins with many answers, one after the other, and another try has to fit into
        // the time of a call.
        let times = Times {
            begin: whole.map_or(idle, |whole| whole / 2),
            idle,
            whole,
        };
        Self {
            arguments: arguments(address, settings),
            times,
            held: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn held(&self) -> MutexGuard<'_, HeldSession> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a call in the session, or in a new one when there is none that can be used. Threads
    /// that come while a session begins share its result: a server that hangs delays all of them no
    /// longer than one.
    pub(super) fn call(&self) -> Result<SessionCall, SessionEnded> {
        let came = crate::platform::monotonic();
        let alive = |held: &HeldSession| {
            held.connection
                .as_ref()
                .filter(|connection| connection.ended().is_none())
                .map(Arc::clone)
        };
        let mut held = self.held();
        if let Some(connection) = alive(&held) {
            return Ok(SessionCall::new(connection, came));
        }
        if held.begins {
            let before = held.failures;
            let begins = |held: &mut HeldSession| held.begins && held.failures == before;
            let (held, _) = self
                .changed
                .wait_timeout_while(held, self.times.begin, begins)
                .unwrap_or_else(PoisonError::into_inner);
            if let Some(connection) = alive(&held) {
                return Ok(SessionCall::new(connection, came));
            }
            let failure = if held.failures == before {
                held.connection.as_ref().and_then(|one| one.ended())
            } else {
                held.failure.clone()
            };
            return Err(failure.unwrap_or_else(|| SessionEnded::late(self.times.begin)));
        }
        held.begins = true;
        held.connection = None;
        drop(held);
        let beginning = Beginning(self);
        let begun = Connection::start(&self.arguments, self.times).map(Arc::new);
        {
            let mut held = self.held();
            match &begun {
                Ok(connection) => held.connection = Some(Arc::clone(connection)),
                Err(ended) => {
                    held.failures += 1;
                    held.failure = Some(ended.clone());
                }
            }
        }
        drop(beginning);
        begun.map(|connection| SessionCall::new(connection, came))
    }
}

/// Returns what `ssh` is started with: no questions, known hosts only, and an end of a connection
/// that is dead.
fn arguments(address: &Address, settings: &StoreSettings) -> Vec<OsString> {
    let option = |name: &str, key: &str| {
        address
            .query
            .get(key)
            .map(String::as_str)
            .or_else(|| settings.option(name))
    };
    let mut arguments: Vec<OsString> = Vec::new();
    for setting in [
        "BatchMode=yes",
        "StrictHostKeyChecking=yes",
        "ServerAliveInterval=15",
        "ServerAliveCountMax=3",
        "ConnectTimeout=15",
        "ClearAllForwardings=yes",
    ] {
        arguments.extend(["-o".into(), setting.into()]);
    }
    arguments.push("-T".into());
    if let Some(port) = address.port {
        arguments.extend(["-p".into(), port.to_string().into()]);
    }
    if let Some(key) = option("ssh-key", "key") {
        arguments.extend(["-i".into(), key.into()]);
        arguments.extend(["-o".into(), "IdentitiesOnly=yes".into()]);
    }
    if let Some(known) = option("ssh-known-hosts", "known_hosts") {
        arguments.extend(["-o".into(), format!("UserKnownHostsFile={known}").into()]);
        arguments.extend(["-o".into(), "GlobalKnownHostsFile=/dev/null".into()]);
    }
    if let Some(user) = &address.user {
        arguments.extend(["-l".into(), user.into()]);
    }
    // After -- nothing is an option, whatever the host is called.
    let host = address.host.trim_start_matches('[').trim_end_matches(']');
    arguments.extend(["-s".into(), "--".into(), host.into(), "sftp".into()]);
    arguments
}

//! Settings of stores: how to reach them, and how they are used.

use super::ObjectName;
use crate::model::{Bandwidth, Cancel};
use crate::net;
use jiff::Timestamp;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long a failed call is tried again, unless set otherwise.
const RETRY_FOR: Duration = Duration::from_mins(10);

/// A lock for objects that are stored: nobody may remove or replace them before it ends.
#[derive(Clone, Debug)]
pub struct ObjectLock {
    /// Whether special rights can end the lock.
    pub mode: LockMode,
    /// The moment at which it ends.
    pub until: Timestamp,
    /// Returns whether an object gets the lock.
    pub holds: fn(&ObjectName) -> bool,
}

/// The rights that can end a lock before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// An account with the right to bypass governance can.
    Governance,
    /// No account can.
    Compliance,
}

/// Everything that a store is opened with besides its location. Each kind looks its settings up by
/// name while it is opened, and never later.
#[derive(Default)]
pub struct StoreSettings {
    network: net::NetSettings,
    retry_for: Option<Duration>,
    upload_limit: Option<Bandwidth>,
    download_limit: Option<Bandwidth>,
    object_lock: Option<ObjectLock>,
    segment_bytes: Option<u64>,
}

impl StoreSettings {
    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.network = self.network.with_option(name, value);
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.network = self.network.with_variable(name, value);
        self
    }

    /// Sets the home directory, below which configuration files are looked for.
    #[must_use]
    pub fn with_home(mut self, home: Option<PathBuf>) -> Self {
        self.network = self.network.with_home(home);
        self
    }

    /// Remembers there which hosts are asked over plain HTTP.
    #[must_use]
    pub fn with_plain_hosts(mut self, plain_hosts: net::PlainHosts) -> Self {
        self.network = self.network.with_plain_hosts(plain_hosts);
        self
    }

    /// Sets the longest silence of a store.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.network = self.network.with_idle(idle);
        self
    }

    /// Sets how long a failed call is tried again.
    #[must_use]
    pub fn with_retry_for(mut self, retry_for: Duration) -> Self {
        self.retry_for = Some(retry_for);
        self
    }

    /// Bounds a whole call, whatever else is set: the caller reports failure after about this time.
    /// Half of it is for further tries, and a quarter is the longest silence.
    #[must_use]
    pub fn within(self, patience: Duration) -> Self {
        let (idle, retry_for) = (
            self.idle().min(patience / 4),
            self.retry_for().min(patience / 2),
        );
        Self {
            network: self.network.with_idle(idle).with_whole(patience),
            retry_for: Some(retry_for),
            ..self
        }
    }

    /// Sets the most bytes that are sent and received a second.
    #[must_use]
    pub fn with_limits(mut self, upload: Option<Bandwidth>, download: Option<Bandwidth>) -> Self {
        (self.upload_limit, self.download_limit) = (upload, download);
        self
    }

    /// Sets the length of the longest objects in bytes, so that a store can refuse them at once if
    /// they are too long.
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = Some(segment_bytes);
        self
    }

    /// Sets the lock that objects get when they are stored.
    #[must_use]
    pub fn with_object_lock(mut self, lock: ObjectLock) -> Self {
        self.object_lock = Some(lock);
        self
    }

    /// Sets the flag that ends every wait, and breaks off the calls under way.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.network = self.network.with_cancel(cancel);
        self
    }

    /// Returns the settings of the network.
    pub fn network(&self) -> &net::NetSettings {
        &self.network
    }

    /// Returns the value of an option.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.network.option(name)
    }

    /// Returns the value of a variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.network.variable(name)
    }

    pub(super) fn idle(&self) -> Duration {
        self.network.idle()
    }

    pub(super) fn retry_for(&self) -> Duration {
        self.retry_for.unwrap_or(RETRY_FOR)
    }

    /// Returns the bound of one try, if there is one.
    pub(super) fn whole(&self) -> Option<Duration> {
        self.network.whole()
    }

    pub(super) fn object_lock(&self) -> Option<&ObjectLock> {
        self.object_lock.as_ref()
    }

    pub(super) fn upload_limit(&self) -> Option<Bandwidth> {
        self.upload_limit.clone()
    }

    pub(super) fn download_limit(&self) -> Option<Bandwidth> {
        self.download_limit.clone()
    }

    pub(super) fn segment_bytes(&self) -> Option<u64> {
        self.segment_bytes
    }

    pub(super) fn cancel(&self) -> &Cancel {
        self.network.cancel()
    }
}

impl fmt::Debug for StoreSettings {
    /// Writes names alone: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::StoreSettings;
    use std::time::Duration;

    #[test]
    fn a_call_that_somebody_waits_for_ends_before_they_give_up() {
        let second = Duration::from_secs(1);
        let usual = StoreSettings::default().within(120 * second);
        assert_eq!(
            (usual.idle(), usual.retry_for(), usual.whole()),
            (30 * second, 60 * second, Some(120 * second))
        );
        let impatient = StoreSettings::default()
            .with_idle(2 * second)
            .with_retry_for(5 * second)
            .within(120 * second);
        assert_eq!(
            (impatient.idle(), impatient.retry_for()),
            (2 * second, 5 * second)
        );
    }
}

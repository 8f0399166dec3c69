//! What people set about stores: how to reach them, and how they are used.

use super::ObjectName;
use crate::model::{Bandwidth, Cancel};
use crate::net;
use jiff::Timestamp;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// How long what can be tried again is tried again, unless told otherwise.
const RETRY_FOR: Duration = Duration::from_mins(10);

/// Objects that nobody may remove or replace before a moment, where a store can hold them so.
#[derive(Clone, Debug)]
pub struct ObjectLock {
    /// Whether somebody with special rights may after all.
    pub mode: LockMode,
    /// Until when.
    pub until: Timestamp,
    /// Which objects these are.
    pub holds: fn(&ObjectName) -> bool,
}

/// Who may end a lock before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockMode {
    /// Who has the right to bypass it.
    Governance,
    /// Nobody.
    Compliance,
}

/// What a store is opened with besides its location. Each kind looks up what it knows by name,
/// while it is opened and never later.
#[derive(Default)]
pub struct Settings {
    network: net::Settings,
    retry_for: Option<Duration>,
    upload_limit: Option<Bandwidth>,
    download_limit: Option<Bandwidth>,
    object_lock: Option<ObjectLock>,
    segment_bytes: Option<u64>,
    cancel: Cancel,
}

impl Settings {
    /// Adds what an option says.
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

    /// Sets where files that are looked for below the home directory are.
    #[must_use]
    pub fn with_home(mut self, home: Option<PathBuf>) -> Self {
        self.network = self.network.with_home(home);
        self
    }

    /// Sets how long a store may keep silent.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.network = self.network.with_idle(idle);
        self
    }

    /// Sets how long what can be tried again is tried again.
    #[must_use]
    pub fn with_retry_for(mut self, retry_for: Duration) -> Self {
        self.retry_for = Some(retry_for);
        self
    }

    /// Has every call end within about that time, whatever else is set: for whom somebody waits who
    /// is told after that time that it failed. Half of it is for tries after the first, and a
    /// quarter is the longest silence.
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

    /// Sets the most bytes that are sent and received in a second.
    #[must_use]
    pub fn with_limits(mut self, upload: Option<Bandwidth>, download: Option<Bandwidth>) -> Self {
        (self.upload_limit, self.download_limit) = (upload, download);
        self
    }

    /// Sets how long the longest objects to be stored will be, so that a store can refuse at once
    /// what it cannot take.
    #[must_use]
    pub fn with_segment_bytes(mut self, segment_bytes: u64) -> Self {
        self.segment_bytes = Some(segment_bytes);
        self
    }

    /// Sets what is to be locked until when.
    #[must_use]
    pub fn with_object_lock(mut self, lock: ObjectLock) -> Self {
        self.object_lock = Some(lock);
        self
    }

    /// Sets the flag that ends waiting.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// What is set about talk over a network.
    pub fn network(&self) -> &net::Settings {
        &self.network
    }

    /// What an option says.
    pub(super) fn option(&self, name: &str) -> Option<&str> {
        self.network.option(name)
    }

    /// What a variable of the environment says.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.network.variable(name)
    }

    pub(super) fn idle(&self) -> Duration {
        self.network.idle()
    }

    pub(super) fn retry_for(&self) -> Duration {
        self.retry_for.unwrap_or(RETRY_FOR)
    }

    /// How long one try may take, where that is bounded.
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
        &self.cancel
    }
}

impl fmt::Debug for Settings {
    /// Names alone: what they say may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;
    use std::time::Duration;

    #[test]
    fn a_call_that_somebody_waits_for_ends_before_they_give_up() {
        let second = Duration::from_secs(1);
        let usual = Settings::default().within(120 * second);
        assert_eq!(
            (usual.idle(), usual.retry_for(), usual.whole()),
            (30 * second, 60 * second, Some(120 * second))
        );
        let impatient = Settings::default()
            .with_idle(2 * second)
            .with_retry_for(5 * second)
            .within(120 * second);
        assert_eq!(
            (impatient.idle(), impatient.retry_for()),
            (2 * second, 5 * second)
        );
    }
}

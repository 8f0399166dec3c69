//! Settings for services in a network: options, and variables of the environment.

use super::PlainHosts;
use crate::model::{Cancel, Secret};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The longest silence of a service before a try counts as failed, unless set otherwise.
const IDLE: Duration = Duration::from_secs(60);

/// Options, variables and timeouts for everything that talks HTTP: certificates, proxies,
/// credentials. Each user looks its settings up by name when it is opened, and never later.
#[derive(Default)]
pub struct NetSettings {
    options: BTreeMap<String, Secret<String>>,
    variables: BTreeMap<String, Secret<String>>,
    home: Option<PathBuf>,
    idle: Option<Duration>,
    whole: Option<Duration>,
    cancel: Cancel,
    plain_hosts: PlainHosts,
}

impl NetSettings {
    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: &str, value: impl Into<String>) -> Self {
        self.options
            .insert(name.to_owned(), Secret::new(value.into()));
        self
    }

    /// Adds a variable of the environment.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: impl Into<String>) -> Self {
        self.variables
            .insert(name.to_owned(), Secret::new(value.into()));
        self
    }

    /// Sets the home directory, below which configuration files are looked for.
    #[must_use]
    pub fn with_home(mut self, home: Option<PathBuf>) -> Self {
        self.home = home;
        self
    }

    /// Sets the longest silence of a service.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Bounds the time of one request with its answer.
    #[must_use]
    pub fn with_whole(mut self, whole: Duration) -> Self {
        self.whole = Some(whole);
        self
    }

    /// Sets the flag that breaks off requests under way.
    #[must_use]
    pub fn with_cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = cancel;
        self
    }

    /// Remembers there which hosts are asked over plain HTTP.
    #[must_use]
    pub fn with_plain_hosts(mut self, plain_hosts: PlainHosts) -> Self {
        self.plain_hosts = plain_hosts;
        self
    }

    pub(super) fn plain_hosts(&self) -> &PlainHosts {
        &self.plain_hosts
    }

    /// Returns the value of an option.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| value.expose().as_str())
    }

    /// Returns the value of a variable of the environment.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.expose().as_str())
    }

    /// Returns all variables with their values.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
    }

    pub(crate) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// Returns the longest silence of a service.
    pub(crate) fn idle(&self) -> Duration {
        self.idle.unwrap_or(IDLE)
    }

    /// Returns the flag that breaks off requests under way.
    pub(crate) fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Returns the bound of one request with its answer, if there is one.
    pub(crate) fn whole(&self) -> Option<Duration> {
        self.whole
    }
}

impl fmt::Debug for NetSettings {
    /// Writes names alone: values may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.options.keys().chain(self.variables.keys());
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::NetSettings;

    #[test]
    fn debug_output_shows_names_and_nothing_that_was_said() {
        let settings = NetSettings::default()
            .with_option("secret-key", "hunter2")
            .with_variable("OS_PASSWORD", "hunter3");
        assert_eq!(format!("{settings:?}"), r#"{"secret-key", "OS_PASSWORD"}"#);
        assert_eq!(
            (
                settings.option("secret-key"),
                settings.variable("OS_PASSWORD")
            ),
            (Some("hunter2"), Some("hunter3"))
        );
    }
}

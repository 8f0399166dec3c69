//! What people set about services in a network: options, and variables of the environment.

use crate::model::Secret;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a service may keep silent before a try counts as failed, unless told otherwise.
const IDLE: Duration = Duration::from_secs(60);

/// Options, variables and times that every talk over HTTP honours: certificates, proxies, who logs
/// in. Each user looks up what it knows by name, when it is opened and never later.
#[derive(Default)]
pub struct Settings {
    options: BTreeMap<String, Secret<String>>,
    variables: BTreeMap<String, Secret<String>>,
    home: Option<PathBuf>,
    idle: Option<Duration>,
    whole: Option<Duration>,
}

impl Settings {
    /// Adds what an option says.
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

    /// Sets where files that are looked for below the home directory are.
    #[must_use]
    pub fn with_home(mut self, home: Option<PathBuf>) -> Self {
        self.home = home;
        self
    }

    /// Sets how long a service may keep silent.
    #[must_use]
    pub fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Bounds one request with its answer.
    #[must_use]
    pub fn with_whole(mut self, whole: Duration) -> Self {
        self.whole = Some(whole);
        self
    }

    /// What an option says.
    pub(crate) fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(|value| value.expose().as_str())
    }

    /// What a variable of the environment says.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(|value| value.expose().as_str())
    }

    /// Every variable.
    pub(crate) fn variables(&self) -> impl Iterator<Item = (&str, &str)> {
        self.variables
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose().as_str()))
    }

    pub(crate) fn home(&self) -> Option<&Path> {
        self.home.as_deref()
    }

    /// How long a service may keep silent.
    pub(crate) fn idle(&self) -> Duration {
        self.idle.unwrap_or(IDLE)
    }

    /// How long one request with its answer may take, where that is bounded.
    pub(crate) fn whole(&self) -> Option<Duration> {
        self.whole
    }
}

impl fmt::Debug for Settings {
    /// Names alone: what they say may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.options.keys().chain(self.variables.keys());
        f.debug_set().entries(names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn debug_output_shows_names_and_nothing_that_was_said() {
        let settings = Settings::default()
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

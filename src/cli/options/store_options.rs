//! Options about stores in a network, and what they mean together with the environment.

use crate::catalog::names::is_lasting;
use crate::cli::interrupt;
use crate::cli::options::retention::parse_duration;
use crate::cli::options::{layers, not_empty};
use crate::cli::show::failure::Usage;
use crate::config::{ByteSize, Environment, Setting};
use crate::model::{Bandwidth, Secret};
use crate::store::{LockMode, ObjectLock, StoreSettings};
use clap::{Args, CommandFactory, Parser};
use jiff::{SignedDuration, Timestamp};
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

/// What the container is called when `--storage` names a kind in a network and nothing names a
/// container.
const USUAL_CONTAINER: &str = "freezer_backups";

/// Options that hold secrets: for configuration files, and refused on the command line, where
/// everybody sees them.
pub(in crate::cli) const SECRETS: [&str; 2] = ["secret-key", "os-password"];

#[derive(Debug, Args)]
#[command(next_help_heading = "Options for stores in a network")]
pub(in crate::cli) struct StoreOptions {
    /// The kind of store that --container names a place in: local, swift, s3, ssh
    #[arg(long, value_name = "KIND", value_parser = ["local", "swift", "s3", "ssh"], hide_possible_values = true, global = true, hide_short_help = true)]
    pub(in crate::cli) storage: Option<String>,

    /// URL of an S3 service that is not Amazon's [environment: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL", global = true, hide_short_help = true)]
    endpoint: Option<String>,

    /// Name of the key for S3 [environment: AWS_ACCESS_KEY_ID, and all else that the tools of AWS
    /// know]
    #[arg(long, value_name = "KEY", global = true, hide_short_help = true)]
    access_key: Option<String>,

    /// The secret of that key; for configuration files alone
    #[arg(long, value_name = "SECRET", global = true, hide = true, value_parser = parse_secret)]
    secret_key: Option<Arc<Secret<String>>>,

    /// Password for Keystone; for configuration files alone
    #[arg(long, value_name = "SECRET", global = true, hide = true, value_parser = parse_secret)]
    os_password: Option<Arc<Secret<String>>>,

    /// The host that --storage ssh goes to
    #[arg(long, value_name = "HOST", global = true, hide_short_help = true)]
    ssh_host: Option<String>,

    /// Who logs in there [default: as ~/.ssh/config says]
    #[arg(long, value_name = "NAME", global = true, hide_short_help = true)]
    ssh_username: Option<String>,

    /// The port of its SSH server [default: as ~/.ssh/config says]
    #[arg(long, value_name = "PORT", global = true, hide_short_help = true)]
    ssh_port: Option<u16>,

    /// The private key to log in with [default: as ~/.ssh/config and the agent say]
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    ssh_key: Option<String>,

    /// How long to go on trying when a store fails for now [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse_time, global = true, hide_short_help = true)]
    pub(in crate::cli) retry_for: Option<Duration>,

    /// How long a store may keep silent before a try counts as failed, in seconds or with a unit
    /// [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse_time, global = true, hide_short_help = true)]
    timeout: Option<Duration>,

    /// Send at most so many bytes in a second: 500k, 20MiB/s; or by the time of day:
    /// `08:00,2MiB/s 18:00,off`
    #[arg(long, value_name = "RATE", value_parser = parse_bandwidth, global = true, hide_short_help = true)]
    upload_limit: Option<Bandwidth>,

    /// Receive at most so many bytes in a second, in the same way
    #[arg(long, value_name = "RATE", value_parser = parse_bandwidth, global = true, hide_short_help = true)]
    download_limit: Option<Bandwidth>,

    /// Have an S3 bucket with object lock keep all that is stored for that long (30d), whoever
    /// wants to remove it; `compliance:30d`, even those who may bypass a lock
    #[arg(long, value_name = "TIME", value_parser = parse_lock, global = true, hide_short_help = true)]
    object_lock: Option<Lock>,

    /// A proxy to go through: http://HOST:PORT [environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]
    #[arg(long, value_name = "URL", global = true, hide_short_help = true)]
    proxy: Option<String>,

    /// A file with the certificates to trust [environment: OS_CACERT, AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    os_cacert: Option<String>,

    /// Do not check the certificates of servers: whoever is in between can read and change
    /// everything that is not encrypted
    #[arg(long, global = true, hide_short_help = true)]
    insecure: bool,
}

/// How long objects are locked, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Lock {
    mode: LockMode,
    time: SignedDuration,
}

/// A store that a section `[storage:NAME]` of a configuration describes: where it is, and what it
/// is opened with.
pub(in crate::cli) struct NamedStore {
    pub(in crate::cli) name: String,
    pub(in crate::cli) store: Option<OsString>,
    pub(in crate::cli) options: StoreOptions,
}

/// What may stand in such a section.
#[derive(Debug, Parser)]
#[command(no_binary_name = true, args_override_self = true)]
struct Section {
    #[arg(long, alias = "container")]
    store: Option<OsString>,
    #[command(flatten)]
    options: StoreOptions,
}

impl NamedStore {
    /// Reads what the sections say, in the order in which they begin.
    pub(in crate::cli) fn read(settings: Vec<Setting>) -> anyhow::Result<Vec<Self>> {
        let program = not_empty::everywhere(Section::command());
        let mut sections: Vec<(String, Vec<OsString>)> = Vec::new();
        for setting in settings {
            let Some(name) = setting.section.clone() else {
                continue;
            };
            let argument = layers::find(&program, &setting.name)
                .ok_or_else(|| layers::unknown(&program, &setting))?;
            let argument = layers::as_argument(argument, &setting)?;
            match sections.iter_mut().find(|(other, _)| *other == name) {
                Some((_, arguments)) => arguments.extend(argument),
                None => sections.push((name, argument.into_iter().collect())),
            }
        }
        sections
            .into_iter()
            .map(|(name, arguments)| {
                let Section { store, options } = Section::try_parse_from(arguments)?;
                Ok(Self {
                    name,
                    store,
                    options,
                })
            })
            .collect()
    }
}

fn parse_secret(text: &str) -> Result<Arc<Secret<String>>, std::convert::Infallible> {
    Ok(Arc::new(Secret::new(text.to_owned())))
}

/// `90`, `90s`, `10m`, `1h30m`.
pub(in crate::cli) fn parse_time(text: &str) -> Result<Duration, String> {
    let refuse = || "write a time, such as 90s, 10m or 1h".to_owned();
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::SignedDuration = text.parse().map_err(|_| refuse())?;
    Duration::try_from(span).map_err(|_| refuse())
}

/// `30d`, `governance:30d`, `compliance:30d`.
fn parse_lock(text: &str) -> Result<Lock, String> {
    let (mode, time) = match text.split_once(':') {
        None => (LockMode::Governance, text),
        Some(("governance", time)) => (LockMode::Governance, time),
        Some(("compliance", time)) => (LockMode::Compliance, time),
        Some((other, _)) => {
            return Err(format!(
                "there is no lock of the kind {other}: there are governance and compliance"
            ));
        }
    };
    let time = parse_duration(time)?;
    if time.is_positive() {
        Ok(Lock { mode, time })
    } else {
        Err("a lock lasts for a time: 30d".to_owned())
    }
}

/// A number of bytes for a second, with or without `/s`.
fn parse_rate(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text
        .trim_end_matches("/s")
        .parse()
        .map_err(|error: crate::config::SizeError| error.to_string())?;
    if size.0 == 0 {
        Err("nothing would ever be done at 0 bytes in a second".to_owned())
    } else {
        Ok(size)
    }
}

/// A rate, or rates from times of day on.
fn parse_bandwidth(text: &str) -> Result<Bandwidth, String> {
    if !text.contains(',') {
        return Ok(Bandwidth::constant(parse_rate(text)?.0));
    }
    let refuse = || format!("{text:?} is no timetable: write it like `08:00,2MiB/s 18:00,off`");
    let step = |step: &str| -> Result<(u16, Option<u64>), String> {
        let (time, rate) = step.split_once(',').ok_or_else(refuse)?;
        let (hour, minute) = time.split_once(':').ok_or_else(refuse)?;
        let number = |digits: &str, below: u16| match digits.parse::<u16>() {
            Ok(number) if number < below && digits.len() == 2 => Ok(number),
            _ => Err(refuse()),
        };
        let rate = if rate == "off" {
            None
        } else {
            Some(parse_rate(rate)?.0)
        };
        Ok((number(hour, 24)? * 60 + number(minute, 60)?, rate))
    };
    let steps = text
        .split_whitespace()
        .map(step)
        .collect::<Result<Vec<_>, _>>()?;
    Bandwidth::by_time(steps).ok_or_else(refuse)
}

impl StoreOptions {
    /// What is stored by a run that begins at that moment is locked until one and the same moment.
    pub(in crate::cli) fn lock_from(&self, began: Timestamp) -> Option<ObjectLock> {
        let Lock { mode, time } = self.object_lock?;
        Some(ObjectLock {
            mode,
            until: began.saturating_add(time).unwrap_or(Timestamp::MAX),
            holds: is_lasting,
        })
    }

    /// What a store is opened with.
    pub(in crate::cli) fn settings(&self, environment: &Environment) -> StoreSettings {
        let mut settings = StoreSettings::default()
            .with_home(environment.home().cloned())
            .with_limits(self.upload_limit.clone(), self.download_limit.clone())
            .with_cancel(interrupt::flag_of_signals());
        for (name, value) in environment.store_variables() {
            settings = settings.with_variable(name, value.expose().as_str());
        }
        let secret = |value: &Option<Arc<Secret<String>>>| {
            value.as_ref().map(|value| value.expose().clone())
        };
        let given = [
            ("endpoint", self.endpoint.clone()),
            ("access-key", self.access_key.clone()),
            ("secret-key", secret(&self.secret_key)),
            ("os-password", secret(&self.os_password)),
            ("ssh-key", self.ssh_key.clone()),
            ("proxy", self.proxy.clone()),
            ("cacert", self.os_cacert.clone()),
            ("insecure", self.insecure.then(|| "true".to_owned())),
        ];
        for (name, value) in given {
            if let Some(value) = value {
                settings = settings.with_option(name, value);
            }
        }
        if let Some(retry_for) = self.retry_for {
            settings = settings.with_retry_for(retry_for);
        }
        match self.timeout {
            Some(timeout) => settings.with_idle(timeout.max(Duration::from_secs(1))),
            None => settings,
        }
    }

    /// The URL of a folder on the host that is named. A path that does not begin with a slash is
    /// below the login folder.
    fn over_ssh(&self, folder: &str) -> Result<OsString, Usage> {
        if folder.starts_with("sftp:") {
            return Ok(folder.into());
        }
        let host = self.ssh_host.as_deref().ok_or_else(|| {
            Usage::new("nothing says which host to go to").hint("name it: --ssh-host HOST")
        })?;
        let user = self
            .ssh_username
            .as_ref()
            .map(|user| format!("{user}@"))
            .unwrap_or_default();
        let port = self
            .ssh_port
            .map(|port| format!(":{port}"))
            .unwrap_or_default();
        let below = if folder.starts_with('/') { "" } else { "/~/" };
        Ok(format!(
            "sftp://{user}{host}{port}{below}{}",
            folder.replace('%', "%25").replace('?', "%3F")
        )
        .into())
    }

    /// The store that `--storage` and `--container` (or `--store`) name together.
    pub(in crate::cli) fn named(
        &self,
        store: Option<&OsString>,
    ) -> Result<Option<OsString>, Usage> {
        let Some(kind) = self.storage.as_deref().filter(|kind| *kind != "local") else {
            return Ok(store.cloned());
        };
        let Some(container) = store.map_or(Some(USUAL_CONTAINER), |store| store.to_str()) else {
            return Err(Usage::new("the name of a container is text"));
        };
        if kind == "ssh" {
            return self.over_ssh(container).map(Some);
        }
        let named_whole = container
            .split_once(':')
            .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case(kind));
        Ok(Some(if named_whole {
            container.into()
        } else {
            format!("{kind}://{}", container.trim_start_matches('/')).into()
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::{Lock, parse_bandwidth, parse_lock, parse_rate, parse_time};
    use crate::model::Bandwidth;
    use crate::store::LockMode;
    use jiff::SignedDuration;
    use std::time::Duration;

    #[test]
    fn a_lock_has_a_time_and_may_have_a_kind() {
        let days = |days: i64| SignedDuration::from_hours(24 * days);
        assert_eq!(
            parse_lock("30d"),
            Ok(Lock {
                mode: LockMode::Governance,
                time: days(30)
            })
        );
        assert_eq!(
            parse_lock("compliance:1d"),
            Ok(Lock {
                mode: LockMode::Compliance,
                time: days(1)
            })
        );
        for text in ["", "0", "legal:3d", "compliance", "-1d"] {
            parse_lock(text).expect_err(text);
        }
    }

    #[test]
    fn times_and_rates_are_read_as_people_write_them() {
        for (text, seconds) in [
            ("90", 90),
            ("90s", 90),
            ("10m", 600),
            ("1h30m", 5400),
            ("1h 30m", 5400),
        ] {
            assert_eq!(parse_time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "-1s", "soon", "10q"] {
            parse_time(text).expect_err(text);
        }
        assert_eq!(parse_rate("20MiB/s").map(|size| size.0), Ok(20 << 20));
        assert_eq!(parse_rate("500k").map(|size| size.0), Ok(500 << 10));
        parse_rate("0").expect_err("nothing");
        assert_eq!(parse_bandwidth("2MiB/s"), Ok(Bandwidth::constant(2 << 20)));
        let day = parse_bandwidth("08:00,100 18:30,off").expect("a timetable");
        assert_eq!(
            (day.at(480), day.at(1109), day.at(1110), day.at(479)),
            (Some(100), Some(100), None, None)
        );
        for text in [
            "8:00,1",
            "24:00,1",
            "08:60,1",
            "08:00",
            "08:00,0",
            "08:00,1 08:00,2",
            ",",
            "08:00,1 18:00",
        ] {
            parse_bandwidth(text).expect_err(text);
        }
    }
}

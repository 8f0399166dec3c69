//! Options about stores, and what they mean together with the environment.

use crate::catalog::names::is_lasting;
use crate::cli::interrupt;
use crate::cli::options::rates::{LockTerm, parse_bandwidth, parse_lock};
use crate::cli::show::failure::Usage;
use crate::config::{Environment, TimeLength};
use crate::model::{Bandwidth, Secret};
use crate::store::{ObjectLock, StoreSettings};
use clap::Args;
use jiff::Timestamp;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::Duration;

/// The container that `--storage` means when nothing names one.
const USUAL_CONTAINER: &str = "freezer_backups";

/// Options that hold secrets. Configuration files may set them; the command line, which every user
/// of the machine can see, may not.
pub(in crate::cli) const SECRETS: [&str; 2] = ["secret-key", "os-password"];

#[derive(Debug, Args)]
#[command(next_help_heading = "Options for stores in a network")]
pub(in crate::cli) struct StoreOptions {
    /// The kind of store in which --container names a place: local, swift, s3 or ssh
    #[arg(long, value_name = "KIND", value_parser = ["local", "swift", "s3", "ssh"])]
    #[arg(hide_possible_values = true, global = true, hide_short_help = true)]
    pub(in crate::cli) storage: Option<String>,

    /// URL of an S3 service other than Amazon's [environment: AWS_ENDPOINT_URL]
    #[arg(long, value_name = "URL", global = true, hide_short_help = true)]
    endpoint: Option<String>,

    /// Id of the access key for S3 [environment: AWS_ACCESS_KEY_ID; profiles, roles and the other
    /// sources of the AWS tools work too]
    #[arg(long, value_name = "KEY", global = true, hide_short_help = true)]
    access_key: Option<String>,

    /// The secret of the access key; only for configuration files
    #[arg(long, value_name = "SECRET", global = true, hide = true, value_parser = parse_secret)]
    secret_key: Option<Arc<Secret<String>>>,

    /// Password for Keystone; only for configuration files
    #[arg(long, value_name = "SECRET", global = true, hide = true, value_parser = parse_secret)]
    os_password: Option<Arc<Secret<String>>>,

    /// The host of a store of --storage ssh
    #[arg(long, value_name = "HOST", global = true, hide_short_help = true)]
    ssh_host: Option<String>,

    /// The user to log in as on that host [default: as ~/.ssh/config says]
    #[arg(long, value_name = "NAME", global = true, hide_short_help = true)]
    ssh_username: Option<String>,

    /// The port of the SSH server [default: as ~/.ssh/config says]
    #[arg(long, value_name = "PORT", global = true, hide_short_help = true)]
    ssh_port: Option<u16>,

    /// The private key to log in with [default: as ~/.ssh/config and the agent say]
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    ssh_key: Option<String>,

    /// How long to retry a call that a store cannot answer for now (90s, 10m; a number alone counts
    /// seconds) [default: 10m]
    #[arg(long, value_name = "TIME", global = true, hide_short_help = true)]
    pub(in crate::cli) retry_for: Option<TimeLength>,

    /// How long a store may be silent before a try counts as failed (90s, 10m; a number alone
    /// counts seconds; at least 1s) [default: 60s]
    #[arg(long, value_name = "TIME", global = true, hide_short_help = true)]
    timeout: Option<TimeLength>,

    /// Send at most this many bytes per second (500k, 20MiB/s), or by the time of day:
    /// `08:00,2MiB/s 18:00,off` [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = parse_bandwidth)]
    #[arg(global = true, hide_short_help = true)]
    upload_limit: Option<Bandwidth>,

    /// Receive at most this many bytes per second; takes the same values as --upload-limit
    /// [default: no limit]
    #[arg(long, value_name = "RATE", value_parser = parse_bandwidth)]
    #[arg(global = true, hide_short_help = true)]
    download_limit: Option<Bandwidth>,

    /// Lock each stored object against removal for this long (30d), in an S3 bucket with object
    /// lock. compliance:30d holds even against users who may bypass a lock [default: no lock]
    #[arg(long, value_name = "TIME", value_parser = parse_lock)]
    #[arg(global = true, hide_short_help = true)]
    object_lock: Option<LockTerm>,

    /// The proxy to use: http://HOST:PORT [environment: HTTPS_PROXY, HTTP_PROXY, NO_PROXY]
    #[arg(long, value_name = "URL", global = true, hide_short_help = true)]
    proxy: Option<String>,

    /// A file with the certificates to trust, in PEM [environment: OS_CACERT, AWS_CA_BUNDLE]
    #[arg(long, value_name = "FILE", global = true, hide_short_help = true)]
    os_cacert: Option<String>,

    /// Do not verify the certificates of servers: anyone on the way can then read and change all
    /// that is not encrypted
    #[arg(long, global = true, hide_short_help = true)]
    insecure: bool,
}

fn parse_secret(text: &str) -> Result<Arc<Secret<String>>, std::convert::Infallible> {
    Ok(Arc::new(Secret::new(text.to_owned())))
}

impl StoreOptions {
    /// Returns the lock of all that a run stores that begins at this moment.
    pub(in crate::cli) fn lock_from(&self, began: Timestamp) -> Option<ObjectLock> {
        let LockTerm { mode, time } = self.object_lock?;
        Some(ObjectLock {
            mode,
            until: began.saturating_add(time).unwrap_or(Timestamp::MAX),
            holds: is_lasting,
        })
    }

    /// Returns the settings that a store is opened with.
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
            settings = settings.with_retry_for(retry_for.0);
        }
        match self.timeout {
            Some(timeout) => settings.with_idle(timeout.0.max(Duration::from_secs(1))),
            None => settings,
        }
    }

    /// Returns the URL of a folder on the host of `--ssh-host`. A path without a leading slash is
    /// below the login folder.
    fn over_ssh(&self, folder: &str) -> Result<OsString, Usage> {
        if folder.starts_with("sftp:") {
            return Ok(folder.into());
        }
        let host = self.ssh_host.as_deref().ok_or_else(|| {
            Usage::new("--storage ssh needs a host").hint("name it: --ssh-host HOST")
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

    /// Returns the store that `--storage` and `--container` (or `--store`) name together.
    pub(in crate::cli) fn named(
        &self,
        store: Option<&OsString>,
    ) -> Result<Option<OsString>, Usage> {
        let Some(kind) = self.storage.as_deref().filter(|kind| *kind != "local") else {
            return Ok(store.cloned());
        };
        let Some(container) = store.map_or(Some(USUAL_CONTAINER), |store| store.to_str()) else {
            return Err(Usage::new("the name of a container must be UTF-8"));
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

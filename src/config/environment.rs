//! The environment variables that Freezer reads.

use super::{Setting, SettingOrigin};
use crate::model::Secret;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

/// Variables that stand for an option, and its long name.
const OPTIONS: [(&str, &str); 6] = [
    ("FREEZER_STORE", "store"),
    ("FREEZER_ENCRYPT_PASS_FILE", "encrypt-pass-file"),
    ("FREEZER_PASSWORD_COMMAND", "password-command"),
    ("FREEZER_API_URL", "api-url"),
    ("FREEZER_API_PROJECT", "api-project"),
    ("FREEZER_API_TOKEN_FILE", "api-token-file"),
];

/// Variables with addresses and credentials of stores in a network, as the usual tools of those
/// stores read them. They may hold secrets.
const STORE_VARIABLES: [&str; 65] = [
    "ACCESS_KEY",
    "AWS_ACCESS_KEY_ID",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AZURE_STORAGE_ACCOUNT",
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_ACCOUNT_NAME",
    "AZURE_STORAGE_ENDPOINT",
    "AZURE_STORAGE_KEY",
    "AZURE_STORAGE_SAS_TOKEN",
    "AZURE_STORAGE_SERVICE_ENDPOINT",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_OAUTH_ACCESS_TOKEN",
    "GOOGLE_STORAGE_ENDPOINT",
    "OS_APPLICATION_CREDENTIAL_ID",
    "OS_APPLICATION_CREDENTIAL_NAME",
    "OS_APPLICATION_CREDENTIAL_SECRET",
    "OS_AUTH_TOKEN",
    "OS_AUTH_URL",
    "OS_BACKUP_URL",
    "OS_CACERT",
    "OS_CLIENT_CONFIG_FILE",
    "OS_CLOUD",
    "OS_ENDPOINT_TYPE",
    "OS_INSECURE",
    "OS_INTERFACE",
    "OS_PASSWORD",
    "OS_PROJECT_DOMAIN_ID",
    "OS_PROJECT_DOMAIN_NAME",
    "OS_PROJECT_ID",
    "OS_PROJECT_NAME",
    "OS_REGION_NAME",
    "OS_STORAGE_URL",
    "OS_TENANT_ID",
    "OS_TENANT_NAME",
    "OS_TOKEN",
    "OS_TRUST_ID",
    "OS_USERNAME",
    "OS_USER_DOMAIN_ID",
    "OS_USER_DOMAIN_NAME",
    "OS_USER_ID",
    "SECRET_KEY",
    "ST_AUTH",
    "ST_KEY",
    "ST_USER",
    "WEBDAV_PASSWORD",
    "WEBDAV_TOKEN",
    "WEBDAV_USERNAME",
];

/// The machine's configuration file.
const MACHINE_CONFIG: &str = "/etc/freezer/freezer.conf";

/// The environment, as far as Freezer reads it.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    home: Option<PathBuf>,
    config_home: Option<PathBuf>,
    data_home: Option<PathBuf>,
    state_home: Option<PathBuf>,
    config: Option<PathBuf>,
    editor: Option<String>,
    settings: Vec<Setting>,
    store_variables: Vec<(&'static str, Arc<Secret<String>>)>,
}

impl Environment {
    /// Reads the environment of this process.
    pub fn of_process() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one home of environment variables"
        )]
        Self::read(|variable| std::env::var_os(variable))
    }

    /// Reads variables through `value_of`. An empty variable counts as not set.
    pub fn read(value_of: impl Fn(&str) -> Option<OsString>) -> Self {
        let value_of = |variable: &str| value_of(variable).filter(|value| !value.is_empty());
        // The XDG specification says to ignore relative paths.
        let folder = |variable| {
            value_of(variable)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        let setting = |(variable, option): (&'static str, &str)| {
            value_of(variable).map(|value| Setting {
                section: None,
                name: option.to_owned(),
                value,
                origin: SettingOrigin::Environment(variable),
            })
        };
        let home = folder("HOME").or_else(|| folder("USERPROFILE"));
        let below_home = |path: &str| home.as_ref().map(|home| home.join(path));
        Self {
            config_home: folder("XDG_CONFIG_HOME").or_else(|| below_home(".config")),
            data_home: folder("XDG_DATA_HOME").or_else(|| below_home(".local/share")),
            state_home: folder("XDG_STATE_HOME").or_else(|| below_home(".local/state")),
            config: value_of("FREEZER_CONFIG").map(PathBuf::from),
            editor: value_of("VISUAL")
                .or_else(|| value_of("EDITOR"))
                .and_then(|editor| editor.into_string().ok()),
            store_variables: STORE_VARIABLES
                .into_iter()
                .filter_map(|variable| {
                    Some((
                        variable,
                        Arc::new(Secret::new(value_of(variable)?.into_string().ok()?)),
                    ))
                })
                .collect(),
            settings: OPTIONS.into_iter().filter_map(setting).collect(),
            home,
        }
    }

    /// Returns the options that variables set.
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// Returns the variables of stores in a network that are set, with their values.
    pub fn store_variables(&self) -> impl Iterator<Item = (&'static str, &Secret<String>)> {
        self.store_variables
            .iter()
            .map(|(name, value)| (*name, value.as_ref()))
    }

    /// Returns the configuration file that `FREEZER_CONFIG` names.
    pub fn config_file(&self) -> Option<&PathBuf> {
        self.config.as_ref()
    }

    /// Returns the configuration files that are read if none is named: the machine's, then the
    /// user's, whose values win. They need not exist.
    pub fn default_config_files(&self) -> Vec<PathBuf> {
        let user = self
            .config_home
            .as_ref()
            .map(|folder| folder.join("freezer/freezer.conf"));
        std::iter::once(PathBuf::from(MACHINE_CONFIG))
            .chain(user)
            .collect()
    }

    /// Returns the store that is used if none is named; `None` if the user has no home.
    pub fn default_store(&self) -> Option<PathBuf> {
        self.data_home
            .as_ref()
            .map(|folder| folder.join("freezer/store"))
    }

    /// Returns the SQLite file of the server if no database is named; `None` if the user has no
    /// home.
    pub fn default_database(&self) -> Option<PathBuf> {
        self.data_home
            .as_ref()
            .map(|folder| folder.join("freezer/api.sqlite"))
    }

    /// Returns the log file of a mount in the background if none is named; `None` if the user has
    /// no home.
    pub fn default_log_file(&self) -> Option<PathBuf> {
        self.state_home
            .as_ref()
            .map(|folder| folder.join("freezer/mount.log"))
    }

    /// Returns the file in which `freezer api --dev` leaves its address and token for other
    /// commands of the same user; `None` if the user has no home.
    pub fn dev_server(&self) -> Option<PathBuf> {
        self.default_database()
            .map(|path| path.with_file_name("api.json"))
    }

    /// Returns the folder for what this machine knows of stores; `None` if the user has no home.
    pub fn known_stores(&self) -> Option<PathBuf> {
        self.state_home
            .as_ref()
            .map(|folder| folder.join("freezer/known-stores"))
    }

    /// Returns the folder for the state of the scheduler; `None` if the user has no home.
    pub fn default_scheduler_folder(&self) -> Option<PathBuf> {
        self.state_home
            .as_ref()
            .map(|folder| folder.join("freezer/scheduler"))
    }

    /// Returns the user's editor with its arguments: `VISUAL`, else `EDITOR`.
    pub fn editor(&self) -> Option<&str> {
        self.editor.as_deref()
    }

    /// Returns the user's home directory, for `~`.
    pub fn home(&self) -> Option<&PathBuf> {
        self.home.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::Environment;
    use std::path::{Path, PathBuf};

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables
                .iter()
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| value.into())
        })
    }

    #[test]
    fn the_default_store_lies_below_the_data_directory() {
        let plain = environment(&[
            ("HOME", "/home/u"),
            ("XDG_DATA_HOME", "relative/is/ignored"),
        ]);
        assert_eq!(
            plain.default_store().as_deref(),
            Some(Path::new("/home/u/.local/share/freezer/store"))
        );
        let moved = environment(&[("HOME", "/home/u"), ("XDG_DATA_HOME", "/data")]);
        assert_eq!(
            moved.default_store().as_deref(),
            Some(Path::new("/data/freezer/store"))
        );
        assert_eq!(environment(&[]).default_store(), None);
    }

    #[test]
    fn the_users_file_comes_after_the_machines() {
        let files =
            environment(&[("HOME", "/home/u"), ("XDG_CONFIG_HOME", "/c")]).default_config_files();
        assert_eq!(
            files,
            ["/etc/freezer/freezer.conf", "/c/freezer/freezer.conf"].map(PathBuf::from)
        );
    }

    #[test]
    fn an_empty_variable_is_no_setting() {
        let set = environment(&[
            ("FREEZER_STORE", "/srv/b"),
            ("FREEZER_ENCRYPT_PASS_FILE", ""),
        ]);
        let names: Vec<_> = set
            .settings()
            .iter()
            .map(|setting| (setting.name.as_str(), setting.value.as_os_str()))
            .collect();
        assert_eq!(names, [("store", "/srv/b".as_ref())]);
    }
}

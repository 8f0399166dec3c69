//! One run of the program: its options, its output, its store and the key of that.

use crate::catalog::known::{Purpose, Witness};
use crate::catalog::{Access, AccessError, Catalog};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::place::StorePlace;
use crate::cli::options::common::Common;
use crate::cli::options::sections::NamedStore;
use crate::cli::options::stores::StoreOptions;
use crate::cli::show::failure::{FailureReport, Usage};
use crate::cli::show::log_file::LogLimits;
use crate::cli::show::logging;
use crate::cli::show::output::{Output, OutputForm};
use crate::cli::show::progress::ProgressDisplay;
use crate::cli::show::screen::Screen;
use crate::config::{Environment, passphrase_of_command, read_passphrase};
use crate::format::identity::Cipher;
use crate::fs::ReadOptions;
use crate::model::{Interrupted, Passphrase};
use crate::net::PlainHosts;
use crate::platform::{Clock, SystemClock, terminal};
use crate::store::disk_cache::DiskCache;
use crate::store::location::{IfMissing, Location};
use crate::store::{Store, StoreSettings};
use anyhow::{Context, bail};
use jiff::tz::TimeZone;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// A store, and the passphrase that opened it if it has one.
pub(in crate::cli) struct OpenedStore {
    pub(in crate::cli) access: Access,
    pub(in crate::cli) passphrase: Option<Arc<Passphrase>>,
}

/// What a command works with.
pub(in crate::cli) struct Session {
    pub(in crate::cli) common: Common,
    pub(in crate::cli) environment: Environment,
    pub(in crate::cli) output: Output,
    pub(in crate::cli) clock: SystemClock,
    pub(in crate::cli) zone: TimeZone,
    /// Stores that the configuration describes.
    described: Vec<NamedStore>,
    pub(in crate::cli) screen: Screen,
    /// The hosts that stores of this run are reached at over plain HTTP.
    pub(in crate::cli) plain_hosts: PlainHosts,
    /// The longest that a call of a store may take, if there is a limit.
    patience: Option<Duration>,
    /// The passphrase that the user gave in a way that gives it only once.
    passphrase: OnceLock<Arc<Passphrase>>,
}

/// A store whose backups are to be listed.
pub(in crate::cli) enum ListedStore {
    /// Manifests tell them.
    Encrypted(Access),
    /// Names of objects tell them, to be compared with the memory of this machine.
    Plain(Catalog, Option<Witness>),
}

impl Session {
    pub(in crate::cli) fn new(
        common: Common,
        described: Vec<NamedStore>,
        environment: Environment,
        output: Output,
        screen: Screen,
    ) -> Self {
        Self {
            common,
            environment,
            output,
            clock: SystemClock,
            zone: TimeZone::system(),
            described,
            screen,
            plain_hosts: PlainHosts::default(),
            patience: None,
            passphrase: OnceLock::new(),
        }
    }

    /// Limits how long each call of a store may take.
    #[cfg(unix)]
    pub(in crate::cli) fn wait_no_longer_than(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    /// Starts the log: on standard error and, with `--log-file`, in a file.
    pub(in crate::cli) fn start_logging(&self) -> anyhow::Result<()> {
        let file = self.common.log_file.as_deref();
        let limits = LogLimits {
            bytes: self.common.log_file_size.0,
            files: self.common.log_file_keep,
        };
        if let Some(file) = file {
            outside_stores("the log", file)?;
        }
        logging::start(
            self.common.verbose,
            self.common.quiet,
            file,
            limits,
            self.screen.clone(),
        )
    }

    /// Starts to show the progress of a long run.
    pub(in crate::cli) fn progress(&self) -> ProgressDisplay {
        ProgressDisplay::new(self.output.form, self.common.quiet, &self.screen)
    }

    /// Prints an error; returns its exit code.
    pub(in crate::cli) fn report(&mut self, error: &anyhow::Error) -> ExitCode {
        // Data that was printed before the failure comes before the message. If it cannot be
        // printed, that is the error itself.
        self.output.flush().ok();
        let Some(report) = FailureReport::of(error) else {
            return ExitCode::SUCCESS;
        };
        self.screen.print(&report.to_string());
        tracing::debug!(error = ?error, "failed");
        if self.output.form == OutputForm::Json {
            // Standard error has told it already.
            self.output.json(&report).ok();
        }
        report.exit_code.into()
    }

    /// Returns the location of the one store of this run.
    pub(in crate::cli) fn location(&self) -> anyhow::Result<Location> {
        Ok(self.store_place()?.location)
    }

    /// Returns the place of the one store of this run.
    pub(in crate::cli) fn store_place(&self) -> anyhow::Result<StorePlace> {
        if self.common.store.len() > 1 {
            let message = "this command works with one store, and several were named";
            return Err(Usage::new(message)
                .hint("name one: --store STORE; only freezer backup takes several")
                .into());
        }
        let first = self.store_places()?.into_iter().next();
        Ok(first.ok_or_else(|| {
            Usage::new("there is no home directory to keep a store in")
                .hint("name a store: --store PATH")
        })?)
    }

    /// Returns the places of all stores of this run: those that were named, else those that the
    /// configuration describes, else the default one.
    pub(in crate::cli) fn store_places(&self) -> anyhow::Result<Vec<StorePlace>> {
        if !self.common.store.is_empty() {
            return self
                .common
                .store
                .iter()
                .map(|text| self.place(text))
                .collect();
        }
        if !self.described.is_empty() {
            return self
                .described
                .iter()
                .map(|described| self.described_place(described))
                .collect();
        }
        let named = self.common.stores.named(None)?;
        let text = named.or_else(|| self.environment.default_store().map(OsString::from));
        text.map(|text| self.parsed(&text, &self.common.stores))
            .into_iter()
            .collect()
    }

    /// Returns the place that a path, a URL or the name of a store in the configuration means.
    fn place(&self, text: &OsString) -> anyhow::Result<StorePlace> {
        if let Some(described) = self.described_as(text) {
            return self.described_place(described);
        }
        let named = self.common.stores.named(Some(text))?;
        self.parsed(&named.unwrap_or_else(|| text.clone()), &self.common.stores)
    }

    fn described_as(&self, text: &OsStr) -> Option<&NamedStore> {
        self.described
            .iter()
            .find(|described| text.to_str() == Some(described.name.as_str()))
    }

    fn described_place(&self, described: &NamedStore) -> anyhow::Result<StorePlace> {
        let named = described
            .options
            .named(described.store.as_ref())?
            .ok_or_else(|| {
                let message = format!(
                    "the configuration does not say where the store {} is",
                    described.name
                );
                Usage::new(message).hint(format!(
                    "write store = PATH or URL below [storage:{}]",
                    described.name
                ))
            })?;
        self.parsed(&named, &described.options)
    }

    fn parsed(&self, text: &OsStr, options: &StoreOptions) -> anyhow::Result<StorePlace> {
        let location = Location::parse(text).map_err(|error| Usage::new(error.to_string()))?;
        let mut settings = options
            .settings(&self.environment)
            .with_plain_hosts(self.plain_hosts.clone());
        if let Some(lock) = options.lock_from(self.clock.now()) {
            settings = settings.with_object_lock(lock);
        }
        Ok(StorePlace {
            location,
            settings: self
                .patience
                .into_iter()
                .fold(settings, StoreSettings::within),
        })
    }

    /// Reads the passphrase of `--encrypt-pass-file` or `--password-command`, if one is given.
    ///
    /// Keeps only what it cannot get again: standard input has it once, and a command may ask for
    /// it. A file is read again, so that no passphrase stays in memory.
    pub(in crate::cli) fn given_passphrase(&self) -> anyhow::Result<Option<Arc<Passphrase>>> {
        if let Some(passphrase) = self.passphrase.get() {
            return Ok(Some(Arc::clone(passphrase)));
        }
        let passphrase = match (
            &self.common.password_command,
            self.common.encrypt_pass_file.as_deref(),
        ) {
            (Some(command), _) => passphrase_of_command(command)?,
            (None, Some(path)) => {
                let passphrase = self.passphrase_in(path)?;
                if path != Path::new("-") {
                    return Ok(Some(Arc::new(passphrase)));
                }
                passphrase
            }
            (None, None) => return Ok(None),
        };
        let passphrase = self.passphrase.get_or_init(|| Arc::new(passphrase));
        Ok(Some(Arc::clone(passphrase)))
    }

    /// Wipes a passphrase that was kept, once nothing more is to be opened with it.
    #[cfg(unix)]
    pub(in crate::cli) fn forget_passphrase(&mut self) {
        self.passphrase.take();
    }

    /// Reads a passphrase or another secret: the first line of a file. Warns if others may read it.
    pub(in crate::cli) fn passphrase_in(&self, path: &Path) -> anyhow::Result<Passphrase> {
        let file = read_passphrase(path)?;
        if file.open_to_others {
            self.output.warn(format_args!(
                "other users may read {}: chmod 600 prevents that",
                path.display()
            ));
        }
        Ok(file.passphrase)
    }

    /// Opens an existing store to read it. Asks for its passphrase if it has one and no file gives
    /// it.
    pub(in crate::cli) fn access(&self) -> anyhow::Result<Access> {
        self.access_for(Purpose::Reading)
    }

    /// Opens an existing store to change it. Fails if it is not the store that this machine knows.
    pub(in crate::cli) fn access_for_writing(&self) -> anyhow::Result<Access> {
        self.access_for(Purpose::Writing)
    }

    /// Opens an existing store. Its purpose decides what a store does that is not the known one.
    pub(in crate::cli) fn access_for(&self, purpose: Purpose) -> anyhow::Result<Access> {
        let store = self.open_store()?;
        self.unlock(store, purpose)
    }

    /// Opens an existing store for reading backups, through the disk cache if there is one.
    pub(in crate::cli) fn access_for_reading(&self) -> anyhow::Result<Access> {
        let access = self.access()?;
        let Some(folder) = &self.common.disk_cache else {
            return Ok(access);
        };
        outside_stores("a disk cache", folder)?;
        let cache = DiskCache::new(access.store(), folder, self.common.disk_cache_size.0);
        let cache =
            cache.with_context(|| format!("could not use {} as a disk cache", folder.display()))?;
        Ok(access.through(Arc::new(cache)))
    }

    /// Returns how readers of the store should read ahead.
    pub(in crate::cli) fn read_options(&self) -> anyhow::Result<ReadOptions> {
        let options = ReadOptions::default();
        Ok(if matches!(self.location()?, Location::Remote(_)) {
            options.for_network()
        } else {
            options
        })
    }

    /// Opens an existing store to list its backups. One that is encrypted needs its passphrase: the
    /// names of its objects prove nothing.
    pub(in crate::cli) fn to_be_listed(&self) -> anyhow::Result<ListedStore> {
        let store = self.open_store()?;
        let identity = Access::identity_at(store.as_ref())
            .map_err(|error| self.or_emptied(&store.location(), error.into()))?;
        if identity.cipher != Cipher::None {
            return Ok(ListedStore::Encrypted(
                self.unlock(store, Purpose::Reading)?,
            ));
        }
        let witness = self.witness(&store.location(), &identity, Purpose::Reading)?;
        self.tell_of_plain_http(identity.cipher);
        Ok(ListedStore::Plain(Catalog::new(store), witness))
    }

    fn open_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        let place = self.store_place()?;
        place.open(IfMissing::Refuse).map_err(|error| {
            let name = place.location.place().unwrap_or_default();
            self.or_emptied(&name, error)
        })
    }

    /// Opens the store that a path, a URL or the name of a store in the configuration means.
    pub(in crate::cli) fn open_at(
        &self,
        text: &OsString,
        if_missing: IfMissing,
    ) -> anyhow::Result<Arc<dyn Store>> {
        self.place(text)?.open(if_missing)
    }

    /// Opens an encrypted store with the passphrase of a file, or of the terminal. Fails where the
    /// store is to be changed and must not be.
    pub(in crate::cli) fn unlock(
        &self,
        store: Arc<dyn Store>,
        purpose: Purpose,
    ) -> anyhow::Result<Access> {
        let access = self.unlock_with_passphrase(store, purpose)?.access;
        if purpose == Purpose::Writing {
            access.expect_writable()?;
        }
        Ok(access)
    }

    /// Opens the one store of this run, for a command that needs its passphrase too. It may be of
    /// an earlier version.
    pub(in crate::cli) fn opened(&self, purpose: Purpose) -> anyhow::Result<OpenedStore> {
        self.unlock_with_passphrase(self.open_store()?, purpose)
    }

    fn unlock_with_passphrase(
        &self,
        store: Arc<dyn Store>,
        purpose: Purpose,
    ) -> anyhow::Result<OpenedStore> {
        let place = store.location();
        let mut passphrase = self.given_passphrase()?;
        let access = match Access::open(Arc::clone(&store), passphrase.as_deref()) {
            Err(AccessError::PassphraseNeeded(_)) if terminal::is_there() => {
                let asked = self.ask(&format!("Passphrase of {place}: "))?;
                Access::open(store, Some(passphrase.insert(Arc::new(asked))))
            }
            access => access,
        };
        let access = access.map_err(|error| self.or_emptied(&place, error.into()))?;
        Ok(OpenedStore {
            access: self.watched(access, purpose)?,
            passphrase,
        })
    }

    /// Asks for a passphrase on the terminal.
    pub(in crate::cli) fn ask(&self, question: &str) -> anyhow::Result<Passphrase> {
        match terminal::ask_secret(question) {
            Ok(answer) => Ok(answer),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                Err(Interrupted.into())
            }
            Err(error) => Err(error).context("could not ask for the passphrase"),
        }
    }
    /// Asks for a new secret twice.
    ///
    /// # Errors
    ///
    /// [`Usage`] with this hint when there is no terminal; other errors when the answers are empty
    /// or differ.
    pub(in crate::cli) fn ask_twice(&self, what: &str, hint: &str) -> anyhow::Result<Passphrase> {
        if !terminal::is_there() {
            let message = format!("there is no terminal to ask for the {what} on");
            return Err(Usage::new(message).hint(hint).into());
        }
        let first = self.ask(&format!("New {what}: "))?;
        if first.expose().is_empty() {
            bail!("the {what} cannot be empty");
        }
        if first.expose() != self.ask("The same again: ")?.expose() {
            bail!("the two are not the same; nothing was changed");
        }
        Ok(first)
    }
}

//! What one run of the program works with: options of every command, output, the store and its key.

use crate::catalog::{Access, AccessError, Catalog, Order, is_store, locate};
use crate::cli::arguments::Common;
use crate::cli::open::outside::outside_stores;
use crate::cli::options::store_options::{NamedStore, StoreOptions};
use crate::cli::show::failure::{FAILED, Outcome, Told, Usage, chain};
use crate::cli::show::log_file::Kept;
use crate::cli::show::logging;
use crate::cli::show::output::{Format, Output};
use crate::cli::show::progress::Shown;
use crate::cli::show::screen::Screen;
use crate::cli::show::when;
use crate::config::{Environment, read_passphrase};
use crate::format::manifest::Manifest;
use crate::fs::timeline::Timeline;
use crate::fs::view::{View, ViewParts};
use crate::fs::{FileReader, ReadOptions};
use crate::model::{BackupName, BackupRef, LevelId, Passphrase};
use crate::platform::{Clock, DirHandle, SystemClock, terminal};
use crate::store::disk_cache::DiskCache;
use crate::store::location::{IfMissing, Location};
use crate::store::{Store, StoreSettings};
use anyhow::Context;
use jiff::tz::TimeZone;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

pub(in crate::cli) struct Session {
    pub(in crate::cli) common: Common,
    pub(in crate::cli) environment: Environment,
    pub(in crate::cli) output: Output,
    pub(in crate::cli) clock: SystemClock,
    pub(in crate::cli) zone: TimeZone,
    /// Stores that the configuration describes.
    described: Vec<NamedStore>,
    screen: Screen,
    /// How long whoever waits for a store waits at most, where that is bounded.
    patience: Option<Duration>,
}

/// A place where a store is or will be, and what it is opened with.
pub(in crate::cli) struct StorePlace {
    pub(in crate::cli) location: Location,
    pub(in crate::cli) settings: StoreSettings,
}

/// A point in time, opened for reading.
pub(in crate::cli) struct Point {
    pub(in crate::cli) backup: BackupName,
    pub(in crate::cli) level: LevelId,
    pub(in crate::cli) view: View,
}

impl StorePlace {
    /// Says how long the longest objects will be.
    pub(in crate::cli) fn with_segment_bytes(self, segment_bytes: u64) -> Self {
        Self {
            settings: self.settings.with_segment_bytes(segment_bytes),
            ..self
        }
    }

    /// Opens the store there.
    pub(in crate::cli) fn open(&self, if_missing: IfMissing) -> anyhow::Result<Arc<dyn Store>> {
        if let (Location::Folder(folder), IfMissing::Create) = (&self.location, if_missing)
            && !DirHandle::open(folder).is_ok_and(|folder| is_store(&folder))
        {
            outside_stores("a store", folder)?;
        }
        self.location
            .open(if_missing, &self.settings)
            .map_err(|error| match (if_missing, error.kind()) {
                (IfMissing::Refuse, crate::store::ErrorKind::Missing) => {
                    AccessError::NoStore(self.location.to_string()).into()
                }
                _ => error.into(),
            })
    }
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
            patience: None,
        }
    }

    /// Has every call of a store end within that time.
    #[cfg(unix)]
    pub(in crate::cli) fn wait_no_longer_than(&mut self, patience: Duration) {
        self.patience = Some(patience);
    }

    pub(in crate::cli) fn start_logging(&self) -> anyhow::Result<()> {
        self.log_to(self.common.log_file.as_deref())
    }

    pub(in crate::cli) fn log_to(&self, file: Option<&Path>) -> anyhow::Result<()> {
        let kept = Kept {
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
            kept,
            self.screen.clone(),
        )
    }

    /// Shows how a long run goes on.
    pub(in crate::cli) fn progress(&self) -> Shown {
        Shown::new(self.output.format, self.common.quiet, &self.screen)
    }

    /// Tells what went wrong; returns the exit code.
    pub(in crate::cli) fn tell(&mut self, error: &anyhow::Error) -> ExitCode {
        // What was printed before it failed comes before the message; that it cannot be printed is
        // the error itself.
        self.output.flush().ok();
        let Some(told) = Told::of(error) else {
            return ExitCode::SUCCESS;
        };
        self.screen.print(&told.to_string());
        tracing::debug!(error = ?error, "failed");
        if self.output.format == Format::Json && self.output.json(&told).is_err() {
            return FAILED.into();
        }
        told.exit_code.into()
    }

    /// Where the store is; the first one where there are several.
    pub(in crate::cli) fn location(&self) -> anyhow::Result<Location> {
        Ok(self.store_place()?.location)
    }

    fn store_place(&self) -> anyhow::Result<StorePlace> {
        if self.common.store.len() > 1 {
            let message = "several stores were named, and this works with one";
            return Err(Usage::new(message)
                .hint("name the one: --store STORE; freezer backup takes several")
                .into());
        }
        let first = self.store_places()?.into_iter().next();
        Ok(first.ok_or_else(|| {
            Usage::new("there is no home directory to keep a store in")
                .hint("name a store: --store PATH")
        })?)
    }

    /// Where the stores are: those that were named, else those that the configuration describes,
    /// else the usual one.
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

    /// What a path, a URL, or the name of a store in the configuration means.
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
                let message = format!("nothing says where the store {} is", described.name);
                Usage::new(message).hint(format!(
                    "write store = PATH or URL below [storage:{}]",
                    described.name
                ))
            })?;
        self.parsed(&named, &described.options)
    }

    fn parsed(&self, text: &OsStr, options: &StoreOptions) -> anyhow::Result<StorePlace> {
        let location = Location::parse(text).map_err(|error| Usage::new(error.to_string()))?;
        let mut settings = options.settings(&self.environment);
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

    /// The passphrase that a file gives, if one is named.
    pub(in crate::cli) fn given_passphrase(&self) -> anyhow::Result<Option<Passphrase>> {
        self.common
            .encrypt_pass_file
            .as_deref()
            .map(|path| self.passphrase_in(path))
            .transpose()
    }

    pub(in crate::cli) fn passphrase_in(&self, path: &Path) -> anyhow::Result<Passphrase> {
        let file = read_passphrase(path)?;
        if file.open_to_others {
            self.output.warn(format_args!(
                "others may read {}: chmod 600 makes it yours alone",
                path.display()
            ));
        }
        Ok(file.passphrase)
    }

    /// Opens the store that is there, asking for its passphrase if it has one and no file gives it.
    pub(in crate::cli) fn access(&self) -> anyhow::Result<Access> {
        let store = self.open_store()?;
        self.unlock(store)
    }

    /// Opens the store that is there for reading backups: through the disk cache, if one is wanted.
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

    /// How much reading may use.
    pub(in crate::cli) fn read_options(&self) -> anyhow::Result<ReadOptions> {
        let options = ReadOptions::default();
        Ok(if matches!(self.location()?, Location::Remote(_)) {
            options.for_network()
        } else {
            options
        })
    }

    /// Opens the store that is there without its passphrase: names of backups can be read, nothing
    /// else.
    pub(in crate::cli) fn catalog(&self) -> anyhow::Result<Catalog> {
        let store = self.open_store()?;
        Access::is_encrypted(store.as_ref())?;
        Ok(Catalog::new(store))
    }

    fn open_store(&self) -> anyhow::Result<Arc<dyn Store>> {
        self.store_place()?.open(IfMissing::Refuse)
    }

    /// Opens the store that a path, a URL or a name in the configuration means.
    pub(in crate::cli) fn open_at(
        &self,
        text: &OsString,
        if_missing: IfMissing,
    ) -> anyhow::Result<Arc<dyn Store>> {
        self.place(text)?.open(if_missing)
    }

    pub(in crate::cli) fn unlock(&self, store: Arc<dyn Store>) -> anyhow::Result<Access> {
        match Access::open(Arc::clone(&store), self.given_passphrase()?.as_ref()) {
            Err(AccessError::PassphraseNeeded(_)) if terminal::is_there() => {
                let passphrase = self.ask(&format!("Passphrase of {}: ", store.location()))?;
                Ok(Access::open(store, Some(&passphrase))?)
            }
            access => Ok(access?),
        }
    }

    /// Asks for a passphrase on the terminal.
    pub(in crate::cli) fn ask(&self, question: &str) -> anyhow::Result<Passphrase> {
        match terminal::ask_secret(question) {
            Ok(answer) => Ok(answer),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {
                Err(crate::cli::show::failure::Interrupted.into())
            }
            Err(error) => Err(error).context("could not ask for the passphrase"),
        }
    }

    /// Opens the store for reading.
    pub(in crate::cli) fn opened(&self) -> anyhow::Result<Opened> {
        let access = self.access_for_reading()?;
        let reader = FileReader::new(&self.read_options()?).context("could not start reading")?;
        Ok(Opened {
            access,
            reader: Arc::new(reader),
        })
    }

    /// Opens the point in time that is meant.
    pub(in crate::cli) fn point(&self, wanted: &BackupRef) -> anyhow::Result<Point> {
        self.opened()?.point(wanted, self)
    }

    /// Opens all points in time of a backup side by side; where it says when, that one alone. Those
    /// that cannot be opened are told of and left out: the outcome says so.
    pub(in crate::cli) fn timeline(
        &mut self,
        wanted: &BackupRef,
    ) -> anyhow::Result<(Timeline, Outcome)> {
        let access = self.access()?;
        let now = self.clock.now();
        let (backup, levels) = if wanted.at().is_some() {
            let located = locate(&access, wanted, now, &self.zone)?;
            (located.backup, vec![located.level])
        } else {
            let backup = Catalog::new(access.store()).find(wanted)?;
            let order = Order::read(&access, &backup, now)?;
            let levels = order.levels().cloned().collect();
            (backup, levels)
        };
        let mut left_out = Vec::new();
        let timeline = Timeline::open(&access, &backup, levels, |level, error| {
            left_out.push((level, error))
        });
        if timeline.levels().is_empty()
            && let Some((level, error)) = left_out.pop()
        {
            let point = when::show(level.started(), &self.zone);
            return Err(
                anyhow::Error::new(error).context(format!("could not open {backup}@{point}"))
            );
        }
        let outcome = if left_out.is_empty() {
            Outcome::Done
        } else {
            Outcome::Partial
        };
        for (level, error) in left_out {
            let point = when::show(level.started(), &self.zone);
            self.output.warn(format_args!(
                "{backup}@{point} is left out: {}",
                chain(&error)
            ));
        }
        Ok((timeline, outcome))
    }
}

/// An open store, with one cache for all points in time of it.
pub(in crate::cli) struct Opened {
    access: Access,
    reader: Arc<FileReader>,
}

impl Opened {
    /// The point in time that is meant.
    pub(in crate::cli) fn point(
        &self,
        wanted: &BackupRef,
        session: &Session,
    ) -> anyhow::Result<Point> {
        let located = locate(&self.access, wanted, session.clock.now(), &session.zone)?;
        let (backup, level, manifest) = located.opened()?;
        let view = view_of(&self.access, &backup, manifest, &self.reader)?;
        Ok(Point {
            backup,
            level,
            view,
        })
    }
}

/// Opens the tree of the level that a manifest is of.
pub(in crate::cli) fn view_of(
    access: &Access,
    backup: &BackupName,
    manifest: Manifest,
    reader: &Arc<FileReader>,
) -> anyhow::Result<View> {
    let parts = ViewParts {
        manifest,
        store: access.store(),
        store_id: access.store_id(),
        protection: access.protection(),
        backup: backup.clone(),
    };
    Ok(View::open(parts, reader)?)
}

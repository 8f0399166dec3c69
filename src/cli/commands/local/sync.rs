//! `freezer sync`.

use crate::catalog::known::Purpose;
use crate::catalog::{Access, AccessError, Catalog};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::backups::all;
use crate::cli::open::lock::{LockTerms, holding};
use crate::cli::open::session::Session;
use crate::cli::options::wait::WaitOption;
use crate::cli::show::failure::{Completion, chain};
use crate::cli::show::output::OutputForm;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef, Cancel, LevelId};
use crate::platform::Clock;
use crate::store::ErrorKind;
use crate::store::location::IfMissing;
use crate::upkeep::{self, LevelsToCopy, Pair, SyncOptions, Synced};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Bring a copy of a store up to date
///
/// Copies to the store TO the points in time of FROM that it lacks, with all data that they need.
/// The data is copied as it is stored: nothing is decrypted or compressed again. An empty place
/// becomes a copy that the same passphrases open; a store that is not a copy is refused. Nothing is
/// removed from TO, and what was pruned there does not come back: each of the two can be pruned by
/// its own rules. A sync that was cut off goes on where it ended.
///
/// Every frame is verified by its tag or checksum before it is stored in TO. A damaged object stays
/// behind, with the points in time that need it, and is named; the rest goes on. An encrypted FROM
/// needs its passphrase for this.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer sync /srv/b sftp://backup@far.example/srv/b
  freezer sync /srv/b swift:offsite docs web-1/www
  freezer sync swift:offsite /mnt/disk --dry-run

Exit code 3: everything was copied but what is damaged in FROM, and the points in time that need \
    it; each was named.")]
pub(in crate::cli) struct Arguments {
    /// The store to copy from: a path, a URL or the name of a store in the configuration
    #[arg(value_name = "FROM")]
    from: OsString,

    /// The copy: a path, a URL or the name of a store in the configuration
    #[arg(value_name = "TO")]
    to: OsString,

    /// NAME or HOST/NAME [default: all backups of FROM]
    #[arg(value_name = "BACKUP")]
    backups: Vec<BackupRef>,

    /// Also copy points in time that were made before the newest one in TO
    #[arg(long)]
    all: bool,

    /// Number of objects that are copied at the same time, 1–64; memory holds as many
    #[arg(
        long,
        value_name = "N",
        default_value = "4",
        value_parser = clap::value_parser!(u16).range(1..=64)
    )]
    jobs: u16,

    /// Copy nothing; show what would be copied
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    wait: WaitOption,
}

/// The event of `--json` for one backup.
#[derive(Serialize)]
struct SyncDocument {
    event: &'static str,
    backup: String,
    /// Points in time that TO lacked before anything was copied.
    missing: Vec<String>,
    /// What was done; absent with `--dry-run` and when nothing was missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<CopiedDocument>,
}

#[derive(Serialize)]
struct CopiedDocument {
    points_in_time: u64,
    objects: u64,
    bytes: u64,
    /// Points in time whose manifests cannot be read.
    unreadable: Vec<String>,
    /// Points in time that need an object that was left out.
    held_back: Vec<String>,
    /// Objects of FROM that are damaged or missing.
    damaged: Vec<String>,
}

/// The two stores, open.
struct Stores {
    from: Access,
    /// `None` in a dry run if the copy does not exist yet.
    to: Option<Access>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let from = session.unlock(
        session.open_at(&arguments.from, IfMissing::Refuse)?,
        Purpose::Reading,
    )?;
    let backups = backups(arguments, &Catalog::new(from.store()))?;
    let to = copy(arguments, &from, session)?;
    let mut is_whole = are_keys_sound(&from, session)?;
    let stores = Stores { from, to };
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    for backup in backups {
        let missing = missing(arguments, &stores, &backup, session)?;
        let synced = match &stores.to {
            Some(to) if !arguments.dry_run && !missing.is_empty() => {
                let pair = Pair {
                    from: &stores.from,
                    to,
                };
                Some(sync(arguments, pair, &backup, session, &cancel)?)
            }
            _ => None,
        };
        is_whole &= synced.as_ref().is_none_or(Synced::is_whole);
        tell(&backup, &missing, synced.as_ref(), session)?;
    }
    Ok(Completion::of(is_whole))
}

/// Tells of a key of FROM that is none, and so does not go across.
fn are_keys_sound(from: &Access, session: &Session) -> anyhow::Result<bool> {
    match from.keys() {
        Ok(_) => Ok(true),
        Err(error @ AccessError::Store(_)) => Err(error.into()),
        Err(error) => {
            let error = chain(&error);
            session
                .output
                .warn(format_args!("a key was not copied: {error}"));
            Ok(false)
        }
    }
}

fn wanted(arguments: &Arguments) -> LevelsToCopy {
    if arguments.all {
        LevelsToCopy::All
    } else {
        LevelsToCopy::Newer
    }
}

/// Returns the points in time that the copy lacks.
fn missing(
    arguments: &Arguments,
    Stores { from, to }: &Stores,
    backup: &BackupName,
    session: &Session,
) -> anyhow::Result<Vec<LevelId>> {
    let Some(to) = to else {
        return Ok(Catalog::new(from.store()).levels(backup)?);
    };
    let (pair, now) = (Pair { from, to }, session.clock.now());
    Ok(upkeep::missing(pair, backup, wanted(arguments), now)?)
}

/// Copies one backup with its lock in the copy.
fn sync(
    arguments: &Arguments,
    pair: Pair<'_>,
    backup: &BackupName,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<Synced> {
    let terms = LockTerms {
        action: "sync",
        patience: arguments.wait.patience(),
    };
    let progress = session.progress();
    let jobs = arguments.jobs.into();
    let synced = holding(pair.to, backup, terms, &session.clock, cancel, |held| {
        let options = SyncOptions {
            levels: wanted(arguments),
            jobs,
        };
        upkeep::sync(pair, backup, held, options, &progress, cancel)
    });
    Ok(synced??)
}

/// Opens the copy, and makes it if it does not exist; `None` if it does not in a dry run.
fn copy(arguments: &Arguments, from: &Access, session: &Session) -> anyhow::Result<Option<Access>> {
    let if_missing = if arguments.dry_run {
        IfMissing::Refuse
    } else {
        IfMissing::Create
    };
    let is_none = |error: &anyhow::Error| {
        matches!(error.downcast_ref(), Some(AccessError::NoStore(_)))
            || error
                .downcast_ref::<crate::store::Error>()
                .is_some_and(|error| error.kind() == ErrorKind::Missing)
    };
    let opened = session
        .open_at(&arguments.to, if_missing)
        .and_then(|place| session.copy_at(from, place, if_missing));
    match opened {
        Err(error) if arguments.dry_run && is_none(&error) => Ok(None),
        opened => opened.map(Some),
    }
}

fn backups(arguments: &Arguments, catalog: &Catalog) -> anyhow::Result<Vec<BackupName>> {
    if arguments.backups.is_empty() {
        return Ok(all(catalog)?);
    }
    let named = arguments.backups.iter();
    named.map(|wanted| Ok(catalog.find(wanted)?)).collect()
}

/// Tells people and programs what was missing, and what was copied.
fn tell(
    backup: &BackupName,
    missing: &[LevelId],
    synced: Option<&Synced>,
    session: &mut Session,
) -> anyhow::Result<()> {
    match synced {
        Some(synced) => tell_copied(backup, synced, session),
        None if session.output.form == OutputForm::Text => {
            let points = several(missing.len() as u64, "point in time", "points in time");
            session.output.note(if missing.is_empty() {
                format!("{backup}: the copy is up to date")
            } else {
                format!("{backup}: the copy lacks {points}; nothing was copied")
            });
        }
        None => {}
    }
    if session.output.form == OutputForm::Json {
        session.output.json(&SyncDocument {
            event: "result",
            backup: backup.to_string(),
            missing: missing.iter().map(ToString::to_string).collect(),
            copied: synced.map(CopiedDocument::of),
        })?;
    }
    Ok(())
}

fn tell_copied(backup: &BackupName, synced: &Synced, session: &Session) {
    let points = several(synced.points, "point in time", "points in time");
    let objects = several(synced.objects, "object", "objects");
    session.output.note(format_args!(
        "{backup}: copied {points}, {objects}, {}",
        show_bytes(synced.bytes)
    ));
    for (level, error) in &synced.unreadable {
        session.output.warn(format_args!(
            "{backup}: level {level} was not copied: {}",
            chain(error)
        ));
    }
    for damaged in &synced.damaged {
        let what = if damaged.was_copied {
            "was copied as it is, with the note of what is lost"
        } else {
            "was not copied"
        };
        session.output.warn(format_args!(
            "{backup}: {} {what}: {}",
            damaged.object,
            chain(&damaged.flaw)
        ));
    }
    for level in &synced.held_back {
        session.output.warn(format_args!(
            "{backup}: level {level} was not copied: it needs what is damaged"
        ));
    }
    if !synced.held_back.is_empty() {
        session.output.note(format_args!(
            "hint: freezer repair {backup} on the store it came from mends what can be mended and \
             notes what is lost; the next sync then copies the rest"
        ));
    }
}

impl CopiedDocument {
    fn of(synced: &Synced) -> Self {
        let unreadable = synced.unreadable.iter();
        Self {
            points_in_time: synced.points,
            objects: synced.objects,
            bytes: synced.bytes,
            unreadable: unreadable.map(|(level, _)| level.to_string()).collect(),
            held_back: synced.held_back.iter().map(LevelId::to_string).collect(),
            damaged: synced
                .damaged
                .iter()
                .map(|damaged| damaged.object.to_string())
                .collect(),
        }
    }
}

//! `freezer sync`.

use crate::catalog::{Access, AccessError, Backup, Catalog, LockRequest, with_lock};
use crate::cli::commands::local::backup::{WITHOUT_END, patience};
use crate::cli::interrupt;
use crate::cli::open::session::Session;
use crate::cli::show::document::several;
use crate::cli::show::failure::{Outcome, chain};
use crate::cli::show::output::Format;
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef};
use crate::platform::{Clock, host_name};
use crate::store::ErrorKind;
use crate::store::location::IfMissing;
use crate::upkeep::{self, LevelsToCopy, Pair, SyncOptions, Synced};
use clap::Args;
use serde::Serialize;
use std::ffi::OsString;

/// Bring a copy of a store up to date
///
/// Copies to the store TO what FROM has and it lacks: points in time with everything they lean on,
/// as it is stored, without decrypting or compressing anything anew. An empty place becomes a copy
/// that the same passphrases open; a store of its own is refused. Nothing is removed from TO, and
/// what was pruned there does not come back: each of the two can be pruned by rules of its own.
/// What was cut off goes on where it ended.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer sync /srv/b sftp://backup@far.example/srv/b
  freezer sync /srv/b swift:offsite docs web-1/www
  freezer sync swift:offsite /mnt/disk --dry-run

Exit code 3: all was copied but points in time whose manifests are damaged; each was named.")]
pub(in crate::cli) struct Arguments {
    /// The store to copy from: a path or URL
    #[arg(value_name = "FROM")]
    from: OsString,

    /// The copy: a path or URL
    #[arg(value_name = "TO")]
    to: OsString,

    /// NAME or HOST/NAME [default: all backups of FROM]
    #[arg(value_name = "BACKUP")]
    backups: Vec<BackupRef>,

    /// Copy points in time that were made before the newest in TO too
    #[arg(long)]
    all: bool,

    /// Objects that are copied at once; memory holds as many
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,

    /// Tell what would be copied, and copy nothing
    #[arg(long)]
    dry_run: bool,

    /// While a run of the same backup is under way in TO, wait for its end, or at most so long
    /// (90s, 10m, 2h), and do not fail
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = WITHOUT_END)]
    wait: Option<String>,
}

/// What programs are told of a backup.
#[derive(Serialize)]
struct Document {
    event: &'static str,
    backup: String,
    /// Points in time that TO lacks, before anything is copied.
    missing: Vec<String>,
    /// What was done; nothing with `--dry-run`.
    #[serde(skip_serializing_if = "Option::is_none")]
    copied: Option<CopiedDocument>,
}

#[derive(Serialize)]
struct CopiedDocument {
    points_in_time: u64,
    objects: u64,
    bytes: u64,
    unreadable: Vec<String>,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let patience = patience(arguments.wait.as_deref())?;
    let from = session.unlock(session.open_at(&arguments.from, IfMissing::Refuse)?)?;
    let backups = backups(arguments, &Catalog::new(from.store()))?;
    let to = copy(arguments, &from, session)?;
    let cancel = interrupt::watch()?;
    let levels = if arguments.all {
        LevelsToCopy::All
    } else {
        LevelsToCopy::Newer
    };
    let mut outcome = Outcome::Done;
    for backup in backups {
        let missing = match &to {
            Some(to) => upkeep::missing(
                Pair { from: &from, to },
                &backup,
                levels,
                session.clock.now(),
            )?,
            None => Catalog::new(from.store()).levels(&backup)?,
        };
        let mut document = Document {
            event: "result",
            backup: backup.to_string(),
            missing: missing.iter().map(ToString::to_string).collect(),
            copied: None,
        };
        if let (Some(to), false) = (&to, arguments.dry_run || missing.is_empty()) {
            let store = to.store();
            let host = host_name().unwrap_or_else(|_| "unknown".to_owned());
            let request = LockRequest {
                backup: &backup,
                host: &host,
                action: "sync",
                patience,
            };
            let progress = session.progress();
            let options = SyncOptions {
                levels,
                jobs: arguments.jobs.into(),
            };
            let pair = Pair { from: &from, to };
            // It leaves nothing that is found by its claim, however it ends.
            let synced = with_lock(
                store.as_ref(),
                &Catalog::new(to.store()),
                request,
                &session.clock,
                &cancel,
                |_| true,
                |held| upkeep::sync(pair, &backup, held, options, &progress, &cancel),
            );
            drop(progress);
            let synced = synced??;
            if !synced.unreadable.is_empty() {
                outcome = Outcome::Partial;
            }
            tell(&backup, &synced, session);
            document.copied = Some(CopiedDocument {
                points_in_time: synced.points,
                objects: synced.objects,
                bytes: synced.bytes,
                unreadable: synced
                    .unreadable
                    .iter()
                    .map(|(level, _)| level.to_string())
                    .collect(),
            });
        } else if session.output.format == Format::Text {
            let points = several(missing.len() as u64, "point in time", "points in time");
            let is_lacking = if missing.is_empty() {
                "is up to date".to_owned()
            } else {
                format!("lacks {points}; nothing was copied")
            };
            session
                .output
                .note(format_args!("{backup}: the copy {is_lacking}"));
        }
        if session.output.format == Format::Json {
            session.output.json(&document)?;
        }
    }
    Ok(outcome)
}

/// The copy; nothing when there is none yet and none is to be made.
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
        .and_then(|place| Ok(from.copy_at(place, if_missing)?));
    match opened {
        Err(error) if arguments.dry_run && is_none(&error) => Ok(None),
        opened => opened.map(Some),
    }
}

fn backups(arguments: &Arguments, catalog: &Catalog) -> anyhow::Result<Vec<BackupName>> {
    if !arguments.backups.is_empty() {
        return arguments
            .backups
            .iter()
            .map(|wanted| Ok(catalog.find(wanted)?))
            .collect();
    }
    let mut all = Vec::new();
    catalog.backups(&mut |Backup { name, .. }| {
        all.push(name);
        true
    })?;
    Ok(all)
}

fn tell(backup: &BackupName, synced: &Synced, session: &Session) {
    let points = several(synced.points, "point in time", "points in time");
    let objects = several(synced.objects, "object", "objects");
    session.output.note(format_args!(
        "{backup}: copied {points}, {objects}, {}",
        show_bytes(synced.bytes)
    ));
    for (level, error) in &synced.unreadable {
        session.output.warn(format_args!(
            "{backup}: level {level} stays behind: {}",
            chain(error)
        ));
    }
}

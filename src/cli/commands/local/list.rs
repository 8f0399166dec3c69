//! `freezer list`.

use crate::catalog::{Backup, Catalog, Order, is_stray, locate};
use crate::cli::open::session::Session;
use crate::cli::show::document::{LevelDocument, several};
use crate::cli::show::failure::Outcome;
use crate::cli::show::output::{Column, Format};
use crate::cli::show::when;
use crate::config::show_bytes;
use crate::model::{BackupRef, Dated, LevelId};
use crate::platform::Clock;
use clap::Args;
use serde::Serialize;

/// Show the backups of a store, or the points in time of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer list
  freezer list docs
  freezer list web-1/docs --json

The list of backups needs no passphrase.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME [default: all backups]
    #[arg(value_name = "BACKUP")]
    backup: Option<BackupRef>,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    match &arguments.backup {
        None => backups(session),
        Some(backup) => levels(backup, session),
    }
}

#[derive(Serialize)]
struct BackupDocument<'backup> {
    backup: String,
    host: &'backup str,
    name: &'backup str,
    levels: u64,
    newest: jiff::Timestamp,
    newest_level_id: &'backup str,
    /// Points in time that are more than a day in the future, which `newest` is none of.
    #[serde(skip_serializing_if = "is_zero")]
    ahead: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What is shown as the newest: by names, as no manifest is opened for this.
fn newest(backup: &Backup, now: jiff::Timestamp) -> (&LevelId, u64) {
    let (newest, ahead) = backup.newest_of(now);
    (newest.unwrap_or(&backup.newest), ahead)
}

fn backups(session: &mut Session) -> anyhow::Result<Outcome> {
    let mut backups: Vec<Backup> = Vec::new();
    session.catalog()?.backups(&mut |backup| {
        backups.push(backup);
        true
    })?;
    let now = session.clock.now();
    if session.output.format == Format::Json {
        let documents: Vec<_> = backups
            .iter()
            .map(|backup| BackupDocument {
                backup: backup.name.to_string(),
                host: backup.name.host(),
                name: backup.name.name(),
                levels: backup.levels,
                newest: newest(backup, now).0.started(),
                newest_level_id: newest(backup, now).0.as_str(),
                ahead: newest(backup, now).1,
            })
            .collect();
        session.output.json(&documents)?;
        return Ok(Outcome::Done);
    }
    if backups.is_empty() {
        session
            .output
            .note("there are no backups in this store yet");
        return Ok(Outcome::Done);
    }
    let rows: Vec<_> = backups
        .iter()
        .map(|backup| {
            [
                backup.name.to_string(),
                backup.levels.to_string(),
                when::show(newest(backup, now).0.started(), &session.zone),
            ]
        })
        .collect();
    session.output.table(
        [
            Column::text("BACKUP"),
            Column::number("POINTS IN TIME"),
            Column::text("NEWEST"),
        ],
        &rows,
    )?;
    session.output.flush()?;
    for backup in &backups {
        let ahead = newest(backup, now).1;
        if ahead > 0 {
            let points = several(ahead, "name", "names");
            session.output.warn(format_args!(
                "{}: {points} of points in time more than a day in the future; freezer list {} shows them",
                backup.name, backup.name
            ));
        }
    }
    Ok(Outcome::Done)
}

/// A level whose manifest cannot be read, as programs read it.
#[derive(Serialize)]
struct Unreadable<'level> {
    backup: String,
    level_id: &'level str,
    started: jiff::Timestamp,
    error: String,
}

fn levels(wanted: &BackupRef, session: &mut Session) -> anyhow::Result<Outcome> {
    let access = session.access()?;
    let now = session.clock.now();
    let (backup, levels) = match wanted.at() {
        Some(_) => {
            let located = locate(&access, wanted, now, &session.zone)?;
            (located.backup, vec![located.level])
        }
        None => {
            let backup = Catalog::new(access.store()).find(wanted)?;
            let order = Order::read(&access, &backup, now)?;
            let levels: Vec<LevelId> = order.levels().cloned().collect();
            (backup, levels)
        }
    };
    let mut dated = Vec::new();
    let mut outcome = Outcome::Done;
    let (mut rows, mut documents) = (Vec::new(), Vec::new());
    for level in &levels {
        match access.manifest(&backup, level) {
            Ok(manifest) => {
                let point = when::show(manifest.date(), &session.zone);
                dated.push(Dated {
                    level: level.clone(),
                    date: manifest.date(),
                });
                let document = LevelDocument::of(&backup, &manifest, access.cipher());
                documents.push(serde_json::to_value(&document)?);
                rows.push([
                    point,
                    manifest.level.to_string(),
                    manifest.counts.files.to_string(),
                    show_bytes(manifest.bytes.logical).to_string(),
                    show_bytes(manifest.bytes.stored).to_string(),
                    manifest.counts.failed.to_string(),
                ]);
            }
            Err(error) => {
                outcome = Outcome::Partial;
                let point = when::show(level.started(), &session.zone);
                let is_stray = is_stray(&access, &backup, level, &error)?;
                let error = anyhow::Error::from(error);
                session
                    .output
                    .warn(format_args!("{backup}@{point}: {error:#}"));
                if is_stray {
                    session.output.note(format_args!(
                        "hint: there is no data of it, and it is in the way of nothing; freezer repair {backup} removes it after a yes"
                    ));
                }
                let error = format!("{error:#}");
                let document = Unreadable {
                    backup: backup.to_string(),
                    level_id: level.as_str(),
                    started: level.started(),
                    error,
                };
                documents.push(serde_json::to_value(&document)?);
                rows.push([
                    point,
                    "unreadable".to_owned(),
                    String::new(),
                    String::new(),
                    String::new(),
                    String::new(),
                ]);
            }
        }
    }
    if session.output.format == Format::Json {
        session.output.json(&documents)?;
    } else {
        let columns = [
            Column::text("POINT IN TIME"),
            Column::number("LEVEL"),
            Column::number("FILES"),
            Column::number("SIZE"),
            Column::number("STORED"),
            Column::number("NOT READ"),
        ];
        session.output.table(columns, &rows)?;
    }
    session.output.flush()?;
    when::warn_of_wrong_dates(&backup, &dated, now, session);
    Ok(outcome)
}

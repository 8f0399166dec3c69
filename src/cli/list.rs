//! `freezer list`.

use super::document::LevelDocument;
use super::failure::Outcome;
use super::output::{Column, Format};
use super::session::Session;
use super::when;
use crate::catalog::{Backup, Catalog};
use crate::config::show_bytes;
use crate::model::{BackupRef, LevelId};
use clap::Args;
use serde::Serialize;

/// Show the backups of a store, or the points in time of one
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer list
  freezer list docs
  freezer list web-1/docs --json

The list of backups needs no passphrase.")]
pub(super) struct Arguments {
    /// NAME or HOST/NAME [default: all backups]
    #[arg(value_name = "BACKUP")]
    backup: Option<BackupRef>,
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
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
}

fn backups(session: &mut Session) -> anyhow::Result<Outcome> {
    let mut backups: Vec<Backup> = Vec::new();
    session.catalog()?.backups(&mut |backup| {
        backups.push(backup);
        true
    })?;
    if session.output.format == Format::Json {
        let documents: Vec<_> = backups
            .iter()
            .map(|backup| BackupDocument {
                backup: backup.name.to_string(),
                host: backup.name.host(),
                name: backup.name.name(),
                levels: backup.levels,
                newest: backup.newest.started(),
                newest_level_id: backup.newest.as_str(),
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
                when::show(backup.newest.started(), &session.zone),
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
    let catalog = Catalog::new(access.store());
    let backup = catalog.find(wanted)?;
    let levels: Vec<LevelId> = match wanted.at() {
        Some(_) => vec![
            catalog
                .resolve(
                    wanted,
                    crate::platform::Clock::now(&session.clock),
                    &session.zone,
                )?
                .1,
        ],
        None => catalog.levels(&backup)?,
    };
    let mut outcome = Outcome::Done;
    let (mut rows, mut documents) = (Vec::new(), Vec::new());
    for level in &levels {
        let point = when::show(level.started(), &session.zone);
        match access.manifest(&backup, level) {
            Ok(manifest) => {
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
                let error = anyhow::Error::from(error);
                session
                    .output
                    .warn(format_args!("{backup}@{point}: {error:#}"));
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
    Ok(outcome)
}

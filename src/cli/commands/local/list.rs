//! `freezer list`.

use crate::catalog::{Access, AccessError, Backup, is_stray};
use crate::cli::open::backups::levels_of;
use crate::cli::open::session::Session;
use crate::cli::show::document::LevelDocument;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::cli::show::wrong_dates::warn_of_wrong_dates;
use crate::config::show_bytes;
use crate::format::manifest::Manifest;
use crate::model::{BackupName, BackupRef, Dated, LevelId};
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
    /// NAME or HOST/NAME, to show its points in time; with @DATE only that one [default: show all
    /// backups]
    #[arg(value_name = "BACKUP")]
    backup: Option<BackupRef>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    match &arguments.backup {
        None => backups(session),
        Some(backup) => levels(backup, session),
    }
}

/// An element of `--json` for a backup.
#[derive(Serialize)]
struct BackupDocument<'backup> {
    backup: String,
    host: &'backup str,
    name: &'backup str,
    levels: u64,
    newest: jiff::Timestamp,
    newest_level_id: &'backup str,
    /// Number of points in time more than a day in the future; `newest` is none of them.
    #[serde(skip_serializing_if = "is_zero")]
    ahead: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Returns the level that is shown as the newest, and how many are dated in the future. Looks only
/// at names: no manifest is opened.
fn newest(backup: &Backup, now: jiff::Timestamp) -> (&LevelId, u64) {
    let (newest, ahead) = backup.newest_of(now);
    (newest.unwrap_or(&backup.newest), ahead)
}

fn backups(session: &mut Session) -> anyhow::Result<Completion> {
    let mut backups: Vec<Backup> = Vec::new();
    let (catalog, witness) = session.catalog()?;
    catalog.backups(&mut |backup| {
        backups.push(backup);
        true
    })?;
    if let Some(witness) = witness {
        let names: Vec<_> = backups.iter().map(|backup| backup.name.clone()).collect();
        witness.compare_backups(&names)?;
    }
    let now = session.clock.now();
    if session.output.form == OutputForm::Json {
        let documents: Vec<_> = backups
            .iter()
            .map(|backup| BackupDocument::of(backup, now))
            .collect();
        session.output.json(&documents)?;
        return Ok(Completion::Done);
    }
    if backups.is_empty() {
        session
            .output
            .note("there are no backups in this store yet");
        return Ok(Completion::Done);
    }
    let row = |backup: &Backup| {
        [
            backup.name.to_string(),
            backup.levels.to_string(),
            when::show(newest(backup, now).0.started(), &session.zone),
        ]
    };
    let rows: Vec<_> = backups.iter().map(row).collect();
    let columns = [
        Column::text("BACKUP"),
        Column::number("POINTS IN TIME"),
        Column::text("NEWEST"),
    ];
    session.output.table(columns, &rows)?;
    session.output.flush()?;
    for backup in &backups {
        let ahead = newest(backup, now).1;
        if ahead > 0 {
            let (name, points) = (&backup.name, several(ahead, "name", "names"));
            session.output.warn(format_args!(
                "{name}: {points} of points in time more than a day in the future; freezer list \
                 {name} shows them"
            ));
        }
    }
    Ok(Completion::Done)
}

impl<'backup> BackupDocument<'backup> {
    fn of(backup: &'backup Backup, now: jiff::Timestamp) -> Self {
        let (newest, ahead) = newest(backup, now);
        Self {
            backup: backup.name.to_string(),
            host: backup.name.host(),
            name: backup.name.name(),
            levels: backup.levels,
            newest: newest.started(),
            newest_level_id: newest.as_str(),
            ahead,
        }
    }
}

/// An element of `--json` for a level whose manifest cannot be read.
#[derive(Serialize)]
struct UnreadableDocument<'level> {
    backup: String,
    level_id: &'level str,
    started: jiff::Timestamp,
    error: String,
}

/// The points in time of one backup, as they are shown.
#[derive(Default)]
struct LevelRows {
    rows: Vec<[String; 6]>,
    documents: Vec<serde_json::Value>,
    /// Those whose manifests could be read.
    dated: Vec<Dated>,
    unreadable: u64,
}

fn levels(wanted: &BackupRef, session: &mut Session) -> anyhow::Result<Completion> {
    let access = session.access()?;
    let (backup, levels) = levels_of(&access, wanted, session)?;
    let mut shown = LevelRows::default();
    for level in levels {
        match access.manifest(&backup, &level) {
            Ok(manifest) => shown.add(&backup, level, &manifest, &access, session)?,
            Err(error) => shown.add_unreadable(&backup, &level, error, &access, session)?,
        }
    }
    if session.output.form == OutputForm::Json {
        session.output.json(&shown.documents)?;
    } else {
        let columns = [
            Column::text("POINT IN TIME"),
            Column::number("LEVEL"),
            Column::number("FILES"),
            Column::number("SIZE"),
            Column::number("STORED"),
            Column::number("NOT READ"),
        ];
        session.output.table(columns, &shown.rows)?;
    }
    session.output.flush()?;
    warn_of_wrong_dates(
        &backup,
        &shown.dated,
        session.clock.now(),
        &session.zone,
        &session.output,
    );
    Ok(Completion::of(shown.unreadable == 0))
}

impl LevelRows {
    fn add(
        &mut self,
        backup: &BackupName,
        level: LevelId,
        manifest: &Manifest,
        access: &Access,
        session: &Session,
    ) -> anyhow::Result<()> {
        let date = manifest.date();
        let document = LevelDocument::of(backup, manifest, access.cipher());
        self.documents.push(serde_json::to_value(&document)?);
        self.rows.push([
            when::show(date, &session.zone),
            manifest.level.to_string(),
            manifest.counts.files.to_string(),
            show_bytes(manifest.bytes.logical).to_string(),
            show_bytes(manifest.bytes.stored).to_string(),
            manifest.counts.failed.to_string(),
        ]);
        self.dated.push(Dated { level, date });
        Ok(())
    }

    fn add_unreadable(
        &mut self,
        backup: &BackupName,
        level: &LevelId,
        error: AccessError,
        access: &Access,
        session: &Session,
    ) -> anyhow::Result<()> {
        self.unreadable += 1;
        let point = when::show(level.started(), &session.zone);
        let is_stray = is_stray(access, backup, level, &error)?;
        let error = format!("{:#}", anyhow::Error::from(error));
        session
            .output
            .warn(format_args!("{backup}@{point}: {error}"));
        if is_stray {
            session.output.note(format_args!(
                "hint: the store has no data for it, and it does no harm; freezer repair \
                 {backup} removes it after a yes"
            ));
        }
        let document = UnreadableDocument {
            backup: backup.to_string(),
            level_id: level.as_str(),
            started: level.started(),
            error,
        };
        self.documents.push(serde_json::to_value(&document)?);
        let mut row = [const { String::new() }; 6];
        row[0] = point;
        row[1] = "unreadable".to_owned();
        self.rows.push(row);
        Ok(())
    }
}

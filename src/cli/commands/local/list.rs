//! `freezer list`.

use crate::catalog::{Access, AccessError, is_stray};
use crate::cli::commands::local::list_backups;
use crate::cli::open::backups::levels_of;
use crate::cli::open::session::Session;
use crate::cli::show::document::LevelDocument;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
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

An encrypted store needs its passphrase, for the list of backups too: names of objects alone prove
nothing. What cannot be authenticated is told and not shown as a backup; the exit code is 3 then.")]
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
        None => list_backups::run(session),
        Some(backup) => levels(backup, session),
    }
}

/// An element of `--json` for a level whose manifest cannot be read.
#[derive(Serialize)]
struct UnreadableDocument<'level> {
    backup: String,
    level_id: &'level str,
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
        let is_stray = is_stray(access, backup, level, &error)?;
        let error = format!("{:#}", anyhow::Error::from(error));
        session.output.warn(format_args!("{backup}: {error}"));
        if is_stray {
            session.output.note(format_args!(
                "hint: the store has no data for it, and it does no harm; freezer repair \
                 {backup} removes it after a yes"
            ));
        }
        let document = UnreadableDocument {
            backup: backup.to_string(),
            level_id: level.as_str(),
            error,
        };
        self.documents.push(serde_json::to_value(&document)?);
        let mut row = [const { String::new() }; 6];
        // Only the name of the object is known, and anybody can have given it.
        row[0] = level.to_string();
        row[1] = "unreadable".to_owned();
        self.rows.push(row);
        Ok(())
    }
}

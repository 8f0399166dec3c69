//! `freezer check`.

use super::document::several;
use super::failure::Outcome;
use super::interrupt;
use super::output::Format;
use super::session::Session;
use super::when;
use crate::catalog::{Backup, Catalog};
use crate::model::{BackupName, BackupRef, LevelId};
use crate::platform::Clock;
use crate::upkeep::{self, Damage, Depth};
use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use std::error::Error;

/// Tell whether backups are all there, and which files damage touches
///
/// Reads the manifest, the index, the frame table and the sizes of all segments of each point in time, and changes nothing.
/// The exit code is 1 when there is damage: it is named, and so is each file that cannot be read as a whole.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer check
  freezer check docs --read-data
  freezer check docs@latest --read-data --json")]
pub(super) struct Arguments {
    /// NAME or HOST/NAME; with @DATE one point in time of it alone [default: all backups]
    #[arg(value_name = "BACKUP[@DATE]")]
    backup: Option<BackupRef>,

    /// Read all content too, and authenticate every byte of it
    #[arg(long)]
    read_data: bool,
}

/// What programs are told.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Damage {
        backup: String,
        level_id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<String>,
        error: String,
    },
    Result {
        points_in_time: u64,
        entries: u64,
        frames: u64,
        damages: u64,
        files_touched: u64,
        read_data: bool,
    },
}

pub(super) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let access = session.access()?;
    let points = points(arguments, session, &Catalog::new(access.store()))?;
    let cancel = interrupt::watch()?;
    let depth = if arguments.read_data { Depth::Data } else { Depth::Structure };
    let mut total = upkeep::Checked::default();
    for (backup, level) in &points {
        let progress = session.progress();
        let mut printed = Ok(());
        let mut tell = |damage: Damage| {
            if printed.is_ok() {
                printed = tell(session, backup, level, &damage);
            }
        };
        let checked = upkeep::check(&access, backup, level, depth, &mut tell, &progress, &cancel)?;
        drop(progress);
        printed?;
        total.entries += checked.entries;
        total.frames += checked.frames;
        total.damages += checked.damages;
        total.files_touched += checked.files_touched;
    }
    let points_in_time = points.len() as u64;
    if session.output.format == Format::Json {
        session.output.json(&Event::Result {
            points_in_time,
            entries: total.entries,
            frames: total.frames,
            damages: total.damages,
            files_touched: total.files_touched,
            read_data: arguments.read_data,
        })?;
    }
    let checked = format!(
        "checked {}, {}, {}",
        several(points_in_time, "point in time", "points in time"),
        several(total.entries, "entry", "entries"),
        several(total.frames, "frame", "frames")
    );
    if total.damages == 0 {
        let how = if arguments.read_data { "all data could be read" } else { "all is there (--read-data reads the data too)" };
        session.output.note(format_args!("{checked}: {how}"));
        return Ok(Outcome::Done);
    }
    session.output.flush()?;
    Err(anyhow!("{checked}: there is damage, and {} cannot be read as a whole", several(total.files_touched, "file", "files")))
}

/// The points in time that are meant.
fn points(arguments: &Arguments, session: &Session, catalog: &Catalog) -> anyhow::Result<Vec<(BackupName, LevelId)>> {
    let backups = match &arguments.backup {
        Some(wanted) if wanted.at().is_some() => return Ok(vec![catalog.resolve(wanted, session.clock.now(), &session.zone)?]),
        Some(wanted) => vec![catalog.find(wanted)?],
        None => {
            let mut backups = Vec::new();
            catalog.backups(&mut |Backup { name, .. }| {
                backups.push(name);
                true
            })?;
            backups
        }
    };
    let mut points = Vec::new();
    for backup in backups {
        points.extend(catalog.levels(&backup)?.into_iter().map(|level| (backup.clone(), level)));
    }
    Ok(points)
}

fn tell(session: &mut Session, backup: &BackupName, level: &LevelId, damage: &Damage) -> anyhow::Result<()> {
    let mut text = damage.to_string();
    let mut cause = damage.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    if session.output.format == Format::Json {
        let file = match damage {
            Damage::File(path) | Damage::Extent(path) => Some(path.to_string()),
            _ => None,
        };
        session.output.json(&Event::Damage { backup: backup.to_string(), level_id: level.to_string(), file, error: text })?;
    } else {
        let point = when::show(level.started(), &session.zone);
        session.output.line(format_args!("{backup}@{point}: {text}"))?;
        session.output.flush()?;
    }
    Ok(())
}

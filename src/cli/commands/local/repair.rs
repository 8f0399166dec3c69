//! `freezer repair`.

use crate::catalog::{Access, Catalog, LockRequest, with_lock};
use crate::cli::commands::local::backup::{WITHOUT_END, patience};
use crate::cli::commands::local::check::{damage_event, show_points};
use crate::cli::interrupt;
use crate::cli::open::session::Session;
use crate::cli::show::document::several;
use crate::cli::show::failure::{Outcome, Usage, chain};
use crate::cli::show::output::Format;
use crate::cli::show::when;
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef, Cancel, LevelId};
use crate::platform::{host_name, terminal};
use crate::store::trial::Trial;
use crate::upkeep::{self, Damage, Repaired};
use anyhow::Context;
use clap::Args;
use serde::Serialize;
use std::sync::Arc;

/// Mend what can be mended of a damaged backup, and have what is lost stored again
///
/// Reads everything, as check --read-data does. Blocks of indexes and frame tables are written
/// again where it is known for sure what was in them. What is lost of the data is noted: the next
/// backup stores each file again that leans on it and is still there, so that from then on points
/// in time are whole; earlier ones keep all that can be read of them. Names each file that is lost,
/// and the points in time that have it.
///
/// A point in time whose manifest is lost cannot be opened by anybody. It is removed after a yes:
/// until then prune leaves all data that it might have named.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer repair docs --dry-run
  freezer repair docs
  freezer repair web-1/docs --yes --json

Exit codes: 0 there is no damage left; 3 all is mended that can be, and something is lost; 1 it failed; 2 the command line makes no sense;
130 interrupted.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backup: BackupRef,

    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Remove points in time that cannot be opened, and do not ask
    #[arg(long, short)]
    yes: bool,

    /// While a run of the same backup is under way, wait for its end, or at most so long (90s, 10m,
    /// 2h), and do not fail
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = WITHOUT_END)]
    wait: Option<String>,
}

/// What programs are told beside the damage that is left.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    /// Data that the next backup takes for not stored.
    Lost {
        backup: String,
        level_id: String,
        bytes: u64,
    },
    /// A point in time that cannot be opened.
    Unreadable {
        backup: String,
        level_id: String,
        is_newer: bool,
    },
    Result {
        backup: String,
        dry_run: bool,
        mended_index_blocks: u64,
        mended_frame_table_blocks: u64,
        /// Blocks that nobody knows the content of.
        lost_blocks: u64,
        lost_bytes: u64,
        damages: u64,
        files_touched: u64,
        unreadable_points_in_time: usize,
        removed_points_in_time: u64,
    },
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    if arguments.backup.at().is_some() {
        return Err(Usage::new("a repair is of all points in time")
            .hint("write the backup without @DATE")
            .into());
    }
    let patience = patience(arguments.wait.as_deref())?;
    let access = session.access()?;
    let catalog = Catalog::new(access.store());
    let backup = catalog.find(&arguments.backup)?;
    let cancel = interrupt::watch()?;
    let (repaired, removed) = if arguments.dry_run {
        let trial = access.through(Arc::new(Trial::new(access.store())));
        (mend(&trial, &backup, &catalog, session, &cancel)?, 0)
    } else {
        let host = host_name().unwrap_or_else(|_| "unknown".to_owned());
        let request = LockRequest {
            backup: &backup,
            host: &host,
            action: "repair",
            patience,
        };
        let (store, clock) = (access.store(), session.clock);
        let ended = with_lock(
            store.as_ref(),
            &catalog,
            request,
            &clock,
            &cancel,
            |_| true,
            |held| {
                let repaired = mend(&access, &backup, &catalog, session, &cancel)?;
                let removed = match may_remove(arguments, &backup, &repaired, session)? {
                    true => upkeep::remove_unreadable(&access, &backup, &repaired, held)?,
                    false => 0,
                };
                anyhow::Ok((repaired, removed))
            },
        );
        ended??
    };
    report(arguments, &backup, &repaired, removed, session)
}

fn mend(
    access: &Access,
    backup: &BackupName,
    catalog: &Catalog,
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<Repaired> {
    let levels = catalog.levels(backup)?;
    let progress = session.progress();
    let mut printed = Ok(());
    let mut tell = |points: &[LevelId], damage: Damage| {
        if printed.is_ok() {
            printed = tell(session, backup, points, &damage);
        }
    };
    let repaired = upkeep::repair(access, backup, &levels, &mut tell, &progress, cancel)?;
    drop(progress);
    printed?;
    Ok(repaired)
}

fn tell(
    session: &mut Session,
    backup: &BackupName,
    points: &[LevelId],
    damage: &Damage,
) -> anyhow::Result<()> {
    if session.output.format == Format::Json {
        return Ok(session.output.json(&damage_event(backup, points, damage))?);
    }
    let points = show_points(session, backup, points);
    session
        .output
        .line(format_args!("{points}: {}", chain(damage)))?;
    Ok(session.output.flush()?)
}

/// Whether points in time that cannot be opened are to go.
fn may_remove(
    arguments: &Arguments,
    backup: &BackupName,
    repaired: &Repaired,
    session: &mut Session,
) -> anyhow::Result<bool> {
    let count = repaired
        .unreadable
        .iter()
        .filter(|point| !point.is_newer)
        .count();
    if count == 0 || arguments.yes || !terminal::is_there() {
        return Ok(count > 0 && arguments.yes);
    }
    session.output.flush()?;
    let what = several(
        count as u64,
        "point in time that cannot be opened",
        "points in time that cannot be opened",
    );
    let answer =
        terminal::ask(&format!("Remove {what} from {backup}? [y/N] ")).context("could not ask")?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

fn report(
    arguments: &Arguments,
    backup: &BackupName,
    repaired: &Repaired,
    removed: u64,
    session: &mut Session,
) -> anyhow::Result<Outcome> {
    let lost_bytes: u64 = repaired.lost.iter().map(|lost| lost.bytes).sum();
    let is_sound = repaired.checked.damages == 0;
    let outcome = if is_sound {
        Outcome::Done
    } else {
        Outcome::Partial
    };
    if session.output.format == Format::Json {
        for lost in &repaired.lost {
            session.output.json(&Event::Lost {
                backup: backup.to_string(),
                level_id: lost.level.to_string(),
                bytes: lost.bytes,
            })?;
        }
        for point in &repaired.unreadable {
            let (level_id, is_newer) = (point.level.to_string(), point.is_newer);
            session.output.json(&Event::Unreadable {
                backup: backup.to_string(),
                level_id,
                is_newer,
            })?;
        }
        session.output.json(&Event::Result {
            backup: backup.to_string(),
            dry_run: arguments.dry_run,
            mended_index_blocks: repaired.index.mended,
            mended_frame_table_blocks: repaired.frame_tables.mended,
            lost_blocks: repaired.index.left + repaired.frame_tables.left,
            lost_bytes,
            damages: repaired.checked.damages,
            files_touched: repaired.checked.files_touched,
            unreadable_points_in_time: repaired.unreadable.len(),
            removed_points_in_time: removed,
        })?;
        return Ok(outcome);
    }
    session.output.flush()?;
    let (would, were) = if arguments.dry_run {
        ("would be ", "nothing was changed")
    } else {
        ("", "")
    };
    let mended = repaired.index.mended + repaired.frame_tables.mended;
    if mended > 0 {
        session.output.note(format_args!(
            "{backup}: {} {would}mended",
            several(mended, "block", "blocks")
        ));
    }
    for lost in &repaired.lost {
        let level = when::show(lost.level.started(), &session.zone);
        session.output.note(format_args!(
            "{backup}: {} of the data of {level} are lost",
            show_bytes(lost.bytes)
        ));
    }
    for point in &repaired.unreadable {
        let level = when::show(point.level.started(), &session.zone);
        let fate = match (point.is_newer, removed > 0) {
            (true, _) => "was made by a newer freezer, and stays",
            (false, true) => {
                "could not be opened any more, and was removed; freezer prune removes the data that only it had"
            }
            (false, false) => "cannot be opened any more; --yes removes it",
        };
        session.output.note(format_args!("{backup}@{level} {fate}"));
    }
    if repaired.checked.files_touched > 0 {
        let files = several(repaired.checked.files_touched, "file", "files");
        session
            .output
            .note(format_args!("{backup}: {files} cannot be read as a whole; the next backup stores again what is still there of them"));
    }
    let end = match (is_sound, mended) {
        (true, 0) => "there is no damage",
        (true, _) => "no damage is left",
        (false, _) => {
            "what can be mended is; what is named above stays damaged in its points in time"
        }
    };
    session.output.note(format_args!(
        "{backup}: {end}{}{were}",
        if were.is_empty() { "" } else { "; " }
    ));
    Ok(outcome)
}

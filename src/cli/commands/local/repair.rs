//! `freezer repair`.

use crate::catalog::{Access, Catalog, IdentityCopy};
use crate::cli::commands::local::damage;
use crate::cli::commands::local::repair_report::RepairReport;
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::backups::levels_in_order;
use crate::cli::open::lock::{LockTerms, holding};
use crate::cli::open::session::Session;
use crate::cli::options::wait::WaitOption;
use crate::cli::show::confirm::is_yes;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::words::several;
use crate::model::{BackupName, BackupRef, Cancel, LevelId};
use crate::platform::terminal;
use crate::store::trial::Trial;
use crate::upkeep::{self, Damage, Repaired};
use clap::Args;
use std::sync::Arc;

/// Repair a damaged backup as far as possible, and have lost data stored again
///
/// Reads everything, as check --read-data does. Rewrites blocks of indexes and frame tables whose
/// content is certain. Notes which data is lost: the next backup stores each file again that needs
/// it and still exists, so that later points in time are whole. Earlier ones keep all that can be
/// read of them. Names each lost file, and the points in time that have it.
///
/// Nobody can open a point in time whose manifest is lost. Repair removes it after a yes; until
/// then prune keeps all data that it might need.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer repair docs --dry-run
  freezer repair docs
  freezer repair web-1/docs --yes --json

Exit codes: 0 no damage is left; 3 everything possible is repaired, and something is lost; \
    1 it failed; 2 wrong usage; 130 interrupted.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backup: BackupRef,

    /// Change nothing; show what would be done
    #[arg(long)]
    dry_run: bool,

    /// Remove points in time that cannot be opened without asking
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    wait: WaitOption,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    if arguments.backup.at().is_some() {
        return Err(Usage::new("repair works on all points in time of a backup")
            .hint("write the backup without @DATE")
            .into());
    }
    let access = session.access_for_writing()?;
    let backup = Catalog::new(access.store()).find(&arguments.backup)?;
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    mend_identity(arguments, &access, session)?;
    let (repaired, removed) = if arguments.dry_run {
        let trial = access.through(Arc::new(Trial::new(access.store())));
        (mend(&trial, &backup, session, &cancel)?, 0)
    } else {
        mend_and_remove(arguments, &access, &backup, session, &cancel)?
    };
    let report = RepairReport {
        backup: &backup,
        repaired: &repaired,
        removed,
        is_rehearsal: arguments.dry_run,
    };
    report.tell(session)?;
    Ok(Completion::of(report.is_sound()))
}

/// Puts back a lost or damaged copy of the document that makes the place a store.
fn mend_identity(arguments: &Arguments, access: &Access, session: &Session) -> anyhow::Result<()> {
    let (wrong, verb) = if arguments.dry_run {
        (access.wrong_identity_copies()?, "would be put back")
    } else {
        (access.mend_identity()?, "was put back")
    };
    for IdentityCopy { object, is_missing } in wrong {
        let what = if is_missing {
            "was missing"
        } else {
            "was damaged"
        };
        session
            .output
            .note(format_args!("{object} {what}, and {verb}"));
    }
    Ok(())
}

/// Repairs a backup with its lock; returns too how many points in time were removed.
fn mend_and_remove(
    arguments: &Arguments,
    access: &Access,
    backup: &BackupName,
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<(Repaired, u64)> {
    let terms = LockTerms {
        action: "repair",
        patience: arguments.wait.patience(),
    };
    let clock = session.clock;
    holding(access, backup, terms, &clock, cancel, |held| {
        // A store that is not the one this machine knows is not mended into something else.
        levels_in_order(access, backup, session)?;
        let repaired = mend(access, backup, session, cancel)?;
        let removed = if may_remove(arguments, backup, &repaired, session, cancel)? {
            upkeep::remove_unreadable(access, backup, &repaired, held)?
        } else {
            0
        };
        anyhow::Ok((repaired, removed))
    })?
}

fn mend(
    access: &Access,
    backup: &BackupName,
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<Repaired> {
    let levels = Catalog::new(access.store()).levels(backup)?;
    let progress = session.progress();
    let mut printed = Ok(());
    let mut tell = |points: &[LevelId], damage: Damage| {
        if printed.is_ok() {
            printed = damage::tell(session, backup, points, &damage);
        }
    };
    let repaired = upkeep::repair(access, backup, &levels, &mut tell, &progress, cancel)?;
    drop(progress);
    printed?;
    Ok(repaired)
}

/// Whether to remove points in time that cannot be opened: with `--yes`, or after a yes.
fn may_remove(
    arguments: &Arguments,
    backup: &BackupName,
    repaired: &Repaired,
    session: &mut Session,
    cancel: &Cancel,
) -> anyhow::Result<bool> {
    let removable = repaired.unreadable.iter().filter(|point| !point.is_newer);
    let count = removable.count() as u64;
    if count == 0 || arguments.yes || !terminal::is_there() {
        return Ok(count > 0 && arguments.yes);
    }
    session.output.flush()?;
    let what = several(
        count,
        "point in time that cannot be opened",
        "points in time that cannot be opened",
    );
    is_yes(&format!("Remove {what} from {backup}?"), cancel)
}

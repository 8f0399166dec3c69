//! `freezer repack`.

use crate::catalog::Catalog;
use crate::cli::commands::local::removal::{self, RemovedDocument};
use crate::cli::commands::local::repacking::{
    self, RepackResult, RepackTerms, RepackingDocument, parse_part,
};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::backups::{all, refuse_twice};
use crate::cli::open::session::Session;
use crate::cli::options::change::ChangeOptions;
use crate::cli::show::confirm::confirm;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::{Column, OutputForm};
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef};
use crate::upkeep::{self, Below, Repacking};
use clap::Args;
use serde::Serialize;

/// Free the space of data that is no longer needed in segments that still hold needed data
///
/// A segment holds data of many files. Prune removes a segment when nothing in it is needed; repack
/// copies the needed rest of one that is mostly not needed to a new segment. Points in time stay as
/// they are. A backup of the same name waits while at most a gigabyte is copied, or fails without
/// --wait.
///
/// Old segments stay for the time of --grace, for mounts that read them; the next prune or repack
/// removes them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer repack docs --dry-run
  freezer repack --all --below 70% --yes
  freezer prune docs --keep-daily 14 --repack-below 50%    both in one

It asks before it changes anything. Without a terminal it needs --yes; otherwise it changes \
    nothing and the exit code is 2.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backups: Vec<BackupRef>,

    /// Repack all backups of the store
    #[arg(long, conflicts_with = "backups")]
    all: bool,

    /// Rewrite segments of which less than PERCENT is needed, above 0% and up to 100%
    #[arg(
        long,
        value_name = "PERCENT",
        default_value = "50%",
        value_parser = parse_part,
        help_heading = "How it is done"
    )]
    below: Below,

    // Last: its heading stands over all options after it.
    #[command(flatten)]
    change: ChangeOptions,
}

/// What would be done with one backup.
struct PlannedRepack {
    backup: BackupName,
    repacking: Repacking,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let access = session.access_for_writing()?;
    let mut plans = Vec::new();
    for backup in wanted(arguments, &Catalog::new(access.store()))? {
        let repacking = upkeep::plan_repack(&access, &backup, arguments.below)?;
        plans.push(PlannedRepack { backup, repacking });
    }
    let as_json = session.output.form == OutputForm::Json;
    if !as_json {
        show(&plans, session)?;
    }
    let has_work = plans.iter().any(|plan| plan.repacking.segments > 0);
    let mut done = Vec::new();
    if has_work && !arguments.change.dry_run {
        session.output.flush()?;
        if !arguments.change.yes {
            confirm(&question(&plans, session)?, "nothing was changed")?;
        }
        // Not before: an interrupt at the question, or while nothing is changed, ends at once.
        let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
        let terms = RepackTerms {
            below: arguments.below,
            patience: arguments.change.wait.patience(),
            grace: arguments.change.grace.signed(),
        };
        for plan in &plans {
            let backup = &plan.backup;
            done.push(repacking::carry_out(
                &access, backup, terms, session, &cancel,
            )?);
        }
    }
    if as_json {
        let documents: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(at, plan)| RepackDocument::of(plan, done.get(at)))
            .collect();
        session.output.json(&documents)?;
    } else if done.is_empty() {
        tell_plans(&plans, session);
    } else {
        for (plan, done) in plans.iter().zip(&done) {
            repacking::tell(&plan.backup, &done.repacking, session);
            removal::tell(&plan.backup, &done.pruned, session);
        }
    }
    Ok(Completion::Done)
}

fn sum(plans: &[PlannedRepack], of: fn(&Repacking) -> u64) -> u64 {
    plans.iter().map(|plan| of(&plan.repacking)).sum()
}

fn question(plans: &[PlannedRepack], session: &Session) -> anyhow::Result<String> {
    Ok(format!(
        "Copy {} in {} to give back {}?",
        show_bytes(sum(plans, |plan| plan.copied_bytes)),
        session.location()?,
        show_bytes(sum(plans, |plan| plan.freed_bytes))
    ))
}

/// Tells people what would be done.
fn tell_plans(plans: &[PlannedRepack], session: &Session) {
    session.output.note(match sum(plans, |plan| plan.segments) {
        0 => "there is nothing to repack".to_owned(),
        _ => format!(
            "{} would be given back; nothing was changed",
            show_bytes(sum(plans, |plan| plan.freed_bytes))
        ),
    });
}

/// Returns the backups that are meant.
fn wanted(arguments: &Arguments, catalog: &Catalog) -> anyhow::Result<Vec<BackupName>> {
    if arguments.all {
        return Ok(all(catalog)?);
    }
    if arguments.backups.is_empty() {
        return Err(Usage::new("no backup was named")
            .hint("name it, or --all: freezer repack BACKUP")
            .into());
    }
    let mut wanted = Vec::new();
    for backup in &arguments.backups {
        if backup.at().is_some() {
            return Err(Usage::new("repack works on a whole backup")
                .hint("leave @DATE out")
                .into());
        }
        let name = catalog.find(backup)?;
        refuse_twice(&name, wanted.iter())?;
        wanted.push(name);
    }
    Ok(wanted)
}

/// Prints the table of what would be done.
fn show(plans: &[PlannedRepack], session: &mut Session) -> anyhow::Result<()> {
    let rows: Vec<_> = plans
        .iter()
        .filter(|plan| plan.repacking.segments > 0)
        .map(|plan| {
            let (backup, plan) = (&plan.backup, &plan.repacking);
            let bytes = |bytes| show_bytes(bytes).to_string();
            [
                backup.to_string(),
                plan.segments.to_string(),
                bytes(plan.copied_bytes),
                bytes(plan.freed_bytes),
            ]
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    let columns = [
        Column::text("BACKUP"),
        Column::number("SEGMENTS"),
        Column::number("COPIED"),
        Column::number("GIVEN BACK"),
    ];
    Ok(session.output.table(columns, &rows)?)
}

/// The plan for one backup, and what came of it.
#[derive(Serialize)]
struct RepackDocument {
    backup: String,
    #[serde(flatten)]
    planned: RepackingDocument,
    /// What was done; absent with `--dry-run` and when there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    repacked: Option<RepackingDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedDocument>,
}

impl RepackDocument {
    fn of(plan: &PlannedRepack, done: Option<&RepackResult>) -> Self {
        Self {
            backup: plan.backup.to_string(),
            planned: RepackingDocument::of(&plan.repacking),
            repacked: done.map(|done| RepackingDocument::of(&done.repacking)),
            removed: done.map(|done| RemovedDocument::of(&done.pruned)),
        }
    }
}

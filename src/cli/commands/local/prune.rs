//! `freezer prune`.

use crate::catalog::{Access, Catalog, locate};
use crate::cli::commands::local::removal::{self, RemovedDocument};
use crate::cli::commands::local::repacking::{self, RepackTerms, RepackingDocument, parse_part};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::backups::{all, refuse_twice};
use crate::cli::open::session::Session;
use crate::cli::options::change::ChangeOptions;
use crate::cli::options::retention::RetentionArguments;
use crate::cli::show::confirm::confirm;
use crate::cli::show::failure::{Completion, Usage};
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef, BackupRefError, Cancel, Fate, Reason, Retention};
use crate::platform::Clock;
use crate::upkeep::{self, Below, Going, Plan, Pruned, Repacking};
use clap::Args;
use jiff::Timestamp;
use serde::Serialize;

/// Remove points in time that are no longer wanted, and the data that no other needs
///
/// Each rule protects points in time; those that no rule protects are removed. Any of them can go,
/// in any order, also a full one: data that others need stays. The newest one that can be read
/// always stays. Without a rule only data goes that no point in time needs: what runs that were cut
/// off left, and what earlier prunes kept for its readers.
///
/// The data of a removed point in time stays for the time of --grace, for mounts that still show
/// it; the next prune removes it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer prune docs --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run
  freezer prune --all --keep-within 30d --yes
  freezer prune web-1/docs --remove-older-than 90 --keep-tag release --yes
  freezer prune docs@20261122T223450.123Z-1a2b3c4d

It asks before it removes anything. Without a terminal it needs --yes; otherwise it removes \
    nothing and the exit code is 2.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE exactly that point in time is removed, whatever the rules are
    #[arg(value_name = "BACKUP[@DATE]")]
    backups: Vec<BackupRef>,

    /// Prune all backups of the store
    #[arg(long, conflicts_with_all = ["backups", "backup_name"])]
    all: bool,

    /// Name of the backup, in place of BACKUP
    #[arg(long, short = 'N', value_name = "NAME", hide_short_help = true)]
    backup_name: Option<String>,

    /// Host of the backup, if the name does not say it as HOST/NAME
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    hostname: Option<String>,

    #[command(flatten)]
    retention: RetentionArguments,

    /// Afterwards, rewrite segments of which less than PERCENT is needed (50%), to free the rest:
    /// see freezer repack [default: do not repack]
    #[arg(long, value_name = "PERCENT", value_parser = parse_part, help_heading = "How it is done")]
    repack_below: Option<Below>,

    // Last: its heading stands over all options after it.
    #[command(flatten)]
    change: ChangeOptions,
}

/// What was done with one backup.
struct Carried {
    pruned: Pruned,
    repacked: Option<Repacking>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let rules = arguments
        .retention
        .rules(session.clock.now(), &session.zone)?;
    let access = session.access_for_writing()?;
    let mut plans = Vec::new();
    for (backup, going) in wanted(arguments, &rules, session, &access)? {
        let now = session.clock.now();
        plans.push(upkeep::plan(&access, &backup, &going, now, &session.zone)?);
    }
    let as_json = session.output.form == OutputForm::Json;
    if !as_json {
        for plan in &plans {
            show(plan, session)?;
        }
    }
    let mut carried = Vec::new();
    if has_work(arguments, &plans) && !arguments.change.dry_run {
        session.output.flush()?;
        if !arguments.change.yes {
            confirm(&question(&plans, session)?, "nothing was removed")?;
        }
        // Not before: an interrupt at the question, or while nothing is changed, ends at once.
        let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
        for plan in &mut plans {
            carried.push(carry_out(arguments, &access, plan, session, &cancel)?);
        }
    }
    if as_json {
        let documents: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(at, plan)| PlanDocument::of(plan, carried.get(at)))
            .collect();
        session.output.json(&documents)?;
    } else if carried.is_empty() {
        tell_plans(arguments, &plans, session);
    } else {
        for (plan, carried) in plans.iter().zip(&carried) {
            tell(&plan.backup, carried, session);
        }
    }
    Ok(Completion::Done)
}

fn has_work(arguments: &Arguments, plans: &[Plan]) -> bool {
    let repacks = |plan: &Plan| arguments.repack_below.is_some() && plan.mixed_bytes > 0;
    plans
        .iter()
        .any(|plan| plan.going() > 0 || plan.unneeded_bytes > 0 || repacks(plan))
}

/// Prunes one backup, and repacks it if that is asked for.
fn carry_out(
    arguments: &Arguments,
    access: &Access,
    plan: &mut Plan,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<Carried> {
    let (patience, grace) = (
        arguments.change.wait.patience(),
        arguments.change.grace.signed(),
    );
    let pruned = removal::carry_out(access, plan, patience, grace, session, cancel)?;
    let Some(below) = arguments.repack_below else {
        return Ok(Carried {
            pruned,
            repacked: None,
        });
    };
    let terms = RepackTerms {
        below,
        patience,
        grace,
    };
    let repacked = repacking::carry_out(access, &plan.backup, terms, session, cancel)?;
    Ok(Carried {
        pruned: pruned.and_then(&repacked.pruned),
        repacked: Some(repacked.repacking),
    })
}

/// Tells people what would be done.
fn tell_plans(arguments: &Arguments, plans: &[Plan], session: &Session) {
    if !has_work(arguments, plans) {
        session.output.note("there is nothing to remove");
    } else {
        let going: usize = plans.iter().map(Plan::going).sum();
        let would = several(
            going as u64,
            "point in time would go",
            "points in time would go",
        );
        session.output.note(format!(
            "{would}, and {} of data with them and of earlier ones; nothing was removed",
            show_bytes(freed_bytes(plans))
        ));
    }
    let mixed: u64 = plans.iter().map(|plan| plan.mixed_bytes).sum();
    if arguments.change.dry_run && mixed > 0 {
        session.output.note(format!(
            "{} that nothing would need lie among data that is needed: freezer repack frees them",
            show_bytes(mixed)
        ));
    }
}

/// Tells people what was done with one backup.
fn tell(backup: &BackupName, carried: &Carried, session: &Session) {
    if let Some(repacked) = &carried.repacked
        && repacked.segments + repacked.damaged_segments > 0
    {
        repacking::tell(backup, repacked, session);
    }
    removal::tell(backup, &carried.pruned, session);
}

fn freed_bytes(plans: &[Plan]) -> u64 {
    plans
        .iter()
        .map(|plan| plan.freed_bytes + plan.unneeded_bytes)
        .sum()
}

/// Returns the backups that are meant, and what goes of each.
fn wanted(
    arguments: &Arguments,
    rules: &Retention,
    session: &Session,
    access: &Access,
) -> anyhow::Result<Vec<(BackupName, Going)>> {
    let catalog = Catalog::new(access.store());
    let by_rules = || Going::Unprotected(rules.clone());
    let mut refs = arguments.backups.clone();
    if let Some(name) = &arguments.backup_name {
        let text = match &arguments.hostname {
            Some(host) if !name.contains('/') => format!("{host}/{name}"),
            _ => name.clone(),
        };
        let named = text
            .parse()
            .map_err(|error: BackupRefError| Usage::new(error.to_string()))?;
        refs.push(named);
    }
    if refs.is_empty() {
        if !arguments.all && !rules.is_empty() {
            return Err(Usage::new("no backup was named")
                .hint("name it, or --all: freezer prune BACKUP --keep-last 7")
                .into());
        }
        let all = all(&catalog)?.into_iter();
        return Ok(all.map(|name| (name, by_rules())).collect());
    }
    let mut wanted: Vec<(BackupName, Going)> = Vec::new();
    for backup in &refs {
        let (name, going) = match backup.at() {
            Some(_) => {
                let located = locate(access, backup, session.clock.now(), &session.zone)?;
                (located.backup, Going::Named(located.level))
            }
            None => (catalog.find(backup)?, by_rules()),
        };
        refuse_twice(&name, wanted.iter().map(|(other, _)| other))?;
        wanted.push((name, going));
    }
    Ok(wanted)
}

/// Prints the table of a plan: what stays, what goes, and why.
fn show(plan: &Plan, session: &mut Session) -> anyhow::Result<()> {
    if plan.points.is_empty() {
        return Ok(());
    }
    session.output.line(format_args!("{}", plan.backup))?;
    let rows: Vec<_> = plan
        .points
        .iter()
        .map(|point| {
            let (fate, why) = match &point.fate {
                Fate::Goes => ("goes", String::new()),
                Fate::Stays(reasons) => (
                    "stays",
                    reasons
                        .iter()
                        .map(|reason| words(reason, session))
                        .collect::<Vec<_>>()
                        .join(", "),
                ),
            };
            // Of one that cannot be read, only the name of its object is known.
            let (point_in_time, level) = match point.number {
                Some(number) => (when::show(point.date, &session.zone), number.to_string()),
                None => (point.level.to_string(), "?".to_owned()),
            };
            [
                point_in_time,
                level,
                show_bytes(point.stored_bytes).to_string(),
                fate.to_owned(),
                why,
            ]
        })
        .collect();
    let columns = [
        Column::text("POINT IN TIME"),
        Column::number("LEVEL"),
        Column::number("STORED"),
        Column::text("FATE"),
        Column::text("BECAUSE IT IS"),
    ];
    Ok(session.output.table(columns, &rows)?)
}

/// Returns why a point in time stays.
fn words(reason: &Reason, session: &Session) -> String {
    match reason {
        Reason::Locked(until) => format!("locked until {}", when::show(*until, &session.zone)),
        other => other.to_string(),
    }
}

fn question(plans: &[Plan], session: &Session) -> anyhow::Result<String> {
    let going: usize = plans.iter().map(Plan::going).sum();
    let what = several(going as u64, "point in time", "points in time");
    Ok(format!(
        "Remove {what} and {} that nothing else needs from {}?",
        show_bytes(freed_bytes(plans)),
        session.location()?
    ))
}

/// The plan for one backup, and what came of it.
#[derive(Serialize)]
struct PlanDocument {
    backup: String,
    points_in_time: Vec<PointDocument>,
    /// Bytes that only the removed points in time need.
    would_free_bytes: u64,
    /// Bytes that no point in time needed before.
    unneeded_bytes: u64,
    /// Bytes that no point in time needs then, in segments that hold others: for a repack.
    mixed_bytes: u64,
    /// What was done; absent with `--dry-run` and when there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repacked: Option<RepackingDocument>,
}

#[derive(Serialize)]
struct PointDocument {
    level_id: String,
    started: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<u32>,
    stored_bytes: u64,
    fate: &'static str,
    because: Vec<String>,
}

impl PlanDocument {
    fn of(plan: &Plan, done: Option<&Carried>) -> Self {
        let points = plan.points.iter().map(|point| PointDocument {
            level_id: point.level.to_string(),
            started: point.date,
            level: point.number,
            stored_bytes: point.stored_bytes,
            fate: if point.fate == Fate::Goes {
                "goes"
            } else {
                "stays"
            },
            because: match &point.fate {
                Fate::Goes => Vec::new(),
                Fate::Stays(reasons) => reasons.iter().map(ToString::to_string).collect(),
            },
        });
        Self {
            backup: plan.backup.to_string(),
            points_in_time: points.collect(),
            would_free_bytes: plan.freed_bytes,
            unneeded_bytes: plan.unneeded_bytes,
            mixed_bytes: plan.mixed_bytes,
            removed: done.map(|done| RemovedDocument::of(&done.pruned)),
            repacked: done
                .and_then(|done| done.repacked.as_ref())
                .map(RepackingDocument::of),
        }
    }
}

//! `freezer prune`, and what `freezer backup` does afterwards.

use crate::catalog::{Access, Backup, Catalog, LockRequest, Patience, locate, with_lock};
use crate::cli::commands::local::backup::{WITHOUT_END, patience};
use crate::cli::commands::local::repack::{self, RepackingDocument};
use crate::cli::interrupt;
use crate::cli::open::session::Session;
use crate::cli::options::retention::{RetentionArguments, parse_duration};
use crate::cli::show::document::several;
use crate::cli::show::failure::{Interrupted, Outcome, Usage};
use crate::cli::show::output::{Column, Format};
use crate::cli::show::when;
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef, Cancel, Fate, Reason, Retention};
use crate::platform::{Clock, host_name, terminal};
use crate::upkeep::{self, Below, Going, Grace, Plan, Pruned, Repacking};
use anyhow::Context;
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Remove points in time that are no longer wanted, and all data that none needs
///
/// Each rule protects; what no rule protects goes. Any point in time can go, in any order, a full
/// one too: what others lean on stays. The newest that can be read stays whatever the rules are.
/// Without a rule nothing goes but data that no point in time needs: what cut-off runs left, and
/// what waited for its readers.
///
/// Data of a point in time stays for the grace after that went, for mounts that still show it; the
/// next prune removes it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer prune docs --keep-daily 7 --keep-weekly 4 --keep-monthly 12 --dry-run
  freezer prune --all --keep-within 30d --yes
  freezer prune web-1/docs --remove-older-than 90 --keep-tag release --yes
  freezer prune docs@20261122T223450.123Z-1a2b3c4d

Where there is a terminal it asks; where there is none, --yes must be given, or nothing is removed and the exit code is 2.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME; with @DATE that one point in time goes, whatever the rules are
    #[arg(value_name = "BACKUP[@DATE]")]
    backups: Vec<BackupRef>,

    /// All backups of the store
    #[arg(long, conflicts_with_all = ["backups", "backup_name"])]
    all: bool,

    /// The backup by its name alone, in place of BACKUP
    #[arg(long, short = 'N', value_name = "NAME", hide_short_help = true)]
    backup_name: Option<String>,

    /// The host the backup belongs to, where the name does not say it as HOST/NAME
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    hostname: Option<String>,

    #[command(flatten)]
    retention: RetentionArguments,

    /// Afterwards, copy what is needed of segments of which it is less than this part, to give the
    /// rest back: see freezer repack
    #[arg(long, value_name = "PERCENT", value_parser = repack::parse_part, help_heading = "How it is done")]
    repack_below: Option<Below>,

    /// Show what would stay, what would go and why, and remove nothing
    #[arg(long, help_heading = "How it is done")]
    dry_run: bool,

    /// Do not ask
    #[arg(long, short, help_heading = "How it is done")]
    yes: bool,

    /// How long data stays for those who are reading it: 90s, 10m, 2h, 1d, 0
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration, help_heading = "How it is done")]
    grace: SignedDuration,

    /// While a run of the same backup is under way, wait for its end, or at most so long (90s, 10m,
    /// 2h), and do not fail
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = WITHOUT_END)]
    #[arg(help_heading = "How it is done")]
    wait: Option<String>,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let rules = arguments
        .retention
        .rules(session.clock.now(), &session.zone)?;
    let patience = patience(arguments.wait.as_deref())?;
    let access = session.access()?;
    let cancel = interrupt::watch()?;
    let mut plans = Vec::new();
    for (backup, going) in wanted(arguments, &rules, session, &access)? {
        plans.push(upkeep::plan(
            &access,
            &backup,
            &going,
            session.clock.now(),
            &session.zone,
        )?);
    }
    let json = session.output.format == Format::Json;
    if !json {
        for plan in &plans {
            show(plan, session)?;
        }
    }
    let repacks = |plan: &Plan| arguments.repack_below.is_some() && plan.mixed_bytes > 0;
    let has_work = plans
        .iter()
        .any(|plan| plan.going() > 0 || plan.unneeded_bytes > 0 || repacks(plan));
    let mut pruned = Vec::new();
    if has_work && !arguments.dry_run {
        session.output.flush()?;
        if !arguments.yes {
            confirm(&question(&plans, session)?, "nothing was removed")?;
        }
        for plan in &mut plans {
            let mut done = carry_out(&access, plan, patience, arguments.grace, session, &cancel)?;
            let mut repacked = None;
            if let Some(below) = arguments.repack_below {
                let manner = repack::Manner {
                    below,
                    patience,
                    grace: arguments.grace,
                };
                let (repacking, removed) =
                    repack::carry_out(&access, &plan.backup, manner, session, &cancel)?;
                repacked = Some(repacking);
                done = done.and_then(&removed);
            }
            pruned.push((done, repacked));
        }
    }
    if json {
        let documents: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(at, plan)| PlanDocument::of(plan, pruned.get(at)))
            .collect();
        session.output.json(&documents)?;
        return Ok(Outcome::Done);
    }
    if arguments.dry_run || !has_work {
        let freed: u64 = plans
            .iter()
            .map(|plan| plan.freed_bytes + plan.unneeded_bytes)
            .sum();
        let going: usize = plans.iter().map(Plan::going).sum();
        let would = several(
            going as u64,
            "point in time would go",
            "points in time would go",
        );
        session.output.note(match has_work {
            true => format!(
                "{would}, and {} with them and of earlier ones; nothing was removed",
                show_bytes(freed)
            ),
            false => "there is nothing to remove".to_owned(),
        });
        let mixed: u64 = plans.iter().map(|plan| plan.mixed_bytes).sum();
        if arguments.dry_run && mixed > 0 {
            session.output.note(format!(
                "{} that nothing needs then lie among what is needed: freezer repack",
                show_bytes(mixed)
            ));
        }
        return Ok(Outcome::Done);
    }
    for (plan, (pruned, repacked)) in plans.iter().zip(&pruned) {
        if let Some(repacked) = repacked
            .as_ref()
            .filter(|repacked| repacked.segments + repacked.damaged_segments > 0)
        {
            repack::tell(&plan.backup, repacked, session);
        }
        tell(&plan.backup, pruned, session);
    }
    Ok(Outcome::Done)
}

/// The backups that are meant, and what goes of each.
fn wanted(
    arguments: &Arguments,
    rules: &Retention,
    session: &Session,
    access: &Access,
) -> anyhow::Result<Vec<(BackupName, Going)>> {
    let catalog = Catalog::new(access.store());
    let mut refs = arguments.backups.clone();
    if let Some(name) = &arguments.backup_name {
        let text = match &arguments.hostname {
            Some(host) if !name.contains('/') => format!("{host}/{name}"),
            _ => name.clone(),
        };
        refs.push(text.parse()?);
    }
    if refs.is_empty() {
        if !arguments.all && !rules.is_empty() {
            return Err(Usage::new("no backup was named")
                .hint("name it, or --all: freezer prune BACKUP --keep-last 7")
                .into());
        }
        let mut all = Vec::new();
        catalog.backups(&mut |Backup { name, .. }| {
            all.push((name, Going::Unprotected(rules.clone())));
            true
        })?;
        return Ok(all);
    }
    let mut wanted: Vec<(BackupName, Going)> = Vec::new();
    for backup in &refs {
        let next = match backup.at() {
            Some(_) => {
                let located = locate(access, backup, session.clock.now(), &session.zone)?;
                (located.backup, Going::Named(located.level))
            }
            None => (catalog.find(backup)?, Going::Unprotected(rules.clone())),
        };
        if wanted.iter().any(|(other, _)| *other == next.0) {
            return Err(Usage::new(format!("{} was named twice", next.0))
                .hint("name each backup once")
                .into());
        }
        wanted.push(next);
    }
    Ok(wanted)
}

/// What stays, what goes, and why.
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
            let level = point
                .number
                .map_or_else(|| "?".to_owned(), |number| number.to_string());
            let started = when::show(point.date, &session.zone);
            [
                started,
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

fn words(reason: &Reason, session: &Session) -> String {
    match reason {
        Reason::Locked(until) => format!("locked until {}", when::show(*until, &session.zone)),
        other => other.to_string(),
    }
}

fn question(plans: &[Plan], session: &Session) -> anyhow::Result<String> {
    let going: usize = plans.iter().map(Plan::going).sum();
    let bytes: u64 = plans
        .iter()
        .map(|plan| plan.freed_bytes + plan.unneeded_bytes)
        .sum();
    let what = several(going as u64, "point in time", "points in time");
    Ok(format!(
        "Remove {what} and {} that nothing else needs from {}? [y/N] ",
        show_bytes(bytes),
        session.location()?
    ))
}

/// Asks whether that is to be done.
pub(in crate::cli) fn confirm(question: &str, otherwise: &str) -> anyhow::Result<()> {
    if !terminal::is_there() {
        let message = format!("{otherwise}: there is no terminal to ask on");
        return Err(Usage::new(message)
            .hint("say --yes, or --dry-run to see what would be done")
            .into());
    }
    let answer = terminal::ask(question).context("could not ask")?;
    if matches!(answer.trim().to_lowercase().as_str(), "y" | "yes") {
        Ok(())
    } else {
        Err(Interrupted.into())
    }
}

/// Prunes one backup.
pub(in crate::cli) fn carry_out(
    access: &Access,
    plan: &mut Plan,
    patience: Patience,
    grace: SignedDuration,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<Pruned> {
    let backup = plan.backup.clone();
    let store = access.store();
    let host = host_name().unwrap_or_else(|_| "unknown".to_owned());
    let request = LockRequest {
        backup: &backup,
        host: &host,
        action: "prune",
        patience,
    };
    let clock = &session.clock;
    // A prune leaves nothing of its own, however it ends. A sync could bring a point in time that
    // leans on what is removed: the lock is held for that too.
    let pruned = with_lock(
        store.as_ref(),
        &Catalog::new(access.store()),
        request,
        clock,
        cancel,
        |_| true,
        |held| {
            let grace = Grace {
                now: clock.now(),
                length: grace,
            };
            upkeep::withdraw(access, plan, held, grace, cancel)?.remove(access, &backup, cancel)
        },
    );
    Ok(pruned??)
}

pub(in crate::cli) fn tell(backup: &BackupName, pruned: &Pruned, session: &Session) {
    let gone = several(pruned.points, "point in time", "points in time");
    let mut text = format!(
        "{backup}: removed {gone} and {} of data",
        show_bytes(pruned.freed_bytes)
    );
    if let (Some(until), true) = (pruned.waiting_until, pruned.waiting_bytes > 0) {
        let until = when::show(until, &session.zone);
        text.push_str(&format!(
            "; {} more can be removed by a prune after {until} (--grace)",
            show_bytes(pruned.waiting_bytes)
        ));
    }
    session.output.note(text);
    if let Some(until) = pruned.locked.until {
        let (bytes, until) = (
            show_bytes(pruned.locked.bytes),
            when::show(until, &session.zone),
        );
        session.output.note(format_args!(
            "{backup}: {bytes} that nothing needs are locked; a prune after {until} removes them"
        ));
    }
    if pruned.doubtful_bytes > 0 {
        let bytes = show_bytes(pruned.doubtful_bytes);
        session.output.warn(format_args!(
            "{backup}: {bytes} stay, as a point in time that cannot be read may need them"
        ));
        session.output.note(format_args!(
            "hint: freezer check {backup} names it; freezer repair {backup} removes it after a yes"
        ));
    }
}

/// What `freezer backup` does afterwards, when it was given rules.
pub(in crate::cli) fn after_backup(
    access: &Access,
    backup: &BackupName,
    rules: Retention,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let mut plan = upkeep::plan(
        access,
        backup,
        &Going::Unprotected(rules),
        session.clock.now(),
        &session.zone,
    )?;
    if plan.going() > 0 || plan.unneeded_bytes > 0 {
        let pruned = carry_out(
            access,
            &mut plan,
            Patience::None,
            upkeep::GRACE,
            session,
            cancel,
        )?;
        tell(backup, &pruned, session);
    }
    Ok(())
}

#[derive(Serialize)]
struct PlanDocument {
    backup: String,
    points_in_time: Vec<PointDocument>,
    /// Bytes that go with the points in time that go, and bytes that none needed before.
    would_free_bytes: u64,
    unneeded_bytes: u64,
    /// Bytes that none needs then, among others that some need: for a repack.
    mixed_bytes: u64,
    /// What was done; nothing with `--dry-run`, and when there was nothing to do.
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

/// What a prune removed.
#[derive(Serialize)]
pub(in crate::cli) struct RemovedDocument {
    points_in_time: u64,
    objects: u64,
    freed_bytes: u64,
    waiting_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_until: Option<Timestamp>,
    doubtful_bytes: u64,
    locked_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    locked_until: Option<Timestamp>,
}

impl RemovedDocument {
    pub(in crate::cli) fn of(pruned: &Pruned) -> Self {
        Self {
            points_in_time: pruned.points,
            objects: pruned.objects,
            freed_bytes: pruned.freed_bytes,
            waiting_bytes: pruned.waiting_bytes,
            waiting_until: pruned.waiting_until,
            doubtful_bytes: pruned.doubtful_bytes,
            locked_bytes: pruned.locked.bytes,
            locked_until: pruned.locked.until,
        }
    }
}

impl PlanDocument {
    fn of(plan: &Plan, done: Option<&(Pruned, Option<Repacking>)>) -> Self {
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
            removed: done.map(|(pruned, _)| RemovedDocument::of(pruned)),
            repacked: done
                .and_then(|(_, repacked)| repacked.as_ref())
                .map(RepackingDocument::of),
        }
    }
}

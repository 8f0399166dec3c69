//! `freezer repack`, and what `freezer prune --repack-below` does.

use crate::catalog::{Access, Backup, Catalog, LockRequest, Patience, with_lock};
use crate::cli::commands::local::backup::{WITHOUT_END, patience};
use crate::cli::commands::local::prune::{self, RemovedDocument, confirm};
use crate::cli::interrupt;
use crate::cli::open::session::Session;
use crate::cli::options::retention::parse_duration;
use crate::cli::show::document::several;
use crate::cli::show::failure::{Outcome, Usage};
use crate::cli::show::output::{Column, Format};
use crate::config::show_bytes;
use crate::model::{BackupName, BackupRef, Cancel, Retention};
use crate::platform::{Clock, host_name};
use crate::upkeep::{self, Below, Going, Grace, Pruned, Repack, Repacking};
use clap::Args;
use jiff::SignedDuration;
use serde::Serialize;

/// Give back the space of what is no longer needed among what is
///
/// Data is kept in segments of many files. One of which nothing is needed goes with a prune; of one
/// that is mostly not needed, this copies the rest to a new one. Points in time stay as they are.
/// Backups of the same name wait for at most a gigabyte to be copied, or fail without --wait.
///
/// Old segments stay for the grace, for mounts that read them; the next prune or repack removes
/// them.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer repack docs --dry-run
  freezer repack --all --below 70% --yes
  freezer prune docs --keep-daily 14 --repack-below 50%    both in one

Where there is a terminal it asks; where there is none, --yes must be given, or nothing is changed and the exit code is 2.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backups: Vec<BackupRef>,

    /// All backups of the store
    #[arg(long, conflicts_with = "backups")]
    all: bool,

    /// Rewrite segments of which less than this part is needed
    #[arg(long, value_name = "PERCENT", default_value = "50%", value_parser = parse_part, help_heading = "How it is done")]
    below: Below,

    /// Show what would be done, and change nothing
    #[arg(long, help_heading = "How it is done")]
    dry_run: bool,

    /// Do not ask
    #[arg(long, short, help_heading = "How it is done")]
    yes: bool,

    /// How long old segments stay for those who are reading them: 90s, 10m, 2h, 1d, 0
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = parse_duration, help_heading = "How it is done")]
    grace: SignedDuration,

    /// While a run of the same backup is under way, wait for its end, or at most so long (90s, 10m,
    /// 2h), and do not fail
    #[arg(long, value_name = "DURATION", num_args = 0..=1, require_equals = true, default_missing_value = WITHOUT_END)]
    #[arg(help_heading = "How it is done")]
    wait: Option<String>,
}

/// How a repack is done.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Manner {
    pub(in crate::cli) below: Below,
    pub(in crate::cli) patience: Patience,
    pub(in crate::cli) grace: SignedDuration,
}

pub(in crate::cli) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let manner = Manner {
        below: arguments.below,
        patience: patience(arguments.wait.as_deref())?,
        grace: arguments.grace,
    };
    let access = session.access()?;
    let cancel = interrupt::watch()?;
    let mut plans = Vec::new();
    for backup in wanted(arguments, &Catalog::new(access.store()))? {
        let plan = upkeep::plan_repack(&access, &backup, manner.below)?;
        plans.push((backup, plan));
    }
    let json = session.output.format == Format::Json;
    if !json {
        show(&plans, session)?;
    }
    let sum = |of: fn(&Repacking) -> u64| plans.iter().map(|(_, plan)| of(plan)).sum::<u64>();
    let has_work = sum(|plan| plan.segments) > 0;
    let mut done = Vec::new();
    if has_work && !arguments.dry_run {
        session.output.flush()?;
        if !arguments.yes {
            let (copied, freed) = (
                show_bytes(sum(|plan| plan.copied_bytes)),
                show_bytes(sum(|plan| plan.freed_bytes)),
            );
            let question = format!(
                "Copy {copied} in {} to give back {freed}? [y/N] ",
                session.location()?
            );
            confirm(&question, "nothing was changed")?;
        }
        for (backup, _) in &plans {
            done.push(carry_out(&access, backup, manner, session, &cancel)?);
        }
    }
    if json {
        let documents: Vec<_> = plans
            .iter()
            .enumerate()
            .map(|(at, (backup, plan))| Document::of(backup, plan, done.get(at)))
            .collect();
        session.output.json(&documents)?;
    } else if done.is_empty() {
        session.output.note(match has_work {
            true => format!(
                "{} would be given back; nothing was changed",
                show_bytes(sum(|plan| plan.freed_bytes))
            ),
            false => "there is nothing to repack".to_owned(),
        });
    } else {
        for ((backup, _), (repacked, pruned)) in plans.iter().zip(&done) {
            tell(backup, repacked, session);
            prune::tell(backup, pruned, session);
        }
    }
    Ok(Outcome::Done)
}

/// Reads `50%` or `50`.
pub(in crate::cli) fn parse_part(text: &str) -> Result<Below, String> {
    let percent: f64 = text
        .trim_end_matches('%')
        .trim()
        .parse()
        .map_err(|_| refusal())?;
    if percent > 0.0 && percent <= 100.0 {
        Ok(Below(percent / 100.0))
    } else {
        Err(refusal())
    }
}

fn refusal() -> String {
    "write a part in percent, such as 50%".to_owned()
}

fn wanted(arguments: &Arguments, catalog: &Catalog) -> anyhow::Result<Vec<BackupName>> {
    if arguments.all {
        let mut all = Vec::new();
        catalog.backups(&mut |Backup { name, .. }| {
            all.push(name);
            true
        })?;
        return Ok(all);
    }
    if arguments.backups.is_empty() {
        return Err(Usage::new("no backup was named")
            .hint("name it, or --all: freezer repack BACKUP")
            .into());
    }
    let mut wanted = Vec::new();
    for backup in &arguments.backups {
        if backup.at().is_some() {
            return Err(Usage::new("a repack is of a whole backup")
                .hint("leave @DATE out")
                .into());
        }
        let name = catalog.find(backup)?;
        if wanted.contains(&name) {
            return Err(Usage::new(format!("{name} was named twice"))
                .hint("name each backup once")
                .into());
        }
        wanted.push(name);
    }
    Ok(wanted)
}

fn show(plans: &[(BackupName, Repacking)], session: &mut Session) -> anyhow::Result<()> {
    let rows: Vec<_> = plans
        .iter()
        .filter(|(_, plan)| plan.segments > 0)
        .map(|(backup, plan)| {
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

/// Repacks one backup, and removes what nothing needs then and nobody may be reading.
pub(in crate::cli) fn carry_out(
    access: &Access,
    backup: &BackupName,
    manner: Manner,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<(Repacking, Pruned)> {
    let host = host_name().unwrap_or_else(|_| "unknown".to_owned());
    let request = LockRequest {
        backup,
        host: &host,
        action: "repack",
        patience: manner.patience,
    };
    let (store, catalog, clock) = (access.store(), Catalog::new(access.store()), &session.clock);
    let mut repack = Repack::new(manner.below);
    loop {
        // In between others have a turn.
        let step = with_lock(
            store.as_ref(),
            &catalog,
            request,
            clock,
            cancel,
            |_| true,
            |held| {
                let grace = Grace {
                    now: clock.now(),
                    length: manner.grace,
                };
                repack.step(access, backup, held, grace, cancel)
            },
        );
        if !step?? {
            break;
        }
    }
    let nothing = Going::Unprotected(Retention::default());
    let mut plan = upkeep::plan(access, backup, &nothing, clock.now(), &session.zone)?;
    let pruned = match plan.unneeded_bytes {
        0 => Pruned::default(),
        _ => prune::carry_out(
            access,
            &mut plan,
            manner.patience,
            manner.grace,
            session,
            cancel,
        )?,
    };
    Ok((repack.done(), pruned))
}

pub(in crate::cli) fn tell(backup: &BackupName, repacked: &Repacking, session: &Session) {
    let segments = several(repacked.segments, "segment", "segments");
    let (copied, freed) = (
        show_bytes(repacked.copied_bytes),
        show_bytes(repacked.freed_bytes),
    );
    session.output.note(format!(
        "{backup}: repacked {segments}: copied {copied}, and need {freed} less"
    ));
    if repacked.damaged_segments > 0 {
        let segments = several(
            repacked.damaged_segments,
            "segment is damaged and stays",
            "segments are damaged and stay",
        );
        session.output.warn(format_args!(
            "{backup}: {segments}; freezer check tells more"
        ));
    }
}

#[derive(Serialize)]
struct Document {
    backup: String,
    #[serde(flatten)]
    planned: RepackingDocument,
    /// What was done; nothing with `--dry-run`, and when there was nothing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    repacked: Option<RepackingDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    removed: Option<RemovedDocument>,
}

/// What a repack would do, or has done.
#[derive(Serialize)]
pub(in crate::cli) struct RepackingDocument {
    levels: u64,
    segments: u64,
    copied_bytes: u64,
    given_back_bytes: u64,
    damaged_segments: u64,
}

impl RepackingDocument {
    pub(in crate::cli) fn of(repacking: &Repacking) -> Self {
        Self {
            levels: repacking.levels,
            segments: repacking.segments,
            copied_bytes: repacking.copied_bytes,
            given_back_bytes: repacking.freed_bytes,
            damaged_segments: repacking.damaged_segments,
        }
    }
}

impl Document {
    fn of(backup: &BackupName, plan: &Repacking, done: Option<&(Repacking, Pruned)>) -> Self {
        Self {
            backup: backup.to_string(),
            planned: RepackingDocument::of(plan),
            repacked: done.map(|(repacked, _)| RepackingDocument::of(repacked)),
            removed: done.map(|(_, pruned)| RemovedDocument::of(pruned)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::parse_part;
    use crate::upkeep::Below;

    #[test]
    fn a_part_is_a_percentage() {
        assert_eq!(parse_part("50%"), Ok(Below(0.5)));
        assert_eq!(parse_part("100"), Ok(Below(1.0)));
        for text in ["0", "101%", "-1", "half", "", "%", "nan", "inf"] {
            assert!(parse_part(text).is_err(), "{text}");
        }
    }
}

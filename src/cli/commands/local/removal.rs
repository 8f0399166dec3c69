//! Removal of points in time and data: what prune, repack and backup do in the end.

use crate::catalog::{Access, Patience};
use crate::cli::open::lock::{LockTerms, holding};
use crate::cli::open::session::Session;
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::config::show_bytes;
use crate::model::{BackupName, Cancel, Retention};
use crate::platform::Clock;
use crate::upkeep::{self, Going, Grace, Plan, Pruned};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

/// Carries out the plan for one backup. Waits for its lock as long as `patience` says.
///
/// The lock is held until the end: a sync could otherwise bring a point in time that leans on what
/// is being removed.
pub(in crate::cli) fn carry_out(
    access: &Access,
    plan: &mut Plan,
    patience: Patience,
    grace: SignedDuration,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<Pruned> {
    let backup = plan.backup.clone();
    let terms = LockTerms {
        action: "prune",
        patience,
    };
    let clock = &session.clock;
    let pruned = holding(access, &backup, terms, clock, cancel, |held| {
        let grace = Grace {
            now: clock.now(),
            length: grace,
        };
        upkeep::withdraw(access, plan, held, grace, cancel)?.remove(access, &backup, cancel)
    });
    Ok(pruned??)
}

/// Prunes one backup by rules, without waiting for its lock: what a backup does at its end.
pub(in crate::cli) fn by_rules(
    access: &Access,
    backup: &BackupName,
    rules: Retention,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    let going = Going::Unprotected(rules);
    let mut plan = upkeep::plan(access, backup, &going, session.clock.now(), &session.zone)?;
    if plan.going() > 0 || plan.unneeded_bytes > 0 {
        let (patience, grace) = (Patience::None, upkeep::GRACE);
        let pruned = carry_out(access, &mut plan, patience, grace, session, cancel)?;
        tell(backup, &pruned, session);
    }
    Ok(())
}

/// Tells people what a prune removed, and what it left and why.
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
            "{backup}: {bytes} stay, because a point in time that cannot be read may need them"
        ));
        session.output.note(format_args!(
            "hint: freezer check {backup} names it; freezer repair {backup} removes it after a yes"
        ));
    }
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

//! `freezer unlock`.

use crate::catalog::{Catalog, HeldClaim, end_claim, held_claims};
use crate::cli::open::session::Session;
use crate::cli::show::confirm::confirm;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::cli::show::words::several;
use crate::model::{BackupName, BackupRef};
use crate::platform::Clock;
use clap::Args;
use serde::Serialize;

/// End the claims that keep runs of a backup waiting
///
/// One run of a backup works at a time: it puts a claim into the store and renews it. The claim of
/// a run that died on another machine ends by itself after ten minutes. Use this where you know
/// that the run is dead and do not want to wait, or where somebody else put a claim into the store.
///
/// Shows each claim and asks. A run that is alive after all makes no point in time: it looks at
/// its claim before it ends.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer unlock docs
  freezer unlock web-1/docs --yes

Exit codes: 0 no claim is left; 1 it failed; 2 wrong usage; 130 interrupted.")]
pub(in crate::cli) struct Arguments {
    /// NAME or HOST/NAME
    #[arg(value_name = "BACKUP")]
    backup: BackupRef,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,
}

/// A claim, for programs.
#[derive(Serialize)]
struct ClaimDocument<'claim> {
    backup: String,
    id: String,
    /// `None` where the claim cannot be read.
    host: Option<&'claim str>,
    action: Option<&'claim str>,
    process: Option<u32>,
    until: jiff::Timestamp,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let access = session.access_for_writing()?;
    let backup = Catalog::new(access.store()).find(&arguments.backup)?;
    let claims = held_claims(&access, &backup, session.clock.now())?;
    for claim in &claims {
        show(&backup, claim, session)?;
    }
    session.output.flush()?;
    if claims.is_empty() {
        session
            .output
            .note(format_args!("no run claims {backup}: nothing to do"));
        return Ok(Completion::Done);
    }
    let number = several(claims.len() as u64, "claim", "claims");
    if !arguments.yes {
        confirm(&format!("End {number}?"), "nothing was ended")?;
    }
    for claim in &claims {
        end_claim(&access, &backup, &claim.level)?;
    }
    session
        .output
        .note(format_args!("{backup}: ended {number}"));
    Ok(Completion::Done)
}

fn show(backup: &BackupName, claim: &HeldClaim, session: &mut Session) -> anyhow::Result<()> {
    let read = claim.claim.as_ref();
    if session.output.form == OutputForm::Json {
        session.output.json(&ClaimDocument {
            backup: backup.to_string(),
            id: claim.level.to_string(),
            host: read.map(|claim| claim.host.as_str()),
            action: read.map(|claim| claim.action.as_str()),
            process: read.map(|claim| claim.process.pid),
            until: claim.until,
        })?;
        return Ok(());
    }
    let until = when::show(claim.until, &session.zone);
    let line = match read {
        Some(read) => format!(
            "{backup}: a {} on {} (process {}), since {}; it holds until {until}",
            read.action,
            read.host,
            read.process.pid,
            when::show(read.since, &session.zone)
        ),
        None => format!("{backup}: a claim that cannot be read; it holds until {until}"),
    };
    Ok(session.output.line(line)?)
}

//! `freezer backup`.

mod arguments;
mod report;
mod request;

pub(in crate::cli) use arguments::Arguments;

use crate::backup;
use crate::cli::commands::local::removal;
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::destinations::{Destinations, MirrorPolicy};
use crate::cli::open::outside::outside_stores;
use crate::cli::open::place::StorePlace;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::wrong_dates::warn_of_wrong_dates;
use crate::model::{BackupName, Cancel, Retention};
use crate::platform::{Clock, flush_file_systems};
use crate::store::location::IfMissing;
use crate::store::mirror::{OnFailure, WaitLimits};
use anyhow::Context;
use report::Backed;
use std::path::Path;

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let rules = arguments
        .retention
        .rules(session.clock.now(), &session.zone)?;
    if let Some(path) = &arguments.metadata_out
        && path != Path::new("-")
    {
        outside_stores("metadata", path)?;
    }
    let segment_bytes = arguments.max_segment_size.0;
    let places: Vec<StorePlace> = session
        .store_places()?
        .into_iter()
        .map(|place| place.with_segment_bytes(segment_bytes))
        .collect();
    let mut request = request::of(&arguments, &places, session)?;
    let mut destinations = if arguments.dry_run {
        Destinations::rehearsal(session)?
    } else {
        let policy = mirror_policy(&arguments);
        Destinations::open(&places, policy, &request.backup, session)?
    };
    request.skip = request::folders_of_stores(&places);
    if arguments.sync {
        flush_file_systems().context("could not flush the file systems")?;
    }
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let progress = session.progress();
    let access = destinations.access();
    let report = backup::run(&request, access, &session.clock, &progress, &cancel)?;
    drop(progress);
    destinations.confirm(&request.backup, &report.manifest.id);
    let backed = Backed {
        backup: &request.backup,
        report: &report,
        excludes: &request.excludes,
        cipher: destinations.access().cipher(),
        stores: &destinations.outcomes(),
    };
    backed.tell(&arguments, session)?;
    warn_of_wrong_dates(
        &request.backup,
        &report.ahead,
        session.clock.now(),
        &session.zone,
        &session.output,
    );
    if !rules.is_empty() && !arguments.dry_run {
        if backed.may_be_mistaken() {
            session
                .output
                .warn("no earlier point in time was removed, as this one may lack what they have");
        } else {
            prune_afterwards(&destinations, &request.backup, &rules, session, &cancel)?;
        }
    }
    Ok(Completion::of(backed.is_whole()))
}

fn mirror_policy(arguments: &Arguments) -> MirrorPolicy {
    MirrorPolicy {
        on_failure: if arguments.on_store_failure == "abort" {
            OnFailure::Abort
        } else {
            OnFailure::Continue
        },
        patience: WaitLimits {
            for_one: arguments.store_patience.0,
            in_all: arguments.store_lag.0,
        },
        if_missing: if arguments.must_exist {
            IfMissing::Refuse
        } else {
            IfMissing::Create
        },
    }
}

/// Applies the retention rules to each store that got the new point in time.
fn prune_afterwards(
    destinations: &Destinations,
    backup: &BackupName,
    rules: &Retention,
    session: &Session,
    cancel: &Cancel,
) -> anyhow::Result<()> {
    for access in destinations.complete() {
        removal::by_rules(&access, backup, rules.clone(), session, cancel)
            .context("the backup is complete, but pruning it afterwards failed")?;
    }
    Ok(())
}

//! `freezer upgrade-store`.

use crate::catalog::Upgrade;
use crate::catalog::known::Purpose;
use crate::cli::open::session::{OpenedStore, Session};
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::cli::show::words::several;
use crate::format::keys::KdfCost;
use clap::Args;
use serde::Serialize;

/// Make a store of an earlier version one that this freezer can write to
///
/// Rewrites only what is small: freezer.json, its copy, and the key of the passphrase that is
/// given. Points in time stay as they are and can be read, checked, pruned and built on. Keys of
/// other passphrases go on working.
///
/// Earlier versions of freezer cannot read the store any more: upgrade freezer on every machine
/// that uses it first. Nothing is lost when the command is cut off; run it again then. A copy of
/// the store in another place is upgraded by itself: name it with --store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer upgrade-store --dry-run
  freezer upgrade-store --store /backups --encrypt-pass-file key

Exit codes: 0 the store is of the newest version; 1 it failed; 2 wrong usage; 130 interrupted.")]
pub(in crate::cli) struct Arguments {
    /// Change nothing; show what would be rewritten
    #[arg(long)]
    dry_run: bool,
}

/// What `--json` prints.
#[derive(Serialize)]
struct UpgradeDocument {
    store: String,
    dry_run: bool,
    /// The version of the store before.
    from: u32,
    /// The version of the store after.
    to: u32,
    /// The objects that are rewritten or replaced.
    objects: Vec<String>,
    /// Ids of keys that stay as they are because another passphrase opens them.
    other_keys: Vec<String>,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let OpenedStore { access, passphrase } = session.opened(Purpose::Writing)?;
    let plan = access.plan_upgrade()?;
    if !arguments.dry_run {
        access.upgrade(&plan, passphrase.as_deref(), KdfCost::default())?;
    }
    let document = UpgradeDocument {
        store: access.store().location(),
        dry_run: arguments.dry_run,
        from: access.identity().version(),
        to: 2,
        objects: plan.objects().iter().map(ToString::to_string).collect(),
        other_keys: plan.others.iter().map(|key| key.id.clone()).collect(),
    };
    if session.output.form == OutputForm::Json {
        session.output.json(&document)?;
    } else {
        tell(&document, &plan, session)?;
    }
    Ok(Completion::Done)
}

fn tell(document: &UpgradeDocument, plan: &Upgrade, session: &mut Session) -> anyhow::Result<()> {
    let store = &document.store;
    if plan.is_empty() {
        let version = document.to;
        session
            .output
            .note(format_args!("{store} is of version {version} already"));
    } else {
        let verb = if document.dry_run {
            "would rewrite"
        } else {
            "rewrote"
        };
        for object in &document.objects {
            session.output.line(format!("{verb} {object}"))?;
        }
        session.output.flush()?;
        let done = if document.dry_run {
            "would be"
        } else {
            "is now"
        };
        session
            .output
            .note(format_args!("{store} {done} of version {}", document.to));
    }
    if !plan.others.is_empty() {
        let keys = several(plan.others.len() as u64, "key", "keys");
        session.output.note(format_args!(
            "{keys} of other passphrases stay as they are: {}; freezer upgrade-store with each \
             passphrase renews its key",
            document.other_keys.join(", ")
        ));
    }
    Ok(())
}

//! `freezer key rotate`.

use crate::catalog::known::Purpose;
use crate::catalog::{Access, Patience, Rotated};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::lock::{LockTerms, holding};
use crate::cli::open::session::{OpenedStore, Session};
use crate::cli::show::confirm::confirm;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::cli::show::words::several;
use crate::format::keys::{KdfCost, KeySlot};
use crate::model::{BackupName, Passphrase};
use crate::platform::Clock;
use anyhow::bail;
use serde::Serialize;

/// The claim that keeps two rotations apart is one to a backup of this name, which nobody makes.
const CLAIMED: [&str; 2] = ["freezer", "key rotate"];

/// What `--json` prints.
#[derive(Serialize)]
struct RotationDocument<'key> {
    done: &'static str,
    key: &'key str,
    epoch: u8,
    /// Keys that open the store no more.
    removed: Vec<RemovedKey<'key>>,
}

#[derive(Serialize)]
struct RemovedKey<'key> {
    id: &'key str,
    comment: &'key str,
}

pub(super) fn run(yes: bool, session: &mut Session) -> anyhow::Result<Completion> {
    let OpenedStore { access, passphrase } = session.opened(Purpose::Writing)?;
    let Some(passphrase) = passphrase else {
        bail!("the store is not encrypted: it has no keys");
    };
    access.expect_writable()?;
    let others: Vec<KeySlot> = access
        .keys()?
        .into_iter()
        .filter(|key| access.opened_by() != Some(key.id.as_str()))
        .collect();
    if !yes {
        confirm(&question(&others), "the key was not rotated")?;
    }
    let rotated = rotate(&access, &passphrase, session)?;
    if let Some(witness) = access.witness() {
        witness.key_epoch(rotated.epoch)?;
    }
    tell(&rotated, &others, session)?;
    Ok(Completion::Done)
}

fn question(others: &[KeySlot]) -> String {
    if others.is_empty() {
        return "Rotate the key?".to_owned();
    }
    let keys = several(others.len() as u64, "other key", "other keys");
    let named: Vec<String> = others.iter().map(described).collect();
    format!(
        "Rotate the key? The passphrase of {keys} will not open the store any more: {}.",
        named.join(", ")
    )
}

fn described(key: &KeySlot) -> String {
    if key.comment.is_empty() {
        key.id.clone()
    } else {
        format!("{} ({})", key.id, key.comment.escape_debug())
    }
}

fn rotate(access: &Access, passphrase: &Passphrase, session: &Session) -> anyhow::Result<Rotated> {
    let [host, name] = CLAIMED;
    let claimed = BackupName::new(host, name)?;
    let terms = LockTerms {
        action: "key rotate",
        patience: Patience::None,
    };
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let now = session.clock.now();
    let rotated = holding(access, &claimed, terms, &session.clock, &cancel, |_| {
        access.rotate_key(passphrase, KdfCost::default(), now)
    });
    Ok(rotated??)
}

fn tell(rotated: &Rotated, others: &[KeySlot], session: &mut Session) -> anyhow::Result<()> {
    let epoch = rotated.epoch.0;
    if session.output.form == OutputForm::Json {
        let removed = rotated.retired.iter().map(|key| RemovedKey {
            id: &key.id,
            comment: &key.comment,
        });
        return Ok(session.output.json(&RotationDocument {
            done: "rotated",
            key: &rotated.key,
            epoch,
            removed: removed.collect(),
        })?);
    }
    session.output.note(format_args!(
        "rotated the key: epoch {epoch} has begun, and key {} opens the store",
        rotated.key
    ));
    for key in others {
        session.output.note(format_args!(
            "the passphrase of key {} opens the store no more: freezer key add adds it again",
            described(key)
        ));
    }
    Ok(())
}

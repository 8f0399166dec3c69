//! `freezer key`.

use crate::catalog::Access;
use crate::cli::commands::local::key_rotation;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
use crate::format::keys::KdfCost;
use crate::model::Passphrase;
use crate::platform::Clock;
use anyhow::bail;
use clap::{Args, Subcommand};
use serde::Serialize;
use std::path::PathBuf;

/// Show and change the keys of an encrypted store
///
/// Each key is one passphrase that opens the store. Adding, changing or removing a key rewrites no
/// data.
#[derive(Debug, Args)]
#[command(
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:
  freezer key list
  freezer key add --comment 'the vault' --new-pass-file vault-key
  freezer key change
  freezer key remove 1a2b3c4d
  freezer key rotate"
)]
pub(in crate::cli) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the keys
    #[command(after_help = "Example:\n  freezer key list --json")]
    List,
    /// Add a passphrase that opens the store
    #[command(
        after_help = "Example:\n  freezer key add --comment 'the vault' --new-pass-file vault-key"
    )]
    Add(NewKey),
    /// Remove a key: its passphrase no longer opens the store
    ///
    /// Anyone who knows the passphrase and has an earlier copy of the store can still read that
    /// copy.
    #[command(after_help = "Example:\n  freezer key remove 1a2b3c4d")]
    Remove {
        /// Id of the key, as freezer key list shows it
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Replace the passphrase that opened the store by a new one
    #[command(
        after_help = "Example:\n  freezer key change --encrypt-pass-file old --new-pass-file new"
    )]
    Change(NewKey),
    /// Make a new master key: what is stored from now on is encrypted under it
    ///
    /// Use this when somebody may know a passphrase or the master key. Nothing is rewritten: what
    /// was stored before stays encrypted under the old key, which who had it can still use. A full
    /// backup, and a prune of the points in time before it, gets rid of that data.
    ///
    /// Only the passphrase that opens the store now opens it afterwards. All other passphrases have
    /// to be added again with freezer key add. Copies of the store get the new key by the next
    /// freezer sync.
    #[command(after_help = "Examples:
  freezer key rotate
  freezer key rotate --yes --encrypt-pass-file key")]
    Rotate {
        /// Do not ask
        #[arg(long, short)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
struct NewKey {
    /// A file whose first line is the new passphrase [default: asked for on the terminal]
    #[arg(long, value_name = "FILE")]
    new_pass_file: Option<PathBuf>,

    /// A note about the key, for freezer key list
    #[arg(long, value_name = "TEXT", default_value = "")]
    comment: String,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    if let Command::Rotate { yes } = arguments.command {
        return key_rotation::run(yes, session);
    }
    let access = match arguments.command {
        Command::List => session.access()?,
        _ => session.access_for_writing()?,
    };
    match &arguments.command {
        Command::List | Command::Rotate { .. } => list(&access, session)?,
        Command::Add(new) => {
            let id = add(&access, new, session)?;
            tell(session, "added", &id)?;
        }
        Command::Remove { key } => {
            access.remove_key(key)?;
            tell(session, "removed", key)?;
        }
        Command::Change(new) => {
            let Some(old) = access.opened_by().map(str::to_owned) else {
                bail!("the store is not encrypted: it has no keys")
            };
            // In this order: if it is cut off in between, both passphrases open the store.
            let id = add(&access, new, session)?;
            access.remove_key(&old)?;
            tell(session, "changed", &id)?;
        }
    }
    Ok(Completion::Done)
}

/// An element of `--json`.
#[derive(Serialize)]
struct KeyDocument<'key> {
    id: &'key str,
    created: jiff::Timestamp,
    comment: &'key str,
    /// The newest key epoch that it opens.
    epoch: u8,
    /// Whether it opened the store in this run.
    in_use: bool,
}

fn list(access: &Access, session: &mut Session) -> anyhow::Result<()> {
    let keys = access.keys()?;
    let in_use = access.opened_by();
    if session.output.form == OutputForm::Json {
        let documents: Vec<_> = keys
            .iter()
            .map(|key| KeyDocument {
                id: &key.id,
                created: key.created,
                comment: &key.comment,
                epoch: key.epoch().0,
                in_use: in_use == Some(key.id.as_str()),
            })
            .collect();
        return Ok(session.output.json(&documents)?);
    }
    if keys.is_empty() {
        session
            .output
            .note("the store is not encrypted: it has no keys");
        return Ok(());
    }
    let rows: Vec<_> = keys
        .iter()
        .map(|key| {
            let mark = if in_use == Some(key.id.as_str()) {
                "*"
            } else {
                ""
            };
            [
                key.id.clone(),
                mark.to_owned(),
                when::show(key.created, &session.zone),
                key.epoch().0.to_string(),
                key.comment.clone(),
            ]
        })
        .collect();
    Ok(session.output.table(
        [
            Column::text("KEY"),
            Column::text("USED"),
            Column::text("MADE"),
            Column::number("EPOCH"),
            Column::text("COMMENT"),
        ],
        &rows,
    )?)
}

fn add(access: &Access, new: &NewKey, session: &Session) -> anyhow::Result<String> {
    if access.opened_by().is_none() {
        bail!("the store is not encrypted: it has no keys");
    }
    let passphrase = new_passphrase(new, session)?;
    Ok(access.add_key(
        &passphrase,
        KdfCost::default(),
        session.clock.now(),
        &new.comment,
    )?)
}

fn new_passphrase(new: &NewKey, session: &Session) -> anyhow::Result<Passphrase> {
    if let Some(path) = &new.new_pass_file {
        return session.passphrase_in(path);
    }
    session.ask_twice("passphrase", "write it to a file: --new-pass-file FILE")
}

fn tell(session: &mut Session, done: &'static str, key: &str) -> anyhow::Result<()> {
    #[derive(Serialize)]
    struct KeyChange<'key> {
        done: &'static str,
        key: &'key str,
    }
    if session.output.form == OutputForm::Json {
        session.output.json(&KeyChange { done, key })?;
    } else {
        session.output.note(format_args!("{done} key {key}"));
    }
    Ok(())
}

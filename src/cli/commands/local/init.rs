//! `freezer init`.

use crate::catalog::{Access, AccessError};
use crate::cli::open::destinations::make_store;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::format::identity::Cipher;
use crate::store::location::IfMissing;
use clap::Args;
use serde::Serialize;

/// Make a store
///
/// The first freezer backup makes one, too. Scripts that make the store once with this command can
/// run freezer backup --must-exist: a backup disk that is not mounted is then an error, and not a
/// new store.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer init --store /srv/backups --encrypt-pass-file key
  freezer init --store s3://bucket/laptop --encrypt

Exit codes: 0 the store is made; 1 it failed, or there is a store already; 2 wrong usage.")]
pub(in crate::cli) struct Arguments {
    /// Encrypt the store, and ask for its new passphrase on the terminal, unless an option gives
    /// one
    #[arg(long)]
    encrypt: bool,
}

/// The new store, for programs.
#[derive(Serialize)]
struct StoreDocument {
    store: String,
    id: String,
    encrypted: bool,
}

pub(in crate::cli) fn run(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let store = session.store_place()?.open(IfMissing::Create)?;
    match Access::is_encrypted(store.as_ref()) {
        Err(AccessError::NoStore(_)) => {}
        Err(error) => return Err(error.into()),
        Ok(_) => return Err(AccessError::Exists(store.location()).into()),
    }
    let given = session.given_passphrase()?;
    let asked = match &given {
        None if arguments.encrypt => {
            Some(session.ask_twice("passphrase", "give one: --encrypt-pass-file FILE")?)
        }
        _ => None,
    };
    let access = make_store(store, given.as_deref().or(asked.as_ref()), session)?;
    if session.output.form == OutputForm::Json {
        session.output.json(&StoreDocument {
            store: access.store().location(),
            id: access.identity().id.to_string(),
            encrypted: access.cipher() != Cipher::None,
        })?;
    }
    Ok(Completion::Done)
}

//! `freezer api`.

mod accounts;
mod arguments;
mod database;
mod serve;

pub(in crate::cli) use arguments::Arguments;

use crate::api::{ApiService, Exchanged, TokenScope};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::platform::SystemClock;
use accounts::NewUser;
use anyhow::Context;
use arguments::Command;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::sync::Arc;

pub(in crate::cli) fn run(
    mut arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let address = database::address(&arguments.database, session)?;
    let connections = arguments.database.database_connections;
    let service = ApiService::open(&address, connections, Arc::new(SystemClock))?;
    match arguments.command.take() {
        None => serve::serve(arguments, &service, session)?,
        Some(command) => carry_out(command, &service, session)?,
    }
    Ok(Completion::Done)
}

fn carry_out(command: Command, service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    match command {
        Command::Migrate => session
            .output
            .note("the tables have the form that this version needs"),
        Command::Export => {
            let exchanged = service.export(&mut std::io::stdout())?;
            session
                .output
                .note(format_args!("{} documents", exchanged.documents));
        }
        Command::Import { file } => import(&file, service, session)?,
        Command::Users => accounts::users(service, session)?,
        Command::AddUser {
            name,
            project,
            scope,
            password_file,
        } => {
            let new = NewUser {
                name: &name,
                project: &project,
                scope,
                password_file: password_file.as_deref(),
            };
            accounts::add_user(&new, service, session)?;
        }
        Command::RemoveUser { name } => accounts::remove_user(&name, service, session)?,
        Command::Tokens => accounts::tokens(service, session)?,
        Command::AddToken {
            project,
            scope,
            client,
            days,
            comment,
        } => {
            let scope = client.map_or_else(|| scope.into(), TokenScope::Node);
            accounts::add_token(&scope, &project, &comment, days, service, session)?;
        }
        Command::RevokeToken { id } => accounts::revoke_token(&id, service, session)?,
    }
    Ok(())
}

fn import(file: &Path, service: &ApiService, session: &Session) -> anyhow::Result<()> {
    let opened = File::open(file).with_context(|| format!("could not open {}", file.display()))?;
    let Exchanged { documents, present } = service.import(&mut BufReader::new(opened))?;
    session.output.note(format_args!(
        "{documents} documents imported, {present} existed already"
    ));
    Ok(())
}

//! `freezer api users`, `tokens` and what changes them.

use super::arguments::AccountScope;
use crate::api::{ApiService, NewToken, TokenScope};
use crate::cli::open::session::Session;
use crate::cli::show::output::{Column, OutputForm};
use crate::cli::show::when;
use crate::config::TimeLength;
use crate::model::Passphrase;
use crate::platform::Clock;
use anyhow::{Context, bail};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::json;
use std::path::Path;

/// A user to be added.
pub(super) struct NewUser<'typed> {
    pub(super) name: &'typed str,
    pub(super) project: &'typed str,
    pub(super) scope: AccountScope,
    pub(super) password_file: Option<&'typed Path>,
}

/// Adds a user.
pub(super) fn add_user(
    new: &NewUser<'_>,
    service: &ApiService,
    session: &Session,
) -> anyhow::Result<()> {
    let password = password(new.password_file, session)?;
    let user = service.make_user(new.name, new.project, &new.scope.into(), &password)?;
    session.output.note(format_args!(
        "added user {} of project {}",
        user.name, user.project
    ));
    Ok(())
}

fn password(file: Option<&Path>, session: &Session) -> anyhow::Result<Passphrase> {
    match file {
        Some(path) => session.passphrase_in(path),
        None => session.ask_twice("password", "write it to a file: --password-file FILE"),
    }
}

/// Removes a user.
pub(super) fn remove_user(
    name: &str,
    service: &ApiService,
    session: &Session,
) -> anyhow::Result<()> {
    if !service.remove_user(name)? {
        bail!("there is no user {name}");
    }
    session.output.note(format_args!("removed user {name}"));
    Ok(())
}

/// Makes a token in a project, and prints it.
pub(super) fn add_token(
    scope: &TokenScope,
    project: &str,
    comment: &str,
    valid_for: Option<TimeLength>,
    service: &ApiService,
    session: &mut Session,
) -> anyhow::Result<()> {
    let expires = valid_for
        .map(|length| session.clock.now().checked_add(length.signed()))
        .transpose()
        .context("the token would be valid for too long")?;
    let token = service.make_token(&NewToken::by_operator(scope, project, comment, expires))?;
    if session.output.form == OutputForm::Json {
        let document = json!({ "token": token.expose(), "project": project });
        session.output.json(&document)?;
    } else {
        session.output.line(token.expose())?;
    }
    Ok(())
}

/// Revokes a token.
pub(super) fn revoke_token(
    id: &str,
    service: &ApiService,
    session: &Session,
) -> anyhow::Result<()> {
    if !service.revoke_token(id)? {
        bail!("there is no token {id}");
    }
    session.output.note(format_args!("revoked token {id}"));
    Ok(())
}

/// An element of `--json` for a user.
#[derive(Serialize)]
struct UserDocument<'a> {
    id: &'a str,
    name: &'a str,
    project: &'a str,
    roles: &'a [String],
}

/// Prints the users.
pub(super) fn users(service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    let users = service.users()?;
    if session.output.form == OutputForm::Json {
        let document = |user: &'_ crate::api::User| {
            json!(UserDocument {
                id: &user.id,
                name: &user.name,
                project: &user.project,
                roles: &user.roles
            })
        };
        return Ok(session
            .output
            .json(&users.iter().map(document).collect::<Vec<_>>())?);
    }
    let rows: Vec<_> = users
        .iter()
        .map(|user| {
            [
                user.name.clone(),
                user.project.clone(),
                user.roles.join(" "),
            ]
        })
        .collect();
    Ok(session.output.table(
        [
            Column::text("USER"),
            Column::text("PROJECT"),
            Column::text("ROLES"),
        ],
        &rows,
    )?)
}

/// An element of `--json` for a token.
#[derive(Serialize)]
struct TokenDocument<'a> {
    name: &'a str,
    user: &'a str,
    project: &'a str,
    roles: &'a [String],
    client: Option<&'a str>,
    comment: &'a str,
    created: Timestamp,
    expires: Option<Timestamp>,
}

/// Prints the valid tokens.
pub(super) fn tokens(service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    let tokens = service.tokens()?;
    if session.output.form == OutputForm::Json {
        let document = |token: &'_ crate::api::KnownToken| {
            json!(TokenDocument {
                name: &token.id,
                user: &token.user,
                project: &token.project,
                roles: &token.roles,
                client: token.client_id.as_deref(),
                comment: &token.comment,
                created: token.created,
                expires: token.expires,
            })
        };
        return Ok(session
            .output
            .json(&tokens.iter().map(document).collect::<Vec<_>>())?);
    }
    let rows: Vec<_> = tokens
        .iter()
        .map(|token| {
            let expires = token.expires.map_or_else(
                || "never".to_owned(),
                |expires| when::show(expires, &session.zone),
            );
            let made = when::show(token.created, &session.zone);
            [
                token.id.clone(),
                token.user.clone(),
                token.project.clone(),
                token.roles.join(" "),
                made,
                expires,
                token.comment.clone(),
            ]
        })
        .collect();
    let columns = [
        "TOKEN", "USER", "PROJECT", "ROLES", "MADE", "EXPIRES", "COMMENT",
    ]
    .map(Column::text);
    Ok(session.output.table(columns, &rows)?)
}

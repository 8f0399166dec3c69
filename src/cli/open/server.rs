//! The connection to a Freezer API.

use crate::cli::open::json_file::read_document;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Usage;
use crate::model::Secret;
use crate::sched::connection::{ApiConnection, Entrance};
use anyhow::{Context, bail};
use serde_json::Value;
use std::path::Path;

/// Prepares the connection to the server. Nothing is sent yet.
pub(in crate::cli) fn connect(
    options: &ServerOptions,
    session: &Session,
) -> anyhow::Result<ApiConnection> {
    let entrance = entrance(options, session)?;
    Ok(ApiConnection::new(
        entrance,
        session
            .common
            .stores
            .settings(&session.environment)
            .network(),
    )?)
}

fn entrance(options: &ServerOptions, session: &Session) -> anyhow::Result<Entrance> {
    if let Some(url) = &options.api_url {
        let Some(file) = &options.api_token_file else {
            return Err(Usage::new("a server needs a token")
                .hint("write one to a file: --api-token-file FILE")
                .into());
        };
        return Ok(Entrance::Token {
            url: url.clone(),
            project: options.api_project.clone(),
            token: token(file, session)?,
        });
    }
    let openstack = ["OS_AUTH_URL", "OS_CLOUD"];
    if session
        .environment
        .store_variables()
        .any(|(name, _)| openstack.contains(&name))
    {
        return Ok(Entrance::Openstack);
    }
    let dev = session
        .environment
        .dev_server()
        .filter(|path| path.is_file());
    let Some(path) = dev else {
        return Err(Usage::new("no address of the Freezer API is given")
            .hint(
                "freezer api --dev runs one; --api-url and --api-token-file name another; or set \
                 OS_AUTH_URL and the variables that belong to it",
            )
            .into());
    };
    let known = read_document(&path)?;
    let text = |key: &str| known.get(key).and_then(Value::as_str).map(str::to_owned);
    match (text("url"), text("token")) {
        (Some(url), Some(token)) => {
            let project = options.api_project.clone().or_else(|| text("project"));
            Ok(Entrance::Token {
                url,
                project,
                token: Secret::new(token),
            })
        }
        _ => bail!(
            "{} has no address of a server: start one again with freezer api --dev",
            path.display()
        ),
    }
}

fn token(file: &Path, session: &Session) -> anyhow::Result<Secret<String>> {
    let line = session.passphrase_in(file)?;
    let text = String::from_utf8(line.expose().clone())
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_graphic()));
    text.map(Secret::new)
        .with_context(|| format!("the first line of {} is not a token", file.display()))
}

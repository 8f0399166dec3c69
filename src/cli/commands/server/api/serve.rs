//! `freezer api` without a command: the server itself.

use super::arguments::Arguments;
use super::database::make_folder_of;
use crate::api::{
    ApiService, KeystoneSettings, NewToken, ServerSettings, TlsFiles, TokenScope, Tokens,
    token_name,
};
use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::cli::show::output::{Closed, Output, OutputForm};
use crate::model::Secret;
use crate::platform::durable::{self, Sharing};
use anyhow::Context;
use serde_json::json;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The address that the server listens on if none is given.
const USUAL_ADDRESS: ([u8; 4], u16) = ([127, 0, 0, 1], 9090);

/// Serves until the process is told to end.
pub(super) fn serve(
    arguments: Arguments,
    service: &ApiService,
    session: &mut Session,
) -> anyhow::Result<()> {
    let settings = settings(&arguments, session)?;
    if arguments.dev && matches!(settings.tokens, Tokens::Keystone(_)) {
        return Err(Usage::new(
            "--dev makes a token of this server's own, which is not valid with --keystone-url",
        )
        .into());
    }
    let tls = arguments
        .tls_certificate
        .zip(arguments.tls_key)
        .map(|(certificate, key)| TlsFiles { certificate, key });
    let listen = arguments
        .listen
        .unwrap_or_else(|| SocketAddr::from(USUAL_ADDRESS));
    let dev = arguments
        .dev
        .then(|| DevToken::new(service, session))
        .transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    let output = &mut session.output;
    service.serve(settings, listen, tls.as_ref(), &cancel, |address| {
        let url = format!("{scheme}://{address}");
        tell_listening(&url, dev.as_ref(), output).map_err(std::io::Error::other)?;
        dev.as_ref().map_or(Ok(()), |dev| dev.write(&url))
    })?;
    Ok(())
}

fn settings(arguments: &Arguments, session: &Session) -> anyhow::Result<ServerSettings> {
    let policy = arguments
        .policy_file
        .as_deref()
        .map(|path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))
        })
        .transpose()?;
    let tokens = match (&arguments.keystone_url, &arguments.keystone_password_file) {
        (Some(address), Some(file)) => Tokens::Keystone(KeystoneSettings {
            address: address.clone(),
            user: arguments.keystone_user.clone(),
            user_domain: arguments.keystone_domain.clone(),
            project: arguments.keystone_project.clone(),
            project_domain: arguments.keystone_domain.clone(),
            password: session.passphrase_in(file)?,
        }),
        _ => Tokens::Builtin,
    };
    Ok(ServerSettings {
        tokens,
        policy,
        body_limit: usize::try_from(arguments.body_limit.0).context("--body-limit is too large")?,
        rate_limit: arguments.rate_limit,
        patience: arguments.client_timeout.0,
        session_timeout: arguments.session_timeout.0,
        public_url: arguments.public_url.clone(),
    })
}

fn tell_listening(url: &str, dev: Option<&DevToken>, output: &mut Output) -> Result<(), Closed> {
    match (output.form, dev) {
        (OutputForm::Json, dev) => {
            let token = dev.map(|dev| dev.token.expose());
            output.json(&json!({ "event": "listening", "url": url, "token": token }))?;
        }
        (OutputForm::Text, None) => output.line(format_args!("listening at {url}"))?,
        (OutputForm::Text, Some(dev)) => {
            output.line(format_args!("listening at {url}"))?;
            output.line(format_args!("token {}", dev.token.expose()))?;
            output.line(format_args!("both are in {}", dev.file.display()))?;
        }
    }
    output.flush()
}

/// The token of a server to try out, and the file in which other commands of the same user find
/// it.
struct DevToken {
    token: Secret<String>,
    file: PathBuf,
}

impl DevToken {
    /// Takes the token of the file if it is still valid, else makes a new one.
    fn new(service: &ApiService, session: &Session) -> anyhow::Result<Self> {
        let Some(file) = session.environment.dev_server() else {
            return Err(
                Usage::new("there is no home directory to keep the token in")
                    .hint("make one: freezer api add-token")
                    .into(),
            );
        };
        make_folder_of(&file)?;
        let known = std::fs::read(&file)
            .ok()
            .and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok());
        let known = known.and_then(|known| {
            Some((
                known.get("id")?.as_str()?.to_owned(),
                known.get("token")?.as_str()?.to_owned(),
            ))
        });
        // The file may belong to another database.
        let comment = format!("api --dev: {}", file.display());
        let holds = service
            .tokens()?
            .into_iter()
            .find(|token| token.comment == comment)
            .map(|token| token.id);
        match (known, holds) {
            (Some((id, token)), Some(held)) if id == held => {
                return Ok(Self {
                    token: Secret::new(token),
                    file,
                });
            }
            (_, Some(held)) => drop(service.revoke_token(&held)?),
            (_, None) => {}
        }
        let token = service.make_token(&NewToken::by_operator(
            &TokenScope::Admin,
            "default",
            &comment,
            None,
        ))?;
        Ok(Self { token, file })
    }

    /// Writes the file, readable only by the user.
    fn write(&self, url: &str) -> std::io::Result<()> {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let id = token_name(self.token.expose());
        let mut file = durable::create_file(&self.file, Sharing::private())?;
        writeln!(
            file,
            "{}",
            json!({ "url": url, "project": "default", "id": id, "token": self.token.expose() })
        )
    }
}

//! `freezer api`.

use super::failure::{Outcome, Usage};
use super::interrupt;
use super::output::{Column, Format};
use super::outside::outside_stores;
use super::session::Session;
use super::when;
use crate::api::{
    ApiService, Exchanged, KeystoneSettings, NewToken, ServerSettings, TlsFiles, TokenScope, Tokens,
};
use crate::config::ByteSize;
use crate::model::Passphrase;
use crate::platform::durable::{self, Access};
use crate::platform::{Clock, SystemClock, terminal};
use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;
use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Run the server for clients, jobs, sessions and records of backups
///
/// Speaks versions 1 and 2 of the Freezer API. Any number of servers can stand before one
/// PostgreSQL or MySQL; without a database named it keeps all in a file.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer api --dev                         a server to try out, with a token
  freezer api --listen 0.0.0.0:9090 --database-file /etc/freezer/database
  freezer api add-user ann --project tecs --password-file ann
  freezer api add-token --project tecs --client tecs_web1")]
pub(super) struct Arguments {
    #[command(flatten)]
    database: DatabaseArguments,

    /// Make a token for everything if there is none, and tell it; listens at 127.0.0.1 alone unless
    /// told otherwise
    #[arg(long)]
    dev: bool,

    /// Where to listen; port 0 takes a free one [default: 127.0.0.1:9090]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,

    /// The address that clients know the server by [default: the one they ask at]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,

    /// A certificate and those that vouch for it, in PEM: listen with TLS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,

    /// The key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,

    /// Rules in place of the usual ones: lines "NAME": "RULE", as in the original's policy.yaml
    #[arg(long, value_name = "FILE")]
    policy_file: Option<PathBuf>,

    /// Take the tokens of this Keystone, and none of this server's own
    #[arg(long, value_name = "URL", requires = "keystone_password_file")]
    keystone_url: Option<String>,

    /// The service user that asks Keystone about tokens
    #[arg(
        long,
        value_name = "NAME",
        default_value = "freezer",
        requires = "keystone_url"
    )]
    keystone_user: String,

    /// The project of the service user
    #[arg(
        long,
        value_name = "NAME",
        default_value = "service",
        requires = "keystone_url"
    )]
    keystone_project: String,

    /// The domain of the service user and of its project
    #[arg(
        long,
        value_name = "NAME",
        default_value = "Default",
        requires = "keystone_url"
    )]
    keystone_domain: String,

    /// A file whose first line is the password of the service user
    #[arg(long, value_name = "FILE", requires = "keystone_url")]
    keystone_password_file: Option<PathBuf>,

    /// How large the body of a request can be
    #[arg(long, value_name = "SIZE", default_value = "4M")]
    body_limit: ByteSize,

    /// How many requests one token can make in a second [default: no limit]
    #[arg(long, value_name = "NUMBER")]
    rate_limit: Option<u32>,

    /// How many seconds a client can take for the head or the body of a request, or take nothing of
    /// an answer, before it is dropped
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    client_timeout: u64,

    /// After how many hours a session is over whose nodes did not all say how they ended
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    session_timeout: u64,

    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct DatabaseArguments {
    /// Where everything is kept: sqlite:FILE, postgres://USER@HOST/NAME or mysql://USER@HOST/NAME
    /// [default: ~/.local/share/freezer/api.sqlite]
    #[arg(
        long,
        value_name = "URL",
        global = true,
        conflicts_with = "database_file"
    )]
    database: Option<String>,

    /// A file whose first line is the address of the database, for one with a password in it
    #[arg(long, value_name = "FILE", global = true)]
    database_file: Option<PathBuf>,

    /// How many connections to the database there can be at a time
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000), global = true)]
    database_connections: u32,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the tables to the form this version wants, as a server does when it starts
    #[command(after_help = "Example:\n  freezer api migrate --database-file /etc/freezer/database")]
    Migrate,
    /// Write every document, one on a line, as the original kept them in Elasticsearch
    #[command(after_help = "Example:\n  freezer api export > freezer.ndjson")]
    Export,
    /// Take in documents as they are exported, or dumped from Elasticsearch; what is there already
    /// stays
    #[command(after_help = "Example:\n  freezer api import freezer.ndjson")]
    Import {
        /// A file with a document on each line
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Show the users
    #[command(after_help = "Example:\n  freezer api users --json")]
    Users,
    /// Make a user, who gets tokens with a name and a password
    #[command(
        after_help = "Example:\n  freezer api add-user ann --project tecs --password-file ann"
    )]
    AddUser {
        /// The name
        #[arg(value_name = "NAME")]
        name: String,
        /// The project
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        /// What the user can do: admin is everything in all projects, project everything in this
        /// one, reader looking at it
        #[arg(
            long,
            value_name = "SCOPE",
            value_enum,
            default_value = "project",
            hide_possible_values = true
        )]
        scope: Scope,
        /// A file whose first line is the password [default: asked for on the terminal]
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Remove a user and take back the tokens that the password got
    #[command(after_help = "Example:\n  freezer api remove-user ann")]
    RemoveUser {
        /// The name
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Show the tokens that hold
    #[command(after_help = "Example:\n  freezer api tokens")]
    Tokens,
    /// Make a token, and print it
    #[command(
        after_help = "Examples:\n  freezer api add-token --project tecs --days 90 --comment 'the dashboard'\n  freezer api add-token --project tecs --client tecs_web1"
    )]
    AddToken {
        /// The project
        #[arg(long, value_name = "NAME", default_value = "default")]
        project: String,
        /// What it is for: admin is everything in all projects, project everything in this one,
        /// reader looking at it
        #[arg(
            long,
            value_name = "SCOPE",
            value_enum,
            default_value = "project",
            conflicts_with = "client",
            hide_possible_values = true
        )]
        scope: Scope,
        /// For this node alone: it registers, gets its jobs, tells how they went, records its
        /// backups
        #[arg(long, value_name = "CLIENT-ID")]
        client: Option<String>,
        /// After how many days it holds no longer [default: never]
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(i64).range(1..=36_500))]
        days: Option<i64>,
        /// What to call it
        #[arg(long, value_name = "TEXT", default_value = "")]
        comment: String,
    },
    /// Take a token back
    #[command(after_help = "Example:\n  freezer api revoke-token 1a2b3c4d5e6f")]
    RevokeToken {
        /// The token's name, as `freezer api tokens` shows it
        #[arg(value_name = "NAME")]
        id: String,
    },
}

/// What a token or a user is for.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Everything, in all projects
    Admin,
    /// Everything in the project
    Project,
    /// Looking only, in the project
    Reader,
}

impl From<Scope> for TokenScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Admin => Self::Admin,
            Scope::Project => Self::Project,
            Scope::Reader => Self::Reader,
        }
    }
}

pub(super) fn run(arguments: Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let address = address(&arguments.database, session)?;
    let service = ApiService::open(
        &address,
        arguments.database.database_connections,
        Arc::new(SystemClock),
    )?;
    match arguments.command {
        None => serve(arguments, &service, session)?,
        Some(Command::Migrate) => session
            .output
            .note("the tables have the form that this version wants"),
        Some(Command::Export) => {
            let exchanged = service.export(&mut std::io::stdout())?;
            session
                .output
                .note(format_args!("{} documents", exchanged.documents));
        }
        Some(Command::Import { file }) => {
            let opened = std::fs::File::open(&file)
                .with_context(|| format!("could not open {}", file.display()))?;
            let Exchanged { documents, present } = service.import(&mut BufReader::new(opened))?;
            session.output.note(format_args!(
                "{documents} documents taken in, {present} were there already"
            ));
        }
        Some(Command::Users) => users(&service, session)?,
        Some(Command::AddUser {
            name,
            project,
            scope,
            password_file,
        }) => {
            let password = password(password_file.as_deref(), session)?;
            let user = service.make_user(&name, &project, &scope.into(), &password)?;
            session.output.note(format_args!(
                "added user {} of project {}",
                user.name, user.project
            ));
        }
        Some(Command::RemoveUser { name }) => {
            if !service.remove_user(&name)? {
                bail!("there is no user {name}");
            }
            session.output.note(format_args!("removed user {name}"));
        }
        Some(Command::Tokens) => tokens(&service, session)?,
        Some(Command::AddToken {
            project,
            scope,
            client,
            days,
            comment,
        }) => {
            let scope = client.map_or_else(|| scope.into(), TokenScope::Node);
            let expires = days
                .map(|days| expiry(session.clock.now(), days))
                .transpose()?;
            let token =
                service.make_token(&NewToken::by_operator(&scope, &project, &comment, expires))?;
            if session.output.format == Format::Json {
                session
                    .output
                    .json(&json!({ "token": token.expose(), "project": project }))?;
            } else {
                session.output.line(token.expose())?;
            }
        }
        Some(Command::RevokeToken { id }) => {
            if !service.revoke_token(&id)? {
                bail!("there is no token {id}");
            }
            session.output.note(format_args!("took back token {id}"));
        }
    }
    Ok(Outcome::Done)
}

fn expiry(now: Timestamp, days: i64) -> anyhow::Result<Timestamp> {
    now.checked_add(SignedDuration::from_hours(days * 24))
        .context("the token would last too long")
}

/// The address of the database. One with a password in it is a secret, and comes from a file.
fn address(arguments: &DatabaseArguments, session: &Session) -> anyhow::Result<String> {
    if let Some(path) = &arguments.database_file {
        let line = session.passphrase_in(path)?;
        return String::from_utf8(line.expose().clone())
            .ok()
            .with_context(|| format!("the first line of {} is no text", path.display()));
    }
    if let Some(address) = &arguments.database {
        let has_password = address
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('@'))
            .is_some_and(|(user, _)| user.contains(':'));
        if has_password {
            return Err(Usage::new(
                "an address with a password in it can be seen by everybody on this machine",
            )
            .hint("write it to a file: --database-file FILE")
            .into());
        }
        if let Some(file) = address
            .strip_prefix("sqlite:")
            .filter(|it| *it != ":memory:")
        {
            let file = file.trim_start_matches("//");
            let file = file.split_once('?').map_or(file, |(file, _)| file);
            outside_stores("a database", file.as_ref())?;
        }
        return Ok(address.clone());
    }
    let Some(path) = session.environment.default_database() else {
        return Err(
            Usage::new("there is no home directory to keep a database in")
                .hint("name one: --database sqlite:FILE")
                .into(),
        );
    };
    make_folder_of(&path)?;
    Ok(format!("sqlite:{}", path.display()))
}

fn make_folder_of(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().unwrap_or(path);
    std::fs::create_dir_all(folder).with_context(|| format!("could not make {}", folder.display()))
}

fn password(file: Option<&Path>, session: &Session) -> anyhow::Result<Passphrase> {
    if let Some(path) = file {
        return session.passphrase_in(path);
    }
    if !terminal::is_there() {
        return Err(
            Usage::new("there is no terminal to ask for the password on")
                .hint("write it to a file: --password-file FILE")
                .into(),
        );
    }
    let first = session.ask("Password: ")?;
    if first.expose() != session.ask("The same again: ")?.expose() {
        bail!("the two are not the same; nothing was changed");
    }
    Ok(first)
}

fn serve(arguments: Arguments, service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    let policy = arguments.policy_file.as_deref();
    let policy = policy
        .map(|path| {
            std::fs::read_to_string(path)
                .with_context(|| format!("could not read {}", path.display()))
        })
        .transpose()?;
    let tokens = match (arguments.keystone_url, &arguments.keystone_password_file) {
        (Some(address), Some(file)) => Tokens::Keystone(KeystoneSettings {
            address,
            user: arguments.keystone_user,
            user_domain: arguments.keystone_domain.clone(),
            project: arguments.keystone_project,
            project_domain: arguments.keystone_domain,
            password: session.passphrase_in(file)?,
        }),
        _ => Tokens::Builtin,
    };
    if arguments.dev && matches!(tokens, Tokens::Keystone(_)) {
        return Err(Usage::new(
            "--dev makes a token of this server's own, and with Keystone there are none",
        )
        .into());
    }
    let settings = ServerSettings {
        tokens,
        policy,
        body_limit: usize::try_from(arguments.body_limit.0).context("--body-limit is too large")?,
        rate_limit: arguments.rate_limit,
        patience: Duration::from_secs(arguments.client_timeout),
        session_timeout: Duration::from_secs(arguments.session_timeout.saturating_mul(3600)),
        public_url: arguments.public_url,
    };
    let tls = arguments
        .tls_certificate
        .zip(arguments.tls_key)
        .map(|(certificate, key)| TlsFiles { certificate, key });
    let listen = arguments
        .listen
        .unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9090)));
    let dev = arguments
        .dev
        .then(|| Dev::new(service, session))
        .transpose()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let cancel = interrupt::watch()?;
    let output = &mut session.output;
    service.serve(settings, listen, tls.as_ref(), &cancel, |address| {
        let url = format!("{scheme}://{address}");
        let told = match (output.format, &dev) {
            (Format::Json, dev) => {
                output.json(&json!({ "event": "listening", "url": url, "token": dev.as_ref().map(|dev| dev.token.expose()) }))
            }
            (Format::Text, None) => output.line(format_args!("listening at {url}")),
            (Format::Text, Some(dev)) => output
                .line(format_args!("listening at {url}"))
                .and_then(|()| output.line(format_args!("token {}", dev.token.expose())))
                .and_then(|()| output.line(format_args!("both are in {}", dev.file.display()))),
        };
        told.and_then(|()| output.flush()).map_err(std::io::Error::other)?;
        dev.as_ref().map_or(Ok(()), |dev| dev.write(&url))
    })?;
    Ok(())
}

/// The token of a server to try out, and the file in which others of the same user find it.
struct Dev {
    token: crate::model::Secret<String>,
    file: PathBuf,
}

impl Dev {
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
        // The file may be of another database than this.
        let comment = format!("api --dev: {}", file.display());
        let holds = service
            .tokens()?
            .into_iter()
            .find(|token| token.comment == comment)
            .map(|token| token.id);
        match (known, holds) {
            (Some((id, token)), Some(held)) if id == held => {
                return Ok(Self {
                    token: crate::model::Secret::new(token),
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

    /// For the user alone.
    fn write(&self, url: &str) -> std::io::Result<()> {
        match std::fs::remove_file(&self.file) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let id = crate::api::token_name(self.token.expose());
        let mut file = durable::create_file(&self.file, Access::private())?;
        writeln!(
            file,
            "{}",
            json!({ "url": url, "project": "default", "id": id, "token": self.token.expose() })
        )
    }
}

#[derive(Serialize)]
struct UserDocument<'a> {
    id: &'a str,
    name: &'a str,
    project: &'a str,
    roles: &'a [String],
}

fn users(service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    let users = service.users()?;
    if session.output.format == Format::Json {
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

fn tokens(service: &ApiService, session: &mut Session) -> anyhow::Result<()> {
    let tokens = service.tokens()?;
    if session.output.format == Format::Json {
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

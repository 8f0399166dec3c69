//! The commands that talk to a Freezer API: `freezer job`, `session`, `client`, `action`,
//! `backup-list`.

pub(super) mod action;
pub(super) mod backup_list;
pub(super) mod client;
mod edit;
pub(super) mod job;
pub(super) mod session;
mod session_restore;

use super::failure::Usage;
use super::output::Format;
use super::session::Session;
use super::when;
use crate::model::Secret;
use crate::model::job::{Field, FieldKind};
use crate::sched::connection::{ApiConnection, Entrance, ListPart, Resource};
use anyhow::{Context, bail};
use clap::Args;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Most bytes of a file with a document.
const LONGEST: u64 = 16 << 20;

/// Where the server is, and who asks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "The server")]
pub(super) struct ServerOptions {
    /// Where the Freezer API is [default: what Keystone's catalog or OS_BACKUP_URL says, where
    /// OS_AUTH_URL or OS_CLOUD is set; else the server that freezer api --dev runs; environment:
    /// FREEZER_API_URL]
    #[arg(long, value_name = "URL", global = true)]
    pub(super) api_url: Option<String>,

    /// A file whose first line is a token of the server [environment: FREEZER_API_TOKEN_FILE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(super) api_token_file: Option<PathBuf>,

    /// The project [default: that of the token; environment: FREEZER_API_PROJECT]
    #[arg(long, value_name = "ID", global = true)]
    pub(super) api_project: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Args)]
pub(super) struct ListOptions {
    /// How many at most
    #[arg(long, value_name = "NUMBER", default_value_t = 100)]
    limit: usize,

    /// After how many
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    offset: usize,

    /// Those with this text in them alone, wherever it stands
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

impl ListOptions {
    fn page(&self) -> ListPart {
        ListPart {
            limit: self.limit,
            offset: self.offset,
        }
    }

    fn search(&self) -> Value {
        self.search
            .as_ref()
            .map_or_else(|| json!({}), |text| json!({ "match": [{ "_all": text }] }))
    }
}

/// Opens the way to the server.
pub(super) fn connect(options: &ServerOptions, session: &Session) -> anyhow::Result<ApiConnection> {
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
        return Err(Usage::new("nothing says where the Freezer API is")
            .hint("freezer api --dev runs one; --api-url and --api-token-file name another; or set OS_AUTH_URL and what belongs to it")
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
            "{} does not say where the server is: start it anew with freezer api --dev",
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
        .with_context(|| format!("the first line of {} is no token", file.display()))
}

/// A JSON document of a file; `-` is standard input.
fn read_document(path: &Path) -> anyhow::Result<Value> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => std::io::stdin().take(LONGEST).read_to_string(&mut text),
        _ => {
            std::fs::File::open(path).and_then(|file| file.take(LONGEST).read_to_string(&mut text))
        }
    };
    read.with_context(|| format!("could not read {}", path.display()))?;
    let document: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", path.display()))?;
    if !document.is_object() {
        bail!("{} holds no JSON object", path.display());
    }
    Ok(document)
}

/// One object, or an error that names it.
fn wanted(server: &ApiConnection, resource: Resource, id: &str) -> anyhow::Result<Value> {
    match server.get(resource, id)? {
        Some(answer) => Ok(answer.body),
        None => bail!("there is no {} {id}", resource.singular()),
    }
}

/// Shows a document: as JSON, or some of what is in it line by line.
fn show(document: &Value, rows: &[(&str, String)], session: &mut Session) -> anyhow::Result<()> {
    if session.output.format == Format::Json {
        return Ok(session.output.json(document)?);
    }
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
        session.output.line(
            format_args!("{name:<width$}  {value}")
                .to_string()
                .trim_end(),
        )?;
    }
    Ok(())
}

/// Tells what was made, changed or removed.
fn told(done: &str, resource: Resource, id: &str, session: &mut Session) -> anyhow::Result<()> {
    if session.output.format == Format::Json {
        return Ok(session
            .output
            .json(&json!({ resource.id_key(): id, "done": done }))?);
    }
    if done == "created" {
        // What a script wants to go on with.
        return Ok(session.output.line(id)?);
    }
    session
        .output
        .note(format_args!("{} {id}: {done}", resource.singular()));
    Ok(())
}

/// What stands at a place of a document, as people read it.
fn text(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        // Control characters would write over the screen.
        Some(Value::String(text)) => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        Some(value) => value.to_string(),
    }
}

/// A field of a document, as people read it.
fn field<T: FieldKind>(field: &Field<T>) -> String {
    serde_json::to_value(field).map_or_else(|_| String::new(), |value| text(&value, ""))
}

/// A second since 1970, as people read it; nothing for one that never was.
fn second(field: &Field<i64>, session: &Session) -> String {
    serde_json::to_value(field).map_or_else(|_| String::new(), |value| moment(&value, "", session))
}

/// A moment in seconds, as people read it; nothing for one that never was.
fn moment(document: &Value, pointer: &str, session: &Session) -> String {
    let second = match document.pointer(pointer) {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let at = second
        .filter(|second| *second > 0)
        .and_then(|second| Timestamp::from_second(second).ok());
    at.map(|at| when::show(at, &session.zone))
        .unwrap_or_default()
}

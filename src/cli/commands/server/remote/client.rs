//! `freezer client`.

use super::list_options::ListOptions;
use super::show::{field, show, tell, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::model::job::{Client, ClientInfo, Documented};
use crate::sched::connection::{ApiConnection, Resource};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// Clients: the nodes that run jobs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer client list
  freezer client show tecs_web1")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the clients
    #[command(after_help = "Example:\n  freezer client list --search web")]
    List {
        #[command(flatten)]
        part: ListOptions,
    },
    /// Show one client
    #[command(after_help = "Example:\n  freezer client show tecs_web1 --json")]
    Show {
        /// Id of the client
        #[arg(value_name = "CLIENT-ID")]
        id: String,
    },
    /// Register a client from a file, as its scheduler does by itself
    #[command(after_help = "Example:\n  freezer client register --file client.json\
            \n\nA file is JSON: {\"client_id\": \"tecs_web1\", \"hostname\": \"web1\", \
            \"description\": \"…\"}")]
    Register {
        /// The file to read; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a client
    #[command(after_help = "Example:\n  freezer client delete tecs_web1")]
    Delete {
        /// Id of the client
        #[arg(value_name = "CLIENT-ID")]
        id: String,
    },
}

const CLIENTS: Resource = Resource::Clients;

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        Command::List { part } => list(&server, &part, session)?,
        Command::Show { id } => {
            let client = wanted(&server, CLIENTS, &id)?;
            let rows = details(&info_of(client.clone()));
            show(&client, &rows, session)?;
        }
        Command::Register { file } => {
            let id = server.create(CLIENTS, &read_document(&file)?)?;
            tell("created", CLIENTS, &id, session)?;
        }
        Command::Delete { id } => {
            server.delete(CLIENTS, &id)?;
            tell("deleted", CLIENTS, &id, session)?;
        }
    }
    Ok(Completion::Done)
}

fn list(server: &ApiConnection, part: &ListOptions, session: &mut Session) -> anyhow::Result<()> {
    let clients = server.list(CLIENTS, &part.search(), part.page(), "")?;
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&clients)?);
    }
    let row = |client: Value| {
        let info = info_of(client);
        [
            field(&info.client_id),
            field(&info.hostname),
            field(&info.uuid),
            field(&info.description),
        ]
    };
    let rows: Vec<_> = clients.into_iter().map(row).collect();
    let columns = ["CLIENT", "HOST", "UUID", "DESCRIPTION"].map(Column::text);
    Ok(session.output.table(columns, &rows)?)
}

fn info_of(client: Value) -> ClientInfo {
    let client = Client::leniently_of(client);
    client.client.into_value().unwrap_or_default()
}

fn details(info: &ClientInfo) -> [(&'static str, String); 9] {
    [
        ("client", field(&info.client_id)),
        ("host", field(&info.hostname)),
        ("uuid", field(&info.uuid)),
        ("description", field(&info.description)),
        ("central", field(&info.is_central)),
        ("actions", field(&info.supported_actions)),
        ("modes", field(&info.supported_modes)),
        ("storages", field(&info.supported_storages)),
        ("engines", field(&info.supported_engines)),
    ]
}

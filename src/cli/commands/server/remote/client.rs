//! `freezer client`.

use super::documents::{DocumentList, Documents};
use super::list_options::ListOptions;
use super::show::field;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::Column;
use crate::model::job::{Client, ClientInfo, Documented};
use crate::sched::connection::Resource;
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

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    let documents = Documents {
        server: &server,
        resource: Resource::Clients,
    };
    match arguments.command {
        Command::List { part } => {
            let columns = ["CLIENT", "HOST", "UUID", "DESCRIPTION"].map(Column::text);
            documents.list(DocumentList::new(&part, columns, row), session)?;
        }
        Command::Show { id } => documents.show(&id, details, session)?,
        Command::Register { file } => documents.create(&file, session)?,
        Command::Delete { id } => documents.delete(&id, session)?,
    }
    Ok(Completion::Done)
}

fn row(client: Value, _: &Session) -> [String; 4] {
    let info = info_of(client);
    [
        field(&info.client_id),
        field(&info.hostname),
        field(&info.uuid),
        field(&info.description),
    ]
}

fn info_of(client: Value) -> ClientInfo {
    let client = Client::leniently_of(client);
    client.client.into_value().unwrap_or_default()
}

fn details(client: Value, _: &Session) -> Vec<(&'static str, String)> {
    let info = info_of(client);
    vec![
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

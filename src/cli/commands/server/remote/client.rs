//! `freezer client`.

use super::list_options::ListOptions;
use super::show::{show, tell, text, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
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
    #[command(
        after_help = "Example:\n  freezer client register --file client.json\n\nA file is JSON: {\"client_id\": \"tecs_web1\", \"hostname\": \"web1\", \"description\": \"…\"}"
    )]
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
        Command::List { part } => {
            let clients = server.list(CLIENTS, &part.search(), part.page(), "")?;
            if session.output.form == OutputForm::Json {
                session.output.json(&clients)?;
                return Ok(Completion::Done);
            }
            let of = |client: &Value| {
                ["client_id", "hostname", "uuid", "description"]
                    .map(|key| text(client, &format!("/client/{key}")))
            };
            let rows: Vec<_> = clients.iter().map(of).collect();
            session.output.table(
                ["CLIENT", "HOST", "UUID", "DESCRIPTION"].map(Column::text),
                &rows,
            )?;
        }
        Command::Show { id } => {
            let client = wanted(&server, CLIENTS, &id)?;
            let rows = [
                ("client", "client_id"),
                ("host", "hostname"),
                ("uuid", "uuid"),
                ("description", "description"),
                ("central", "is_central"),
                ("actions", "supported_actions"),
                ("modes", "supported_modes"),
                ("storages", "supported_storages"),
                ("engines", "supported_engines"),
            ]
            .map(|(name, key)| (name, text(&client, &format!("/client/{key}"))));
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

//! `freezer action`.

use super::list_options::ListOptions;
use super::show::{show, tell, text, wanted};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::sched::connection::{ApiConnection, Resource};
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// Actions: the steps that jobs consist of
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer action list
  freezer action create --file action.json")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the actions
    #[command(after_help = "Example:\n  freezer action list --json")]
    List {
        #[command(flatten)]
        part: ListOptions,
    },
    /// Show one action
    #[command(after_help = "Example:\n  freezer action show 38cb64d5c5c54a8ba3e1a4ff2fa47a26")]
    Show {
        /// Id of the action
        #[arg(value_name = "ACTION-ID")]
        id: String,
    },
    /// Make an action from a file, and print its id
    #[command(
        after_help = "Example:\n  freezer action create --file action.json\n\nA file is JSON: {\"freezer_action\": {\"action\": \"backup\", …}, \"max_retries\": 2}"
    )]
    Create {
        /// The file to read; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Change an action, in all jobs that have it
    #[command(
        after_help = "Example:\n  freezer action update 38cb64d5c5c54a8ba3e1a4ff2fa47a26 patch.json"
    )]
    Update {
        /// Id of the action
        #[arg(value_name = "ACTION-ID")]
        id: String,
        /// The file to read; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove an action, and from all jobs that have it
    #[command(after_help = "Example:\n  freezer action delete 38cb64d5c5c54a8ba3e1a4ff2fa47a26")]
    Delete {
        /// Id of the action
        #[arg(value_name = "ACTION-ID")]
        id: String,
    },
}

const ACTIONS: Resource = Resource::Actions;

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        Command::List { part } => list(&server, &part, session)?,
        Command::Show { id } => {
            let action = wanted(&server, ACTIONS, &id)?;
            show(&action, &details(&action), session)?;
        }
        Command::Create { file } => {
            let id = server.create(ACTIONS, &read_document(&file)?)?;
            tell("created", ACTIONS, &id, session)?;
        }
        Command::Update { id, file } => {
            server.update(ACTIONS, &id, &read_document(&file)?, None)?;
            tell("changed", ACTIONS, &id, session)?;
        }
        Command::Delete { id } => {
            server.delete(ACTIONS, &id)?;
            tell("deleted", ACTIONS, &id, session)?;
        }
    }
    Ok(Completion::Done)
}

fn list(server: &ApiConnection, part: &ListOptions, session: &mut Session) -> anyhow::Result<()> {
    let actions = server.list(ACTIONS, &part.search(), part.page(), "")?;
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&actions)?);
    }
    let row = |action: &Value| {
        let of = |key: &str| text(action, &format!("/freezer_action/{key}"));
        let path = [of("path_to_backup"), of("restore_abs_path")].concat();
        [
            text(action, "/action_id"),
            of("backup_name"),
            of("action"),
            path,
            of("mode"),
            of("storage"),
            of("container"),
        ]
    };
    let rows: Vec<_> = actions.iter().map(row).collect();
    let columns = [
        "ACTION",
        "NAME",
        "DOES",
        "PATH",
        "MODE",
        "STORAGE",
        "CONTAINER",
    ]
    .map(Column::text);
    Ok(session.output.table(columns, &rows)?)
}

fn details(action: &Value) -> Vec<(&str, String)> {
    let mut rows = vec![
        ("action", text(action, "/action_id")),
        ("max_retries", text(action, "/max_retries")),
        (
            "max_retries_interval",
            text(action, "/max_retries_interval"),
        ),
        ("mandatory", text(action, "/mandatory")),
    ];
    let options = action
        .get("freezer_action")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(_, value)| !value.is_null());
    rows.extend(options.map(|(key, value)| (key.as_str(), text(value, ""))));
    rows
}

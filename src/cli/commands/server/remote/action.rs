//! `freezer action`.

use super::documents::{DocumentList, Documents};
use super::list_options::ListOptions;
use super::show::{field, text};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::Column;
use crate::model::job::{Action, Documented};
use crate::sched::connection::Resource;
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
    #[command(after_help = "Example:\n  freezer action create --file action.json\
            \n\nA file is JSON: {\"freezer_action\": {\"action\": \"backup\", …}, \"max_retries\": \
            2}")]
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

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    let documents = Documents {
        server: &server,
        resource: Resource::Actions,
    };
    match arguments.command {
        Command::List { part } => {
            documents.list(DocumentList::new(&part, columns(), row), session)?;
        }
        Command::Show { id } => documents.show(&id, details, session)?,
        Command::Create { file } => documents.create(&file, session)?,
        Command::Update { id, file } => {
            documents.update(&id, &read_document(&file)?, session)?;
        }
        Command::Delete { id } => documents.delete(&id, session)?,
    }
    Ok(Completion::Done)
}

fn row(action: Value, _: &Session) -> [String; 7] {
    let action = Action::leniently_of(action);
    let options = action.options().cloned().unwrap_or_default();
    [
        field(&action.action_id),
        field(&options.backup_name),
        field(&options.action),
        field(&options.path_to_backup) + &field(&options.restore_abs_path),
        field(&options.mode),
        field(&options.storage),
        field(&options.container),
    ]
}

fn columns() -> [Column; 7] {
    [
        "ACTION",
        "NAME",
        "DOES",
        "PATH",
        "MODE",
        "STORAGE",
        "CONTAINER",
    ]
    .map(Column::text)
}

fn details(action: Value, _: &Session) -> Vec<(String, String)> {
    let action = Action::leniently_of(action);
    let mut rows = vec![
        ("action".to_owned(), field(&action.action_id)),
        ("max_retries".to_owned(), field(&action.max_retries)),
        (
            "max_retries_interval".to_owned(),
            field(&action.max_retries_interval),
        ),
        ("mandatory".to_owned(), field(&action.mandatory)),
    ];
    let options = action.options().map(Documented::document);
    let options = options.into_iter().flatten();
    let with_value = options.filter(|(_, value)| !value.is_null());
    rows.extend(with_value.map(|(key, value)| (key, text(&value))));
    rows
}

//! `freezer backup-list`.

use super::documents::{DocumentList, Documents};
use super::list_options::ListOptions;
use super::show::{field, second, text};
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::Column;
use crate::model::job::{BackupRecord, Documented};
use crate::sched::connection::Resource;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::path::PathBuf;

/// Records of backups in a Freezer API
///
/// freezer list shows what a store itself holds.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  freezer backup-list
  freezer backup-list --search web1 --json
  freezer backup-list show 8f6f1dd3"
)]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    part: ListOptions,
    #[command(subcommand)]
    command: Option<Command>,
    // Last: its heading stands over all options after it.
    #[command(flatten)]
    server: ServerOptions,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show one record
    #[command(after_help = "Example:\n  freezer backup-list show 8f6f1dd3")]
    Show {
        /// Id of the record
        #[arg(value_name = "BACKUP-ID")]
        id: String,
    },
    /// Make a record from a file, as a scheduler does by itself, and print its id
    #[command(
        after_help = "Example:\n  freezer backup-list create --file backup.json\
            \n\nA file is what `freezer backup --metadata-out FILE` writes."
    )]
    Create {
        /// The file to read; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a record; the backup itself stays
    #[command(after_help = "Example:\n  freezer backup-list delete 8f6f1dd3")]
    Delete {
        /// Id of the record
        #[arg(value_name = "BACKUP-ID")]
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
        resource: Resource::Backups,
    };
    match arguments.command {
        None => {
            documents.list(DocumentList::new(&arguments.part, columns(), row), session)?;
        }
        Some(Command::Show { id }) => documents.show(&id, details, session)?,
        Some(Command::Create { file }) => documents.create(&file, session)?,
        Some(Command::Delete { id }) => documents.delete(&id, session)?,
    }
    Ok(Completion::Done)
}

fn row(backup: Value, session: &Session) -> [String; 7] {
    let backup = BackupRecord::leniently_of(backup);
    let metadata = backup.backup_metadata.into_value().unwrap_or_default();
    [
        field(&backup.backup_id),
        field(&metadata.hostname),
        field(&metadata.backup_name),
        field(&metadata.path_to_backup),
        second(&metadata.time_stamp, session),
        field(&metadata.curr_backup_level),
        field(&backup.status),
    ]
}

fn columns() -> [Column; 7] {
    let mut columns =
        ["BACKUP", "HOST", "NAME", "PATH", "MADE", "LEVEL", "STATE"].map(Column::text);
    columns[5] = Column::number("LEVEL");
    columns
}

fn details(backup: Value, _: &Session) -> Vec<(String, String)> {
    let backup = BackupRecord::leniently_of(backup);
    let mut rows = vec![
        ("backup".to_owned(), field(&backup.backup_id)),
        ("project".to_owned(), field(&backup.project_id)),
        ("user".to_owned(), field(&backup.user_id)),
        ("state".to_owned(), field(&backup.status)),
    ];
    let metadata = backup.backup_metadata.get().map(Documented::document);
    let metadata = metadata.into_iter().flatten();
    rows.extend(metadata.map(|(key, value)| (key, text(&value))));
    rows
}

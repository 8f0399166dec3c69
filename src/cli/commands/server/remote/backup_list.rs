//! `freezer backup-list`.

use super::list_options::ListOptions;
use super::show::{moment, show, tell, text, wanted};
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
        after_help = "Example:\n  freezer backup-list create --file backup.json\n\nA file is what `freezer backup --metadata-out FILE` writes."
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

const BACKUPS: Resource = Resource::Backups;

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        None => list(&server, &arguments.part, session)?,
        Some(Command::Show { id }) => {
            let backup = wanted(&server, BACKUPS, &id)?;
            let mut rows = vec![
                ("backup", text(&backup, "/backup_id")),
                ("project", text(&backup, "/project_id")),
                ("user", text(&backup, "/user_id")),
                ("state", text(&backup, "/status")),
            ];
            let metadata = backup
                .get("backup_metadata")
                .and_then(Value::as_object)
                .into_iter()
                .flatten();
            rows.extend(metadata.map(|(key, value)| (key.as_str(), text(value, ""))));
            show(&backup, &rows, session)?;
        }
        Some(Command::Create { file }) => {
            let id = server.create(BACKUPS, &read_document(&file)?)?;
            tell("created", BACKUPS, &id, session)?;
        }
        Some(Command::Delete { id }) => {
            server.delete(BACKUPS, &id)?;
            tell("deleted", BACKUPS, &id, session)?;
        }
    }
    Ok(Completion::Done)
}

fn list(server: &ApiConnection, part: &ListOptions, session: &mut Session) -> anyhow::Result<()> {
    let backups = server.list(BACKUPS, &part.search(), part.page(), "")?;
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(&backups)?);
    }
    let row = |backup: &Value| {
        let of = |key: &str| text(backup, &format!("/backup_metadata/{key}"));
        [
            text(backup, "/backup_id"),
            of("hostname"),
            of("backup_name"),
            of("path_to_backup"),
            moment(backup, "/backup_metadata/time_stamp", session),
            of("curr_backup_level"),
            text(backup, "/status"),
        ]
    };
    let rows: Vec<_> = backups.iter().map(row).collect();
    let mut columns =
        ["BACKUP", "HOST", "NAME", "PATH", "MADE", "LEVEL", "STATE"].map(Column::text);
    columns[5] = Column::number("LEVEL");
    Ok(session.output.table(columns, &rows)?)
}

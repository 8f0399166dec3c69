//! `freezer session`.

use super::documents::{DocumentList, Documents};
use super::list_options::ListOptions;
use super::session_restore;
use super::show::{field, second, tell};
use crate::cli::open::json_file::read_document;
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::options::server::ServerOptions;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Column, OutputForm};
use crate::model::job::{Documented, JobSession, SessionCall, SessionVerb};
use crate::sched::connection::{ApiConnection, Resource};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Sessions: jobs of several clients that start together
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer session create --file session.json
  freezer session add-job --session-id 5fe01d4c --job-id 0c9f1d7f
  freezer session list")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Args)]
struct JobOfSession {
    /// Id of the session
    #[arg(long, value_name = "SESSION-ID")]
    session_id: String,
    /// Id of the job
    #[arg(long, value_name = "JOB-ID")]
    job_id: String,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the sessions
    #[command(after_help = "Example:\n  freezer session list")]
    List {
        #[command(flatten)]
        part: ListOptions,
    },
    /// Show one session and the results of its jobs
    #[command(after_help = "Example:\n  freezer session show 5fe01d4c")]
    Show {
        /// Id of the session
        #[arg(value_name = "SESSION-ID")]
        id: String,
    },
    /// Make a session from a file, and print its id
    #[command(after_help = "Example:\n  freezer session create --file session.json\
            \n\nA file is JSON: {\"description\": \"nightly\", \"hold_off\": 60, \"schedule\": \
            {\"schedule_hour\": \"3\"}}")]
    Create {
        /// The file to read; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Change a session; its jobs follow its timetable
    #[command(after_help = "Example:\n  freezer session update 5fe01d4c patch.json")]
    Update {
        /// Id of the session
        #[arg(value_name = "SESSION-ID")]
        id: String,
        /// The file to read; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a session; its jobs stay
    #[command(after_help = "Example:\n  freezer session delete 5fe01d4c")]
    Delete {
        /// Id of the session
        #[arg(value_name = "SESSION-ID")]
        id: String,
    },
    /// Put a job into a session
    #[command(
        after_help = "Example:\n  freezer session add-job --session-id 5fe01d4c --job-id 0c9f1d7f"
    )]
    AddJob(JobOfSession),
    /// Take a job out of a session
    #[command(
        after_help = "Example:\n  freezer session remove-job --session-id 5fe01d4c --job-id \
            0c9f1d7f"
    )]
    RemoveJob(JobOfSession),
    /// Tell the server that a job of a session starts; nodes do this by themselves
    #[command(
        after_help = "Example:\n  freezer session start --session-id 5fe01d4c --job-id 0c9f1d7f \
            --job-tag 3"
    )]
    Start {
        #[command(flatten)]
        pair: JobOfSession,
        /// Number of the last start of the session that the job knows
        #[arg(long, value_name = "NUMBER")]
        job_tag: i64,
    },
    /// Restore the backups that all jobs of a session made at one start, each on its node
    ///
    /// Makes a session with a restore job for each job of this one, starts the jobs, and prints its
    /// id; freezer session show shows the results. A node that is down begins when it is up again.
    #[command(after_help = "Examples:
  freezer session restore 5fe01d4c --target /srv/restored
  freezer session restore 5fe01d4c --session-tag 12 --overwrite      in place, as of start 12")]
    Restore(session_restore::Arguments),
}

const SESSIONS: Resource = Resource::Sessions;

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let server = connect(&arguments.server, session)?;
    let documents = Documents {
        server: &server,
        resource: SESSIONS,
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
        Command::AddJob(JobOfSession { session_id, job_id }) => {
            server.add_to_session(&session_id, &job_id)?;
            tell(&format!("has job {job_id}"), SESSIONS, &session_id, session)?;
        }
        Command::RemoveJob(JobOfSession { session_id, job_id }) => {
            server.remove_from_session(&session_id, &job_id)?;
            let done = format!("no longer has job {job_id}");
            tell(&done, SESSIONS, &session_id, session)?;
        }
        Command::Restore(restore) => return session_restore::run(&restore, &server, session),
        Command::Start { pair, job_tag } => start(&server, &pair, job_tag, session)?,
    }
    Ok(Completion::Done)
}

fn row(shown: Value, session: &Session) -> [String; 7] {
    let shown = JobSession::leniently_of(shown);
    let jobs = shown.jobs.get().map_or(0, |jobs| jobs.0.len());
    [
        field(&shown.session_id),
        field(&shown.description),
        jobs.to_string(),
        field(&shown.session_tag),
        field(&shown.status),
        field(&shown.result),
        second(&shown.time_start, session),
    ]
}

fn columns() -> [Column; 7] {
    [
        Column::text("SESSION"),
        Column::text("DESCRIPTION"),
        Column::number("JOBS"),
        Column::number("STARTS"),
        Column::text("STATUS"),
        Column::text("RESULT"),
        Column::text("STARTED"),
    ]
}

fn details(shown: Value, session: &Session) -> Vec<(&'static str, String)> {
    let shown = JobSession::leniently_of(shown);
    let mut rows = vec![
        ("session", field(&shown.session_id)),
        ("description", field(&shown.description)),
        ("starts", field(&shown.session_tag)),
        ("hold_off", field(&shown.hold_off)),
        ("schedule", field(&shown.schedule)),
        ("status", field(&shown.status)),
        ("result", field(&shown.result)),
        ("started", second(&shown.time_start, session)),
        ("ended", second(&shown.time_end, session)),
    ];
    for (id, entry) in shown.jobs.get().into_iter().flat_map(|jobs| &jobs.0) {
        let entry = entry.get().cloned().unwrap_or_default();
        let how = [
            field(&entry.client_id),
            field(&entry.status),
            field(&entry.result),
        ];
        rows.push(("job", format!("{id}  {}", how.join(" "))));
    }
    rows
}

/// Tells the server that a job starts, and prints its answer.
fn start(
    server: &ApiConnection,
    pair: &JobOfSession,
    job_tag: i64,
    session: &mut Session,
) -> anyhow::Result<()> {
    let start = SessionCall {
        job_id: pair.job_id.as_str().into(),
        current_tag: job_tag.into(),
        ..SessionCall::default()
    };
    let (result, tag) = server.session_action(&pair.session_id, &start.body(SessionVerb::Start))?;
    match session.output.form {
        OutputForm::Json => session
            .output
            .json(&json!({ "result": result, "session_tag": tag }))?,
        OutputForm::Text => session.output.line(format_args!("{result}: start {tag}"))?,
    }
    Ok(())
}

//! `freezer session`.

use super::{
    ListOptions, ServerOptions, connect, field, read_document, second, session_restore, show, told,
    wanted,
};
use crate::cli::failure::Outcome;
use crate::cli::output::{Column, Format};
use crate::cli::session::Session;
use crate::model::job::{Documented, JobSession, SessionCall, SessionVerb};
use crate::sched::connection::Resource;
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
struct Pair {
    /// The session
    #[arg(long, value_name = "SESSION-ID")]
    session_id: String,
    /// The job
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
    /// Show one session, and how its jobs went
    #[command(after_help = "Example:\n  freezer session show 5fe01d4c")]
    Show {
        /// The session
        #[arg(value_name = "SESSION-ID")]
        id: String,
    },
    /// Make a session out of a file, and print its id
    #[command(
        after_help = "Example:\n  freezer session create --file session.json\n\nA file is JSON: {\"description\": \"nightly\", \"hold_off\": 60, \"schedule\": {\"schedule_hour\": \"3\"}}"
    )]
    Create {
        /// The file; - is standard input
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
    },
    /// Change a session; its timetable is that of its jobs
    #[command(after_help = "Example:\n  freezer session update 5fe01d4c patch.json")]
    Update {
        /// The session
        #[arg(value_name = "SESSION-ID")]
        id: String,
        /// The file; - is standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Remove a session; its jobs stay
    #[command(after_help = "Example:\n  freezer session delete 5fe01d4c")]
    Delete {
        /// The session
        #[arg(value_name = "SESSION-ID")]
        id: String,
    },
    /// Put a job into a session
    #[command(
        after_help = "Example:\n  freezer session add-job --session-id 5fe01d4c --job-id 0c9f1d7f"
    )]
    AddJob(Pair),
    /// Take a job out of a session
    #[command(
        after_help = "Example:\n  freezer session remove-job --session-id 5fe01d4c --job-id 0c9f1d7f"
    )]
    RemoveJob(Pair),
    /// Tell the session that a job starts, as its node does by itself
    #[command(
        after_help = "Example:\n  freezer session start --session-id 5fe01d4c --job-id 0c9f1d7f --job-tag 3"
    )]
    Start {
        #[command(flatten)]
        pair: Pair,
        /// How many starts of the session the job knows of
        #[arg(long, value_name = "NUMBER")]
        job_tag: i64,
    },
    /// Restore what all jobs of a session stored at one start of it, each on its node
    ///
    /// Makes a session with a job for each job of this one, starts them, and prints its id: freezer
    /// session show tells how all of it went. A node that does not run begins when it does.
    #[command(after_help = "Examples:
  freezer session restore 5fe01d4c --target /srv/restored
  freezer session restore 5fe01d4c --session-tag 12 --overwrite      where it was, as it was")]
    Restore(session_restore::Arguments),
}

const SESSIONS: Resource = Resource::Sessions;

pub(in crate::cli) fn run(arguments: Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let server = connect(&arguments.server, session)?;
    match arguments.command {
        Command::List { part } => {
            let sessions = server.list(SESSIONS, &part.search(), part.page(), "")?;
            if session.output.format == Format::Json {
                session.output.json(&sessions)?;
                return Ok(Outcome::Done);
            }
            let row = |one: Value| {
                let one = JobSession::leniently_of(one);
                [
                    field(&one.session_id),
                    field(&one.description),
                    one.jobs.get().map_or(0, |jobs| jobs.0.len()).to_string(),
                    field(&one.session_tag),
                    field(&one.status),
                    field(&one.result),
                    second(&one.time_start, session),
                ]
            };
            let rows: Vec<_> = sessions.into_iter().map(row).collect();
            let mut columns = [
                "SESSION",
                "DESCRIPTION",
                "JOBS",
                "STARTS",
                "STATUS",
                "RESULT",
                "STARTED",
            ]
            .map(Column::text);
            (columns[2], columns[3]) = (Column::number("JOBS"), Column::number("STARTS"));
            session.output.table(columns, &rows)?;
        }
        Command::Show { id } => {
            let document = wanted(&server, SESSIONS, &id)?;
            let rows = details(&JobSession::leniently_of(document.clone()), session);
            show(&document, &rows, session)?;
        }
        Command::Create { file } => {
            let id = server.create(SESSIONS, &read_document(&file)?)?;
            told("created", SESSIONS, &id, session)?;
        }
        Command::Update { id, file } => {
            server.update(SESSIONS, &id, &read_document(&file)?, None)?;
            told("changed", SESSIONS, &id, session)?;
        }
        Command::Delete { id } => {
            server.delete(SESSIONS, &id)?;
            told("deleted", SESSIONS, &id, session)?;
        }
        Command::AddJob(pair) => {
            server.add_to_session(&pair.session_id, &pair.job_id)?;
            told(
                &format!("has job {}", pair.job_id),
                SESSIONS,
                &pair.session_id,
                session,
            )?;
        }
        Command::RemoveJob(pair) => {
            server.remove_from_session(&pair.session_id, &pair.job_id)?;
            told(
                &format!("no longer has job {}", pair.job_id),
                SESSIONS,
                &pair.session_id,
                session,
            )?;
        }
        Command::Restore(restore) => return session_restore::run(&restore, &server, session),
        Command::Start { pair, job_tag } => {
            let start = SessionCall {
                job_id: pair.job_id.as_str().into(),
                current_tag: job_tag.into(),
                ..SessionCall::default()
            };
            let start = start.body(SessionVerb::Start);
            let (result, tag) = server.session_action(&pair.session_id, &start)?;
            if session.output.format == Format::Json {
                session
                    .output
                    .json(&json!({ "result": result, "session_tag": tag }))?;
            } else {
                session.output.line(format_args!("{result}: start {tag}"))?;
            }
        }
    }
    Ok(Outcome::Done)
}

fn details(one: &JobSession, session: &Session) -> Vec<(&'static str, String)> {
    let mut rows = vec![
        ("session", field(&one.session_id)),
        ("description", field(&one.description)),
        ("starts", field(&one.session_tag)),
        ("hold_off", field(&one.hold_off)),
        ("schedule", field(&one.schedule)),
        ("status", field(&one.status)),
        ("result", field(&one.result)),
        ("started", second(&one.time_start, session)),
        ("ended", second(&one.time_end, session)),
    ];
    for (id, entry) in one.jobs.get().into_iter().flat_map(|jobs| &jobs.0) {
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

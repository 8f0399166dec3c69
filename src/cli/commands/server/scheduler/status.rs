//! `freezer scheduler status`.

use super::arguments::Arguments;
use super::settings::{rules, state_folder};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Closed, Column, Output, OutputForm};
use crate::cli::show::when;
use crate::model::job::{RunResult, Words};
use crate::model::printable;
use crate::sched::book::Book;
use crate::sched::daemon::{self, DaemonError};
use crate::sched::journal::{Journal, Record};
use crate::sched::order::{ActionOutcome, LastRun};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

/// Most lines of a failed action's log that are shown.
const LOG_LINES: usize = 10;

/// What is known of the scheduler with one state folder.
struct Status {
    /// The number of its process, if it runs.
    process: Option<u32>,
    client_id: Option<String>,
    book: Book,
    /// The last run of each job.
    last: Vec<LastRun>,
}

/// Shows whether the scheduler runs, its jobs and their last runs.
pub(super) fn run(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Completion> {
    let status = Status::read(arguments, session)?;
    if session.output.form == OutputForm::Json {
        session.output.json(&status.document())?;
        return Ok(Completion::Done);
    }
    session.output.note(match status.process {
        Some(process) => format!("the scheduler runs, as process {process}"),
        None => "no scheduler runs".to_owned(),
    });
    status.show_jobs(session)?;
    for run in &status.last {
        show_failures(run, &mut session.output)?;
    }
    Ok(Completion::Done)
}

impl Status {
    fn read(arguments: &Arguments, session: &Session) -> anyhow::Result<Self> {
        let folder = state_folder(arguments, session)?;
        let process = daemon::running(&folder)?;
        let (_, memory) = Journal::open(folder.join("journal.json")).map_err(DaemonError::from)?;
        let cached = std::fs::read(folder.join("jobs.json")).unwrap_or_default();
        Ok(Self {
            process: process.map(|process| process.pid),
            client_id: memory.client_id,
            book: Book::new(
                rules(arguments)?,
                memory.jobs,
                serde_json::from_slice(&cached).unwrap_or_default(),
            ),
            last: last_runs(&folder, &session.output),
        })
    }

    fn last_of(&self, id: &str) -> Option<&LastRun> {
        self.last.iter().find(|run| run.job == id)
    }

    fn document(&self) -> Value {
        let jobs: Vec<Value> = self
            .book
            .records()
            .iter()
            .map(|(id, record)| {
                let job = self.book.document(id);
                json!({
                    "job_id": id,
                    "description": job.map(|job| &job.description),
                    "record": record,
                    "next": self.book.next(id),
                    "last_run": self.last_of(id),
                })
            })
            .collect();
        json!({
            "running": self.process.is_some(),
            "process": self.process,
            "client_id": self.client_id,
            "jobs": jobs,
            "last_runs": self.last,
        })
    }

    fn show_jobs(&self, session: &mut Session) -> Result<(), Closed> {
        let records = self.book.records();
        let rows: Vec<_> = records
            .iter()
            .map(|(id, record)| self.row(id, record, &session.zone))
            .collect();
        let columns = [
            Column::text("JOB"),
            Column::text("DESCRIPTION"),
            Column::text("STATE"),
            Column::text("NEXT"),
            Column::text("LAST RUN"),
            Column::text("RESULT"),
            Column::number("MISSED"),
        ];
        session.output.table(columns, &rows)
    }

    fn row(&self, id: &str, record: &Record, zone: &TimeZone) -> [String; 7] {
        let description = self
            .book
            .document(id)
            .map_or("", |job| job.description.text());
        let state = serde_json::to_value(record.state)
            .ok()
            .and_then(|state| state.as_str().map(str::to_owned));
        let next = self.book.next(id).map(|next| when::show(next, zone));
        let started = Timestamp::from_second(record.started)
            .ok()
            .filter(|_| record.started > 0)
            .map(|started| when::show(started, zone));
        let has_warning = self
            .last_of(id)
            .is_some_and(|run| run.outcome.warnings().next().is_some());
        [
            id.to_owned(),
            printable(description.as_bytes()).into_owned(),
            state.unwrap_or_default(),
            next.unwrap_or_default(),
            started.unwrap_or_default(),
            if record.result == RunResult::Success.word() && has_warning {
                "success, not all".to_owned()
            } else {
                record.result.clone()
            },
            record.missed.to_string(),
        ]
    }
}

/// Prints the actions of a run that failed or have a warning, with the end of their logs.
fn show_failures(run: &LastRun, output: &mut Output) -> Result<(), Closed> {
    for action in run.outcome.actions.iter().filter(|action| is_told(action)) {
        let how = action.warning.as_deref().unwrap_or("failed");
        let code = action
            .exit_code
            .map_or_else(|| "none".to_owned(), |code| code.to_string());
        output.line(format_args!(
            "\n{}: {}: {how} (exit code {code})",
            run.job, action.action
        ))?;
        let lines: Vec<&str> = action.log.lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            output.line(format_args!("    {}", printable(line.as_bytes())))?;
        }
    }
    Ok(())
}

/// Whether people should see how an action went.
fn is_told(action: &ActionOutcome) -> bool {
    action.result == Some(RunResult::Fail) || action.warning.is_some()
}

/// Reads the last run of each job, as the scheduler wrote it down. Warns of files that cannot be
/// read.
fn last_runs(folder: &Path, output: &Output) -> Vec<LastRun> {
    let entries = std::fs::read_dir(folder.join("last"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    // What a scheduler has not put in its place yet, or was killed over, ends in `new`.
    let files = entries
        .map(|entry| entry.path())
        .filter(|file| file.extension().is_none_or(|ending| ending != "new"));
    let mut runs = Vec::new();
    for file in files {
        match read_run(&file) {
            Ok(run) => runs.extend(run),
            Err(error) => output.warn(format_args!(
                "the last run of a job cannot be read from {}: {error}",
                file.display()
            )),
        }
    }
    runs
}

/// Returns the run in a file; `None` if the scheduler has just removed the file.
fn read_run(file: &Path) -> io::Result<Option<LastRun>> {
    match std::fs::read(file) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

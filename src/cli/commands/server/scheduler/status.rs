//! `freezer scheduler status`.

use super::arguments::Arguments;
use super::settings::{rules, state_folder};
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::{Closed, Column, Output, OutputForm};
use crate::cli::show::when;
use crate::model::printable;
use crate::sched::book::Book;
use crate::sched::daemon::{self, DaemonError};
use crate::sched::journal::Journal;
use crate::sched::journal::Record;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
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
    last: Vec<Value>,
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
            last: last_runs(&folder),
        })
    }

    fn last_of(&self, id: &str) -> Option<&Value> {
        self.last
            .iter()
            .find(|run| run.get("job").and_then(Value::as_str) == Some(id))
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
        let has_warning = self.last_of(id).is_some_and(has_warning);
        [
            id.to_owned(),
            printable(description.as_bytes()).into_owned(),
            state.unwrap_or_default(),
            next.unwrap_or_default(),
            started.unwrap_or_default(),
            if record.result == "success" && has_warning {
                "success, not all".to_owned()
            } else {
                record.result.clone()
            },
            record.missed.to_string(),
        ]
    }
}

/// Prints the actions of a run that failed or have a warning, with the end of their logs.
fn show_failures(run: &Value, output: &mut Output) -> Result<(), Closed> {
    let job = run.get("job").and_then(Value::as_str).unwrap_or("");
    for action in actions(run) {
        let text = |key: &str| action.get(key).and_then(Value::as_str).unwrap_or("");
        if text("result") != "fail" && action.get("warning").is_none() {
            continue;
        }
        let how = match text("warning") {
            "" => "failed",
            warning => warning,
        };
        output.line(format_args!(
            "\n{job}: {}: {how} (exit code {})",
            text("action"),
            action["exit_code"]
        ))?;
        let lines: Vec<&str> = text("log").lines().collect();
        for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
            output.line(format_args!("    {}", printable(line.as_bytes())))?;
        }
    }
    Ok(())
}

fn actions(run: &Value) -> impl Iterator<Item = &Value> {
    let actions = run.pointer("/outcome/actions").and_then(Value::as_array);
    actions.into_iter().flatten()
}

/// Reads the last run of each job, as the scheduler wrote it down.
fn last_runs(folder: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(folder.join("last"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter_map(|entry| serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok())
        .collect()
}

/// Whether a run that went well has a warning.
fn has_warning(run: &Value) -> bool {
    actions(run).any(|action| action.get("warning").is_some())
}

//! `freezer session restore`: all nodes of a session back to what one start of it has stored.
//!
//! Makes a session of its own, whose jobs are ordinary restores: nodes need to know nothing of the
//! session they restore, and the result of all of them is that session's.

use super::{told, wanted};
use crate::cli::failure::{Outcome, Usage};
use crate::cli::session::Session;
use crate::model::job::{
    Action, ActionList, AgentOptions, BackupMetadata, BackupRecord, Documented, Field, Job,
    JobEvent, JobSession, Schedule, Words,
};
use crate::sched::connection::{ApiConnection, ApiError, Resource};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Seconds within which the nodes have to begin: one that comes later restores too, and is not
/// waited for.
const HOLD_OFF: i64 = 86_400;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The session whose backups are meant
    #[arg(value_name = "SESSION-ID")]
    id: String,

    /// Which start of it, counted from 1 [default: the newest that all its jobs have a backup of]
    #[arg(long, value_name = "NUMBER")]
    session_tag: Option<i64>,

    /// Where each node restores to; several backups of a node go to folders of their names in it
    /// [default with --overwrite: where they were made]
    #[arg(long, value_name = "DIRECTORY", required_unless_present = "overwrite")]
    target: Option<String>,

    /// Restore into directories that are not empty, and replace what has the same names
    #[arg(long)]
    overwrite: bool,

    /// Restore what there is, also when jobs of the session have no backup of that start
    #[arg(long)]
    partly: bool,
}

/// The backup that an action of a job makes.
struct Part {
    job: String,
    client: String,
    /// Its place among the actions of the job.
    number: usize,
    options: AgentOptions,
}

/// What was recorded of backups, by the job and the place of the action.
type Records = BTreeMap<(String, usize), BackupMetadata>;

pub(super) fn run(
    arguments: &Arguments,
    server: &ApiConnection,
    session: &mut Session,
) -> anyhow::Result<Outcome> {
    let original = wanted(server, Resource::Sessions, &arguments.id)?;
    let parts = parts(&original, server)?;
    let starts = starts(&arguments.id, arguments.session_tag, server)?;
    let complete = |records: &Records| {
        parts
            .iter()
            .all(|part| records.contains_key(&(part.job.clone(), part.number)))
    };
    let tag = match arguments.session_tag {
        Some(tag) => tag,
        None => match starts.iter().rev().find(|(_, records)| complete(records)) {
            Some((tag, _)) => *tag,
            None => {
                return Err(Usage::new(format!(
                    "there is no start of session {} that all its jobs have a backup of",
                    arguments.id
                ))
                .hint("name one: --session-tag NUMBER --partly")
                .into());
            }
        },
    };
    let none = Records::new();
    let records = starts.get(&tag).unwrap_or(&none);
    let missing: Vec<String> = parts
        .iter()
        .filter(|part| !records.contains_key(&(part.job.clone(), part.number)))
        .map(|part| format!("job {} of {}", part.job, part.client))
        .collect();
    if !missing.is_empty() && (!arguments.partly || missing.len() == parts.len()) {
        let there: Vec<String> = starts
            .iter()
            .filter(|(_, records)| complete(records))
            .map(|(tag, _)| tag.to_string())
            .collect();
        let hint = if there.is_empty() {
            "no start has all of them".to_owned()
        } else {
            format!("starts that have all: {}", there.join(", "))
        };
        return Err(Usage::new(format!(
            "start {tag} of session {} has no backup of {}",
            arguments.id,
            missing.join(", ")
        ))
        .hint(hint)
        .into());
    }
    for one in &missing {
        session.output.warn(format_args!(
            "{one} is left out: start {tag} has no backup of it"
        ));
    }
    let mut jobs: BTreeMap<&str, (&str, Vec<Field<Action>>)> = BTreeMap::new();
    for part in &parts {
        if let Some(record) = records.get(&(part.job.clone(), part.number)) {
            let several = parts
                .iter()
                .filter(|other| other.client == part.client)
                .count()
                > 1;
            let action = restore_of(part, record, arguments, several)?;
            jobs.entry(&part.job)
                .or_insert_with(|| (&part.client, Vec::new()))
                .1
                .push(Field::Is(action));
        }
    }
    let description = format!("restore of session {} at start {tag}", arguments.id);
    let mut made = Made::default();
    match make(&description, jobs, server, &mut made) {
        Ok(id) => {
            told("created", Resource::Sessions, &id, session)?;
            Ok(Outcome::Done)
        }
        Err(error) => {
            made.take_back(server);
            Err(error).context("nothing is restored")
        }
    }
}

/// What the jobs of a session back up.
fn parts(session: &Value, server: &ApiConnection) -> anyhow::Result<Vec<Part>> {
    let session = JobSession::leniently_of(session.clone());
    let mut parts = Vec::new();
    for id in session
        .jobs
        .get()
        .into_iter()
        .flat_map(|jobs| jobs.0.keys())
    {
        let job = wanted(server, Resource::Jobs, id)
            .with_context(|| format!("job {id} of the session cannot be looked at"))?;
        let job = Job::leniently_of(job);
        let entries = job.job_actions.get().into_iter().flat_map(|list| &list.0);
        for (number, action) in entries.enumerate() {
            let Some(options) = action.get().and_then(Action::options) else {
                continue;
            };
            if options.action_or_backup() == "backup" {
                parts.push(Part {
                    job: id.clone(),
                    client: job.client_id.text().to_owned(),
                    number,
                    options: options.clone(),
                });
            }
        }
    }
    if parts.is_empty() {
        bail!("no job of the session makes a backup");
    }
    Ok(parts)
}

/// The backups of a session, by its starts.
fn starts(
    id: &str,
    tag: Option<i64>,
    server: &ApiConnection,
) -> anyhow::Result<BTreeMap<i64, Records>> {
    let of_session = BackupMetadata {
        session_id: id.into(),
        ..BackupMetadata::default()
    };
    let of_start = tag.map(|tag| BackupMetadata {
        session_tag: Field::of(tag.into()),
        ..BackupMetadata::default()
    });
    let conditions: Vec<_> = std::iter::once(of_session).chain(of_start).collect();
    let mut starts: BTreeMap<i64, Records> = BTreeMap::new();
    for record in server.all(Resource::Backups, &json!({ "match": conditions }), "")? {
        let record = BackupRecord::leniently_of(record);
        let Some(metadata) = record.backup_metadata.into_value() else {
            continue;
        };
        // A server of the original may have looked for the words elsewhere too.
        let Some(start) = metadata
            .session_tag
            .get()
            .and_then(Value::as_i64)
            .filter(|_| metadata.session_id.loose_text() == id)
        else {
            continue;
        };
        let Some(number) = metadata
            .run_id
            .loose_text()
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse().ok())
        else {
            continue;
        };
        let place = (metadata.job_id.loose_text().to_owned(), number);
        let records = starts.entry(start).or_default();
        if records
            .get(&place)
            .is_none_or(|other| other.second() < metadata.second())
        {
            records.insert(place, metadata);
        }
    }
    Ok(starts)
}

/// The action that restores a backup.
fn restore_of(
    part: &Part,
    record: &BackupMetadata,
    arguments: &Arguments,
    several: bool,
) -> anyhow::Result<Action> {
    let named = |text: &str, key: &str| {
        let named = Some(text.to_owned()).filter(|text| !text.is_empty());
        named.with_context(|| format!("the record of the backup of job {} has no {key}", part.job))
    };
    let name = named(record.backup_name.text(), "backup_name")?;
    let host = named(record.hostname.text(), "hostname")?;
    let level = named(record.level_id.loose_text(), "level_id")?;
    let target = match (&arguments.target, part.options.path_to_backup.text()) {
        (Some(target), _) if several => format!("{}/{name}", target.trim_end_matches('/')),
        (Some(target), _) => target.clone(),
        (None, path) if !path.is_empty() => path.to_owned(),
        (None, _) => bail!(
            "the action of job {} does not say where the backup was made: name a --target",
            part.job
        ),
    };
    let mut options = how_to_read(&part.options);
    options.action = "restore".into();
    options.backup_name = name.into();
    options.hostname = host.into();
    options.restore_from_date = level.into();
    options.restore_abs_path = target.into();
    options.overwrite = Field::of(arguments.overwrite.into());
    Ok(Action {
        freezer_action: Field::Is(options),
        max_retries: 0.into(),
        mandatory: true.into(),
        ..Action::default()
    })
}

/// The options of a backup that say how to read it again: where it is, and with which key.
fn how_to_read(options: &AgentOptions) -> AgentOptions {
    let mut options = options.clone();
    options.path_to_backup = Field::Absent;
    options.pre_script = Field::Absent;
    options.post_script = Field::Absent;
    let mut said = options.document();
    said.retain(|key, value| {
        !value.is_null() && !["dry_run", "tag"].contains(&&**key) && !key.starts_with("restore_")
    });
    AgentOptions::of(said)
}

/// What was made so far.
#[derive(Default)]
struct Made {
    session: Option<String>,
    jobs: Vec<String>,
}

impl Made {
    fn take_back(&self, server: &ApiConnection) {
        let removed = self
            .jobs
            .iter()
            .map(|job| server.delete(Resource::Jobs, job));
        for result in removed.chain(
            self.session
                .iter()
                .map(|id| server.delete(Resource::Sessions, id)),
        ) {
            if let Err(error) = result {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what was made for the restore cannot be removed"
                );
            }
        }
    }
}

fn make(
    description: &str,
    jobs: BTreeMap<&str, (&str, Vec<Field<Action>>)>,
    server: &ApiConnection,
    made: &mut Made,
) -> Result<String, anyhow::Error> {
    let session = JobSession {
        description: description.into(),
        hold_off: HOLD_OFF.into(),
        schedule: Field::Is(Schedule::default()),
        ..JobSession::default()
    };
    let id = server.create(Resource::Sessions, &Value::Object(session.document()))?;
    made.session = Some(id.clone());
    for (of, (client, actions)) in jobs {
        // Stopped: none begins before all are in the session.
        let mut schedule = Schedule::default();
        schedule.course.event = JobEvent::Stop.into();
        let job = Job {
            client_id: client.into(),
            description: format!("{description} (job {of})").into(),
            job_schedule: Field::Is(schedule),
            job_actions: Field::Is(ActionList(actions)),
            ..Job::default()
        };
        let job = server.create(Resource::Jobs, &Value::Object(job.document()))?;
        made.jobs.push(job.clone());
        server.add_to_session(&id, &job)?;
    }
    let started: Result<Vec<String>, ApiError> = made
        .jobs
        .iter()
        .map(|job| server.event(job, JobEvent::Start.word()))
        .collect();
    started?;
    Ok(id)
}

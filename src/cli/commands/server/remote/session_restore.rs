//! `freezer session restore`: all nodes of a session back to what one start of it has stored.
//!
//! Makes a session of its own, whose jobs are ordinary restores: nodes need to know nothing of the
//! session they restore, and the result of all of them is that session's.

use super::show::{tell, wanted};
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use crate::sched::connection::{ApiConnection, ApiError, Resource};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Options of a backup that do not matter for its restore.
const OF_THE_BACKUP: [&str; 6] = [
    "action",
    "path_to_backup",
    "pre_script",
    "post_script",
    "dry_run",
    "tag",
];
/// Time in seconds within which the nodes have to begin. A node that begins later restores too, but
/// the session does not wait for it.
const HOLD_OFF: u64 = 86_400;

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Id of the session whose backups to restore
    #[arg(value_name = "SESSION-ID")]
    id: String,

    /// Number of the start to restore, from 1 [default: the newest of which all jobs have a backup]
    #[arg(long, value_name = "NUMBER")]
    session_tag: Option<i64>,

    /// The directory to restore to on each node; several backups of a node go to folders in it, by
    /// their names [default with --overwrite: where they were made]
    #[arg(long, value_name = "DIRECTORY", required_unless_present = "overwrite")]
    target: Option<String>,

    /// Restore into directories that are not empty, and replace files that have the same names
    #[arg(long)]
    overwrite: bool,

    /// Restore even if some jobs of the session have no backup of that start
    #[arg(long)]
    partly: bool,
}

type Object = Map<String, Value>;

/// A backup that an action of a job makes.
struct JobBackup {
    job: String,
    client: String,
    /// The place of the action in the job, counted from 0.
    number: usize,
    options: Object,
}

/// The records of backups, by the job and the place of the action.
type Records = BTreeMap<(String, usize), Object>;

pub(super) fn run(
    arguments: &Arguments,
    server: &ApiConnection,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let original = wanted(server, Resource::Sessions, &arguments.id)?;
    let backups = backups_of(&original, server)?;
    let mut starts = starts(&arguments.id, arguments.session_tag, server)?;
    let tag = chosen_start(arguments, &backups, &starts)?;
    refuse_missing(arguments, tag, &backups, &starts)?;
    let records = starts.remove(&tag).unwrap_or_default();
    let mut jobs: BTreeMap<&str, RestoreJob<'_>> = BTreeMap::new();
    for backup in &backups {
        let Some(record) = backup.record_in(&records) else {
            session.output.warn(format_args!(
                "{} is left out: start {tag} has no backup of it",
                backup.in_words()
            ));
            continue;
        };
        let of_client = backups
            .iter()
            .filter(|other| other.client == backup.client)
            .count();
        let action = restore_of(backup, record, arguments, of_client > 1)?;
        let job = jobs.entry(&backup.job).or_insert_with(|| RestoreJob {
            client: &backup.client,
            actions: Vec::new(),
        });
        job.actions.push(action);
    }
    let description = format!("restore of session {} at start {tag}", arguments.id);
    let mut made = Made::default();
    match make(&description, jobs, server, &mut made) {
        Ok(id) => {
            tell("created", Resource::Sessions, &id, session)?;
            Ok(Completion::Done)
        }
        Err(error) => {
            made.take_back(server);
            Err(error).context("nothing is restored")
        }
    }
}

impl JobBackup {
    fn record_in<'records>(&self, records: &'records Records) -> Option<&'records Object> {
        records.get(&(self.job.clone(), self.number))
    }

    fn in_words(&self) -> String {
        format!("job {} of {}", self.job, self.client)
    }
}

/// Whether all backups were recorded.
fn is_complete(backups: &[JobBackup], records: &Records) -> bool {
    backups
        .iter()
        .all(|backup| backup.record_in(records).is_some())
}

/// Returns the start that the user named, or the newest complete one.
fn chosen_start(
    arguments: &Arguments,
    backups: &[JobBackup],
    starts: &BTreeMap<i64, Records>,
) -> Result<i64, Usage> {
    if let Some(tag) = arguments.session_tag {
        return Ok(tag);
    }
    let mut newest_first = starts.iter().rev();
    let complete = newest_first.find(|(_, records)| is_complete(backups, records));
    complete.map(|(tag, _)| *tag).ok_or_else(|| {
        Usage::new(format!(
            "there is no start of session {} that all its jobs have a backup of",
            arguments.id
        ))
        .hint("name one: --session-tag NUMBER --partly")
    })
}

/// Refuses a start of which backups are missing: all of them, or some without `--partly`.
fn refuse_missing(
    arguments: &Arguments,
    tag: i64,
    backups: &[JobBackup],
    starts: &BTreeMap<i64, Records>,
) -> Result<(), Usage> {
    let none = Records::new();
    let records = starts.get(&tag).unwrap_or(&none);
    let missing: Vec<String> = backups
        .iter()
        .filter(|backup| backup.record_in(records).is_none())
        .map(JobBackup::in_words)
        .collect();
    if missing.is_empty() || arguments.partly && missing.len() < backups.len() {
        return Ok(());
    }
    let complete: Vec<String> = starts
        .iter()
        .filter(|(_, records)| is_complete(backups, records))
        .map(|(tag, _)| tag.to_string())
        .collect();
    let hint = if complete.is_empty() {
        "no start has all of them".to_owned()
    } else {
        format!("starts that have all: {}", complete.join(", "))
    };
    Err(Usage::new(format!(
        "start {tag} of session {} has no backup of {}",
        arguments.id,
        missing.join(", ")
    ))
    .hint(hint))
}

/// Returns the backups that the jobs of a session make.
fn backups_of(session: &Value, server: &ApiConnection) -> anyhow::Result<Vec<JobBackup>> {
    let jobs = session
        .get("jobs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let mut backups = Vec::new();
    for (id, _) in jobs {
        let job = wanted(server, Resource::Jobs, id)
            .with_context(|| format!("job {id} of the session cannot be looked at"))?;
        let client = job
            .get("client_id")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let actions = job
            .get("job_actions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (number, action) in actions.enumerate() {
            let Some(options) = action.get("freezer_action").and_then(Value::as_object) else {
                continue;
            };
            if matches!(
                options.get("action").and_then(Value::as_str),
                None | Some("" | "backup")
            ) {
                backups.push(JobBackup {
                    job: id.clone(),
                    client: client.to_owned(),
                    number,
                    options: options.clone(),
                });
            }
        }
    }
    if backups.is_empty() {
        bail!("no job of the session makes a backup");
    }
    Ok(backups)
}

/// Returns the records of the backups of a session, by its starts.
fn starts(
    id: &str,
    tag: Option<i64>,
    server: &ApiConnection,
) -> anyhow::Result<BTreeMap<i64, Records>> {
    let mut conditions = vec![json!({ "session_id": id })];
    conditions.extend(tag.map(|tag| json!({ "session_tag": tag })));
    let mut starts: BTreeMap<i64, Records> = BTreeMap::new();
    for record in server.all(Resource::Backups, &json!({ "match": conditions }), "")? {
        let Some(Value::Object(metadata)) = record.get("backup_metadata") else {
            continue;
        };
        let text = |key: &str| {
            metadata
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        // A server of the original finds the text in other fields too.
        let Some(start) = metadata
            .get("session_tag")
            .and_then(Value::as_i64)
            .filter(|_| text("session_id") == id)
        else {
            continue;
        };
        let Some(number) = text("run_id")
            .rsplit_once('-')
            .and_then(|(_, number)| number.parse().ok())
        else {
            continue;
        };
        let place = (text("job_id").to_owned(), number);
        let stamp = |metadata: &Object| metadata.get("time_stamp").and_then(Value::as_i64);
        let records = starts.entry(start).or_default();
        if records
            .get(&place)
            .is_none_or(|other| stamp(other) < stamp(metadata))
        {
            records.insert(place, metadata.clone());
        }
    }
    Ok(starts)
}

/// Returns the action that restores a backup.
fn restore_of(
    backup: &JobBackup,
    record: &Object,
    arguments: &Arguments,
    several: bool,
) -> anyhow::Result<Value> {
    let text = |key: &str| {
        record
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    };
    let named = |key: &str| {
        text(key).with_context(|| {
            format!(
                "the record of the backup of job {} has no {key}",
                backup.job
            )
        })
    };
    let (name, host, level) = (
        named("backup_name")?,
        named("hostname")?,
        named("level_id")?,
    );
    let mut options = backup.options.clone();
    options.retain(|key, value| {
        !value.is_null() && !OF_THE_BACKUP.contains(&key.as_str()) && !key.starts_with("restore_")
    });
    let target = match (
        &arguments.target,
        backup.options.get("path_to_backup").and_then(Value::as_str),
    ) {
        (Some(target), _) if several => format!("{}/{name}", target.trim_end_matches('/')),
        (Some(target), _) => target.clone(),
        (None, Some(path)) if !path.is_empty() => path.to_owned(),
        (None, _) => bail!(
            "the action of job {} does not say where the backup was made: name a --target",
            backup.job
        ),
    };
    for (key, value) in [
        ("action", "restore"),
        ("backup_name", name),
        ("hostname", host),
        ("restore_from_date", level),
    ] {
        options.insert(key.into(), value.into());
    }
    options.insert("restore_abs_path".into(), target.into());
    options.insert("overwrite".into(), arguments.overwrite.into());
    Ok(json!({ "freezer_action": options, "max_retries": 0, "mandatory": true }))
}

/// A job that restores the backups of one job.
struct RestoreJob<'backups> {
    client: &'backups str,
    actions: Vec<Value>,
}

/// What was made on the server so far.
#[derive(Default)]
struct Made {
    session: Option<String>,
    jobs: Vec<String>,
}

impl Made {
    /// Removes what was made, and logs what cannot be removed.
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
                    "could not remove what was made for the restore"
                );
            }
        }
    }
}

/// Makes the session and its jobs, and starts them.
fn make(
    description: &str,
    jobs: BTreeMap<&str, RestoreJob<'_>>,
    server: &ApiConnection,
    made: &mut Made,
) -> Result<String, anyhow::Error> {
    let session = json!({ "description": description, "hold_off": HOLD_OFF, "schedule": {} });
    let id = server.create(Resource::Sessions, &session)?;
    made.session = Some(id.clone());
    for (of, RestoreJob { client, actions }) in jobs {
        // Stopped at first: no job begins before all are in the session.
        let job = json!({ "client_id": client, "description": format!("{description} (job {of})"),
            "job_schedule": { "event": "stop" }, "job_actions": actions });
        let job = server.create(Resource::Jobs, &job)?;
        made.jobs.push(job.clone());
        server.add_to_session(&id, &job)?;
    }
    let started: Result<Vec<String>, ApiError> = made
        .jobs
        .iter()
        .map(|job| server.event(job, "start"))
        .collect();
    started?;
    Ok(id)
}

//! `freezer session restore`: all nodes of a session back to what one start of it has stored.
//!
//! Makes a session of its own, whose jobs are ordinary restores: nodes need to know nothing of the
//! session they restore, and the result of all of them is that session's.

use super::{told, wanted};
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Outcome, Usage};
use crate::sched::connection::{ApiConnection, ApiError, Resource};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Options of a backup that say nothing about how to read it again.
const OF_THE_BACKUP: [&str; 6] = [
    "action",
    "path_to_backup",
    "pre_script",
    "post_script",
    "dry_run",
    "tag",
];
/// Seconds within which the nodes have to begin: one that comes later restores too, and is not
/// waited for.
const HOLD_OFF: u64 = 86_400;

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

type Object = Map<String, Value>;

/// The backup that an action of a job makes.
struct Part {
    job: String,
    client: String,
    /// Its place among the actions of the job.
    number: usize,
    options: Object,
}

/// What was recorded of backups, by the job and the place of the action.
type Records = BTreeMap<(String, usize), Object>;

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
    let mut jobs: BTreeMap<&str, (&str, Vec<Value>)> = BTreeMap::new();
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
                .push(action);
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
    let jobs = session
        .get("jobs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let mut parts = Vec::new();
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
                parts.push(Part {
                    job: id.clone(),
                    client: client.to_owned(),
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
        // A server of the original may have looked for the words elsewhere too.
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

/// The action that restores a backup.
fn restore_of(
    part: &Part,
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
        text(key)
            .with_context(|| format!("the record of the backup of job {} has no {key}", part.job))
    };
    let (name, host, level) = (
        named("backup_name")?,
        named("hostname")?,
        named("level_id")?,
    );
    let mut options = part.options.clone();
    options.retain(|key, value| {
        !value.is_null() && !OF_THE_BACKUP.contains(&key.as_str()) && !key.starts_with("restore_")
    });
    let target = match (
        &arguments.target,
        part.options.get("path_to_backup").and_then(Value::as_str),
    ) {
        (Some(target), _) if several => format!("{}/{name}", target.trim_end_matches('/')),
        (Some(target), _) => target.clone(),
        (None, Some(path)) if !path.is_empty() => path.to_owned(),
        (None, _) => bail!(
            "the action of job {} does not say where the backup was made: name a --target",
            part.job
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
    jobs: BTreeMap<&str, (&str, Vec<Value>)>,
    server: &ApiConnection,
    made: &mut Made,
) -> Result<String, anyhow::Error> {
    let session = json!({ "description": description, "hold_off": HOLD_OFF, "schedule": {} });
    let id = server.create(Resource::Sessions, &session)?;
    made.session = Some(id.clone());
    for (of, (client, actions)) in jobs {
        // Stopped: none begins before all are in the session.
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

//! `freezer session restore`: all nodes of a session back to what one start of it has stored.
//!
//! Makes a session of its own, whose jobs are ordinary restores: nodes need to know nothing of the
//! session they restore, and the result of all of them is that session's.

use super::show::{tell, wanted};
use crate::cli::open::session::Session;
use crate::cli::show::failure::{Completion, Usage};
use crate::model::job::{
    Action, ActionList, AgentOptions, BackupMetadata, BackupRecord, Documented, Field, Job,
    JobEvent, JobSession, Schedule, Words,
};
use crate::sched::connection::{ApiConnection, ApiError, Resource};
use anyhow::{Context, bail};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Time in seconds within which the nodes have to begin. A node that begins later restores too, but
/// the session does not wait for it.
const HOLD_OFF: i64 = 86_400;

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

/// A backup that an action of a job makes.
struct JobBackup {
    job: String,
    client: String,
    /// The place of the action in the job, counted from 0.
    number: usize,
    options: AgentOptions,
}

/// The records of backups, by the job and the place of the action.
type RecordsOfStart = BTreeMap<(String, usize), BackupMetadata>;

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
        job.actions.push(Field::Is(action));
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
    fn record_in<'records>(
        &self,
        records: &'records RecordsOfStart,
    ) -> Option<&'records BackupMetadata> {
        records.get(&(self.job.clone(), self.number))
    }

    fn in_words(&self) -> String {
        format!("job {} of {}", self.job, self.client)
    }
}

/// Whether all backups were recorded.
fn is_complete(backups: &[JobBackup], records: &RecordsOfStart) -> bool {
    backups
        .iter()
        .all(|backup| backup.record_in(records).is_some())
}

/// Returns the start that the user named, or the newest complete one.
fn chosen_start(
    arguments: &Arguments,
    backups: &[JobBackup],
    starts: &BTreeMap<i64, RecordsOfStart>,
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
    starts: &BTreeMap<i64, RecordsOfStart>,
) -> Result<(), Usage> {
    let none = RecordsOfStart::new();
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
    let session = JobSession::leniently_of(session.clone());
    let jobs = session.jobs.get().into_iter();
    let mut backups = Vec::new();
    for id in jobs.flat_map(|jobs| jobs.0.keys()) {
        let job = wanted(server, Resource::Jobs, id)
            .with_context(|| format!("job {id} of the session cannot be looked at"))?;
        let job = Job::leniently_of(job);
        let actions = job.job_actions.get().into_iter().flat_map(|list| &list.0);
        for (number, action) in actions.enumerate() {
            let Some(options) = action.get().and_then(Action::options) else {
                continue;
            };
            if options.action_or_backup() == "backup" {
                backups.push(JobBackup {
                    job: id.clone(),
                    client: job.client_id.text().to_owned(),
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
) -> anyhow::Result<BTreeMap<i64, RecordsOfStart>> {
    let of_session = BackupMetadata {
        session_id: id.into(),
        ..BackupMetadata::default()
    };
    let of_start = tag.map(|tag| BackupMetadata {
        session_tag: Field::Is(tag.into()),
        ..BackupMetadata::default()
    });
    let conditions: Vec<_> = std::iter::once(of_session).chain(of_start).collect();
    let mut starts: BTreeMap<i64, RecordsOfStart> = BTreeMap::new();
    for record in server.all(Resource::Backups, &json!({ "match": conditions }), "")? {
        let record = BackupRecord::leniently_of(record);
        let Some(metadata) = record.backup_metadata.into_value() else {
            continue;
        };
        // A server of the original finds the text in other fields too.
        let tag = metadata.session_tag.get().and_then(Value::as_i64);
        let Some(start) = tag.filter(|_| metadata.session_id.loose_text() == id) else {
            continue;
        };
        let run = metadata.run_id.loose_text().rsplit_once('-');
        let Some(number) = run.and_then(|(_, number)| number.parse().ok()) else {
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

/// Returns the action that restores a backup.
fn restore_of(
    backup: &JobBackup,
    record: &BackupMetadata,
    arguments: &Arguments,
    several: bool,
) -> anyhow::Result<Action> {
    let named = |text: &str, key: &str| {
        let job = &backup.job;
        (!text.is_empty())
            .then(|| text.to_owned())
            .with_context(|| format!("the record of the backup of job {job} has no {key}"))
    };
    let name = named(record.backup_name.text(), "backup_name")?;
    let host = named(record.hostname.text(), "hostname")?;
    let level = named(record.level_id.loose_text(), "level_id")?;
    let target = match (&arguments.target, backup.options.path_to_backup.text()) {
        (Some(target), _) if several => format!("{}/{name}", target.trim_end_matches('/')),
        (Some(target), _) => target.clone(),
        (None, path) if !path.is_empty() => path.to_owned(),
        (None, _) => bail!(
            "the action of job {} does not say where the backup was made: name a --target",
            backup.job
        ),
    };
    let mut options = how_to_read(&backup.options);
    options.action = "restore".into();
    options.backup_name = name.into();
    options.hostname = host.into();
    options.restore_from_date = level.into();
    options.restore_abs_path = target.into();
    options.overwrite = Field::Is(arguments.overwrite.into());
    Ok(Action {
        freezer_action: Field::Is(options),
        max_retries: 0.into(),
        mandatory: true.into(),
        ..Action::default()
    })
}

/// Returns the options of a backup that matter for its restore: its store, its key and the like.
fn how_to_read(options: &AgentOptions) -> AgentOptions {
    let mut options = options.clone();
    options.path_to_backup = Field::Absent;
    options.pre_script = Field::Absent;
    options.post_script = Field::Absent;
    let mut left = options.document();
    left.retain(|key, value| {
        !value.is_null()
            && !["dry_run", "tag"].contains(&key.as_str())
            && !key.starts_with("restore_")
    });
    AgentOptions::of(left)
}

/// A job that restores the backups of one job.
struct RestoreJob<'backups> {
    client: &'backups str,
    actions: Vec<Field<Action>>,
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
    let session = JobSession {
        description: description.into(),
        hold_off: HOLD_OFF.into(),
        schedule: Field::Is(Schedule::default()),
        ..JobSession::default()
    };
    let id = server.create(Resource::Sessions, &Value::Object(session.document()))?;
    made.session = Some(id.clone());
    for (of, RestoreJob { client, actions }) in jobs {
        // Stopped at first: no job begins before all are in the session.
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

//! Jobs as a user writes and changes them, in files and in the editor.

use super::edit;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::model::job::{Action, AgentOptions, Course, Documented, Field, Job};
use serde_json::Value;

/// Returns a new job: the file as it is, or the file or a template after the user has edited it.
pub(super) fn new_job(
    file: Option<Value>,
    edit: bool,
    client: Option<String>,
    session: &Session,
) -> anyhow::Result<Job> {
    let document = match (file, edit) {
        (Some(document), false) => document,
        (file, _) => {
            let client = client.as_deref().unwrap_or("PROJECT_HOSTNAME");
            let text = match file {
                Some(old) => serde_json::to_string_pretty(&as_new(job_of(old)).document())?,
                None => edit::template(client),
            };
            edit::edit("job", &text, session)?
        }
    };
    let mut job = job_of(document);
    if let Some(client) = client {
        job.client_id = client.into();
    }
    if job.client_id.text().is_empty() {
        return Err(Usage::new("the job does not say which client does it")
            .hint("name it: --client CLIENT-ID")
            .into());
    }
    Ok(job)
}

/// Lets the user edit a job; returns the change.
pub(super) fn edited(job: Value, session: &Session) -> anyhow::Result<Value> {
    let text = serde_json::to_string_pretty(&changeable(job_of(job)).document())?;
    edit::edit("job", &text, session)
}

/// Reads a job as it is: what is wrong in it, the server refuses.
fn job_of(document: Value) -> Job {
    match document {
        Value::Object(document) => Job::of(document),
        _ => Job::default(),
    }
}

/// Returns a job without the keys that a new one does not have: those that the server writes, and
/// those that tell of past runs.
fn as_new(mut job: Job) -> Job {
    job.job_id = Field::Absent;
    job.project_id = Field::Absent;
    job.user_id = Field::Absent;
    job._version = Field::Absent;
    job.user_credentials = Field::Absent;
    job.session_id = Field::Absent;
    job.session_tag = Field::Absent;
    job.session_name = Field::Absent;
    if let Some(schedule) = job.job_schedule.get_mut() {
        schedule.course = Course::default();
    }
    job
}

/// Returns the part of a job that a user can change.
fn changeable(job: Job) -> Job {
    let mut part = Job {
        description: job.description,
        client_id: job.client_id,
        job_schedule: job.job_schedule,
        job_actions: job.job_actions,
        ..Job::default()
    };
    if let Some(schedule) = part.job_schedule.get_mut() {
        *schedule = std::mem::take(schedule).only_when();
    }
    let actions = part.job_actions.get_mut().into_iter();
    for action in actions.flat_map(|list| &mut list.0) {
        if let Some(action) = action.get_mut() {
            *action = changeable_action(std::mem::take(action));
        }
    }
    part
}

/// Returns the part of an action that a user can change. Without its id an action becomes a new
/// one: the change does not touch other jobs.
fn changeable_action(action: Action) -> Action {
    let mut part = Action {
        freezer_action: action.freezer_action,
        max_retries: action.max_retries,
        max_retries_interval: action.max_retries_interval,
        mandatory: action.mandatory,
        ..Action::default()
    };
    if let Some(options) = part.freezer_action.get_mut() {
        let mut set = options.document();
        set.retain(|_, value| !value.is_null());
        *options = AgentOptions::of(set);
    }
    part
}

#[cfg(test)]
mod tests {
    use super::{as_new, changeable, job_of};
    use crate::model::job::Documented;
    use serde_json::{Value, json};

    #[test]
    fn what_the_server_and_runs_wrote_is_no_part_of_a_new_job_or_a_change() {
        let job = job_of(json!({
            "job_id": "j", "user_id": "u", "session_id": "s", "description": "d", "client_id": "c",
            "job_schedule": { "status": "completed", "schedule_interval": "1 days" },
            "job_actions": [{
                "action_id": "a", "mandatory": true,
                "freezer_action": { "action": "info", "mode": null },
            }],
        }));
        assert_eq!(
            Value::Object(as_new(job.clone()).document()),
            json!({
                "description": "d", "client_id": "c",
                "job_schedule": { "schedule_interval": "1 days" },
                "job_actions": [{
                    "action_id": "a", "mandatory": true,
                    "freezer_action": { "action": "info", "mode": null },
                }],
            })
        );
        assert_eq!(
            Value::Object(changeable(job).document()),
            json!({
                "description": "d", "client_id": "c",
                "job_schedule": { "schedule_interval": "1 days" },
                "job_actions": [{ "mandatory": true, "freezer_action": { "action": "info" } }],
            })
        );
    }
}

//! Actions: what a job does, one thing each. A job holds the full documents of its actions, so a
//! change here reaches the jobs in the same transaction.

use super::auth::accounts::new_id;
use super::call::{Call, Reply};
use super::clients;
use super::db::Transaction;
use super::db::documents::{
    ACTIONS, Beside, Document, JOBS, Scope, Stored, jobs_with_action, link_actions,
};
use super::error::Failure;
use super::fields;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// The keys of a `freezer_action` that are always answered.
const ALWAYS: [&str; 8] = [
    "action",
    "mode",
    "backup_name",
    "container",
    "path_to_backup",
    "timeout",
    "priority",
    "log_file",
];

/// `GET /actions`.
pub(super) async fn list(call: &Call) -> Result<Reply, Failure> {
    call.listing(&ACTIONS, "actions", call.scope(), call.search()?)
        .await
}

/// `GET /actions/{id}`.
pub(super) async fn get(call: &Call) -> Result<Reply, Failure> {
    let row = ACTIONS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| Reply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /actions`.
pub(super) async fn create(call: &Call) -> Result<Reply, Failure> {
    let body = call.object()?;
    let id = fields::id(&body, "action_id")?.map(str::to_owned);
    let mut transaction = call.server.database.begin().await?;
    let id = store(call, &mut transaction, id, &body).await?;
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "action_id": id })).at_version(1))
}

/// `PATCH /actions/{id}`: merges, however deep.
pub(super) async fn update(call: &Call) -> Result<Reply, Failure> {
    let patch = call.object()?;
    change(call, |old| {
        let mut merged = old.document.clone();
        fields::merge(&mut merged, &patch);
        Ok(merged)
    })
    .await?
    .map(|version| {
        Reply::json(
            StatusCode::OK,
            &json!({ "action_id": call.id("id"), "version": version }),
        )
        .at_version(version)
    })
    .ok_or_else(|| not_found(call.id("id")))
}

/// `POST /actions/{id}`: makes it, or puts another in its place.
pub(super) async fn replace(call: &Call) -> Result<Reply, Failure> {
    let (id, body) = (call.id("id"), call.object()?);
    fields::check_id(id, "action_id")?;
    let version = match change(call, |_| Ok(body.clone())).await? {
        Some(version) => version,
        None => {
            let mut transaction = call.server.database.begin().await?;
            store(call, &mut transaction, Some(id.to_owned()), &body).await?;
            transaction.commit().await?;
            1
        }
    };
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({ "action_id": id, "version": version }),
    )
    .at_version(version))
}

/// `DELETE /actions/{id}`: from every job too.
pub(super) async fn delete(call: &Call) -> Result<Reply, Failure> {
    let id = call.id("id");
    let mut transaction = call.server.database.begin().await?;
    let Some(row) = ACTIONS.locked(&mut transaction, &call.scope(), id).await? else {
        return call.deleted(false, "action");
    };
    call.check_version(&row)?;
    in_jobs(call, &mut transaction, id, None).await?;
    let there = ACTIONS.delete(&mut transaction, &call.project, id).await?;
    transaction.commit().await?;
    call.deleted(there, "action")
}

fn not_found(id: &str) -> Failure {
    Failure::NotFound(format!("No action found with ID:{id}"))
}

/// Changes the action of the address and what jobs have of it; its new version, or none if it is
/// not there.
async fn change(
    call: &Call,
    to: impl Fn(&Stored) -> Result<Document, Failure>,
) -> Result<Option<i64>, Failure> {
    let id = call.id("id");
    let mut transaction = call.server.database.begin().await?;
    let Some(row) = ACTIONS.locked(&mut transaction, &call.scope(), id).await? else {
        return Ok(None);
    };
    call.check_version(&row)?;
    let document = complete(call, id, &to(&row)?)?;
    let version = ACTIONS
        .update(
            &mut transaction,
            &row,
            &document,
            &Beside::default(),
            call.now_us,
        )
        .await?;
    in_jobs(call, &mut transaction, id, Some(&document)).await?;
    transaction.commit().await?;
    Ok(Some(version))
}

/// Puts an action's document in the jobs that have it, or takes it out of them.
async fn in_jobs(
    call: &Call,
    transaction: &mut Transaction,
    id: &str,
    document: Option<&Document>,
) -> Result<(), Failure> {
    for job in jobs_with_action(transaction, id).await? {
        let Some(row) = JOBS.locked(transaction, &Scope::AllProjects, &job).await? else {
            continue;
        };
        let mut changed = row.document.clone();
        let Some(Value::Array(entries)) = changed.get_mut("job_actions") else {
            continue;
        };
        let is_it = |entry: &Value| entry.get("action_id").and_then(Value::as_str) == Some(id);
        match document {
            Some(document) => entries
                .iter_mut()
                .filter(|entry| is_it(entry))
                .for_each(|entry| *entry = Value::Object(document.clone())),
            None => entries.retain(|entry| !is_it(entry)),
        }
        let left = ids_in(&changed);
        JOBS.update(transaction, &row, &changed, &Beside::default(), call.now_us)
            .await?;
        link_actions(transaction, &job, &left).await?;
    }
    Ok(())
}

/// The ids of the actions of a job.
pub(super) fn ids_in(job: &Document) -> Vec<String> {
    let entries = job
        .get("job_actions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    entries
        .filter_map(|entry| Some(entry.get("action_id")?.as_str()?.to_owned()))
        .collect()
}

/// Stores a new action under this id, or under a new one.
pub(super) async fn store(
    call: &Call,
    transaction: &mut Transaction,
    id: Option<String>,
    body: &Document,
) -> Result<String, Failure> {
    let id = match id {
        Some(id) => id,
        None => new_id().map_err(|_| Failure::Internal("no random numbers"))?,
    };
    let document = complete(call, &id, body)?;
    match ACTIONS
        .insert(
            transaction,
            (&call.project, &id),
            &document,
            &Beside::default(),
            call.now_us,
        )
        .await
    {
        Err(error) if error.is_duplicate() => Err(Failure::Exists(format!(
            "Action already exists with ID {id}"
        ))),
        done => Ok(done.map(|()| id)?),
    }
}

/// The action with this id as it would be answered, out of what was sent.
pub(super) fn complete(call: &Call, id: &str, body: &Document) -> Result<Document, Failure> {
    let options = fields::object(body, "freezer_action", "")?
        .ok_or_else(|| Failure::invalid("'freezer_action' is a required property"))?;
    let mut options = options.clone();
    for key in ALWAYS {
        options.entry(key).or_insert(Value::Null);
    }
    let mut document = body.clone();
    let numbers = [("max_retries", 5), ("max_retries_interval", 6)];
    for (key, usual) in numbers {
        let number = fields::integer(body, key, "")?.unwrap_or(usual);
        document.insert(key.into(), number.into());
    }
    document.insert(
        "mandatory".into(),
        fields::truth(body, "mandatory", "")?
            .unwrap_or(false)
            .into(),
    );
    document.insert("freezer_action".into(), Value::Object(options));
    document.insert("action_id".into(), id.into());
    document.insert("project_id".into(), call.project.as_str().into());
    document.insert("user_id".into(), call.identity.user_id.as_str().into());
    Ok(document)
}

/// Checks an action inside a job.
pub(super) fn check_in_job(options: &Document) -> Result<(), Failure> {
    let within = "freezer_action";
    for (key, known) in [
        ("action", &clients::ACTIONS[..]),
        ("mode", &clients::MODES[..]),
    ] {
        if fields::text(options, key, within)?.is_some_and(|word| !known.contains(&word)) {
            return Err(Failure::invalid(format!(
                "{within}.{key} must be one of {known:?}"
            )));
        }
    }
    for key in [
        "path_to_backup",
        "backup_name",
        "container",
        "restore_abs_path",
    ] {
        fields::text(options, key, within)?;
    }
    fields::truth(options, "cindernative_freezer_only", within).map(drop)
}

/// Whether two sets of options say the same. A key without a value is as if it were not there: the
/// original's web interface leaves out of an action what is empty or false, and sends it in the job
/// that names the action.
pub(super) fn same_options(left: &Document, right: &Document) -> bool {
    let said = |options: &Document| -> Document {
        let mut options = options.clone();
        options.retain(|_, value| {
            !matches!(value, Value::Null | Value::Bool(false)) && value.as_str() != Some("")
        });
        options
    };
    said(left) == said(right)
}

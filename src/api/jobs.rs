//! Jobs: actions with a timetable, for one client.

use super::actions;
use super::auth::accounts::new_id;
use super::call::{Call, Reply};
use super::clients::is_central;
use super::db::documents::{ACTIONS, Beside, CLIENTS, Document, JOBS, Scope, Stored, link_actions};
use super::db::{Fact, Transaction};
use super::error::Failure;
use super::fields;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// What a client can say of a job; the server sets some of it itself.
const KNOWN: [&str; 13] = [
    "job_id",
    "project_id",
    "user_id",
    "client_id",
    "description",
    "session_id",
    "session_tag",
    "session_name",
    "_version",
    "job_schedule",
    "job_actions",
    "action_defaults",
    "user_credentials",
];
/// What the node of a job can say of it: how it goes.
const BY_ITS_NODE: [&str; 3] = ["job_schedule", "session_id", "session_tag"];
/// How many actions a job can have.
const MOST_ACTIONS: usize = 1000;

/// `GET /jobs`.
pub(super) async fn list(call: &Call) -> Result<Reply, Failure> {
    let mut search = call.search()?;
    if let Some(client) = &call.identity.client_id {
        search
            .facts
            .push(Fact::new("client_id", &client.as_str().into()));
    }
    let all = call.flag("all_projects")? && call.may("jobs:get_all_projects");
    call.listing(
        &JOBS,
        "jobs",
        if all {
            Scope::AllProjects
        } else {
            call.scope()
        },
        search,
    )
    .await
}

/// `GET /jobs/{id}`.
pub(super) async fn get(call: &Call) -> Result<Reply, Failure> {
    let scope = if call.may("jobs:get_all_projects") {
        Scope::AllProjects
    } else {
        call.scope()
    };
    let row = JOBS
        .get(&call.server.database, &scope, call.id("id"))
        .await?
        .filter(|row| is_for(call, row))
        .ok_or(Failure::Absent)?;
    if call.may("jobs:get_all_projects") {
        return Ok(Reply::object(&row));
    }
    let client = CLIENTS
        .get(
            &call.server.database,
            &call.scope(),
            text_in(&row.document, "client_id"),
        )
        .await?;
    let elsewhere = client.is_some_and(|client| client.project != call.project);
    Ok(Reply::object(&if elsewhere {
        Stored {
            document: without_pid(row.document),
            ..row
        }
    } else {
        row
    }))
}

/// `POST /jobs`.
pub(super) async fn create(call: &Call) -> Result<Reply, Failure> {
    let body = call.object()?;
    let id = match fields::id(&body, "job_id")? {
        Some(id) => id.to_owned(),
        None => new_id().map_err(|_| Failure::Internal("no random numbers"))?,
    };
    let mut transaction = call.server.database.begin().await?;
    insert(call, &mut transaction, &id, &body).await?;
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "job_id": id })).at_version(1))
}

/// `POST /jobs/{id}`: makes it, or puts another in its place.
pub(super) async fn replace(call: &Call) -> Result<Reply, Failure> {
    let (id, body) = (call.id("id"), call.object()?);
    fields::check_id(id, "job_id")?;
    let mut transaction = call.server.database.begin().await?;
    let version = match JOBS.locked(&mut transaction, &call.scope(), id).await? {
        Some(row) => {
            call.check_version(&row)?;
            let (document, beside) = complete(call, &mut transaction, id, &body).await?;
            write(call, &mut transaction, &row, &document, &beside).await?
        }
        None => insert(call, &mut transaction, id, &body)
            .await
            .map(|()| 1)?,
    };
    transaction.commit().await?;
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({ "job_id": id, "version": version }),
    )
    .at_version(version))
}

/// `PATCH /jobs/{id}`.
pub(super) async fn update(call: &Call) -> Result<Reply, Failure> {
    let (id, mut patch) = (call.id("id"), call.object()?);
    patch.remove("user_credentials");
    if call.identity.client_id.is_some() {
        patch.retain(|key, _| BY_ITS_NODE.contains(&key.as_str()));
    }
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    call.check_version(&row)?;
    if let Some(schedule) = fields::object(&patch, "job_schedule", "")? {
        fields::schedule(schedule, "job_schedule")?;
    }
    let mut merged = row.document.clone();
    for (key, value) in &patch {
        match (key.as_str(), merged.get_mut(key), value) {
            ("job_schedule", Some(Value::Object(old)), Value::Object(new)) => {
                fields::merge_schedule(old, new)
            }
            ("job_id" | "project_id" | "user_id", ..) => {}
            _ => drop(merged.insert(key.clone(), value.clone())),
        }
    }
    // What the actions are is looked at again only when they, or who has to do them, are in the
    // patch: the node reports how the job goes all the time.
    let (document, beside) = if ["job_actions", "client_id", "action_defaults"]
        .iter()
        .any(|key| patch.contains_key(*key))
    {
        complete(call, &mut transaction, id, &merged).await?
    } else {
        check(&merged)?;
        let mut document = merged;
        fill(&mut document);
        (document, Beside::default())
    };
    let version = write(call, &mut transaction, &row, &document, &beside).await?;
    transaction.commit().await?;
    Ok(
        Reply::json(StatusCode::OK, &json!({ "job_id": id, "version": version }))
            .at_version(version),
    )
}

/// `DELETE /jobs/{id}`.
pub(super) async fn delete(call: &Call) -> Result<Reply, Failure> {
    let id = call.id("id");
    let mut transaction = call.server.database.begin().await?;
    if let Some(row) = JOBS.locked(&mut transaction, &call.scope(), id).await? {
        call.check_version(&row)?;
        link_actions(&mut transaction, id, &[]).await?;
    }
    let there = JOBS.delete(&mut transaction, &call.project, id).await?;
    transaction.commit().await?;
    call.deleted(there, "job")
}

/// `POST /jobs/{id}/event`.
pub(super) async fn event(call: &Call) -> Result<Reply, Failure> {
    let body = call.object_or_empty()?;
    let event = match body.keys().next().map(String::as_str) {
        Some(event @ ("start" | "stop" | "abort")) if body.len() == 1 => event,
        _ => {
            return Err(Failure::Invalid(
                "Bad Action Method",
                "an event is one of start, stop, abort".into(),
            ));
        }
    };
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, call.id("id")).await?;
    let mut document = row.document.clone();
    fill(&mut document);
    let Some(Value::Object(schedule)) = document.get_mut("job_schedule") else {
        return Err(Failure::Internal("a job without job_schedule"));
    };
    if schedule.get("event").and_then(Value::as_str) == Some(event) {
        return Ok(Reply::json(
            StatusCode::ACCEPTED,
            &json!({ "result": format!("{event} already requested") }),
        ));
    }
    schedule.insert("event".into(), event.into());
    if event == "start" {
        schedule.insert("status".into(), "".into());
        schedule.insert("result".into(), "".into());
    }
    let version = JOBS
        .update(
            &mut transaction,
            &row,
            &document,
            &Beside::default(),
            call.now_us,
        )
        .await?;
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::ACCEPTED, &json!({ "result": "success" })).at_version(version))
}

/// The job with this id, which the caller may change; it stays as it is until the transaction ends.
pub(super) async fn locked(
    call: &Call,
    transaction: &mut Transaction,
    id: &str,
) -> Result<Stored, Failure> {
    let row = JOBS
        .locked(transaction, &call.scope(), id)
        .await?
        .filter(|row| is_for(call, row));
    row.ok_or_else(|| Failure::NotFound(format!("No job found with ID:{id}")))
}

/// Whether a job is one that the caller's token is for.
fn is_for(call: &Call, row: &Stored) -> bool {
    call.identity
        .client_id
        .as_deref()
        .is_none_or(|client| text_in(&row.document, "client_id") == client)
}

/// The process number means nothing outside the project of the node, and is no business of others.
pub(super) fn without_pid(mut job: Document) -> Document {
    if let Some(Value::Object(schedule)) = job.get_mut("job_schedule") {
        schedule.remove("current_pid");
    }
    job
}

async fn insert(
    call: &Call,
    transaction: &mut Transaction,
    id: &str,
    body: &Document,
) -> Result<(), Failure> {
    let mut body = body.clone();
    let schedule = body.entry("job_schedule").or_insert_with(|| json!({}));
    if let Value::Object(schedule) = schedule {
        schedule.insert("time_created".into(), call.now.into());
        schedule.insert("time_started".into(), (-1).into());
        schedule.insert("time_ended".into(), (-1).into());
    }
    let (document, beside) = complete(call, transaction, id, &body).await?;
    match JOBS
        .insert(
            transaction,
            (&call.project, id),
            &document,
            &beside,
            call.now_us,
        )
        .await
    {
        Err(error) if error.is_duplicate() => {
            return Err(Failure::Exists(format!("Job already exists with ID {id}")));
        }
        done => done?,
    }
    Ok(link_actions(transaction, id, &actions::ids_in(&document)).await?)
}

async fn write(
    call: &Call,
    transaction: &mut Transaction,
    row: &Stored,
    document: &Document,
    beside: &Beside,
) -> Result<i64, Failure> {
    let version = JOBS
        .update(transaction, row, document, beside, call.now_us)
        .await?;
    if actions::ids_in(document) != actions::ids_in(&row.document) {
        link_actions(transaction, &row.id, &actions::ids_in(document)).await?;
    }
    Ok(version)
}

/// Checks all that a client says of a job, but for what other objects have to do with it.
fn check(body: &Document) -> Result<(), Failure> {
    fields::only(body, &KNOWN, "a job")?;
    for key in ["client_id", "description", "session_id", "session_name"] {
        fields::text(body, key, "")?;
    }
    fields::integer(body, "session_tag", "")?;
    fields::integer(body, "_version", "")?;
    fields::object(body, "action_defaults", "")?;
    match fields::object(body, "job_schedule", "")? {
        Some(schedule) => fields::schedule(schedule, "job_schedule"),
        None => Ok(()),
    }
}

/// Sees to it that what readers rely on is there. A scheduler of the original stops for good at a
/// job without an event.
fn fill(document: &mut Document) {
    let schedule = document.entry("job_schedule").or_insert_with(|| json!({}));
    if !schedule.is_object() {
        *schedule = json!({});
    }
    if let Value::Object(schedule) = schedule {
        fields::without_nulls(schedule);
        for key in ["event", "status", "result"] {
            schedule.entry(key).or_insert_with(|| "".into());
        }
    }
    for (key, usual) in [
        ("session_id", json!("")),
        ("session_tag", json!(0)),
        ("description", json!("")),
    ] {
        let value = document.entry(key).or_insert_with(|| usual.clone());
        if value.is_null() {
            *value = usual;
        }
    }
}

/// The job with this id as it would be answered, out of what was sent, with its actions looked up
/// or made.
async fn complete(
    call: &Call,
    transaction: &mut Transaction,
    id: &str,
    body: &Document,
) -> Result<(Document, Beside), Failure> {
    check(body)?;
    let mut document = body.clone();
    let defaults = match document.remove("action_defaults") {
        Some(Value::Object(defaults)) => defaults,
        _ => Document::new(),
    };
    document.remove("_version");
    let client_id = fields::text(body, "client_id", "")?
        .ok_or_else(|| Failure::invalid("'client_id' is a required property"))?;
    let entries = match body.get("job_actions") {
        Some(Value::Array(entries)) if entries.len() <= MOST_ACTIONS => entries,
        Some(Value::Array(_)) => {
            return Err(Failure::invalid(format!(
                "job_actions must not have more than {MOST_ACTIONS} entries"
            )));
        }
        Some(_) => return Err(Failure::invalid("job_actions must be a list")),
        None => return Err(Failure::invalid("'job_actions' is a required property")),
    };
    // An id with a character that cannot be one is not even looked for.
    let client = if client_id.contains(char::is_control) {
        None
    } else {
        CLIENTS
            .locked(transaction, &call.scope(), client_id)
            .await?
    };
    let client = client
        .ok_or_else(|| Failure::Unprocessable(format!("Client not found with ID {client_id}")))?;
    let mut actions = Vec::with_capacity(entries.len());
    for entry in entries {
        let entry = entry
            .as_object()
            .ok_or_else(|| Failure::invalid("job_actions: each entry must be an object"))?;
        let action = action(call, transaction, entry, &defaults).await?;
        check_capability(&client, &action)?;
        actions.push(Value::Object(action));
    }
    document.insert("job_actions".into(), Value::Array(actions));
    document.insert("job_id".into(), id.into());
    document.insert("project_id".into(), call.project.as_str().into());
    document.insert("user_id".into(), call.identity.user_id.as_str().into());
    fill(&mut document);
    let client_project = if is_central(&client) {
        client.project
    } else {
        call.project.clone()
    };
    Ok((
        document,
        Beside {
            client_project,
            ..Beside::default()
        },
    ))
}

/// The full document of one entry: the stored action that it names, or one made out of it.
async fn action(
    call: &Call,
    transaction: &mut Transaction,
    entry: &Document,
    defaults: &Document,
) -> Result<Document, Failure> {
    let mut entry = entry.clone();
    let id = fields::id(&entry, "action_id")?.map(str::to_owned);
    if let Some(Value::Object(options)) = entry.get_mut("freezer_action") {
        for (key, value) in defaults {
            let option = options.entry(key).or_insert(Value::Null);
            if option.is_null() {
                *option = value.clone();
            }
        }
    }
    let options = fields::object(&entry, "freezer_action", "job_actions")?;
    if let Some(options) = options {
        actions::check_in_job(options)?;
    }
    let Some(id) = id else {
        let id = actions::store(call, transaction, None, &entry).await?;
        return actions::complete(call, &id, &entry);
    };
    let stored = ACTIONS.locked(transaction, &call.scope(), &id).await?;
    let stored = stored
        .ok_or_else(|| Failure::Unprocessable(format!("No action found with ID:{id}")))?
        .document;
    let known = stored.get("freezer_action").and_then(Value::as_object);
    match (options, known) {
        (Some(sent), Some(known)) if !actions::same_options(sent, known) => Err(
            Failure::Unprocessable(format!("Action {id} is stored with another freezer_action")),
        ),
        _ => Ok(stored),
    }
}

/// Refuses an action that the client has not said it can do.
fn check_capability(client: &Stored, action: &Document) -> Result<(), Failure> {
    let (Some(client), Some(Value::Object(options))) =
        (client.document.get("client"), action.get("freezer_action"))
    else {
        return Ok(());
    };
    let of = [
        ("action", "supported_actions"),
        ("mode", "supported_modes"),
        ("storage", "supported_storages"),
        ("engine_name", "supported_engines"),
    ];
    for (key, list) in of {
        let Some(word) = options
            .get(key)
            .and_then(Value::as_str)
            .filter(|word| !word.is_empty())
        else {
            continue;
        };
        // Two names for one thing.
        let word = if word == "mssql" { "sqlserver" } else { word };
        let can = client
            .get(list)
            .and_then(Value::as_array)
            .is_none_or(|can| can.iter().any(|can| can.as_str() == Some(word)));
        if !can {
            return Err(Failure::Unprocessable(format!(
                "Client requires {list} to have {word:?} for this {key}"
            )));
        }
    }
    Ok(())
}

/// A text of a document; empty where there is none.
pub(super) fn text_in<'d>(document: &'d Document, key: &str) -> &'d str {
    document.get(key).and_then(Value::as_str).unwrap_or("")
}

//! Jobs: actions with a timetable, for one client.

use super::actions;
use super::auth::accounts::new_id;
use super::call::{ApiCall, ApiReply};
use super::clients::is_central;
use super::db::documents::{
    ACTIONS, Beside, CLIENTS, JOBS, RowKey, RowScope, StoredRow, link_actions,
};
use super::db::{Fact, Transaction};
use super::error::Failure;
use super::listing::without_pid;
use crate::model::job::{
    Action, ActionList, AgentOptions, Client, ClientInfo, Documented, Field, Job, JobEvent, NEVER,
    Schedule, Words, WrongField,
};
use axum::http::StatusCode;
use serde_json::json;

/// How many actions a job can have.
pub(super) const MOST_ACTIONS: usize = 1000;

/// `GET /jobs`.
pub(super) async fn list(call: &ApiCall) -> Result<ApiReply, Failure> {
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
            RowScope::AllProjects
        } else {
            call.scope()
        },
        search,
    )
    .await
}

/// `GET /jobs/{id}`.
pub(super) async fn get(call: &ApiCall) -> Result<ApiReply, Failure> {
    let scope = if call.may("jobs:get_all_projects") {
        RowScope::AllProjects
    } else {
        call.scope()
    };
    let row = JOBS
        .get(&call.server.database, &scope, call.id("id"))
        .await?
        .filter(|row| is_for(call, row))
        .ok_or(Failure::Absent)?;
    if call.may("jobs:get_all_projects") {
        return Ok(ApiReply::object(&row));
    }
    let client = CLIENTS
        .get(
            &call.server.database,
            &call.scope(),
            row.read::<Job>().client_id.text(),
        )
        .await?;
    let elsewhere = client.is_some_and(|client| client.project != call.project);
    Ok(ApiReply::object(&if elsewhere {
        StoredRow {
            document: without_pid(row.document),
            ..row
        }
    } else {
        row
    }))
}

/// `POST /jobs`.
pub(super) async fn create(call: &ApiCall) -> Result<ApiReply, Failure> {
    let job = Job::of(call.object()?);
    job.job_id.check("job_id")?;
    let id = match job.job_id.text() {
        "" => new_id().map_err(|_| Failure::Internal("no random numbers"))?,
        id => id.to_owned(),
    };
    let mut transaction = call.server.database.begin().await?;
    insert(call, &mut transaction, &id, job).await?;
    transaction.commit().await?;
    Ok(ApiReply::json(StatusCode::CREATED, &json!({ "job_id": id })).at_version(1))
}

/// `POST /jobs/{id}`: makes it, or puts another in its place.
pub(super) async fn replace(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, job) = (call.id_to_make("job_id")?, Job::of(call.object()?));
    let mut transaction = call.server.database.begin().await?;
    let version = match JOBS.locked(&mut transaction, &call.scope(), id).await? {
        Some(row) => {
            call.check_version(&row)?;
            let (job, beside) = complete(call, &mut transaction, id, job).await?;
            write(call, &mut transaction, &row, &job, &beside).await?
        }
        None => insert(call, &mut transaction, id, job).await.map(|()| 1)?,
    };
    transaction.commit().await?;
    Ok(ApiReply::json(
        StatusCode::CREATED,
        &json!({ "job_id": id, "version": version }),
    )
    .at_version(version))
}

/// `PATCH /jobs/{id}`.
pub(super) async fn update(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, patch) = (call.id("id"), Job::of(call.object()?));
    let patch = if call.identity.client_id.is_some() {
        said_by_node(patch)
    } else {
        said_by_user(patch)
    };
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    call.check_version(&row)?;
    patch.job_schedule.check("job_schedule")?;
    // What the actions are is looked at again only when they, or who has to do them, are in the
    // patch: the node reports how the job goes all the time.
    let is_other_work = !patch.job_actions.is_absent()
        || !patch.client_id.is_absent()
        || !patch.action_defaults.is_absent();
    let mut job = row.read::<Job>();
    merge(&mut job, patch);
    let beside = if is_other_work {
        let beside;
        (job, beside) = complete(call, &mut transaction, id, job).await?;
        beside
    } else {
        check(&job)?;
        job.fill();
        Beside::default()
    };
    let version = write(call, &mut transaction, &row, &job, &beside).await?;
    transaction.commit().await?;
    Ok(
        ApiReply::json(StatusCode::OK, &json!({ "job_id": id, "version": version }))
            .at_version(version),
    )
}

/// Returns the part of a patch that the node of a job may change: how the job goes.
fn said_by_node(patch: Job) -> Job {
    Job {
        job_schedule: patch.job_schedule,
        session_id: patch.session_id,
        session_tag: patch.session_tag,
        ..Job::default()
    }
}

/// Returns the part of a patch that a user may change: all but what the server sets itself.
fn said_by_user(patch: Job) -> Job {
    Job {
        job_id: Field::Absent,
        project_id: Field::Absent,
        user_id: Field::Absent,
        user_credentials: Field::Absent,
        ..patch
    }
}

/// Merges a patch: the schedule key by key, all else as a whole.
fn merge(job: &mut Job, mut patch: Job) {
    match (job.job_schedule.get_mut(), patch.job_schedule) {
        (Some(old), Field::Is(new)) => {
            old.merge(new);
            patch.job_schedule = Field::Absent;
        }
        (_, new) => patch.job_schedule = new,
    }
    job.overlay(&patch);
}

/// `DELETE /jobs/{id}`.
pub(super) async fn delete(call: &ApiCall) -> Result<ApiReply, Failure> {
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
pub(super) async fn event(call: &ApiCall) -> Result<ApiReply, Failure> {
    let body = call.object_or_empty()?;
    let word = body.keys().next().filter(|_| body.len() == 1);
    let event = word
        .and_then(|word| JobEvent::of_word(word))
        .filter(|event| *event != JobEvent::Remove)
        .ok_or_else(|| {
            let rule = "an event is one of start, stop, abort";
            Failure::Invalid("Bad Action Method", rule.into())
        })?;
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, call.id("id")).await?;
    let mut job = row.read::<Job>();
    job.fill();
    let course = &mut job.job_schedule.get_or_new().course;
    if course.event.said() == Some(event) {
        let already = format!("{} already requested", event.word());
        return Ok(ApiReply::json(
            StatusCode::ACCEPTED,
            &json!({ "result": already }),
        ));
    }
    course.event = event.into();
    if event == JobEvent::Start {
        course.status = "".into();
        course.result = "".into();
    }
    let version = JOBS
        .update(
            &mut transaction,
            &row,
            &job.document(),
            &Beside::default(),
            call.now_us,
        )
        .await?;
    transaction.commit().await?;
    Ok(ApiReply::json(StatusCode::ACCEPTED, &json!({ "result": "success" })).at_version(version))
}

/// The job with this id, which the caller may change; it stays as it is until the transaction ends.
pub(super) async fn locked(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
) -> Result<StoredRow, Failure> {
    let row = JOBS
        .locked(transaction, &call.scope(), id)
        .await?
        .filter(|row| is_for(call, row));
    row.ok_or_else(|| Failure::NotFound(format!("No job found with ID:{id}")))
}

/// Whether a job is one that the caller's token is for.
fn is_for(call: &ApiCall, row: &StoredRow) -> bool {
    call.identity
        .client_id
        .as_deref()
        .is_none_or(|client| row.read::<Job>().client_id.text() == client)
}

async fn insert(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
    mut job: Job,
) -> Result<(), Failure> {
    job.job_schedule.fill(Field::Is(Schedule::default()));
    if let Some(schedule) = job.job_schedule.get_mut() {
        let course = &mut schedule.course;
        course.time_created = call.now.into();
        course.time_started = NEVER.into();
        course.time_ended = NEVER.into();
    }
    let (job, beside) = complete(call, transaction, id, job).await?;
    let key = RowKey {
        project: &call.project,
        id,
    };
    match JOBS
        .insert(transaction, key, &job.document(), &beside, call.now_us)
        .await
    {
        Err(error) if error.is_duplicate() => {
            return Err(Failure::Exists(format!("Job already exists with ID {id}")));
        }
        done => done?,
    }
    Ok(link_actions(transaction, id, &job.action_ids()).await?)
}

async fn write(
    call: &ApiCall,
    transaction: &mut Transaction,
    row: &StoredRow,
    job: &Job,
    beside: &Beside,
) -> Result<i64, Failure> {
    let version = JOBS
        .update(transaction, row, &job.document(), beside, call.now_us)
        .await?;
    let ids = job.action_ids();
    if ids != row.read::<Job>().action_ids() {
        link_actions(transaction, &row.id, &ids).await?;
    }
    Ok(version)
}

/// Checks all that a client says of a job, but for what other objects have to do with it.
fn check(job: &Job) -> Result<(), Failure> {
    // The id was checked when it was given, and an import may have brought one that no client can
    // give. The server sets the others itself.
    let said = Job {
        job_id: Field::Absent,
        project_id: Field::Absent,
        user_id: Field::Absent,
        ..job.clone()
    };
    Ok(said.check("")?)
}

/// The job with this id as it would be answered, out of what was sent, with its actions looked up
/// or made.
async fn complete(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
    mut job: Job,
) -> Result<(Job, Beside), Failure> {
    check(&job)?;
    let defaults = std::mem::take(&mut job.action_defaults).into_value();
    job._version = Field::Absent;
    if job.client_id.is_unsaid() {
        return Err(WrongField::missing("client_id").into());
    }
    let entries = entries_of(&job)?;
    let client = client_of(call, transaction, job.client_id.text()).await?;
    let info = client.read::<Client>().client.into_value();
    let mut actions = Vec::with_capacity(entries.len());
    for entry in entries {
        let mut entry = entry
            .into_value()
            .ok_or_else(|| WrongField::new("job_actions", "must be a list of objects"))?;
        if let (Some(options), Some(defaults)) = (entry.freezer_action.get_mut(), &defaults) {
            options.take_defaults(defaults);
        }
        let action = action(call, transaction, entry).await?;
        check_capability(info.as_ref(), action.options())?;
        actions.push(Field::Is(action));
    }
    job.job_actions = Field::Is(ActionList(actions));
    job.job_id = id.into();
    job.project_id = call.project.as_str().into();
    job.user_id = call.identity.user_id.as_str().into();
    job.fill();
    let client_project = if is_central(&client) {
        client.project
    } else {
        call.project.clone()
    };
    Ok((
        job,
        Beside {
            client_project,
            ..Beside::default()
        },
    ))
}

/// The entries of what a client sends as the actions of a job.
fn entries_of(job: &Job) -> Result<Vec<Field<Action>>, Failure> {
    match &job.job_actions {
        Field::Is(list) if list.0.len() <= MOST_ACTIONS => Ok(list.0.clone()),
        Field::Is(_) => Err(Failure::invalid(format!(
            "job_actions must not have more than {MOST_ACTIONS} entries"
        ))),
        Field::Absent => Err(WrongField::missing("job_actions").into()),
        Field::Null | Field::Odd(_) => Err(WrongField::new("job_actions", "must be a list").into()),
    }
}

/// The client of a job, which stays as it is until the transaction ends.
async fn client_of(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
) -> Result<StoredRow, Failure> {
    // An id with a character that cannot be one is not even looked for.
    let client = if id.contains(char::is_control) {
        None
    } else {
        CLIENTS.locked(transaction, &call.scope(), id).await?
    };
    client.ok_or_else(|| Failure::Unprocessable(format!("Client not found with ID {id}")))
}

/// The full document of one entry: the stored action that it names, or one made out of it.
async fn action(
    call: &ApiCall,
    transaction: &mut Transaction,
    entry: Action,
) -> Result<Action, Failure> {
    entry.action_id.check("action_id")?;
    entry.freezer_action.check("job_actions.freezer_action")?;
    if let Some(options) = entry.options() {
        options.check_in_job()?;
    }
    let id = entry.action_id.text().to_owned();
    if id.is_empty() {
        return actions::store(call, transaction, None, entry).await;
    }
    let stored = ACTIONS.locked(transaction, &call.scope(), &id).await?;
    let stored: Action = stored
        .ok_or_else(|| Failure::Unprocessable(format!("No action found with ID:{id}")))?
        .read();
    match (entry.options(), stored.options()) {
        (Some(sent), Some(known)) if !sent.says_the_same(known) => Err(Failure::Unprocessable(
            format!("Action {id} is stored with another freezer_action"),
        )),
        _ => Ok(stored),
    }
}

/// Refuses an action that the client has not said it can do.
fn check_capability(
    client: Option<&ClientInfo>,
    options: Option<&AgentOptions>,
) -> Result<(), Failure> {
    let (Some(client), Some(options)) = (client, options) else {
        return Ok(());
    };
    // Two names for one thing.
    let mode = match options.mode.text() {
        "mssql" => "sqlserver",
        mode => mode,
    };
    let action = options.action.text();
    let (storage, engine) = (
        options.storage.loose_text(),
        options.engine_name.loose_text(),
    );
    for (key, word, list, can) in [
        (
            "action",
            action,
            "actions",
            client.supported_actions.has(action),
        ),
        ("mode", mode, "modes", client.supported_modes.has(mode)),
        (
            "storage",
            storage,
            "storages",
            client.supported_storages.has(storage),
        ),
        (
            "engine_name",
            engine,
            "engines",
            client.supported_engines.has(engine),
        ),
    ] {
        if !word.is_empty() && can == Some(false) {
            return Err(Failure::Unprocessable(format!(
                "Client requires supported_{list} to have {word:?} for this {key}"
            )));
        }
    }
    Ok(())
}

//! Actions: what a job does, one thing each. A job holds the full documents of its actions, so a
//! change here reaches the jobs in the same transaction.

use super::auth::accounts::new_id;
use super::call::{ApiCall, ApiReply};
use super::db::Transaction;
use super::db::documents::{
    ACTIONS, Beside, JOBS, RowKey, RowScope, jobs_with_action, link_actions,
};
use super::error::Failure;
use crate::model::job::{Action, Documented, Field, Job, WrongField};
use axum::http::StatusCode;
use serde_json::json;

/// `GET /actions`.
pub(super) async fn list(call: &ApiCall) -> Result<ApiReply, Failure> {
    call.listing(&ACTIONS, "actions", call.scope(), call.search()?)
        .await
}

/// `GET /actions/{id}`.
pub(super) async fn get(call: &ApiCall) -> Result<ApiReply, Failure> {
    let row = ACTIONS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| ApiReply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /actions`.
pub(super) async fn create(call: &ApiCall) -> Result<ApiReply, Failure> {
    let action = Action::of(call.object()?);
    action.action_id.check("action_id")?;
    let id = Some(action.action_id.text().to_owned()).filter(|id| !id.is_empty());
    let mut transaction = call.server.database.begin().await?;
    let action = store(call, &mut transaction, id, action).await?;
    transaction.commit().await?;
    let made = json!({ "action_id": action.action_id });
    Ok(ApiReply::json(StatusCode::CREATED, &made).at_version(1))
}

/// `PATCH /actions/{id}`: merges, however deep.
pub(super) async fn update(call: &ApiCall) -> Result<ApiReply, Failure> {
    let patch = call.object()?;
    change(call, |mut action| {
        action.merge(&patch);
        action
    })
    .await?
    .map(|version| {
        ApiReply::json(
            StatusCode::OK,
            &json!({ "action_id": call.id("id"), "version": version }),
        )
        .at_version(version)
    })
    .ok_or_else(|| not_found(call.id("id")))
}

/// `POST /actions/{id}`: makes it, or puts another in its place.
pub(super) async fn replace(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, action) = (call.id_to_make("action_id")?, Action::of(call.object()?));
    let version = match change(call, |_| action.clone()).await? {
        Some(version) => version,
        None => {
            let mut transaction = call.server.database.begin().await?;
            store(call, &mut transaction, Some(id.to_owned()), action).await?;
            transaction.commit().await?;
            1
        }
    };
    Ok(ApiReply::json(
        StatusCode::CREATED,
        &json!({ "action_id": id, "version": version }),
    )
    .at_version(version))
}

/// `DELETE /actions/{id}`: from every job too.
pub(super) async fn delete(call: &ApiCall) -> Result<ApiReply, Failure> {
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
async fn change(call: &ApiCall, to: impl Fn(Action) -> Action) -> Result<Option<i64>, Failure> {
    let id = call.id("id");
    let mut transaction = call.server.database.begin().await?;
    let Some(row) = ACTIONS.locked(&mut transaction, &call.scope(), id).await? else {
        return Ok(None);
    };
    call.check_version(&row)?;
    let action = complete(call, id, to(row.read()))?;
    let version = ACTIONS
        .update(
            &mut transaction,
            &row,
            &action.document(),
            &Beside::default(),
            call.now_us,
        )
        .await?;
    in_jobs(call, &mut transaction, id, Some(&action)).await?;
    transaction.commit().await?;
    Ok(Some(version))
}

/// Puts an action in the jobs that have it, or takes it out of them.
async fn in_jobs(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
    action: Option<&Action>,
) -> Result<(), Failure> {
    for job_id in jobs_with_action(transaction, id).await? {
        let Some(row) = JOBS
            .locked(transaction, &RowScope::AllProjects, &job_id)
            .await?
        else {
            continue;
        };
        let mut job = row.read::<Job>();
        let Some(list) = job.job_actions.get_mut() else {
            continue;
        };
        let is_it = |entry: &Field<Action>| {
            entry
                .get()
                .is_some_and(|entry| entry.action_id.text() == id)
        };
        match action {
            Some(action) => list
                .0
                .iter_mut()
                .filter(|entry| is_it(entry))
                .for_each(|entry| *entry = Field::Is(action.clone())),
            None => list.0.retain(|entry| !is_it(entry)),
        }
        JOBS.update(
            transaction,
            &row,
            &job.document(),
            &Beside::default(),
            call.now_us,
        )
        .await?;
        link_actions(transaction, &job_id, &job.action_ids()).await?;
    }
    Ok(())
}

/// Stores a new action under this id, or under a new one.
pub(super) async fn store(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: Option<String>,
    action: Action,
) -> Result<Action, Failure> {
    let id = match id {
        Some(id) => id,
        None => new_id().map_err(|_| Failure::Internal("no random numbers"))?,
    };
    let action = complete(call, &id, action)?;
    let key = RowKey {
        project: &call.project,
        id: &id,
    };
    match ACTIONS
        .insert(
            transaction,
            key,
            &action.document(),
            &Beside::default(),
            call.now_us,
        )
        .await
    {
        Err(error) if error.is_duplicate() => Err(Failure::Exists(format!(
            "Action already exists with ID {id}"
        ))),
        done => Ok(done.map(|()| action)?),
    }
}

/// The action with this id as it would be answered, out of what was sent.
fn complete(call: &ApiCall, id: &str, mut action: Action) -> Result<Action, Failure> {
    action.action_id = Field::Absent;
    action.project_id = call.project.as_str().into();
    action.user_id = call.identity.user_id.as_str().into();
    action.check("")?;
    if action.freezer_action.is_unsaid() {
        return Err(WrongField::missing("freezer_action").into());
    }
    action.fill();
    action.action_id = id.into();
    Ok(action)
}

//! Backups: what the agents say of each level they have made.

use super::auth::accounts::new_id;
use super::call::{Call, Dialect, Reply};
use super::db::documents::{BACKUPS, Beside, Document};
use super::error::Failure;
use super::fields;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// What can be said of a backup.
pub(super) const STATUSES: [&str; 5] = ["creating", "available", "error", "deleting", "deleted"];
/// While a backup is in one of these it need not be known yet where it is.
const UNFINISHED: [&str; 3] = ["creating", "error", "deleting"];

/// `GET /backups`.
pub(super) async fn list(call: &Call) -> Result<Reply, Failure> {
    call.listing(&BACKUPS, "backups", call.scope(), call.search()?)
        .await
}

/// `GET /backups/{id}`.
pub(super) async fn get(call: &Call) -> Result<Reply, Failure> {
    let row = BACKUPS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| Reply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /backups`: the body is the flat document of the agent.
pub(super) async fn create(call: &Call) -> Result<Reply, Failure> {
    insert(
        call,
        &new_id().map_err(|_| Failure::Internal("no random numbers"))?,
    )
    .await
}

/// `POST /backups/{id}`: the same under an id of the client's, so that a record that is sent again
/// is not there twice.
pub(super) async fn create_as(call: &Call) -> Result<Reply, Failure> {
    let id = call.id("id");
    fields::check_id(id, "backup_id")?;
    insert(call, id).await
}

async fn insert(call: &Call, id: &str) -> Result<Reply, Failure> {
    let mut metadata = call.object()?;
    metadata.remove("backup_id");
    let status = match metadata.remove("status") {
        None | Some(Value::Null) => "available".to_owned(),
        // An agent says "" of what it does not know.
        Some(Value::String(status)) if status.is_empty() => "available".to_owned(),
        Some(status) => check_status(&status)?.to_owned(),
    };
    check(&metadata, &status)?;
    let mut document = Document::new();
    document.insert("backup_id".into(), id.into());
    document.insert("project_id".into(), call.project.as_str().into());
    document.insert("user_id".into(), call.identity.user_id.as_str().into());
    document.insert("status".into(), status.into());
    if call.dialect == Dialect::V1 {
        document.insert("user_name".into(), call.identity.user_name.as_str().into());
    }
    let beside = beside(&metadata);
    document.insert("backup_metadata".into(), Value::Object(metadata));
    let mut transaction = call.server.database.begin().await?;
    match BACKUPS
        .insert(
            &mut transaction,
            (&call.project, id),
            &document,
            &beside,
            call.now_us,
        )
        .await
    {
        Err(error) if error.is_duplicate() => {
            return Err(Failure::Exists(format!(
                "Backup already exists with ID {id}"
            )));
        }
        done => done?,
    }
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "backup_id": id })).at_version(1))
}

/// `PATCH /backups/{id}`.
pub(super) async fn update(call: &Call) -> Result<Reply, Failure> {
    let (id, mut patch) = (call.id("id"), call.object()?);
    let mut transaction = call.server.database.begin().await?;
    let row = BACKUPS.locked(&mut transaction, &call.scope(), id).await?;
    let row = row.ok_or_else(|| Failure::NotFound(format!("No backup found with ID:{id}")))?;
    call.check_version(&row)?;
    // A token of a node is for what that node has recorded.
    if call.identity.client_id.is_some()
        && super::jobs::text_in(&row.document, "user_id") != call.identity.user_id
    {
        return Err(Failure::Forbidden);
    }
    let mut document = row.document.clone();
    if let Some(status) = patch.remove("status").filter(|status| !status.is_null()) {
        document.insert("status".into(), check_status(&status)?.into());
    }
    let metadata = match patch.remove("backup_metadata") {
        Some(Value::Object(metadata)) => metadata,
        Some(Value::Null) | None => {
            // A scheduler of the original sends the flat document of the agent.
            for own in ["backup_id", "project_id", "user_id", "user_name"] {
                patch.remove(own);
            }
            patch
        }
        Some(_) => return Err(Failure::invalid("backup_metadata must be an object")),
    };
    let Some(Value::Object(old)) = document.get_mut("backup_metadata") else {
        return Err(Failure::Internal("a backup without backup_metadata"));
    };
    old.extend(metadata);
    let (merged, beside) = (old.clone(), beside(old));
    check(&merged, super::jobs::text_in(&document, "status"))?;
    let version = BACKUPS
        .update(&mut transaction, &row, &document, &beside, call.now_us)
        .await?;
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::OK, &Value::Object(document)).at_version(version))
}

/// `DELETE /backups/{id}`.
pub(super) async fn delete(call: &Call) -> Result<Reply, Failure> {
    let mut transaction = call.server.database.begin().await?;
    let there = BACKUPS
        .delete(&mut transaction, &call.project, call.id("id"))
        .await?;
    transaction.commit().await?;
    call.deleted(there, "backup")
}

fn check_status(status: &Value) -> Result<&str, Failure> {
    let known = status.as_str().filter(|status| STATUSES.contains(status));
    known.ok_or_else(|| Failure::invalid(format!("status must be one of {STATUSES:?}")))
}

fn check(metadata: &Document, status: &str) -> Result<(), Failure> {
    for key in ["container", "hostname", "backup_name"] {
        let unknown_yet = key != "backup_name" && UNFINISHED.contains(&status);
        match fields::text(metadata, key, "")? {
            Some("") | None if !unknown_yet => {
                return Err(Failure::Invalid(
                    "Bad Data Format",
                    format!("{key} must be a string with something in it"),
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The time stamp, which clients also send as text.
pub(super) fn beside(metadata: &Document) -> Beside {
    let stamp = metadata.get("time_stamp");
    let number = stamp.and_then(|stamp| {
        stamp
            .as_i64()
            .or_else(|| stamp.as_str()?.trim().parse().ok())
    });
    Beside {
        number,
        ..Beside::default()
    }
}

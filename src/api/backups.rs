//! Backups: what the agents say of each level they have made.

use super::auth::accounts::new_id;
use super::call::{ApiCall, ApiReply, Dialect};
use super::db::documents::{BACKUPS, Beside, RowKey};
use super::error::Failure;
use crate::model::job::{BackupMetadata, BackupRecord, Documented, Field, WrongField};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// `GET /backups`.
pub(super) async fn list(call: &ApiCall) -> Result<ApiReply, Failure> {
    call.listing(&BACKUPS, "backups", call.scope(), call.search()?)
        .await
}

/// `GET /backups/{id}`.
pub(super) async fn get(call: &ApiCall) -> Result<ApiReply, Failure> {
    let row = BACKUPS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| ApiReply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /backups`: the body is the flat document of the agent.
pub(super) async fn create(call: &ApiCall) -> Result<ApiReply, Failure> {
    insert(
        call,
        &new_id().map_err(|_| Failure::Internal("no random numbers"))?,
    )
    .await
}

/// `POST /backups/{id}`: the same under an id of the client's, so that a record that is sent again
/// is not there twice.
pub(super) async fn create_as(call: &ApiCall) -> Result<ApiReply, Failure> {
    insert(call, call.id_to_make("backup_id")?).await
}

async fn insert(call: &ApiCall, id: &str) -> Result<ApiReply, Failure> {
    let mut metadata = BackupMetadata::of(call.object()?);
    metadata.backup_id = Field::Absent;
    let status = match std::mem::take(&mut metadata.status) {
        Field::Absent | Field::Null => BackupRecord::AVAILABLE.into(),
        // An agent says "" of what it does not know.
        Field::Odd(Value::String(status)) if status.is_empty() => BackupRecord::AVAILABLE.into(),
        status => status,
    };
    status.check("status")?;
    check(&metadata, status.text())?;
    let beside = beside(&metadata);
    let mut record = BackupRecord {
        backup_id: id.into(),
        project_id: call.project.as_str().into(),
        user_id: call.identity.user_id.as_str().into(),
        status,
        backup_metadata: Field::Is(metadata),
        ..BackupRecord::default()
    };
    if call.dialect == Dialect::V1 {
        record.user_name = call.identity.user_name.as_str().into();
    }
    let mut transaction = call.server.database.begin().await?;
    let key = RowKey {
        project: &call.project,
        id,
    };
    match BACKUPS
        .insert(
            &mut transaction,
            key,
            &record.document(),
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
    Ok(ApiReply::json(StatusCode::CREATED, &json!({ "backup_id": id })).at_version(1))
}

/// `PATCH /backups/{id}`.
pub(super) async fn update(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, patch) = (call.id("id"), BackupRecord::of(call.object()?));
    let mut transaction = call.server.database.begin().await?;
    let row = BACKUPS.locked(&mut transaction, &call.scope(), id).await?;
    let row = row.ok_or_else(|| Failure::NotFound(format!("No backup found with ID:{id}")))?;
    call.check_version(&row)?;
    let mut record = row.read::<BackupRecord>();
    // A token of a node is for what that node has recorded.
    if call.identity.client_id.is_some() && record.user_id.text() != call.identity.user_id {
        return Err(Failure::Forbidden);
    }
    patch.status.check("status")?;
    if !patch.status.is_unsaid() {
        record.status = patch.status;
    }
    let said = match patch.backup_metadata {
        Field::Is(metadata) => metadata,
        // A scheduler of the original sends the flat document of the agent.
        Field::Null | Field::Absent => BackupMetadata::of(patch.more),
        Field::Odd(_) => {
            return Err(WrongField::new("backup_metadata", "must be an object").into());
        }
    };
    let status = record.status.text().to_owned();
    let Some(metadata) = record.backup_metadata.get_mut() else {
        return Err(Failure::Internal("a backup without backup_metadata"));
    };
    metadata.overlay(&said);
    check(metadata, &status)?;
    let beside = beside(metadata);
    let document = record.document();
    let version = BACKUPS
        .update(&mut transaction, &row, &document, &beside, call.now_us)
        .await?;
    transaction.commit().await?;
    Ok(ApiReply::json(StatusCode::OK, &Value::Object(document)).at_version(version))
}

/// `DELETE /backups/{id}`.
pub(super) async fn delete(call: &ApiCall) -> Result<ApiReply, Failure> {
    let mut transaction = call.server.database.begin().await?;
    let there = BACKUPS
        .delete(&mut transaction, &call.project, call.id("id"))
        .await?;
    transaction.commit().await?;
    call.deleted(there, "backup")
}

fn check(metadata: &BackupMetadata, status: &str) -> Result<(), Failure> {
    match metadata.missing(status)? {
        Some(key) => Err(Failure::Invalid(
            "Bad Data Format",
            format!("{key} must be a string with something in it"),
        )),
        None => Ok(()),
    }
}

/// The second of the backup.
pub(super) fn beside(metadata: &BackupMetadata) -> Beside {
    Beside {
        number: metadata.second(),
        ..Beside::default()
    }
}

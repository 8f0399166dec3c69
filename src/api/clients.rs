//! Clients: the nodes that are registered.

use super::auth::accounts::new_id;
use super::call::{ApiCall, ApiReply};
use super::db::Transaction;
use super::db::documents::{Beside, CLIENTS, Document, RowKey, StoredRow};
use super::error::Failure;
use crate::model::job::{Client, ClientInfo, Documented, Field, WrongField};
use axum::http::StatusCode;
use serde_json::json;

/// `GET /clients`.
pub(super) async fn list(call: &ApiCall) -> Result<ApiReply, Failure> {
    call.listing(&CLIENTS, "clients", call.scope(), call.search()?)
        .await
}

/// `GET /clients/{client_id}`.
pub(super) async fn get(call: &ApiCall) -> Result<ApiReply, Failure> {
    let row = CLIENTS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| ApiReply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /clients`: registers a node, or changes what it says of itself.
pub(super) async fn create(call: &ApiCall) -> Result<ApiReply, Failure> {
    let info = registration(ClientInfo::of(call.object()?))?;
    let id = info.client_id.text().to_owned();
    if call
        .identity
        .client_id
        .as_ref()
        .is_some_and(|own| *own != id)
    {
        return Err(Failure::Forbidden);
    }
    if info.is_seen_by_all() {
        call.must("clients:create_central")?;
    }
    let mut transaction = call.server.database.begin().await?;
    refuse_taken_name(call, &mut transaction, &info).await?;
    let version = store(call, &mut transaction, &id, info).await?;
    transaction.commit().await?;
    Ok(ApiReply::json(StatusCode::CREATED, &json!({ "client_id": id })).at_version(version))
}

/// Refuses a node whose name another project has registered, if all projects see one of the two.
async fn refuse_taken_name(
    call: &ApiCall,
    transaction: &mut Transaction,
    info: &ClientInfo,
) -> Result<(), Failure> {
    let id = info.client_id.text();
    for other in CLIENTS.others(transaction, &call.project, id).await? {
        let other = other
            .read::<Client>()
            .client
            .into_value()
            .unwrap_or_default();
        if (info.is_seen_by_all() || other.is_seen_by_all()) && other.hostname == info.hostname {
            return Err(Failure::Exists(format!(
                "Client {id} is registered by another project"
            )));
        }
    }
    Ok(())
}

/// Stores what a node says of itself, whether or not it is known; the version that it then has.
async fn store(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
    mut info: ClientInfo,
) -> Result<i64, Failure> {
    let beside = Beside {
        number: Some(i64::from(info.is_seen_by_all())),
        ..Beside::default()
    };
    let known = CLIENTS
        .locked(transaction, &call.scope(), id)
        .await?
        .filter(|row| row.project == call.project);
    if let Some(row) = known {
        let stored = row.read::<Client>().client.into_value().unwrap_or_default();
        info.uuid = stored.uuid;
        if info.uuid.is_absent() {
            info.uuid = Field::Null;
        }
        let document = document(call, info);
        return Ok(CLIENTS
            .update(transaction, &row, &document, &beside, call.now_us)
            .await?);
    }
    if info.uuid.is_unsaid() {
        let uuid = new_id().map_err(|_| Failure::Internal("no random numbers"))?;
        info.uuid = uuid.into();
    }
    let key = RowKey {
        project: &call.project,
        id,
    };
    let document = document(call, info);
    match CLIENTS
        .insert(transaction, key, &document, &beside, call.now_us)
        .await
    {
        Err(error) if error.is_duplicate() => Err(Failure::Exists(format!(
            "Client {id} is registered already"
        ))),
        done => Ok(done.map(|()| 1)?),
    }
}

/// `DELETE /clients/{client_id}`.
pub(super) async fn delete(call: &ApiCall) -> Result<ApiReply, Failure> {
    let id = call.id("id");
    if let Some(row) = CLIENTS
        .get(&call.server.database, &call.scope(), id)
        .await?
        && row.project != call.project
    {
        // Seen because it is central; another project's all the same.
        return Err(Failure::Forbidden);
    }
    let mut transaction = call.server.database.begin().await?;
    let there = CLIENTS.delete(&mut transaction, &call.project, id).await?;
    transaction.commit().await?;
    call.deleted(there, "client")
}

/// Whether a node is seen by all projects.
pub(super) fn is_central(row: &StoredRow) -> bool {
    let info = row.read::<Client>().client.into_value();
    info.is_some_and(|info| info.is_seen_by_all())
}

fn document(call: &ApiCall, info: ClientInfo) -> Document {
    let client = Client {
        project_id: call.project.as_str().into(),
        user_id: call.identity.user_id.as_str().into(),
        client: Field::Is(info),
        ..Client::default()
    };
    client.document()
}

/// Checks a registration and completes it.
fn registration(mut info: ClientInfo) -> Result<ClientInfo, Failure> {
    if info.client_id.is_unsaid() {
        return Err(WrongField::missing("client_id").into());
    }
    info.check("")?;
    info.complete();
    Ok(info)
}

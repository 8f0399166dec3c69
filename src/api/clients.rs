//! Clients: the nodes that are registered.

use super::auth::accounts::new_id;
use super::call::{Call, LONGEST_ID, Reply};
use super::db::documents::{Beside, CLIENTS, Document, Stored};
use super::error::Failure;
use super::fields;
use axum::http::StatusCode;
use serde_json::{Value, json};

/// What a node can be told to do.
pub(super) const ACTIONS: [&str; 12] = [
    "backup", "restore", "info", "admin", "exec", "mount", "umount", "check", "prune", "repack",
    "repair", "sync",
];
/// How it can be told to see to an application.
pub(super) const MODES: [&str; 10] = [
    "fs",
    "mongo",
    "mysql",
    "sqlserver",
    "cinder",
    "glance",
    "cindernative",
    "nova",
    "mssql",
    "postgres",
];
const STORAGES: [&str; 7] = ["local", "swift", "ssh", "s3", "ftp", "ftps", "sftp"];
const ENGINES: [&str; 6] = ["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"];
/// What is supposed of a node that does not say, and the words that can be said.
pub(super) const SUPPORTED: [(&str, &[&str], &[&str]); 4] = [
    (
        "supported_actions",
        &["backup", "restore", "info", "admin", "exec"],
        &ACTIONS,
    ),
    (
        "supported_modes",
        &[
            "fs",
            "mongo",
            "mysql",
            "sqlserver",
            "cinder",
            "glance",
            "cindernative",
            "nova",
        ],
        &MODES,
    ),
    (
        "supported_storages",
        &["local", "swift", "ssh", "s3", "ftp", "ftps"],
        &STORAGES,
    ),
    ("supported_engines", &ENGINES, &ENGINES),
];

/// `GET /clients`.
pub(super) async fn list(call: &Call) -> Result<Reply, Failure> {
    call.listing(&CLIENTS, "clients", call.scope(), call.search()?)
        .await
}

/// `GET /clients/{client_id}`.
pub(super) async fn get(call: &Call) -> Result<Reply, Failure> {
    let row = CLIENTS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| Reply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /clients`: registers a node, or changes what it says of itself.
pub(super) async fn create(call: &Call) -> Result<Reply, Failure> {
    let (id, mut client) = registration(&call.object()?)?;
    if call
        .identity
        .client_id
        .as_ref()
        .is_some_and(|own| *own != id)
    {
        return Err(Failure::Forbidden);
    }
    let central = client.get("is_central") == Some(&Value::Bool(true));
    if central {
        call.must("clients:create_central")?;
    }
    let mut transaction = call.server.database.begin().await?;
    for other in CLIENTS.others(&mut transaction, &call.project, &id).await? {
        let hostname = other
            .document
            .get("client")
            .and_then(|client| client.get("hostname"));
        if (central || is_central(&other)) && hostname == client.get("hostname") {
            return Err(Failure::Exists(format!(
                "Client {id} is registered by another project"
            )));
        }
    }
    let beside = Beside {
        number: Some(i64::from(central)),
        ..Beside::default()
    };
    let known = CLIENTS
        .locked(&mut transaction, &call.scope(), &id)
        .await?
        .filter(|row| row.project == call.project);
    let version = match known {
        Some(row) => {
            let uuid = row
                .document
                .get("client")
                .and_then(|client| client.get("uuid"))
                .cloned();
            client.insert("uuid".into(), uuid.unwrap_or(Value::Null));
            CLIENTS
                .update(
                    &mut transaction,
                    &row,
                    &document(call, client),
                    &beside,
                    call.now_us,
                )
                .await?
        }
        None => {
            if client.get("uuid").is_none_or(Value::is_null) {
                client.insert(
                    "uuid".into(),
                    new_id()
                        .map_err(|_| Failure::Internal("no random numbers"))?
                        .into(),
                );
            }
            match CLIENTS
                .insert(
                    &mut transaction,
                    (&call.project, &id),
                    &document(call, client),
                    &beside,
                    call.now_us,
                )
                .await
            {
                Err(error) if error.is_duplicate() => {
                    return Err(Failure::Exists(format!(
                        "Client {id} is registered already"
                    )));
                }
                done => done.map(|()| 1)?,
            }
        }
    };
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "client_id": id })).at_version(version))
}

/// `DELETE /clients/{client_id}`.
pub(super) async fn delete(call: &Call) -> Result<Reply, Failure> {
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
pub(super) fn is_central(row: &Stored) -> bool {
    row.document
        .get("client")
        .and_then(|client| client.get("is_central"))
        == Some(&Value::Bool(true))
}

fn document(call: &Call, client: Document) -> Document {
    let mut document = Document::new();
    document.insert("project_id".into(), call.project.as_str().into());
    document.insert("user_id".into(), call.identity.user_id.as_str().into());
    document.insert("client".into(), Value::Object(client));
    document
}

/// The id and what is kept of a registration; other keys are dropped.
fn registration(body: &Document) -> Result<(String, Document), Failure> {
    let id = fields::text(body, "client_id", "")?
        .ok_or_else(|| Failure::invalid("'client_id' is a required property"))?;
    if !is_client_id(id) {
        return Err(Failure::invalid(
            "client_id must be a host name, after letters, digits, - and _ that end in _ if wanted",
        ));
    }
    let mut client = Document::new();
    client.insert("client_id".into(), id.into());
    let hostname = fields::text(body, "hostname", "")?;
    if hostname.is_some_and(|hostname| !is_hostname(hostname)) {
        return Err(Failure::invalid("hostname must be a host name"));
    }
    client.insert("hostname".into(), hostname.map_or(Value::Null, Value::from));
    client.insert(
        "description".into(),
        fields::text(body, "description", "")?.map_or(Value::Null, Value::from),
    );
    let uuid = fields::text(body, "uuid", "")?.filter(|uuid| !uuid.is_empty());
    client.insert("uuid".into(), uuid.map_or(Value::Null, Value::from));
    for (key, usual, known) in SUPPORTED {
        let words = fields::words(body, key, known)?;
        client.insert(key.into(), words.map_or_else(|| json!(usual), Value::Array));
    }
    client.insert(
        "is_central".into(),
        fields::truth(body, "is_central", "")?
            .unwrap_or(false)
            .into(),
    );
    Ok((id.to_owned(), client))
}

fn is_hostname(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    !text.is_empty()
        && text.len() <= 253
        && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn is_client_id(text: &str) -> bool {
    let (prefix, host) = text
        .rsplit_once('_')
        .map_or(("", text), |(prefix, host)| (prefix, host));
    text.len() <= LONGEST_ID
        && is_hostname(host)
        && prefix
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

#[cfg(test)]
mod tests {
    use super::is_client_id;

    #[test]
    fn a_client_id_is_a_host_name_after_a_project() {
        for id in ["vm", "tecs_vm.example.org", "a-1_b_vm", "0123abc_node-1"] {
            assert!(is_client_id(id), "{id}");
        }
        for id in [
            "",
            "_",
            "a_",
            "p_vm%",
            "p_$vm",
            "p/vm",
            "p_-vm",
            "p_vm..x",
            "p vm",
            "p_vm\n",
            &"x".repeat(64),
        ] {
            assert!(!is_client_id(id), "{id}");
        }
    }
}

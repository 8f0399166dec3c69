//! Documents in and out as the original kept them in Elasticsearch: one JSON object on a line,
//! `{"_index": …, "_type": …, "_id": …, "_source": {…}}`, which is what its dump tools write and
//! read.
//!
//! An import checks ids and the size of each document as the API does, and otherwise keeps the
//! document as it is.

use super::db::documents::{
    ACTIONS, BACKUPS, Beside, CLIENTS, Collection, Document, JOBS, RowKey, SESSIONS, link_actions,
};
use super::db::{Database, DatabaseError};
use super::{backups, sessions};
use crate::model::job::{
    Action, BackupMetadata, BackupRecord, Client, Documented, Job, JobSession, LONGEST_ID,
};
use serde_json::{Value, json};
use std::io::{self, BufRead, Write};

/// How many rows are read at a time.
const PIECE: i64 = 500;
/// How many documents are put in with one transaction.
const AT_ONCE: usize = 500;
/// The longest line that is read.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// Why documents could not be exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The database failed.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A line could not be read or written.
    #[error("could not read or write a document")]
    Io(#[from] io::Error),
    /// A line is no document; the ones before it are in.
    #[error("line {line}: {reason}")]
    Line {
        /// The number of the line, counted from 1.
        line: u64,
        /// Why the line is not a document.
        reason: String,
    },
}

/// How many documents there were of each kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchanged {
    /// Written or taken in.
    pub documents: u64,
    /// Left out, because one with the same id is there.
    pub present: u64,
}

/// A kind of document.
#[derive(Debug)]
struct DocumentKind {
    /// Its name in a line.
    name: &'static str,
    /// The table of its documents.
    collection: &'static Collection,
    /// The id that it says itself; empty where it says none.
    own_id: fn(Document) -> String,
}

const KINDS: [DocumentKind; 5] = [
    DocumentKind {
        name: "clients",
        collection: &CLIENTS,
        own_id: |client| {
            let info = Client::of(client).client.into_value().unwrap_or_default();
            info.client_id.text().to_owned()
        },
    },
    DocumentKind {
        name: "actions",
        collection: &ACTIONS,
        own_id: |action| Action::of(action).action_id.text().to_owned(),
    },
    DocumentKind {
        name: "jobs",
        collection: &JOBS,
        own_id: |job| Job::of(job).job_id.text().to_owned(),
    },
    DocumentKind {
        name: "sessions",
        collection: &SESSIONS,
        own_id: |session| JobSession::of(session).session_id.text().to_owned(),
    },
    DocumentKind {
        name: "backups",
        collection: &BACKUPS,
        own_id: |backup| BackupRecord::of(backup).backup_id.text().to_owned(),
    },
];

/// Writes every document of every project.
pub(super) async fn export(
    database: &Database,
    output: &mut (dyn Write + Send),
) -> Result<Exchanged, ExchangeError> {
    let mut exchanged = Exchanged::default();
    for DocumentKind {
        name, collection, ..
    } in KINDS
    {
        let mut last = (String::new(), String::new());
        loop {
            let last_row = RowKey {
                project: &last.0,
                id: &last.1,
            };
            let rows = collection.after(database, last_row, PIECE).await?;
            for row in &rows {
                let id = if name == "clients" {
                    format!("{}_{}", row.project, row.id)
                } else {
                    row.id.clone()
                };
                let line = json!({
                    "_index": "freezer",
                    "_type": name,
                    "_id": id,
                    "_version": row.version,
                    "_source": row.document,
                });
                writeln!(output, "{line}")?;
                exchanged.documents += 1;
            }
            match rows.last() {
                Some(row) => last = (row.project.clone(), row.id.clone()),
                None => break,
            }
        }
    }
    output.flush()?;
    Ok(exchanged)
}

/// A document that is to be taken in.
struct Incoming {
    collection: &'static Collection,
    project: String,
    id: String,
    source: Document,
    /// Its place in the order of those that were made.
    created_us: i64,
}

/// Takes documents in; one whose id is there already is left as it is. Stops at the first line that
/// is none.
pub(super) async fn import(
    database: &Database,
    input: &mut (dyn BufRead + Send),
    now_us: i64,
) -> Result<Exchanged, ExchangeError> {
    let mut exchanged = Exchanged::default();
    let mut waiting = Vec::with_capacity(AT_ONCE);
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let length = io::Read::take(&mut *input, LONGEST_LINE).read_until(b'\n', &mut text)?;
        if length == 0 {
            break;
        }
        if text.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let created_us = now_us.saturating_add(i64::try_from(line).unwrap_or(i64::MAX));
        match read(&text, created_us) {
            Ok(incoming) => waiting.push(incoming),
            Err(reason) => {
                put_all(database, &waiting, &mut exchanged).await?;
                return Err(ExchangeError::Line { line, reason });
            }
        }
        if waiting.len() == AT_ONCE {
            put_all(database, &waiting, &mut exchanged).await?;
            waiting.clear();
        }
    }
    put_all(database, &waiting, &mut exchanged).await?;
    Ok(exchanged)
}

/// Reads a line; else says why it is no document.
fn read(text: &[u8], created_us: i64) -> Result<Incoming, String> {
    let mut hit: Document = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    let kind = hit
        .get("_type")
        .and_then(Value::as_str)
        .or_else(|| hit.get("_index").and_then(Value::as_str))
        .unwrap_or("");
    let kind = KINDS
        .into_iter()
        .find(|known| kind.strip_prefix("freezer_").unwrap_or(kind) == known.name)
        .ok_or("_type is none of clients, actions, jobs, sessions, backups")?;
    let Some(Value::Object(mut source)) = hit.remove("_source") else {
        return Err("_source must be an object".into());
    };
    source.entry("project_id").or_insert_with(|| "".into());
    let mut id = (kind.own_id)(source.clone());
    if id.is_empty() {
        let of_line = hit.get("_id").and_then(Value::as_str);
        id = of_line.unwrap_or("").to_owned();
    }
    let project = source.get("project_id").and_then(Value::as_str);
    let project = project.unwrap_or("").to_owned();
    for (what, text) in [("id", &id), ("project_id", &project)] {
        if (what == "id" && text.is_empty())
            || text.len() > LONGEST_ID
            || text.contains(char::is_control)
        {
            return Err(format!("the {what} cannot be used"));
        }
    }
    Ok(Incoming {
        collection: kind.collection,
        project,
        id,
        source,
        created_us,
    })
}

/// Puts documents in with one transaction, or, when one is there already, each with its own.
async fn put_all(
    database: &Database,
    waiting: &[Incoming],
    exchanged: &mut Exchanged,
) -> Result<(), DatabaseError> {
    if put(database, waiting).await? {
        exchanged.documents += waiting.len() as u64;
        return Ok(());
    }
    for incoming in waiting {
        if put(database, std::slice::from_ref(incoming)).await? {
            exchanged.documents += 1;
        } else {
            exchanged.present += 1;
        }
    }
    Ok(())
}

/// Puts all of them in, or none if one is there already; whether it did.
async fn put(database: &Database, documents: &[Incoming]) -> Result<bool, DatabaseError> {
    let mut transaction = database.begin().await?;
    for Incoming {
        collection,
        project,
        id,
        source,
        created_us,
    } in documents
    {
        match collection
            .insert(
                &mut transaction,
                RowKey { project, id },
                source,
                &beside(collection, project, source),
                *created_us,
            )
            .await
        {
            Err(error) if error.is_duplicate() => return Ok(false),
            done => done?,
        }
        if collection.table() == "jobs" {
            let job = Job::of(source.clone());
            link_actions(&mut transaction, id, &job.action_ids()).await?;
        }
    }
    transaction.commit().await?;
    Ok(true)
}

fn beside(collection: &Collection, project: &str, source: &Document) -> Beside {
    match collection.table() {
        "clients" => {
            let info = Client::of(source.clone()).client.into_value();
            let is_central = info.is_some_and(|info| info.is_seen_by_all());
            Beside {
                number: Some(i64::from(is_central)),
                ..Beside::default()
            }
        }
        "sessions" => sessions::beside(&JobSession::of(source.clone())),
        "backups" => {
            let record = BackupRecord::of(source.clone());
            let flat = || BackupMetadata::of(source.clone());
            backups::beside(&record.backup_metadata.into_value().unwrap_or_else(flat))
        }
        "jobs" => Beside {
            client_project: project.to_owned(),
            ..Beside::default()
        },
        _ => Beside::default(),
    }
}

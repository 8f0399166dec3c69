//! Documents in and out as the original kept them in Elasticsearch: one JSON object on a line,
//! `{"_index": …, "_type": …, "_id": …, "_source": {…}}`, which is what its dump tools write and
//! read.
//!
//! What is read back needs no look: an import runs the same checks on ids and on the size of a
//! document as the API, but keeps the document as it is.

use super::db::documents::{
    ACTIONS, BACKUPS, Beside, CLIENTS, Collection, Document, JOBS, SESSIONS, link_actions,
};
use super::db::{Database, Error};
use super::{actions, backups, call, jobs, sessions};
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
    Database(#[from] Error),
    /// A line could not be read or written.
    #[error("could not read or write a document")]
    Io(#[from] io::Error),
    /// A line is no document; the ones before it are in.
    #[error("line {line}: {reason}")]
    Line {
        /// Which, counted from 1.
        line: u64,
        /// Why.
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

/// The name of the type, where it stands, and the key of its id.
const KINDS: [(&str, &Collection, &str); 5] = [
    ("clients", &CLIENTS, "client_id"),
    ("actions", &ACTIONS, "action_id"),
    ("jobs", &JOBS, "job_id"),
    ("sessions", &SESSIONS, "session_id"),
    ("backups", &BACKUPS, "backup_id"),
];

/// Writes every document of every project.
pub(super) async fn export(
    database: &Database,
    output: &mut (dyn Write + Send),
) -> Result<Exchanged, ExchangeError> {
    let mut exchanged = Exchanged::default();
    for (kind, collection, _) in KINDS {
        let mut last = (String::new(), String::new());
        loop {
            let rows = collection
                .after(database, (&last.0, &last.1), PIECE)
                .await?;
            for row in &rows {
                let id = if kind == "clients" {
                    format!("{}_{}", row.project, row.id)
                } else {
                    row.id.clone()
                };
                let line = json!({ "_index": "freezer", "_type": kind, "_id": id, "_version": row.version, "_source": row.document });
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
    let (_, collection, key) = KINDS
        .into_iter()
        .find(|(name, ..)| kind == *name || kind == format!("freezer_{name}"))
        .ok_or("_type is none of clients, actions, jobs, sessions, backups")?;
    let Some(Value::Object(mut source)) = hit.remove("_source") else {
        return Err("_source must be an object".into());
    };
    source.entry("project_id").or_insert_with(|| "".into());
    let holder = if collection.table() == "clients" {
        source.get("client").and_then(Value::as_object)
    } else {
        Some(&source)
    };
    let id = holder
        .map_or("", |holder| jobs::text_in(holder, key))
        .to_owned();
    let id = if id.is_empty() {
        hit.get("_id")
            .and_then(Value::as_str)
            .unwrap_or("")
            .to_owned()
    } else {
        id
    };
    let project = jobs::text_in(&source, "project_id").to_owned();
    for (what, text) in [("id", &id), ("project_id", &project)] {
        if (what == "id" && text.is_empty())
            || text.len() > call::LONGEST_ID
            || text.contains(char::is_control)
        {
            return Err(format!("the {what} cannot be used"));
        }
    }
    Ok(Incoming {
        collection,
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
) -> Result<(), Error> {
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
async fn put(database: &Database, documents: &[Incoming]) -> Result<bool, Error> {
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
                (project, id),
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
            link_actions(&mut transaction, id, &actions::ids_in(source)).await?;
        }
    }
    transaction.commit().await?;
    Ok(true)
}

fn beside(collection: &Collection, project: &str, source: &Document) -> Beside {
    match collection.table() {
        "clients" => Beside {
            number: Some(i64::from(
                source
                    .get("client")
                    .and_then(|client| client.get("is_central"))
                    == Some(&Value::Bool(true)),
            )),
            ..Beside::default()
        },
        "sessions" => sessions::beside(source),
        "backups" => backups::beside(
            source
                .get("backup_metadata")
                .and_then(Value::as_object)
                .unwrap_or(source),
        ),
        "jobs" => Beside {
            client_project: project.to_owned(),
            ..Beside::default()
        },
        _ => Beside::default(),
    }
}

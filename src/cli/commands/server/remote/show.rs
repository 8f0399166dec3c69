//! What the commands that talk to a server show.

use crate::cli::open::session::Session;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
use crate::model::job::{Field, FieldKind};
use crate::model::{printable, printable_json};
use crate::sched::connection::{ApiConnection, Resource};
use anyhow::bail;
use jiff::Timestamp;
use serde_json::{Value, json};

/// Gets one object.
///
/// # Errors
///
/// An error that names it if the server does not have it.
pub(super) fn wanted(
    server: &ApiConnection,
    resource: Resource,
    id: &str,
) -> anyhow::Result<Value> {
    match server.get(resource, id)? {
        Some(answer) => Ok(answer.body),
        None => bail!("there is no {} {id}", resource.singular()),
    }
}

/// Prints a document: as JSON, or these rows of it for people.
pub(super) fn show(
    document: &Value,
    rows: &[(impl AsRef<str>, String)],
    session: &mut Session,
) -> anyhow::Result<()> {
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(document)?);
    }
    let width = rows
        .iter()
        .map(|(name, _)| printable(name.as_ref().as_bytes()).chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
        let name = printable(name.as_ref().as_bytes());
        session.output.line(
            format_args!("{name:<width$}  {value}")
                .to_string()
                .trim_end(),
        )?;
    }
    Ok(())
}

/// Tells what was made, changed or removed.
pub(super) fn tell(
    done: &str,
    resource: Resource,
    id: &str,
    session: &mut Session,
) -> anyhow::Result<()> {
    if session.output.form == OutputForm::Json {
        return Ok(session
            .output
            .json(&json!({ resource.id_key(): id, "done": done }))?);
    }
    if done == "created" {
        // A script goes on with the id.
        return Ok(session.output.line(id)?);
    }
    session
        .output
        .note(format_args!("{} {id}: {done}", resource.singular()));
    Ok(())
}

/// Returns a field of a document as people read it; empty for a field without a value.
pub(super) fn field<T: FieldKind>(field: &Field<T>) -> String {
    serde_json::to_value(field).map_or_else(|_| String::new(), |value| text(&value))
}

/// Returns a value as people read it, with what could disturb a terminal escaped; empty for null.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => printable(text.as_bytes()).into_owned(),
        value => printable_json(&value.to_string()).into_owned(),
    }
}

/// Returns a time in seconds since 1970 as people read it; empty for 0 and less.
pub(super) fn second(field: &Field<i64>, session: &Session) -> String {
    let second = field.get().copied().filter(|second| *second > 0);
    let at = second.and_then(|second| Timestamp::from_second(second).ok());
    at.map(|at| when::show(at, &session.zone))
        .unwrap_or_default()
}

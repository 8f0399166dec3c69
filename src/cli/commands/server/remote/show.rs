//! What the commands that talk to a server show.

use crate::cli::open::session::Session;
use crate::cli::show::output::OutputForm;
use crate::cli::show::when;
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
    rows: &[(&str, String)],
    session: &mut Session,
) -> anyhow::Result<()> {
    if session.output.form == OutputForm::Json {
        return Ok(session.output.json(document)?);
    }
    let width = rows
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in rows {
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

/// Returns the text at a place of a document, without control characters.
pub(super) fn text(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        // Control characters would write over the screen.
        Some(Value::String(text)) => text
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
        Some(value) => value.to_string(),
    }
}

/// Returns a time in seconds since 1970 as people read it; empty for 0 and less.
pub(super) fn moment(document: &Value, pointer: &str, session: &Session) -> String {
    let second = match document.pointer(pointer) {
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        _ => None,
    };
    let at = second
        .filter(|second| *second > 0)
        .and_then(|second| Timestamp::from_second(second).ok());
    at.map(|at| when::show(at, &session.zone))
        .unwrap_or_default()
}

/// Returns the number of entries of a list or an object.
pub(super) fn count(document: &Value, pointer: &str) -> String {
    let count = match document.pointer(pointer) {
        Some(Value::Array(list)) => list.len(),
        Some(Value::Object(object)) => object.len(),
        _ => 0,
    };
    count.to_string()
}

//! Checks of what clients send. Each names the field that is not as it must be.

use super::call::LONGEST_ID;
use super::db::documents::Document;
use super::error::Failure;
use crate::model::{Interval, is_cron_field, is_moment};
use serde_json::Value;

/// The longest description, name or path.
pub(super) const LONGEST_TEXT: usize = 4096;

/// The keys of a timetable that say when; the others say how it went.
pub(super) const TIMETABLE: [&str; 12] = [
    "schedule_date",
    "schedule_interval",
    "schedule_start_date",
    "schedule_end_date",
    "schedule_year",
    "schedule_month",
    "schedule_day",
    "schedule_week",
    "schedule_day_of_week",
    "schedule_hour",
    "schedule_minute",
    "schedule_second",
];

/// Whether a key says when.
pub(super) fn says_when(key: &str) -> bool {
    TIMETABLE.contains(&key)
}

/// What a user wants of a job.
pub(super) const EVENTS: [&str; 5] = ["", "start", "stop", "abort", "remove"];
/// Where a job is.
pub(super) const STATUSES: [&str; 7] = [
    "",
    "scheduled",
    "running",
    "stop",
    "completed",
    "aborting",
    "removed",
];
/// How it went.
pub(super) const RESULTS: [&str; 4] = ["", "success", "fail", "aborted"];

fn wrong(field: &str, rule: &str) -> Failure {
    Failure::invalid(format!("{field} {rule}"))
}

/// Refuses keys that are not among these.
pub(super) fn only(document: &Document, known: &[&str], within: &str) -> Result<(), Failure> {
    match document.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Failure::invalid(format!(
            "Additional properties are not allowed in {within} ({key:?} was unexpected)"
        ))),
        None => Ok(()),
    }
}

/// A text, if there is one.
pub(super) fn text<'d>(
    document: &'d Document,
    key: &str,
    within: &str,
) -> Result<Option<&'d str>, Failure> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= LONGEST_TEXT => Ok(Some(text)),
        Some(Value::String(_)) => Err(wrong(
            &field(within, key),
            &format!("must not have more than {LONGEST_TEXT} bytes"),
        )),
        Some(_) => Err(wrong(&field(within, key), "must be a string")),
    }
}

/// An id, if there is one: text that can stand in an address.
pub(super) fn id<'d>(document: &'d Document, key: &str) -> Result<Option<&'d str>, Failure> {
    let Some(id) = text(document, key, "")?.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    check_id(id, key).map(|()| Some(id))
}

/// Refuses what cannot be an id.
pub(super) fn check_id(id: &str, key: &str) -> Result<(), Failure> {
    let fits = (1..=LONGEST_ID).contains(&id.len())
        && id
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if fits {
        Ok(())
    } else {
        Err(wrong(key, "must be 1 to 255 letters, digits, - and _"))
    }
}

/// A whole number, if there is one.
pub(super) fn integer(
    document: &Document,
    key: &str,
    within: &str,
) -> Result<Option<i64>, Failure> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => value
            .as_i64()
            .map(Some)
            .ok_or_else(|| wrong(&field(within, key), "must be an integer")),
    }
}

/// Yes or no, if it is said.
pub(super) fn truth(document: &Document, key: &str, within: &str) -> Result<Option<bool>, Failure> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(_) => Err(wrong(&field(within, key), "must be true or false")),
    }
}

/// An object, if there is one.
pub(super) fn object<'d>(
    document: &'d Document,
    key: &str,
    within: &str,
) -> Result<Option<&'d Document>, Failure> {
    match document.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(_) => Err(wrong(&field(within, key), "must be an object")),
    }
}

/// A list of some words out of these, if there is one.
pub(super) fn words(
    document: &Document,
    key: &str,
    known: &[&str],
) -> Result<Option<Vec<Value>>, Failure> {
    let Some(list) = document.get(key).filter(|value| !value.is_null()) else {
        return Ok(None);
    };
    let list = list
        .as_array()
        .ok_or_else(|| wrong(key, "must be a list"))?;
    match list
        .iter()
        .find(|value| !value.as_str().is_some_and(|word| known.contains(&word)))
    {
        Some(value) => Err(wrong(
            key,
            &format!(
                "must hold words out of {}, and not {}",
                known.join(", "),
                short(value)
            ),
        )),
        None => Ok(Some(list.clone())),
    }
}

fn field(within: &str, key: &str) -> String {
    if within.is_empty() {
        key.to_owned()
    } else {
        format!("{within}.{key}")
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(80).collect()
}

fn one_of(schedule: &Document, key: &str, known: &[&str], within: &str) -> Result<(), Failure> {
    match text(schedule, key, within)? {
        Some(word) if !known.contains(&word) => Err(wrong(
            &field(within, key),
            &format!("must be one of {known:?}, and not {}", short(&word.into())),
        )),
        _ => Ok(()),
    }
}

/// Checks a timetable with how it went; `job_schedule` of a job, `schedule` of a session.
pub(super) fn schedule(schedule: &Document, within: &str) -> Result<(), Failure> {
    for key in schedule.keys() {
        match key.as_str() {
            "time_created" | "time_started" | "time_ended" | "current_pid" => {
                integer(schedule, key, within).map(drop)?
            }
            "event" => one_of(schedule, key, &EVENTS, within)?,
            "status" => one_of(schedule, key, &STATUSES, within)?,
            "result" => one_of(schedule, key, &RESULTS, within)?,
            key if says_when(key) => when(schedule, key, within)?,
            key => {
                return Err(Failure::invalid(format!(
                    "Additional properties are not allowed in {within} ({key:?} was unexpected)"
                )));
            }
        }
    }
    Ok(())
}

fn when(schedule: &Document, key: &str, within: &str) -> Result<(), Failure> {
    let Some(text) = text(schedule, key, within)? else {
        return Ok(());
    };
    let (fits, rule) = match key {
        "schedule_interval" => (
            Interval::parse(text).is_some(),
            "must be continuous or a number of seconds, minutes, hours, days or weeks",
        ),
        "schedule_date" | "schedule_start_date" | "schedule_end_date" => (
            is_moment(text),
            "must be a moment as in 2026-11-24T12:30:00Z",
        ),
        "schedule_year" => (
            text.len() == 4 && text.bytes().all(|byte| byte.is_ascii_digit()),
            "must have four digits",
        ),
        _ => (is_cron_field(text), "must be as in a cron timetable"),
    };
    if fits {
        Ok(())
    } else {
        Err(wrong(
            &field(within, key),
            &format!("{rule}, and not {}", short(&text.into())),
        ))
    }
}

/// Takes out keys whose value is null: they are as if they were not there.
pub(super) fn without_nulls(document: &mut Document) {
    document.retain(|_, value| !value.is_null());
}

/// Merges a patch into an object: objects key by key however deep, all other values replaced.
pub(super) fn merge(into: &mut Document, patch: &Document) {
    for (key, value) in patch {
        match (into.get_mut(key), value) {
            (Some(Value::Object(old)), Value::Object(new)) => merge(old, new),
            (Some(old), new) => *old = new.clone(),
            (None, new) => {
                into.insert(key.clone(), new.clone());
            }
        }
    }
}

/// Merges a patch into a timetable. When it says when, it says all of when: what it leaves out is
/// gone.
pub(super) fn merge_schedule(into: &mut Document, patch: &Document) {
    if patch.keys().any(|key| says_when(key)) {
        into.retain(|key, _| !says_when(key));
    }
    for (key, value) in patch {
        if value.is_null() {
            into.remove(key);
        } else {
            into.insert(key.clone(), value.clone());
        }
    }
}

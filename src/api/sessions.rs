//! Sessions: jobs of many clients that start together.
//!
//! A session row is locked before the rows of its jobs. Starts and ends of one session therefore
//! come one after the other, in however many processes, and each sees what the one before it has
//! done.

use super::auth::accounts::new_id;
use super::call::{Call, Reply};
use super::db::documents::{
    Beside, Document, JOBS, SESSIONS, Scope, Stored, sessions_started_before,
};
use super::db::{Database, Transaction};
use super::error::Failure;
use super::{fields, jobs};
use crate::model::job::{JobStatus, RunResult, Words};
use crate::model::{SessionEnd, SessionResult, SessionStart};
use axum::http::StatusCode;
use serde_json::{Value, json};

/// Seconds between two starts when the session does not say.
const USUAL_HOLD_OFF: i64 = 30;

/// `GET /sessions`.
pub(super) async fn list(call: &Call) -> Result<Reply, Failure> {
    call.listing(&SESSIONS, "sessions", call.scope(), call.search()?)
        .await
}

/// `GET /sessions/{id}`.
pub(super) async fn get(call: &Call) -> Result<Reply, Failure> {
    let row = SESSIONS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| Reply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /sessions`.
pub(super) async fn create(call: &Call) -> Result<Reply, Failure> {
    let id = new_id().map_err(|_| Failure::Internal("no random numbers"))?;
    let document = new(call, &id, &call.object()?)?;
    let mut transaction = call.server.database.begin().await?;
    SESSIONS
        .insert(
            &mut transaction,
            (&call.project, &id),
            &document,
            &beside(&document),
            call.now_us,
        )
        .await?;
    transaction.commit().await?;
    Ok(Reply::json(StatusCode::CREATED, &json!({ "session_id": id })).at_version(1))
}

/// `POST /sessions/{id}`: makes it, or puts another in its place. Its jobs stay.
pub(super) async fn replace(call: &Call) -> Result<Reply, Failure> {
    let (id, body) = (call.id("id"), call.object()?);
    fields::check_id(id, "session_id")?;
    let mut document = new(call, id, &body)?;
    let mut transaction = call.server.database.begin().await?;
    let version = match SESSIONS.locked(&mut transaction, &call.scope(), id).await? {
        Some(row) => {
            call.check_version(&row)?;
            if let Some(jobs) = row.document.get("jobs") {
                document.insert("jobs".into(), jobs.clone());
            }
            hand_on_schedule(call, &mut transaction, &row, &document).await?;
            SESSIONS
                .update(
                    &mut transaction,
                    &row,
                    &document,
                    &beside(&document),
                    call.now_us,
                )
                .await?
        }
        None => match SESSIONS
            .insert(
                &mut transaction,
                (&call.project, id),
                &document,
                &beside(&document),
                call.now_us,
            )
            .await
        {
            Err(error) if error.is_duplicate() => {
                return Err(Failure::Exists(format!(
                    "Session already exists with ID {id}"
                )));
            }
            done => done.map(|()| 1)?,
        },
    };
    transaction.commit().await?;
    Ok(Reply::json(
        StatusCode::CREATED,
        &json!({ "session_id": id, "version": version }),
    )
    .at_version(version))
}

/// `PATCH /sessions/{id}`.
pub(super) async fn update(call: &Call) -> Result<Reply, Failure> {
    let (id, mut patch) = (call.id("id"), call.object()?);
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    call.check_version(&row)?;
    for own in ["session_id", "project_id", "user_id"] {
        patch.remove(own);
    }
    let mut document = row.document.clone();
    if let Some(Value::Object(entries)) = patch.remove("jobs") {
        jobs_of(&mut document).extend(entries);
    }
    document.extend(patch);
    fill(&mut document);
    check(&document)?;
    hand_on_schedule(call, &mut transaction, &row, &document).await?;
    let version = SESSIONS
        .update(
            &mut transaction,
            &row,
            &document,
            &beside(&document),
            call.now_us,
        )
        .await?;
    transaction.commit().await?;
    Ok(Reply::json(
        StatusCode::OK,
        &json!({ "session_id": id, "version": version }),
    )
    .at_version(version))
}

/// `DELETE /sessions/{id}`: its jobs stay as they are.
pub(super) async fn delete(call: &Call) -> Result<Reply, Failure> {
    let mut transaction = call.server.database.begin().await?;
    let there = SESSIONS
        .delete(&mut transaction, &call.project, call.id("id"))
        .await?;
    transaction.commit().await?;
    call.deleted(there, "session")
}

/// `PUT /sessions/{id}/jobs/{job_id}`.
pub(super) async fn add_job(call: &Call) -> Result<Reply, Failure> {
    let (id, job_id) = (call.id("id"), call.id("job_id"));
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    let job = jobs::locked(call, &mut transaction, job_id).await?;
    let (mut session, mut document) = (row.document.clone(), job.document.clone());
    let schedule = session
        .get("schedule")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let Some(Value::Object(job_schedule)) = document.get_mut("job_schedule") else {
        return Err(Failure::Internal("a job without job_schedule"));
    };
    let entry = json!({
        "client_id": job.document.get("client_id"),
        "status": job_schedule.get("status").cloned().unwrap_or_else(|| "".into()),
        "result": job_schedule.get("result").cloned().unwrap_or_else(|| "".into()),
        "time_started": job_schedule.get("time_started").cloned().unwrap_or_else(|| (-1).into()),
        "time_ended": job_schedule.get("time_ended").cloned().unwrap_or_else(|| (-1).into()),
    });
    jobs_of(&mut session).insert(job_id.into(), entry);
    take_schedule(job_schedule, &schedule);
    document.insert("session_id".into(), id.into());
    document.insert(
        "session_tag".into(),
        session
            .get("session_tag")
            .cloned()
            .unwrap_or_else(|| 0.into()),
    );
    SESSIONS
        .update(
            &mut transaction,
            &row,
            &session,
            &beside(&session),
            call.now_us,
        )
        .await?;
    JOBS.update(
        &mut transaction,
        &job,
        &document,
        &Beside::default(),
        call.now_us,
    )
    .await?;
    transaction.commit().await?;
    Ok(Reply::nothing())
}

/// `DELETE /sessions/{id}/jobs/{job_id}`.
pub(super) async fn remove_job(call: &Call) -> Result<Reply, Failure> {
    let (id, job_id) = (call.id("id"), call.id("job_id"));
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    let mut session = row.document.clone();
    if jobs_of(&mut session).remove(job_id).is_some() {
        SESSIONS
            .update(
                &mut transaction,
                &row,
                &session,
                &beside(&session),
                call.now_us,
            )
            .await?;
    }
    if let Some(job) = JOBS.locked(&mut transaction, &call.scope(), job_id).await?
        && jobs::text_in(&job.document, "session_id") == id
    {
        let mut document = job.document.clone();
        document.insert("session_id".into(), "".into());
        document.insert("session_tag".into(), 0.into());
        if let Some(Value::Object(schedule)) = document.get_mut("job_schedule") {
            schedule.retain(|key, _| !fields::says_when(key));
            schedule.insert("event".into(), "stop".into());
        }
        JOBS.update(
            &mut transaction,
            &job,
            &document,
            &Beside::default(),
            call.now_us,
        )
        .await?;
    }
    transaction.commit().await?;
    Ok(Reply::nothing())
}

/// `POST /sessions/{id}/action`.
pub(super) async fn action(call: &Call) -> Result<Reply, Failure> {
    let body = call.object_or_empty()?;
    let Some((verb, wish)) = body.iter().next().filter(|_| body.len() == 1) else {
        return Err(Failure::invalid(
            "an action is an object with one key, start or end",
        ));
    };
    if verb != "start" && verb != "end" {
        return Err(Failure::BadVerb("Bad Action Method".into()));
    }
    let wish = wish
        .as_object()
        .ok_or_else(|| Failure::invalid(format!("{verb} must be an object")))?;
    let job_id = fields::text(wish, "job_id", verb)?
        .ok_or_else(|| Failure::invalid(format!("{verb}.job_id is missing")))?;
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, call.id("id")).await?;
    let mut session = row.document.clone();
    let result = if verb == "start" {
        start(call, &mut session, job_id, wish)?
    } else {
        end(call, &mut session, job_id, wish)?
    };
    let tag = session
        .get("session_tag")
        .cloned()
        .unwrap_or_else(|| 0.into());
    if session != row.document {
        SESSIONS
            .update(
                &mut transaction,
                &row,
                &session,
                &beside(&session),
                call.now_us,
            )
            .await?;
    }
    transaction.commit().await?;
    Ok(Reply::json(
        StatusCode::ACCEPTED,
        &json!({ "result": result, "session_tag": tag }),
    ))
}

/// The entry of a job in a session, that the caller may change.
fn entry_of<'s>(
    call: &Call,
    session: &'s mut Document,
    job_id: &str,
) -> Result<&'s mut Document, Failure> {
    let entry = jobs_of(session)
        .get_mut(job_id)
        .and_then(Value::as_object_mut);
    let entry = entry
        .ok_or_else(|| Failure::invalid(format!("job_id {job_id:?} is not in the session")))?;
    match &call.identity.client_id {
        Some(client) if jobs::text_in(entry, "client_id") != client => Err(Failure::Forbidden),
        _ => Ok(entry),
    }
}

fn start(
    call: &Call,
    session: &mut Document,
    job_id: &str,
    wish: &Document,
) -> Result<&'static str, Failure> {
    let known_tag = tag_of(wish, "start")?
        .ok_or_else(|| Failure::invalid("start.current_tag must be an integer"))?;
    let number = |key: &str, usual| session.get(key).and_then(Value::as_i64).unwrap_or(usual);
    let tag = number("session_tag", 0);
    let since = call.now.saturating_sub(number("time_start", -1));
    let becomes = SessionStart::of(tag, known_tag, since, number("hold_off", 60));
    let entry = entry_of(call, session, job_id)?;
    let tag = match becomes {
        SessionStart::TagTooHigh => return Err(Failure::invalid("requested tag value too high")),
        SessionStart::HoldOff => return Ok("hold-off"),
        SessionStart::OutOfSync => return Ok("out-of-sync"),
        SessionStart::Open => tag.saturating_add(1),
        SessionStart::Join => tag,
    };
    entry.insert("status".into(), "running".into());
    entry.insert("result".into(), "".into());
    entry.insert("time_started".into(), call.now.into());
    entry.insert("session_tag".into(), tag.into());
    if becomes == SessionStart::Open {
        session.insert("session_tag".into(), tag.into());
        session.insert("time_start".into(), call.now.into());
    }
    // Also for one that joins: those before it may have ended already, and the session with them.
    session.insert("status".into(), "running".into());
    session.insert("result".into(), "".into());
    Ok("success")
}

/// The tag that a client knows; none where it says none. The command line of the original sends it
/// as text.
fn tag_of(wish: &Document, verb: &str) -> Result<Option<i64>, Failure> {
    let tag = match wish.get("current_tag") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_i64(),
    };
    tag.map(Some)
        .ok_or_else(|| Failure::invalid(format!("{verb}.current_tag must be an integer")))
}

fn end(
    call: &Call,
    session: &mut Document,
    job_id: &str,
    wish: &Document,
) -> Result<&'static str, Failure> {
    let result = fields::text(wish, "result", "end")?.unwrap_or("");
    if !["success", "fail", "aborted"].contains(&result) {
        return Err(Failure::invalid(
            "end.result must be one of success, fail, aborted",
        ));
    }
    let (told, present) = (
        tag_of(wish, "end")?,
        session
            .get("session_tag")
            .and_then(Value::as_i64)
            .unwrap_or(0),
    );
    let entry = entry_of(call, session, job_id)?;
    let of = SessionEnd::of(
        present,
        entry.get("session_tag").and_then(Value::as_i64),
        told,
    );
    if of == SessionEnd::Superseded {
        return Ok("out-of-sync");
    }
    entry.insert("status".into(), "completed".into());
    entry.insert("result".into(), result.into());
    entry.insert("time_ended".into(), call.now.into());
    if of == SessionEnd::Former {
        return Ok("success");
    }
    entry.insert("session_tag".into(), present.into());
    let result = match SessionResult::of(
        states(session)
            .map(|(status, result)| (JobStatus::of_word(status), RunResult::of_word(result))),
    ) {
        SessionResult::Running => None,
        SessionResult::Success => Some("success"),
        SessionResult::Fail => Some("fail"),
    };
    if let Some(result) = result.filter(|_| jobs::text_in(session, "status") != "completed") {
        session.insert("time_end".into(), call.now.into());
        session.insert("status".into(), "completed".into());
        session.insert("result".into(), result.into());
    }
    Ok("success")
}

/// Ends sessions that were started before that second and whose nodes have not all said how they
/// ended.
pub(super) async fn time_out(
    database: &Database,
    started_before: i64,
    now: i64,
    now_us: i64,
) -> Result<usize, Failure> {
    let mut ended = 0;
    for (project, id) in sessions_started_before(database, started_before).await? {
        let mut transaction = database.begin().await?;
        let Some(row) = SESSIONS
            .locked(&mut transaction, &Scope::Project(project), &id)
            .await?
        else {
            continue;
        };
        let mut session = row.document.clone();
        let started = session
            .get("time_start")
            .and_then(Value::as_i64)
            .unwrap_or(-1);
        // Another process may have been here first, or it was started anew.
        if jobs::text_in(&session, "status") != "running" || started >= started_before {
            continue;
        }
        for (_, entry) in jobs_of(&mut session).iter_mut() {
            if let Value::Object(entry) = entry
                && jobs::text_in(entry, "status") == "running"
            {
                entry.insert("status".into(), "completed".into());
                entry.insert("result".into(), "timeout".into());
                entry.insert("time_ended".into(), now.into());
            }
        }
        session.insert("status".into(), "completed".into());
        session.insert("result".into(), "timeout".into());
        session.insert("time_end".into(), now.into());
        SESSIONS
            .update(&mut transaction, &row, &session, &beside(&session), now_us)
            .await?;
        transaction.commit().await?;
        tracing::warn!(session = %id, "a session has timed out: not all of its nodes said how they ended");
        ended += 1;
    }
    Ok(ended)
}

async fn locked(call: &Call, transaction: &mut Transaction, id: &str) -> Result<Stored, Failure> {
    let row = SESSIONS.locked(transaction, &call.scope(), id).await?;
    row.ok_or_else(|| Failure::NotFound(format!("No session found with ID:{id}")))
}

/// The second in which it was last started.
pub(super) fn beside(session: &Document) -> Beside {
    Beside {
        number: Some(
            session
                .get("time_start")
                .and_then(Value::as_i64)
                .unwrap_or(-1),
        ),
        ..Beside::default()
    }
}

/// How the jobs stand that are in the present run, or have not been in any: what is left of an
/// earlier one says nothing of it.
fn states(session: &Document) -> impl Iterator<Item = (&str, &str)> {
    let entries = session
        .get("jobs")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let present = session
        .get("session_tag")
        .and_then(Value::as_i64)
        .unwrap_or(0);
    entries
        .filter_map(|(_, entry)| entry.as_object())
        .filter(move |entry| {
            entry
                .get("session_tag")
                .and_then(Value::as_i64)
                .is_none_or(|tag| tag >= present)
        })
        .map(|entry| {
            (
                jobs::text_in(entry, "status"),
                jobs::text_in(entry, "result"),
            )
        })
}

/// The jobs of a session, by id.
fn jobs_of(session: &mut Document) -> &mut Document {
    let jobs = session.entry("jobs").or_insert_with(|| json!({}));
    if !jobs.is_object() {
        *jobs = json!({});
    }
    jobs.as_object_mut().expect("it was made one above")
}

fn check(body: &Document) -> Result<(), Failure> {
    let schedule = fields::object(body, "schedule", "")?
        .ok_or_else(|| Failure::invalid("'schedule' is a required property"))?;
    fields::schedule(schedule, "schedule")?;
    for key in ["description", "status", "result"] {
        fields::text(body, key, "")?;
    }
    for key in [
        "session_tag",
        "hold_off",
        "time_start",
        "time_end",
        "time_started",
        "time_ended",
    ] {
        fields::integer(body, key, "")?;
    }
    let entries = fields::object(body, "jobs", "")?.into_iter().flatten();
    match entries.into_iter().find(|(_, entry)| !entry.is_object()) {
        Some((job, _)) => Err(Failure::invalid(format!("jobs.{job} must be an object"))),
        None => Ok(()),
    }
}

fn new(call: &Call, id: &str, body: &Document) -> Result<Document, Failure> {
    let mut document = body.clone();
    document.insert("jobs".into(), json!({}));
    document.insert("session_id".into(), id.into());
    document.insert("project_id".into(), call.project.as_str().into());
    document.insert("user_id".into(), call.identity.user_id.as_str().into());
    fill(&mut document);
    check(&document)?;
    Ok(document)
}

/// Sees to it that what readers rely on is there, and is no null.
fn fill(document: &mut Document) {
    let usual = [
        ("session_tag", json!(0)),
        ("hold_off", json!(USUAL_HOLD_OFF)),
        ("status", json!("active")),
        ("description", json!("")),
        ("time_start", json!(-1)),
        ("time_end", json!(-1)),
        ("time_started", json!(-1)),
        ("time_ended", json!(-1)),
    ];
    for (key, usual) in usual {
        let value = document.entry(key).or_insert(Value::Null);
        if value.is_null() {
            *value = usual;
        }
    }
    document.entry("result").or_insert(Value::Null);
}

/// Takes a session's timetable over into a job's.
fn take_schedule(job_schedule: &mut Document, schedule: &Document) {
    job_schedule.retain(|key, _| !fields::says_when(key));
    let when = schedule
        .iter()
        .filter(|(key, value)| fields::says_when(key) && !value.is_null());
    job_schedule.extend(when.map(|(key, value)| (key.clone(), value.clone())));
}

/// Gives a changed timetable to the jobs of a session.
async fn hand_on_schedule(
    call: &Call,
    transaction: &mut Transaction,
    row: &Stored,
    changed: &Document,
) -> Result<(), Failure> {
    if row.document.get("schedule") == changed.get("schedule") {
        return Ok(());
    }
    let schedule = changed
        .get("schedule")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let mut ids: Vec<&String> = changed
        .get("jobs")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Document::keys)
        .collect();
    ids.sort_unstable();
    for id in ids {
        if id.contains(char::is_control) {
            continue;
        }
        let Some(job) = JOBS.locked(transaction, &call.scope(), id).await? else {
            continue;
        };
        if jobs::text_in(&job.document, "session_id") != row.id {
            continue;
        }
        let mut document = job.document.clone();
        if let Some(Value::Object(job_schedule)) = document.get_mut("job_schedule") {
            take_schedule(job_schedule, &schedule);
        }
        JOBS.update(
            transaction,
            &job,
            &document,
            &Beside::default(),
            call.now_us,
        )
        .await?;
    }
    Ok(())
}

//! Sessions: jobs of many clients that start together.
//!
//! A session row is locked before the rows of its jobs. Starts and ends of one session therefore
//! come one after the other, in however many processes, and each sees what the one before it has
//! done.

use super::auth::accounts::new_id;
use super::call::{ApiCall, ApiReply};
use super::db::documents::{
    Beside, JOBS, RowKey, RowScope, SESSIONS, StoredRow, sessions_started_before,
};
use super::db::{Database, Transaction};
use super::error::Failure;
use super::jobs;
use crate::model::job::{
    Documented, Field, Job, JobEvent, JobSession, JobStatus, SessionCall, SessionJob, SessionJobs,
    SessionStatus, SessionVerb, TIMEOUT, When, Words, WrongField,
};
use crate::model::{SessionEnd, SessionResult, SessionStart};
use axum::http::StatusCode;
use serde_json::json;

/// `GET /sessions`.
pub(super) async fn list(call: &ApiCall) -> Result<ApiReply, Failure> {
    call.listing(&SESSIONS, "sessions", call.scope(), call.search()?)
        .await
}

/// `GET /sessions/{id}`.
pub(super) async fn get(call: &ApiCall) -> Result<ApiReply, Failure> {
    let row = SESSIONS
        .get(&call.server.database, &call.scope(), call.id("id"))
        .await?;
    row.map(|row| ApiReply::object(&row)).ok_or(Failure::Absent)
}

/// `POST /sessions`.
pub(super) async fn create(call: &ApiCall) -> Result<ApiReply, Failure> {
    let id = new_id().map_err(|_| Failure::Internal("no random numbers"))?;
    let session = new(call, &id, JobSession::of(call.object()?))?;
    let mut transaction = call.server.database.begin().await?;
    insert(call, &mut transaction, &id, &session).await?;
    transaction.commit().await?;
    Ok(ApiReply::json(StatusCode::CREATED, &json!({ "session_id": id })).at_version(1))
}

/// `POST /sessions/{id}`: makes it, or puts another in its place. Its jobs stay.
pub(super) async fn replace(call: &ApiCall) -> Result<ApiReply, Failure> {
    let id = call.id_to_make("session_id")?;
    let mut session = new(call, id, JobSession::of(call.object()?))?;
    let mut transaction = call.server.database.begin().await?;
    let version = match SESSIONS.locked(&mut transaction, &call.scope(), id).await? {
        Some(row) => {
            call.check_version(&row)?;
            let stored = row.read::<JobSession>();
            if !stored.jobs.is_absent() {
                session.jobs = stored.jobs.clone();
            }
            hand_on_schedule(call, &mut transaction, &row, &session).await?;
            write(call, &mut transaction, &row, &session).await?
        }
        None => {
            insert(call, &mut transaction, id, &session).await?;
            1
        }
    };
    transaction.commit().await?;
    Ok(ApiReply::json(
        StatusCode::CREATED,
        &json!({ "session_id": id, "version": version }),
    )
    .at_version(version))
}

/// `PATCH /sessions/{id}`.
pub(super) async fn update(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, mut patch) = (call.id("id"), JobSession::of(call.object()?));
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    call.check_version(&row)?;
    patch.session_id = Field::Absent;
    patch.project_id = Field::Absent;
    patch.user_id = Field::Absent;
    let mut session = row.read::<JobSession>();
    if let Some(entries) = std::mem::take(&mut patch.jobs).into_value() {
        session.jobs.get_or_new().0.extend(entries.0);
    }
    session.overlay(&patch);
    session.fill();
    session.check_all()?;
    hand_on_schedule(call, &mut transaction, &row, &session).await?;
    let version = write(call, &mut transaction, &row, &session).await?;
    transaction.commit().await?;
    Ok(ApiReply::json(
        StatusCode::OK,
        &json!({ "session_id": id, "version": version }),
    )
    .at_version(version))
}

/// `DELETE /sessions/{id}`: its jobs stay as they are.
pub(super) async fn delete(call: &ApiCall) -> Result<ApiReply, Failure> {
    let mut transaction = call.server.database.begin().await?;
    let there = SESSIONS
        .delete(&mut transaction, &call.project, call.id("id"))
        .await?;
    transaction.commit().await?;
    call.deleted(there, "session")
}

/// `PUT /sessions/{id}/jobs/{job_id}`.
pub(super) async fn add_job(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, job_id) = (call.id("id"), call.id("job_id"));
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    let job_row = jobs::locked(call, &mut transaction, job_id).await?;
    let (mut session, mut job) = (row.read::<JobSession>(), job_row.read::<Job>());
    let when = when_of(&session);
    let Some(schedule) = job.job_schedule.get_mut() else {
        return Err(Failure::Internal("a job without job_schedule"));
    };
    let mut entry = SessionJob {
        client_id: job.client_id.clone(),
        status: schedule.course.status.clone(),
        result: schedule.course.result.text().into(),
        time_started: schedule.course.time_started.clone(),
        time_ended: schedule.course.time_ended.clone(),
        ..SessionJob::default()
    };
    entry.fill();
    let jobs = session.jobs.get_or_new();
    jobs.0.insert(job_id.to_owned(), Field::Is(entry));
    schedule.when = when;
    job.session_id = id.into();
    job.session_tag = session.session_tag.clone();
    job.session_tag.fill(0);
    write(call, &mut transaction, &row, &session).await?;
    write_job(call, &mut transaction, &job_row, &job).await?;
    transaction.commit().await?;
    Ok(ApiReply::nothing())
}

/// `DELETE /sessions/{id}/jobs/{job_id}`.
pub(super) async fn remove_job(call: &ApiCall) -> Result<ApiReply, Failure> {
    let (id, job_id) = (call.id("id"), call.id("job_id"));
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, id).await?;
    let mut session = row.read::<JobSession>();
    if session.jobs.get_or_new().0.remove(job_id).is_some() {
        write(call, &mut transaction, &row, &session).await?;
    }
    if let Some(job_row) = JOBS.locked(&mut transaction, &call.scope(), job_id).await? {
        let mut job = job_row.read::<Job>();
        if job.session_id.text() == id {
            job.session_id = "".into();
            job.session_tag = 0.into();
            if let Some(schedule) = job.job_schedule.get_mut() {
                schedule.when = When::default();
                schedule.course.event = JobEvent::Stop.into();
            }
            write_job(call, &mut transaction, &job_row, &job).await?;
        }
    }
    transaction.commit().await?;
    Ok(ApiReply::nothing())
}

/// `POST /sessions/{id}/action`.
pub(super) async fn action(call: &ApiCall) -> Result<ApiReply, Failure> {
    let body = call.object_or_empty()?;
    let one = body.into_iter().collect::<Vec<_>>();
    let [(word, said)] = &one[..] else {
        return Err(Failure::invalid(
            "an action is an object with one key, start or end",
        ));
    };
    let verb =
        SessionVerb::of_word(word).ok_or_else(|| Failure::BadVerb("Bad Action Method".into()))?;
    let said = said
        .as_object()
        .ok_or_else(|| WrongField::new(word, "must be an object"))?;
    // The command line of the original sends the tag as text.
    let said = SessionCall::leniently(said.clone());
    said.job_id.check(&format!("{word}.job_id"))?;
    said.current_tag.check(&format!("{word}.current_tag"))?;
    if said.job_id.is_unsaid() {
        return Err(Failure::invalid(format!("{word}.job_id is missing")));
    }
    let mut transaction = call.server.database.begin().await?;
    let row = locked(call, &mut transaction, call.id("id")).await?;
    let stored = row.read::<JobSession>();
    let mut session = stored.clone();
    let result = match verb {
        SessionVerb::Start => start(call, &mut session, &said)?,
        SessionVerb::End => end(call, &mut session, &said)?,
    };
    if session != stored {
        write(call, &mut transaction, &row, &session).await?;
    }
    transaction.commit().await?;
    session.session_tag.fill(0);
    Ok(ApiReply::json(
        StatusCode::ACCEPTED,
        &json!({ "result": result, "session_tag": session.session_tag }),
    ))
}

/// The entry of a job in a session, that the caller may change.
fn entry_of<'s>(
    call: &ApiCall,
    session: &'s mut JobSession,
    job_id: &str,
) -> Result<&'s mut SessionJob, Failure> {
    let entry = session
        .job_mut(job_id)
        .ok_or_else(|| Failure::invalid(format!("job_id {job_id:?} is not in the session")))?;
    match &call.identity.client_id {
        Some(client) if entry.client_id.text() != client => Err(Failure::Forbidden),
        _ => Ok(entry),
    }
}

fn start(
    call: &ApiCall,
    session: &mut JobSession,
    said: &SessionCall,
) -> Result<&'static str, Failure> {
    let Some(known_tag) = said.current_tag.get().copied() else {
        return Err(WrongField::new("start.current_tag", "must be an integer").into());
    };
    let since = call.now.saturating_sub(session.last_start());
    let becomes = SessionStart::of(session.tag(), known_tag, since, session.hold_off());
    let present = session.tag();
    let entry = entry_of(call, session, said.job_id.text())?;
    let tag = match becomes {
        SessionStart::TagTooHigh => return Err(Failure::invalid("requested tag value too high")),
        SessionStart::HoldOff => return Ok("hold-off"),
        SessionStart::OutOfSync => return Ok(OUT_OF_SYNC),
        SessionStart::Open => present.saturating_add(1),
        SessionStart::Join => present,
    };
    entry.status = JobStatus::Running.into();
    entry.result = "".into();
    entry.time_started = call.now.into();
    entry.session_tag = tag.into();
    if becomes == SessionStart::Open {
        session.session_tag = tag.into();
        session.time_start = call.now.into();
    }
    // Also for one that joins: those before it may have ended already, and the session with them.
    session.status = SessionStatus::Running.word().into();
    session.result = "".into();
    Ok(DONE)
}

/// What a node is told whose start or end is taken.
const DONE: &str = "success";
/// What a node is told that has missed a start.
const OUT_OF_SYNC: &str = "out-of-sync";

fn end(
    call: &ApiCall,
    session: &mut JobSession,
    said: &SessionCall,
) -> Result<&'static str, Failure> {
    let Some(result) = said.result.said() else {
        let rule = "must be one of success, fail, aborted";
        return Err(WrongField::new("end.result", rule).into());
    };
    let present = session.tag();
    let entry = entry_of(call, session, said.job_id.text())?;
    let started = entry.session_tag.get().copied();
    let of = SessionEnd::of(present, started, said.current_tag.get().copied());
    if of == SessionEnd::Superseded {
        return Ok(OUT_OF_SYNC);
    }
    entry.end(result.word(), call.now);
    if of == SessionEnd::Former {
        return Ok(DONE);
    }
    entry.session_tag = present.into();
    let result = match session.outcome() {
        SessionResult::Running => None,
        SessionResult::Success => Some("success"),
        SessionResult::Fail => Some("fail"),
    };
    if let Some(result) = result.filter(|_| !session.is(SessionStatus::Completed)) {
        session.end(result, call.now);
    }
    Ok(DONE)
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
            .locked(&mut transaction, &RowScope::Project(project), &id)
            .await?
        else {
            continue;
        };
        let mut session = row.read::<JobSession>();
        // Another process may have been here first, or it was started anew.
        if !session.is(SessionStatus::Running) || session.last_start() >= started_before {
            continue;
        }
        let jobs = session.jobs.get_mut().into_iter();
        for job in jobs.flat_map(|jobs| jobs.0.values_mut()) {
            if let Some(job) = job.get_mut()
                && job.status.said() == Some(JobStatus::Running)
            {
                job.end(TIMEOUT, now);
            }
        }
        session.end(TIMEOUT, now);
        SESSIONS
            .update(
                &mut transaction,
                &row,
                &session.document(),
                &beside(&session),
                now_us,
            )
            .await?;
        transaction.commit().await?;
        tracing::warn!(
            session = %id,
            "a session has timed out: not all nodes have reported the end",
        );
        ended += 1;
    }
    Ok(ended)
}

async fn locked(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
) -> Result<StoredRow, Failure> {
    let row = SESSIONS.locked(transaction, &call.scope(), id).await?;
    row.ok_or_else(|| Failure::NotFound(format!("No session found with ID:{id}")))
}

/// The second in which it was last started.
pub(super) fn beside(session: &JobSession) -> Beside {
    Beside {
        number: Some(session.last_start()),
        ..Beside::default()
    }
}

fn new(call: &ApiCall, id: &str, session: JobSession) -> Result<JobSession, Failure> {
    let mut session = session;
    session.jobs = Field::Is(SessionJobs::default());
    session.session_id = id.into();
    session.project_id = call.project.as_str().into();
    session.user_id = call.identity.user_id.as_str().into();
    session.fill();
    session.check_all()?;
    Ok(session)
}

async fn insert(
    call: &ApiCall,
    transaction: &mut Transaction,
    id: &str,
    session: &JobSession,
) -> Result<(), Failure> {
    let key = RowKey {
        project: &call.project,
        id,
    };
    let (document, beside) = (session.document(), beside(session));
    match SESSIONS
        .insert(transaction, key, &document, &beside, call.now_us)
        .await
    {
        Err(error) if error.is_duplicate() => Err(Failure::Exists(format!(
            "Session already exists with ID {id}"
        ))),
        done => Ok(done?),
    }
}

async fn write(
    call: &ApiCall,
    transaction: &mut Transaction,
    row: &StoredRow,
    session: &JobSession,
) -> Result<i64, Failure> {
    let (document, beside) = (session.document(), beside(session));
    Ok(SESSIONS
        .update(transaction, row, &document, &beside, call.now_us)
        .await?)
}

async fn write_job(
    call: &ApiCall,
    transaction: &mut Transaction,
    row: &StoredRow,
    job: &Job,
) -> Result<i64, Failure> {
    let (document, beside) = (job.document(), Beside::default());
    Ok(JOBS
        .update(transaction, row, &document, &beside, call.now_us)
        .await?)
}

/// When the jobs of a session run.
fn when_of(session: &JobSession) -> When {
    let mut schedule = session.schedule.get().cloned().unwrap_or_default();
    schedule.drop_nulls();
    schedule.when
}

/// Gives a changed timetable to the jobs of a session.
async fn hand_on_schedule(
    call: &ApiCall,
    transaction: &mut Transaction,
    row: &StoredRow,
    changed: &JobSession,
) -> Result<(), Failure> {
    if row.read::<JobSession>().schedule == changed.schedule {
        return Ok(());
    }
    let when = when_of(changed);
    let jobs = changed.jobs.get().into_iter();
    // In the order of their ids, so that two changes lock them in the same order.
    for id in jobs.flat_map(|jobs| jobs.0.keys()) {
        if id.contains(char::is_control) {
            continue;
        }
        let Some(job_row) = JOBS.locked(transaction, &call.scope(), id).await? else {
            continue;
        };
        let mut job = job_row.read::<Job>();
        if job.session_id.text() != row.id {
            continue;
        }
        if let Some(schedule) = job.job_schedule.get_mut() {
            schedule.when = when.clone();
        }
        write_job(call, transaction, &job_row, &job).await?;
    }
    Ok(())
}

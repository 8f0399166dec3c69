//! What is said to the server, and what it says: polls, reports, claims, sessions, and what could
//! not be sent yet.

use super::book::Occasion;
use super::connection::{ApiConnection, ApiError, ListPart, Resource};
use super::known::SharedState;
use super::outbox::Outbox;
use crate::model::job::{
    BackupMetadata, ClientInfo, Course, Documented, Field, Job, JobStatus, RunResult, SessionCall,
    SessionVerb, SomeWords, Words,
};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io;

/// How often a change is tried that another one was faster than.
const TRIES: usize = 8;
/// How often a session is told that a job starts, when no answer comes.
const TRIES_TO_JOIN: usize = 3;

/// What a client says that it can do. The words of our own actions are left out where a server does
/// not know them.
const MODES: [&str; 1] = ["fs"];
const STORAGES: [&str; 4] = ["local", "swift", "ssh", "s3"];
const ENGINES: [&str; 3] = ["tar", "rsync", "rsyncv2"];
const ACTIONS: [&str; 4] = ["backup", "restore", "info", "admin"];
const OUR_ACTIONS: [&str; 7] = [
    "mount", "umount", "check", "prune", "repack", "repair", "sync",
];

/// How this node is registered.
#[derive(Clone, Debug)]
pub struct NodeIdentity {
    /// The client id.
    pub client_id: String,
    /// Its name in the network.
    pub host: String,
    /// Whether it does what commands of the server say.
    pub commands: bool,
    /// Whether the original's agent does the actions, which knows more of them than `freezer`.
    pub original: bool,
}

/// The answer to a claim of a run.
#[derive(Debug)]
pub(super) enum ClaimAnswer {
    /// The run is ours.
    Mine,
    /// Another scheduler of this client runs it, or has; or a person wants something else of it.
    Taken,
}

/// The answer of a session to the start of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JoinAnswer {
    /// The run goes on.
    Go,
    /// This node was in the last start, a moment ago.
    TooEarly,
}

/// The connection to a server, with the messages that could not be sent yet.
#[derive(Debug)]
pub(super) struct Talk {
    connection: ApiConnection,
    known: SharedState,
    outbox: Outbox,
}

impl Talk {
    pub(super) fn new(connection: ApiConnection, known: SharedState, outbox: Outbox) -> Self {
        Self {
            connection,
            known,
            outbox,
        }
    }

    /// Returns the id of the project of the connection.
    pub(super) fn project(&self) -> Result<String, ApiError> {
        self.connection.project()
    }

    /// Registers this node; that it is registered already is fine.
    pub(super) fn register(&self, node: &NodeIdentity) -> Result<(), ApiError> {
        let commands: &[&str] = if node.commands { &["exec"] } else { &[] };
        let with_ours: Vec<&str> = ACTIONS
            .iter()
            .chain(commands)
            .chain(&OUR_ACTIONS)
            .copied()
            .collect();
        let without_ours: Vec<&str> = ACTIONS.iter().chain(commands).copied().collect();
        let document = |actions: &[&str]| {
            let mut info = ClientInfo {
                client_id: node.client_id.as_str().into(),
                hostname: node.host.as_str().into(),
                supported_actions: SomeWords::field(actions),
                ..ClientInfo::default()
            };
            if !node.original {
                info.supported_modes = SomeWords::field(&MODES);
                info.supported_storages = SomeWords::field(&STORAGES);
                info.supported_engines = SomeWords::field(&ENGINES);
            }
            Value::Object(info.document())
        };
        let first = if node.original {
            &without_ours
        } else {
            &with_ours
        };
        let result = match self.connection.create(Resource::Clients, &document(first)) {
            Err(ApiError::Refused { status: 400, .. }) => self
                .connection
                .create(Resource::Clients, &document(&without_ours)),
            result => result,
        };
        match result {
            Ok(_) | Err(ApiError::Refused { status: 409, .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All jobs of this node that are not over.
    pub(super) fn jobs(&self, client_id: &str) -> Result<Vec<Job>, ApiError> {
        let of_this_node = Job {
            client_id: client_id.into(),
            ..Job::default()
        };
        let over = Course {
            status: JobStatus::Completed.into(),
            ..Course::default()
        };
        let search = json!({ "match_not": [over], "match": [of_this_node] });
        let jobs = self
            .connection
            .all(Resource::Jobs, &search, "&all_projects=False")?;
        let jobs = jobs.into_iter().map(Job::leniently_of);
        Ok(jobs
            .filter(|job| job.client_id.text() == client_id)
            .collect())
    }

    /// Tells the server how a job stands.
    pub(super) fn report(&self, id: &str, now: Timestamp) -> Result<(), ApiError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fresh = self.connection.get(Resource::Jobs, id)?;
            let Some((document, version)) =
                fresh.map(|answer| (Job::leniently_of(answer.body), answer.version))
            else {
                self.known.lock().book.sent(id, None);
                return Ok(());
            };
            let patch = {
                let book = &mut self.known.lock().book;
                if book.is_claiming(id) {
                    // It has begun since: what there is to tell is told with the claim.
                    return Ok(());
                }
                if book.is_foreign(id, &document, now) {
                    book.sent(id, None);
                    return Ok(());
                }
                book.patch(id, &document)
            };
            let Some(patch) = patch else { return Ok(()) };
            match self
                .connection
                .update(Resource::Jobs, id, &body(&patch), version.as_deref())
            {
                Err(error) if error.is_conflict() && tries < TRIES => {}
                Err(ApiError::Refused { status: 404, .. }) => {
                    self.known.lock().book.sent(id, None);
                    return Ok(());
                }
                Err(error) => return Err(error),
                Ok(_) => {
                    self.known.lock().book.sent(id, Some(&patch));
                    return Ok(());
                }
            }
        }
    }

    /// Makes a run ours, by a change of its document that only one can make. The book has it begun
    /// already.
    pub(super) fn claim(
        &self,
        id: &str,
        due: &Occasion,
        now: Timestamp,
    ) -> Result<ClaimAnswer, ApiError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let fresh = self.connection.get(Resource::Jobs, id)?;
            let Some((document, version)) =
                fresh.map(|answer| (Job::leniently_of(answer.body), answer.version))
            else {
                return Ok(ClaimAnswer::Taken);
            };
            let patch = {
                let book = &self.known.lock().book;
                if !book.is_due_still(id, &document, due, now) {
                    return Ok(ClaimAnswer::Taken);
                }
                book.patch(id, &document)
            };
            let Some(patch) = patch else {
                return Ok(ClaimAnswer::Taken);
            };
            match self
                .connection
                .update(Resource::Jobs, id, &body(&patch), version.as_deref())
            {
                Err(error) if error.is_conflict() && tries < TRIES => {}
                Err(ApiError::Refused { status: 404, .. }) => return Ok(ClaimAnswer::Taken),
                Err(error) => return Err(error),
                Ok(_) => {
                    self.known.lock().book.sent(id, Some(&patch));
                    return Ok(ClaimAnswer::Mine);
                }
            }
        }
    }

    /// Starts a job's part in its session, if it is in one.
    pub(super) fn join(&self, id: &str) -> JoinAnswer {
        let Some((session, tag)) = self.note_start(id) else {
            return JoinAnswer::Go;
        };
        let said = self.say_start(id, &session, tag);
        let book = &mut self.known.lock().book;
        match said {
            Ok((result, tag)) if result == RunResult::Success.word() => {
                book.in_session(id, Some(&session), tag);
                JoinAnswer::Go
            }
            Ok((result, _)) if result == "hold-off" => {
                book.in_session(id, None, tag);
                JoinAnswer::TooEarly
            }
            Ok((result, tag)) => {
                // It has missed a start. Its backup is made all the same, and with the tag it is in
                // the next one.
                tracing::warn!(
                    job = %id,
                    session = %session,
                    result = %result,
                    "a job runs outside of its session: it has missed a start",
                );
                book.in_session(id, None, tag);
                JoinAnswer::Go
            }
            // It may have heard of it all the same: then it is told of the end, and does not wait
            // for it.
            Err(error) if error.is_away() => {
                tracing::warn!(
                    job = %id,
                    session = %session,
                    error = &error as &dyn std::error::Error,
                    "a job runs though its session does not answer",
                );
                JoinAnswer::Go
            }
            Err(error) => {
                tracing::warn!(
                    job = %id,
                    session = %session,
                    error = &error as &dyn std::error::Error,
                    "a job runs outside of its session: the server refuses its start",
                );
                book.in_session(id, None, tag);
                JoinAnswer::Go
            }
        }
    }

    /// Notes that a job starts in its session, before the session hears of it: after a crash the
    /// next scheduler ends what this one has begun, and no session waits for it. Returns the
    /// session and the last start of it that the job knows of; nothing for a job without a session,
    /// and for one whose start cannot be written.
    fn note_start(&self, id: &str) -> Option<(String, i64)> {
        let mut known = self.known.lock();
        let session = known.book.document(id)?.session_id.text().to_owned();
        if session.is_empty() {
            return None;
        }
        let tag = known.book.record(id)?.session_tag;
        known.book.may_be_in_session(id, &session);
        if let Err(error) = known.remember() {
            tracing::warn!(
                job = %id,
                session = %session,
                error = &error as &dyn std::error::Error,
                "a job runs outside of its session: the journal cannot be written",
            );
            known.book.in_session(id, None, tag);
            return None;
        }
        Some((session, tag))
    }

    /// Tells a session that a job starts; what it says to that, and the tag. A start whose answer
    /// was lost is one that is joined by the next try.
    fn say_start(&self, id: &str, session: &str, tag: i64) -> Result<(String, i64), ApiError> {
        let start = SessionCall {
            job_id: id.into(),
            current_tag: tag.into(),
            ..SessionCall::default()
        }
        .body(SessionVerb::Start);
        let mut said = self.connection.session_action(session, &start);
        for _ in 1..TRIES_TO_JOIN {
            if said.as_ref().is_err_and(ApiError::is_away) {
                said = self.connection.session_action(session, &start);
            }
        }
        said
    }

    /// Sends what was kept, the oldest first, until the server is away.
    pub(super) fn send_kept(&self) -> Result<(), ApiError> {
        for file in self.outbox.kept() {
            let message = match self.outbox.read(&file) {
                Ok(Some(message)) => message,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => {
                    tracing::error!(
                        %error,
                        file = %file.display(),
                        "a message about a run cannot be read; it is tried again",
                    );
                    continue;
                }
            };
            match self.send(&message) {
                Err(error) if error.is_away() || matches!(error.status(), Some(401 | 403)) => {
                    return Err(error);
                }
                // It will not take it tomorrow either.
                Err(error) => tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the server refuses a message about a run; it is dropped"
                ),
                Ok(()) => {}
            }
            self.outbox.done(&file);
        }
        Ok(())
    }

    fn send(&self, message: &Value) -> Result<(), ApiError> {
        if let Some(session) = message.get("session").and_then(Value::as_str) {
            return self
                .connection
                .session_action(session, &message["action"])
                .map(drop);
        }
        let metadata = message.get("backup").and_then(BackupMetadata::of_agent);
        if let Some(Field::Is(Value::Array(gone))) =
            metadata.map(|metadata| metadata.deleted_freezer_backup_ids)
        {
            return gone
                .iter()
                .filter_map(Value::as_str)
                .try_for_each(|id| self.connection.delete(Resource::Backups, id));
        }
        match (
            message.get("backup"),
            message.get("id").and_then(Value::as_str),
        ) {
            (Some(backup), Some(id)) => self.record(id, backup),
            (Some(backup), None) => self.connection.create(Resource::Backups, backup).map(drop),
            (None, _) => Ok(()),
        }
    }

    /// Records a backup once, however often it is told: the answer may have been lost, or this
    /// process ended before it came.
    fn record(&self, id: &str, backup: &Value) -> Result<(), ApiError> {
        match self.connection.create_as(Resource::Backups, id, backup) {
            Ok(_) | Err(ApiError::Refused { status: 409, .. }) => Ok(()),
            // The original's server gives ids itself.
            Err(ApiError::Refused {
                status: 404 | 405, ..
            }) => {
                let of_this_run = BackupMetadata {
                    run_id: id.into(),
                    ..BackupMetadata::default()
                };
                let search = json!({ "match": [of_this_run] });
                let known = self.connection.list(
                    Resource::Backups,
                    &search,
                    ListPart {
                        limit: 1,
                        offset: 0,
                    },
                    "",
                )?;
                if known.is_empty() {
                    self.connection.create(Resource::Backups, backup).map(drop)
                } else {
                    Ok(())
                }
            }
            Err(error) => Err(error),
        }
    }
}

fn body(patch: &Job) -> Value {
    Value::Object(patch.document())
}

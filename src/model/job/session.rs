//! A session: jobs of many clients that start together. Its rules are in
//! [`SessionStart`](crate::model::SessionStart), [`SessionEnd`](crate::model::SessionEnd) and
//! [`SessionResult`].

use super::field::{
    Document, Documented, Field, FieldKind, WrongField, fields, open_document, path,
};
use super::schedule::{NEVER, Schedule};
use super::text::{AnyText, FormedText, Plain};
use super::words::{JobStatus, RunResult, Word, Words};
use crate::model::session_rule::SessionResult;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fields! {
    /// A session. The server keeps keys that it does not know.
    pub struct JobSession {
        /// The id of the session.
        session_id: FormedText<AnyText>,
        /// The project of the session.
        project_id: FormedText<AnyText>,
        /// The user who made the session.
        user_id: FormedText<AnyText>,
        /// For people.
        description: FormedText<Plain>,
        /// When the jobs of the session run.
        schedule: Schedule,
        /// The jobs of the session by their ids.
        jobs: SessionJobs,
        /// How often the session was started.
        session_tag: i64,
        /// Seconds between two starts at least.
        hold_off: i64,
        /// Where the session is: active, running or completed.
        status: FormedText<Plain>,
        /// How the last start went: success, fail or timeout.
        result: FormedText<Plain>,
        /// The second since 1970 of the last start; -1 for never.
        time_start: i64,
        /// The second since 1970 in which the last start ended; -1 for never.
        time_end: i64,
        /// Written by clients of the original alone.
        time_started: i64,
        /// Written by clients of the original alone.
        time_ended: i64,
    }
    more
}

open_document!(JobSession, "a session");

/// Where a session is. Clients may write other words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStatus {
    /// It was never started.
    Active,
    /// Not all of its jobs have ended.
    Running,
    /// All of its jobs have ended, or it has timed out.
    Completed,
}

impl Words for SessionStatus {
    const ALL: &'static [Self] = &[Self::Active, Self::Running, Self::Completed];

    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Running => "running",
            Self::Completed => "completed",
        }
    }
}

/// The result of a session, and of a job in one, whose node has never said how it ended.
pub const TIMEOUT: &str = "timeout";

impl JobSession {
    /// Seconds between two starts of a new session that does not say.
    const USUAL_HOLD_OFF: i64 = 30;
    /// Seconds between two starts of a stored session that does not say. Only an import brings one;
    /// the original's server takes this number.
    const UNSAID_HOLD_OFF: i64 = 60;

    /// Sees to it that what readers rely on is there, and is not null.
    pub fn fill(&mut self) {
        self.session_tag.fill(0);
        self.hold_off.fill(Self::USUAL_HOLD_OFF);
        self.status.fill(SessionStatus::Active.word());
        self.description.fill("");
        self.time_start.fill(NEVER);
        self.time_end.fill(NEVER);
        self.time_started.fill(NEVER);
        self.time_ended.fill(NEVER);
        if self.result.is_absent() {
            self.result = Field::Null;
        }
    }

    /// Refuses a session that the server cannot work with.
    ///
    /// # Errors
    ///
    /// [`WrongField`] for the first field that breaks its rule.
    pub fn check_all(&self) -> Result<(), WrongField> {
        if self.schedule.is_unsaid() {
            return Err(WrongField::missing("schedule"));
        }
        self.check_fields("")
    }

    /// The number of its last start.
    pub fn tag(&self) -> i64 {
        self.session_tag.get().copied().unwrap_or(0)
    }

    /// The second of its last start.
    pub fn last_start(&self) -> i64 {
        self.time_start.get().copied().unwrap_or(NEVER)
    }

    /// Seconds between two starts.
    pub fn hold_off(&self) -> i64 {
        let said = self.hold_off.get().copied();
        said.unwrap_or(Self::UNSAID_HOLD_OFF)
    }

    /// Notes that its last start has ended.
    pub fn end(&mut self, result: &str, now: i64) {
        self.status = SessionStatus::Completed.word().into();
        self.result = result.into();
        self.time_end = now.into();
    }

    /// Whether it has this status.
    pub fn is(&self, status: SessionStatus) -> bool {
        self.status.text() == status.word()
    }

    /// The entry of a job.
    pub fn job_mut(&mut self, id: &str) -> Option<&mut SessionJob> {
        self.jobs.get_mut()?.0.get_mut(id)?.get_mut()
    }

    /// How the jobs went together that are in the present start, or have not been in any: what is
    /// left of an earlier start says nothing of this one.
    pub fn outcome(&self) -> SessionResult {
        let present = self.tag();
        let jobs = self.jobs.get().into_iter().flat_map(SessionJobs::jobs);
        let counting = jobs.filter(|job| job.session_tag.get().is_none_or(|tag| *tag >= present));
        SessionResult::of(counting.map(|job| (job.status.said(), job.result())))
    }
}

/// The jobs of a session by their ids.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SessionJobs(pub BTreeMap<String, Field<SessionJob>>);

impl SessionJobs {
    /// The entries that are objects.
    pub fn jobs(&self) -> impl Iterator<Item = &SessionJob> {
        self.0.values().filter_map(Field::get)
    }
}

impl FieldKind for SessionJobs {
    fn must() -> String {
        "must be an object".to_owned()
    }

    fn schema() -> Value {
        json!({ "type": "object", "additionalProperties": { "type": "object" } })
    }

    fn check(&self, within: &str) -> Result<(), WrongField> {
        match self.0.iter().find(|(_, entry)| entry.get().is_none()) {
            Some((id, _)) => Err(WrongField::new(&path(within, id), &SessionJob::must())),
            None => Ok(()),
        }
    }

    fn mend(&mut self) {
        self.0.values_mut().for_each(Field::mend);
    }
}

fields! {
    /// What a session knows of one of its jobs. A key that is not there, or is of another type, is
    /// that of a job which has not ended.
    pub struct SessionJob {
        /// The node of the job.
        client_id: FormedText<Plain>,
        /// Where the job is.
        status: Word<JobStatus>,
        /// How it went.
        result: FormedText<Plain>,
        /// The second since 1970 in which it began; -1 for never.
        time_started: i64,
        /// The second since 1970 in which it ended; -1 for never.
        time_ended: i64,
        /// The start of the session that it was last in.
        session_tag: i64,
    }
    more
}

open_document!(SessionJob, "a job of a session");

impl SessionJob {
    /// How it went, in a word that runs have.
    fn result(&self) -> Option<RunResult> {
        RunResult::of_word(self.result.text())
    }

    /// Sees to it that what readers rely on is there.
    pub fn fill(&mut self) {
        if self.client_id.is_absent() {
            self.client_id = Field::Null;
        }
        if self.status.is_absent() {
            self.status = "".into();
        }
        if self.time_started.is_absent() {
            self.time_started = NEVER.into();
        }
        if self.time_ended.is_absent() {
            self.time_ended = NEVER.into();
        }
    }

    /// Notes that the job has ended.
    pub fn end(&mut self, result: &str, now: i64) {
        self.status = JobStatus::Completed.into();
        self.result = result.into();
        self.time_ended = now.into();
    }
}

/// What a node tells a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionVerb {
    /// Its job starts.
    Start,
    /// Its job has ended.
    End,
}

impl Words for SessionVerb {
    const ALL: &'static [Self] = &[Self::Start, Self::End];

    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::End => "end",
        }
    }
}

fields! {
    /// What a node says with the start or the end of its job.
    pub struct SessionCall {
        /// The job.
        job_id: FormedText<Plain>,
        /// The last start of the session that the node knows of.
        current_tag: i64,
        /// How the job went.
        result: Word<RunResult>,
    }
    more
}

open_document!(SessionCall, "a call of a session");

impl SessionCall {
    /// The body of a request that says it.
    pub fn body(&self, verb: SessionVerb) -> Value {
        let mut body = Document::new();
        body.insert(verb.word().to_owned(), Value::Object(self.document()));
        Value::Object(body)
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{Document, Documented, Field};
    use super::{JobSession, SessionCall, SessionVerb};
    use crate::model::session_rule::SessionResult;
    use serde_json::{Value, json};

    fn session(value: &Value) -> JobSession {
        JobSession::of(object(value))
    }

    fn object(value: &Value) -> Document {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn an_entry_that_says_nothing_is_of_a_job_that_has_not_ended() {
        for (entries, outcome) in [
            (json!({}), SessionResult::Success),
            (json!({ "a": {} }), SessionResult::Running),
            (
                json!({ "a": { "status": 7, "result": "success" } }),
                SessionResult::Running,
            ),
            (json!({ "a": "odd" }), SessionResult::Success),
            (
                json!({ "a": { "status": "completed", "result": "timeout" } }),
                SessionResult::Fail,
            ),
            (
                json!({ "a": { "status": "completed", "result": "success" },
                    "b": { "status": "running", "session_tag": 1 } }),
                SessionResult::Success,
            ),
        ] {
            let session = session(&json!({ "session_tag": 2, "jobs": entries }));
            assert_eq!(session.outcome(), outcome, "{entries}");
        }
    }

    #[test]
    fn entries_must_be_objects() {
        for jobs in [json!([]), json!({ "j": 1 }), json!({ "j": null })] {
            let error = session(&json!({ "schedule": {}, "jobs": jobs }))
                .check_all()
                .expect_err("refused");
            assert!(error.to_string().contains("jobs"), "{error}");
        }
        let error = session(&json!({ "jobs": {} })).check_all();
        assert!(
            error
                .expect_err("refused")
                .to_string()
                .contains("'schedule'")
        );
    }

    #[test]
    fn a_stored_session_without_a_hold_off_has_the_originals() {
        assert_eq!(session(&json!({})).hold_off(), 60);
        assert_eq!(session(&json!({ "hold_off": "5" })).hold_off(), 60);
        let mut new = session(&json!({ "hold_off": null }));
        new.fill();
        assert_eq!(new.hold_off(), 30);
    }

    #[test]
    fn a_call_is_an_object_with_one_verb() {
        let call = SessionCall {
            job_id: "j".into(),
            current_tag: Field::Is(3),
            ..SessionCall::default()
        };
        assert_eq!(
            call.body(SessionVerb::Start),
            json!({ "start": { "job_id": "j", "current_tag": 3 } })
        );
        let told = SessionCall::leniently(object(&json!({ "current_tag": " 3" })));
        assert_eq!(told.current_tag.get(), Some(&3));
    }
}

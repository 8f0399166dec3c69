//! The documents that a Freezer API keeps: jobs, and what belongs to them.
//!
//! | file | document |
//! |---|---|
//! | here | a job: actions with a timetable, for one client |
//! | `schedule` | when a job runs and how that went; also of a session |
//! | `action` | what a job does, with the options of the agent |
//! | `session` | jobs of many clients that start together |
//! | `client` | a node that is registered |
//! | `backup` | what an agent says of a level it has made |
//! | `words`, `text` | enums, and texts with a form |
//! | `field` | one field, the traits, and the macro that makes a document of a list of fields |
//!
//! A key is the name of a field, once. What follows from it is derived: serde, the checks of the
//! server, the OpenAPI document. Start reading at [`Field`], then at [`Job`].
//!
//! Invariant: reading a document and writing it loses nothing, whatever it holds. Every rule is
//! applied where a caller asks for it:
//!
//! | reader | how |
//! |---|---|
//! | the server, of what clients send | [`Documented::of`], then `check`: odd values are refused |
//! | the server, of what is stored | [`Documented::of`]: odd values count as absent, and stay |
//! | schedulers and commands | [`Documented::leniently`]: numbers and truth may be text |
//!
//! A value is *odd* if it breaks the rule of its field. Only an import brings odd values into a
//! store. The conversion of text stands in [`FieldKind::from_odd`] and nowhere else.

mod action;
mod backup;
mod client;
mod field;
mod schedule;
mod session;
mod text;
mod words;

pub use action::{Action, ActionList, AgentOptions, COMMAND_OPTIONS, runs_command};
pub use backup::{BackupMetadata, BackupRecord};
pub use client::{Client, ClientInfo};
pub use field::{Document, Documented, Field, FieldKind, WrongField};
pub use schedule::{Course, NEVER, Schedule, When};
pub use session::{
    JobSession, SessionCall, SessionJob, SessionJobs, SessionStatus, SessionVerb, TIMEOUT,
};
pub use text::{
    AnyText, CronText, FormedText, GivenId, HostName, IntervalText, LONGEST_ID, LONGEST_TEXT,
    MomentText, NodeName, OneWord, Plain, SomeWords, TextForm, WordList, YearText, is_id,
};
pub use words::{
    ActionWords, BackupStatusWords, EngineWords, JobEvent, JobStatus, ModeWords, RunResult,
    StorageWords, Word, Words,
};

use field::fields;
use serde_json::Value;

fields! {
    /// A job: actions with a timetable, for one client. The server refuses keys that it does not
    /// know.
    pub struct Job {
        /// The id of the job.
        job_id: FormedText<GivenId>,
        /// The project of the job.
        project_id: FormedText<AnyText>,
        /// The user who made the job, or changed its actions last.
        user_id: FormedText<AnyText>,
        /// The client that does the job.
        client_id: FormedText<Plain>,
        /// For people.
        description: FormedText<Plain>,
        /// The session that the job is in; empty for none.
        session_id: FormedText<Plain>,
        /// The last start of that session that the job knows of.
        session_tag: i64,
        /// Written by clients of the original alone.
        session_name: FormedText<Plain>,
        /// Written by clients of the original alone.
        _version: i64,
        /// When the job runs, and how its last run went.
        job_schedule: Schedule,
        /// What the job does.
        job_actions: ActionList,
        /// Options for all actions that do not say them.
        action_defaults: Document,
        /// The trust of a central client. The server ignores it.
        user_credentials: Value,
    }
    more
}

impl Documented for Job {
    const WITHIN: &'static str = "a job";

    fn check(&self, path: &str) -> Result<(), WrongField> {
        self.check_fields(path)?;
        match self.more.keys().next() {
            Some(key) => Err(WrongField::unknown(key, Self::WITHIN)),
            None => Ok(()),
        }
    }

    fn mend(&mut self) {
        self.mend_fields();
    }
}

impl Job {
    /// Sees to it that what readers rely on is there, and is not null.
    pub fn fill(&mut self) {
        self.job_schedule.get_or_new().fill();
        self.session_id.fill("");
        self.session_tag.fill(0);
        self.description.fill("");
    }

    /// When it runs and how that went; `None` where that is no object.
    pub fn schedule(&self) -> Option<&Schedule> {
        self.job_schedule.get()
    }

    /// Its actions that are objects.
    pub fn actions(&self) -> impl Iterator<Item = &Action> {
        self.job_actions
            .get()
            .into_iter()
            .flat_map(ActionList::actions)
    }

    /// The ids of its actions.
    pub fn action_ids(&self) -> Vec<String> {
        self.job_actions
            .get()
            .map(ActionList::ids)
            .unwrap_or_default()
    }

    /// The last start of its session that it knows of.
    pub fn tag(&self) -> i64 {
        self.session_tag.get().copied().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests;

//! What is known of each job, and what is to be done next. No clock, no server, no process: those
//! are the daemon's.
//!
//! `seen` takes in the server's documents, `due` says which jobs may run, and `told` what the
//! server has yet to learn.

mod due;
mod seen;
mod told;

pub use due::Occasion;

use super::journal::Record;
use super::states::{Duty, Happening, JobState};
use super::timetable::{Lateness, Timetable};
use crate::model::job::{Course, Documented, Field, Job, JobStatus, NEVER, Schedule, Words};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::time::Duration;

/// The rules for all jobs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The time zone of dates without an offset.
    pub zone: TimeZone,
    /// The rule for missed moments.
    pub lateness: Lateness,
    /// After how long a run that another scheduler of this client began counts as dead.
    pub dead_after: Duration,
    /// Whether other schedulers run this client's jobs too.
    pub cluster: bool,
    /// Whether a job that has ended is started again when its timetable is changed: where no server
    /// tells to.
    pub changes_start: bool,
}

/// A task for the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Task {
    /// End the run of the job.
    Kill,
    /// Tell the server how it stands.
    Report,
}

/// Whether a list has all jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sighting {
    /// All: what is not among them is gone.
    All,
    /// Some: others may be there.
    Some,
}

/// A job, and what is to be done about it.
pub type Tasks = Vec<(String, Task)>;

/// Jobs that are to be run, and the moments they are due at.
pub type Launches = Vec<(String, Timestamp)>;

/// A job that is known.
#[derive(Debug)]
struct KnownJob {
    record: Record,
    /// The document as it was last seen; none until the server was asked for it.
    document: Option<Job>,
    timetable: Option<Timetable>,
    /// The next moment of its timetable; looked at anew when that may be another.
    next: Option<Timestamp>,
    /// Whether the server is being asked about its run: until it answers, it is not to be told that
    /// there is one.
    is_claiming: bool,
}

/// The known jobs.
#[derive(Debug)]
pub struct Book {
    rules: Rules,
    jobs: BTreeMap<String, KnownJob>,
}

impl Book {
    /// With what was remembered, and the documents that were last seen. Jobs without one wait for
    /// the server.
    pub fn new(rules: Rules, records: BTreeMap<String, Record>, documents: Vec<Job>) -> Self {
        let mut documents: BTreeMap<String, Job> = documents
            .into_iter()
            .map(|document| (document.job_id.text().to_owned(), document))
            .collect();
        let mut book = Self {
            rules,
            jobs: BTreeMap::new(),
        };
        for (id, record) in records {
            let document = documents.remove(&id);
            // Without its document nothing is known of when it is due.
            let timetable = document.as_ref().and_then(|document| {
                Timetable::read(&schedule_of(document).when, &book.rules.zone).ok()
            });
            let mut job = KnownJob::new(record, document, timetable);
            job.look_ahead();
            book.jobs.insert(id, job);
        }
        book
    }

    /// Returns the records for the journal.
    pub fn records(&self) -> BTreeMap<String, Record> {
        self.jobs
            .iter()
            .map(|(id, job)| (id.clone(), job.record.clone()))
            .collect()
    }

    /// Returns the documents of all jobs as they were last seen.
    pub fn documents(&self) -> Vec<Value> {
        self.jobs
            .values()
            .filter_map(|job| job.document.as_ref())
            .map(|document| Value::Object(document.document()))
            .collect()
    }

    /// Returns the record of a job.
    pub fn record(&self, id: &str) -> Option<&Record> {
        self.jobs.get(id).map(|job| &job.record)
    }

    /// Returns the document of a job as it was last seen.
    pub fn document(&self, id: &str) -> Option<&Job> {
        self.jobs.get(id).and_then(|job| job.document.as_ref())
    }

    /// The next moment of its timetable.
    pub fn next(&self, id: &str) -> Option<Timestamp> {
        self.jobs
            .get(id)
            .filter(|job| job.record.state == JobState::Scheduled)
            .and_then(|job| job.record.waiting.or(job.next))
    }

    /// Lets an event happen to a job.
    fn happen(
        &mut self,
        id: &str,
        event: Happening,
        now: Timestamp,
        tasks: &mut BTreeSet<(String, Task)>,
    ) -> Option<Duty> {
        let job = self.jobs.get_mut(id)?;
        let step = job.record.state.on(event);
        job.record.state = step.next;
        match step.duty {
            Some(Duty::Arm) => job.arm(now),
            Some(Duty::Kill) => {
                tasks.insert((id.to_owned(), Task::Kill));
            }
            Some(Duty::Skip) => job.record.missed += 1,
            Some(Duty::Launch | Duty::Wait) | None => {}
        }
        if step.next == JobState::Stopped {
            job.record.waiting = None;
        }
        if let Some(status) = step.says {
            status.word().clone_into(&mut job.record.status);
            job.record.unsent = true;
            tasks.insert((id.to_owned(), Task::Report));
        }
        step.duty
    }

    fn forget_if_gone(&mut self, id: &str) {
        if self
            .jobs
            .get(id)
            .is_some_and(|job| job.record.state == JobState::Gone && !job.record.unsent)
        {
            self.jobs.remove(id);
        }
    }

    /// Notes that a run of a job begins. To be remembered before it does.
    pub fn begin(&mut self, id: &str, run: &str, now: Timestamp) {
        let mut tasks = BTreeSet::new();
        self.happen(id, Happening::Due, now, &mut tasks);
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        job.record.run = Some(run.to_owned());
        job.record.waiting = None;
        (job.record.started, job.record.own, job.record.ended) =
            (now.as_second(), now.as_second(), -1);
        job.record.result.clear();
        job.record.pid = None;
        if job
            .timetable
            .as_ref()
            .is_some_and(|timetable| timetable.floating().is_some())
        {
            // Whoever schedules this client's jobs counts from the last run.
            (job.record.armed, job.record.handled) = (now, now);
        }
        job.look_ahead();
    }

    /// Notes that the server is asked whether the run of a job may begin, or that this is settled.
    pub fn claims(&mut self, id: &str, is_claiming: bool) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.is_claiming = is_claiming;
        }
    }

    /// Whether the server is being asked so.
    pub fn is_claiming(&self, id: &str) -> bool {
        self.jobs.get(id).is_some_and(|job| job.is_claiming)
    }

    /// Takes a begin back that could not be remembered: the job stands as it did before.
    pub fn restore(&mut self, id: &str, before: Record) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.record = before;
            job.look_ahead();
        }
    }

    /// Takes a begin back: the run is another scheduler's, or nobody's. The job is looked at anew
    /// when it is seen again.
    pub fn withdraw(&mut self, id: &str) {
        self.jobs.remove(id);
    }

    /// Notes the process of a run.
    pub fn has_process(&mut self, id: &str, pid: u32) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.record.pid = Some(pid);
            job.record.unsent = true;
        }
    }

    /// Notes what the session of a run said: whether it is in it, and the tag.
    pub fn in_session(&mut self, id: &str, session: Option<&str>, tag: i64) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.record.in_session = session.map(str::to_owned);
            job.record.session_tag = tag;
            job.record.is_unheard = false;
        }
    }

    /// Notes that a session is told of a run, and has not answered: it may have let it in.
    pub fn may_be_in_session(&mut self, id: &str, session: &str) {
        if let Some(job) = self.jobs.get_mut(id) {
            job.record.in_session = Some(session.to_owned());
            job.record.is_unheard = true;
        }
    }

    /// Notes that the run of a job has ended.
    pub fn ended(&mut self, id: &str, result: &str, now: Timestamp) -> Tasks {
        let mut tasks = BTreeSet::new();
        if let Some(job) = self.jobs.get_mut(id) {
            job.record.run = None;
            job.record.in_session = None;
            job.record.is_unheard = false;
            job.record.ended = now.as_second();
            result.clone_into(&mut job.record.result);
            job.look_ahead();
            let event = if job.next.is_some() {
                Happening::EndedMore
            } else {
                Happening::EndedLast
            };
            self.happen(id, event, now, &mut tasks);
            if let Some(job) = self
                .jobs
                .get_mut(id)
                .filter(|job| job.record.state == JobState::Gone)
            {
                // Nobody wants to know; where the document is there still, it is right to have the
                // end in it.
                job.record.status = JobStatus::Completed.word().to_owned();
                job.record.unsent = true;
                tasks.insert((id.to_owned(), Task::Report));
            }
        }
        tasks.into_iter().collect()
    }

    /// The next moment of any timetable.
    pub fn soonest(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(|job| job.next).min()
    }

    /// Returns the number of runs under way.
    pub fn running(&self) -> usize {
        self.jobs
            .values()
            .filter(|job| job.record.state.has_run())
            .count()
    }

    /// Returns the ids of all jobs.
    pub fn ids(&self) -> Vec<String> {
        self.jobs.keys().cloned().collect()
    }
}

impl KnownJob {
    fn new(record: Record, document: Option<Job>, timetable: Option<Timetable>) -> Self {
        Self {
            record,
            document,
            timetable,
            next: None,
            is_claiming: false,
        }
    }

    fn arm(&mut self, now: Timestamp) {
        self.record.armed = now;
        self.record.handled = self
            .timetable
            .as_ref()
            .map_or(now, |timetable| timetable.handled_when_armed(now));
        self.record.waiting = None;
        self.look_ahead();
    }

    fn look_ahead(&mut self) {
        let after = |timetable: &Timetable| timetable.after(self.record.handled, self.record.armed);
        self.next = self.timetable.as_ref().and_then(after);
    }
}

/// When a job runs and how that went. A job without this runs once, at once.
fn schedule_of(job: &Job) -> &Schedule {
    static NOTHING: LazyLock<Schedule> = LazyLock::new(Schedule::default);
    job.schedule().unwrap_or(&NOTHING)
}

/// The second of a document; [`NEVER`] where there is none.
fn second(field: &Field<i64>) -> i64 {
    field.get().copied().unwrap_or(NEVER)
}

/// Whether the server's document says that the job runs.
fn runs(course: &Course) -> bool {
    course.status.said().is_some_and(JobStatus::has_run)
}

#[cfg(test)]
mod tests;

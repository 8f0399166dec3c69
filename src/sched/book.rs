//! What is known of each job, and what is to be done next. No clock, no server, no process: those
//! are the daemon's.

use super::journal::Record;
use super::states::{Duty, Happening, JobState};
use super::timetable::{Lateness, Timetable};
use crate::model::job::{
    Action, Course, Documented, Field, Job, JobEvent, JobStatus, NEVER, RunResult, Schedule, Words,
};
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

/// When a run was due, and how its job stood before it began.
#[derive(Clone, Copy, Debug)]
pub struct Occasion {
    /// The moment of the timetable.
    pub firing: Timestamp,
    /// Since when the timetable counted.
    pub armed: Timestamp,
    /// The second in which this scheduler had last begun a run.
    pub own: i64,
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

    /// Takes in all jobs that the server has of this client. A document that is not as it should be
    /// is left out, and keeps none of the others waiting.
    pub fn see(&mut self, documents: Vec<Job>, seen: Sighting, now: Timestamp) -> Tasks {
        let mut tasks = BTreeSet::new();
        let mut there = BTreeSet::new();
        for document in documents {
            let id = document.job_id.text().to_owned();
            if id.is_empty() {
                tracing::warn!("a job without an id is ignored");
                continue;
            }
            there.insert(id.clone());
            self.see_one(&id, document, now, &mut tasks);
        }
        let gone: Vec<String> = self
            .jobs
            .keys()
            .filter(|id| seen == Sighting::All && !there.contains(*id))
            .cloned()
            .collect();
        for id in gone {
            self.happen(&id, Happening::Removed, now, &mut tasks);
            self.forget_if_gone(&id);
        }
        tasks.into_iter().collect()
    }

    fn see_one(
        &mut self,
        id: &str,
        document: Job,
        now: Timestamp,
        tasks: &mut BTreeSet<(String, Task)>,
    ) {
        let word = schedule_of(&document).course.event.text().to_owned();
        let event = if self.jobs.contains_key(id) {
            self.see_again(id, document, now)
        } else {
            self.see_first(id, document, now)
        };
        if let Some(event) = event {
            let waits = self.happen(id, event, now, tasks) == Some(Duty::Wait);
            if let Some(job) = self.jobs.get_mut(id).filter(|_| !waits) {
                job.record.event = word;
            }
        }
        if let Some(job) = self.jobs.get_mut(id) {
            job.look_ahead();
            if job.timetable.is_none() && job.record.state == JobState::Scheduled {
                // The job will never run, and its users should see that.
                job.record.state = JobState::Stopped;
                job.record.status = JobStatus::Completed.word().to_owned();
                job.record.result = RunResult::Fail.word().to_owned();
                job.record.unsent = true;
                tasks.insert((id.to_owned(), Task::Report));
            }
        }
    }

    /// Takes in a job that was not known. Returns what happens to it: nothing where another
    /// scheduler of this client has it.
    fn see_first(&mut self, id: &str, document: Job, now: Timestamp) -> Option<Happening> {
        let schedule = schedule_of(&document);
        let course = &schedule.course;
        if runs(course) && course.event.text().is_empty() && !self.is_dead(course, now) {
            return None;
        }
        let record = Record {
            state: JobState::Stopped,
            armed: now,
            handled: now,
            timetable: schedule.when_as_text(),
            waiting: None,
            missed: 0,
            status: course.status.text().to_owned(),
            result: course.result.text().to_owned(),
            started: second(&course.time_started),
            own: NEVER,
            ended: second(&course.time_ended),
            pid: None,
            session_tag: document.tag(),
            in_session: None,
            is_unheard: false,
            run: None,
            event: String::new(),
            unsent: false,
        };
        // A job that nobody has said anything of starts by itself.
        let event = course.event.said().unwrap_or(match course.status.said() {
            Some(JobStatus::Stop) => JobEvent::Stop,
            _ => JobEvent::Start,
        });
        let timetable = self.timetable(id, schedule);
        let job = KnownJob::new(record, Some(document), timetable);
        self.jobs.insert(id.to_owned(), job);
        Some(event.into())
    }

    /// Takes in a job that is known. Returns what happens to it, if anything.
    fn see_again(&mut self, id: &str, document: Job, now: Timestamp) -> Option<Happening> {
        let schedule = schedule_of(&document).clone();
        let timetable = self.timetable(id, &schedule);
        let changes_start = self.rules.changes_start;
        let job = self.jobs.get_mut(id)?;
        if !job.record.unsent {
            job.record.session_tag = document.tag();
            job.take_run_of_another(&schedule.course);
        }
        (job.document, job.timetable) = (Some(document), timetable);
        // What was acted on already, and could not be answered yet, is not a new wish.
        let is_new = !(job.record.unsent && job.record.event == schedule.course.event.text());
        let said = schedule.course.event.said().filter(|_| is_new);
        let mut event = said.map(Happening::from);
        let when = schedule.when_as_text();
        if job.record.timetable != when {
            job.record.timetable = when;
            if job.record.state != JobState::Stopped {
                job.arm(now);
            } else if changes_start && event.is_none() {
                event = Some(Happening::Start);
            }
        }
        if event.is_none() && job.record.state == JobState::Leaving {
            event = Some(Happening::Start);
        }
        event
    }

    fn timetable(&self, id: &str, schedule: &Schedule) -> Option<Timetable> {
        match Timetable::read(&schedule.when, &self.rules.zone) {
            Ok(timetable) => Some(timetable),
            Err(error) => {
                tracing::warn!(job = %id, %error, "the timetable of a job cannot be read");
                None
            }
        }
    }

    /// Whether a run that another scheduler has begun is so old that it cannot be alive.
    fn is_dead(&self, course: &Course, now: Timestamp) -> bool {
        let started = second(&course.time_started);
        let limit = i64::try_from(self.rules.dead_after.as_secs()).unwrap_or(i64::MAX);
        now.as_second().saturating_sub(started) > limit
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

    /// Looks at what is due, and gives at most `places` jobs that are to be run now, the most
    /// urgent first.
    pub fn due(&mut self, now: Timestamp, places: usize) -> (Launches, Tasks) {
        let mut tasks = BTreeSet::new();
        let come: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.next.is_some_and(|next| next <= now))
            .map(|(id, _)| id.clone())
            .collect();
        for id in come {
            let lateness = self.rules.lateness;
            let Some(job) = self.jobs.get_mut(&id) else {
                continue;
            };
            let due = job.timetable.as_ref().and_then(|timetable| {
                timetable.due(job.record.handled, job.record.armed, now, lateness)
            });
            if let Some(due) = due {
                job.record.handled = due.handled;
                job.look_ahead();
                if job.record.state == JobState::Scheduled {
                    // One that waits for a place already is enough.
                    let one_more = u64::from(due.run.is_some() && job.record.waiting.is_some());
                    job.record.missed += due.missed + one_more;
                    job.record.waiting = job.record.waiting.or(due.run);
                    if due.missed > 0 {
                        tracing::warn!(job = %id, missed = due.missed, "a job has missed runs");
                    }
                } else {
                    self.happen(&id, Happening::Due, now, &mut tasks);
                }
            }
        }
        let ended: Vec<String> = self
            .jobs
            .iter()
            .filter(|(_, job)| {
                job.record.state == JobState::Scheduled
                    && job.record.waiting.is_none()
                    && job.next.is_none()
            })
            .filter(|(_, job)| job.timetable.is_some())
            .map(|(id, _)| id.clone())
            .collect();
        for id in ended {
            self.happen(&id, Happening::Exhausted, now, &mut tasks);
        }
        let mut waiting: Vec<(i64, Timestamp, &String)> = self
            .jobs
            .iter()
            .filter(|(_, job)| job.record.state == JobState::Scheduled)
            .filter_map(|(id, job)| Some((-job.urgency(), job.record.waiting?, id)))
            .collect();
        waiting.sort();
        let launch = waiting
            .into_iter()
            .take(places)
            .map(|(_, at, id)| (id.clone(), at))
            .collect();
        (launch, tasks.into_iter().collect())
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

    /// The jobs that the server has yet to be told of.
    pub fn unsent(&self) -> Vec<String> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.record.unsent && !job.is_claiming)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Whether the server's document tells of a run that is not ours, and newer than all of ours.
    pub fn is_foreign(&self, id: &str, fresh: &Job, now: Timestamp) -> bool {
        let course = &schedule_of(fresh).course;
        let ours = self.jobs.get(id).map_or(NEVER, |job| job.record.started);
        if runs(course) {
            self.is_elsewhere(course, ours, now)
        } else {
            second(&course.time_started) > ours
        }
    }

    /// Whether the run that the server's document tells of is another scheduler's, when our last
    /// one began at `ours`.
    ///
    /// Where there are no others, an older one was ours: runs went on while the server was away,
    /// and it was not told of the last ones. In a cluster none begins that the server was not told
    /// of, and clocks may differ.
    fn is_elsewhere(&self, course: &Course, ours: i64, now: Timestamp) -> bool {
        let theirs = second(&course.time_started);
        let is_other = if self.rules.cluster {
            theirs != ours
        } else {
            theirs > ours
        };
        is_other && !self.is_dead(course, now)
    }

    /// Returns how a job stands before a run that is due at this moment.
    pub fn occasion(&self, id: &str, firing: Timestamp) -> Option<Occasion> {
        self.jobs.get(id).map(|job| Occasion {
            firing,
            armed: job.record.armed,
            own: job.record.own,
        })
    }

    /// Whether a run is due still, now that the server's document is known as it is: another
    /// scheduler of this client may have run it.
    pub fn is_due_still(&self, id: &str, fresh: &Job, due: &Occasion, now: Timestamp) -> bool {
        let course = &schedule_of(fresh).course;
        let last = second(&course.time_started);
        let is_elsewhere = runs(course) && self.is_elsewhere(course, due.own, now);
        let is_unwanted = course
            .event
            .said()
            .is_some_and(|event| event != JobEvent::Start);
        if is_elsewhere || is_unwanted {
            return false;
        }
        if last <= due.own || course.status.text().is_empty() {
            // Nobody but us has run it, or somebody wants it run again.
            return true;
        }
        match self
            .jobs
            .get(id)
            .and_then(|job| job.timetable.as_ref())
            .and_then(Timetable::floating)
        {
            Some(length) => now.as_second().saturating_sub(last) >= length.as_secs(),
            // In whole seconds, as the document has it.
            None => due.firing.as_second() > last || due.armed.as_second() > last,
        }
    }

    /// Returns the change of the server's document that tells how the job stands.
    pub fn patch(&self, id: &str, fresh: &Job) -> Option<Job> {
        let record = &self.jobs.get(id)?.record;
        let mut schedule = schedule_of(fresh).clone();
        schedule.drop_nulls();
        let course = &mut schedule.course;
        if course.event.text() == record.event {
            course.event = "".into();
        }
        course.status = record.status.as_str().into();
        course.result = record.result.as_str().into();
        course.time_started = record.started.into();
        course.time_ended = record.ended.into();
        if let Some(pid) = record.pid {
            course.current_pid = i64::from(pid).into();
        }
        Some(Job {
            job_schedule: Field::Is(schedule),
            session_id: fresh.session_id.text().into(),
            session_tag: record.session_tag.into(),
            ..Job::default()
        })
    }

    /// Notes that the server knows; `patch` is what it was told, if it has the job at all. What has
    /// changed since has yet to be told.
    pub fn sent(&mut self, id: &str, patch: Option<&Job>) {
        let Some(job) = self.jobs.get_mut(id) else {
            return;
        };
        job.record.unsent = patch.is_some_and(|patch| !job.record.is_told_by(patch));
        job.record.event.clear();
        if let Some(patch) = patch {
            job.document.get_or_insert_default().overlay(patch);
        }
        self.forget_if_gone(id);
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

impl Record {
    /// Whether a change of the server's document says all of it.
    fn is_told_by(&self, patch: &Job) -> bool {
        let course = &schedule_of(patch).course;
        let is = |number: &Field<i64>, own: i64| number.get() == Some(&own);
        course.status.text() == self.status
            && course.result.text() == self.result
            && is(&course.time_started, self.started)
            && is(&course.time_ended, self.ended)
            && self
                .pid
                .is_none_or(|pid| is(&course.current_pid, pid.into()))
            && is(&patch.session_tag, self.session_tag)
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

    /// Takes over a run of another scheduler of this client, where that is the last one.
    fn take_run_of_another(&mut self, course: &Course) {
        let started = second(&course.time_started);
        if started > self.record.started && !self.record.state.has_run() {
            self.record.started = started;
            self.record.ended = second(&course.time_ended);
            course.result.text().clone_into(&mut self.record.result);
        }
    }

    /// How urgent the job is: as its most urgent action.
    fn urgency(&self) -> i64 {
        let actions = self.document.iter().flat_map(Job::actions);
        let most = actions.filter_map(Action::urgency).max();
        most.unwrap_or(0).clamp(-1_000_000, 1_000_000)
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

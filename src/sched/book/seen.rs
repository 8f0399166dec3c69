//! How a document of the server changes what is known of a job.

use super::{Book, KnownJob, Sighting, Task, Tasks, runs, schedule_of, second};
use crate::model::job::{Course, Job, JobEvent, JobStatus, NEVER, RunResult, Schedule, Words};
use crate::sched::journal::Record;
use crate::sched::states::{Duty, Happening, JobState};
use crate::sched::timetable::Timetable;
use jiff::Timestamp;
use std::collections::BTreeSet;

impl Book {
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
}

impl KnownJob {
    /// Takes over a run of another scheduler of this client, where that is the last one.
    fn take_run_of_another(&mut self, course: &Course) {
        let started = second(&course.time_started);
        if started > self.record.started && !self.record.state.has_run() {
            self.record.started = started;
            self.record.ended = second(&course.time_ended);
            course.result.text().clone_into(&mut self.record.result);
        }
    }
}

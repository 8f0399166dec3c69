//! What the server is told of a job, and whether that was all.

use super::{Book, schedule_of};
use crate::model::job::{Documented, Field, Job};
use crate::sched::journal::Record;

impl Book {
    /// The jobs that the server has yet to be told of.
    pub fn unsent(&self) -> Vec<String> {
        self.jobs
            .iter()
            .filter(|(_, job)| job.record.unsent && !job.is_claiming)
            .map(|(id, _)| id.clone())
            .collect()
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

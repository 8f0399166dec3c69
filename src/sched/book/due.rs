//! Which jobs are to be run now, and whether a run that was due is due still.

use super::{Book, KnownJob, Launches, Tasks, runs, schedule_of, second};
use crate::model::job::{Action, Course, Job, JobEvent, NEVER};
use crate::sched::states::{Happening, JobState};
use crate::sched::timetable::Timetable;
use jiff::Timestamp;
use std::collections::BTreeSet;

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

impl Book {
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

    /// Whether a run that another scheduler has begun is so old that it cannot be alive.
    pub(super) fn is_dead(&self, course: &Course, now: Timestamp) -> bool {
        let started = second(&course.time_started);
        let limit = i64::try_from(self.rules.dead_after.as_secs()).unwrap_or(i64::MAX);
        now.as_second().saturating_sub(started) > limit
    }
}

impl KnownJob {
    /// How urgent the job is: as its most urgent action.
    fn urgency(&self) -> i64 {
        let actions = self.document.iter().flat_map(Job::actions);
        let most = actions.filter_map(Action::urgency).max();
        most.unwrap_or(0).clamp(-1_000_000, 1_000_000)
    }
}

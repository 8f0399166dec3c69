//! The state machine of a job: a table.
//!
//! The first rows of each state are the original's (its scheduler's documentation of stop, start
//! and abort); what it leaves open is decided here, and nowhere else.

use crate::model::job::{JobEvent, JobStatus};
use serde::{Deserialize, Serialize};

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The job does not run before a user starts it.
    Stopped,
    /// It runs when its timetable says so.
    Scheduled,
    /// A run is under way.
    Running,
    /// A run is under way, and the job is stopped when it has ended.
    Stopping,
    /// Its run is being ended.
    Aborting,
    /// A run is under way, and the server no longer has the job.
    Leaving,
    /// The scheduler forgets the job.
    Gone,
}

/// An event of a job: of a user, of its timetable or of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// A user wants the job scheduled.
    Start,
    /// A user wants the job no longer scheduled.
    Stop,
    /// A user wants the run ended.
    Abort,
    /// The server no longer has it.
    Removed,
    /// Its timetable says that it runs.
    Due,
    /// Its timetable has nothing more to say.
    Exhausted,
    /// Its run has ended, and there will be others.
    EndedMore,
    /// Its run has ended, and it was the last.
    EndedLast,
}

/// What the scheduler does about an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Duty {
    /// Begin with its timetable, from this moment on.
    Arm,
    /// Begin a run.
    Launch,
    /// End the run that is under way.
    Kill,
    /// Note that it should have run and did not, as it ran still.
    Skip,
    /// Leave the event where it is: it is looked at again when the run has ended.
    Wait,
}

/// The effect of an event on a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state after the event.
    pub next: JobState,
    /// The duty of the scheduler, if it has one.
    pub duty: Option<Duty>,
    /// The status that the server is told, if it is told anything.
    pub says: Option<JobStatus>,
}

const fn to(next: JobState) -> Transition {
    Transition {
        next,
        duty: None,
        says: None,
    }
}

impl Transition {
    const fn does(self, duty: Duty) -> Self {
        Self {
            duty: Some(duty),
            ..self
        }
    }

    const fn says(self, status: JobStatus) -> Self {
        Self {
            says: Some(status),
            ..self
        }
    }
}

/// Every state with every event.
const TABLE: [(JobState, [(Happening, Transition); 8]); 7] = {
    use Duty::{Arm, Kill, Launch, Skip, Wait};
    use Happening::{Abort, Due, EndedLast, EndedMore, Exhausted, Removed, Start, Stop};
    use JobState::{Aborting, Gone, Leaving, Running, Scheduled, Stopped, Stopping};
    [
        (
            Stopped,
            [
                (Start, to(Scheduled).does(Arm).says(JobStatus::Scheduled)),
                (Stop, to(Stopped).says(JobStatus::Stop)),
                (Abort, to(Stopped).says(JobStatus::Stop)),
                (Removed, to(Gone)),
                (Due, to(Stopped)),
                (Exhausted, to(Stopped)),
                (EndedMore, to(Stopped)),
                (EndedLast, to(Stopped)),
            ],
        ),
        (
            Scheduled,
            [
                // It does not run now: who wants that makes a job without a timetable.
                (Start, to(Scheduled).says(JobStatus::Scheduled)),
                (Stop, to(Stopped).says(JobStatus::Stop)),
                (Abort, to(Stopped).says(JobStatus::Stop)),
                (Removed, to(Gone)),
                (Due, to(Running).does(Launch).says(JobStatus::Running)),
                (Exhausted, to(Stopped).says(JobStatus::Completed)),
                (EndedMore, to(Scheduled)),
                (EndedLast, to(Scheduled)),
            ],
        ),
        (
            Running,
            [
                (Start, to(Running).says(JobStatus::Running)),
                (Stop, to(Stopping).says(JobStatus::Running)),
                (Abort, to(Aborting).does(Kill).says(JobStatus::Aborting)),
                (Removed, to(Leaving)),
                (Due, to(Running).does(Skip)),
                (Exhausted, to(Running)),
                (EndedMore, to(Scheduled).says(JobStatus::Scheduled)),
                (EndedLast, to(Stopped).says(JobStatus::Completed)),
            ],
        ),
        (
            Stopping,
            [
                (Start, to(Running).says(JobStatus::Running)),
                (Stop, to(Stopping).says(JobStatus::Running)),
                (Abort, to(Aborting).does(Kill).says(JobStatus::Aborting)),
                (Removed, to(Leaving)),
                (Due, to(Stopping)),
                (Exhausted, to(Stopping)),
                (EndedMore, to(Stopped).says(JobStatus::Completed)),
                (EndedLast, to(Stopped).says(JobStatus::Completed)),
            ],
        ),
        (
            Aborting,
            [
                (Start, to(Aborting).does(Wait)),
                (Stop, to(Aborting).says(JobStatus::Aborting)),
                (Abort, to(Aborting).says(JobStatus::Aborting)),
                (Removed, to(Leaving)),
                (Due, to(Aborting)),
                (Exhausted, to(Aborting)),
                (EndedMore, to(Stopped).says(JobStatus::Completed)),
                (EndedLast, to(Stopped).says(JobStatus::Completed)),
            ],
        ),
        (
            Leaving,
            [
                // It is back.
                (Start, to(Running).says(JobStatus::Running)),
                (Stop, to(Stopping).says(JobStatus::Running)),
                (Abort, to(Aborting).does(Kill).says(JobStatus::Aborting)),
                (Removed, to(Leaving)),
                (Due, to(Leaving)),
                (Exhausted, to(Leaving)),
                (EndedMore, to(Gone)),
                (EndedLast, to(Gone)),
            ],
        ),
        (
            Gone,
            [
                (Start, to(Gone)),
                (Stop, to(Gone)),
                (Abort, to(Gone)),
                (Removed, to(Gone)),
                (Due, to(Gone)),
                (Exhausted, to(Gone)),
                (EndedMore, to(Gone)),
                (EndedLast, to(Gone)),
            ],
        ),
    ]
};

impl JobState {
    /// Returns the effect of an event in this state.
    pub fn on(self, event: Happening) -> Transition {
        let row = TABLE.iter().find(|(state, _)| *state == self);
        let step = row.and_then(|(_, events)| events.iter().find(|(known, _)| *known == event));
        step.map_or(to(self), |(_, step)| *step)
    }

    /// Whether a run is under way.
    pub fn has_run(self) -> bool {
        matches!(
            self,
            Self::Running | Self::Stopping | Self::Aborting | Self::Leaving
        )
    }
}

impl From<JobEvent> for Happening {
    fn from(event: JobEvent) -> Self {
        match event {
            JobEvent::Start => Self::Start,
            JobEvent::Stop => Self::Stop,
            JobEvent::Abort => Self::Abort,
            JobEvent::Remove => Self::Removed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Duty, Happening, JobState, TABLE};
    use crate::model::job::JobStatus;
    use std::collections::HashSet;

    const EVENTS: [Happening; 8] = [
        Happening::Start,
        Happening::Stop,
        Happening::Abort,
        Happening::Removed,
        Happening::Due,
        Happening::Exhausted,
        Happening::EndedMore,
        Happening::EndedLast,
    ];

    #[test]
    fn the_table_has_every_state_with_every_event_once() {
        let states: HashSet<JobState> = TABLE.iter().map(|(state, _)| *state).collect();
        assert_eq!(states.len(), TABLE.len());
        for (state, events) in &TABLE {
            let known: HashSet<Happening> = events.iter().map(|(event, _)| *event).collect();
            assert_eq!(known.len(), EVENTS.len(), "{state:?}");
            assert!(
                EVENTS.iter().all(|event| known.contains(event)),
                "{state:?}"
            );
        }
    }

    #[test]
    fn a_run_begins_from_scheduled_alone_and_is_under_way_until_it_has_ended() {
        for (state, events) in &TABLE {
            for (event, step) in events {
                let begins = step.duty == Some(Duty::Launch);
                assert_eq!(
                    begins,
                    *state == JobState::Scheduled && *event == Happening::Due,
                    "{state:?} {event:?}"
                );
                let ended = matches!(event, Happening::EndedMore | Happening::EndedLast);
                if state.has_run() {
                    assert_eq!(step.next.has_run(), !ended, "{state:?} {event:?}");
                } else {
                    assert_eq!(step.next.has_run(), begins, "{state:?} {event:?}");
                }
                // Only a run that is under way is ended, and only once.
                assert!(
                    step.duty != Some(Duty::Kill)
                        || (state.has_run() && *state != JobState::Aborting),
                    "{state:?} {event:?}"
                );
            }
        }
    }

    #[test]
    fn what_the_server_is_told_is_how_the_job_stands() {
        for (state, events) in &TABLE {
            for (event, step) in events {
                let fits = match step.says {
                    None => true,
                    Some(JobStatus::Scheduled) => step.next == JobState::Scheduled,
                    Some(JobStatus::Running) => {
                        matches!(step.next, JobState::Running | JobState::Stopping)
                    }
                    Some(JobStatus::Aborting) => step.next == JobState::Aborting,
                    Some(JobStatus::Stop | JobStatus::Completed) => step.next == JobState::Stopped,
                    Some(_) => false,
                };
                assert!(fits, "{state:?} {event:?} says {:?}", step.says);
                // An event of a person is always answered: it stays in the document otherwise, and
                // is seen again and again.
                let answered = step.says.is_some()
                    || step.duty == Some(Duty::Wait)
                    || *state == JobState::Gone;
                assert!(
                    answered
                        || !matches!(event, Happening::Start | Happening::Stop | Happening::Abort),
                    "{state:?} {event:?}"
                );
            }
        }
    }

    #[test]
    fn after_a_stop_or_an_abort_nothing_runs_before_a_start() {
        // Every path of eight events that begins with a stop or an abort and has no start in it.
        let events: Vec<Happening> = EVENTS
            .into_iter()
            .filter(|event| *event != Happening::Start)
            .collect();
        for (state, _) in &TABLE {
            for first in [Happening::Stop, Happening::Abort] {
                let mut now = HashSet::from([state.on(first).next]);
                for _ in 0..8 {
                    let mut next = HashSet::new();
                    for state in &now {
                        for event in &events {
                            let step = state.on(*event);
                            assert_ne!(step.duty, Some(Duty::Launch), "{state:?} {event:?}");
                            next.insert(step.next);
                        }
                    }
                    now = next;
                }
            }
        }
    }
}

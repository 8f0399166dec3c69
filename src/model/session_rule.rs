//! The rules of sessions, in which jobs of many clients start together.

use super::job::{JobStatus, RunResult};

/// What becomes of a client's wish to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionStart {
    /// The client opens the next run: the tag grows by one.
    Open,
    /// Another client opened this run a moment ago: this one joins.
    Join,
    /// The last run was opened a moment ago with this client in it: it is too early for the next.
    HoldOff,
    /// The client missed a run, and must learn the tag first.
    OutOfSync,
    /// The client knows a tag that the session has not reached.
    TagTooHigh,
}

impl SessionStart {
    /// Decides about a client that knows `known_tag`, `since_start` seconds after the last run was
    /// opened. Runs are at least `hold_off` seconds apart.
    pub fn of(session_tag: i64, known_tag: i64, since_start: i64, hold_off: i64) -> Self {
        let a_moment_ago = since_start <= hold_off;
        match known_tag.cmp(&session_tag) {
            std::cmp::Ordering::Greater => Self::TagTooHigh,
            std::cmp::Ordering::Less if a_moment_ago => Self::Join,
            std::cmp::Ordering::Less => Self::OutOfSync,
            std::cmp::Ordering::Equal if a_moment_ago => Self::HoldOff,
            std::cmp::Ordering::Equal => Self::Open,
        }
    }
}

/// The run that a client's report about the end of its job belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// The current run of the session.
    Present,
    /// An earlier run, and the job has not started since. The report counts for the job, not for
    /// the session.
    Former,
    /// A run before the last start of the job. The report does not count.
    Superseded,
}

impl SessionEnd {
    /// Decides about a report with the tag `told` for a job that last started with the tag
    /// `started`. A client that did not get the answer to its start sends no tag, and means that
    /// start.
    pub fn of(session_tag: i64, started: Option<i64>, told: Option<i64>) -> Self {
        match told.or(started) {
            None => Self::Present,
            Some(tag) if tag >= session_tag => Self::Present,
            Some(tag) if started.is_some_and(|started| started <= tag) => Self::Former,
            Some(_) => Self::Superseded,
        }
    }
}

/// The result of all jobs of a session together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionResult {
    /// Some jobs have not ended.
    Running,
    /// All jobs have ended with success.
    Success,
    /// All jobs have ended, but not all with success.
    Fail,
}

impl SessionResult {
    /// Of jobs by their status and result; `None` for one that is not known.
    pub fn of(jobs: impl IntoIterator<Item = (Option<JobStatus>, Option<RunResult>)>) -> Self {
        let mut all = Self::Success;
        for (status, result) in jobs {
            if status != Some(JobStatus::Completed) {
                return Self::Running;
            }
            if result != Some(RunResult::Success) {
                all = Self::Fail;
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::{SessionEnd, SessionResult, SessionStart};
    use crate::model::job::{JobStatus, RunResult};

    #[test]
    fn tag_and_time_decide_about_a_start() {
        for (session, known, since, becomes) in [
            (0, 0, 1000, SessionStart::Open),
            (0, 0, 30, SessionStart::HoldOff),
            (1, 0, 30, SessionStart::Join),
            (7, 0, 0, SessionStart::Join),
            (1, 0, 31, SessionStart::OutOfSync),
            (1, 2, 5, SessionStart::TagTooHigh),
            (1, 2, 500, SessionStart::TagTooHigh),
        ] {
            assert_eq!(
                SessionStart::of(session, known, since, 30),
                becomes,
                "{session} {known} {since}"
            );
        }
    }

    #[test]
    fn a_tag_decides_which_run_an_end_belongs_to() {
        for (session, started, told, is) in [
            (2, Some(2), Some(2), SessionEnd::Present),
            (2, Some(2), None, SessionEnd::Present),
            (2, None, None, SessionEnd::Present),
            (0, None, Some(0), SessionEnd::Present),
            // Its start was never heard of, and its tag is the present one.
            (2, Some(1), Some(2), SessionEnd::Present),
            // Another job has opened the next run; this one was still in the last.
            (2, Some(1), Some(1), SessionEnd::Former),
            (2, Some(1), None, SessionEnd::Former),
            (5, Some(1), Some(3), SessionEnd::Former),
            // It has begun anew since, or was never in.
            (2, Some(2), Some(1), SessionEnd::Superseded),
            (3, Some(2), Some(1), SessionEnd::Superseded),
            (2, None, Some(1), SessionEnd::Superseded),
        ] {
            assert_eq!(
                SessionEnd::of(session, started, told),
                is,
                "{session} {started:?} {told:?}"
            );
        }
    }

    #[test]
    fn a_session_has_a_result_when_all_jobs_have_ended() {
        let ended = |result| (Some(JobStatus::Completed), Some(result));
        assert_eq!(
            SessionResult::of([ended(RunResult::Success), ended(RunResult::Success)]),
            SessionResult::Success
        );
        assert_eq!(
            SessionResult::of([ended(RunResult::Fail), (Some(JobStatus::Running), None)]),
            SessionResult::Running
        );
        assert_eq!(
            SessionResult::of([ended(RunResult::Aborted), ended(RunResult::Success)]),
            SessionResult::Fail
        );
        assert_eq!(
            SessionResult::of([(Some(JobStatus::Completed), None)]),
            SessionResult::Fail
        );
    }
}

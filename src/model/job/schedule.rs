//! When a job runs, and how its last run went: `job_schedule` of a job, `schedule` of a session.

use super::field::{Document, Documented, FieldKind, WrongField, fields};
use super::text::{CronText, FormedText, IntervalText, MomentText, YearText};
use super::words::{JobEvent, JobStatus, RunResult, Word};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fields! {
    /// When a job runs.
    pub struct When {
        /// The one moment at which the job runs.
        schedule_date: FormedText<MomentText>,
        /// The time between two runs.
        schedule_interval: FormedText<IntervalText>,
        /// The moment before which no run begins.
        schedule_start_date: FormedText<MomentText>,
        /// The moment after which no run begins.
        schedule_end_date: FormedText<MomentText>,
        /// The year, as in a cron timetable.
        schedule_year: FormedText<YearText>,
        /// Months, as in a cron timetable.
        schedule_month: FormedText<CronText>,
        /// Days of the month, as in a cron timetable.
        schedule_day: FormedText<CronText>,
        /// Weeks of the year, as in a cron timetable.
        schedule_week: FormedText<CronText>,
        /// Days of the week, as in a cron timetable.
        schedule_day_of_week: FormedText<CronText>,
        /// Hours, as in a cron timetable.
        schedule_hour: FormedText<CronText>,
        /// Minutes, as in a cron timetable.
        schedule_minute: FormedText<CronText>,
        /// Seconds, as in a cron timetable.
        schedule_second: FormedText<CronText>,
    }
}

impl When {
    /// Whether any key of it is there, if only as null.
    fn is_there(&self) -> bool {
        *self != Self::default()
    }

    /// The fields of the calendar by their names, the largest unit first; empty texts where the
    /// timetable says nothing.
    pub fn calendar(&self) -> [(&'static str, &str); 8] {
        [
            ("year", self.schedule_year.text()),
            ("month", self.schedule_month.text()),
            ("day", self.schedule_day.text()),
            ("week", self.schedule_week.text()),
            ("day_of_week", self.schedule_day_of_week.text()),
            ("hour", self.schedule_hour.text()),
            ("minute", self.schedule_minute.text()),
            ("second", self.schedule_second.text()),
        ]
    }
}

fields! {
    /// What is wanted of a job, and how its last run went.
    pub struct Course {
        /// What a user wants of the job, until its scheduler has acted on it.
        event: Word<JobEvent>,
        /// Where the job is.
        status: Word<JobStatus>,
        /// How the last run went.
        result: Word<RunResult>,
        /// The second since 1970 in which the job was made.
        time_created: i64,
        /// The second since 1970 in which the last run began; -1 for never.
        time_started: i64,
        /// The second since 1970 in which the last run ended; -1 for never, or not yet.
        time_ended: i64,
        /// The process of the last run.
        current_pid: i64,
    }
}

/// The second of something that has not happened.
pub const NEVER: i64 = -1;

/// When a job runs, and how its last run went.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// When it runs.
    #[serde(flatten)]
    pub when: When,
    /// How it went.
    #[serde(flatten)]
    pub course: Course,
    /// The keys that are none of these, as they came. The server refuses them.
    #[serde(flatten)]
    pub more: Document,
}

impl Documented for Schedule {
    const WITHIN: &'static str = "schedule";

    fn check(&self, path: &str) -> Result<(), WrongField> {
        self.when.check_fields(path)?;
        self.course.check_fields(path)?;
        match self.more.keys().next() {
            Some(key) => Err(WrongField::unknown(key, path)),
            None => Ok(()),
        }
    }

    fn mend(&mut self) {
        self.when.mend_fields();
        self.course.mend_fields();
    }
}

impl FieldKind for Schedule {
    fn must() -> String {
        "must be an object".to_owned()
    }

    fn schema() -> Value {
        json!({ "$ref": "#/components/schemas/Timetable" })
    }

    fn check(&self, path: &str) -> Result<(), WrongField> {
        Documented::check(self, path)
    }

    fn mend(&mut self) {
        Documented::mend(self);
    }
}

impl Schedule {
    /// Leaves out keys that are null: to readers they are as if they were not there.
    pub fn drop_nulls(&mut self) {
        let mut document = self.document();
        document.retain(|_, value| !value.is_null());
        *self = Self::of(document);
    }

    /// Sees to it that `event`, `status` and `result` are there. A scheduler of the original stops
    /// for good at a job without an event.
    pub fn fill(&mut self) {
        self.drop_nulls();
        self.course.event.fill("");
        self.course.status.fill("");
        self.course.result.fill("");
    }

    /// Merges a patch. When it says when, it says all of when: what it leaves out is gone. Null
    /// removes a key.
    pub fn merge(&mut self, patch: Self) {
        if patch.when.is_there() {
            self.when = patch.when;
        }
        let course = &mut self.course;
        course.event.take(patch.course.event);
        course.status.take(patch.course.status);
        course.result.take(patch.course.result);
        course.time_created.take(patch.course.time_created);
        course.time_started.take(patch.course.time_started);
        course.time_ended.take(patch.course.time_ended);
        course.current_pid.take(patch.course.current_pid);
        self.more.extend(patch.more);
        self.drop_nulls();
    }

    /// The keys that say when, as one text by which a change of them is noticed. Schedulers keep it
    /// in their journal.
    pub fn when_as_text(&self) -> String {
        let Ok(Value::Object(when)) = serde_json::to_value(&self.when) else {
            return String::new();
        };
        // Keys of a later version count too.
        let more = self
            .more
            .iter()
            .filter(|(key, _)| key.starts_with("schedule_"));
        let said: BTreeMap<&String, &Value> = when
            .iter()
            .chain(more)
            .filter(|(_, value)| !value.is_null() && *value != "")
            .collect();
        serde_json::to_string(&said).unwrap_or_default()
    }

    /// When it runs and nothing of how it went.
    #[must_use]
    pub fn only_when(self) -> Self {
        let mut more = self.more;
        more.retain(|key, _| key.starts_with("schedule_"));
        Self {
            when: self.when,
            course: Course::default(),
            more,
        }
    }

    /// The JSON schemas of all its fields as a client sends them.
    pub fn properties() -> Document {
        let mut properties = When::properties();
        properties.extend(Course::properties());
        properties
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{Document, Documented};
    use super::Schedule;
    use serde_json::{Value, json};

    fn schedule(value: Value) -> Schedule {
        Schedule::of(object(value))
    }

    fn object(value: Value) -> Document {
        value.as_object().cloned().expect("an object")
    }

    #[test]
    fn a_patch_that_says_when_says_all_of_when() {
        let mut old = schedule(json!({
            "schedule_hour": "3", "schedule_start_date": "2026-11-24T12:00:00",
            "status": "running", "event": "start", "current_pid": 7,
        }));
        old.merge(schedule(
            json!({ "schedule_interval": "1 day", "event": "" }),
        ));
        assert_eq!(
            Value::Object(old.document()),
            json!({
                "schedule_interval": "1 day", "status": "running", "event": "", "current_pid": 7,
            })
        );
        old.merge(schedule(
            json!({ "schedule_interval": null, "current_pid": null }),
        ));
        assert_eq!(
            Value::Object(old.document()),
            json!({ "status": "running", "event": "" })
        );
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        for (wrong, named) in [
            (json!({ "schedule_date": "" }), "s.schedule_date"),
            (
                json!({ "schedule_interval": "soon" }),
                "s.schedule_interval",
            ),
            (json!({ "schedule_hour": 3 }), "s.schedule_hour"),
            (json!({ "event": "dance" }), "s.event"),
            (json!({ "time_started": "1" }), "s.time_started"),
            (json!({ "x": 1 }), "\"x\""),
        ] {
            let error = Documented::check(&schedule(wrong), "s").expect_err(named);
            assert!(error.to_string().contains(named), "{error}");
        }
        Documented::check(
            &schedule(json!({ "event": null, "schedule_hour": null })),
            "s",
        )
        .expect("null says nothing");
    }

    #[test]
    fn what_the_original_writes_as_text_is_converted_once() {
        let read = Schedule::leniently(object(
            json!({ "time_started": " 12", "time_ended": "never", "event": "start" }),
        ));
        assert_eq!(read.course.time_started.get(), Some(&12));
        assert_eq!(read.course.time_ended.get(), None);
        assert_eq!(
            Value::Object(read.document()),
            json!({ "time_started": 12, "time_ended": "never", "event": "start" })
        );
    }

    #[test]
    fn the_text_of_when_is_what_journals_hold() {
        let read = schedule(json!({
            "schedule_second": "*", "schedule_date": null, "schedule_hour": "", "status": "stop",
        }));
        assert_eq!(read.when_as_text(), "{\"schedule_second\":\"*\"}");
    }
}

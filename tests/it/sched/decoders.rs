//! What a scheduler reads, from its disk and from servers: any input is refused or makes sense. As
//! in `fuzz/`, in short.

use crate::format::mutated::{changed, changes, entry_points as entry};
use freezer::model::job::{Documented, Schedule, When};
use freezer::model::{Interval, is_moment};
use freezer::sched::timetable::Timetable;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use serde_json::{Value, json};

/// One of the entry points.
type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 4] = [
    ("journal", entry::journal),
    ("run_files", entry::run_files),
    ("timetable", entry::timetable),
    ("jobs", entry::jobs),
];

fn seeds() -> Vec<(Target, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (target, run) in TARGETS {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        for input in std::fs::read_dir(&folder).expect("there are some") {
            seeds.push((
                run,
                std::fs::read(input.expect("listed").path()).expect("read"),
            ));
        }
    }
    seeds
}

/// Any JSON, of the words that jobs have more often than of others.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("start".to_owned()),
        Just("abort".to_owned()),
        Just("running".to_owned()),
        Just("continuous".to_owned()),
        Just("2 seconds".to_owned()),
        Just("*/3".to_owned()),
        Just("last".to_owned()),
        Just("2026-11-24T12:00:01".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop::sample::select(vec![
        "job_id",
        "job_schedule",
        "job_actions",
        "freezer_action",
        "event",
        "status",
        "result",
        "time_started",
        "time_ended",
        "session_id",
        "session_tag",
        "schedule_interval",
        "schedule_date",
        "schedule_start_date",
        "schedule_end_date",
        "schedule_second",
        "schedule_day",
        "schedule_week",
        "schedule_year",
        "priority",
        "action",
        "current_pid",
    ]);
    leaf.prop_recursive(3, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| Value::Object(
                pairs
                    .into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            )),
        ]
    })
}

fn when(schedule: &Value) -> When {
    Schedule::leniently_of(schedule.clone()).when
}

/// One part of a field of the calendar.
fn any_field() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("*".to_owned()),
        "[0-9]{1,4}",
        "[0-9]{1,2}-[0-9]{1,2}(/[0-9]{1,2})?",
        r"\*/[0-9]{1,2}",
        "(mon|sun|jan|dec|last|2nd fri|5th sun)(,[0-9]{1,2})?"
    ]
}

#[test]
fn what_the_fuzzers_start_from_is_taken() {
    let seeds = seeds();
    assert!(seeds.len() >= 7, "{}", seeds.len());
    seeds.iter().for_each(|(run, seed)| run(seed));
    freezer::sched::journal::JournalContent::decode(include_bytes!(
        "../../../fuzz/seeds/journal/running"
    ))
    .expect("sound");
    serde_json::from_slice::<freezer::sched::order::RunOrder>(include_bytes!(
        "../../../fuzz/seeds/run_files/order"
    ))
    .expect("sound");
    serde_json::from_slice::<freezer::sched::order::RunOutcome>(include_bytes!(
        "../../../fuzz/seeds/run_files/outcome"
    ))
    .expect("sound");
}

proptest! {
    #[test]
    fn files_that_were_changed_are_refused_or_sound(changes in changes()) {
        for (run, seed) in seeds() {
            run(&changed(&seed, &changes));
        }
    }

    #[test]
    fn of_any_list_of_jobs_the_good_one_runs_once(list in prop::collection::vec(any_json(), 0..6)) {
        entry::jobs(json!(list).to_string().as_bytes());
    }

    #[test]
    fn fields_of_the_calendar_are_refused_or_have_moments_in_order(fields in prop::collection::vec(
        (0_usize..8, any_field()),
        1..4,
    )) {
        let names = ["year", "month", "day", "week", "day_of_week", "hour", "minute", "second"];
        let schedule: serde_json::Map<String, Value> =
            fields.into_iter().map(
                |(name, text)| (format!("schedule_{}", names[name]), text.into())
            ).collect();
        entry::timetable(Value::Object(schedule).to_string().as_bytes());
    }

    #[test]
    fn intervals_that_a_server_takes_are_read(
        count in any::<u64>(),
        unit in "(second|minute|hour|day|week)s?",
        space in " {1,3}",
    ) {
        let text = format!("{count}{space}{unit}");
        let schedule = json!({ "schedule_interval": text });
        let read = Timetable::read(&when(&schedule), &TimeZone::UTC);
        prop_assert_eq!(read.is_ok(), Interval::parse(&text).is_some(), "{}", text);
        entry::timetable(schedule.to_string().as_bytes());
    }

    #[test]
    fn moments_that_a_server_takes_are_read(
        text in "20[0-9]{2}-(0[1-9]|1[0-2])-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-6][0-9]\
            (\\.[0-9]{1,9})?(Z|[+-][01][0-9](:?[0-5][0-9])?)?"
    ) {
        let schedule = json!({ "schedule_date": text });
        let read = Timetable::read(&when(&schedule), &TimeZone::UTC);
        if is_moment(&text) {
            prop_assert!(read.is_ok(), "{}: {:?}", text, read.err());
        }
        entry::timetable(schedule.to_string().as_bytes());
    }
}

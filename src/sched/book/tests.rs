use super::{Book, Rules, Sighting, Task};
use crate::model::job::{Document, Documented, Job, JobStatus};
use crate::sched::journal::Record;
use crate::sched::states::JobState;
use crate::sched::timetable::Lateness;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

fn rules() -> Rules {
    Rules {
        zone: TimeZone::UTC,
        lateness: Lateness {
            grace: Duration::from_hours(1),
            make_up: false,
        },
        dead_after: Duration::from_hours(24),
        cluster: false,
        changes_start: false,
    }
}

fn cluster() -> Book {
    Book::new(
        Rules {
            cluster: true,
            ..rules()
        },
        BTreeMap::new(),
        Vec::new(),
    )
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("a moment")
}

fn noon() -> Timestamp {
    at("2026-11-24T12:00:00Z")
}

fn after(seconds: i64) -> Timestamp {
    noon() + SignedDuration::from_secs(seconds)
}

fn job(id: &str, schedule: Value) -> Document {
    let job = json!({
        "job_id": id,
        "client_id": "c",
        "job_schedule": schedule,
        "job_actions": [{"freezer_action": {"action": "backup"}}],
    });
    job.as_object().expect("an object").clone()
}

fn read(document: &Document) -> Job {
    Job::leniently(document.clone())
}

fn seen(documents: Vec<Document>) -> Vec<Job> {
    documents.iter().map(read).collect()
}

fn new() -> Book {
    Book::new(rules(), BTreeMap::new(), Vec::new())
}

fn state(book: &Book, id: &str) -> JobState {
    book.record(id).expect("it is known").state
}

/// The server's document, changed as the book wants it.
fn tell(book: &mut Book, document: &mut Document) {
    let id = document["job_id"].as_str().expect("an id").to_owned();
    let patch = book.patch(&id, &read(document)).expect("it is known");
    document.extend(patch.document());
    book.sent(&id, Some(&patch));
}

#[test]
fn a_new_job_without_a_timetable_runs_once_at_once() {
    let mut book = new();
    let mut document = job("a", json!({}));
    assert_eq!(
        book.see(seen(vec![document.clone()]), Sighting::All, noon()),
        [("a".to_owned(), Task::Report)]
    );
    tell(&mut book, &mut document);
    assert_eq!(document["job_schedule"]["status"], "scheduled");
    let (launch, _) = book.due(noon(), 5);
    assert_eq!(launch, [("a".to_owned(), noon())]);
    book.begin("a", "r1", noon());
    tell(&mut book, &mut document);
    assert_eq!(
        (
            &document["job_schedule"]["status"],
            &document["job_schedule"]["time_ended"]
        ),
        (&json!("running"), &json!(-1))
    );
    assert_eq!(book.due(after(5), 5), (vec![], vec![]));
    assert_eq!(
        book.ended("a", "success", after(9)),
        [("a".to_owned(), Task::Report)]
    );
    tell(&mut book, &mut document);
    let schedule = &document["job_schedule"];
    assert_eq!(
        (
            &schedule["status"],
            &schedule["result"],
            &schedule["time_ended"]
        ),
        (
            &json!("completed"),
            &json!("success"),
            &json!(after(9).as_second())
        )
    );
    // It is in no list any more.
    book.see(seen(vec![]), Sighting::All, after(60));
    assert!(book.record("a").is_none());
    // A person starts it again.
    document["job_schedule"]["event"] = "start".into();
    document["job_schedule"]["status"] = "".into();
    book.see(seen(vec![document.clone()]), Sighting::All, after(120));
    assert_eq!(book.due(after(120), 5).0.len(), 1);
}

#[test]
fn a_job_of_an_interval_waits_for_it_and_goes_on() {
    let mut book = new();
    let mut document = job("a", json!({"schedule_interval": "10 minutes"}));
    book.see(seen(vec![document.clone()]), Sighting::All, noon());
    tell(&mut book, &mut document);
    assert_eq!(book.due(after(599), 5).0, []);
    assert_eq!(book.due(after(600), 5).0, [("a".to_owned(), after(600))]);
    book.begin("a", "r1", after(600));
    tell(&mut book, &mut document);
    // It takes too long: two moments go by.
    assert_eq!(book.due(after(1200), 5).0, []);
    assert_eq!(book.due(after(1800), 5).0, []);
    assert_eq!(book.record("a").expect("known").missed, 2);
    book.ended("a", "fail", after(1900));
    tell(&mut book, &mut document);
    assert_eq!(
        (
            &document["job_schedule"]["status"],
            &document["job_schedule"]["result"]
        ),
        (&json!("scheduled"), &json!("fail"))
    );
    assert_eq!(book.due(after(2399), 5).0, []);
    assert_eq!(book.due(after(2400), 5).0.len(), 1);
}

#[test]
fn events_are_acted_on_once_also_when_the_answer_is_lost() {
    let mut book = new();
    let mut document = job("a", json!({}));
    document["job_schedule"]["event"] = "start".into();
    book.see(seen(vec![document.clone()]), Sighting::All, noon());
    book.due(noon(), 5);
    book.begin("a", "r1", noon());
    book.ended("a", "success", after(1));
    // Nothing of it reached the server: the event stands there still.
    book.see(seen(vec![document.clone()]), Sighting::All, after(60));
    assert_eq!(book.due(after(60), 5).0, [], "it ran already");
    tell(&mut book, &mut document);
    assert_eq!(
        (
            &document["job_schedule"]["event"],
            &document["job_schedule"]["status"]
        ),
        (&json!(""), &json!("completed"))
    );
}

#[test]
fn an_event_that_came_meanwhile_is_not_wiped_out() {
    let mut book = new();
    let mut document = job("a", json!({"schedule_interval": "1 day"}));
    book.see(seen(vec![document.clone()]), Sighting::All, noon());
    document["job_schedule"]["event"] = "stop".into();
    tell(&mut book, &mut document);
    assert_eq!(document["job_schedule"]["event"], "stop");
    book.see(seen(vec![document.clone()]), Sighting::All, after(60));
    assert_eq!(state(&book, "a"), JobState::Stopped);
    tell(&mut book, &mut document);
    assert_eq!(
        (
            &document["job_schedule"]["event"],
            &document["job_schedule"]["status"]
        ),
        (&json!(""), &json!("stop"))
    );
    // Seen for the first time by another scheduler, it stays so.
    let mut other = new();
    other.see(seen(vec![document]), Sighting::All, after(90));
    assert_eq!(other.due(after(1_000_000), 5).0, []);
}

#[test]
fn an_abort_ends_the_run_and_a_stop_lets_it_end() {
    for (event, word, then) in [
        ("abort", "aborting", JobState::Aborting),
        ("stop", "running", JobState::Stopping),
    ] {
        let mut book = new();
        let mut document = job("a", json!({"schedule_interval": "1 hour"}));
        book.see(seen(vec![document.clone()]), Sighting::All, noon());
        tell(&mut book, &mut document);
        book.due(after(3600), 5);
        book.begin("a", "r1", after(3600));
        tell(&mut book, &mut document);
        document["job_schedule"]["event"] = event.into();
        let tasks = book.see(seen(vec![document.clone()]), Sighting::All, after(3700));
        assert_eq!(
            tasks.contains(&("a".to_owned(), Task::Kill)),
            event == "abort"
        );
        assert_eq!(state(&book, "a"), then);
        tell(&mut book, &mut document);
        assert_eq!(
            (
                &document["job_schedule"]["status"],
                &document["job_schedule"]["event"]
            ),
            (&json!(word), &json!(""))
        );
        book.ended("a", "aborted", after(3710));
        tell(&mut book, &mut document);
        assert_eq!(document["job_schedule"]["status"], "completed");
        assert_eq!(book.due(after(100_000), 5).0, []);
    }
}

#[test]
fn one_bad_job_keeps_none_of_the_others_waiting() {
    let mut book = new();
    let mut documents = vec![
        job("bad-interval", json!({"schedule_interval": "often"})),
        job("bad-cron", json!({"schedule_hour": "99"})),
        job("", json!({})),
    ];
    for bad in [
        json!({"job_id": 5}),
        json!({"job_id": "no-schedule", "job_schedule": null}),
        json!({"job_id": "odd", "job_schedule": [1]}),
    ] {
        documents.push(bad.as_object().expect("an object").clone());
    }
    documents.push(job("zz-good", json!({})));
    book.see(seen(documents), Sighting::All, noon());
    let launch: Vec<String> = book
        .due(noon(), 9)
        .0
        .into_iter()
        .map(|(id, _)| id)
        .collect();
    assert_eq!(launch, ["no-schedule", "odd", "zz-good"]);
    // Who looks at the others sees that they do not work.
    let told = book
        .patch(
            "bad-cron",
            &read(&job("bad-cron", json!({"schedule_hour": "99"}))),
        )
        .expect("known")
        .document();
    assert_eq!(
        (
            &told["job_schedule"]["status"],
            &told["job_schedule"]["result"]
        ),
        (&json!("completed"), &json!("fail"))
    );
}

#[test]
fn places_go_to_the_most_urgent_and_then_to_who_waits_longest() {
    let mut book = new();
    let mut urgent = job("c", json!({"schedule_date": "2026-11-24T12:00:02Z"}));
    urgent["job_actions"][0]["freezer_action"]["priority"] = "5".into();
    let jobs = vec![
        job("b", json!({"schedule_date": "2026-11-24T12:00:00Z"})),
        job("a", json!({"schedule_date": "2026-11-24T12:00:01Z"})),
        urgent,
    ];
    book.see(seen(jobs), Sighting::All, noon());
    let ids =
        |launch: Vec<(String, Timestamp)>| launch.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(book.due(after(10), 0).0), [""; 0]);
    assert_eq!(ids(book.due(after(10), 2).0), ["c", "b"]);
    // Who waits for a place for hours does not miss it.
    assert_eq!(ids(book.due(after(9000), 3).0), ["c", "b", "a"]);
}

#[test]
fn of_two_schedulers_of_one_client_one_runs_each_moment() {
    for schedule in [
        json!({"schedule_interval": "10 minutes"}),
        json!({"schedule_minute": "*/10"}),
        json!({}),
    ] {
        let mut document = job("a", schedule.clone());
        let mut books = [cluster(), cluster()];
        let mut runs = Vec::new();
        // The second sees everything some seconds later.
        for second in 0..7200 {
            for (number, book) in books.iter_mut().enumerate() {
                let now = after(second);
                if (second + 7 * i64::try_from(number).expect("small")) % 60 == 0
                    && document["job_schedule"]["status"] != "completed"
                {
                    book.see(seen(vec![document.clone()]), Sighting::All, now);
                    if !book.unsent().is_empty() && !book.is_foreign("a", &read(&document), now) {
                        tell(book, &mut document);
                    } else {
                        book.sent("a", None);
                    }
                }
                for (id, firing) in book.due(now, 1).0 {
                    let due = book.occasion(&id, firing).expect("known");
                    book.begin(&id, "r", now);
                    if book.is_due_still(&id, &read(&document), &due, now) {
                        tell(book, &mut document);
                        runs.push(second);
                        book.ended(&id, "success", now);
                        tell(book, &mut document);
                    } else {
                        book.withdraw(&id);
                    }
                }
            }
        }
        let expected = if schedule == json!({}) {
            1..=1
        } else {
            11..=12
        };
        assert!(expected.contains(&runs.len()), "{schedule}: {runs:?}");
        assert!(
            runs.windows(2).all(|pair| pair[1] - pair[0] >= 590),
            "{schedule}: {runs:?}"
        );
    }
}

#[test]
fn runs_that_the_server_was_not_told_of_keep_none_of_the_next_from_beginning() {
    // It knows that one began, and was away until after the end of the second.
    let mut document = job(
        "a",
        json!({"schedule_second": "*", "status": "running", "event": ""}),
    );
    document["job_schedule"]["time_started"] = after(10).as_second().into();
    let is_due = |mut book: Book, last: i64| {
        book.see(
            seen(vec![job("a", json!({"schedule_second": "*"}))]),
            Sighting::All,
            noon(),
        );
        for second in [10, last] {
            book.due(after(second), 5);
            book.begin("a", "r", after(second));
            book.ended("a", "success", after(second));
        }
        let firing = book.due(after(20), 5).0[0].1;
        let due = book.occasion("a", firing).expect("known");
        let is_foreign = book.is_foreign("a", &read(&document), after(20));
        book.begin("a", "r3", after(20));
        (
            book.is_due_still("a", &read(&document), &due, after(20)),
            is_foreign,
        )
    };
    assert_eq!(is_due(new(), 11), (true, false));
    // One that began after the last of ours is another's, and so is any but the last of ours in a
    // cluster.
    assert_eq!(is_due(new(), 9), (false, true));
    assert_eq!(is_due(cluster(), 11), (false, true));
    assert_eq!(is_due(cluster(), 10), (true, false));
}

#[test]
fn a_run_of_another_scheduler_is_left_alone_until_it_must_be_dead() {
    let mut document = job(
        "a",
        json!({"schedule_interval": "1 hour", "status": "running", "event": ""}),
    );
    document["job_schedule"]["time_started"] = noon().as_second().into();
    let mut book = new();
    book.see(seen(vec![document.clone()]), Sighting::All, after(60));
    assert!(book.record("a").is_none());
    book.see(
        seen(vec![document.clone()]),
        Sighting::All,
        after(25 * 3600),
    );
    assert_eq!(state(&book, "a"), JobState::Scheduled);
    // A person may know better.
    document["job_schedule"]["event"] = "start".into();
    let mut book = new();
    book.see(seen(vec![document]), Sighting::All, after(60));
    assert_eq!(state(&book, "a"), JobState::Scheduled);
}

#[test]
fn a_job_that_is_gone_while_it_runs_is_forgotten_when_it_has_ended() {
    let mut book = new();
    book.see(
        seen(vec![job("a", json!({"schedule_interval": "1 hour"}))]),
        Sighting::All,
        noon(),
    );
    book.sent("a", None);
    book.due(after(3600), 5);
    book.begin("a", "r1", after(3600));
    book.sent("a", None);
    book.see(seen(vec![]), Sighting::All, after(3660));
    assert_eq!(state(&book, "a"), JobState::Leaving);
    book.ended("a", "success", after(3700));
    book.sent("a", None);
    assert!(book.record("a").is_none());
}

#[test]
fn a_job_whose_file_cannot_be_read_for_a_moment_is_not_done_again() {
    let mut book = new();
    book.see(seen(vec![job("a", json!({}))]), Sighting::All, noon());
    book.due(noon(), 5);
    book.begin("a", "r1", noon());
    book.ended("a", "success", after(1));
    book.sent("a", None);
    book.see(seen(vec![]), Sighting::Some, after(60));
    book.see(seen(vec![job("a", json!({}))]), Sighting::All, after(120));
    assert_eq!(book.due(after(120), 5).0, []);
}

#[test]
fn a_changed_timetable_counts_from_its_change() {
    let mut book = new();
    book.see(
        seen(vec![job("a", json!({"schedule_interval": "1 hour"}))]),
        Sighting::All,
        noon(),
    );
    book.see(
        seen(vec![job("a", json!({"schedule_interval": "10 minutes"}))]),
        Sighting::All,
        after(1800),
    );
    assert_eq!(book.due(after(2399), 5).0, []);
    assert_eq!(book.due(after(2400), 5).0.len(), 1);
}

#[test]
fn an_end_of_the_process_at_any_moment_runs_nothing_twice() {
    // What is remembered is all that is left, at each step in turn.
    let document = job("a", json!({}));
    for end_after in 0..4 {
        let mut book = new();
        let mut records: BTreeMap<String, Record> = BTreeMap::new();
        let mut launches = 0;
        for step in 0..6 {
            if step == end_after {
                book = Book::new(rules(), records.clone(), vec![read(&document)]);
            }
            let now = after(step);
            book.see(seen(vec![document.clone()]), Sighting::All, now);
            for (id, _) in book.due(now, 1).0 {
                book.begin(&id, "r1", now);
                launches += 1;
            }
            if step == 3 && book.record("a").is_some_and(|record| record.run.is_some()) {
                book.ended("a", "success", now);
            }
            records = book.records();
        }
        assert_eq!(launches, 1, "ended after step {end_after}");
        assert_eq!(records["a"].result, "success");
    }
}

#[test]
fn a_day_of_a_thousand_jobs_runs_each_as_often_as_it_should_and_grows_nowhere() {
    let mut book = new();
    let documents: Vec<Document> = (0..1000)
        .map(|number| match number % 4 {
            0 => job(
                &format!("j{number}"),
                json!({"schedule_interval": "1 hour"}),
            ),
            1 => job(&format!("j{number}"), json!({"schedule_minute": "*/30"})),
            2 => job(&format!("j{number}"), json!({"schedule_hour": "3"})),
            _ => job(&format!("j{number}"), json!({})),
        })
        .collect();
    let mut jobs = seen(documents);
    let mut runs: BTreeMap<String, u32> = BTreeMap::new();
    let mut largest = 0;
    for minute in 0..24 * 60 {
        let now = noon() + SignedDuration::from_mins(minute);
        jobs.retain(|job| {
            let course = job.schedule().map(|schedule| &schedule.course);
            course.and_then(|course| course.status.said()) != Some(JobStatus::Completed)
        });
        book.see(jobs.clone(), Sighting::All, now);
        let (launch, _) = book.due(now, 2000);
        for (id, _) in launch {
            book.begin(&id, "r", now);
            *runs.entry(id.clone()).or_default() += 1;
            book.ended(&id, "success", now);
        }
        for job in &mut jobs {
            let id = job.job_id.text().to_owned();
            if book.record(&id).is_some_and(|record| record.unsent) {
                let patch = book.patch(&id, job).expect("it is known");
                job.overlay(&patch);
                book.sent(&id, Some(&patch));
            }
        }
        largest = largest.max(serde_json::to_vec(&book.records()).expect("JSON").len());
    }
    for (id, count) in &runs {
        let number: usize = id[1..].parse().expect("a number");
        assert_eq!(*count, [23, 47, 1, 1][number % 4], "{id}");
    }
    assert_eq!((runs.len(), book.records().len()), (1000, 750));
    assert!(largest < 1_000_000, "{largest}");
}

use super::{
    Action, AgentOptions, BackupMetadata, BackupRecord, Client, ClientInfo, Course, Document,
    Documented, Field, Job, JobEvent, JobSession, JobStatus, Schedule, SessionCall, SessionJob,
    When,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn object(value: &Value) -> Document {
    value.as_object().cloned().expect("an object")
}

fn job(value: &Value) -> Job {
    Job::of(object(value))
}

/// A job as the API's tests have it, and as the original's scheduler leaves it.
fn usual() -> Value {
    json!({
        "job_id": "0c9f", "project_id": "p", "user_id": "u", "client_id": "p_node",
        "description": "d", "session_id": "", "session_tag": 0,
        "job_schedule": {
            "schedule_interval": "1 days", "event": "", "status": "scheduled", "result": "success",
            "time_created": 1_795_521_600, "time_started": -1, "time_ended": -1, "current_pid": 77,
        },
        "job_actions": [{
            "action_id": "a", "max_retries": 5, "max_retries_interval": 6, "mandatory": false,
            "freezer_action": {
                "action": "backup", "backup_name": "b", "mode": null,
                "nested": { "ü": [1.5, null] },
            },
        }],
    })
}

#[test]
fn a_usual_job_is_understood_and_taken() {
    let job = job(&usual());
    job.check("").expect("as it must be");
    let course = &job.schedule().expect("one").course;
    assert_eq!(course.status.said(), Some(JobStatus::Scheduled));
    assert_eq!((course.event.said(), course.event.text()), (None, ""));
    assert_eq!(course.current_pid.get(), Some(&77));
    assert_eq!(job.action_ids(), ["a"]);
    let options = job.actions().next().and_then(Action::options).expect("one");
    assert_eq!(options.action_or_backup(), "backup");
    assert_eq!(Value::Object(job.document()), usual());
}

#[test]
fn what_breaks_a_rule_of_a_job_is_named() {
    for (wrong, named) in [
        (json!({ "color": "red" }), "color"),
        (json!({ "session_tag": "1" }), "session_tag"),
        (json!({ "description": 1 }), "description"),
        (json!({ "description": "x".repeat(4097) }), "description"),
        (json!({ "job_schedule": [] }), "job_schedule"),
        (json!({ "job_schedule": { "x": 1 } }), "job_schedule"),
        (json!({ "job_actions": {} }), "job_actions"),
        (json!({ "action_defaults": 1 }), "action_defaults"),
        (json!({ "job_id": "a b" }), "job_id"),
    ] {
        let error = job(&wrong).check("").expect_err(named);
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[test]
fn what_readers_rely_on_is_filled_in_and_nothing_else() {
    let mut job = job(&json!({ "session_id": null, "session_name": null, "job_schedule": 7 }));
    job.fill();
    assert_eq!(
        Value::Object(job.document()),
        json!({
            "session_id": "", "session_tag": 0, "description": "", "session_name": null,
            "job_schedule": { "event": "", "status": "", "result": "" },
        })
    );
}

#[test]
fn a_lenient_reader_converts_text_and_ignores_what_it_cannot() {
    let job = Job::leniently(object(&json!({
        "session_tag": "7", "job_schedule": { "event": "start", "current_pid": "x" },
        "job_actions": [
            1,
            { "max_retries": "2", "mandatory": "True", "freezer_action": { "priority": "9" } },
        ],
    })));
    assert_eq!(job.tag(), 7);
    let course = &job.schedule().expect("one").course;
    assert_eq!(course.event.said(), Some(JobEvent::Start));
    assert_eq!(course.current_pid.get(), None);
    let action = job.actions().next().expect("the one that is an object");
    assert_eq!(action.max_retries.get(), Some(&2));
    assert_eq!(action.mandatory.get(), Some(&true));
    assert_eq!(action.urgency(), Some(9));
}

#[test]
fn null_is_not_absent() {
    let mut field: Field<i64> = Field::Null;
    assert!(field.is_unsaid() && !field.is_absent());
    field.take(Field::Absent);
    assert_eq!(field, Field::Null);
    field.fill(3);
    assert_eq!(field.get(), Some(&3));
    field.take(Field::Null);
    assert!(field.is_absent());
}

/// The keys of all documents.
fn keys() -> Vec<&'static str> {
    [
        Job::KEYS,
        When::KEYS,
        Course::KEYS,
        Action::KEYS,
        AgentOptions::KEYS,
        JobSession::KEYS,
        SessionJob::KEYS,
        SessionCall::KEYS,
        Client::KEYS,
        ClientInfo::KEYS,
        BackupRecord::KEYS,
        BackupMetadata::KEYS,
        &["", "unknown", "ü"],
    ]
    .concat()
}

/// Any object, of the keys and words that documents have more often than of others.
fn any_document() -> impl Strategy<Value = Document> {
    let word = prop_oneof![
        Just("start".to_owned()),
        Just("running".to_owned()),
        Just("success".to_owned()),
        Just("1 days".to_owned()),
        Just("2026-11-24T12:00:01".to_owned()),
        Just("True".to_owned()),
        Just("7".to_owned()),
        "\\PC{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.prop_map(Value::from)
    ];
    let key = prop::sample::select(keys());
    let objects = move |inner: BoxedStrategy<Value>| {
        prop::collection::vec((key.clone(), inner), 0..8).prop_map(|pairs| {
            let pairs = pairs.into_iter();
            Value::Object(pairs.map(|(key, value)| (key.to_owned(), value)).collect())
        })
    };
    let inside = objects.clone();
    leaf.prop_recursive(4, 60, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            inside(inner.boxed()),
        ]
    })
    .boxed()
    .prop_flat_map(move |inner| objects(Just(inner).boxed()))
    .prop_map(|value| object(&value))
}

fn is_kept<D: Documented>(document: &Document) {
    assert_eq!(D::of(document.clone()).document(), *document);
    // What a lenient reader has converted, it reads the same again.
    let mended = D::leniently(document.clone()).document();
    assert_eq!(D::leniently(mended.clone()).document(), mended);
}

proptest! {
    #[test]
    fn reading_and_writing_a_document_loses_nothing(document in any_document()) {
        is_kept::<Job>(&document);
        is_kept::<Schedule>(&document);
        is_kept::<Action>(&document);
        is_kept::<AgentOptions>(&document);
        is_kept::<JobSession>(&document);
        is_kept::<SessionJob>(&document);
        is_kept::<SessionCall>(&document);
        is_kept::<Client>(&document);
        is_kept::<ClientInfo>(&document);
        is_kept::<BackupRecord>(&document);
        is_kept::<BackupMetadata>(&document);
    }
}

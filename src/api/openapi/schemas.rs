//! What objects look like: as they are sent, and as they are answered. All of it comes from the
//! types of the documents; what stands here is which keys must be there, and what the server adds.

use crate::api::jobs::MOST_ACTIONS;
use crate::model::job::{
    Action, ActionList, AgentOptions, BackupMetadata, BackupRecord, Client, ClientInfo, Course,
    Document, Documented, Field, FieldKind, Job, JobEvent, JobSession, Plain, RunResult, Schedule,
    SessionCall, SessionJobs, SessionVerb, TextForm, When, Words,
};
use serde_json::{Map, Value, json};

/// All of them, by name.
pub(super) fn all() -> Value {
    let mut all = Map::new();
    for part in [answers(), requests(), events()] {
        if let Value::Object(part) = part {
            all.extend(part);
        }
    }
    Value::Object(all)
}

fn object(required: &[&str], properties: Value) -> Value {
    json!({ "type": "object", "required": required, "properties": properties })
}

fn named(name: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{name}") })
}

/// An object as it is answered. The keys of `usual` are always there; one that is null in it may be
/// null in every answer, as may those that it does not have.
fn answer(usual: &impl Documented, properties: Document) -> Value {
    let usual = usual.document();
    let nullable = |schema: Value| match schema.get("type") {
        Some(kind) => json!({ "type": [kind, "null"] }),
        None if schema.get("enum").is_some() => json!({ "anyOf": [schema, { "type": "null" }] }),
        None => schema,
    };
    let properties: Document = properties
        .into_iter()
        .map(|(key, schema)| {
            let is_sure = usual.get(&key).is_some_and(|value| !value.is_null());
            let schema = if is_sure { schema } else { nullable(schema) };
            (key, schema)
        })
        .collect();
    let required: Vec<&String> = usual.keys().collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// Objects as they are answered.
fn answers() -> Value {
    let (text, number) = (json!({ "type": "string" }), json!({ "type": "integer" }));
    let unauthenticated = object(
        &["code", "title", "message"],
        json!({ "code": number, "title": text, "message": text }),
    );
    json!({
        "Error": object(&["title"], json!({ "title": text, "description": text })),
        "Unauthenticated": object(&["error"], json!({ "error": unauthenticated })),
        "Backup": backup_answer(),
        "Client": client_answer(),
        "Job": job_answer(),
        "Action": action_answer(),
        "Session": session_answer(),
    })
}

fn backup_answer() -> Value {
    let usual = BackupRecord {
        backup_id: "b".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        status: BackupRecord::AVAILABLE.into(),
        backup_metadata: Field::Is(BackupMetadata::default()),
        ..BackupRecord::default()
    };
    answer(&usual, BackupRecord::answer_properties())
}

fn client_answer() -> Value {
    let mut info = ClientInfo {
        client_id: "c".into(),
        uuid: "u".into(),
        ..ClientInfo::default()
    };
    info.complete();
    let inner = answer(&info, ClientInfo::answer_properties());
    let usual = Client {
        project_id: "p".into(),
        user_id: "u".into(),
        client: Field::Is(info),
        ..Client::default()
    };
    let mut client = answer(&usual, Client::answer_properties());
    client["properties"]["client"] = inner;
    client
}

fn job_answer() -> Value {
    let mut usual = Job {
        job_id: "j".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        client_id: "c".into(),
        job_actions: Field::Is(ActionList::default()),
        ..Job::default()
    };
    usual.fill();
    let schedule = usual.schedule().cloned().unwrap_or_default();
    let mut keys = When::answer_properties();
    keys.extend(Course::answer_properties());
    let mut job = answer(&usual, Job::answer_properties());
    job["properties"]["job_schedule"] = answer(&schedule, keys);
    job["properties"]["job_actions"] = json!({ "type": "array", "items": named("Action") });
    job
}

fn action_answer() -> Value {
    let mut usual = Action {
        action_id: "a".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        freezer_action: Field::Is(AgentOptions::default()),
        ..Action::default()
    };
    usual.fill();
    answer(&usual, Action::answer_properties())
}

fn session_answer() -> Value {
    let mut usual = JobSession {
        session_id: "s".into(),
        project_id: "p".into(),
        user_id: "u".into(),
        schedule: Field::Is(Schedule::default()),
        jobs: Field::Is(SessionJobs::default()),
        ..JobSession::default()
    };
    usual.fill();
    answer(&usual, JobSession::answer_properties())
}

/// Replaces the schema of a key; what it is for stays.
fn set(properties: &mut Document, key: &str, schema: Value) {
    let about = properties.get(key).and_then(|old| old.get("description"));
    let mut schema = schema;
    if let Some(about) = about.cloned() {
        schema["description"] = about;
    }
    properties.insert(key.to_owned(), schema);
}

/// An action as it is sent, inside of a job or alone.
fn action() -> Document {
    let mut action = Action::properties();
    let options = json!({ "type": "object", "properties": AgentOptions::properties() });
    set(&mut action, "freezer_action", options);
    action
}

fn job() -> Document {
    let mut job = Job::properties();
    set(&mut job, "client_id", Plain::schema());
    set(&mut job, "job_schedule", named("Timetable"));
    let entry = object(&["freezer_action"], Value::Object(action()));
    let entries = json!({ "type": "array", "maxItems": MOST_ACTIONS, "items": entry });
    set(&mut job, "job_actions", entries);
    job
}

fn session() -> Document {
    let mut session = JobSession::properties();
    set(&mut session, "schedule", named("Timetable"));
    set(&mut session, "jobs", SessionJobs::schema());
    // The server sets these itself.
    for own in ["session_id", "project_id", "user_id"] {
        session.remove(own);
    }
    session
}

fn new_backup() -> Document {
    let mut record = BackupMetadata::properties();
    let mut name = Plain::schema();
    name["minLength"] = 1.into();
    for key in ["container", "hostname", "backup_name"] {
        set(&mut record, key, name.clone());
    }
    record
}

fn client() -> Document {
    let mut client = ClientInfo::properties();
    set(
        &mut client,
        "client_id",
        crate::model::job::NodeName::schema(),
    );
    client
}

/// Objects as they are sent; of what is called `…Change`, only what changes.
fn requests() -> Value {
    let only = |required: &[&str], properties: Document| {
        json!({
            "type": "object", "required": required, "properties": properties,
            "additionalProperties": false,
        })
    };
    let open = |required: &[&str], properties: Document| object(required, properties.into());
    json!({
        "Timetable": only(&[], Schedule::properties()),
        "NewJob": only(&["client_id", "job_actions"], job()),
        "JobChange": only(&[], job()),
        "NewSession": open(&["schedule"], session()),
        "SessionChange": open(&[], session()),
        "NewAction": open(&["freezer_action"], action()),
        "ActionChange": open(&[], action()),
        "NewBackup": open(&["container", "hostname", "backup_name"], new_backup()),
        "BackupChange": open(&[], BackupRecord::properties()),
        "NewClient": open(&["client_id"], client()),
        "Search": search(),
    })
}

/// The search in the body of the GET of a list.
fn search() -> Value {
    let second = Field::<i64>::schema();
    let words = json!({ "_all": { "type": "string" } });
    let condition = json!({ "type": "object", "maxProperties": 2 });
    let mut with_words = condition.clone();
    with_words["properties"] = words;
    object(
        &[],
        json!({
            "match": { "type": "array", "maxItems": 10, "items": with_words },
            "match_not": { "type": "array", "maxItems": 10, "items": condition },
            "time_after": second, "time_before": second,
        }),
    )
}

/// The events of jobs and the calls of sessions.
fn events() -> Value {
    let one = |properties: Document| {
        json!({
            "type": "object", "minProperties": 1, "maxProperties": 1, "properties": properties,
            "additionalProperties": false,
        })
    };
    let wishes = JobEvent::ALL
        .iter()
        .filter(|event| **event != JobEvent::Remove);
    let wishes = wishes.map(|event| (event.word().to_owned(), json!({})));
    let calls = SessionVerb::ALL.iter().map(|verb| {
        let mut said = SessionCall::properties();
        set(&mut said, "job_id", Plain::schema());
        let (key, schema) = match verb {
            SessionVerb::Start => {
                let tag = json!({ "type": "integer", "minimum": 0, "maximum": i64::MAX });
                ("current_tag", tag)
            }
            SessionVerb::End => {
                let results: Vec<&str> = RunResult::ALL.iter().map(|one| one.word()).collect();
                ("result", json!({ "enum": results }))
            }
        };
        set(&mut said, key, schema);
        (
            verb.word().to_owned(),
            object(&["job_id", key], said.into()),
        )
    });
    json!({ "JobEvent": one(wishes.collect()), "SessionAction": one(calls.collect()) })
}

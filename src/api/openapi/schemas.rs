//! What objects look like: as they are sent, and as they are answered. Words that are checked come
//! from where they are checked.

use crate::api::call::LONGEST_ID;
use crate::api::{backups, clients, fields};
use serde_json::{Map, Value, json};

/// The longest text that is sure to be taken: what is checked are bytes.
const LONGEST_TEXT: usize = fields::LONGEST_TEXT / 4;

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

/// Objects as they are answered.
fn answers() -> Value {
    let (text, number, inner) = (
        json!({ "type": "string" }),
        json!({ "type": "integer" }),
        json!({ "type": "object" }),
    );
    let maybe = json!({ "type": ["string", "null"] });
    json!({
        "Error": object(&["title"], json!({ "title": text, "description": text })),
        "Unauthenticated": object(&["error"], json!({ "error": object(&["code", "title", "message"], json!({ "code": number, "title": text, "message": text })) })),
        "Backup": object(
            &["backup_id", "project_id", "user_id", "status", "backup_metadata"],
            json!({
                "backup_id": text, "project_id": text, "user_id": text, "status": { "enum": backups::STATUSES }, "backup_metadata": inner,
            }),
        ),
        "Client": object(&["project_id", "user_id", "client"], json!({
            "project_id": text, "user_id": text,
            "client": object(&["client_id", "hostname", "uuid", "is_central"], json!({
                "client_id": text, "hostname": maybe, "description": maybe, "uuid": text, "is_central": { "type": "boolean" },
            })),
        })),
        "Job": object(
            &["job_id", "project_id", "user_id", "client_id", "job_schedule", "job_actions", "session_id", "session_tag"],
            json!({
                "job_id": text, "project_id": text, "user_id": text, "client_id": text, "description": text,
                "job_schedule": object(&["event", "status", "result"], json!({
                    "event": { "enum": fields::EVENTS }, "status": { "enum": fields::STATUSES }, "result": { "enum": fields::RESULTS },
                })),
                "job_actions": { "type": "array", "items": named("Action") }, "session_id": text, "session_tag": number,
            }),
        ),
        "Action": object(
            &["action_id", "project_id", "user_id", "freezer_action", "max_retries", "max_retries_interval", "mandatory"],
            json!({
                "action_id": text, "project_id": text, "user_id": text, "freezer_action": inner, "max_retries": number,
                "max_retries_interval": number, "mandatory": { "type": "boolean" },
            }),
        ),
        "Session": object(
            &["session_id", "project_id", "user_id", "schedule", "jobs", "session_tag"],
            json!({
                "session_id": text, "project_id": text, "user_id": text, "description": text, "schedule": inner, "jobs": inner,
                "session_tag": number, "hold_off": number, "status": text, "result": maybe, "time_start": number, "time_end": number,
            }),
        ),
    })
}

fn text() -> Value {
    json!({ "type": ["string", "null"], "maxLength": LONGEST_TEXT })
}

fn number() -> Value {
    json!({ "type": ["integer", "null"], "minimum": i64::MIN, "maximum": i64::MAX })
}

fn id() -> Value {
    json!({ "type": ["string", "null"], "pattern": "^[A-Za-z0-9_-]*$", "maxLength": LONGEST_ID })
}

/// A timetable, with how it went.
fn schedule() -> Value {
    let mut properties = Map::new();
    for key in ["time_created", "time_started", "time_ended", "current_pid"] {
        properties.insert(key.into(), number());
    }
    for (key, known) in [
        ("event", &fields::EVENTS[..]),
        ("status", &fields::STATUSES[..]),
        ("result", &fields::RESULTS[..]),
    ] {
        properties.insert(
            key.into(),
            json!({ "anyOf": [{ "enum": known }, { "type": "null" }] }),
        );
    }
    for key in fields::TIMETABLE {
        let form = match key {
            "schedule_interval" => {
                let pattern = "^(continuous|[1-9][0-9]{0,8} +(second|minute|hour|day|week)s?)$";
                json!({ "type": ["string", "null"], "pattern": pattern, "examples": ["1 days", "continuous"] })
            }
            "schedule_date" | "schedule_start_date" | "schedule_end_date" => {
                json!({ "type": ["string", "null"], "format": "date-time" })
            }
            "schedule_year" => json!({ "type": ["string", "null"], "pattern": "^[0-9]{4}$" }),
            _ => {
                json!({ "type": ["string", "null"], "pattern": "^[A-Za-z0-9*/, -]{1,255}$", "examples": ["*", "*/15", "1-5", "mon,wed"] })
            }
        };
        properties.insert(key.into(), form);
    }
    json!({ "type": "object", "properties": properties, "additionalProperties": false })
}

/// An action as it is sent, inside of a job or alone.
fn action() -> Value {
    json!({
        "action_id": id(), "max_retries": number(), "max_retries_interval": number(), "mandatory": { "type": ["boolean", "null"] },
        "freezer_action": {
            "type": "object",
            "description": "Options of the agent by their names with underscores; there can be any.",
            "properties": {
                "action": { "enum": clients::ACTIONS }, "mode": { "enum": clients::MODES }, "path_to_backup": text(), "backup_name": text(),
                "container": text(), "restore_abs_path": text(), "cindernative_freezer_only": { "type": ["boolean", "null"] },
            },
        },
    })
}

/// Objects as they are sent; of what is called `…Change`, only what changes.
fn requests() -> Value {
    let job = json!({
        "job_id": id(), "client_id": { "type": "string", "maxLength": LONGEST_TEXT }, "description": text(), "session_id": text(),
        "session_name": text(), "session_tag": number(), "_version": number(), "project_id": {}, "user_id": {}, "user_credentials": {},
        "job_schedule": named("Timetable"), "action_defaults": { "type": ["object", "null"] },
        "job_actions": { "type": "array", "maxItems": 1000, "items": object(&["freezer_action"], action()) },
    });
    let session = json!({
        "description": text(), "status": text(), "result": text(), "session_tag": number(), "hold_off": number(), "time_start": number(),
        "time_end": number(), "schedule": named("Timetable"), "jobs": { "type": "object", "additionalProperties": { "type": "object" } },
    });
    let name = json!({ "type": "string", "minLength": 1, "maxLength": LONGEST_TEXT });
    let (mut record, change) = (
        Map::new(),
        json!({ "type": "object", "description": "Keys of the agent; there can be any." }),
    );
    for key in ["container", "hostname", "backup_name"] {
        record.insert(key.into(), name.clone());
    }
    record.insert("status".into(), json!({ "enum": backups::STATUSES }));
    let mut client = json!({
        "client_id": { "type": "string", "pattern": "^([A-Za-z0-9_-]{1,60}_)?[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?$" },
        "hostname": { "type": ["string", "null"], "pattern": "^[A-Za-z0-9]([A-Za-z0-9-]{0,40}[A-Za-z0-9])?$" },
        "description": text(), "uuid": text(), "is_central": { "type": ["boolean", "null"] },
    });
    for (key, _, known) in clients::SUPPORTED {
        client[key] = json!({ "type": ["array", "null"], "items": { "enum": known } });
    }
    let only = |required: &[&str], properties: &Value| json!({ "type": "object", "required": required, "properties": properties, "additionalProperties": false });
    json!({
        "Timetable": schedule(),
        "NewJob": only(&["client_id", "job_actions"], &job),
        "JobChange": only(&[], &job),
        "NewSession": object(&["schedule"], session.clone()),
        "SessionChange": object(&[], session),
        "NewAction": object(&["freezer_action"], action()),
        "ActionChange": object(&[], action()),
        "NewBackup": object(&["container", "hostname", "backup_name"], Value::Object(record)),
        "BackupChange": object(&[], json!({ "status": { "enum": backups::STATUSES }, "backup_metadata": change })),
        "NewClient": object(&["client_id"], client),
        "Search": object(&[], json!({
            "match": { "type": "array", "maxItems": 10, "items": { "type": "object", "maxProperties": 2, "properties": { "_all": { "type": "string" } } } },
            "match_not": { "type": "array", "maxItems": 10, "items": { "type": "object", "maxProperties": 2 } },
            "time_after": number(), "time_before": number(),
        })),
    })
}

/// What is asked of a job or a session.
fn events() -> Value {
    let one = |properties: Value| json!({ "type": "object", "minProperties": 1, "maxProperties": 1, "properties": properties, "additionalProperties": false });
    let job_id = json!({ "type": "string", "maxLength": LONGEST_TEXT });
    json!({
        "JobEvent": one(json!({ "start": {}, "stop": {}, "abort": {} })),
        "SessionAction": one(json!({
            "start": object(&["job_id", "current_tag"], json!({ "job_id": job_id, "current_tag": { "type": "integer", "minimum": 0, "maximum": i64::MAX } })),
            "end": object(&["job_id", "result"], json!({ "job_id": job_id, "result": { "enum": ["success", "fail", "aborted"] } })),
        })),
    })
}

//! What is put in comes out, with the codes that clients rely on.

use super::{Project, text};
use serde_json::{Value, json};

pub fn clients_are_registered_and_found(project: &Project<'_>) {
    let id = project.client("vm");
    let first = project.wants(200, "GET", &format!("/clients/{id}"), None);
    assert_eq!(first["client"]["hostname"], "vm");
    assert_eq!(first["client"]["uuid"].as_str().expect("made").len(), 32);
    assert_eq!(
        first["client"]["supported_actions"],
        json!(["backup", "restore", "info", "admin", "exec"])
    );
    assert_eq!(
        (
            &first["client"]["is_central"],
            &first["client"]["description"],
            &first["project_id"]
        ),
        (&json!(false), &Value::Null, &json!(project.id))
    );
    // Again: what it says of itself changes, what it is known by does not.
    let again = json!({
        "client_id": id,
        "hostname": "vm",
        "description": "new",
        "supported_modes": ["fs"],
        "unknown": 1,
    });
    project.wants(201, "POST", "/clients", Some(&again));
    let second = project.wants(200, "GET", &format!("/clients/{id}"), None);
    assert_eq!(
        (
            &second["client"]["description"],
            &second["client"]["supported_modes"]
        ),
        (&json!("new"), &json!(["fs"]))
    );
    assert_eq!(second["client"]["uuid"], first["client"]["uuid"]);
    assert_eq!(second["client"].get("unknown"), None);
    for bad in ["a%b", "a$", "p/vm", "x_a_", "p_v m"] {
        let refused = project.wants(400, "POST", "/clients", Some(&json!({ "client_id": bad })));
        assert!(
            text(&refused, "description").contains("client_id"),
            "{refused}"
        );
    }
    let refused = project.wants(
        400,
        "POST",
        "/clients",
        Some(&json!({ "client_id": "vm", "supported_engines": ["tar", "gold"] })),
    );
    assert!(
        text(&refused, "description").contains("supported_engines"),
        "{refused}"
    );
    let absent = project
        .api
        .ask("GET", &project.path("/clients/never"), None);
    assert_eq!((absent.status, &*absent.text), (404, ""));
    project.wants(204, "DELETE", &format!("/clients/{id}"), None);
    project.wants(204, "DELETE", &format!("/clients/{id}"), None);
    project.wants(404, "GET", &format!("/clients/{id}"), None);
}

pub fn actions_keep_what_they_are_given(project: &Project<'_>) {
    let action = json!({
        "freezer_action": { "action": "backup", "backup_name": "b", "deep": { "a": 1, "b": 2 } },
        "mandatory": true,
        "max_retries": 3,
    });
    let id = text(
        &project.wants(201, "POST", "/actions/", Some(&action)),
        "action_id",
    );
    let stored = project.wants(200, "GET", &format!("/actions/{id}/"), None);
    assert_eq!(
        (
            &stored["mandatory"],
            &stored["max_retries"],
            &stored["max_retries_interval"]
        ),
        (&json!(true), &json!(3), &json!(6))
    );
    assert_eq!(
        (
            stored["freezer_action"].get("log_file"),
            &stored["freezer_action"]["deep"]["b"]
        ),
        (Some(&Value::Null), &json!(2))
    );
    let patch = json!({ "freezer_action": { "deep": { "a": 9 }, "mode": "mssql" } });
    assert!(
        project.wants(200, "PATCH", &format!("/actions/{id}"), Some(&patch))["version"].is_i64()
    );
    let merged = project.wants(200, "GET", &format!("/actions/{id}"), None);
    assert_eq!(
        (
            &merged["freezer_action"]["deep"],
            &merged["freezer_action"]["backup_name"]
        ),
        (&json!({ "a": 9, "b": 2 }), &json!("b"))
    );
    assert_eq!(
        (&merged["mandatory"], &merged["max_retries"]),
        (&json!(true), &json!(3))
    );
    let with_id = json!({ "action_id": format!("{}-own", project.id), "freezer_action": {} });
    project.wants(201, "POST", "/actions", Some(&with_id));
    assert_eq!(
        project.wants(409, "POST", "/actions", Some(&with_id))["title"],
        "Document already existing"
    );
    project.wants(
        201,
        "POST",
        &format!("/actions/{id}"),
        Some(&json!({ "freezer_action": { "action": "exec" } })),
    );
    assert_eq!(
        project.wants(200, "GET", &format!("/actions/{id}"), None)["freezer_action"].get("deep"),
        None
    );
    project.wants(404, "PATCH", "/actions/never", Some(&patch));
    assert!(
        text(
            &project.wants(400, "POST", "/actions", Some(&json!({ "max_retries": 1 }))),
            "description"
        )
        .contains("freezer_action")
    );
    assert!(
        text(
            &project.wants(
                400,
                "POST",
                "/actions",
                Some(&json!({ "freezer_action": {}, "max_retries": "many" }))
            ),
            "description"
        )
        .contains("max_retries")
    );
    project.wants(204, "DELETE", &format!("/actions/{id}"), None);
}

pub fn jobs_keep_what_they_are_given(project: &Project<'_>) {
    let client = project.client("node");
    let id = project.job(
        &client,
        &json!({ "schedule_interval": "1 day", "schedule_start_date": "2026-11-24T12:00:00" }),
    );
    let job = project.wants(200, "GET", &format!("/jobs/{id}"), None);
    let schedule = &job["job_schedule"];
    assert_eq!(
        (&schedule["event"], &schedule["status"], &schedule["result"]),
        (&json!(""), &json!(""), &json!(""))
    );
    assert_eq!(
        (&schedule["time_started"], &schedule["time_ended"]),
        (&json!(-1), &json!(-1))
    );
    assert_eq!(job["job_actions"][0]["freezer_action"]["backup_name"], "b");
    assert_eq!(job["job_actions"][0]["max_retries"], 5);
    // What a scheduler reports is merged, what a person edits replaces the timetable alone.
    let report = json!({
        "job_schedule": { "status": "running", "current_pid": 77, "event": "" },
        "session_id": "",
        "session_tag": 0,
    });
    let first = project.wants(200, "PATCH", &format!("/jobs/{id}"), Some(&report))["version"]
        .as_i64()
        .expect("a number");
    let edit =
        json!({ "description": "edited", "job_schedule": { "schedule_interval": "2 hours" } });
    let second = project.wants(200, "PATCH", &format!("/jobs/{id}"), Some(&edit))["version"]
        .as_i64()
        .expect("a number");
    assert_eq!(second, first + 1);
    let job = project.wants(200, "GET", &format!("/jobs/{id}"), None);
    let schedule = &job["job_schedule"];
    assert_eq!(
        (
            &schedule["schedule_interval"],
            schedule.get("schedule_start_date")
        ),
        (&json!("2 hours"), None)
    );
    assert_eq!(
        (
            &schedule["status"],
            &schedule["current_pid"],
            &schedule["time_started"]
        ),
        (&json!("running"), &json!(77), &json!(-1))
    );
    assert_eq!(job["job_actions"].as_array().map(Vec::len), Some(1));
    // The whole document as it was read can be sent back, and cloned.
    let mut whole = job.clone();
    project.wants(200, "PATCH", &format!("/jobs/{id}"), Some(&whole));
    whole.as_object_mut().expect("an object").remove("job_id");
    let clone = text(&project.wants(201, "POST", "/jobs", Some(&whole)), "job_id");
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{clone}"), None)["job_actions"],
        job["job_actions"]
    );
    assert!(
        project.wants(
            201,
            "POST",
            &format!("/jobs/{}-own", project.id),
            Some(&whole)
        )["version"]
            .is_i64()
    );
    for (wrong, status, word) in [
        (json!({ "job_actions": [] }), 400, "client_id"),
        (json!({ "client_id": client }), 400, "job_actions"),
        (
            json!({ "client_id": client, "job_actions": [], "color": "red" }),
            400,
            "color",
        ),
        (
            json!({
                "client_id": client,
                "job_actions": [],
                "job_schedule": { "schedule_interval": "soon" },
            }),
            400,
            "schedule_interval",
        ),
        (
            json!({
                "client_id": client,
                "job_actions": [],
                "job_schedule": { "schedule_date": "" },
            }),
            400,
            "schedule_date",
        ),
        (
            json!({ "client_id": client, "job_actions": [], "job_schedule": { "event": "dance" } }),
            400,
            "event",
        ),
        (
            json!({ "client_id": client, "job_actions": [], "job_schedule": { "x": 1 } }),
            400,
            "x",
        ),
        (
            json!({ "client_id": client, "job_actions": [], "session_tag": "1" }),
            400,
            "session_tag",
        ),
        (
            json!({
                "client_id": client,
                "job_actions": [{ "freezer_action": { "mode": "odd" } }],
            }),
            400,
            "mode",
        ),
        (
            json!({ "client_id": "unknown", "job_actions": [] }),
            422,
            "Client not found with ID",
        ),
        (
            json!({ "client_id": client, "job_actions": [{ "action_id": "unknown" }] }),
            422,
            "unknown",
        ),
        (
            json!({
                "client_id": client,
                "job_actions": [{ "freezer_action": { "action": "mount" } }],
            }),
            422,
            "supported_actions",
        ),
    ] {
        let refused = project.wants(status, "POST", "/jobs", Some(&wrong));
        assert!(
            text(&refused, "description").contains(word),
            "{wrong}: {refused}"
        );
    }
    project.wants(404, "PATCH", "/jobs/never", Some(&edit));
    project.wants(204, "DELETE", &format!("/jobs/{id}"), None);
    project.wants(404, "GET", &format!("/jobs/{id}"), None);
}

pub fn an_action_is_the_same_in_all_jobs(project: &Project<'_>) {
    let client = project.client("node");
    let action = text(
        &project.wants(
            201,
            "POST",
            "/actions",
            Some(&json!({ "freezer_action": { "action": "backup", "mode": "fs" } })),
        ),
        "action_id",
    );
    let job = |entry: Value| json!({ "client_id": client, "job_actions": [entry] });
    let by_id = text(
        &project.wants(
            201,
            "POST",
            "/jobs",
            Some(&job(json!({ "action_id": action }))),
        ),
        "job_id",
    );
    // With the same options, keys without a value left aside.
    let same = json!({
        "action_id": action,
        "freezer_action": { "action": "backup", "mode": "fs", "priority": null },
    });
    project.wants(201, "POST", "/jobs", Some(&job(same)));
    let other = json!({ "action_id": action, "freezer_action": { "action": "restore" } });
    project.wants(422, "POST", "/jobs", Some(&job(other)));
    project.wants(
        200,
        "PATCH",
        &format!("/actions/{action}"),
        Some(&json!({ "freezer_action": { "backup_name": "renamed" } })),
    );
    let stored = project.wants(200, "GET", &format!("/jobs/{by_id}"), None);
    assert_eq!(
        stored["job_actions"][0]["freezer_action"]["backup_name"],
        "renamed"
    );
    project.wants(204, "DELETE", &format!("/actions/{action}"), None);
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{by_id}"), None)["job_actions"],
        json!([])
    );
    let defaults = json!({
        "client_id": client,
        "job_actions": [{ "freezer_action": { "action": "backup", "container": null } }],
        "action_defaults": { "container": "c", "action": "restore" },
    });
    let id = text(
        &project.wants(201, "POST", "/jobs", Some(&defaults)),
        "job_id",
    );
    let job = project.wants(200, "GET", &format!("/jobs/{id}"), None);
    assert_eq!(job.get("action_defaults"), None);
    assert_eq!(
        (
            &job["job_actions"][0]["freezer_action"]["container"],
            &job["job_actions"][0]["freezer_action"]["action"]
        ),
        (&json!("c"), &json!("backup"))
    );
}

pub fn backups_are_what_was_posted(project: &Project<'_>) {
    let metadata = json!({
        "container": "c",
        "hostname": "h",
        "backup_name": "b",
        "time_stamp": 1_800_000_000,
        "curr_backup_level": 0,
        "nested": { "ü": ["x", null, 1.5] },
        "dry_run": "",
    });
    let id = text(
        &project.wants(201, "POST", "/backups/", Some(&metadata)),
        "backup_id",
    );
    let stored = project.wants(200, "GET", &format!("/backups/{id}"), None);
    let mut keys: Vec<_> = stored
        .as_object()
        .expect("an object")
        .keys()
        .map(String::as_str)
        .collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "backup_id",
            "backup_metadata",
            "project_id",
            "status",
            "user_id"
        ]
    );
    assert_eq!(
        (&stored["backup_metadata"], &stored["status"]),
        (&metadata, &json!("available"))
    );
    let whole = project.wants(
        200,
        "PATCH",
        &format!("/backups/{id}"),
        Some(&json!({ "status": "error", "backup_metadata": { "level": 2 } })),
    );
    assert_eq!(
        (
            &whole["status"],
            &whole["backup_metadata"]["level"],
            &whole["backup_metadata"]["hostname"]
        ),
        (&json!("error"), &json!(2), &json!("h"))
    );
    let flat = project.wants(
        200,
        "PATCH",
        &format!("/backups/{id}"),
        Some(&json!({ "status": "available", "backup_id": "x", "job_id": "j" })),
    );
    assert_eq!(
        (&flat["backup_metadata"]["job_id"], &flat["backup_id"]),
        (&json!("j"), &json!(id))
    );
    project.wants(
        201,
        "POST",
        "/backups",
        Some(&json!({ "status": "creating", "backup_name": "b", "container": null })),
    );
    for (wrong, title) in [
        (
            json!({ "container": "c", "hostname": "", "backup_name": "b" }),
            "Bad Data Format",
        ),
        (
            json!({ "container": "c", "hostname": "h" }),
            "Bad Data Format",
        ),
        (
            json!({ "container": "c", "hostname": "h", "backup_name": "b", "status": "odd" }),
            "Bad request format",
        ),
    ] {
        assert_eq!(
            project.wants(400, "POST", "/backups", Some(&wrong))["title"],
            title,
            "{wrong}"
        );
    }
    project.wants(
        404,
        "PATCH",
        "/backups/never",
        Some(&json!({ "status": "error" })),
    );
    project.wants(204, "DELETE", &format!("/backups/{id}"), None);
    project.wants(404, "GET", &format!("/backups/{id}"), None);
}

pub fn versions_grow_and_guard_changes(project: &Project<'_>) {
    let id = text(
        &project.wants(
            201,
            "POST",
            "/actions",
            Some(&json!({ "freezer_action": {} })),
        ),
        "action_id",
    );
    let path = project.path(&format!("/actions/{id}"));
    let read = project.api.ask("GET", &path, None);
    assert_eq!(read.header("etag"), "\"1\"");
    let change = |tag: &str| {
        project.api.ask_with(
            &[("X-Auth-Token", &project.api.token), ("If-Match", tag)],
            "PATCH",
            &path,
            Some("{\"max_retries\": 9}"),
        )
    };
    let changed = change("\"1\"");
    assert_eq!(
        (changed.status, &changed.json()["version"]),
        (200, &json!(2))
    );
    let refused = change("\"1\"");
    assert_eq!(
        (
            refused.status,
            text(&refused.json(), "description").contains('2')
        ),
        (412, true)
    );
    assert_eq!(change("*").json()["version"], json!(3));
    assert_eq!(change("odd").status, 400);
}

pub fn events_are_noted_once(project: &Project<'_>) {
    let client = project.client("node");
    let id = project.job(&client, &json!({}));
    project.wants(
        200,
        "PATCH",
        &format!("/jobs/{id}"),
        Some(&json!({ "job_schedule": { "status": "completed", "result": "fail" } })),
    );
    let event = |name: &str| {
        project.wants(
            202,
            "POST",
            &format!("/jobs/{id}/event"),
            Some(&json!({ name: null })),
        )
    };
    assert_eq!(event("stop")["result"], "success");
    assert_eq!(event("stop")["result"], "stop already requested");
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{id}"), None)["job_schedule"]["status"],
        "completed"
    );
    assert_eq!(event("start")["result"], "success");
    assert_eq!(event("start")["result"], "start already requested");
    let schedule = &project.wants(200, "GET", &format!("/jobs/{id}"), None)["job_schedule"];
    assert_eq!(
        (&schedule["event"], &schedule["status"], &schedule["result"]),
        (&json!("start"), &json!(""), &json!(""))
    );
    assert_eq!(event("abort")["result"], "success");
    for wrong in [
        json!({}),
        json!({ "dance": null }),
        json!({ "start": null, "stop": null }),
    ] {
        assert_eq!(
            project.wants(400, "POST", &format!("/jobs/{id}/event"), Some(&wrong))["title"],
            "Bad Action Method"
        );
    }
    project.wants(
        404,
        "POST",
        "/jobs/never/event",
        Some(&json!({ "start": null })),
    );
}

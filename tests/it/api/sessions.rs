//! Sessions: who starts, who joins, how it ended.

use super::{Api, Database, Project, text};
use serde_json::{Value, json};
use std::sync::Arc;

fn session(project: &Project<'_>, hold_off: i64) -> String {
    let body = json!({
        "description": "s",
        "hold_off": hold_off,
        "schedule": { "schedule_interval": "1 days" },
        "jobs": { "x": 1 },
    });
    text(
        &project.wants(201, "POST", "/sessions/", Some(&body)),
        "session_id",
    )
}

pub fn starts_and_ends_follow_the_table(project: &Project<'_>) {
    let (client, id) = (project.client("node"), session(project, 1_000_000));
    let fresh = project.wants(200, "GET", &format!("/sessions/{id}"), None);
    assert_eq!(
        (
            &fresh["jobs"],
            &fresh["session_tag"],
            &fresh["status"],
            &fresh["time_start"]
        ),
        (&json!({}), &json!(0), &json!("active"), &json!(-1))
    );
    let jobs = [
        project.job(&client, &json!({})),
        project.job(&client, &json!({})),
    ];
    for job in &jobs {
        project.wants(204, "PUT", &format!("/sessions/{id}/jobs/{job}"), None);
    }
    let action = |status: u16, body: Value| {
        project.wants(
            status,
            "POST",
            &format!("/sessions/{id}/action"),
            Some(&body),
        )
    };
    let start = |status: u16, job: &str, tag: Value| {
        action(
            status,
            json!({ "start": { "job_id": job, "current_tag": tag } }),
        )
    };
    // The command line of the original sends the tag as text.
    assert_eq!(
        start(202, &jobs[0], json!("0")),
        json!({ "result": "success", "session_tag": 1 })
    );
    assert_eq!(
        start(202, &jobs[1], json!(0)),
        json!({ "result": "success", "session_tag": 1 })
    );
    assert_eq!(
        start(202, &jobs[1], json!(1)),
        json!({ "result": "hold-off", "session_tag": 1 })
    );
    assert!(text(&start(400, &jobs[1], json!(2)), "description").contains("tag value too high"));
    start(400, "never", json!(1));
    start(400, &jobs[0], json!(null));
    let running = project.wants(200, "GET", &format!("/sessions/{id}"), None);
    assert_eq!(
        (&running["status"], &running["jobs"][&jobs[1]]["status"]),
        (&json!("running"), &json!("running"))
    );
    // Long after: a node that missed the run learns the tag first, one that did not opens the next.
    project.wants(
        200,
        "PATCH",
        &format!("/sessions/{id}"),
        Some(&json!({ "hold_off": 0, "time_start": 1000 })),
    );
    assert_eq!(
        start(202, &jobs[1], json!(0)),
        json!({ "result": "out-of-sync", "session_tag": 1 })
    );
    assert_eq!(
        start(202, &jobs[1], json!(1)),
        json!({ "result": "success", "session_tag": 2 })
    );
    let end = |job: &str, result: &str| {
        action(
            202,
            json!({ "end": { "job_id": job, "current_tag": 2, "result": result } }),
        )
    };
    assert_eq!(
        end(&jobs[0], "aborted"),
        json!({ "result": "success", "session_tag": 2 })
    );
    assert_eq!(
        project.wants(200, "GET", &format!("/sessions/{id}"), None)["status"],
        "running"
    );
    end(&jobs[1], "success");
    let ended = project.wants(200, "GET", &format!("/sessions/{id}"), None);
    assert_eq!(
        (&ended["status"], &ended["result"]),
        (&json!("completed"), &json!("fail"))
    );
    action(
        400,
        json!({ "end": { "job_id": jobs[0], "result": "odd" } }),
    );
    assert_eq!(action(405, json!({ "dance": {} }))["title"], "Bad Method");
    action(400, json!({ "start": {}, "end": {} }));
    project.wants(
        404,
        "POST",
        "/sessions/never/action",
        Some(&json!({ "start": { "job_id": "x", "current_tag": 0 } })),
    );
    project.wants(204, "DELETE", &format!("/sessions/{id}"), None);
    project.wants(200, "GET", &format!("/jobs/{}", jobs[0]), None);
}

pub fn an_end_of_an_old_start_changes_nothing_of_the_present_one(project: &Project<'_>) {
    let (client, id) = (project.client("node"), session(project, 1_000_000));
    let [late, other] = [(); 2].map(|()| project.job(&client, &json!({})));
    for job in [&late, &other] {
        project.wants(204, "PUT", &format!("/sessions/{id}/jobs/{job}"), None);
    }
    let action = |status: u16, body: Value| {
        project.wants(
            status,
            "POST",
            &format!("/sessions/{id}/action"),
            Some(&body),
        )
    };
    let start = |job: &str, tag: i64| {
        action(
            202,
            json!({ "start": { "job_id": job, "current_tag": tag } }),
        )
    };
    let end = |job: &str, tag: Value, result: &str| {
        action(
            202,
            json!({ "end": { "job_id": job, "current_tag": tag, "result": result } }),
        )
    };
    let stored = || project.wants(200, "GET", &format!("/sessions/{id}"), None);
    let stands = |session: &Value, job: &str| {
        (
            session["jobs"][job]["status"].clone(),
            session["jobs"][job]["result"].clone(),
        )
    };
    // As if the last start were long ago.
    let long_after = || {
        project.wants(
            200,
            "PATCH",
            &format!("/sessions/{id}"),
            Some(&json!({ "hold_off": 0, "time_start": 1000 })),
        )
    };
    assert_eq!(
        (
            &start(&late, 0)["session_tag"],
            &start(&other, 0)["session_tag"]
        ),
        (&json!(1), &json!(1))
    );
    long_after();
    assert_eq!(
        start(&other, 1),
        json!({ "result": "success", "session_tag": 2 })
    );

    // One that is in the first start still says how that ended. The second one is not over, and has
    // not failed with it.
    assert_eq!(
        end(&late, json!(1), "fail"),
        json!({ "result": "success", "session_tag": 2 })
    );
    let session = stored();
    assert_eq!(
        (&session["status"], stands(&session, &late)),
        (&json!("running"), (json!("completed"), json!("fail")))
    );
    end(&other, json!(2), "success");
    let session = stored();
    assert_eq!(
        (&session["status"], &session["result"]),
        (&json!("completed"), &json!("success"))
    );

    // The word of an end that was under way for so long that its job has begun anew.
    long_after();
    assert_eq!(start(&other, 2)["session_tag"], 3);
    assert_eq!(
        end(&other, json!("2"), "fail"),
        json!({ "result": "out-of-sync", "session_tag": 3 })
    );
    let session = stored();
    assert_eq!(
        (&session["status"], stands(&session, &other)),
        (&json!("running"), (json!("running"), json!("")))
    );
    // One that joins a start whose other jobs have ended already has a say in its result.
    end(&other, json!(null), "success");
    assert_eq!(
        (&stored()["status"], &stored()["result"]),
        (&json!("completed"), &json!("success"))
    );
    project.wants(
        200,
        "PATCH",
        &format!("/sessions/{id}"),
        Some(&json!({ "hold_off": 2_000_000_000 })),
    );
    assert_eq!(
        start(&late, 1),
        json!({ "result": "success", "session_tag": 3 })
    );
    assert_eq!(stored()["status"], "running");
    end(&late, json!(3), "fail");
    assert_eq!(
        (&stored()["status"], &stored()["result"]),
        (&json!("completed"), &json!("fail"))
    );
    for tag in [json!("x"), json!([]), json!(1.5)] {
        let refused = action(
            400,
            json!({ "end": { "job_id": late, "current_tag": tag, "result": "fail" } }),
        );
        assert!(
            text(&refused, "description").contains("end.current_tag"),
            "{refused}"
        );
    }
}

pub fn a_timetable_is_handed_on_to_jobs(project: &Project<'_>) {
    let (client, id) = (project.client("node"), session(project, 30));
    let job = project.job(
        &client,
        &json!({ "schedule_date": "2030-01-01T00:00:00", "status": "scheduled" }),
    );
    project.wants(204, "PUT", &format!("/sessions/{id}/jobs/{job}/"), None);
    let schedule = |key: &str| {
        project.wants(200, "GET", &format!("/jobs/{job}"), None)["job_schedule"]
            .get(key)
            .cloned()
    };
    assert_eq!(
        (
            schedule("schedule_interval"),
            schedule("schedule_date"),
            schedule("status")
        ),
        (Some(json!("1 days")), None, Some(json!("scheduled")))
    );
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{job}"), None)["session_id"],
        json!(id)
    );
    project.wants(
        200,
        "PATCH",
        &format!("/sessions/{id}"),
        Some(&json!({ "schedule": { "schedule_hour": "3" } })),
    );
    assert_eq!(
        (
            schedule("schedule_interval"),
            schedule("schedule_hour"),
            schedule("status")
        ),
        (None, Some(json!("3")), Some(json!("scheduled")))
    );
    project.wants(204, "DELETE", &format!("/sessions/{id}/jobs/{job}"), None);
    project.wants(204, "DELETE", &format!("/sessions/{id}/jobs/{job}"), None);
    assert_eq!(
        (schedule("schedule_hour"), schedule("event")),
        (None, Some(json!("stop")))
    );
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{job}"), None)["session_id"],
        ""
    );
    assert_eq!(
        project.wants(200, "GET", &format!("/sessions/{id}"), None)["jobs"],
        json!({})
    );
    project.wants(404, "PUT", &format!("/sessions/{id}/jobs/never"), None);
    let wrong = project.wants(
        400,
        "POST",
        "/sessions",
        Some(&json!({ "schedule": { "x": 1 } })),
    );
    assert!(text(&wrong, "description").contains("schedule"), "{wrong}");
    assert!(
        text(
            &project.wants(400, "POST", "/sessions", Some(&json!({}))),
            "description"
        )
        .contains("schedule")
    );
}

/// Over three processes that share one database.
pub fn of_two_hundred_nodes_that_start_at_once_all_get_one_tag(database: &Arc<Database>) {
    let apis = [(); 3].map(|()| Api::on(database, &[]));
    let project = Project::new(&apis[0]);
    let (client, id) = (project.client("node"), session(&project, 600));
    let jobs: Vec<String> = (0..200).map(|_| project.job(&client, &json!({}))).collect();
    for job in &jobs {
        project.wants(204, "PUT", &format!("/sessions/{id}/jobs/{job}"), None);
    }
    let go = std::sync::Barrier::new(jobs.len());
    let results: Vec<Value> = std::thread::scope(|scope| {
        let starts: Vec<_> = jobs
            .iter()
            .zip(apis.iter().cycle())
            .map(|(job, api)| {
                let (path, go) = (project.path(&format!("/sessions/{id}/action")), &go);
                scope.spawn(move || {
                    let body = json!({ "start": { "job_id": job, "current_tag": 0 } });
                    go.wait();
                    api.wants(202, "POST", &path, Some(&body))
                })
            })
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().expect("it was answered"))
            .collect()
    });
    for result in &results {
        assert_eq!(*result, json!({ "result": "success", "session_tag": 1 }));
    }
    let stored = project.wants(200, "GET", &format!("/sessions/{id}"), None);
    let running = stored["jobs"]
        .as_object()
        .expect("jobs")
        .values()
        .filter(|job| job["status"] == "running")
        .count();
    assert_eq!(
        (running, &stored["session_tag"]),
        (200, &json!(1)),
        "a start was lost"
    );
}

#[test]
fn a_session_whose_node_died_has_an_end() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let project = Project::new(&api);
    let (client, id) = (project.client("node"), session(&project, 30));
    let job = project.job(&client, &json!({}));
    project.wants(204, "PUT", &format!("/sessions/{id}/jobs/{job}"), None);
    let start = json!({ "start": { "job_id": job, "current_tag": 0 } });
    project.wants(202, "POST", &format!("/sessions/{id}/action"), Some(&start));
    project.wants(
        200,
        "PATCH",
        &format!("/sessions/{id}"),
        Some(&json!({ "time_start": 1000 })),
    );
    // The first thing that a server does is to look for such.
    let other = Api::on(&database, &["--session-timeout", "1"]);
    let path = project.path(&format!("/sessions/{id}"));
    let ended = loop {
        let session = other.wants(200, "GET", &path, None);
        if session["status"] != "running" {
            break session;
        }
    };
    assert_eq!(
        (
            &ended["status"],
            &ended["result"],
            &ended["jobs"][&job]["result"]
        ),
        (&json!("completed"), &json!("timeout"), &json!("timeout"))
    );
}

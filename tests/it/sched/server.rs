//! The scheduler with a server: what it takes from it and what it tells it.

use super::{Node, Scheduler, exec, fifo, job, make, result_of, schedule_of, until};
use crate::api::{Api, Database, Project, text};
use serde_json::{Value, json};
use std::sync::Arc;

fn backup_of(node: &Node, name: &str) -> Value {
    json!({
        "action": "backup",
        "mode": "fs",
        "storage": "local",
        "container": node.path("store"),
        "backup_name": name,
        "path_to_backup": node.path("docs"),
        "hostname": name,
    })
}

#[test]
fn a_backup_is_made_and_recorded_with_what_there_is_to_know_of_it() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    node.write("docs/a.txt", "hello");
    let client = format!("{}_web1", project.id);
    // A token for this node and nothing else is enough.
    node.write(
        "token",
        &api.database
            .token(&["--project", &project.id, "--client", &client]),
    );
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    until("the registration", || {
        (api.ask("GET", &project.path(&format!("/clients/{client}")), None)
            .status
            == 200)
            .then_some(())
    });
    let id = make(
        &project,
        &job(&client, &json!({}), &[backup_of(&node, "web1")]),
    );
    assert_eq!(result_of(&project, &id), "success");
    let schedule = schedule_of(&project, &id);
    assert!(
        schedule["time_started"].as_i64() > Some(0)
            && schedule["time_ended"].as_i64() >= schedule["time_started"].as_i64()
    );
    assert!(schedule["current_pid"].as_i64() > Some(0));
    let record = until("the record", || {
        project.wants(200, "GET", "/backups/", None)["backups"]
            .as_array()
            .and_then(|list| list.first().cloned())
    });
    let metadata = &record["backup_metadata"];
    for (key, value) in [
        ("backup_name", json!("web1")),
        ("hostname", json!("web1")),
        ("storage", json!("local")),
        ("container", json!(node.path("store"))),
        ("curr_backup_level", json!(0)),
        ("level", json!(0)),
        ("encrypted", json!(false)),
        ("job_id", json!(id)),
        ("exit_code", json!(0)),
        ("path_to_backup", json!(node.path("docs"))),
    ] {
        assert_eq!(metadata[key], value, "{key}: {metadata}");
    }
    assert!(
        metadata["time_stamp"].as_i64() > Some(0)
            && metadata["counts"]["files"] == 1
            && metadata["bytes"]["logical"] == 5,
        "{metadata}"
    );
    // The second level of it.
    project.wants(
        202,
        "POST",
        &format!("/jobs/{id}/event"),
        Some(&json!({ "start": null })),
    );
    until("the second level", || {
        let records = project.wants(200, "GET", "/backups/", None);
        records["backups"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|record| record["backup_metadata"]["level"] == 1)
            .then_some(())
    });
    drop(scheduler);
}

#[test]
fn events_reach_a_run_and_an_abort_ends_all_of_it() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    fifo(&node.path("never"));
    let slow = node.script(
        "slow",
        "trap '' TERM HUP; echo $$ > pid; (read x < never) & read x < never",
    );
    let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
    let id = make(
        &project,
        &job(
            &client,
            &json!({}),
            &[json!({
                "freezer_action": {
                    "action": "exec",
                    "command": slow,
                    "post_script": "touch put-back",
                },
            })],
        ),
    );
    until("the run", || {
        (schedule_of(&project, &id)["status"] == "running" && !node.read("pid").is_empty())
            .then_some(())
    });
    project.wants(
        202,
        "POST",
        &format!("/jobs/{id}/event"),
        Some(&json!({ "abort": null })),
    );
    assert_eq!(result_of(&project, &id), "aborted");
    assert_eq!(super::alive(node.read("pid").trim()), [""; 0]);
    assert!(node.path("put-back").exists());
    // A stop before its time: it does not run, and runs again only when it is told to.
    let later = make(
        &project,
        &job(
            &client,
            &json!({ "schedule_interval": "1 day" }),
            &[exec("touch later")],
        ),
    );
    until("scheduled", || {
        (schedule_of(&project, &later)["status"] == "scheduled").then_some(())
    });
    project.wants(
        202,
        "POST",
        &format!("/jobs/{later}/event"),
        Some(&json!({ "stop": null })),
    );
    until("stopped", || {
        (schedule_of(&project, &later)["status"] == "stop"
            && schedule_of(&project, &later)["event"] == "")
            .then_some(())
    });
    project.wants(
        202,
        "POST",
        &format!("/jobs/{later}/event"),
        Some(&json!({ "start": null })),
    );
    until("scheduled again", || {
        (schedule_of(&project, &later)["status"] == "scheduled").then_some(())
    });
    project.wants(204, "DELETE", &format!("/jobs/{later}"), None);
    drop(scheduler);
}

#[test]
fn two_nodes_of_a_session_start_together_and_it_has_their_result() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    node.write("docs/a.txt", "hello");
    let session = text(
        &project.wants(
            201,
            "POST",
            "/sessions/",
            Some(&json!({
                "description": "both",
                "hold_off": 30,
                "schedule": { "schedule_interval": "2 seconds" },
            })),
        ),
        "session_id",
    );
    let mut jobs = Vec::new();
    for host in ["web1", "web2"] {
        let client = project.client(host);
        let id = make(
            &project,
            &job(
                &client,
                &json!({ "schedule_interval": "1 days" }),
                &[backup_of(&node, host)],
            ),
        );
        project.wants(204, "PUT", &format!("/sessions/{session}/jobs/{id}"), None);
        jobs.push((client, id));
    }
    let schedulers: Vec<Scheduler> = jobs
        .iter()
        .map(|(client, _)| Scheduler::start(&node, &api, &project, client, &[]))
        .collect();
    let ended = until("the end of the session", || {
        let stored = project.wants(200, "GET", &format!("/sessions/{session}"), None);
        (stored["status"] == "completed").then_some(stored)
    });
    assert_eq!(
        (&ended["session_tag"], &ended["result"]),
        (&json!(1), &json!("success")),
        "{ended}"
    );
    until("both records", || {
        let records = project.wants(200, "GET", "/backups/", None);
        let hosts: std::collections::BTreeSet<_> = records["backups"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|record| text(record, "/backup_metadata/hostname"))
            .collect();
        (hosts.len() == 2).then_some(())
    });
    // Within the hold-off nothing begins anew, however often it is due.
    for (_, id) in &jobs {
        until("a skipped moment", || {
            let job = project.wants(200, "GET", &format!("/jobs/{id}"), None);
            (job["session_tag"] == 1 && job["job_schedule"]["status"] == "scheduled").then_some(())
        });
    }
    assert_eq!(
        project.wants(200, "GET", &format!("/sessions/{session}"), None)["session_tag"],
        1
    );
    // What was made by either can be restored anywhere.
    let store = node.path("store").display().to_string();
    node.run(&[
        "restore",
        "web2/web2",
        "--store",
        &store,
        "--target",
        "from-web2",
    ]);
    assert_eq!(node.read("from-web2/a.txt"), "hello");
    drop(schedulers);
}

#[test]
fn while_the_server_is_away_known_jobs_go_on_and_are_told_of_afterwards() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let project_id = Project::new(&api).id;
    let node = Node::of(&api);
    node.write("docs/a.txt", "hello");
    let address = api.url.strip_prefix("http://").expect("http").to_owned();
    let (scheduler, id) = {
        let project = Project::named(&api, &project_id);
        let client = project.client("web1");
        let scheduler = Scheduler::start(&node, &api, &project, &client, &[]);
        let id = make(
            &project,
            &job(
                &client,
                &json!({ "schedule_interval": "2 seconds" }),
                &[backup_of(&node, "web1")],
            ),
        );
        until("scheduled", || {
            (schedule_of(&project, &id)["status"] != "").then_some(())
        });
        (scheduler, id)
    };
    let token = api.token.clone();
    drop(api);
    let store = node.path("store").display().to_string();
    let levels = || {
        let output = node.output(&["list", "web1/web1", "--store", &store, "--json"]);
        serde_json::from_slice::<Value>(&output.stdout)
            .ok()
            .and_then(|levels| levels.as_array().map(Vec::len))
            .unwrap_or(0)
    };
    let before = levels();
    until("runs without the server", || {
        (levels() >= before + 2).then_some(())
    });
    let api = Api::on(&database, &["--listen", &address]);
    let project = Project::named(&api, &project_id);
    // Before the stop, which may cut off a run that then has no result.
    until("success", || {
        (schedule_of(&project, &id)["result"] == "success").then_some(())
    });
    project.wants(
        202,
        "POST",
        &format!("/jobs/{id}/event"),
        Some(&json!({ "stop": null })),
    );
    until("the stop", || {
        ["stop", "completed"]
            .contains(
                &schedule_of(&project, &id)["status"]
                    .as_str()
                    .unwrap_or_default(),
            )
            .then_some(())
    });
    let made = levels();
    until("all records", || {
        let records = api
            .ask_as(&token, "GET", &project.path("/backups/?limit=1000"), None)
            .json();
        (records["backups"].as_array().expect("a list").len() >= made).then_some(())
    });
    drop(scheduler);
}

#[test]
fn two_schedulers_of_one_client_never_run_a_moment_twice() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    let append = node.script("append", "echo $FREEZER_DUE >> ran");
    let by_calendar = make(
        &project,
        &job(
            &client,
            &json!({ "schedule_second": "*/2" }),
            &[exec(&append)],
        ),
    );
    let once: Vec<String> = (0..6)
        .map(|number| {
            make(
                &project,
                &job(
                    &client,
                    &json!({}),
                    &[exec(&node.script(
                        &format!("once{number}"),
                        &format!("echo x >> once-{number}"),
                    ))],
                ),
            )
        })
        .collect();
    let more = |state: &str| {
        vec![
            "--cluster".to_owned(),
            "--concurrent-jobs".to_owned(),
            "9".to_owned(),
            "--state-dir".to_owned(),
            node.path(state).display().to_string(),
        ]
    };
    let schedulers: Vec<Scheduler> = ["one", "two"]
        .into_iter()
        .map(|state| {
            let more = more(state);
            Scheduler::start(
                &node,
                &api,
                &project,
                &client,
                &more.iter().map(String::as_str).collect::<Vec<_>>(),
            )
        })
        .collect();
    for id in &once {
        assert_eq!(result_of(&project, id), "success");
    }
    until("ten moments", || {
        (node.read("ran").lines().count() >= 10).then_some(())
    });
    project.wants(
        202,
        "POST",
        &format!("/jobs/{by_calendar}/event"),
        Some(&json!({ "stop": null })),
    );
    until("the stop", || {
        (schedule_of(&project, &by_calendar)["event"] == "").then_some(())
    });
    drop(schedulers);
    for number in 0..6 {
        assert_eq!(node.read(&format!("once-{number}")), "x\n", "job {number}");
    }
    let ran = node.read("ran");
    let mut moments: Vec<&str> = ran.lines().collect();
    moments.sort_unstable();
    moments.dedup();
    assert_eq!(moments.len(), ran.lines().count(), "{ran}");
}

#[test]
fn a_server_that_takes_questions_and_never_answers_keeps_no_timetable_waiting() {
    let api = Api::start();
    let (project, node) = (Project::new(&api), Node::of(&api));
    let client = project.client("web1");
    let relay = crate::support::relay::Relay::new(api.url.strip_prefix("http://").expect("http"));
    let names = ["a", "b", "c", "d", "e", "f"];
    for name in names {
        let append = node.script(
            &format!("append-{name}"),
            &format!("echo $FREEZER_DUE >> ran-{name}"),
        );
        make(
            &project,
            &job(
                &client,
                &json!({ "schedule_interval": "3 seconds" }),
                &[exec(&append)],
            ),
        );
    }
    let log = std::fs::File::create(node.path("log")).expect("a log");
    let url = format!("http://127.0.0.1:{}", relay.port);
    let mut command = node.command(&[
        "scheduler",
        "start",
        "--foreground",
        "--interval",
        "1",
        "-v",
        "--concurrent-jobs",
        "6",
        "--client-id",
        &client,
    ]);
    command
        .args([
            "--api-url",
            &url,
            "--api-token-file",
            "token",
            "--api-project",
            &project.id,
            "--state-dir",
            "state",
        ])
        .stderr(log);
    let mut scheduler = Scheduler {
        child: command.spawn().expect("it starts"),
    };
    let ran = |name: &str| node.read(&format!("ran-{name}")).lines().count();
    until("each has run", || {
        names.iter().all(|name| ran(name) >= 1).then_some(())
    });
    relay.stand_still(true);
    // One question after the other, with twenty seconds for each, it were minutes before the last
    // of them began.
    let before = names.map(&ran);
    until("each has run in silence, twice", || {
        names
            .iter()
            .zip(before)
            .all(|(name, before)| ran(name) >= before + 3)
            .then_some(())
    });
    // And who ends it is heard.
    let stopped = std::process::Command::new("kill")
        .arg(scheduler.child.id().to_string())
        .status()
        .expect("kill is there");
    assert!(stopped.success());
    until("the end", || {
        scheduler.child.try_wait().expect("it can be asked")
    });
    relay.stand_still(false);
}

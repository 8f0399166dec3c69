//! Schedulers and their server under load, killed at random moments.

use super::{Node, Scheduler, exec, job, make, schedule_of, until};
use crate::api::{Api, Database, Project, text};
use crate::support::dice::Dice;
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn no_job_is_lost_run_twice_or_stuck_when_schedulers_and_server_are_killed_at_random() {
    println!("{}", under_fire(Duration::from_secs(15)));
}

#[test]
fn nightly_no_job_is_lost_run_twice_or_stuck_in_ten_minutes_of_kills() {
    println!("{}", under_fire(Duration::from_secs(600)));
}

/// What there was of it.
fn under_fire(length: Duration) -> String {
    let seed = Dice::any_seed();
    let mut dice = Dice::of(seed);
    let database = Arc::new(Database::sqlite());
    let mut api = Api::on(&database, &[]);
    let address = api.url.strip_prefix("http://").expect("http").to_owned();
    let project_id = Project::new(&api).id;
    let node = Node::of(&api);
    node.write("docs/a.txt", "hello");
    let hosts = ["web1", "web2", "web3"];
    let project = Project::named(&api, &project_id);
    let session =
        json!({ "description": "all", "hold_off": 1, "schedule": { "schedule_second": "*/4" } });
    let session = text(
        &project.wants(201, "POST", "/sessions/", Some(&session)),
        "session_id",
    );
    let (mut clients, mut repeating) = (Vec::new(), Vec::new());
    for host in hosts {
        let client = project.client(host);
        for (name, schedule) in [
            ("second", json!({ "schedule_second": "*" })),
            ("interval", json!({ "schedule_interval": "2 seconds" })),
        ] {
            let append = node.script(
                &format!("{name}-{host}"),
                &format!("echo $FREEZER_DUE >> ran-{name}-{host}"),
            );
            repeating.push((
                format!("ran-{name}-{host}"),
                make(&project, &job(&client, &schedule, &[exec(&append)])),
            ));
        }
        let backup = json!({
            "action": "backup",
            "storage": "local",
            "container": node.path(&format!("store-{host}")),
            "backup_name": "docs",
            "hostname": host,
            "path_to_backup": node.path("docs"),
        });
        let append = exec(&node.script(
            &format!("session-{host}"),
            &format!("echo $FREEZER_DUE >> ran-session-{host}"),
        ));
        let id = make(
            &project,
            &job(&client, &json!({ "event": "stop" }), &[append, backup]),
        );
        project.wants(204, "PUT", &format!("/sessions/{session}/jobs/{id}"), None);
        project.wants(
            202,
            "POST",
            &format!("/jobs/{id}/event"),
            Some(&json!({ "start": null })),
        );
        repeating.push((format!("ran-session-{host}"), id));
        clients.push(client);
    }
    let start = |api: &Api, client: &str| {
        Scheduler::start(
            &node,
            api,
            &Project::named(api, &project_id),
            client,
            &["--concurrent-jobs", "4"],
        )
    };
    let mut schedulers: Vec<Option<Scheduler>> = clients
        .iter()
        .map(|client| Some(start(&api, client)))
        .collect();
    let mut once: Vec<(usize, String)> = Vec::new();
    let (begin, mut kills) = (freezer::platform::monotonic(), 0);
    while begin.elapsed() < length {
        // Work for somebody, and a moment in which it may have begun or not.
        for _ in 0..dice.below(3) {
            let number = once.len();
            let script = node.script(
                &format!("once{number}"),
                &format!("echo x >> once-{number}"),
            );
            let client = &clients[usize::try_from(dice.below(3)).expect("small")];
            let project = Project::named(&api, &project_id);
            once.push((
                number,
                make(&project, &job(client, &json!({}), &[exec(&script)])),
            ));
        }
        std::thread::park_timeout(Duration::from_millis(dice.below(1200)));
        kills += 1;
        if dice.below(8) == 0 {
            drop(api);
            std::thread::park_timeout(Duration::from_millis(dice.below(2500)));
            api = Api::on(&database, &["--listen", &address]);
        } else {
            let victim = usize::try_from(dice.below(3)).expect("small");
            if let Some(scheduler) = schedulers[victim].take() {
                scheduler.kill();
            }
            schedulers[victim] = Some(start(&api, &clients[victim]));
        }
    }

    // Peace: whatever was under way comes to its end, and all goes on.
    let project = Project::named(&api, &project_id);
    for (number, id) in &once {
        let result = until(
            &format!("seed {seed}: the end of one-shot {number}, {id}"),
            || {
                let schedule = schedule_of(&project, id);
                (schedule["status"] == "completed").then(|| text(&schedule, "result"))
            },
        );
        let ran = node.read(&format!("once-{number}"));
        // One that was killed between its note in the journal and its start did not run, and says
        // so.
        assert!(
            (result == "success" && ran == "x\n") || (result == "fail" && ran.is_empty()),
            "seed {seed}: {number}: {result} {ran:?}"
        );
    }
    let tag = || project.wants(200, "GET", &format!("/sessions/{session}"), None);
    let before = tag()["session_tag"].as_i64().expect("a number");
    until(&format!("seed {seed}: the session goes on"), || {
        let stored = tag();
        (stored["session_tag"].as_i64() > Some(before + 1)
            && stored["status"] == "completed"
            && stored["result"] == "success")
            .then_some(())
    });
    let counts: Vec<usize> = repeating
        .iter()
        .map(|(file, _)| node.read(file).lines().count())
        .collect();
    for ((file, _), count) in repeating.iter().zip(&counts) {
        until(&format!("seed {seed}: {file} goes on"), || {
            (node.read(file).lines().count() >= count + 2).then_some(())
        });
    }
    for (_, id) in &repeating {
        project.wants(
            202,
            "POST",
            &format!("/jobs/{id}/event"),
            Some(&json!({ "stop": null })),
        );
    }
    for (file, id) in &repeating {
        until(&format!("seed {seed}: the stop of {file}"), || {
            let schedule = schedule_of(&project, id);
            (["stop", "completed"].contains(&schedule["status"].as_str().unwrap_or_default())
                && schedule["event"] == "")
                .then_some(())
        });
    }
    until(&format!("seed {seed}: the end of the session"), || {
        (tag()["status"] == "completed").then_some(())
    });
    for client in &clients {
        let state = node.path(&format!("state-{client}"));
        for folder in ["runs", "outbox"] {
            until(
                &format!("seed {seed}: {folder} of {client} is empty"),
                || {
                    (std::fs::read_dir(state.join(folder))
                        .expect("a folder")
                        .count()
                        == 0)
                        .then_some(())
                },
            );
        }
    }
    drop(schedulers);
    for (file, _) in &repeating {
        let ran = node.read(file);
        let moments: BTreeSet<&str> = ran.lines().collect();
        assert_eq!(
            moments.len(),
            ran.lines().count(),
            "seed {seed}: {file}: a moment ran twice"
        );
    }
    // Each level that was made is recorded once, and none twice.
    for host in hosts {
        let levels = node.json(&[
            "list",
            &format!("{host}/docs"),
            "--store",
            &node.path(&format!("store-{host}")).display().to_string(),
        ]);
        let made: BTreeSet<String> = levels
            .as_array()
            .expect("a list")
            .iter()
            .map(|level| text(level, "level_id"))
            .collect();
        let records = project.wants(200, "GET", "/backups/?limit=10000", None);
        let told: Vec<String> = records["backups"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|record| record["backup_metadata"]["hostname"] == host)
            .map(|record| text(record, "/backup_metadata/level_id"))
            .collect();
        let told_once: BTreeSet<String> = told.iter().cloned().collect();
        assert_eq!(
            told_once.len(),
            told.len(),
            "seed {seed}: {host}: a backup is recorded twice"
        );
        assert_eq!(
            told_once, made,
            "seed {seed}: {host}: what was made and what was recorded"
        );
    }
    format!(
        "seed {seed}: {kills} kills, {} one-shots, {counts:?} runs of the others",
        once.len()
    )
}

//! `freezer job`, `session`, `client`, `action`, `backup-list`: all that the original's command
//! line does.

use super::Node;
use crate::api::{Api, Project};
use serde_json::json;

struct Someone<'a> {
    node: Node,
    api: &'a Api,
    project: &'a str,
}

impl Someone<'_> {
    fn with(&self) -> Vec<&str> {
        vec![
            "--api-url",
            &self.api.url,
            "--api-token-file",
            "token",
            "--api-project",
            self.project,
        ]
    }

    fn run(&self, arguments: &[&str]) -> String {
        self.node.run(&[arguments, &self.with()].concat())
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        self.node.json(&[arguments, &self.with()].concat())
    }

    fn made(&self, arguments: &[&str]) -> String {
        self.run(arguments).trim().to_owned()
    }
}

#[test]
fn the_thirty_commands_work() {
    let api = Api::start();
    let project = Project::new(&api);
    let user = Someone {
        node: Node::of(&api),
        api: &api,
        project: &project.id,
    };
    let client = format!("{}_node1", project.id);
    user.node.write(
        "client",
        &json!({ "client_id": client, "hostname": "node1", "description": "first" }).to_string(),
    );
    assert_eq!(
        user.made(&["client", "register", "--file", "client"]),
        client
    );
    assert!(user.run(&["client", "list"]).contains(&client));
    assert_eq!(
        user.json(&["client", "list", "--search", "nothing"]),
        json!([])
    );
    assert!(user.run(&["client", "show", &client]).contains("first"));

    user.node.write(
        "action",
        &json!({
            "freezer_action": { "action": "backup", "backup_name": "b", "path_to_backup": "/x" },
            "max_retries": 4,
        })
        .to_string(),
    );
    let action = user.made(&["action", "create", "--file", "action"]);
    assert!(user.run(&["action", "list"]).contains("/x"));
    user.node.write(
        "patch",
        &json!({ "freezer_action": { "container": "elsewhere" } }).to_string(),
    );
    user.run(&["action", "update", &action, "patch"]);
    let shown = user.run(&["action", "show", &action]);
    assert!(
        shown.contains("elsewhere") && shown.contains("/x"),
        "{shown}"
    );

    // A job file of the original, as it is.
    user.node.write(
        "job",
        &json!({
            "description": "nightly",
            "job_schedule": { "schedule_interval": "1 days" },
            "job_actions": [{
                "freezer_action": {
                    "action": "backup",
                    "mode": "fs",
                    "backup_name": "n",
                    "path_to_backup": "/y",
                },
            }],
        })
        .to_string(),
    );
    let job = user.made(&["job", "create", "--file", "job", "--client", &client]);
    let listed = user.run(&["job", "list", "--client", &client]);
    assert!(
        listed.contains(&job) && listed.contains("every 1 days"),
        "{listed}"
    );
    assert_eq!(user.json(&["job", "list", "--client", "other"]), json!([]));
    assert_eq!(
        user.json(&["job", "list", "--search", "NIGHTLY", "--all-projects"])
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert!(user.run(&["job", "show", &job]).contains("nightly"));
    assert!(user.run(&["job", "get", &job]).contains("\"nightly\""));
    user.node.write(
        "patch",
        &json!({ "description": "weekly", "job_schedule": { "schedule_interval": "1 weeks" } })
            .to_string(),
    );
    user.run(&["job", "update", &job, "patch"]);
    for event in ["start", "stop", "abort"] {
        user.run(&["job", event, &job]);
        assert_eq!(super::schedule_of(&project, &job)["event"], event);
    }

    user.node.write(
        "session",
        &json!({
            "description": "together",
            "hold_off": 30,
            "schedule": { "schedule_interval": "2 days" },
        })
        .to_string(),
    );
    let session = user.made(&["session", "create", "--file", "session"]);
    user.run(&[
        "session",
        "add-job",
        "--session-id",
        &session,
        "--job-id",
        &job,
    ]);
    let started = user.run(&[
        "session",
        "start",
        "--session-id",
        &session,
        "--job-id",
        &job,
        "--job-tag",
        "0",
    ]);
    assert_eq!(started, "success: start 1\n");
    user.node
        .write("patch", &json!({ "description": "apart" }).to_string());
    user.run(&["session", "update", &session, "patch"]);
    let shown = user.run(&["session", "show", &session]);
    assert!(shown.contains("apart") && shown.contains(&job), "{shown}");
    assert!(user.run(&["session", "list"]).contains("apart"));
    user.run(&[
        "session",
        "remove-job",
        "--session-id",
        &session,
        "--job-id",
        &job,
    ]);
    user.run(&["session", "delete", &session]);

    user.node.write(
        "backup",
        &json!({
            "container": "c",
            "hostname": "node1",
            "backup_name": "b",
            "time_stamp": 1_800_000_000,
            "curr_backup_level": 3,
            "odd\u{1b}[2J\nkey": "cod\u{202e}gpj.exe\u{2066}",
        })
        .to_string(),
    );
    let backup = user.made(&["backup-list", "create", "--file", "backup"]);
    let listed = user.run(&["backup-list"]);
    assert!(
        listed.contains(&backup) && listed.contains("2027-01-15"),
        "{listed}"
    );
    let shown = user.run(&["backup-list", "show", &backup]);
    assert!(
        shown.contains("node1")
            && shown.contains("odd\\u{1b}[2J\\nkey  ")
            && shown.contains("cod\\u{202e}gpj.exe\\u{2066}\n"),
        "{shown}"
    );
    user.run(&["backup-list", "delete", &backup]);
    user.run(&["job", "delete", &job]);
    user.run(&["action", "delete", &action]);
    user.run(&["client", "delete", &client]);
    for list in [
        vec!["backup-list"],
        vec!["job", "list"],
        vec!["session", "list"],
        vec!["client", "list"],
    ] {
        assert_eq!(user.json(&list), json!([]), "{list:?}");
    }
}

#[test]
fn what_the_server_refuses_is_said_in_its_words() {
    let api = Api::start();
    let project = Project::new(&api);
    let user = Someone {
        node: Node::of(&api),
        api: &api,
        project: &project.id,
    };
    let fails = |arguments: &[&str], code: i32, word: &str| {
        let output = user.node.output(&[arguments, &user.with()].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(code) && told.contains(word),
            "{arguments:?}: {told}"
        );
    };
    fails(&["job", "show", "none"], 1, "there is no job none");
    user.node.write(
        "job",
        &json!({ "job_schedule": { "schedule_interval": "often" }, "job_actions": [] }).to_string(),
    );
    fails(&["job", "create", "--file", "job"], 2, "--client");
    fails(
        &["job", "create", "--file", "job", "--client", "x"],
        1,
        "schedule_interval",
    );
    fails(
        &["job", "create", "--file", "nothing", "--client", "x"],
        1,
        "nothing",
    );
    user.node.write("token", "wrong");
    fails(&["job", "list"], 1, "401");
    let nowhere = user.node.output(&["job", "list"]);
    assert!(
        nowhere.status.code() == Some(2)
            && String::from_utf8_lossy(&nowhere.stderr).contains("freezer api --dev"),
        "{nowhere:?}"
    );
    let away = user.node.output(&[
        "job",
        "list",
        "--api-url",
        "http://127.0.0.1:1",
        "--api-token-file",
        "token",
        "--api-project",
        "p",
    ]);
    assert!(
        away.status.code() == Some(1)
            && String::from_utf8_lossy(&away.stderr).contains("http://127.0.0.1:1"),
        "{away:?}"
    );
}

#[test]
fn a_job_is_written_in_an_editor() {
    let api = Api::start();
    let project = Project::new(&api);
    let user = Someone {
        node: Node::of(&api),
        api: &api,
        project: &project.id,
    };
    let client = project.client("node1");
    let editor = user.node.script(
        "editor",
        "sed -i 's|\"/home\"|\"/from the editor\"|' \"$1\"",
    );
    let edited = |editor: &str, arguments: &[&str]| {
        user.node
            .command(&[arguments, &user.with()].concat())
            .env("EDITOR", editor)
            .output()
            .expect("it runs")
    };
    let output = edited(&editor, &["job", "create", "--edit", "--client", &client]);
    assert!(output.status.success(), "{output:?}");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    assert!(user.run(&["job", "get", &id]).contains("/from the editor"));
    let again = user.node.script(
        "again",
        "sed -i 's|from the editor|again|; s|1 day|2 days|' \"$1\"",
    );
    assert!(
        edited(&again, &["job", "update", &id, "--edit"])
            .status
            .success()
    );
    let job = user.json(&["job", "show", &id]);
    assert_eq!(
        (
            &job["job_schedule"]["schedule_interval"],
            &job["job_actions"][0]["freezer_action"]["path_to_backup"]
        ),
        (&json!("2 days"), &json!("/again"))
    );
    // Nothing is made of a text that was left as it is, nor of one that is no job; what was typed
    // is kept.
    for (editor, word) in [
        ("true".to_owned(), "was not changed"),
        (user.node.script("break", "echo '{' > \"$1\""), "not JSON"),
    ] {
        let output = edited(&editor, &["job", "create", "--edit", "--client", &client]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains(word),
            "{told}"
        );
        let kept = told
            .split_whitespace()
            .map(|word| word.trim_end_matches(':'))
            .find(|word| word.ends_with(".json"))
            .expect("it says where");
        std::fs::remove_file(kept).expect("it is there");
    }
    assert_eq!(
        user.json(&["job", "list"]).as_array().map(Vec::len),
        Some(1)
    );
}

#[test]
fn the_server_to_try_out_is_found_by_itself() {
    use std::io::{BufRead, BufReader};
    let node = Node::new();
    let child = node
        .command(&["api", "--dev", "--listen", "127.0.0.1:0"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    // Killed however the test ends, as a scheduler is.
    let mut server = super::Scheduler { child };
    let mut lines = BufReader::new(server.child.stdout.take().expect("piped")).lines();
    let told: Vec<String> = lines
        .by_ref()
        .take(3)
        .map(|line| line.expect("text"))
        .collect();
    assert!(told[0].starts_with("listening at"), "{told:?}");
    super::until("the file", || {
        node.path(".local/share/freezer/api.json")
            .exists()
            .then_some(())
    });
    node.write("docs/a", "");
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .expect("a name")
        .trim()
        .to_owned();
    node.run(&["scheduler", "once"]);
    assert!(
        node.run(&["client", "list"])
            .contains(&format!("default_{host}"))
    );
    let job = json!({
        "job_schedule": {},
        "job_actions": [{
            "freezer_action": { "action": "backup", "path_to_backup": node.path("docs") },
        }],
    });
    node.write("job", &job.to_string());
    node.run(&[
        "job",
        "create",
        "--file",
        "job",
        "--client",
        &format!("default_{host}"),
    ]);
    node.run(&["scheduler", "once"]);
    assert_eq!(
        node.json(&["backup-list"])[0]["backup_metadata"]["backup_name"],
        "docs"
    );
    drop(server);
}

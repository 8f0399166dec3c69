//! How it is run: first start, addresses, TLS, moving data, ending.

use super::{Api, Database, Project, text};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::Arc;

#[test]
fn what_needs_no_token_can_be_found_out() {
    let api = Api::start();
    let root = api.ask_with(&[], "GET", "/", None);
    assert_eq!(
        (root.status, root.header("content-type")),
        (300, "application/json")
    );
    let version = json!({
        "id": "v2",
        "status": "CURRENT",
        "updated": "2018-02-21T13:30:00",
        "links": [{ "rel": "self", "href": format!("{}/v2/", api.url) }],
    });
    assert_eq!(root.json(), json!({ "versions": [version] }));
    let health = api.ask_with(&[], "GET", "/healthcheck", None);
    assert_eq!((health.status, &*health.text), (200, "OK"));
    api.wants(200, "GET", "/v2/default/jobs", None);
    let metrics = api.ask_with(&[], "GET", "/metrics", None).text;
    assert!(
        metrics.contains(
            "freezer_api_request_seconds_count{method=\"GET\",path=\"/jobs\",status=\"200\"} 1\n"
        ),
        "{metrics}"
    );
    let document = api.ask_with(&[], "GET", "/openapi.json", None).json();
    assert!(
        document["paths"]["/v2/{project_id}/sessions/{id}/action"]["post"]["responses"]["202"]
            .is_object()
    );
    assert!(
        api.ask_with(&[], "GET", "/docs", None)
            .text
            .contains("/jobs/{id}/event")
    );
    for path in ["/v2", "/v2/"] {
        let home = api.ask("GET", path, None);
        assert_eq!(
            (home.status, home.header("content-type")),
            (200, "application/json-home")
        );
        let backups = &home.json()["resources"]["rel/backups"];
        assert_eq!(
            (&backups["href-template"], &backups["hints"]["allow"][0]),
            (
                &json!("/v2/{project_id}/backups/{backup_id}"),
                &json!("GET")
            )
        );
    }
}

#[test]
fn version_1_is_for_the_project_of_the_token() {
    let api = Api::start();
    let ids = json!({ "client_id": "old" });
    assert_eq!(api.wants(201, "POST", "/v1/clients/", Some(&ids)), ids);
    let job = text(
        &api.wants(
            201,
            "POST",
            "/v1/jobs/",
            Some(&json!({ "client_id": "old", "job_actions": [] })),
        ),
        "job_id",
    );
    assert_eq!(
        api.wants(
            202,
            "POST",
            &format!("/v1/jobs/{job}/event"),
            Some(&json!({ "start": null }))
        )["result"],
        "success"
    );
    assert_eq!(
        api.wants(200, "GET", "/v2/default/jobs", None)["jobs"][0]["job_id"],
        json!(job)
    );
    let backup = json!({ "container": "c", "hostname": "h", "backup_name": "b" });
    let id = text(
        &api.wants(201, "POST", "/v1/backups", Some(&backup)),
        "backup_id",
    );
    assert_eq!(
        api.wants(200, "GET", &format!("/v1/backups/{id}"), None)["user_name"],
        "operator"
    );
    api.wants(
        405,
        "PATCH",
        &format!("/v1/backups/{id}"),
        Some(&json!({ "status": "error" })),
    );
    api.wants(204, "DELETE", &format!("/v1/backups/{id}"), None);
    // The one thing that a client of version 1 is told and one of version 2 is not.
    api.wants(404, "DELETE", &format!("/v1/backups/{id}"), None);
}

#[test]
fn a_server_to_try_out_is_one_command() {
    let database = Database::sqlite();
    let start = || {
        let mut child = database.command();
        let mut child = child
            .args(["--dev", "--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped"))
            .lines()
            .map(|line| line.expect("text"));
        let url = lines
            .next()
            .expect("a line")
            .strip_prefix("listening at ")
            .expect("where")
            .to_owned();
        let token = lines
            .next()
            .expect("a line")
            .strip_prefix("token ")
            .expect("a token")
            .to_owned();
        let file = lines
            .next()
            .expect("a line")
            .strip_prefix("both are in ")
            .expect("a file")
            .to_owned();
        // The line before tells that the file is about to be written; an answer, that it has been.
        let answer = ureq::get(format!("{url}/v2/default/jobs"))
            .header("X-Auth-Token", &token)
            .call()
            .expect("an answer");
        assert_eq!(answer.status(), 200);
        let found: Value =
            serde_json::from_slice(&std::fs::read(&file).expect("written")).expect("JSON");
        assert_eq!(
            (text(&found, "url"), text(&found, "token")),
            (url, token.clone())
        );
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(
                &std::fs::metadata(&file).expect("there").permissions()
            ) & 0o777,
            0o600
        );
        child.kill().expect("it ran");
        child.wait().expect("it ends");
        token
    };
    let first = start();
    assert_eq!(start(), first, "the token is made once");
}

#[cfg(unix)]
#[test]
fn it_ends_in_order_when_told_to() {
    use rustix::process::{Pid, Signal, kill_process};
    let mut api = Api::start();
    // A request under way: its body has not come yet.
    let mut stream =
        TcpStream::connect(api.url.strip_prefix("http://").expect("http")).expect("connected");
    write!(
        stream,
        "POST /v2/default/actions HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {}\r\nContent-Length: 23\r\nExpect: 100-continue\r\n\r\n",
        api.token
    )
    .expect("sent");
    let mut head = [0; 25];
    stream
        .read_exact(&mut head)
        .expect("it is asked for its body");
    assert!(head.starts_with(b"HTTP/1.1 100"), "{head:?}");
    kill_process(Pid::from_child(&api.child), Signal::TERM).expect("sent");
    write!(stream, "{{\"freezer_action\": {{}} }}").expect("sent");
    let mut answer = String::new();
    stream
        .read_to_string(&mut answer)
        .expect("the answer, and its end");
    assert!(answer.contains("201 Created"), "{answer}");
    assert_eq!(api.child.wait().expect("ended").code(), Some(0));
}

#[test]
fn all_documents_can_be_taken_elsewhere() {
    let (from, to) = (Arc::new(Database::sqlite()), Arc::new(Database::sqlite()));
    let api = Api::on(&from, &[]);
    let project = Project::new(&api);
    let client = project.client("node");
    let job = project.job(&client, &json!({ "schedule_hour": "3" }));
    let session = text(
        &project.wants(201, "POST", "/sessions", Some(&json!({ "schedule": {} }))),
        "session_id",
    );
    let backup = json!({ "container": "c", "hostname": "h", "backup_name": "b", "time_stamp": 5 });
    let backup = text(
        &project.wants(201, "POST", "/backups", Some(&backup)),
        "backup_id",
    );
    let dump = from.run(&["export"]);
    assert_eq!(dump.lines().count(), 5, "{dump}");
    std::fs::write(to.home.path().join("dump"), &dump).expect("written");
    to.run(&["import", "dump"]);
    let other = Api::on(&to, &[]);
    for path in [
        format!("/clients/{client}"),
        format!("/jobs/{job}"),
        format!("/sessions/{session}"),
        format!("/backups/{backup}"),
    ] {
        let path = project.path(&path);
        assert_eq!(
            other.wants(200, "GET", &path, None),
            api.wants(200, "GET", &path, None)
        );
    }
    // Its links are there too: what is done to an action reaches the job.
    let action = text(
        &api.wants(200, "GET", &project.path(&format!("/jobs/{job}")), None),
        "/job_actions/0/action_id",
    );
    other.wants(
        204,
        "DELETE",
        &project.path(&format!("/actions/{action}")),
        None,
    );
    assert_eq!(
        other.wants(200, "GET", &project.path(&format!("/jobs/{job}")), None)["job_actions"],
        json!([])
    );
    // Again: what is there stays.
    to.run(&["import", "dump"]);
    for (wrong, word) in [
        ("{}", "_type"),
        ("nonsense", "expected"),
        ("{\"_type\": \"jobs\", \"_source\": {}}", "id"),
    ] {
        std::fs::write(to.home.path().join("dump"), format!("\n{wrong}\n")).expect("written");
        let output = to
            .command()
            .args(["import", "dump"])
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.code() == Some(1) && told.contains("line 2") && told.contains(word),
            "{told}"
        );
    }
}

#[test]
fn a_password_of_the_database_is_no_argument() {
    let database = Database::sqlite();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_freezer"))
        .args(["api", "migrate", "--database", "postgres://u:secret@h/d"])
        .output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--database-file"));
    std::fs::write(database.address_file(), "oracle://x").expect("written");
    assert_eq!(
        database
            .command()
            .arg("migrate")
            .output()
            .expect("it runs")
            .status
            .code(),
        Some(1)
    );
}

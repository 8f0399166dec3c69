//! Who may what.

use super::{Api, Database, Project, text};
use serde_json::json;
use std::sync::Arc;

pub fn projects_do_not_see_each_other(project: &Project<'_>) {
    let other = Project::new(project.api);
    let client = project.client("node");
    let job = project.job(&client, &json!({}));
    let member = project.api.database.token(&["--project", &other.id]);
    let ask = |method: &str, path: &str, body: Option<&str>| {
        project.api.ask_as(&member, method, path, body)
    };
    // In the path of another project nothing is allowed, in its own there is nothing of the other.
    assert_eq!(
        ask("GET", &project.path("/jobs"), None).json()["title"],
        "Access Forbidden"
    );
    assert_eq!(
        ask("GET", &project.path(&format!("/jobs/{job}")), None).status,
        403
    );
    assert_eq!(
        ask("GET", &other.path("/jobs"), None).json(),
        json!({ "jobs": [] })
    );
    assert_eq!(
        ask("GET", &other.path("/jobs?all_projects=True"), None).json(),
        json!({ "jobs": [] })
    );
    for (method, below, body, status) in [
        ("GET", format!("/jobs/{job}"), None, 404),
        (
            "PATCH",
            format!("/jobs/{job}"),
            Some("{\"description\": \"mine\"}"),
            404,
        ),
        (
            "POST",
            format!("/jobs/{job}/event"),
            Some("{\"stop\": null}"),
            404,
        ),
        ("DELETE", format!("/jobs/{job}"), None, 204),
        ("GET", format!("/clients/{client}"), None, 404),
        ("DELETE", format!("/clients/{client}"), None, 204),
    ] {
        let answer = ask(method, &other.path(&below), body);
        assert_eq!(answer.status, status, "{method} {below}: {answer:?}");
    }
    assert_eq!(
        project.wants(200, "GET", &format!("/jobs/{job}"), None)["description"],
        "d"
    );
    // An id that is another project's cannot be taken.
    let taken = json!({ "job_id": job, "client_id": other.client("node"), "job_actions": [] });
    assert_eq!(
        ask("POST", &other.path("/jobs"), Some(&taken.to_string())).status,
        409
    );
    assert_eq!(
        ask(
            "POST",
            &other.path(&format!("/jobs/{job}")),
            Some(&taken.to_string())
        )
        .status,
        409
    );
    // Who may see all, sees all when he asks for all.
    let all = project
        .api
        .ask(
            "GET",
            &other.path("/jobs?all_projects=True&limit=1000"),
            None,
        )
        .json();
    assert!(
        all["jobs"]
            .as_array()
            .expect("a list")
            .iter()
            .any(|found| found["job_id"] == json!(job))
    );
    assert_eq!(
        project.api.ask("GET", &other.path("/jobs"), None).json(),
        json!({ "jobs": [] })
    );
    assert_eq!(
        project
            .api
            .ask("GET", &other.path(&format!("/jobs/{job}")), None)
            .status,
        200
    );
    central_clients_are_seen_by_all(project, &other, &member);
}

fn central_clients_are_seen_by_all(project: &Project<'_>, other: &Project<'_>, member: &str) {
    let id = format!("{}_central", project.id);
    let body = json!({ "client_id": id, "hostname": "central", "is_central": true });
    assert_eq!(
        project
            .api
            .ask_as(
                member,
                "POST",
                &other.path("/clients"),
                Some(&body.to_string())
            )
            .status,
        403
    );
    project.wants(201, "POST", "/clients", Some(&body));
    assert_eq!(
        project
            .api
            .ask_as(member, "GET", &other.path(&format!("/clients/{id}")), None)
            .status,
        200
    );
    assert_eq!(
        project
            .api
            .ask_as(
                member,
                "DELETE",
                &other.path(&format!("/clients/{id}")),
                None
            )
            .status,
        403
    );
    let mine = json!({ "client_id": id, "hostname": "central" });
    assert_eq!(
        project
            .api
            .ask_as(
                member,
                "POST",
                &other.path("/clients"),
                Some(&mine.to_string())
            )
            .status,
        409
    );
    let job = other.job(&id, &json!({ "current_pid": 7 }));
    let seen = project
        .api
        .ask_as(member, "GET", &other.path(&format!("/jobs/{job}")), None)
        .json();
    assert_eq!(seen["job_schedule"].get("current_pid"), None);
    let listed = project
        .api
        .ask_as(member, "GET", &other.path("/jobs"), None)
        .json();
    assert_eq!(listed["jobs"][0]["job_schedule"].get("current_pid"), None);
    assert_eq!(
        other.wants(200, "GET", &format!("/jobs/{job}"), None)["job_schedule"]["current_pid"],
        7
    );
}

#[test]
fn without_a_token_there_is_nothing_to_see() {
    let api = Api::start();
    for path in [
        "/v2/default/jobs",
        "/v2",
        "/v2/",
        "/v1/jobs",
        "/nothing",
        "/v2/default/jobs/x",
    ] {
        for token in ["", "wrong", "fzt_AAAA"] {
            let answer = api.ask_as(token, "GET", path, None);
            assert_eq!(
                (answer.status, &answer.json()["error"]["code"]),
                (401, &json!(401)),
                "{path}"
            );
            assert!(
                answer
                    .header("www-authenticate")
                    .starts_with("Keystone uri="),
                "{answer:?}"
            );
        }
    }
    // What a client says of itself is not believed.
    let forged = [
        ("X-Identity-Status", "Confirmed"),
        ("X-Roles", "admin"),
        ("X-Project-Id", "default"),
        ("X-User-Id", "root"),
    ];
    assert_eq!(
        api.ask_with(&forged, "GET", "/v2/default/jobs", None)
            .status,
        401
    );
    let reader = api.database.token(&["--scope", "reader"]);
    let forged = [
        ("X-Auth-Token", &*reader),
        ("X-Roles", "admin"),
        ("X-User-Id", "root"),
    ];
    assert_eq!(
        api.ask_with(&forged, "GET", "/v2/default/jobs", None)
            .status,
        200
    );
    assert_eq!(
        api.ask_with(
            &forged,
            "POST",
            "/v2/default/actions",
            Some("{\"freezer_action\": {}}")
        )
        .status,
        403
    );
}

#[test]
fn a_token_of_a_node_is_for_that_node() {
    let api = Api::start();
    let project = Project::new(&api);
    let (mine, other) = (project.client("mine"), project.client("other"));
    let jobs = [
        project.job(&mine, &json!({})),
        project.job(&other, &json!({})),
    ];
    let token = api
        .database
        .token(&["--project", &project.id, "--client", &mine]);
    let ask = |method: &str, below: &str, body: Option<&str>| {
        api.ask_as(&token, method, &project.path(below), body)
    };
    let listed = ask("GET", "/jobs", None).json();
    assert_eq!(
        (
            listed["jobs"].as_array().map(Vec::len),
            &listed["jobs"][0]["job_id"]
        ),
        (Some(1), &json!(jobs[0]))
    );
    assert_eq!(ask("GET", &format!("/jobs/{}", jobs[1]), None).status, 404);
    let report = "{\"job_schedule\": {\"status\": \"running\"}, \"client_id\": \"x\", \
                  \"description\": \"mine\"}";
    assert_eq!(
        ask("PATCH", &format!("/jobs/{}", jobs[0]), Some(report)).status,
        200
    );
    assert_eq!(
        ask("PATCH", &format!("/jobs/{}", jobs[1]), Some(report)).status,
        404
    );
    let job = project.wants(200, "GET", &format!("/jobs/{}", jobs[0]), None);
    assert_eq!(
        (
            &job["client_id"],
            &job["description"],
            &job["job_schedule"]["status"]
        ),
        (&json!(mine), &json!("d"), &json!("running"))
    );
    assert_eq!(ask("POST", "/jobs", Some("{}")).status, 403);
    assert_eq!(
        ask("DELETE", &format!("/jobs/{}", jobs[0]), None).status,
        403
    );
    assert_eq!(
        ask(
            "POST",
            "/clients",
            Some(&json!({ "client_id": mine }).to_string())
        )
        .status,
        201
    );
    assert_eq!(
        ask(
            "POST",
            "/clients",
            Some(&json!({ "client_id": other }).to_string())
        )
        .status,
        403
    );
    let record = json!({ "container": "c", "hostname": "h", "backup_name": "b" });
    let own = text(
        &ask("POST", "/backups", Some(&record.to_string())).json(),
        "backup_id",
    );
    let others = text(
        &project.wants(201, "POST", "/backups", Some(&record)),
        "backup_id",
    );
    for (id, status) in [(own, 200), (others, 403)] {
        assert_eq!(
            ask(
                "PATCH",
                &format!("/backups/{id}"),
                Some("{\"status\": \"error\"}")
            )
            .status,
            status
        );
        assert_eq!(ask("DELETE", &format!("/backups/{id}"), None).status, 403);
    }
}

#[test]
fn a_token_that_was_taken_back_holds_no_longer() {
    let database = Arc::new(Database::sqlite());
    let token = database.token(&["--comment", "to go"]);
    let listed: serde_json::Value =
        serde_json::from_str(&database.run(&["tokens", "--json"])).expect("JSON");
    let name = text(&listed[0], "name");
    assert_eq!(
        Api::on(&database, &[])
            .ask_as(&token, "GET", "/v2/default/jobs", None)
            .status,
        200
    );
    database.run(&["revoke-token", &name]);
    assert_eq!(
        Api::on(&database, &[])
            .ask_as(&token, "GET", "/v2/default/jobs", None)
            .status,
        401
    );
}

#[test]
fn users_get_tokens_as_from_keystone() {
    let database = Arc::new(Database::sqlite());
    std::fs::write(database.home.path().join("pw"), "s3cret pass\n").expect("written");
    database.run(&[
        "add-user",
        "ann",
        "--project",
        "tecs",
        "--password-file",
        "pw",
    ]);
    assert!(
        !database
            .command()
            .args(["add-user", "ann", "--password-file", "pw"])
            .output()
            .expect("it runs")
            .status
            .success()
    );
    let api = Api::on(&database, &[]);
    assert_eq!(
        api.ask_with(&[], "GET", "/v3", None).json()["version"]["id"],
        "v3.14"
    );
    let log_in = |name: &str, password: &str, project: &str| {
        let identity = json!({
            "methods": ["password"],
            "password": {
                "user": { "name": name, "domain": { "name": "Default" }, "password": password },
            },
        });
        let body = json!({
            "auth": {
                "identity": identity,
                "scope": { "project": { "name": project, "domain": { "name": "Default" } } },
            },
        });
        api.ask_with(&[], "POST", "/v3/auth/tokens", Some(&body.to_string()))
    };
    for (name, password, project) in [
        ("ann", "wrong", "tecs"),
        ("nobody", "s3cret pass", "tecs"),
        ("ann", "s3cret pass", "other"),
    ] {
        assert_eq!(
            log_in(name, password, project).status,
            401,
            "{name} {password} {project}"
        );
    }
    let answer = log_in("ann", "s3cret pass", "tecs");
    assert_eq!(
        (answer.status, &answer.json()["token"]["catalog"][0]["type"]),
        (201, &json!("backup"))
    );
    let token = answer.header("x-subject-token").to_owned();
    assert_eq!(api.ask_as(&token, "GET", "/v2/tecs/jobs", None).status, 200);
    assert_eq!(
        api.ask_as(&token, "GET", "/v2/other/jobs", None).status,
        403
    );
    let own = [("X-Auth-Token", &*token), ("X-Subject-Token", &*token)];
    assert_eq!(
        api.ask_with(&own, "GET", "/v3/auth/tokens", None).json()["token"]["user"]["name"],
        "ann"
    );
    assert_eq!(
        api.ask_with(&own, "DELETE", "/v3/auth/tokens", None).status,
        204
    );
    assert_eq!(api.ask_as(&token, "GET", "/v2/tecs/jobs", None).status, 401);
    for wrong in [
        "",
        "{}",
        "[]",
        "{\"auth\": 5}",
        "{\"auth\": {\"identity\": {\"methods\": [\"oauth\"]}}}",
        "{\"auth\": {\"identity\": {\"methods\": [\"password\"]}}}",
    ] {
        assert_eq!(
            api.ask_with(&[], "POST", "/v3/auth/tokens", Some(wrong))
                .status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn wrong_tokens_count_for_the_address_that_sends_them() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &["--rate-limit", "5"]);
    let ask = |token: &str| api.ask_as(token, "GET", "/v2/default/jobs", None).status;
    assert_eq!(ask(&api.token), 200);
    let answers: Vec<u16> = (0..50)
        .map(|number| ask(&format!("wrong{number}")))
        .collect();
    assert_eq!(answers[0], 401);
    assert!(answers.contains(&429), "each was looked up: {answers:?}");
    assert_eq!(ask(&api.token), 200, "a good token is not held up by them");
}

#[test]
fn a_policy_file_and_limits_are_kept_to() {
    let database = Arc::new(Database::sqlite());
    let policy = database.home.path().join("policy.yaml");
    std::fs::write(&policy, "\"actions:get_all\": \"!\"\n").expect("written");
    let api = Api::on(
        &database,
        &[
            "--policy-file",
            "policy.yaml",
            "--body-limit",
            "1K",
            "--rate-limit",
            "5",
        ],
    );
    assert_eq!(api.ask("GET", "/v2/default/actions", None).status, 403);
    let large = format!(
        "{{\"freezer_action\": {{\"x\": \"{}\"}}}}",
        "x".repeat(2000)
    );
    let answer = api.ask_as(&api.token, "POST", "/v2/default/actions", Some(&large));
    assert_eq!(
        (answer.status, &answer.json()["title"]),
        (413, &json!("Request too large"))
    );
    let limited = (0..50)
        .map(|_| api.ask("GET", "/v2/default/jobs", None))
        .find(|answer| answer.status == 429)
        .expect("a limit");
    assert_eq!(limited.header("retry-after"), "1");
    std::fs::write(&policy, "\"actions:get_all\": \"role\"\n").expect("written");
    let refused = database
        .command()
        .args(["--listen", "127.0.0.1:0", "--policy-file", "policy.yaml"])
        .output()
        .expect("it runs");
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("actions:get_all"));
}

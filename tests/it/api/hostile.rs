//! Whatever is sent, the answer is never a 500, and the server goes on.

use super::{Api, Project, text};
use crate::format::mutated::{changed, changes, entry_points as entry};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

pub fn strange_text_is_kept_or_refused(project: &Project<'_>) {
    let strange = [
        "\0",
        "a\0b",
        "\u{1f}x\u{1e}",
        "'; DROP TABLE jobs; --",
        "💾 ü \u{202e}",
        "\\",
        "%_",
        "trailing ",
        "\"quoted\"",
        "{}",
    ];
    for word in strange {
        let metadata =
            json!({ "container": word, "hostname": word, "backup_name": word, word: word });
        let id = text(
            &project.wants(201, "POST", "/backups", Some(&metadata)),
            "backup_id",
        );
        assert_eq!(
            project.wants(200, "GET", &format!("/backups/{id}"), None)["backup_metadata"],
            metadata,
            "{word:?}"
        );
        let found = project.wants(
            200,
            "GET",
            "/backups",
            Some(&json!({ "match": [{ "hostname": word }, { word: word }] })),
        );
        assert_eq!(
            found["backups"].as_array().map(Vec::len),
            Some(1),
            "{word:?}: {found}"
        );
        let status = project
            .api
            .ask(
                "GET",
                &project.path("/backups"),
                Some(&json!({ "match": [{ "_all": word }] })),
            )
            .status;
        assert_eq!(status, 200, "{word:?}");
        project.wants(400, "POST", "/clients", Some(&json!({ "client_id": word })));
        project.wants(
            422,
            "POST",
            "/jobs",
            Some(&json!({ "client_id": word, "job_actions": [] })),
        );
    }
    for id in [
        "%00",
        "%0a",
        "a%20b",
        "..%2f..",
        "%f0%9f%92%be",
        "'",
        &"x".repeat(3000),
    ] {
        for resource in ["jobs", "backups", "clients", "actions", "sessions"] {
            assert_eq!(
                project
                    .api
                    .ask("GET", &project.path(&format!("/{resource}/{id}")), None)
                    .status,
                404,
                "{resource} {id}"
            );
        }
        let status = project
            .api
            .ask(
                "POST",
                &project.path(&format!("/jobs/{id}")),
                Some(&json!({})),
            )
            .status;
        assert!([400, 404].contains(&status), "{id}: {status}");
    }
}

#[test]
fn what_is_no_json_is_refused_by_name() {
    let api = Api::start();
    let deep = "[".repeat(100_000);
    for body in [
        "{",
        "{\"a\": }",
        "nonsense",
        "{\"a\": 1e999}",
        "\"\\ud800\"",
        "\u{feff}{}",
        &deep,
    ] {
        for (method, path) in [
            ("POST", "/v2/default/actions"),
            ("PATCH", "/v2/default/jobs/x"),
            ("GET", "/v2/default/jobs"),
        ] {
            let answer = api.ask_as(&api.token, method, path, Some(body));
            assert_eq!(
                (answer.status, &answer.json()["title"]),
                (400, &json!("Malformed JSON")),
                "{body:.20} {answer:?}"
            );
        }
    }
    // What is deep, and could be read, but not when it was put inside of something.
    let deep = format!(
        "{}{}",
        "{\"a\":".repeat(100),
        "1".to_owned() + &"}".repeat(100)
    );
    let answer = api.ask_as(&api.token, "POST", "/v2/default/backups", Some(&deep));
    assert!(
        answer.status == 400 && text(&answer.json(), "description").contains("64 levels"),
        "{answer:?}"
    );
    let empty = api.ask_as(&api.token, "POST", "/v2/default/actions", Some(""));
    assert_eq!(
        (empty.status, &empty.json()["description"]),
        (400, &json!("Missing request body"))
    );
    for body in ["[]", "5", "null", "\"x\""] {
        assert_eq!(
            api.ask_as(&api.token, "POST", "/v2/default/actions", Some(body))
                .status,
            400,
            "{body}"
        );
    }
}

#[test]
fn unknown_addresses_methods_and_types_are_told_apart() {
    let api = Api::start();
    assert_eq!(
        api.ask("GET", "/v2/default/nothing", None).json(),
        json!({ "title": "404 Not Found" })
    );
    let wrong = api.ask("PUT", "/v2/default/jobs/x", Some(&json!({})));
    assert_eq!(
        (wrong.status, wrong.json()),
        (405, json!({ "title": "405 Method Not Allowed" }))
    );
    assert_eq!(wrong.header("allow"), "GET, PATCH, POST, DELETE");
    let html = api.ask_with(
        &[("X-Auth-Token", &api.token), ("Accept", "text/html")],
        "GET",
        "/v2/default/jobs",
        None,
    );
    assert_eq!((html.status, &*html.text), (406, ""));
    let answer = api.ask("GET", "/v2/default/jobs", None);
    assert!(
        answer.header("x-openstack-request-id").starts_with("req-")
            && answer.header("content-type") == "application/json"
    );
}

/// A short run of the fuzzer of that name.
#[test]
fn what_the_fuzzer_starts_from_is_answered_also_when_it_was_changed() {
    let api = Api::start();
    // The project is in the address, and this token is for all.
    for (method, path, body, status) in entry::MADE {
        assert_eq!(
            api.ask_as(&api.token, method, path, Some(body)).status,
            status,
            "{method} {path}"
        );
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/api");
    let seeds: Vec<Vec<u8>> = std::fs::read_dir(folder)
        .expect("there are some")
        .map(|seed| std::fs::read(seed.expect("listed").path()).expect("read"))
        .collect();
    let answer = |input: &[u8]| {
        let (method, path, body) = entry::api_request(input)?;
        // What is no text the fuzzer sends too; the harness here cannot.
        let body = str::from_utf8(body).ok()?;
        let answer = api.ask_as(&api.token, method, path, Some(body));
        entry::api_answer(answer.status, answer.text.as_bytes());
        Some(answer.status)
    };
    let refused = seeds
        .iter()
        .filter(|seed| answer(seed).is_none_or(|status| status >= 400))
        .count();
    assert!(
        seeds.len() >= 13 && refused <= 3,
        "{refused} of {} are refused as they are",
        seeds.len()
    );
    let mut runner = TestRunner::new(Config {
        cases: 40,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&changes(), |changes| {
            for seed in &seeds {
                answer(&changed(seed, &changes));
            }
            Ok(())
        })
        .expect("no server error");
}

/// JSON of any form, with the names that the server knows among its keys.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        prop::sample::select(vec![
            "start",
            "completed",
            "backup",
            "fs",
            "node",
            "1 days",
            "2026-11-24T12:00:00",
            "\0"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        let known = prop::sample::select(vec![
            "client_id",
            "job_id",
            "job_schedule",
            "job_actions",
            "freezer_action",
            "action_id",
            "schedule",
            "jobs",
            "status",
            "event",
            "start",
            "end",
            "current_tag",
            "result",
            "session_id",
            "session_tag",
            "match",
            "match_not",
            "_all",
            "time_after",
            "backup_metadata",
            "hostname",
            "container",
            "backup_name",
            "schedule_interval",
            "max_retries",
            "mandatory",
            "is_central",
            "supported_modes",
            "action_defaults",
            "hold_off",
        ]);
        let key = prop_oneof![
            8 => known.prop_map(str::to_owned),
            1 => ".{0,8}".prop_map(|key: String| key),
        ];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key, inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect()),),
        ]
    })
}

#[test]
fn no_request_is_answered_with_a_server_error() {
    let api = Api::start();
    let project = Project::new(&api);
    let client = project.client("node");
    let job = project.job(&client, &json!({}));
    let session = text(
        &project.wants(201, "POST", "/sessions", Some(&json!({ "schedule": {} }))),
        "session_id",
    );
    project.wants(204, "PUT", &format!("/sessions/{session}/jobs/{job}"), None);
    let ids = vec![job, session, client, "x".to_owned()];
    let paths = prop::sample::select(vec![
        "/jobs",
        "/jobs/ID",
        "/jobs/ID/event",
        "/sessions",
        "/sessions/ID",
        "/sessions/ID/action",
        "/sessions/ID/jobs/ID",
        "/actions",
        "/actions/ID",
        "/backups",
        "/backups/ID",
        "/clients",
        "/clients/ID",
    ]);
    let methods = prop::sample::select(vec!["GET", "POST", "PATCH", "PUT", "DELETE"]);
    let request = (
        methods,
        paths,
        prop::sample::select(ids),
        any_json(),
        "[a-z_=&0-9%-]{0,20}",
    );
    let mut runner = TestRunner::new(Config {
        cases: 600,
        failure_persistence: None,
        ..Config::default()
    });
    runner
        .run(&request, |(method, path, id, body, query)| {
            let path = project.path(&format!("{}?{query}", path.replace("ID", &id)));
            let answer = api.ask(method, &path, Some(&body));
            prop_assert!(answer.status < 500, "{method} {path} {body}: {answer:?}");
            prop_assert!(
                answer.text.is_empty() || answer.json().is_object(),
                "{method} {path} {body}: {answer:?}"
            );
            Ok(())
        })
        .expect("no server error");
    // What the requests have left can be read.
    for list in ["jobs", "sessions", "actions", "backups", "clients"] {
        project.wants(200, "GET", &format!("/{list}?limit=1000"), None);
    }
}

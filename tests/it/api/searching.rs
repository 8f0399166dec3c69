//! Lists: pages, and what is looked for.

use super::{Project, text};
use serde_json::{Value, json};

fn ids(project: &Project<'_>, below: &str, list: &str, id: &str, search: &Value) -> Vec<String> {
    let found = project.wants(200, "GET", below, Some(search));
    found[list]
        .as_array()
        .expect("a list")
        .iter()
        .map(|object| text(object, id))
        .collect()
}

pub fn pages_make_up_the_whole_list(project: &Project<'_>) {
    let make = |number: i32| {
        text(
            &project.wants(
                201,
                "POST",
                "/actions",
                Some(&json!({ "freezer_action": { "n": number } })),
            ),
            "action_id",
        )
    };
    let made: Vec<String> = (0..25).map(make).collect();
    let page = |query: &str| {
        ids(
            project,
            &format!("/actions/?{query}"),
            "actions",
            "action_id",
            &json!({}),
        )
    };
    assert_eq!(
        [
            page("limit=12"),
            page("limit=12&offset=12"),
            page("limit=12&offset=24")
        ]
        .concat(),
        made
    );
    assert_eq!(page(""), made[..10]);
    assert_eq!(page("limit=0"), made[..10]);
    assert!(page("offset=25").is_empty());
    let total = project
        .api
        .ask("GET", &project.path("/actions?total=true&limit=1"), None);
    assert_eq!(total.header("x-total-count"), "25");
    for wrong in [
        "limit=x",
        "offset=1.5",
        "limit=-1",
        "offset=99999999999999999999",
        "limit=100000",
    ] {
        let refused = project.wants(400, "GET", &format!("/actions?{wrong}"), None);
        assert_eq!(refused["title"], "Invalid parameter", "{wrong}");
        assert!(
            text(&refused, "description").contains(wrong.split('=').next().expect("a name")),
            "{refused}"
        );
    }
}

pub fn searches_are_by_key_and_type(project: &Project<'_>) {
    let (one, two) = (project.client("one"), project.client("two"));
    let jobs = [
        project.job(&one, &json!({})),
        project.job(&two, &json!({ "status": "completed" })),
        project.job(&two, &json!({ "schedule_hour": "3" })),
    ];
    let found = |search: Value| ids(project, "/jobs/?limit=100", "jobs", "job_id", &search);
    let pick = |numbers: &[usize]| {
        numbers
            .iter()
            .map(|number| jobs[*number].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        found(json!({ "match": [{ "client_id": two }] })),
        pick(&[1, 2])
    );
    // What a scheduler polls with.
    assert_eq!(
        found(json!({ "match_not": [{ "status": "completed" }], "match": [{ "client_id": two }] })),
        pick(&[2])
    );
    assert_eq!(
        found(json!({ "match_not": [{ "status": "completed" }] })),
        pick(&[0, 2])
    );
    assert_eq!(
        found(json!({ "match": [{ "backup_name": "b" }, { "schedule_hour": "3" }] })),
        pick(&[2])
    );
    assert_eq!(
        found(json!({ "match": [{ "schedule_hour": 3 }] })),
        pick(&[])
    );
    assert_eq!(
        found(json!({ "match": [{ "schedule_hour": null }] })),
        pick(&[0, 1])
    );
    assert_eq!(
        found(json!({ "match": [{ "never": null }], "match_not": [{ "schedule_hour": null }] })),
        pick(&[2])
    );
    assert_eq!(
        found(json!({ "match": [{ "client_id": "o' OR 1=1 --" }] })),
        pick(&[])
    );
    assert_eq!(found(json!({ "match": [{ "client_id": "%" }] })), pick(&[]));
    assert_eq!(
        ids(
            project,
            "/jobs/?limit=1&offset=1",
            "jobs",
            "job_id",
            &json!({ "match": [{ "client_id": two }] })
        ),
        pick(&[2])
    );
    for wrong in [
        json!([]),
        json!({ "match": 5 }),
        json!({ "match": [5] }),
        json!({ "match_not": {} }),
        json!({ "match": [{ "_all": {} }] }),
        json!({ "time_after": "x" }),
    ] {
        project.wants(400, "GET", "/jobs/", Some(&wrong));
    }
}

pub fn all_finds_words_and_lists(project: &Project<'_>) {
    let clients = ["first", "second", "sec"].map(|host| project.client(host));
    let found = |search: &str| {
        ids(
            project,
            "/clients/?limit=10",
            "clients",
            "/client/client_id",
            &json!({ "match": [{ "_all": search }] }),
        )
    };
    assert_eq!(found("SECOND"), [clients[1].clone()]);
    // Of those that have it, the ones that are it come first.
    assert_eq!(found("sec"), [clients[2].clone(), clients[1].clone()]);
    assert!(found("nothing has this").is_empty());
    assert_eq!(found("[{\"hostname\": \"second\"}]"), [clients[1].clone()]);
    let uuid = text(
        &project.wants(200, "GET", &format!("/clients/{}", clients[1]), None),
        "/client/uuid",
    );
    assert_eq!(found(&uuid), [clients[1].clone()]);
    // What has a meaning in SQL has none here.
    assert!(found("%").is_empty() && found("_irst").is_empty() && found("' OR '1'='1").is_empty());
}

pub fn times_bound_backups(project: &Project<'_>) {
    let make = |stamp: i64| {
        let body =
            json!({ "container": "c", "hostname": "h", "backup_name": "b", "time_stamp": stamp });
        text(
            &project.wants(201, "POST", "/backups", Some(&body)),
            "backup_id",
        )
    };
    let made = [make(100), make(200), make(300)];
    let found = |search: Value| ids(project, "/backups", "backups", "backup_id", &search);
    assert_eq!(found(json!({ "time_after": 200 })), made[1..]);
    assert_eq!(found(json!({ "time_before": 200 })), made[..2]);
    assert_eq!(
        found(json!({ "time_after": 150, "time_before": "250", "match": [{ "hostname": "h" }] })),
        made[1..2]
    );
    assert_eq!(
        found(json!({ "match": [{ "backup_id": made[2] }] })),
        made[2..]
    );
}

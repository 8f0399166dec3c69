//! All nodes of a session back to one start of it.

use super::{Node, Scheduler, job, make, schedule_of, until};
use crate::api::{Api, Project, text};
use serde_json::{Value, json};

/// Nodes of one session, each with a tree that its backup writes the moment into that it is for:
/// the same on all, for one start.
pub(super) struct Together<'a> {
    pub(super) project: Project<'a>,
    pub(super) session: String,
    pub(super) nodes: Vec<Member>,
}

pub(super) struct Member {
    pub(super) node: Node,
    pub(super) client: String,
    pub(super) job: String,
    pub(super) scheduler: Option<Scheduler>,
}

impl<'a> Together<'a> {
    /// Two nodes, whose backups begin every few seconds; `options` are those of each backup.
    pub(super) fn start(api: &'a Api, variables: &[(String, String)], options: &Value) -> Self {
        let project = Project::new(api);
        let session = json!({
            "description": "both",
            "hold_off": 3,
            "schedule": { "schedule_second": "*/6" },
        });
        let session = text(
            &project.wants(201, "POST", "/sessions/", Some(&session)),
            "session_id",
        );
        let mut nodes = Vec::new();
        for host in ["web1", "web2"] {
            let mut node = Node::of(api);
            node.variables = variables.to_vec();
            node.write("docs/name", host);
            node.write("pass", "secret\n");
            let note = node.script("note", "echo $FREEZER_DUE > docs/when");
            let client = project.client(host);
            let mut backup = options.as_object().expect("an object").clone();
            backup.extend(
                json!({
                    "action": "backup",
                    "backup_name": host,
                    "hostname": host,
                    "path_to_backup": node.path("docs"),
                    "encrypt_pass_file": node.path("pass"),
                    "pre_script": note,
                })
                .as_object()
                .expect("an object")
                .clone(),
            );
            let id = make(
                &project,
                &job(
                    &client,
                    &json!({ "event": "stop" }),
                    &[Value::Object(backup)],
                ),
            );
            project.wants(204, "PUT", &format!("/sessions/{session}/jobs/{id}"), None);
            project.wants(
                202,
                "POST",
                &format!("/jobs/{id}/event"),
                Some(&json!({ "start": null })),
            );
            nodes.push(Member {
                node,
                client,
                job: id,
                scheduler: None,
            });
        }
        for member in &mut nodes {
            member.scheduler = Some(Scheduler::start(
                &member.node,
                api,
                &project,
                &member.client,
                &[],
            ));
        }
        Self {
            project,
            session,
            nodes,
        }
    }

    /// Waits for so many starts that both were in, and has no more begin. What was recorded of
    /// each.
    pub(super) fn stop_after(&self, starts: usize) -> Vec<Value> {
        let complete = until("enough starts", || {
            let records = self.records();
            let tags: Vec<i64> = records
                .iter()
                .filter_map(|record| record["session_tag"].as_i64())
                .collect();
            let both =
                |tag: &i64| tags.iter().filter(|other| *other == tag).count() == self.nodes.len();
            let mut complete: Vec<i64> = tags.iter().copied().filter(both).collect();
            complete.sort_unstable();
            complete.dedup();
            (complete.len() >= starts).then_some(complete)
        });
        for member in &self.nodes {
            self.project.wants(
                202,
                "POST",
                &format!("/jobs/{}/event", member.job),
                Some(&json!({ "stop": null })),
            );
        }
        for member in &self.nodes {
            until("the stop", || {
                let schedule = schedule_of(&self.project, &member.job);
                (["stop", "completed"].contains(&schedule["status"].as_str().unwrap_or_default())
                    && schedule["event"] == "")
                    .then_some(())
            });
        }
        complete.into_iter().map(|tag| json!(tag)).collect()
    }

    pub(super) fn records(&self) -> Vec<Value> {
        let records = self.project.wants(200, "GET", "/backups/?limit=1000", None);
        records["backups"]
            .as_array()
            .expect("a list")
            .iter()
            .map(|record| record["backup_metadata"].clone())
            .collect()
    }

    /// Runs a command of somebody who may do everything.
    fn command(&self, arguments: &[&str], api: &Api) -> std::process::Output {
        let with = [
            "--api-url",
            &api.url,
            "--api-token-file",
            "token",
            "--api-project",
            &self.project.id,
        ];
        self.nodes[0].node.output(&[arguments, &with].concat())
    }

    /// Restores a start of the session; how the session of the restore came out.
    pub(super) fn restore(&self, arguments: &[&str], api: &Api) -> Value {
        let output = self.command(
            &[&["session", "restore", &self.session], arguments].concat(),
            api,
        );
        assert!(output.status.success(), "{output:?}");
        let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        until("the end of the restore", || {
            let stored = self
                .project
                .wants(200, "GET", &format!("/sessions/{id}"), None);
            (stored["status"] == "completed").then_some(stored)
        })
    }
}

#[test]
fn all_nodes_restore_what_one_start_of_their_session_has_stored() {
    let api = Api::start();
    let store = crate::support::scratch();
    let together = Together::start(
        &api,
        &[],
        &json!({ "storage": "local", "container": store.path().join("store") }),
    );
    let starts = together.stop_after(3);
    // Not the newest one, on every node.
    let tag = starts[0].to_string();
    let ended = together.restore(&["--session-tag", &tag, "--target", "restored"], &api);
    assert_eq!(
        (&ended["result"], &ended["session_tag"]),
        (&json!("success"), &json!(1)),
        "{ended}"
    );
    let [one, two] = &together.nodes[..] else {
        panic!("two nodes")
    };
    let when: Vec<String> = [one, two]
        .map(|member| member.node.read("restored/when"))
        .to_vec();
    assert_eq!(
        (
            one.node.read("restored/name"),
            two.node.read("restored/name")
        ),
        ("web1".to_owned(), "web2".to_owned())
    );
    assert_eq!(when[0], when[1], "the same start on both");
    assert!(
        !when[0].is_empty() && when[0] < one.node.read("docs/when"),
        "{when:?}: an old one"
    );

    // Where it was, as it was at the newest start that both have.
    let newest = starts.last().expect("three").clone();
    for member in [one, two] {
        member.node.write("docs/name", "changed since");
    }
    let ended = together.restore(&["--overwrite"], &api);
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(
        (one.node.read("docs/name"), two.node.read("docs/name")),
        ("web1".to_owned(), "web2".to_owned())
    );
    assert_eq!(
        one.node.read("docs/when"),
        two.node.read("docs/when"),
        "start {newest}"
    );

    // One node cannot: the result of the whole tells.
    two.node
        .write("blocked", "a file where the folder should be");
    let ended = together.restore(&["--session-tag", &tag, "--target", "blocked"], &api);
    assert_eq!(ended["result"], "fail", "{ended}");
    assert_eq!(one.node.read("blocked/name"), "web1");
    let results: Vec<&str> = ended["jobs"]
        .as_object()
        .expect("an object")
        .values()
        .map(|entry| entry["result"].as_str().expect("text"))
        .collect();
    assert!(
        results.contains(&"success") && results.contains(&"fail"),
        "{ended}"
    );
}

#[test]
fn a_start_that_a_node_has_no_backup_of_is_refused_before_anything_is_made() {
    let api = Api::start();
    let store = crate::support::scratch();
    let together = Together::start(
        &api,
        &[],
        &json!({ "storage": "local", "container": store.path().join("store") }),
    );
    let starts = together.stop_after(1);
    // One of the records is gone.
    let records = together
        .project
        .wants(200, "GET", "/backups/?limit=1000", None);
    for record in records["backups"].as_array().expect("a list") {
        if record["backup_metadata"]["hostname"] == "web2" {
            together.project.wants(
                204,
                "DELETE",
                &format!("/backups/{}", text(record, "backup_id")),
                None,
            );
        }
    }
    let before = together
        .project
        .wants(200, "GET", "/jobs/?limit=1000", None);
    let tag = starts[0].to_string();
    for arguments in [
        vec!["--session-tag", &tag],
        vec!["--session-tag", "77"],
        vec![],
        vec!["--session-tag", "77", "--partly"],
    ] {
        let with = [
            &[
                "session",
                "restore",
                &together.session,
                "--target",
                "restored",
            ],
            &arguments[..],
        ]
        .concat();
        let output = together.command(&with, &api);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        if arguments == ["--session-tag", &tag] {
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                told.contains(&together.nodes[1].client)
                    && !told.contains(&together.nodes[0].client),
                "{told}"
            );
        }
    }
    let after = together
        .project
        .wants(200, "GET", "/jobs/?limit=1000", None);
    assert_eq!(
        before["jobs"].as_array().map(Vec::len),
        after["jobs"].as_array().map(Vec::len)
    );
    let ended = together.restore(
        &["--session-tag", &tag, "--target", "restored", "--partly"],
        &api,
    );
    assert_eq!(ended["result"], "success", "{ended}");
    assert_eq!(together.nodes[0].node.read("restored/name"), "web1");
    assert!(!together.nodes[1].node.path("restored").exists());
}

#[test]
fn nodes_that_make_a_store_at_the_same_moment_share_it() {
    for round in 0..6 {
        let node = Node::new();
        node.write("docs/a.txt", "hello");
        node.write("pass", "secret\n");
        let options = if round % 2 == 0 {
            &["--encrypt-pass-file", "pass"][..]
        } else {
            &[]
        };
        let backups: Vec<(&str, std::process::Child)> = ["web1", "web2", "web3"]
            .into_iter()
            .map(|host| {
                let arguments = [
                    &[
                        "backup",
                        "docs",
                        "-q",
                        "--store",
                        "store",
                        "--hostname",
                        host,
                    ][..],
                    options,
                ]
                .concat();
                (host, node.command(&arguments).spawn().expect("it starts"))
            })
            .collect();
        for (host, mut backup) in backups {
            assert!(backup.wait().expect("it ends").success(), "{round} {host}");
            let target = format!("from-{host}");
            let restored = [
                "restore",
                &format!("{host}/docs"),
                "-q",
                "--store",
                "store",
                "--target",
                &target,
            ];
            node.run(&[&restored[..], options].concat());
            assert_eq!(node.read(&format!("{target}/a.txt")), "hello", "{round}");
        }
        node.run(&[&["check", "--read-data", "--store", "store"][..], options].concat());
    }
}

//! The original's scheduler, agent and server, as they are published, with ours.

use super::{Node, Scheduler, job, make, result_of, schedule_of, until};
use crate::api::{Api, Database, Project};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The folder of a package's commands, installed once for all tests.
fn installed(package: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env/freezer-original.sh");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freezer-original");
    let output = Command::new(script).arg(package).arg(place).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8(output.stdout).expect("text").trim())
}

/// A process that is killed when it goes.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// What a user of a server with a `/v3` of its own has in the environment.
fn openstack(api: &Api, project: &str) -> Vec<(&'static str, String)> {
    vec![
        ("OS_AUTH_URL", format!("{}/v3", api.url)),
        ("OS_USERNAME", "ann".into()),
        ("OS_PASSWORD", "s3cret".into()),
        ("OS_PROJECT_NAME", project.to_owned()),
        ("OS_USER_DOMAIN_NAME", "Default".into()),
        ("OS_PROJECT_DOMAIN_NAME", "Default".into()),
        ("OS_IDENTITY_API_VERSION", "3".into()),
    ]
}

fn with_user(database: &Database, project: &str) {
    std::fs::write(database.home.path().join("pw"), "s3cret\n").expect("written");
    database.run(&["add-user", "ann", "--project", project, "--password-file", "pw", "--scope", "project"]);
}

#[test]
#[ignore = "needs freezer 19 of the original: tests/env/freezer-original.sh installs it"]
fn the_scheduler_of_the_original_does_jobs_of_our_server_with_our_agent() {
    let commands = installed("freezer");
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let (project, node) = (Project::new(&api), Node::of(&api));
    with_user(&database, &project.id);
    node.write("docs/a.txt", "hello");
    std::fs::create_dir_all(node.path("bin")).expect("a folder");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_freezer"), node.path("bin/freezer-agent")).expect("a link");
    let client = format!("{}_node1", project.id);
    let log = std::fs::File::create(node.path("log")).expect("a log");
    let mut command = Command::new(commands.join("freezer-scheduler"));
    command
        .env_clear()
        .env("HOME", node.home.path())
        .env("TMPDIR", node.home.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(node.home.path());
    command.env("PATH", format!("{}:{}:/usr/bin:/bin", node.path("bin").display(), commands.display()));
    command.envs(openstack(&api, &project.id)).args(["--no-daemon", "--client-id", &client, "--interval", "1", "--jobs-dir"]);
    command.arg(node.path("cache")).arg("start").stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
    std::fs::create_dir_all(node.path("cache")).expect("a folder");
    let scheduler = Running(command.spawn().expect("it starts"));
    until(&format!("the registration; {}", node.path("log").display()), || {
        (api.ask("GET", &project.path(&format!("/clients/{client}")), None).status == 200).then_some(())
    });
    let container = node.path("store");
    let backup = json!({ "action": "backup", "mode": "fs", "storage": "local", "container": container, "backup_name": "docs",
        "path_to_backup": node.path("docs"), "hostname": "node1" });
    // More than a page, the last of which is the one we look at.
    let ids: Vec<String> =
        (0..12).map(|_| make(&project, &job(&client, &json!({ "schedule_interval": "1 days" }), std::slice::from_ref(&backup)))).collect();
    let id = make(&project, &job(&client, &json!({}), &[backup]));
    for id in &ids {
        until("all are scheduled", || (schedule_of(&project, id)["status"] == "scheduled").then_some(()));
    }
    assert_eq!(result_of(&project, &id), "success", "{}", node.read("log"));
    let records = project.wants(200, "GET", "/backups/", None);
    let metadata = &records["backups"][0]["backup_metadata"];
    assert_eq!(
        (&metadata["job_id"], &metadata["curr_backup_level"], &metadata["hostname"]),
        (&json!(id), &json!(0), &json!("node1")),
        "{records}"
    );
    let restore = json!({ "action": "restore", "mode": "fs", "storage": "local", "container": container, "backup_name": "docs",
        "restore_abs_path": node.path("restored"), "hostname": "node1" });
    let id = make(&project, &job(&client, &json!({}), &[restore]));
    assert_eq!(result_of(&project, &id), "success", "{}", node.read("log"));
    assert_eq!(node.read("restored/a.txt"), "hello");
    drop(scheduler);
}

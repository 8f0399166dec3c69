//! The original's scheduler, agent and server, as they are published, with ours.

use super::{Node, job, make, result_of, schedule_of, until};
use crate::api::{Api, Database, Project};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// The folder of a package's commands, installed once for all tests.
fn installed(package: &str) -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env/freezer-original.sh");
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("freezer-original");
    let output = Command::new(script)
        .arg(package)
        .arg(place)
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
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
    database.run(&[
        "add-user",
        "ann",
        "--project",
        project,
        "--password-file",
        "pw",
        "--scope",
        "project",
    ]);
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
    std::os::unix::fs::symlink(
        env!("CARGO_BIN_EXE_freezer"),
        node.path("bin/freezer-agent"),
    )
    .expect("a link");
    let client = format!("{}_node1", project.id);
    let log = std::fs::File::create(node.path("log")).expect("a log");
    let mut command = Command::new(commands.join("freezer-scheduler"));
    command
        .env_clear()
        .env("HOME", node.home.path())
        .env("TMPDIR", node.home.path())
        .env("LC_ALL", "C.UTF-8")
        .current_dir(node.home.path());
    command.env(
        "PATH",
        format!(
            "{}:{}:/usr/bin:/bin",
            node.path("bin").display(),
            commands.display()
        ),
    );
    command.envs(openstack(&api, &project.id)).args([
        "--scheduler-no-daemon",
        "--scheduler-client-id",
        &client,
        "--scheduler-interval",
        "1",
        "--scheduler-jobs-dir",
    ]);
    command
        .arg(node.path("cache"))
        .arg("start")
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log"))
        .stderr(log);
    std::fs::create_dir_all(node.path("cache")).expect("a folder");
    let scheduler = Running(command.spawn().expect("it starts"));
    until(
        &format!("the registration; {}", node.path("log").display()),
        || {
            (api.ask("GET", &project.path(&format!("/clients/{client}")), None)
                .status
                == 200)
                .then_some(())
        },
    );
    let container = node.path("store");
    let backup = json!({
        "action": "backup",
        "mode": "fs",
        "storage": "local",
        "container": container,
        "backup_name": "docs",
        "path_to_backup": node.path("docs"),
        "hostname": "node1",
    });
    // More than a page, the last of which is the one we look at.
    let ids: Vec<String> = (0..12)
        .map(|_| {
            make(
                &project,
                &job(
                    &client,
                    &json!({ "schedule_interval": "1 days" }),
                    std::slice::from_ref(&backup),
                ),
            )
        })
        .collect();
    let id = make(&project, &job(&client, &json!({}), &[backup]));
    for id in &ids {
        until("all are scheduled", || {
            (schedule_of(&project, id)["status"] == "scheduled").then_some(())
        });
    }
    assert_eq!(result_of(&project, &id), "success", "{}", node.read("log"));
    let records = project.wants(200, "GET", "/backups/", None);
    let metadata = &records["backups"][0]["backup_metadata"];
    assert_eq!(
        (
            &metadata["job_id"],
            &metadata["curr_backup_level"],
            &metadata["hostname"]
        ),
        (&json!(id), &json!(0), &json!("node1")),
        "{records}"
    );
    let restore = json!({
        "action": "restore",
        "mode": "fs",
        "storage": "local",
        "container": container,
        "backup_name": "docs",
        "restore_abs_path": node.path("restored"),
        "hostname": "node1",
    });
    let id = make(&project, &job(&client, &json!({}), &[restore]));
    assert_eq!(result_of(&project, &id), "success", "{}", node.read("log"));
    assert_eq!(node.read("restored/a.txt"), "hello");
    drop(scheduler);
}

/// The original's server with a new file as its database, and ours as its Keystone; its address.
fn server_of_the_original(node: &Node, keystone: &Api, project: &str) -> (Running, String) {
    let commands = installed("freezer-api");
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its number")
        .port();
    let paste = commands.join("../etc/freezer/freezer-paste.ini");
    let config = node.write(
        "freezer-api.conf",
        &format!(
            "[DEFAULT]\nbind_host = 127.0.0.1\nbind_port = {port}\n[paste_deploy]\nconfig_file = {}\n[storage]\ndriver = sqlalchemy\n\
             backend = sqlalchemy\n[database]\nconnection = sqlite:///{}\n[keystone_authtoken]\nwww_authenticate_uri = {url}/v3\n\
             auth_url = {url}/v3\nauth_type = password\nusername = ann\npassword = s3cret\nproject_name = {project}\n\
             user_domain_name = Default\nproject_domain_name = Default\n[oslo_policy]\nenforce_scope = False\n",
            paste.display(),
            node.path("original.sqlite").display(),
            url = keystone.url,
        ),
    );
    let program = |name: &str| {
        let mut command = Command::new(commands.join(name));
        command
            .env_clear()
            .env("HOME", node.home.path())
            .env("LC_ALL", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin");
        command
            .arg("--config-file")
            .arg(&config)
            .stdin(Stdio::null())
            .current_dir(node.home.path());
        command
    };
    let made = program("freezer-manage")
        .args(["db", "sync"])
        .output()
        .expect("it runs");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let log = std::fs::File::create(node.path("original.log")).expect("a log");
    let server = program("freezer-api")
        .stdout(log.try_clone().expect("a log"))
        .stderr(log)
        .spawn()
        .expect("it starts");
    let server = Running(server);
    until("the server of the original", || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    (server, format!("http://127.0.0.1:{port}"))
}

#[test]
#[ignore = "needs freezer-api 19 of the original: tests/env/freezer-original.sh installs it"]
fn our_scheduler_and_commands_work_with_the_server_of_the_original() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let (project, node) = (Project::new(&api), Node::new());
    std::fs::write(database.home.path().join("pw"), "s3cret\n").expect("written");
    database.run(&[
        "add-user",
        "ann",
        "--project",
        &project.id,
        "--password-file",
        "pw",
        "--scope",
        "admin",
    ]);
    let (server, url) = server_of_the_original(&node, &api, &project.id);
    let mut environment = openstack(&api, &project.id);
    environment.push(("OS_BACKUP_URL", url));
    let freezer = |arguments: &[&str]| {
        // Each command logs in, and the server wants no more than ten log-ins in a second.
        std::thread::park_timeout(std::time::Duration::from_millis(250));
        let output = node
            .command(arguments)
            .envs(environment.iter().cloned())
            .output()
            .expect("it runs");
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).expect("text")
    };
    let json = |arguments: &[&str]| -> Value {
        serde_json::from_str(&freezer(&[arguments, &["--json"]].concat())).expect("JSON")
    };
    node.write("docs/a.txt", "hello");
    let client = format!("{}_node1", project.id);
    let log = std::fs::File::create(node.path("log")).expect("a log");
    let mut command = node.command(&[
        "scheduler",
        "start",
        "--foreground",
        "--interval",
        "1",
        "-v",
        "--client-id",
        &client,
    ]);
    let scheduler = Running(
        command
            .envs(environment.iter().cloned())
            .stderr(log)
            .spawn()
            .expect("it starts"),
    );
    until("the registration", || {
        json(&["client", "list"])
            .as_array()
            .is_some_and(|list| !list.is_empty())
            .then_some(())
    });
    let backup = json!({
        "action": "backup",
        "mode": "fs",
        "storage": "local",
        "container": node.path("store"),
        "backup_name": "docs",
        "path_to_backup": node.path("docs"),
        "hostname": "node1",
    });
    node.write(
        "job",
        &job(&client, &json!({}), std::slice::from_ref(&backup)).to_string(),
    );
    node.write(
        "daily",
        &job(
            &client,
            &json!({ "schedule_interval": "1 days" }),
            &[backup],
        )
        .to_string(),
    );
    let daily = freezer(&["job", "create", "--file", "daily"])
        .trim()
        .to_owned();
    let id = freezer(&["job", "create", "--file", "job"])
        .trim()
        .to_owned();
    let ended = until("the end of the job", || {
        let job = json(&["job", "show", &id]);
        (job["job_schedule"]["status"] == "completed").then_some(job)
    });
    assert_eq!(
        ended["job_schedule"]["result"],
        "success",
        "{}",
        node.read("log")
    );
    let record = until("the record", || {
        json(&["backup-list"])
            .as_array()
            .and_then(|list| list.first().cloned())
    });
    assert_eq!(
        (
            &record["backup_metadata"]["job_id"],
            &record["backup_metadata"]["level"]
        ),
        (&json!(id), &json!(0)),
        "{record}"
    );
    let status_of = |wanted: &str| {
        until(wanted, || {
            let schedule = json(&["job", "show", &daily])["job_schedule"].clone();
            (schedule["status"] == wanted && schedule["event"] == "").then_some(())
        });
    };
    status_of("scheduled");
    freezer(&["job", "stop", &daily]);
    status_of("stop");
    freezer(&["job", "start", &daily]);
    status_of("scheduled");
    for (noun, id) in [
        ("job", id.as_str()),
        ("job", daily.as_str()),
        ("client", client.as_str()),
    ] {
        freezer(&[noun, "delete", id]);
    }
    assert_eq!(json(&["job", "list"]), json!([]));
    drop((scheduler, server));
}

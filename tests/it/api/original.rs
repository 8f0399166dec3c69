//! The original's own programs, as they are published, with this server.

use super::{Api, Database, Project, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// The `freezer` command of python-freezerclient, installed once for all tests.
fn freezerclient() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env/freezerclient.sh");
    let output = Command::new(script)
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("freezerclient"))
        .output()
        .expect("it runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    PathBuf::from(String::from_utf8(output.stdout).expect("text").trim())
}

/// Someone who works with it.
struct Someone<'a> {
    program: PathBuf,
    environment: Vec<(&'static str, String)>,
    database: &'a Database,
}

impl Someone<'_> {
    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .env("HOME", self.database.home.path())
            .env("LC_ALL", "C.UTF-8")
            .current_dir(self.database.home.path());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let output = command
            .envs(self.environment.iter().cloned())
            .args(arguments)
            .output()
            .expect("it runs");
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out.into_owned()
    }

    /// The rows of a list. Where there are none it prints one with nothing in it.
    fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let out = self.run(&[arguments, &["-f", "json"]].concat());
        let rows: Vec<Value> = serde_json::from_str(&out)
            .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"));
        let is_empty = |row: &Value| {
            row.as_object().is_some_and(|row| {
                row.iter()
                    .all(|(key, value)| !key.ends_with(" ID") || value == "")
            })
        };
        rows.into_iter().filter(|row| !is_empty(row)).collect()
    }

    fn file(&self, name: &str, content: &Value) {
        std::fs::write(self.database.home.path().join(name), content.to_string()).expect("written");
    }
}

/// All 30 commands, by someone in `project`.
fn all_commands_work(someone: &Someone<'_>, project: &Project<'_>) {
    let client = format!("{}_node1", project.id);
    someone.file(
        "client",
        &json!({ "client_id": client, "hostname": "node1", "description": "first" }),
    );
    someone.run(&["client-register", "--file", "client"]);
    assert_eq!(
        someone.rows(&["client-list"])[0]["Client ID"],
        json!(client)
    );
    assert_eq!(
        someone.rows(&["client-list", "--search", "nothing"]),
        [Value::Null; 0]
    );
    assert!(someone.run(&["client-show", &client]).contains("first"));

    someone.file(
        "action",
        &json!({
            "freezer_action": {
                "action": "backup",
                "mode": "fs",
                "backup_name": "b",
                "path_to_backup": "/x",
            },
            "max_retries": 4,
        }),
    );
    someone.run(&["action-create", "--file", "action"]);
    let action = text(&someone.rows(&["action-list"])[0], "Action ID");
    someone.file(
        "patch",
        &json!({ "freezer_action": { "container": "elsewhere" } }),
    );
    someone.run(&["action-update", &action, "patch"]);
    let shown = someone.run(&["action-show", &action]);
    assert!(
        shown.contains("elsewhere") && shown.contains("/x"),
        "{shown}"
    );

    someone.file(
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
        }),
    );
    someone.run(&["job-create", "--file", "job", "--client", &client]);
    let job = text(&someone.rows(&["job-list"])[0], "Job ID");
    assert_eq!(someone.rows(&["job-list", "--client", &client]).len(), 1);
    assert_eq!(
        someone.rows(&["job-list", "--client", "other"]),
        [Value::Null; 0]
    );
    assert_eq!(
        someone
            .rows(&["job-list", "--search", "NIGHTLY", "--all-projects"])
            .len(),
        1
    );
    assert!(someone.run(&["job-show", &job]).contains("1 days"));
    let got = someone.run(&["job-get", &job, "--no-format"]);
    assert!(got.contains("nightly"), "{got}");
    assert!(someone.run(&["job-get", &job]).contains("nightly"));
    someone.file(
        "job-patch",
        &json!({ "description": "weekly", "job_schedule": { "schedule_interval": "1 weeks" } }),
    );
    someone.run(&["job-update", &job, "job-patch"]);
    for event in ["start", "stop", "abort"] {
        someone.run(&[&format!("job-{event}"), &job]);
        let schedule = &project.wants(200, "GET", &format!("/jobs/{job}"), None)["job_schedule"];
        assert_eq!(
            (&schedule["event"], &schedule["schedule_interval"]),
            (&json!(event), &json!("1 weeks"))
        );
    }

    someone.file(
        "session",
        &json!({
            "description": "together",
            "hold_off": 30,
            "schedule": { "schedule_interval": "2 days" },
        }),
    );
    someone.run(&["session-create", "--file", "session"]);
    let session = text(&someone.rows(&["session-list"])[0], "Session ID");
    someone.run(&[
        "session-add-job",
        "--session-id",
        &session,
        "--job-id",
        &job,
    ]);
    someone.run(&[
        "session-start",
        "--session-id",
        &session,
        "--job-id",
        &job,
        "--job-tag",
        "0",
    ]);
    let stored = project.wants(200, "GET", &format!("/sessions/{session}"), None);
    assert_eq!(
        (&stored["session_tag"], &stored["jobs"][&job]["status"]),
        (&json!(1), &json!("running"))
    );
    someone.file("session-patch", &json!({ "description": "apart" }));
    someone.run(&["session-update", &session, "session-patch"]);
    assert!(someone.run(&["session-show", &session]).contains("apart"));
    someone.run(&[
        "session-remove-job",
        "--session-id",
        &session,
        "--job-id",
        &job,
    ]);
    someone.run(&["session-delete", &session]);

    someone.file(
        "backup",
        &json!({
            "container": "c",
            "hostname": "node1",
            "backup_name": "b",
            "time_stamp": 1_800_000_000,
            "path_to_backup": "/x",
            "curr_backup_level": 0,
        }),
    );
    someone.run(&["backup-create", "--file", "backup"]);
    let backup = text(
        &someone.rows(&["backup-list", "-c", "Backup ID"])[0],
        "Backup ID",
    );
    assert!(someone.run(&["backup-show", &backup]).contains("node1"));
    someone.run(&["backup-delete", &backup]);
    someone.run(&["job-delete", &job]);
    someone.run(&["action-delete", &action]);
    someone.run(&["client-delete", &client]);
    // Its list of backups cannot be JSON while there are any: it has a time in it that it cannot
    // write.
    for list in ["backup-list", "job-list", "session-list", "client-list"] {
        assert_eq!(someone.rows(&[list]), [Value::Null; 0], "{list}");
    }
}

#[test]
#[ignore = "needs python-freezerclient: tests/env/freezerclient.sh installs it"]
fn all_commands_of_python_freezerclient_work_with_a_user_of_this_server() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let project = Project::new(&api);
    std::fs::write(database.home.path().join("pw"), "s3cret\n").expect("written");
    database.run(&[
        "add-user",
        "ann",
        "--project",
        &project.id,
        "--password-file",
        "pw",
    ]);
    let environment = vec![
        ("OS_AUTH_URL", format!("{}/v3", api.url)),
        ("OS_USERNAME", "ann".into()),
        ("OS_PASSWORD", "s3cret".into()),
        ("OS_PROJECT_NAME", project.id.clone()),
        ("OS_USER_DOMAIN_NAME", "Default".into()),
        ("OS_PROJECT_DOMAIN_NAME", "Default".into()),
    ];
    all_commands_work(
        &Someone {
            program: freezerclient(),
            environment,
            database: &database,
        },
        &project,
    );
}

#[test]
#[ignore = "needs freezer-web-ui: tests/env/freezer-web-ui.sh installs it"]
fn all_that_the_pages_of_freezer_web_ui_ask_for_works() {
    let env = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env");
    let installed = Command::new(env.join("freezer-web-ui.sh"))
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("freezer-web-ui"))
        .output()
        .expect("it runs");
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    let api = Api::start();
    let project = Project::new(&api);
    for host in ["node1", "node2", "node3"] {
        project.client(host);
    }
    let record = json!({
        "container": "c",
        "hostname": "node2",
        "backup_name": "my backup",
        "time_stamp": 1_800_000_000,
        "level": 2,
        "storage": "local",
    });
    project.wants(201, "POST", "/backups", Some(&record));
    let token = api.database.token(&["--project", &project.id]);
    let mut command = Command::new(String::from_utf8(installed.stdout).expect("text").trim());
    command
        .arg(env.join("freezer_web_ui.py"))
        .args([&api.url, &token, &project.id])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let output = command.output().expect("it runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Asks what schemathesis makes out of our own document, with so many requests for each route. A
/// seed makes them the same each time.
fn schemathesis(examples: u32, seed: Option<u32>) {
    let env = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/env");
    let installed = Command::new(env.join("schemathesis.sh"))
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("schemathesis"))
        .output()
        .expect("it runs");
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    let api = Api::start();
    let mut command = Command::new(String::from_utf8(installed.stdout).expect("text").trim());
    command
        .current_dir(api.database.home.path())
        .env("NO_COLOR", "1")
        .arg("--config-file")
        .arg(env.join("schemathesis.toml"));
    command.args([
        "run",
        &format!("{}/openapi.json", api.url),
        "-H",
        &format!("X-Auth-Token: {}", api.token),
    ]);
    command.args([
        "--continue-on-failure",
        "--max-examples",
        &examples.to_string(),
    ]);
    command.args(seed.map(|seed| format!("--seed={seed}")));
    let output = command.output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        told.contains(&format!("{} selected", operations_of(&api))),
        "{told}"
    );
    api.wants(200, "GET", "/v2/default/jobs", None);
}

/// How many operations our document has.
fn operations_of(api: &Api) -> usize {
    let document = api.ask_with(&[], "GET", "/openapi.json", None).json();
    document["paths"]
        .as_object()
        .expect("paths")
        .values()
        .map(|path| path.as_object().expect("operations").len())
        .sum()
}

#[test]
#[ignore = "needs schemathesis: tests/env/schemathesis.sh installs it"]
fn answers_fit_our_own_openapi_document() {
    schemathesis(12, Some(1));
}

#[test]
#[ignore = "takes minutes; needs schemathesis: tests/env/schemathesis.sh installs it"]
fn nightly_answers_fit_our_own_openapi_document() {
    schemathesis(300, None);
}

#[test]
#[ignore = "needs Keystone and python-freezerclient: scripts in tests/env install and start them"]
fn all_commands_of_python_freezerclient_work_with_keystone() {
    let keystone = Keystone::start();
    let database = Arc::new(Database::sqlite());
    std::fs::write(
        database.home.path().join("pw"),
        format!("{}\n", keystone.of("KEYSTONE_SERVICE_PASSWORD")),
    )
    .expect("written");
    let mut api = Api::on(
        &database,
        &[
            "--keystone-url",
            keystone.of("OS_AUTH_URL"),
            "--keystone-password-file",
            "pw",
        ],
    );
    api.token = keystone.token("demo", "demo");
    let project = Project {
        api: &api,
        id: keystone.of("DEMO_PROJECT_ID").to_owned(),
    };
    let known = [
        "OS_AUTH_URL",
        "OS_USERNAME",
        "OS_PASSWORD",
        "OS_PROJECT_NAME",
        "OS_USER_DOMAIN_NAME",
        "OS_PROJECT_DOMAIN_NAME",
        "OS_REGION_NAME",
    ];
    let mut environment: Vec<_> = known
        .map(|name| (name, keystone.of(name).to_owned()))
        .into();
    environment.push(("OS_BACKUP_URL", api.url.clone()));
    all_commands_work(
        &Someone {
            program: freezerclient(),
            environment,
            database: &database,
        },
        &project,
    );
    // A member of another project, a token of this server's own, and nobody.
    let other = keystone.token("other", "other");
    assert_eq!(
        api.ask_as(&other, "GET", &project.path("/jobs"), None)
            .status,
        403
    );
    assert_eq!(
        api.ask_as(
            &other,
            "GET",
            &format!("/v2/{}/jobs", keystone.of("OTHER_PROJECT_ID")),
            None
        )
        .status,
        200
    );
    let own = database.token(&["--scope", "admin"]);
    let refused = api.ask_as(&own, "GET", &project.path("/jobs"), None);
    assert_eq!(refused.status, 401);
    assert_eq!(
        refused.header("www-authenticate"),
        format!("Keystone uri=\"{}\"", keystone.of("OS_AUTH_URL"))
    );
    assert_eq!(
        api.ask_with(&[], "GET", "/v3", None).status,
        401,
        "with a Keystone there is no other"
    );
}

/// A real Keystone, with the project `demo`.
struct Keystone {
    home: tempfile::TempDir,
    settings: String,
}

const KEYSTONE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/env/keystone.sh");

impl Keystone {
    fn start() -> Self {
        let home = tempfile::Builder::new()
            .prefix("fz")
            .tempdir()
            .expect("a directory");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("its number")
            .port();
        let up = Command::new(KEYSTONE)
            .arg("up")
            .arg(home.path().join("s"))
            .env("KEYSTONE_PORT", port.to_string())
            .output()
            .expect("it runs");
        let keystone = Self {
            home,
            settings: String::from_utf8_lossy(&up.stdout).into_owned(),
        };
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        keystone
    }

    fn of(&self, name: &str) -> &str {
        self.settings
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .unwrap_or_else(|| panic!("{name}: {}", self.settings))
    }

    fn token(&self, user: &str, project: &str) -> String {
        let identity = json!({
            "methods": ["password"],
            "password": {
                "user": { "name": user, "domain": { "id": "default" }, "password": user },
            },
        });
        let body = json!({
            "auth": {
                "identity": identity,
                "scope": { "project": { "name": project, "domain": { "id": "default" } } },
            },
        });
        let url = format!("{}/auth/tokens", self.of("OS_AUTH_URL"));
        let answer = ureq::post(url)
            .header("Content-Type", "application/json")
            .send(body.to_string())
            .expect("an answer");
        answer
            .headers()
            .get("x-subject-token")
            .and_then(|token| token.to_str().ok())
            .expect("a token")
            .to_owned()
    }
}

impl Drop for Keystone {
    fn drop(&mut self) {
        Command::new(KEYSTONE)
            .arg("down")
            .arg(self.home.path().join("s"))
            .output()
            .expect("it ends");
    }
}

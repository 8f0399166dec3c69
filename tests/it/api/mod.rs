//! The server, run as a program and asked over HTTP.
#![expect(clippy::disallowed_methods, reason = "these tests run programs")]

mod access;
mod connections;
mod documents;
mod hostile;
mod kills;
mod original;
mod run;
mod searching;
mod sessions;

use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use tempfile::TempDir;

/// A database of a test: its address, in a file.
pub(crate) struct Database {
    pub(crate) home: TempDir,
    /// Its own server, where it has one.
    server: Option<Served>,
}

/// A server by a script in `tests/env`.
struct Served {
    script: PathBuf,
    port_variable: &'static str,
    port: u16,
}

impl Database {
    /// A file.
    pub(crate) fn sqlite() -> Self {
        let home = crate::support::scratch();
        let database = Self { home, server: None };
        std::fs::write(
            database.address_file(),
            format!(
                "sqlite:{}",
                database.home.path().join("api.sqlite").display()
            ),
        )
        .expect("written");
        database
    }

    /// A real server, by the script of that name in `tests/env`.
    fn of_server(script: &str, port_variable: &'static str) -> Self {
        // Its user must be able to reach the folder.
        let home = tempfile::Builder::new()
            .prefix("fz")
            .tempdir()
            .expect("a directory");
        #[cfg(unix)]
        std::fs::set_permissions(
            home.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("opened");
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .expect("a port")
            .local_addr()
            .expect("its number")
            .port();
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/env")
            .join(script);
        let database = Self {
            home,
            server: Some(Served {
                script,
                port_variable,
                port,
            }),
        };
        let up = database.server_script("up");
        assert!(
            up.status.success(),
            "{}",
            String::from_utf8_lossy(&up.stderr)
        );
        let settings = String::from_utf8(up.stdout).expect("text");
        let address = settings
            .lines()
            .find_map(|line| line.strip_prefix("DATABASE_URL="))
            .expect("an address");
        std::fs::write(database.address_file(), address).expect("written");
        database
    }

    /// Runs the script of its server.
    fn server_script(&self, word: &str) -> std::process::Output {
        let Served {
            script,
            port_variable,
            port,
        } = self.server.as_ref().expect("it has one");
        Command::new(script)
            .arg(word)
            .arg(self.home.path().join("s"))
            .env(port_variable, port.to_string())
            .output()
            .expect("it runs")
    }

    pub(crate) fn address_file(&self) -> PathBuf {
        self.home.path().join("address")
    }

    /// `freezer api` with this database.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
        command
            .args(["api", "--quiet", "--database-file"])
            .arg(self.address_file());
        command
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// Runs a command to its end; what it printed.
    pub(crate) fn run(&self, arguments: &[&str]) -> String {
        let output = self.command().args(arguments).output().expect("it runs");
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout)
            .expect("text")
            .trim()
            .to_owned()
    }

    /// A token made by `add-token` with these arguments.
    pub(crate) fn token(&self, arguments: &[&str]) -> String {
        self.run(&[&["add-token"], arguments].concat())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.server_script("down");
        }
    }
}

/// A server that runs.
pub(crate) struct Api {
    pub(crate) database: Arc<Database>,
    child: Child,
    pub(crate) url: String,
    /// A token for everything.
    pub(crate) token: String,
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    text: String,
}

impl Answer {
    fn read(answer: &str) -> Option<Self> {
        let (head, text) = answer.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        Some(Self {
            status,
            headers,
            text: text.to_owned(),
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }
}

impl Api {
    /// A server with a new file as its database.
    pub(crate) fn start() -> Self {
        Self::on(&Arc::new(Database::sqlite()), &[])
    }

    pub(crate) fn on(database: &Arc<Database>, arguments: &[&str]) -> Self {
        let token = database.token(&["--scope", "admin"]);
        Self::begun(database, arguments, &token).expect("it says where it listens")
    }

    fn begun(database: &Arc<Database>, arguments: &[&str], token: &str) -> Option<Self> {
        let mut command = database.command();
        let mut child = command
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped"))
            .read_line(&mut line)
            .expect("a line, or its end");
        let url = line
            .trim()
            .strip_prefix("listening at ")
            .unwrap_or_default()
            .to_owned();
        let api = Self {
            database: Arc::clone(database),
            child,
            url,
            token: token.to_owned(),
        };
        (!api.url.is_empty()).then_some(api)
    }

    /// Asks with a token.
    pub(crate) fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Answer {
        self.ask_with(
            &[
                ("X-Auth-Token", token),
                ("Content-Type", "application/json"),
            ],
            method,
            path,
            body,
        )
    }

    fn ask_with(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Answer {
        let address = self.url.strip_prefix("http://").expect("http");
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let body = body.unwrap_or("");
        let mut stream = TcpStream::connect(address).expect("it listens");
        write!(stream, "{head}Content-Length: {}\r\n\r\n", body.len()).expect("sent");
        // A server that wants no more of it answers and closes.
        stream.write_all(body.as_bytes()).ok();
        let mut answer = Vec::new();
        stream
            .read_to_end(&mut answer)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let answer = String::from_utf8(answer).expect("text");
        Answer::read(&answer).unwrap_or_else(|| panic!("{method} {path}: {answer:?}"))
    }

    /// Asks for everything.
    pub(crate) fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Answer {
        self.ask_as(
            &self.token,
            method,
            path,
            body.map(Value::to_string).as_deref(),
        )
    }

    /// Asks, and wants this status; the JSON of the answer.
    pub(crate) fn wants(
        &self,
        status: u16,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(
            answer.status, status,
            "{method} {path} {body:?}: {answer:?}"
        );
        if answer.text.is_empty() {
            Value::Null
        } else {
            answer.json()
        }
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // It may have ended already, when a test ended it.
        self.child.kill().ok();
        self.child.wait().expect("it ends");
    }
}

/// A project of its own for each part of a test, so that all parts can share a server.
pub(crate) struct Project<'a> {
    api: &'a Api,
    pub(crate) id: String,
}

impl<'a> Project<'a> {
    pub(crate) fn new(api: &'a Api) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        static BEGUN: OnceLock<u32> = OnceLock::new();
        let process = BEGUN.get_or_init(std::process::id);
        Self {
            api,
            id: format!("p{process}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)),
        }
    }

    /// The one of that name.
    pub(crate) fn named(api: &'a Api, id: &str) -> Self {
        Self {
            api,
            id: id.to_owned(),
        }
    }

    pub(crate) fn path(&self, below: &str) -> String {
        format!("/v2/{}{below}", self.id)
    }

    pub(crate) fn wants(
        &self,
        status: u16,
        method: &str,
        below: &str,
        body: Option<&Value>,
    ) -> Value {
        self.api.wants(status, method, &self.path(below), body)
    }

    /// Registers a node; its id.
    pub(crate) fn client(&self, host: &str) -> String {
        let id = format!("{}_{host}", self.id);
        self.wants(
            201,
            "POST",
            "/clients/",
            Some(&serde_json::json!({ "client_id": id, "hostname": host })),
        );
        id
    }

    /// Makes a job of a node; its id.
    pub(crate) fn job(&self, client: &str, schedule: &Value) -> String {
        let action = serde_json::json!({
            "freezer_action": {
                "action": "backup",
                "mode": "fs",
                "backup_name": "b",
                "path_to_backup": "/x",
            },
        });
        let job = serde_json::json!({
            "client_id": client,
            "description": "d",
            "job_schedule": schedule,
            "job_actions": [action],
        });
        text(&self.wants(201, "POST", "/jobs/", Some(&job)), "job_id")
    }
}

pub(crate) fn text(value: &Value, pointer: &str) -> String {
    let value = if pointer.starts_with('/') {
        value.pointer(pointer)
    } else {
        value.get(pointer)
    };
    value
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{pointer}: {value:?}"))
        .to_owned()
}

/// What holds on every database.
fn holds_everywhere(database: &Arc<Database>) {
    let api = Api::on(database, &[]);
    for part in [
        documents::clients_are_registered_and_found,
        documents::actions_keep_what_they_are_given,
        documents::jobs_keep_what_they_are_given,
        documents::an_action_is_the_same_in_all_jobs,
        documents::backups_are_what_was_posted,
        documents::versions_grow_and_guard_changes,
        documents::events_are_noted_once,
        sessions::starts_and_ends_follow_the_table,
        sessions::an_end_of_an_old_start_changes_nothing_of_the_present_one,
        sessions::a_timetable_is_handed_on_to_jobs,
        searching::pages_make_up_the_whole_list,
        searching::searches_are_by_key_and_type,
        searching::all_finds_words_and_lists,
        searching::times_bound_backups,
        access::projects_do_not_see_each_other,
        hostile::strange_text_is_kept_or_refused,
    ] {
        part(&Project::new(&api));
    }
    drop(api);
    sessions::of_two_hundred_nodes_that_start_at_once_all_get_one_tag(database);
}

#[test]
fn it_holds_on_sqlite() {
    holds_everywhere(&Arc::new(Database::sqlite()));
}

#[test]
#[ignore = "needs PostgreSQL: tests/env/postgres.sh installs and starts it"]
fn it_holds_on_postgresql() {
    holds_everywhere(&Arc::new(Database::of_server(
        "postgres.sh",
        "POSTGRES_PORT",
    )));
}

#[test]
#[ignore = "needs MariaDB: tests/env/mariadb.sh installs and starts it"]
fn it_holds_on_mariadb() {
    holds_everywhere(&Arc::new(Database::of_server("mariadb.sh", "MARIADB_PORT")));
}

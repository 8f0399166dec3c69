//! The scheduler and the commands that talk to a server, run as programs with the real server and
//! the real agent.
#![expect(clippy::disallowed_methods, reason = "these tests run programs")]

mod actions;
mod commands;
mod crash;
mod decoders;
#[cfg(target_os = "linux")]
mod end_to_end;
#[cfg(target_os = "linux")]
mod full_disk;
mod original;
mod server;
mod session_restore;
#[cfg(target_os = "linux")]
mod soak;
mod under_fire;

use crate::api::{Api, Project, text};
use crate::support::HANG;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// A machine with a home of its own.
struct Node {
    home: TempDir,
    /// What is in its environment besides.
    variables: Vec<(String, String)>,
}

impl Node {
    fn new() -> Self {
        Self {
            home: crate::support::scratch(),
            variables: Vec::new(),
        }
    }

    /// One that knows a token of the server for everything.
    fn of(api: &Api) -> Self {
        let node = Self::new();
        node.write("token", &api.token);
        node
    }

    fn path(&self, below: &str) -> PathBuf {
        self.home.path().join(below)
    }

    fn write(&self, below: &str, content: &str) -> PathBuf {
        let path = self.path(below);
        std::fs::create_dir_all(path.parent().expect("below home")).expect("a folder");
        std::fs::write(&path, content).expect("written");
        path
    }

    /// A program of the node.
    fn script(&self, name: &str, lines: &str) -> String {
        let path = self.write(name, &format!("#!/bin/sh\n{lines}\n"));
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("made a program");
        path.display().to_string()
    }

    fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_freezer"));
        command
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        command
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .envs(self.variables.iter().cloned());
        command
    }

    /// The files of a store whose path has this in it.
    fn objects(&self, store: &str, part: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.path(store)];
        let mut found = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("a folder") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().contains(part) {
                    found.push(path);
                }
            }
        }
        found.sort();
        found
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().expect("it runs")
    }

    /// Runs `freezer` to its end; what it printed.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{arguments:?}: {out}{err}");
        out.into_owned()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let out = self.run(&[arguments, &["--json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {out}"))
    }

    /// Runs what is due of these jobs in a folder; the last run of each.
    fn once(&self, jobs: &[(&str, Value)], more: &[&str]) -> Vec<Value> {
        for (name, job) in jobs {
            self.write(&format!("jobs/{name}.conf"), &job.to_string());
        }
        self.run(
            &[
                &[
                    "scheduler",
                    "once",
                    "--no-api",
                    "--jobs-dir",
                    "jobs",
                    "--interval",
                    "1",
                    "-v",
                ],
                more,
            ]
            .concat(),
        );
        let status = self.json(&["scheduler", "status", "--no-api", "--jobs-dir", "jobs"]);
        status["last_runs"].as_array().expect("a list").clone()
    }
}

/// A scheduler that runs; killed when it goes.
struct Scheduler {
    child: Child,
}

impl Scheduler {
    /// With the server, for this client.
    fn start(node: &Node, api: &Api, project: &Project<'_>, client: &str, more: &[&str]) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(node.path(&format!("log-{client}")))
            .expect("a log");
        let mut command = node.command(&[
            "scheduler",
            "start",
            "--foreground",
            "--interval",
            "1",
            "-v",
            "--client-id",
            client,
        ]);
        command.args([
            "--api-url",
            &api.url,
            "--api-token-file",
            "token",
            "--api-project",
            &project.id,
        ]);
        command
            .arg("--state-dir")
            .arg(node.path(&format!("state-{client}")))
            .args(more);
        Self {
            child: command.stderr(log).spawn().expect("it starts"),
        }
    }

    /// As the kernel ends a process.
    fn kill(mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ends");
        std::mem::forget(self);
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until something is so.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = freezer::platform::monotonic() + HANG;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(
            freezer::platform::monotonic() < end,
            "{what}: not within {HANG:?}"
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A job with these actions.
fn job(client: &str, schedule: &Value, actions: &[Value]) -> Value {
    let actions: Vec<Value> = actions
        .iter()
        .map(|action| {
            if action.get("freezer_action").is_some() {
                action.clone()
            } else {
                json!({ "freezer_action": action, "max_retries": 0 })
            }
        })
        .collect();
    json!({
        "client_id": client,
        "description": "d",
        "job_schedule": schedule,
        "job_actions": actions,
    })
}

fn exec(command: &str) -> Value {
    json!({ "action": "exec", "command": command })
}

/// Makes a job; its id.
fn make(project: &Project<'_>, job: &Value) -> String {
    text(&project.wants(201, "POST", "/jobs/", Some(job)), "job_id")
}

fn schedule_of(project: &Project<'_>, job: &str) -> Value {
    project.wants(200, "GET", &format!("/jobs/{job}"), None)["job_schedule"].clone()
}

/// Waits for the end of a job; its result.
fn result_of(project: &Project<'_>, job: &str) -> String {
    until(&format!("the end of {job}"), || {
        let schedule = schedule_of(project, job);
        (schedule["status"] == "completed").then(|| text(&schedule, "result"))
    })
}

fn fifo(path: &Path) {
    let made = Command::new("mkfifo")
        .arg(path)
        .status()
        .expect("mkfifo is there");
    assert!(made.success());
}

/// The processes of a group that still run: not those that have ended and that nobody has waited
/// for.
fn alive(group: &str) -> Vec<String> {
    let of_group = |stat: &str| {
        let fields: Vec<&str> = stat
            .rsplit_once(')')
            .map(|(_, rest)| rest.split_ascii_whitespace().collect())
            .unwrap_or_default();
        fields.first().is_some_and(|state| *state != "Z") && fields.get(2) == Some(&group)
    };
    let processes = std::fs::read_dir("/proc")
        .expect("it is there")
        .filter_map(Result::ok);
    processes
        .filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok())
        .filter(|stat| of_group(stat))
        .collect()
}

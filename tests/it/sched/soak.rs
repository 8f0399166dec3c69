//! A day of a scheduler, by a clock that leaps from one moment at which something is due to the
//! next: real runs, a real server that is away now and then, and nothing that grows.

use super::{Node, exec, job, make, schedule_of};
use crate::api::{Api, Database, Project};
use freezer::model::{Cancel, Secret};
use freezer::platform::{Clock, Meanwhile};
use freezer::sched::book::Rules;
use freezer::sched::connection::{ApiConnection, Entrance};
use freezer::sched::daemon::{self, JobSource, SchedulerSettings, Signals, WorkSpan};
use freezer::sched::order::{Agent, AgentKind};
use freezer::sched::timetable::Lateness;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What happens at a moment of the day.
type Happening = Box<dyn FnOnce() + Send>;

/// A clock that stands still while anybody is at work, and leaps when nobody is.
struct Leaping {
    state: Mutex<(Timestamp, VecDeque<(Timestamp, Happening)>)>,
}

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        self.state.lock().expect("no panic").0
    }

    fn pass(&self, span: Duration, meanwhile: Meanwhile) -> Duration {
        if meanwhile == Meanwhile::Work {
            return span.min(Duration::from_millis(3));
        }
        let happening = {
            let mut state = self.state.lock().expect("no panic");
            let then = state.0 + SignedDuration::try_from(span).expect("less than a day");
            match state.1.front() {
                Some((at, _)) if *at <= then => {
                    let (at, happening) = state.1.pop_front().expect("it was there");
                    state.0 = at.max(state.0);
                    Some(happening)
                }
                _ => {
                    state.0 = then;
                    None
                }
            }
        };
        if let Some(happening) = happening {
            happening();
        }
        Duration::ZERO
    }
}

/// What this process has taken of the machine.
#[derive(Clone, Copy, Debug)]
struct Taken {
    resident_kib: u64,
    files: usize,
    threads: usize,
}

impl Taken {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").expect("it is there");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("it is told");
        let count = |folder: &str| std::fs::read_dir(folder).expect("it is there").count();
        Self {
            resident_kib: line
                .trim()
                .trim_end_matches("kB")
                .trim()
                .parse()
                .expect("a number"),
            files: count("/proc/self/fd"),
            threads: count("/proc/self/task"),
        }
    }
}

fn day() -> Timestamp {
    "2026-11-24T00:00:00Z".parse().expect("a moment")
}

fn minutes(count: i64) -> Timestamp {
    day() + SignedDuration::from_mins(count)
}

/// The moments that a job ran for.
fn ran(node: &Node, name: &str) -> Vec<Timestamp> {
    node.read(name)
        .lines()
        .map(|line| line.parse().expect("a moment"))
        .collect()
}

#[test]
fn a_day_of_many_short_jobs_runs_each_when_it_is_due_and_takes_no_more_than_its_first_hour() {
    let database = Arc::new(Database::sqlite());
    let api = Api::on(&database, &[]);
    let node = Node::of(&api);
    node.write("docs/a.txt", "hello");
    let project_id = Project::new(&api).id;
    let (address, token) = (
        api.url.strip_prefix("http://").expect("http").to_owned(),
        api.token.clone(),
    );
    let (client, jobs) = {
        let project = Project::named(&api, &project_id);
        let client = project.client("web1");
        let timetables = [
            ("ten", json!({ "schedule_interval": "10 minutes" })),
            (
                "ten-too",
                json!({
                    "schedule_interval": "10 minutes",
                    "schedule_start_date": "2026-11-20T00:05:00Z",
                }),
            ),
            ("quarter", json!({ "schedule_interval": "15 minutes" })),
            ("twenty", json!({ "schedule_minute": "*/20" })),
            ("hour", json!({ "schedule_minute": "30" })),
            ("once", json!({})),
            ("noon", json!({ "schedule_date": "2026-11-24T12:00:00" })),
        ];
        let mut jobs: Vec<(String, String)> = timetables
            .iter()
            .map(|(name, schedule)| {
                let append = node.script(
                    &format!("run-{name}"),
                    &format!("echo $FREEZER_DUE >> {}", node.path(name).display()),
                );
                (
                    (*name).to_owned(),
                    make(&project, &job(&client, schedule, &[exec(&append)])),
                )
            })
            .collect();
        let backup = json!({
            "action": "backup",
            "storage": "local",
            "container": node.path("store"),
            "backup_name": "docs",
            "hostname": "web1",
            "path_to_backup": node.path("docs"),
        });
        jobs.push((
            "backup".to_owned(),
            make(
                &project,
                &job(
                    &client,
                    &json!({ "schedule_interval": "2 hours" }),
                    &[backup],
                ),
            ),
        ));
        (client, jobs)
    };
    let connection = |url: &str| {
        let entrance = Entrance::Token {
            url: url.to_owned(),
            project: Some(project_id.clone()),
            token: Secret::new(token.clone()),
        };
        ApiConnection::new(entrance, &freezer::net::NetSettings::default())
            .expect("it can be asked")
    };
    let source = JobSource::Server(Box::new(connection(&api.url)));

    // The server goes and comes back: for minutes, for hours, over a backup.
    let server = Arc::new(Mutex::new(Some(api)));
    let cancel = Cancel::new();
    let taken: Arc<Mutex<Vec<Taken>>> = Arc::default();
    let mut happenings: Vec<(Timestamp, Happening)> = Vec::new();
    for (from, until) in [(95, 99), (118, 245), (361, 362), (715, 730), (1000, 1203)] {
        let (gone, back, database, address) = (
            Arc::clone(&server),
            Arc::clone(&server),
            Arc::clone(&database),
            address.clone(),
        );
        happenings.push((
            minutes(from),
            Box::new(move || drop(gone.lock().expect("no panic").take())),
        ));
        let come_back = move || {
            *back.lock().expect("no panic") = Some(Api::on(&database, &["--listen", &address]))
        };
        happenings.push((minutes(until), Box::new(come_back)));
    }
    for hour in 1..=24 {
        let taken = Arc::clone(&taken);
        // Between two moments at which anything is due, and while the server is there.
        happenings.push((
            minutes(60 * hour - 1),
            Box::new(move || taken.lock().expect("no panic").push(Taken::now())),
        ));
    }
    let end = cancel.clone();
    happenings.push((
        minutes(24 * 60) + SignedDuration::from_secs(30),
        Box::new(move || end.request()),
    ));
    happenings.sort_by_key(|(at, _)| *at);
    let clock = Arc::new(Leaping {
        state: Mutex::new((day(), happenings.into())),
    });

    let program = PathBuf::from(env!("CARGO_BIN_EXE_freezer"));
    let settings = SchedulerSettings {
        folder: node.path("state"),
        client_id: Some(client),
        host: "web1".to_owned(),
        interval: Duration::from_mins(5),
        places: 8,
        rules: Rules {
            zone: TimeZone::UTC,
            lateness: Lateness {
                grace: Duration::from_hours(1),
                make_up: false,
            },
            dead_after: Duration::from_hours(24),
            cluster: false,
            changes_start: false,
        },
        agent: Agent {
            program: program.clone(),
            kind: AgentKind::Freezer,
        },
        program,
        defaults: Vec::new(),
        commands: true,
        time_limit: None,
        cluster: false,
    };
    let signals = Signals {
        cancel,
        reload: Arc::new(AtomicBool::new(false)),
    };
    daemon::run(settings, source, clock, WorkSpan::Always, &signals, || ())
        .expect("nothing ends it but the end of the day");

    let every = |length: i64, first: i64| {
        (0..)
            .map(|number| minutes(first + number * length))
            .take_while(|at| *at <= minutes(24 * 60))
            .collect::<Vec<_>>()
    };
    assert_eq!(ran(&node, "ten"), every(10, 10));
    assert_eq!(ran(&node, "ten-too"), every(10, 5));
    assert_eq!(ran(&node, "quarter"), every(15, 15));
    assert_eq!(ran(&node, "twenty"), every(20, 20));
    assert_eq!(ran(&node, "hour"), every(60, 30));
    assert_eq!(ran(&node, "once"), [day()]);
    assert_eq!(ran(&node, "noon"), [minutes(12 * 60)]);

    let taken = taken.lock().expect("no panic").clone();
    assert_eq!(taken.len(), 24);
    let base = taken[0];
    for (hour, now) in taken.iter().enumerate().skip(1) {
        assert!(
            now.resident_kib <= base.resident_kib + 12 * 1024,
            "hour {}: {now:?}, and {base:?} after the first",
            hour + 1
        );
        assert!(
            now.files <= base.files + 3 && now.threads <= base.threads + 1,
            "hour {}: {now:?}, and {base:?} after the first",
            hour + 1
        );
    }
    eprintln!("after the first hour {base:?}, at the end {:?}", taken[23]);

    // All of it was told to the server, each backup once.
    let api = server.lock().expect("no panic").take().expect("it is back");
    let project = Project::named(&api, &project_id);
    let records = project.wants(200, "GET", "/backups/?limit=1000", None);
    let levels: Vec<Value> = records["backups"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|record| record["backup_metadata"]["level"].clone())
        .collect();
    let mut sorted: Vec<i64> = levels.iter().filter_map(Value::as_i64).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..12).collect::<Vec<i64>>());
    for (name, id) in &jobs {
        let schedule = schedule_of(&project, id);
        let ended = if ["once", "noon"].contains(&name.as_str()) {
            "completed"
        } else {
            "scheduled"
        };
        assert_eq!(
            (&schedule["status"], &schedule["result"]),
            (&json!(ended), &json!("success")),
            "{name}: {schedule}"
        );
    }
    for folder in ["runs", "outbox"] {
        assert_eq!(
            std::fs::read_dir(node.path("state").join(folder))
                .expect("a folder")
                .count(),
            0,
            "{folder} is not empty"
        );
    }
}

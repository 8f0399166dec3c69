//! A database that is away, loses connections, or is killed with the servers before it: what was
//! answered with success is there afterwards, nothing is given out twice, and after a few refused
//! requests all goes on.

use super::{Answer, Api, Database, Project, text};
use crate::support::dice::Dice;
use crate::support::relay::Relay;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What takes longer than this is a hang.
const HANG: Duration = Duration::from_secs(45);
/// How many connections to its database a server has here. That many are lost with the database,
/// and each of them may cost one request more.
const CONNECTIONS: usize = 4;
/// How long a server and its database need at most to be up again, on a machine that does other
/// things too.
const PEACE: Duration = Duration::from_secs(120);

/// The arguments that say so.
const FEW_CONNECTIONS: [&str; 2] = ["--database-connections", "4"];
/// How many ask at once for the connections that are lost in silence: more than there are.
const ASKING: u64 = 8;

fn postgresql() -> Arc<Database> {
    Arc::new(Database::of_server("postgres.sh", "POSTGRES_PORT"))
}

impl Database {
    /// Kills the database with all of its processes.
    fn slay(&self) {
        let output = self.server_script("slay");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// Starts it again; returns when it answers.
    fn rise(&self) {
        let mut told = String::new();
        for _ in 0..3 {
            let output = self.server_script("up");
            if output.status.success() {
                return;
            }
            // One of its processes was there for a moment more.
            told = String::from_utf8_lossy(&output.stderr).into_owned();
        }
        panic!("{told}");
    }
}

/// Asks a server; the answer, or none from one that is not there or ends before it has said all.
fn ask(
    address: &str,
    token: &str,
    method: &str,
    path: &str,
    more: &str,
    body: Option<&Value>,
) -> io::Result<Option<Answer>> {
    let Ok(mut stream) = TcpStream::connect(address) else {
        return Ok(None);
    };
    stream.set_read_timeout(Some(HANG))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nX-Auth-Token: {token}\r\n{more}"
    );
    if stream
        .write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes())
        .is_err()
    {
        return Ok(None);
    }
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
            return Err(error);
        }
        Err(_) => return Ok(None),
        Ok(_) => {}
    }
    let answer = String::from_utf8(answer)
        .ok()
        .and_then(|answer| Answer::read(&answer));
    Ok(answer.filter(|answer| answer.header("content-length").parse() == Ok(answer.text.len())))
}

/// What is wrong with an answer in any case.
fn fault(answer: &Answer) -> Option<String> {
    let is_sound = match answer.status {
        503 => answer.header("retry-after").parse::<u32>().is_ok(),
        status => status < 500,
    };
    (!is_sound).then(|| format!("{answer:?}"))
}

#[test]
#[ignore = "needs PostgreSQL: tests/env/postgres.sh installs and starts it"]
fn while_the_database_is_away_servers_say_so_and_they_are_back_when_it_is() {
    let database = postgresql();
    let api = Api::on(&database, &FEW_CONNECTIONS);
    let address = api.url.strip_prefix("http://").expect("http");
    let get = |path: &str| {
        ask(address, &api.token, "GET", path, "", None)
            .expect("no hang")
            .expect("it is there")
    };
    assert_eq!(get("/v2/default/jobs").status, 200);
    database.slay();
    let client = json!({ "client_id": "web1" });
    let answer = ask(
        address,
        &api.token,
        "POST",
        "/v2/default/clients",
        "",
        Some(&client),
    )
    .expect("no hang")
    .expect("it is there");
    assert_eq!(
        (answer.status, answer.header("retry-after")),
        (503, "2"),
        "{answer:?}"
    );
    assert!(
        text(&answer.json(), "description").contains("database"),
        "{answer:?}"
    );
    assert_eq!(get("/healthcheck").status, 503);
    // One that starts meanwhile waits for it.
    let waiting = std::thread::spawn({
        let (database, token) = (Arc::clone(&database), api.token.clone());
        move || Api::begun(&database, &[], &token).expect("it listens in the end")
    });
    database.rise();
    let refused = (0..=CONNECTIONS)
        .take_while(|_| get("/v2/default/jobs").status != 200)
        .count();
    assert!(
        refused <= CONNECTIONS,
        "the database is there, and the server does not see it"
    );
    assert_eq!(get("/healthcheck").status, 200);
    let other = waiting.join().expect("no panic");
    other.wants(201, "POST", "/v2/default/clients", Some(&client));
    api.wants(200, "GET", "/v2/default/clients/web1", None);
}

#[test]
#[ignore = "needs PostgreSQL: tests/env/postgres.sh installs and starts it"]
fn connections_that_are_lost_in_silence_cost_no_place() {
    let database = postgresql();
    let direct = std::fs::read_to_string(database.address_file()).expect("an address");
    let (before, name) = direct
        .trim()
        .rsplit_once('/')
        .expect("the name of a database");
    let (user, server) = before.rsplit_once('@').expect("where it is");
    let token = database.token(&["--scope", "admin"]);
    let relay = Relay::new(server);
    std::fs::write(
        database.address_file(),
        format!("{user}@127.0.0.1:{}/{name}", relay.port),
    )
    .expect("written");
    let api = Api::begun(&database, &FEW_CONNECTIONS, &token).expect("it listens");
    let address = api.url.strip_prefix("http://").expect("http");
    let (done, refused, is_over, faults) = (
        AtomicU64::new(0),
        AtomicU64::new(0),
        AtomicBool::new(false),
        Mutex::new(Vec::new()),
    );
    std::thread::scope(|scope| {
        for number in 0..ASKING {
            let (done, refused, is_over, faults, token) =
                (&done, &refused, &is_over, &faults, &token);
            scope.spawn(move || {
                let client = json!({ "client_id": format!("web{number}") });
                while !is_over.load(Ordering::Relaxed) {
                    let (method, body) = if number % 2 == 0 {
                        ("GET", None)
                    } else {
                        ("POST", Some(&client))
                    };
                    match ask(address, token, method, "/v2/default/clients", "", body) {
                        Ok(Some(answer)) if answer.status < 300 => {
                            done.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(Some(answer)) => {
                            refused.fetch_add(1, Ordering::Relaxed);
                            faults.lock().expect("no panic").extend(fault(&answer));
                        }
                        other => faults.lock().expect("no panic").push(format!("{other:?}")),
                    }
                }
            });
        }
        let whistle = Whistle(&is_over);
        let goes_on = || {
            let (before, begin) = (done.load(Ordering::Relaxed), freezer::platform::monotonic());
            while done.load(Ordering::Relaxed) < before + 100 {
                assert!(begin.elapsed() < PEACE, "it does not go on");
                std::thread::park_timeout(Duration::from_millis(20));
            }
        };
        goes_on();
        for round in 1..=2 {
            relay.lose();
            goes_on();
            // A request that was under way is given up, and so may be one that waited for it. What
            // comes after them has a new connection.
            let refused = refused.load(Ordering::Relaxed);
            println!("{refused} requests were refused after {round} losses");
            assert!(refused <= 2 * ASKING * round, "{refused} were refused");
        }
        drop(whistle);
    });
    assert_eq!(*faults.lock().expect("no panic"), [""; 0]);
}

#[test]
#[ignore = "needs PostgreSQL: tests/env/postgres.sh installs and starts it"]
fn what_was_answered_is_there_when_servers_and_database_are_killed_at_random() {
    println!("{}", killed_at_random(Duration::from_secs(25)));
}

#[test]
#[ignore = "needs PostgreSQL: tests/env/postgres.sh installs and starts it"]
fn nightly_what_was_answered_is_there_after_ten_minutes_of_kills() {
    println!("{}", killed_at_random(Duration::from_secs(600)));
}

/// A server that can be killed and comes back at its address.
struct Server {
    database: Arc<Database>,
    address: String,
    child: Child,
}

impl Server {
    fn spawn(database: &Arc<Database>, address: &str) -> Child {
        // Its words about what it cannot do are thousands here.
        let mut command = database.command();
        command
            .args(["--listen", address])
            .args(FEW_CONNECTIONS)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts")
    }

    fn kill(&mut self) {
        self.child.kill().ok();
        self.child.wait().expect("it ends");
    }

    fn start(&mut self) {
        self.child = Self::spawn(&self.database, &self.address);
    }

    /// Starts it, if it has given up by itself.
    fn revive(&mut self) -> u64 {
        let has_ended = self.child.try_wait().expect("it can be asked").is_some();
        if has_ended {
            self.start();
        }
        u64::from(has_ended)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// What the nodes know in common.
struct Field {
    addresses: Vec<String>,
    token: String,
    project: String,
    is_over: AtomicBool,
    faults: Mutex<Vec<String>>,
}

/// Ends the nodes' work, also when a test has failed that they are part of.
struct Whistle<'f>(&'f AtomicBool);

impl Drop for Whistle<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What a node was told.
#[derive(Default)]
struct Told {
    answers: u64,
    away: u64,
    lost: u64,
    jobs: Vec<String>,
    stopped: Vec<String>,
    /// Jobs that it was given, with its mark; and those whose end it has told.
    claims: Vec<(String, i64)>,
    ends: Vec<(String, i64)>,
    backups: Vec<String>,
    /// The highest tag of each session that a start was let in with.
    tags: BTreeMap<String, i64>,
}

/// A node: it makes jobs, polls, claims and ends them, takes part in sessions and records backups.
struct Simulated<'f> {
    field: &'f Field,
    dice: Dice,
    number: i64,
    marks: i64,
    client: String,
    /// Its job in each session, and the tag it knows.
    sessions: Vec<(String, String, i64)>,
    told: Told,
}

impl Simulated<'_> {
    /// Asks any server. None when there was no answer, or that the database is away: then nobody
    /// knows what was done.
    fn ask(
        &mut self,
        method: &str,
        below: &str,
        more: &str,
        body: Option<&Value>,
    ) -> Option<Answer> {
        let address = self.dice.one(&self.field.addresses).clone();
        let path = format!("/v2/{}{below}", self.field.project);
        let complain = |what: String| {
            self.field
                .faults
                .lock()
                .expect("no panic")
                .push(format!("{method} {below}: {what}"))
        };
        match ask(&address, &self.field.token, method, &path, more, body) {
            Ok(Some(answer)) => {
                if let Some(fault) = fault(&answer) {
                    complain(fault);
                }
                self.told.answers += 1;
                if answer.status < 500 {
                    return Some(answer);
                }
                self.told.away += 1;
            }
            Ok(None) => self.told.lost += 1,
            Err(error) => complain(error.to_string()),
        }
        std::thread::park_timeout(Duration::from_millis(50 + self.dice.below(200)));
        None
    }

    /// Asks until there is an answer, as who has something to tell does, and how often it was asked
    /// in vain.
    fn insist(&mut self, method: &str, below: &str, body: &Value) -> (Option<Answer>, u32) {
        let begin = freezer::platform::monotonic();
        let mut in_vain = 0;
        while begin.elapsed() < PEACE {
            match self.ask(method, below, "", Some(body)) {
                None => in_vain += 1,
                answer => return (answer, in_vain),
            }
        }
        self.field
            .faults
            .lock()
            .expect("no panic")
            .push(format!("{method} {below}: no answer in {PEACE:?}"));
        (None, in_vain)
    }

    fn refused(&self, what: &str, answer: &Answer) {
        self.field
            .faults
            .lock()
            .expect("no panic")
            .push(format!("{what}: {answer:?}"));
    }

    fn work(mut self) -> Told {
        while !self.field.is_over.load(Ordering::Relaxed) {
            match self.dice.below(8) {
                0 | 1 => self.make(),
                2..=4 => self.poll(),
                5 => self.stop(),
                6 => self.take_part(),
                _ => self.record(),
            }
            std::thread::park_timeout(Duration::from_millis(self.dice.below(20)));
        }
        // In the end each has been in each session: a job that never was is one that is waited for.
        let begin = freezer::platform::monotonic();
        while self.told.tags.len() < self.sessions.len() && begin.elapsed() < PEACE {
            self.take_part();
            std::thread::park_timeout(Duration::from_millis(self.dice.below(100)));
        }
        self.told
    }

    fn make(&mut self) {
        let job = json!({
            "client_id": self.client,
            "description": "d",
            "job_schedule": {},
            "job_actions": [],
        });
        match self.ask("POST", "/jobs/", "", Some(&job)) {
            Some(answer) if answer.status == 201 => {
                self.told.jobs.push(text(&answer.json(), "job_id"))
            }
            Some(answer) => self.refused("a job is not made", &answer),
            None => {}
        }
    }

    /// Has a job stopped that it has made. Nobody takes that word back.
    fn stop(&mut self) {
        if self.told.jobs.is_empty() {
            return;
        }
        let job = self.dice.one(&self.told.jobs).clone();
        match self.ask(
            "POST",
            &format!("/jobs/{job}/event"),
            "",
            Some(&json!({ "stop": null })),
        ) {
            Some(answer) if answer.status == 202 => self.told.stopped.push(job),
            Some(answer) => self.refused("a job that was made is not stopped", &answer),
            None => {}
        }
    }

    fn poll(&mut self) {
        let search = json!({ "match": [{ "client_id": self.client }, { "status": "" }] });
        let Some(answer) = self
            .ask("GET", "/jobs/?limit=20", "", Some(&search))
            .filter(|answer| answer.status == 200)
        else {
            return;
        };
        let jobs = answer.json()["jobs"]
            .as_array()
            .cloned()
            .unwrap_or_default();
        if jobs.is_empty() {
            return;
        }
        let job = text(self.dice.one(&jobs), "job_id");
        let below = format!("/jobs/{job}");
        let Some(fresh) = self.ask("GET", &below, "", None) else {
            return;
        };
        if fresh.status != 200 {
            return self.refused("a job that was listed is not there", &fresh);
        }
        if fresh.json()["job_schedule"]["status"] != "" {
            return;
        }
        self.marks += 1;
        let mark = self.number * 1_000_000 + self.marks;
        let if_match = format!("If-Match: {}\r\n", fresh.header("etag"));
        let claim = json!({ "job_schedule": { "status": "running", "current_pid": mark } });
        match self.ask("PATCH", &below, &if_match, Some(&claim)) {
            Some(answer) if answer.status == 200 => {}
            Some(answer) if answer.status == 412 => return,
            Some(answer) => return self.refused("a claim is neither given nor refused", &answer),
            None => {
                // Whether it was given stands in the job.
                let given = self.ask("GET", &below, "", None);
                if given.is_none_or(|job| {
                    job.status != 200 || job.json()["job_schedule"]["current_pid"] != mark
                }) {
                    return;
                }
            }
        }
        self.told.claims.push((job.clone(), mark));
        let end = json!({
            "job_schedule": { "status": "completed", "result": "success", "current_pid": mark },
        });
        match self.insist("PATCH", &below, &end).0 {
            Some(answer) if answer.status == 200 => self.told.ends.push((job, mark)),
            Some(answer) => self.refused("the end of a job is refused", &answer),
            None => {}
        }
    }

    /// Starts its part of a session, and ends it in any case: a start that was not answered may
    /// have been one.
    fn take_part(&mut self) {
        let index = usize::try_from(self.dice.below(2)).expect("small");
        let (session, job, tag) = self.sessions[index].clone();
        let below = format!("/sessions/{session}/action");
        let start = json!({ "start": { "job_id": job, "current_tag": tag } });
        let answer = self.ask("POST", &below, "", Some(&start));
        let told = answer
            .as_ref()
            .filter(|answer| answer.status == 202)
            .map(Answer::json);
        let known = match (&answer, &told) {
            (_, Some(told)) => {
                let heard = told["session_tag"].as_i64().expect("a tag");
                self.sessions[index].2 = heard;
                if told["result"] != "success" {
                    return;
                }
                let highest = self.told.tags.entry(session.clone()).or_default();
                *highest = heard.max(*highest);
                json!(heard)
            }
            (Some(answer), None) => return self.refused("a start is refused", answer),
            (None, _) => Value::Null,
        };
        std::thread::park_timeout(Duration::from_millis(self.dice.below(100)));
        let result = self.dice.one(&["success", "success", "fail"]);
        let end = json!({ "end": { "job_id": job, "current_tag": known, "result": result } });
        match self.insist("POST", &below, &end).0 {
            Some(answer) if answer.status != 202 => self.refused("an end is refused", &answer),
            _ => {}
        }
    }

    fn record(&mut self) {
        self.marks += 1;
        let id = format!("b{}-{}", self.number, self.marks);
        let backup = json!({ "container": "c", "hostname": self.client, "backup_name": "b" });
        match self.insist("POST", &format!("/backups/{id}"), &backup) {
            (Some(answer), in_vain)
                if answer.status == 201 || (answer.status == 409 && in_vain > 0) =>
            {
                self.told.backups.push(id)
            }
            (Some(answer), _) => self.refused("a backup is not recorded", &answer),
            (None, _) => {}
        }
    }
}

/// What there was of it.
fn killed_at_random(length: Duration) -> String {
    const NODES: usize = 12;
    let seed = Dice::any_seed();
    let mut dice = Dice::of(seed);
    let database = postgresql();
    let (project, sessions, jobs, token, addresses) = {
        let apis = [(); 3].map(|()| Api::on(&database, &[]));
        let project = Project::new(&apis[0]);
        for client in 0..NODES / 2 {
            project.client(&format!("web{client}"));
        }
        let client = project.client("sessions");
        let session = || {
            let body = json!({ "description": "s", "hold_off": 1, "schedule": {} });
            text(
                &project.wants(201, "POST", "/sessions/", Some(&body)),
                "session_id",
            )
        };
        let sessions = [session(), session()];
        let jobs: Vec<[String; 2]> = (0..NODES)
            .map(|_| {
                sessions.each_ref().map(|session| {
                    let job = project.job(&client, &json!({ "event": "stop" }));
                    project.wants(204, "PUT", &format!("/sessions/{session}/jobs/{job}"), None);
                    job
                })
            })
            .collect();
        let addresses = apis
            .each_ref()
            .map(|api| api.url.strip_prefix("http://").expect("http").to_owned());
        (
            project.id.clone(),
            sessions,
            jobs,
            apis[0].token.clone(),
            Vec::from(addresses),
        )
    };
    let server = |address: &String| Server {
        database: Arc::clone(&database),
        address: address.clone(),
        child: Server::spawn(&database, address),
    };
    let mut servers: Vec<Server> = addresses.iter().map(server).collect();
    let field = Field {
        addresses,
        token,
        project,
        is_over: AtomicBool::new(false),
        faults: Mutex::default(),
    };
    let get = |address: &str, below: &str| -> Option<Answer> {
        let path = format!("/v2/{}{below}", field.project);
        ask(address, &field.token, "GET", &path, "", None)
            .ok()
            .flatten()
    };
    let list = |address: &str, below: &str| -> Option<Value> {
        get(address, below)
            .filter(|answer| answer.status == 200)
            .map(|answer| answer.json())
    };
    let (mut of_servers, mut of_database, mut gave_up, mut most_refused) = (0, 0, 0, 0);
    let told: Vec<Told> = std::thread::scope(|scope| {
        let nodes: Vec<_> = (0..NODES)
            .map(|number| {
                let node = Simulated {
                    field: &field,
                    dice: Dice::of(
                        seed.wrapping_mul(2 * u64::try_from(number).expect("small") + 3) | 1,
                    ),
                    number: i64::try_from(number).expect("small"),
                    marks: 0,
                    client: format!("{}_web{}", field.project, number / 2),
                    sessions: sessions
                        .iter()
                        .zip(&jobs[number])
                        .map(|(session, job)| (session.clone(), job.clone(), 0))
                        .collect(),
                    told: Told::default(),
                };
                scope.spawn(move || node.work())
            })
            .collect();
        let whistle = Whistle(&field.is_over);
        // When the database answers, all servers do, after a few requests that they refuse.
        let mut come_back = |servers: &mut [Server]| {
            let begin = freezer::platform::monotonic();
            for server in servers {
                gave_up += server.revive();
                let mut refused = 0;
                loop {
                    match get(&server.address, "/jobs?limit=1") {
                        Some(answer) if answer.status == 200 => break,
                        Some(_) => refused += 1,
                        // It is not up yet.
                        None => {}
                    }
                    if begin.elapsed() > PEACE {
                        let what = format!(
                            "{} does not answer {PEACE:?} after its database",
                            server.address
                        );
                        return field.faults.lock().expect("no panic").push(what);
                    }
                    gave_up += server.revive();
                    std::thread::park_timeout(Duration::from_millis(20));
                }
                most_refused = most_refused.max(refused);
            }
        };
        let begin = freezer::platform::monotonic();
        while begin.elapsed() < length {
            std::thread::park_timeout(Duration::from_millis(200 + dice.below(1500)));
            let victim = usize::try_from(dice.below(3)).expect("small");
            if dice.below(3) == 0 {
                of_database += 1;
                database.slay();
                if dice.below(2) == 0 {
                    of_servers += 1;
                    servers[victim].kill();
                    servers[victim].start();
                }
                std::thread::park_timeout(Duration::from_millis(dice.below(1500)));
                database.rise();
                come_back(&mut servers);
            } else {
                of_servers += 1;
                servers[victim].kill();
                std::thread::park_timeout(Duration::from_millis(dice.below(400)));
                servers[victim].start();
            }
        }
        come_back(&mut servers);
        drop(whistle);
        nodes
            .into_iter()
            .map(|node| node.join().expect("no panic"))
            .collect()
    });

    let faults = field.faults.lock().expect("no panic").clone();
    assert_eq!(faults, [""; 0], "seed {seed}: {} faults", faults.len());
    assert!(
        most_refused <= CONNECTIONS,
        "seed {seed}: a server refused {most_refused} requests when its database was back"
    );
    let address = &servers[0].address;
    let mut documents = BTreeMap::new();
    let mut offset = 0;
    loop {
        let page = list(address, &format!("/jobs?limit=5000&offset={offset}")).expect("a page");
        let page = page["jobs"].as_array().expect("a list");
        documents.extend(
            page.iter()
                .map(|job| (text(job, "job_id"), job["job_schedule"].clone())),
        );
        offset += page.len();
        if page.len() < 5000 {
            break;
        }
    }
    let all = |of: fn(&Told) -> &Vec<String>| told.iter().flat_map(of).collect::<Vec<_>>();
    for job in all(|told| &told.jobs) {
        assert!(
            documents.contains_key(job),
            "seed {seed}: job {job} is lost"
        );
    }
    for job in all(|told| &told.stopped) {
        assert_eq!(
            documents[job]["event"], "stop",
            "seed {seed}: the stop of {job} is lost"
        );
    }
    let claims: Vec<&(String, i64)> = told.iter().flat_map(|told| &told.claims).collect();
    let claimed: BTreeSet<&String> = claims.iter().map(|(job, _)| job).collect();
    assert_eq!(
        claimed.len(),
        claims.len(),
        "seed {seed}: a job was given out twice"
    );
    for (job, mark) in claims {
        assert_eq!(
            documents[job]["current_pid"], *mark,
            "seed {seed}: the claim of {job} is lost"
        );
    }
    for (job, _) in told.iter().flat_map(|told| &told.ends) {
        assert_eq!(
            (&documents[job]["status"], &documents[job]["result"]),
            (&json!("completed"), &json!("success")),
            "seed {seed}: {job}"
        );
    }
    for backup in all(|told| &told.backups) {
        assert!(
            list(address, &format!("/backups/{backup}")).is_some(),
            "seed {seed}: the record {backup} is lost"
        );
    }
    for session in &sessions {
        let stored = list(address, &format!("/sessions/{session}")).expect("it is there");
        let highest = told
            .iter()
            .filter_map(|told| told.tags.get(session))
            .max()
            .copied()
            .unwrap_or(0);
        assert!(
            stored["session_tag"].as_i64() >= Some(highest),
            "seed {seed}: start {highest} is lost: {stored}"
        );
        assert_eq!(stored["status"], "completed", "seed {seed}: {stored}");
        let runs: Vec<&Value> = stored["jobs"]
            .as_object()
            .expect("jobs")
            .values()
            .filter(|job| job["status"] == "running")
            .collect();
        assert_eq!(
            runs,
            [&Value::Null; 0],
            "seed {seed}: a node's part in a session has no end"
        );
        assert!(highest > 0, "seed {seed}: nobody was let in");
    }
    let sum = |of: fn(&Told) -> u64| told.iter().map(of).sum::<u64>();
    let count = |of: fn(&Told) -> usize| told.iter().map(of).sum::<usize>();
    assert!(
        count(|told| told.ends.len()) > 0 && count(|told| told.backups.len()) > 0,
        "seed {seed}: nothing was done"
    );
    format!(
        "seed {seed}: {of_servers} kills of servers, {of_database} of the database; \
         {gave_up} servers gave up waiting; {most_refused} refused by one that was back; \
         {} answers, {} of a database that was away, {} without any; {} jobs, {} stops, {} claims, {} ends, {} backups",
        sum(|told| told.answers),
        sum(|told| told.away),
        sum(|told| told.lost),
        count(|told| told.jobs.len()),
        count(|told| told.stopped.len()),
        count(|told| told.claims.len()),
        count(|told| told.ends.len()),
        count(|told| told.backups.len()),
    )
}

//! The scheduler: polls, starts runs, and tells how they went.

use super::book::{Book, Rules, Seen, Task, Tasks};
use super::connection::{ApiConnection, ApiError};
use super::fields::{Document, actions, text};
use super::folder;
use super::journal::{Journal, JournalError, Memory, replace_file};
use super::order::{Agent, AgentKind, MARK, Order, Outcome, RunFolder, RunResult};
use super::talk::{Claim, Joined, Node, Talk};
use crate::model::Cancel;
use crate::platform::durable::{self, Access};
use crate::platform::process::{self, Detached, End, Program};
use crate::platform::{Clock, Running};
use crossbeam_channel::{Receiver, Sender, unbounded};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the scheduler sleeps at most.
const TICK: Duration = Duration::from_millis(500);
/// The longest time between two polls while the server is away.
const LONGEST_PAUSE: Duration = Duration::from_mins(10);
/// After how long a run that does not end when it is told to is killed.
const PATIENCE_WITH_RUNS: Duration = Duration::from_mins(1);

/// Where jobs come from.
#[derive(Debug)]
pub enum Source {
    /// A server.
    Server(Box<ApiConnection>),
    /// A folder of job files, or one such file.
    Folder(PathBuf),
}

/// How the scheduler works.
#[derive(Debug)]
pub struct Settings {
    /// Where it keeps what it has to remember.
    pub folder: PathBuf,
    /// What this node is called, if not by its project and name.
    pub client_id: Option<String>,
    /// The name of this node in the network.
    pub host: String,
    /// Time between two polls.
    pub interval: Duration,
    /// How many jobs run at once.
    pub places: usize,
    /// What holds for all jobs.
    pub rules: Rules,
    /// Who does the actions.
    pub agent: Agent,
    /// This program, to start runs with.
    pub program: PathBuf,
    /// Configuration files whose settings agents are to have too.
    pub defaults: Vec<PathBuf>,
    /// Whether commands and scripts of the server may be run.
    pub commands: bool,
    /// After how many seconds an action is ended.
    pub time_limit: Option<u64>,
    /// Whether other schedulers have the same client: then nothing is run that the server could not be asked about.
    pub cluster: bool,
}

/// Why a scheduler cannot work.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// Its folder.
    #[error("could not use the folder {path}")]
    Folder {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// There is another one.
    #[error("a scheduler with the folder {0} runs already")]
    Another(PathBuf),
    /// Its journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The server, where it was to be asked once.
    #[error(transparent)]
    Server(#[from] ApiError),
}

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// Until told to end.
    Always,
    /// Until what is due now has been run.
    Once,
}

/// What the outside tells it.
#[derive(Clone, Debug)]
pub struct Signals {
    /// To end. Runs go on.
    pub cancel: Cancel,
    /// To look at once for what has changed.
    pub reload: std::sync::Arc<AtomicBool>,
}

/// Works until it is told to end. `ready` is called when nothing can keep it from that any more.
///
/// # Errors
///
/// [`DaemonError`]: before it begins, when its own files fail, or, with [`Span::Once`], when the server does.
pub fn run(
    settings: Settings,
    source: Source,
    clock: &dyn Clock,
    span: Span,
    signals: &Signals,
    ready: impl FnOnce(),
) -> Result<(), DaemonError> {
    let lock = begin(&settings.folder)?;
    let mut daemon = Daemon::open(settings, source, clock)?;
    ready();
    let result = daemon.work(span, signals);
    drop(lock);
    result
}

/// The process that works with this folder, if one does.
pub fn running(folder: &std::path::Path) -> Result<Option<Running>, DaemonError> {
    let wrong = |source| DaemonError::Folder { path: folder.to_owned(), source };
    match File::open(folder.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(error)),
        Ok(lock) => match lock.try_lock() {
            Ok(()) => return Ok(None),
            Err(std::fs::TryLockError::WouldBlock) => {}
            Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
        },
    }
    RunFolder::at(folder.to_owned()).read("process.json").map_err(wrong)
}

/// Makes the folders, and locks them.
fn begin(folder: &std::path::Path) -> Result<File, DaemonError> {
    let wrong = |source| DaemonError::Folder { path: folder.to_owned(), source };
    let parent = folder.parent().unwrap_or(folder);
    std::fs::create_dir_all(parent).map_err(wrong)?;
    for path in [folder.to_owned(), folder.join("runs"), folder.join("outbox"), folder.join("last")] {
        match durable::create_folder(&path, Access::private()) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(wrong(error)),
            _ => {}
        }
    }
    let path = folder.join("lock");
    let lock = match durable::create_file(&path, Access::private()) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => File::open(&path),
        lock => lock,
    };
    let lock = lock.map_err(wrong)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => return Err(DaemonError::Another(folder.to_owned())),
        Err(std::fs::TryLockError::Error(error)) => return Err(wrong(error)),
    }
    RunFolder::at(folder.to_owned()).write("process.json", &Running::this_process()).map_err(wrong)?;
    Ok(lock)
}

/// A job, and its run.
type EndedRun = (String, String);

/// A run that is to end.
#[derive(Clone, Copy)]
struct Ending {
    since: Instant,
    /// Once: a second word would cut it off.
    told: bool,
}

enum Origin {
    Server(Box<Talk>),
    Folder(PathBuf),
}

struct Daemon<'clock> {
    settings: Settings,
    origin: Origin,
    clock: &'clock dyn Clock,
    book: Book,
    journal: Journal,
    client_id: Option<String>,
    registered: bool,
    /// The documents as they are on disk.
    cached: Vec<u8>,
    /// Where those who wait for runs say that they have ended.
    ending_runs: Sender<EndedRun>,
    /// Where it is heard.
    ended_runs: Receiver<EndedRun>,
    /// Jobs whose runs are to end.
    ending: BTreeMap<String, Ending>,
    /// Polls that failed, one after the other.
    failures: u32,
}

impl<'clock> Daemon<'clock> {
    fn open(settings: Settings, source: Source, clock: &'clock dyn Clock) -> Result<Self, DaemonError> {
        let (journal, memory) = Journal::open(settings.folder.join("journal.json"))?;
        let cached = std::fs::read(settings.folder.join("jobs.json")).unwrap_or_default();
        // What cannot be read is asked for again.
        let documents: Vec<Document> = serde_json::from_slice(&cached).unwrap_or_default();
        let origin = match source {
            Source::Server(connection) => Origin::Server(Box::new(Talk::new(*connection, settings.folder.join("outbox")))),
            Source::Folder(path) => Origin::Folder(path),
        };
        let client_id = settings.client_id.clone().or(memory.client_id);
        let book = Book::new(settings.rules.clone(), memory.jobs, documents);
        let (ending_runs, ended_runs) = unbounded();
        let mut daemon = Self {
            settings,
            origin,
            clock,
            book,
            journal,
            client_id,
            registered: false,
            cached,
            ending_runs,
            ended_runs,
            ending: BTreeMap::new(),
            failures: 0,
        };
        daemon.adopt();
        Ok(daemon)
    }

    /// Waits for the runs that an earlier scheduler began.
    fn adopt(&mut self) {
        for id in self.book.ids() {
            let Some(run) = self.book.record(&id).and_then(|record| record.run.clone()) else { continue };
            let folder = self.run_folder(&run);
            tracing::info!(job = %id, run = %run, "a run of an earlier scheduler");
            let lock = File::open(folder.file("lock"));
            self.watch(id, run, move || lock.map_or(Ok(()), |lock| lock.lock()));
        }
    }

    /// Has it told when `wait` returns.
    fn watch(&self, id: String, run: String, wait: impl FnOnce() -> io::Result<()> + Send + 'static) {
        let sender = self.ending_runs.clone();
        std::thread::spawn(move || {
            if let Err(error) = wait() {
                tracing::error!(%error, run = %run, "the end of a run cannot be waited for");
            }
            // Nobody listens when the scheduler has ended: the next one finds the run.
            sender.send((id, run)).ok();
        });
    }

    fn work(&mut self, span: Span, signals: &Signals) -> Result<(), DaemonError> {
        let mut next_poll = Instant::now();
        while !signals.cancel.is_requested() {
            if signals.reload.swap(false, Ordering::Relaxed) {
                tracing::info!("told to look for what has changed");
                (next_poll, self.registered) = (Instant::now(), false);
            }
            if Instant::now() >= next_poll {
                match self.poll() {
                    Ok(()) => self.failures = 0,
                    Err(error) if span == Span::Once => return Err(error),
                    Err(DaemonError::Journal(error)) => return Err(error.into()),
                    Err(error) => {
                        self.failures = self.failures.saturating_add(1);
                        tracing::warn!(error = &error as &dyn std::error::Error, "jobs cannot be looked at: those that are known go on");
                    }
                }
                next_poll = Instant::now() + self.pause_before_next_poll();
            }
            while let Ok((id, run)) = self.ended_runs.try_recv() {
                self.collect(&id, &run)?;
            }
            let launched = self.launch_what_is_due()?;
            self.see_to_endings();
            self.remember()?;
            if span == Span::Once && launched == 0 && self.book.running() == 0 {
                return self.poll();
            }
            let left = next_poll.saturating_duration_since(Instant::now()).min(TICK);
            if let Ok((id, run)) = self.ended_runs.recv_timeout(left) {
                self.collect(&id, &run)?;
            }
        }
        self.remember()
    }

    /// The interval, a little more or less so that not all nodes ask at once; longer each time that the server is away.
    fn pause_before_next_poll(&self) -> Duration {
        let interval = self.settings.interval;
        let longest = LONGEST_PAUSE.max(interval);
        let base = interval.saturating_mul(1 << self.failures.min(10)).min(longest);
        let spread = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        base.mul_f64(0.9 + 0.2 * spread)
    }

    fn poll(&mut self) -> Result<(), DaemonError> {
        // Before the server is asked: what happens while it answers comes after.
        let now = self.clock.now();
        let (documents, seen) = match &self.origin {
            Origin::Folder(path) => folder::jobs(path).map_err(|source| DaemonError::Folder { path: path.clone(), source })?,
            Origin::Server(talk) => {
                let client_id = match &self.client_id {
                    Some(client_id) => client_id.clone(),
                    None => self.client_id.insert(format!("{}_{}", talk.project()?, self.settings.host)).clone(),
                };
                if !self.registered {
                    let node = Node {
                        client_id: client_id.clone(),
                        host: self.settings.host.clone(),
                        commands: self.settings.commands,
                        original: self.settings.agent.kind == AgentKind::Original,
                    };
                    match talk.register(&node) {
                        Ok(()) => self.registered = true,
                        Err(error) if error.is_away() => return Err(error.into()),
                        // As the original: it may have been registered by somebody else.
                        Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "this node cannot be registered"),
                    }
                }
                for id in self.book.unsent() {
                    talk.report(&mut self.book, &id, now)?;
                }
                talk.send_kept()?;
                (talk.jobs(&client_id)?, Seen::All)
            }
        };
        let tasks = self.book.see(documents, seen, now);
        self.remember()?;
        self.carry_out(tasks);
        Ok(())
    }

    /// Writes down all that must outlive this process.
    fn remember(&mut self) -> Result<(), DaemonError> {
        let mut memory = Memory::default();
        (memory.client_id, memory.jobs) = (self.client_id.clone(), self.book.records());
        self.journal.keep(&memory)?;
        let documents = serde_json::to_vec(&self.book.documents()).unwrap_or_default();
        if documents != self.cached {
            let path = self.settings.folder.join("jobs.json");
            replace_file(&path, &documents).map_err(|source| DaemonError::Folder { path, source })?;
            self.cached = documents;
        }
        Ok(())
    }

    fn carry_out(&mut self, tasks: Tasks) {
        for (id, task) in tasks {
            match task {
                Task::Kill => {
                    self.ending.entry(id).or_insert_with(|| Ending { since: Instant::now(), told: false });
                }
                Task::Report => self.report(&id),
            }
        }
        self.see_to_endings();
    }

    fn report(&mut self, id: &str) {
        match &self.origin {
            Origin::Folder(_) => self.book.sent(id, None),
            Origin::Server(talk) => {
                let now = self.clock.now();
                if let Err(error) = talk.report(&mut self.book, id, now) {
                    tracing::warn!(job = %id, error = &error as &dyn std::error::Error, "the server could not be told how a job stands; it will be");
                }
            }
        }
    }

    fn launch_what_is_due(&mut self) -> Result<usize, DaemonError> {
        let places = self.settings.places.saturating_sub(self.book.running());
        let (launch, tasks) = self.book.due(self.clock.now(), places);
        self.carry_out(tasks);
        let count = launch.len();
        for (id, firing) in launch {
            self.launch(&id, firing)?;
        }
        Ok(count)
    }

    fn launch(&mut self, id: &str, firing: Timestamp) -> Result<(), DaemonError> {
        let now = self.clock.now();
        let Some(occasion) = self.book.occasion(id, firing) else { return Ok(()) };
        let result_before = self.book.record(id).map(|record| record.result.clone()).unwrap_or_default();
        let run = format!("{}-{:08x}", now.strftime("%Y%m%dT%H%M%S"), getrandom::u32().unwrap_or_default());
        // From here on it has begun, whatever happens to this process.
        self.book.begin(id, &run, now);
        self.remember()?;
        match &self.origin {
            Origin::Folder(_) => self.book.sent(id, None),
            Origin::Server(talk) => {
                match talk.claim(&mut self.book, id, &occasion, now) {
                    Ok(Claim::Mine) => {}
                    Ok(Claim::Taken) => {
                        tracing::info!(job = %id, "another scheduler of this client has the run, or it is no longer wanted");
                        self.book.withdraw(id);
                        return self.remember();
                    }
                    Err(error) if self.settings.cluster => {
                        tracing::warn!(job = %id, error = &error as &dyn std::error::Error, "a run is left out: whose it is cannot be asked");
                        self.book.withdraw(id);
                        return self.remember();
                    }
                    Err(error) => {
                        tracing::warn!(job = %id, error = &error as &dyn std::error::Error, "the server does not know of a run yet");
                    }
                }
                if talk.join(&mut self.book, id) == Joined::TooEarly {
                    tracing::info!(job = %id, "the last start of the session is too short ago");
                    let tasks = self.book.ended(id, &result_before, now);
                    self.remember()?;
                    self.carry_out(tasks);
                    return Ok(());
                }
            }
        }
        match self.start(id, &run, firing) {
            Ok(pid) => {
                tracing::info!(job = %id, run = %run, pid, "a run begins");
                self.book.has_process(id, pid);
            }
            Err(error) => {
                tracing::error!(job = %id, %error, "a run could not be started");
                let tasks = self.book.ended(id, RunResult::Fail.word(), self.clock.now());
                self.carry_out(tasks);
            }
        }
        self.remember()?;
        if self.book.record(id).is_some_and(|record| record.pid.is_some()) {
            self.report(id);
        }
        Ok(())
    }

    /// Starts the process of a run; its number.
    fn start(&mut self, id: &str, run: &str, due: Timestamp) -> io::Result<u32> {
        let folder = self.run_folder(run);
        durable::create_folder(folder.path(), Access::private())?;
        let job = self.book.document(id).cloned().unwrap_or_default();
        let order = Order {
            run: run.to_owned(),
            job: id.to_owned(),
            due,
            actions: actions(&job).cloned().collect(),
            agent: self.settings.agent.clone(),
            defaults: self.settings.defaults.clone(),
            commands: self.settings.commands,
            time_limit: self.settings.time_limit,
        };
        folder.write("order.json", &order)?;
        let lock = durable::create_file(&folder.file("lock"), Access::private())?;
        // The run inherits it: it is free again when the run has ended, however.
        lock.lock()?;
        let output = durable::create_file(&folder.file("runner.log"), Access::private())?;
        let arguments = ["scheduler", "run-job"].map(OsString::from).into_iter().chain([folder.path().into()]);
        let program = Program { program: self.settings.program.clone().into(), arguments: arguments.collect() };
        let process = Detached::start(&program, lock, &output)?;
        let pid = process.id();
        self.watch(id.to_owned(), run.to_owned(), move || process.wait());
        Ok(pid)
    }

    fn run_folder(&self, run: &str) -> RunFolder {
        RunFolder::of(&self.settings.folder.join("runs"), run)
    }

    /// Tells runs to end that are to, and kills those that do not.
    fn see_to_endings(&mut self) {
        let now = Instant::now();
        let ids: Vec<String> = self.ending.keys().cloned().collect();
        for id in ids {
            let (Some(run), Some(ending)) = (self.book.record(&id).and_then(|record| record.run.clone()), self.ending.get(&id).copied())
            else {
                self.ending.remove(&id);
                continue;
            };
            let process: Option<Running> = self.run_folder(&run).read("process.json").ok().flatten();
            let is_slow = now.duration_since(ending.since) > PATIENCE_WITH_RUNS;
            let told = match process {
                // It has hardly begun: the next time.
                None => continue,
                Some(process) if is_slow => process::end(&process, End::AtOnce).and_then(|()| kill_rest(&process, &run)),
                Some(process) if !ending.told => process::end(&process, End::Gently),
                Some(_) => continue,
            };
            self.ending.insert(id.clone(), Ending { told: true, ..ending });
            if let Err(error) = told {
                tracing::error!(job = %id, run = %run, %error, "a run cannot be ended");
            }
        }
    }

    /// Takes in how a run went.
    fn collect(&mut self, id: &str, run: &str) -> Result<(), DaemonError> {
        let folder = self.run_folder(run);
        let wrong = |source| DaemonError::Folder { path: folder.path().to_owned(), source };
        if self.book.record(id).is_none_or(|record| record.run.as_deref() != Some(run)) {
            return Ok(());
        }
        let now = self.clock.now();
        let outcome = match folder.read::<Outcome>("outcome.json") {
            Ok(Some(outcome)) => outcome,
            missing => {
                tracing::error!(job = %id, run = %run, damaged = missing.is_err(), "a run ended without a word");
                if let Some(process) = folder.read::<Running>("process.json").ok().flatten() {
                    kill_rest(&process, run).map_err(wrong)?;
                }
                Outcome { result: RunResult::Fail, ended: now.as_second(), actions: Vec::new() }
            }
        };
        tracing::info!(job = %id, run = %run, result = outcome.result.word(), "a run has ended");
        for warning in outcome.warnings() {
            tracing::warn!(job = %id, run = %run, warning, "a run went well, but");
        }
        self.keep_for_server(id, run, &outcome).map_err(wrong)?;
        self.keep_as_last(id, run, &outcome).map_err(wrong)?;
        self.ending.remove(id);
        let ended = Timestamp::from_second(outcome.ended).unwrap_or(now);
        let tasks = self.book.ended(id, outcome.result.word(), ended);
        self.remember()?;
        self.carry_out(tasks);
        if let Origin::Server(talk) = &self.origin
            && let Err(error) = talk.send_kept()
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "what a run has to say is kept until the server is there");
        }
        match std::fs::remove_dir_all(folder.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(wrong(error)),
            _ => Ok(()),
        }
    }

    /// The records of its backups, and the end of its part in a session.
    fn keep_for_server(&self, id: &str, run: &str, outcome: &Outcome) -> io::Result<()> {
        let Origin::Server(talk) = &self.origin else { return Ok(()) };
        let session = self.book.record(id).and_then(|record| Some((record.in_session.clone()?, record.session_tag)));
        for (number, action) in outcome.actions.iter().enumerate() {
            let Some(Value::Object(metadata)) = &action.metadata else { continue };
            let mut metadata = metadata.clone();
            metadata.insert("job_id".into(), id.into());
            if metadata.contains_key("deleted_freezer_backup_ids") || metadata.contains_key("action") || metadata.contains_key("backup_id")
            {
                metadata.insert("exit_code".into(), json!(action.exit_code));
                metadata.insert("duration".into(), json!(action.seconds));
                metadata.insert("tries".into(), json!(action.tries));
                // What freezer session restore finds a start of a session by.
                if let Some((session, tag)) = &session {
                    metadata.insert("session_id".into(), session.as_str().into());
                    metadata.insert("session_tag".into(), json!(tag));
                }
                if let Some(warning) = &action.warning {
                    metadata.insert("warning".into(), warning.as_str().into());
                }
                if !action.log.is_empty() {
                    metadata.insert("log".into(), action.log.as_str().into());
                }
                let name = format!("{run}-{number:03}");
                metadata.insert("run_id".into(), name.as_str().into());
                talk.put(&name, &json!({ "backup": metadata, "id": name }))?;
            }
        }
        if let Some((session, tag)) = session {
            let end = json!({ "end": { "job_id": id, "current_tag": tag, "result": outcome.result.word() } });
            talk.put(&format!("{run}-end"), &json!({ "session": session, "action": end }))?;
        }
        Ok(())
    }

    /// What `freezer scheduler status` shows of the last run of each job.
    fn keep_as_last(&self, id: &str, run: &str, outcome: &Outcome) -> io::Result<()> {
        let name = crate::store::encode(id.as_bytes(), |_, byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        let mut outcome = outcome.clone();
        outcome.actions.iter_mut().for_each(|action| action.metadata = None);
        let document =
            json!({ "run": run, "job": id, "description": self.book.document(id).map(|job| text(job, "description")), "outcome": outcome });
        replace_file(&self.settings.folder.join("last").join(format!("{name}.json")), document.to_string().as_bytes())
    }
}

/// Kills what a run has left that ended without seeing to it.
fn kill_rest(process: &Running, run: &str) -> io::Result<()> {
    let killed = process::kill_marked(process.pid, MARK, run)?;
    if killed > 0 {
        tracing::warn!(run = %run, killed, "processes of a run that had ended were killed");
    }
    Ok(())
}

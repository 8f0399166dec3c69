//! The loop: what is due begins, what has ended is taken in, and nothing in it waits for a server.

use super::error::DaemonError;
use super::heard::Heard;
use super::runs::RunningRuns;
use super::settings::{JobSource, SchedulerSettings, Signals, WorkSpan};
use crate::model::job::{RunResult, Words};
use crate::platform::{Clock, Meanwhile};
use crate::sched::book::{Task, Tasks};
use crate::sched::folder;
use crate::sched::known::SharedState;
use crate::sched::order::AgentKind;
use crate::sched::outbox::Outbox;
use crate::sched::pace::Pace;
use crate::sched::speaker::{Ask, Claiming, NodeRules, Speaker, SpeakerLine};
use crate::sched::states::JobState;
use crate::sched::talk::Talk;
use crossbeam_channel::{Receiver, unbounded};
use jiff::{SignedDuration, Timestamp};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long the scheduler sleeps at most: so late it hears that it is to end.
const TICK: Duration = Duration::from_millis(500);
/// How long a run waits for the server to say that it may begin; then it begins, as it does when
/// the server is away.
const PATIENCE_WITH_SERVER: Duration = Duration::from_secs(30);
/// The same, when one has waited in vain since the server last answered.
const PATIENCE_AFTER_SILENCE: Duration = Duration::from_secs(2);
/// When to try again what could not be written.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Where jobs come from.
enum JobOrigin {
    Server {
        line: SpeakerLine,
        /// Runs that the server was asked about.
        claims: BTreeMap<String, OpenClaim>,
    },
    Folder(PathBuf),
}

/// A run that begins when the server says so.
struct OpenClaim {
    run: String,
    firing: Timestamp,
    since: Instant,
    given_up: Arc<AtomicBool>,
}

pub(super) struct Daemon {
    known: SharedState,
    clock: Arc<dyn Clock>,
    origin: JobOrigin,
    runs: RunningRuns,
    heard: Receiver<Heard>,
    pace: Pace,
    places: usize,
    cluster: bool,
    next_poll: Timestamp,
    /// Whether the server is being asked what there is to do.
    is_polling: bool,
    /// Whether it has said so once.
    has_polled: bool,
    /// Whether a run has waited in vain since the server last answered.
    is_silent: bool,
    /// When the last look was: a clock that is set back would keep polls waiting.
    last_look: Timestamp,
    /// Until when nothing begins, because it could not be written down.
    held_until: Option<Instant>,
}

impl Daemon {
    pub(super) fn open(
        settings: SchedulerSettings,
        source: JobSource,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, DaemonError> {
        let known = SharedState::open(&settings)?;
        let (sender, heard) = unbounded();
        let outbox = Outbox::at(settings.folder.join("outbox"));
        let (pace, places, cluster) = (
            Pace::new(settings.interval),
            settings.places,
            settings.cluster,
        );
        let (origin, outbox) = match source {
            JobSource::Folder(path) => (JobOrigin::Folder(path), None),
            JobSource::Server(connection) => {
                let speaker = Speaker {
                    talk: Talk::new(*connection, known.clone(), outbox.clone()),
                    known: known.clone(),
                    outbox: outbox.clone(),
                    node: NodeRules {
                        host: settings.host.clone(),
                        commands: settings.commands,
                        original: settings.agent.kind == AgentKind::Original,
                        cluster,
                    },
                    clock: Arc::clone(&clock),
                    heard: sender.clone(),
                };
                let line = speaker.start();
                let claims = BTreeMap::new();
                (JobOrigin::Server { line, claims }, Some(outbox))
            }
        };
        let runs = RunningRuns::new(settings, known.clone(), outbox, sender);
        runs.adopt();
        let now = clock.now();
        Ok(Self {
            known,
            clock,
            origin,
            runs,
            heard,
            pace,
            places,
            cluster,
            next_poll: now,
            is_polling: false,
            has_polled: false,
            is_silent: false,
            last_look: now,
            held_until: None,
        })
    }

    pub(super) fn work(&mut self, span: WorkSpan, signals: &Signals) -> Result<(), DaemonError> {
        while !signals.cancel.is_requested() {
            let register = signals.reload.swap(false, Ordering::Relaxed);
            if register {
                tracing::info!("told to poll at once");
            }
            let now = self.clock.now();
            if (register || now >= self.next_poll || now < self.last_look) && !self.is_polling {
                self.poll(register, span)?;
            }
            self.last_look = now;
            let launched = self.launch_what_is_due()?;
            self.give_up_waiting()?;
            self.runs.see_to_endings();
            let tasks = self.runs.collect_what_is_left(self.clock.now());
            self.carry_out(tasks)?;
            let is_idle =
                launched == 0 && self.known.lock().book.running() == 0 && self.runs.is_idle();
            if span == WorkSpan::Once && is_idle && self.has_polled && !self.is_polling {
                return self.poll_to_the_end();
            }
            let is_busy = !is_idle || self.is_polling || self.is_talking();
            self.wait(
                if is_busy {
                    Meanwhile::Work
                } else {
                    Meanwhile::Nothing
                },
                span,
            )?;
        }
        self.known.lock().remember()
    }

    /// Leaves the files to others.
    pub(super) fn close(&self) {
        self.known.lock().close();
    }

    fn is_talking(&self) -> bool {
        matches!(&self.origin, JobOrigin::Server { line, .. } if line.is_busy())
    }

    /// Waits until something is due or heard of, and takes in what is heard.
    fn wait(&mut self, meanwhile: Meanwhile, span: WorkSpan) -> Result<(), DaemonError> {
        let soonest = self.known.lock().book.soonest();
        let poll = (!self.is_polling).then_some(self.next_poll);
        let now = self.clock.now();
        let until = soonest.into_iter().chain(poll).min();
        let left = match (until, self.held_until) {
            (Some(until), None) => {
                Duration::try_from(until.duration_since(now)).unwrap_or_default()
            }
            _ => TICK,
        };
        let mut heard = self
            .heard
            .recv_timeout(self.clock.pass(left, meanwhile).min(TICK))
            .ok();
        while let Some(one) = heard {
            self.take_in(one, span)?;
            heard = self.heard.try_recv().ok();
        }
        Ok(())
    }

    fn take_in(&mut self, heard: Heard, span: WorkSpan) -> Result<(), DaemonError> {
        match heard {
            Heard::Ended { id, run } => {
                let tasks = self.runs.collect(&id, &run, self.clock.now());
                self.carry_out(tasks)?;
                self.tell()
            }
            Heard::Polled(polled) => self.polled(polled, span),
            Heard::Claimed { id, run, may } => {
                let JobOrigin::Server { claims, .. } = &mut self.origin else {
                    return Ok(());
                };
                let Some(claim) = claims.remove(&id).filter(|claim| claim.run == run) else {
                    return Ok(());
                };
                if may {
                    self.start(&id, &run, claim.firing)
                } else {
                    self.not_begun(&id, &run)
                }
            }
        }
    }

    fn poll(&mut self, register: bool, span: WorkSpan) -> Result<(), DaemonError> {
        match &self.origin {
            JobOrigin::Server { line, .. } => {
                self.is_polling = true;
                line.ask(Ask::Poll { register })
            }
            JobOrigin::Folder(path) => {
                let now = self.clock.now();
                let seen = folder::jobs(path).map_err(|source| DaemonError::Folder {
                    path: path.clone(),
                    source,
                });
                let polled = seen.and_then(|(documents, seen)| {
                    let mut known = self.known.lock();
                    let tasks = known.book.see(documents, seen, now);
                    known.remember().map(|()| tasks)
                });
                self.polled(polled, span)
            }
        }
    }

    fn polled(
        &mut self,
        polled: Result<Tasks, DaemonError>,
        span: WorkSpan,
    ) -> Result<(), DaemonError> {
        self.is_polling = false;
        let tasks = match polled {
            Ok(tasks) => {
                self.pace.answered();
                self.has_polled = true;
                self.is_silent = false;
                tasks
            }
            Err(error) if span == WorkSpan::Once => return Err(error),
            Err(error) => {
                self.pace.silent();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the poll failed; known jobs go on"
                );
                Tasks::new()
            }
        };
        let spread = f64::from(getrandom::u32().unwrap_or(u32::MAX / 2)) / f64::from(u32::MAX);
        let pause = SignedDuration::try_from(self.pace.pause(spread))
            .unwrap_or(SignedDuration::from_mins(10));
        self.next_poll = self
            .clock
            .now()
            .saturating_add(pause)
            .unwrap_or(Timestamp::MAX);
        self.carry_out(tasks)
    }

    /// One more poll, with all that the server has yet to be told.
    fn poll_to_the_end(&mut self) -> Result<(), DaemonError> {
        self.poll(false, WorkSpan::Once)?;
        while self.is_polling {
            match self.heard.recv() {
                Ok(heard) => self.take_in(heard, WorkSpan::Once)?,
                Err(_) => return Err(DaemonError::Deaf),
            }
        }
        self.known.lock().remember()
    }

    fn carry_out(&mut self, tasks: Tasks) -> Result<(), DaemonError> {
        let mut is_news = false;
        for (id, task) in tasks {
            match task {
                Task::Kill => self.runs.is_to_end(id),
                Task::Report => is_news = true,
            }
        }
        if is_news { self.tell() } else { Ok(()) }
    }

    /// Has the server told what it does not know; without one notes that there is nobody to tell.
    fn tell(&self) -> Result<(), DaemonError> {
        match &self.origin {
            JobOrigin::Server { line, .. } => line.tell(),
            JobOrigin::Folder(_) => {
                let book = &mut self.known.lock().book;
                book.unsent().iter().for_each(|id| book.sent(id, None));
                Ok(())
            }
        }
    }

    fn launch_what_is_due(&mut self) -> Result<usize, DaemonError> {
        if self
            .held_until
            .is_some_and(|until| crate::platform::monotonic() < until)
        {
            return Ok(0);
        }
        self.held_until = None;
        let (launch, tasks) = {
            let book = &mut self.known.lock().book;
            let places = self.places.saturating_sub(book.running());
            book.due(self.clock.now(), places)
        };
        self.carry_out(tasks)?;
        let count = launch.len();
        for (id, firing) in launch {
            self.launch(&id, firing)?;
        }
        Ok(count)
    }

    fn launch(&mut self, id: &str, firing: Timestamp) -> Result<(), DaemonError> {
        if self.held_until.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        let run = format!(
            "{}-{:08x}",
            now.strftime("%Y%m%dT%H%M%S"),
            getrandom::u32().unwrap_or_default()
        );
        let mut known = self.known.lock();
        let (Some(occasion), Some(before)) = (
            known.book.occasion(id, firing),
            known.book.record(id).cloned(),
        ) else {
            return Ok(());
        };
        // From here on it has begun, whatever happens to this process.
        known.book.begin(id, &run, now);
        let result_before = before.result.clone();
        if let Err(error) = known.remember() {
            // What is not written down would run a second time after a crash.
            known.book.restore(id, before);
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the journal cannot be written; no run begins until it can"
            );
            self.held_until = Some(crate::platform::monotonic() + PAUSE_AFTER_TROUBLE);
            return Ok(());
        }
        match &mut self.origin {
            JobOrigin::Folder(_) => {
                known.book.sent(id, None);
                drop(known);
                self.start(id, &run, firing)
            }
            JobOrigin::Server { line, claims } => {
                known.book.claims(id, true);
                drop(known);
                let given_up = Arc::new(AtomicBool::new(false));
                let claiming = Claiming {
                    id: id.to_owned(),
                    run: run.clone(),
                    occasion,
                    result_before,
                    given_up: Arc::clone(&given_up),
                };
                claims.insert(
                    id.to_owned(),
                    OpenClaim {
                        run,
                        firing,
                        since: crate::platform::monotonic(),
                        given_up,
                    },
                );
                line.ask(Ask::Claim(claiming))
            }
        }
    }

    /// Has runs begin that have waited long enough for the server: it is as good as away.
    fn give_up_waiting(&mut self) -> Result<(), DaemonError> {
        let JobOrigin::Server { claims, .. } = &mut self.origin else {
            return Ok(());
        };
        let patience = if self.is_silent {
            PATIENCE_AFTER_SILENCE
        } else {
            PATIENCE_WITH_SERVER
        };
        let is_late = |claim: &OpenClaim| !self.cluster && claim.since.elapsed() > patience;
        let late: Vec<String> = claims
            .iter()
            .filter(|(_, claim)| is_late(claim))
            .map(|(id, _)| id.clone())
            .collect();
        let mut begin = Vec::new();
        for id in late {
            // The answer comes under the same lock: it is either before this, and heard of, or
            // after it, and of no account.
            let mut known = self.known.lock();
            let is_wanted = known.book.record(&id).is_some_and(|record| {
                matches!(record.state, JobState::Running | JobState::Stopping)
            });
            if let Some(claim) = claims.remove(&id)
                && known
                    .book
                    .record(&id)
                    .is_some_and(|record| record.run.as_ref() == Some(&claim.run))
            {
                claim.given_up.store(true, Ordering::Release);
                known.book.claims(&id, false);
                begin.push((id, claim, is_wanted));
            }
        }
        self.is_silent |= !begin.is_empty();
        for (id, claim, is_wanted) in begin {
            tracing::warn!(job = %id, "a run begins though the server has not answered its claim");
            if is_wanted {
                self.start(&id, &claim.run, claim.firing)?
            } else {
                self.not_begun(&id, &claim.run)?
            }
        }
        Ok(())
    }

    fn start(&mut self, id: &str, run: &str, firing: Timestamp) -> Result<(), DaemonError> {
        let started = self.runs.start(id, run, firing);
        let tasks = {
            let mut known = self.known.lock();
            let tasks = match started {
                Ok(pid) => {
                    tracing::info!(job = %id, run = %run, pid, "a run begins");
                    known.book.has_process(id, pid);
                    vec![(id.to_owned(), Task::Report)]
                }
                Err(error) => {
                    tracing::error!(job = %id, run = %run, %error, "a run could not be started");
                    known
                        .book
                        .ended(id, RunResult::Fail.word(), self.clock.now())
                }
            };
            known.try_to_remember();
            tasks
        };
        self.carry_out(tasks)
    }

    /// A run that was noted, and is not to be. What the server has said is noted already; else it
    /// was to end before it began.
    fn not_begun(&mut self, id: &str, run: &str) -> Result<(), DaemonError> {
        {
            let mut known = self.known.lock();
            if known
                .book
                .record(id)
                .is_some_and(|record| record.run.as_deref() == Some(run))
            {
                known
                    .book
                    .ended(id, RunResult::Aborted.word(), self.clock.now());
            }
            known.try_to_remember();
        }
        self.tell()
    }
}

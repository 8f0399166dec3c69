//! The thread that talks with the server, beside the loop: a server that is slow or silent keeps no
//! job waiting for long.
//!
//! It does one thing after the other, so that what it reads of a job is never older than what it
//! last said of it. What it decides about a run it decides under the lock of what is known: see
//! [`Claiming::given_up`].

use super::book::Occasion;
use super::connection::ApiError;
use super::daemon::DaemonError;
use super::daemon::heard::Heard;
use super::known::SharedState;
use super::outbox::Outbox;
use super::states::JobState;
use super::talk::{ClaimAnswer, JoinAnswer, NodeIdentity, Talk};
use super::{book::Sighting, book::Tasks};
use crate::platform::Clock;
use crossbeam_channel::{Receiver, Sender, unbounded};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A request of the loop to the thread that talks with the server.
#[derive(Debug)]
pub(super) enum Ask {
    /// Asks for the jobs of this node; with `register`, registers the node first.
    Poll { register: bool },
    /// Asks whether a run may begin.
    Claim(Claiming),
    /// Reports the state of jobs and the results of runs that the server has not heard of.
    Tell,
}

/// A run that is to begin.
#[derive(Debug)]
pub(super) struct Claiming {
    pub(super) id: String,
    pub(super) run: String,
    pub(super) occasion: Occasion,
    /// The result of the run before, as a word of the server.
    pub(super) result_before: String,
    /// Raised, under the lock of what is known, when the run has begun without the answer.
    pub(super) given_up: Arc<AtomicBool>,
}

/// The loop's handle of the thread that talks with the server.
#[derive(Debug)]
pub(super) struct SpeakerLine {
    asks: Sender<Ask>,
    /// The number of requests that are not done.
    open: Arc<AtomicUsize>,
    /// Whether a report is asked for and has not begun.
    will_tell: Arc<AtomicBool>,
}

impl SpeakerLine {
    /// # Errors
    ///
    /// [`DaemonError::Deaf`] if the thread has ended, which is a bug.
    pub(super) fn ask(&self, ask: Ask) -> Result<(), DaemonError> {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.asks.send(ask).map_err(|_| DaemonError::Deaf)
    }

    /// Has the server told all that it does not know.
    pub(super) fn tell(&self) -> Result<(), DaemonError> {
        if self.will_tell.swap(true, Ordering::AcqRel) {
            Ok(())
        } else {
            self.ask(Ask::Tell)
        }
    }

    pub(super) fn is_busy(&self) -> bool {
        self.open.load(Ordering::Acquire) > 0
    }
}

/// The thread that talks with the server.
pub(super) struct Speaker {
    pub(super) talk: Talk,
    pub(super) known: SharedState,
    pub(super) outbox: Outbox,
    pub(super) node: NodeRules,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) heard: Sender<Heard>,
}

/// Rules and capabilities of this node.
#[derive(Clone, Debug)]
pub(super) struct NodeRules {
    pub(super) host: String,
    pub(super) commands: bool,
    pub(super) original: bool,
    /// Whether nothing is run that the server could not be asked about.
    pub(super) cluster: bool,
}

impl Speaker {
    /// Begins. It ends when the line is dropped, or with the process: what it is at then is as if
    /// the process had been killed.
    pub(super) fn start(self) -> SpeakerLine {
        let (asks, inbox) = unbounded();
        let (open, will_tell) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let line = SpeakerLine {
            asks,
            open: Arc::clone(&open),
            will_tell: Arc::clone(&will_tell),
        };
        std::thread::spawn(move || self.work(&inbox, &open, &will_tell));
        line
    }

    fn work(self, inbox: &Receiver<Ask>, open: &AtomicUsize, will_tell: &AtomicBool) {
        let mut is_registered = false;
        for ask in inbox {
            match ask {
                Ask::Poll { register } => {
                    let polled = self.poll(register || !is_registered);
                    is_registered |= polled.is_ok();
                    self.say(Heard::Polled(polled));
                }
                Ask::Claim(claiming) => self.claim(&claiming),
                Ask::Tell => {
                    // Before it looks at what there is: what comes later is another's.
                    will_tell.store(false, Ordering::Release);
                    if let Err(error) = self.tell() {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "reports of jobs cannot be sent yet; they are kept"
                        );
                    }
                }
            }
            // After what it led to was said: who sees that nothing is open has all of it to hear.
            open.fetch_sub(1, Ordering::AcqRel);
        }
    }

    fn say(&self, heard: Heard) {
        // Nobody listens when the scheduler has ended.
        self.heard.send(heard).ok();
    }

    fn poll(&self, register: bool) -> Result<Tasks, DaemonError> {
        // Before the server is asked: what happens while it answers comes after.
        let now = self.clock.now();
        let known = self.known.lock().client_id.clone();
        let client_id = match known {
            Some(client_id) => client_id,
            None => {
                let client_id = format!("{}_{}", self.talk.project()?, self.node.host);
                self.known.lock().client_id.insert(client_id).clone()
            }
        };
        if register {
            let node = NodeIdentity {
                client_id: client_id.clone(),
                host: self.node.host.clone(),
                commands: self.node.commands,
                original: self.node.original,
            };
            match self.talk.register(&node) {
                Err(error) if error.is_away() => return Err(error.into()),
                // As the original: it may have been registered by somebody else.
                Err(error) => tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "this node cannot be registered"
                ),
                Ok(()) => {}
            }
        }
        match self.tell() {
            Err(error @ DaemonError::Server(_)) => return Err(error),
            Err(error) => not_kept(&error),
            Ok(()) => {}
        }
        let documents = self.talk.jobs(&client_id)?;
        let mut known = self.known.lock();
        let tasks = known.book.see(documents, Sighting::All, now);
        if let Err(error) = known.remember() {
            // Nothing of it is told before it is on disk, so that after a crash it is seen again.
            // An abort is one all the same.
            not_kept(&error);
        }
        Ok(tasks)
    }

    /// Tells what the server does not know. What is not on disk is not told: after a crash nobody
    /// would know that it was.
    fn tell(&self) -> Result<(), DaemonError> {
        let unsent = {
            let mut known = self.known.lock();
            known.remember()?;
            known.book.unsent()
        };
        for id in unsent {
            match self.talk.report(&id, self.clock.now()) {
                Err(error) if error.is_away() => return Err(error.into()),
                // One that the server does not take keeps none of the others waiting.
                Err(error) => {
                    tracing::warn!(
                        job = %id,
                        error = &error as &dyn std::error::Error,
                        "the server refuses the report of a job",
                    )
                }
                Ok(()) => {}
            }
        }
        Ok(self.talk.send_kept()?)
    }

    fn claim(&self, claiming: &Claiming) {
        let Claiming { id, run, .. } = claiming;
        if claiming.given_up.load(Ordering::Acquire) {
            return;
        }
        let claimed = self.ask_for(claiming);
        let mut known = self.known.lock();
        if claiming.given_up.load(Ordering::Acquire) {
            if !matches!(claimed, Ok((ClaimAnswer::Mine, JoinAnswer::Go))) {
                tracing::warn!(job = %id, run = %run, "a run began before the server refused it");
            }
            return;
        }
        known.book.claims(id, false);
        let may = match claimed {
            Ok((ClaimAnswer::Mine, JoinAnswer::Go)) => true,
            Ok((ClaimAnswer::Mine, JoinAnswer::TooEarly)) => {
                tracing::info!(job = %id, "a run is skipped: its session was started a moment ago");
                let now = self.clock.now();
                // No run, no end: what it has to say is in the record, and told with the next word.
                known.book.ended(id, &claiming.result_before, now);
                false
            }
            Ok((ClaimAnswer::Taken, _)) => {
                tracing::info!(
                    job = %id,
                    "a run is skipped: another scheduler of this client has it, or a user has \
                     stopped the job",
                );
                known.book.withdraw(id);
                false
            }
            Err(error) if self.node.cluster => {
                tracing::warn!(
                    job = %id,
                    error = &error as &dyn std::error::Error,
                    "a run is skipped: the server cannot be asked whether another scheduler has it",
                );
                known.book.withdraw(id);
                false
            }
            Err(error) => {
                tracing::warn!(
                    job = %id,
                    error = &error as &dyn std::error::Error,
                    "a run begins before the server knows of it",
                );
                true
            }
        };
        // One that was to be ended before it began does not begin.
        let state = known.book.record(id).map(|record| record.state);
        let may = may && matches!(state, Some(JobState::Running | JobState::Stopping));
        drop(known);
        self.say(Heard::Claimed {
            id: id.clone(),
            run: run.clone(),
            may,
        });
    }

    fn ask_for(&self, claiming: &Claiming) -> Result<(ClaimAnswer, JoinAnswer), ApiError> {
        if !self.outbox.kept().is_empty() {
            // The end of the last start of a session comes before the next one.
            self.talk.send_kept()?;
        }
        match self
            .talk
            .claim(&claiming.id, &claiming.occasion, self.clock.now())
        {
            Ok(ClaimAnswer::Taken) => return Ok((ClaimAnswer::Taken, JoinAnswer::Go)),
            Ok(ClaimAnswer::Mine) => {}
            Err(error) if error.is_away() || self.node.cluster => return Err(error),
            Err(error) => {
                tracing::warn!(
                    job = %claiming.id,
                    error = &error as &dyn std::error::Error,
                    "the server refuses to note a run; it begins all the same",
                );
            }
        }
        Ok((ClaimAnswer::Mine, self.talk.join(&claiming.id)))
    }
}

fn not_kept(error: &DaemonError) {
    tracing::error!(
        error = error as &dyn std::error::Error,
        "the journal cannot be written; no run begins until it can"
    );
}

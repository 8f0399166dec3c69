//! Runs: how they are started, ended and taken in. Each is a process of its own: see
//! [`crate::sched::runner`].

use super::heard::Heard;
use super::settings::SchedulerSettings;
use crate::model::job::{BackupMetadata, Field, Job, RunResult, SessionCall, SessionVerb, Words};
use crate::platform::Running;
use crate::platform::durable::{self, Sharing, replace_file};
use crate::platform::process::{self, Detached, End, Program};
use crate::sched::book::Tasks;
use crate::sched::journal::Record;
use crate::sched::known::SharedState;
use crate::sched::order::{ActionOutcome, LastRun, MARK, RunFolder, RunOrder, RunOutcome};
use crate::sched::outbox::Outbox;
use crossbeam_channel::Sender;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::json;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// After how long a run that does not end when it is told to is killed.
const PATIENCE: Duration = Duration::from_mins(1);
/// When to try again to take in a run whose words could not be kept.
const PAUSE_AFTER_TROUBLE: Duration = Duration::from_secs(5);

/// Of how many jobs that are over it is kept how their last run went.
const LAST_RUNS_OF_OTHERS: usize = 1000;
/// Most bytes of the name of a job in the name of a file, before what tells it from others as long.
const LONGEST_NAME: usize = 128;

/// A run that is to end.
#[derive(Clone, Copy)]
struct RunEnding {
    since: Instant,
    /// Once: a second word would cut it off.
    told: bool,
}

/// A run that has ended and could not be taken in.
struct LeftRun {
    id: String,
    run: String,
    again: Instant,
}

pub(super) struct RunningRuns {
    settings: SchedulerSettings,
    known: SharedState,
    /// Where what the server is to be told is kept; none without a server.
    outbox: Option<Outbox>,
    heard: Sender<Heard>,
    /// Jobs whose runs are to end.
    ending: BTreeMap<String, RunEnding>,
    left: Vec<LeftRun>,
    /// Folders of runs that are taken in, and whose end is not on disk yet.
    folders: Vec<PathBuf>,
}

impl RunningRuns {
    pub(super) fn new(
        settings: SchedulerSettings,
        known: SharedState,
        outbox: Option<Outbox>,
        heard: Sender<Heard>,
    ) -> Self {
        Self {
            settings,
            known,
            outbox,
            heard,
            ending: BTreeMap::new(),
            left: Vec::new(),
            folders: Vec::new(),
        }
    }

    /// Waits for the runs that an earlier scheduler began, and removes what is left of those that
    /// it had taken in.
    pub(super) fn adopt(&self) {
        let of_jobs: Vec<(String, String)> = {
            let book = &self.known.lock().book;
            book.ids()
                .into_iter()
                .filter_map(|id| Some((id.clone(), book.record(&id)?.run.clone()?)))
                .collect()
        };
        for (id, run) in &of_jobs {
            tracing::info!(job = %id, run = %run, "a run of an earlier scheduler");
            let lock = File::open(self.folder(run).file("lock"));
            self.watch(id.clone(), run.clone(), move || {
                lock.map_or(Ok(()), |lock| lock.lock())
            });
        }
        let known: BTreeSet<&str> = of_jobs.iter().map(|(_, run)| run.as_str()).collect();
        for entry in std::fs::read_dir(self.settings.folder.join("runs"))
            .into_iter()
            .flatten()
            .filter_map(Result::ok)
        {
            let is_known = entry
                .file_name()
                .to_str()
                .is_none_or(|name| known.contains(name));
            let has_ended = || {
                File::open(entry.path().join("lock")).map_or(true, |lock| lock.try_lock().is_ok())
            };
            if !is_known && has_ended() {
                remove(&entry.path());
            }
        }
    }

    /// Has it told when `wait` returns.
    fn watch(
        &self,
        id: String,
        run: String,
        wait: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) {
        let heard = self.heard.clone();
        std::thread::spawn(move || {
            if let Err(error) = wait() {
                tracing::error!(
                    %error,
                    run = %run,
                    "the scheduler cannot wait for the end of a run",
                );
            }
            // Nobody listens when the scheduler has ended: the next one finds the run.
            heard.send(Heard::Ended { id, run }).ok();
        });
    }

    fn folder(&self, run: &str) -> RunFolder {
        RunFolder::of(&self.settings.folder.join("runs"), run)
    }

    /// Starts the process of a run; its number.
    pub(super) fn start(&self, id: &str, run: &str, due: Timestamp) -> io::Result<u32> {
        let folder = self.folder(run);
        durable::create_folder(folder.path(), Sharing::private())?;
        let actions = {
            let book = &self.known.lock().book;
            book.document(id)
                .into_iter()
                .flat_map(Job::actions)
                .cloned()
                .collect()
        };
        let order = RunOrder {
            run: run.to_owned(),
            job: id.to_owned(),
            due,
            actions,
            agent: self.settings.agent.clone(),
            defaults: self.settings.defaults.clone(),
            commands: self.settings.commands,
            time_limit: self.settings.time_limit,
        };
        folder.write("order.json", &order)?;
        let lock = durable::create_file(&folder.file("lock"), Sharing::private())?;
        // The run inherits it: it is free again when the run has ended, however.
        lock.lock()?;
        let output = durable::create_file(&folder.file("runner.log"), Sharing::private())?;
        let arguments = ["scheduler", "run-job"]
            .map(OsString::from)
            .into_iter()
            .chain([folder.path().into()]);
        let program = Program {
            program: self.settings.program.clone().into(),
            arguments: arguments.collect(),
        };
        let process = Detached::start(&program, lock, &output)?;
        let pid = process.id();
        self.watch(id.to_owned(), run.to_owned(), move || process.wait());
        Ok(pid)
    }

    /// Has the run of a job ended, as soon as it can be.
    pub(super) fn is_to_end(&mut self, id: String) {
        self.ending.entry(id).or_insert_with(|| RunEnding {
            since: crate::platform::monotonic(),
            told: false,
        });
    }

    /// Tells runs to end that are to, and kills those that do not.
    pub(super) fn see_to_endings(&mut self) {
        let now = crate::platform::monotonic();
        let ids: Vec<String> = self.ending.keys().cloned().collect();
        for id in ids {
            let run = self
                .known
                .lock()
                .book
                .record(&id)
                .and_then(|record| record.run.clone());
            let (Some(run), Some(ending)) = (run, self.ending.get(&id).copied()) else {
                self.ending.remove(&id);
                continue;
            };
            let process: Option<Running> = self.folder(&run).read("process.json").ok().flatten();
            let is_slow = now.duration_since(ending.since) > PATIENCE;
            let told = match process {
                // It has hardly begun: the next time.
                None => continue,
                Some(process) if is_slow => {
                    process::end(&process, End::AtOnce).and_then(|()| kill_rest(&process, &run))
                }
                Some(process) if !ending.told => process::end(&process, End::Gently),
                Some(_) => continue,
            };
            self.ending.insert(
                id.clone(),
                RunEnding {
                    told: true,
                    ..ending
                },
            );
            if let Err(error) = told {
                tracing::error!(job = %id, run = %run, %error, "a run cannot be ended");
            }
        }
    }

    /// Whether all runs that have ended are taken in.
    pub(super) fn is_idle(&self) -> bool {
        self.left.is_empty()
    }

    /// Takes in what could not be before.
    pub(super) fn collect_what_is_left(&mut self, now: Timestamp) -> Tasks {
        if !self.folders.is_empty() && self.known.lock().remember().is_ok() {
            self.folders.drain(..).for_each(|folder| remove(&folder));
        }
        let (again, left) = std::mem::take(&mut self.left)
            .into_iter()
            .partition(|left: &LeftRun| crate::platform::monotonic() >= left.again);
        self.left = left;
        let again: Vec<LeftRun> = again;
        again
            .into_iter()
            .flat_map(|left| self.collect(&left.id, &left.run, now))
            .collect()
    }

    /// Takes in how a run went; what is to be done then. What cannot be kept stays in the run's
    /// folder, and is taken in later.
    pub(super) fn collect(&mut self, id: &str, run: &str, now: Timestamp) -> Tasks {
        if self
            .known
            .lock()
            .book
            .record(id)
            .is_none_or(|record| record.run.as_deref() != Some(run))
        {
            return Tasks::new();
        }
        let folder = self.folder(run);
        let outcome = match self.outcome(id, run, &folder, now) {
            Ok(outcome) => outcome,
            Err(error) => {
                tracing::error!(
                    job = %id,
                    run = %run,
                    %error,
                    "the outcome of a run cannot be read; it is tried again",
                );
                self.left.push(LeftRun {
                    id: id.to_owned(),
                    run: run.to_owned(),
                    again: crate::platform::monotonic() + PAUSE_AFTER_TROUBLE,
                });
                return Tasks::new();
            }
        };
        tracing::info!(job = %id, run = %run, result = outcome.result.word(), "a run has ended");
        for warning in outcome.warnings() {
            tracing::warn!(job = %id, run = %run, warning, "a run has succeeded with a warning");
        }
        self.ending.remove(id);
        let ended = Timestamp::from_second(outcome.ended).unwrap_or(now);
        let mut known = self.known.lock();
        let tasks = known.book.ended(id, outcome.result.word(), ended);
        match known.remember() {
            Ok(()) => remove(folder.path()),
            Err(error) => {
                tracing::error!(
                    job = %id,
                    run = %run,
                    error = &error as &dyn std::error::Error,
                    "the end of a run cannot be written to the journal yet",
                );
                self.folders.push(folder.path().to_owned());
            }
        }
        tasks
    }

    /// How a run went, when what it has to say is kept.
    fn outcome(
        &self,
        id: &str,
        run: &str,
        folder: &RunFolder,
        now: Timestamp,
    ) -> io::Result<RunOutcome> {
        let outcome = match folder.read::<RunOutcome>("outcome.json") {
            Ok(Some(outcome)) => outcome,
            missing => {
                tracing::error!(
                    job = %id,
                    run = %run,
                    damaged = missing.is_err(),
                    "a run ended without an outcome: it counts as failed",
                );
                if let Some(process) = folder.read::<Running>("process.json").ok().flatten() {
                    kill_rest(&process, run)?;
                }
                RunOutcome {
                    result: RunResult::Fail,
                    ended: now.as_second(),
                    actions: Vec::new(),
                }
            }
        };
        self.keep_for_server(id, run, &outcome)?;
        self.keep_as_last(id, run, &outcome)?;
        Ok(outcome)
    }

    /// The records of its backups, and the end of its part in a session.
    fn keep_for_server(&self, id: &str, run: &str, outcome: &RunOutcome) -> io::Result<()> {
        let Some(outbox) = &self.outbox else {
            return Ok(());
        };
        // No tag where the session's answer is not known: it means the run's own start, whichever
        // that was.
        let of_record = |record: &Record| {
            Some((
                record.in_session.clone()?,
                (!record.is_unheard).then_some(record.session_tag),
            ))
        };
        let session = self.known.lock().book.record(id).and_then(of_record);
        for (number, action) in outcome.actions.iter().enumerate() {
            let Some(metadata) = action.metadata.as_ref().and_then(BackupMetadata::of_agent) else {
                continue;
            };
            let is_of_backup = !metadata.deleted_freezer_backup_ids.is_absent()
                || !metadata.action.is_absent()
                || !metadata.backup_id.is_absent();
            if is_of_backup {
                let name = format!("{run}-{number:03}");
                let mut record = record_of(metadata, action);
                record.job_id = id.into();
                record.run_id = name.as_str().into();
                // What freezer session restore finds a start of a session by.
                if let Some((session, tag)) = &session {
                    record.session_id = session.as_str().into();
                    if let Some(tag) = tag {
                        record.session_tag = Field::of(json!(tag));
                    }
                }
                outbox.put(&name, &json!({ "backup": record, "id": name }))?;
            }
        }
        if let Some((session, tag)) = session {
            // No tag is said as null.
            let end = SessionCall {
                job_id: id.into(),
                current_tag: Field::of(json!(tag)),
                result: outcome.result.into(),
                ..SessionCall::default()
            }
            .body(SessionVerb::End);
            outbox.put(
                &format!("{run}-end"),
                &json!({ "session": session, "action": end }),
            )?;
        }
        Ok(())
    }

    /// What `freezer scheduler status` shows of the last run of each job.
    fn keep_as_last(&self, id: &str, run: &str, outcome: &RunOutcome) -> io::Result<()> {
        let mut outcome = outcome.clone();
        let (description, known) = {
            let book = &self.known.lock().book;
            let known: BTreeSet<String> = book.ids().iter().map(|id| file_of_last(id)).collect();
            (
                book.document(id)
                    .map(|job| job.description.text().to_owned()),
                known,
            )
        };
        outcome
            .actions
            .iter_mut()
            .for_each(|action| action.metadata = None);
        let last = LastRun {
            run: run.to_owned(),
            job: id.to_owned(),
            description,
            outcome,
        };
        let folder = self.settings.folder.join("last");
        replace_file(&folder.join(file_of_last(id)), &serde_json::to_vec(&last)?)?;
        if let Err(error) = forget_oldest(&folder, &known, LAST_RUNS_OF_OTHERS) {
            tracing::warn!(%error, "outcomes of jobs that are over cannot be removed");
        }
        Ok(())
    }
}

/// What the server is told of a backup: what the agent said, and how the action went.
fn record_of(metadata: BackupMetadata, action: &ActionOutcome) -> BackupMetadata {
    let mut record = metadata;
    record.exit_code = Field::of(json!(action.exit_code));
    record.duration = Field::of(json!(action.seconds));
    record.tries = Field::of(json!(action.tries));
    if let Some(warning) = &action.warning {
        record.warning = warning.as_str().into();
    }
    if !action.log.is_empty() {
        record.log = action.log.as_str().into();
    }
    record
}

/// The file that holds how the last run of a job went.
fn file_of_last(id: &str) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');
    let name = utf8_percent_encode(id, ESCAPED).to_string();
    match name.get(..LONGEST_NAME) {
        None => format!("{name}.json"),
        // A file's name has 255 bytes at most, and an id can have more than that when it is written
        // so.
        Some(beginning) => {
            let digest: String = Sha256::digest(id.as_bytes())
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            format!("{beginning}-{digest}.json")
        }
    }
}

/// Removes all but the newest files whose names are not among these.
fn forget_oldest(folder: &Path, known: &BTreeSet<String>, kept: usize) -> io::Result<()> {
    let mut others = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry
            .file_name()
            .to_str()
            .is_none_or(|name| !known.contains(name))
        {
            others.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    others.sort();
    let gone = others.len().saturating_sub(kept);
    others
        .into_iter()
        .take(gone)
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// Kills what a run has left that ended without seeing to it.
fn kill_rest(process: &Running, run: &str) -> io::Result<()> {
    let killed = process::kill_marked(process.pid, MARK, run)?;
    if killed > 0 {
        tracing::warn!(run = %run, killed, "processes that an ended run had left were killed");
    }
    Ok(())
}

/// Removes the folder of a run that is taken in.
fn remove(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::error!(
                %error,
                folder = %folder.display(),
                "the folder of an ended run cannot be removed",
            );
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{file_of_last, forget_oldest};
    use std::collections::BTreeSet;
    use std::fs::File;
    use std::time::{Duration, SystemTime};

    #[test]
    fn the_last_runs_of_known_jobs_are_kept_and_of_others_the_newest() {
        let folder = tempfile::tempdir().expect("a folder");
        for (age, id) in ["known", "oldest", "older", "newer", "newest"]
            .into_iter()
            .enumerate()
        {
            let file = File::create(folder.path().join(file_of_last(id))).expect("made");
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(age as u64))
                .expect("set");
        }
        let known = BTreeSet::from([file_of_last("known"), file_of_last("never run")]);
        let left = || -> BTreeSet<String> {
            let entries = std::fs::read_dir(folder.path()).expect("there");
            entries
                .map(|entry| {
                    entry
                        .expect("listed")
                        .file_name()
                        .into_string()
                        .expect("text")
                })
                .collect()
        };
        forget_oldest(folder.path(), &known, 4).expect("all are few enough");
        assert_eq!(left().len(), 5);
        forget_oldest(folder.path(), &known, 2).expect("removed");
        assert_eq!(
            left(),
            BTreeSet::from(["known", "newer", "newest"].map(file_of_last))
        );
    }

    #[test]
    fn every_id_of_a_job_has_a_file_of_its_own() {
        let long = "x".repeat(255);
        let ids = [
            "a",
            "a/b",
            "a%2Fb",
            "ü",
            &long,
            &format!("{long}y"),
            &"ü".repeat(120),
            &format!("{}ä", "ü".repeat(119)),
        ];
        let files: BTreeSet<String> = ids.iter().map(|id| file_of_last(id)).collect();
        assert_eq!(files.len(), ids.len());
        assert!(
            files
                .iter()
                .all(|file| file.len() <= 255 && !file.contains('/')),
            "{files:?}"
        );
    }
}

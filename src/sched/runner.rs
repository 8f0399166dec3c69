//! A run of a job: a process of its own, which does the actions one after the other and writes down
//! how they went.
//!
//! It outlives the scheduler that started it: a scheduler that is killed or replaced by a new
//! version ends no backup, and the next one finds the outcome.

use super::options::{self, ActionPlan, Argument};
use super::order::{ActionOutcome, AgentKind, MARK, RunFolder, RunOrder, RunOutcome};
use crate::model::Cancel;
use crate::model::job::{Action, AgentOptions, Documented, Field, RunResult, Words};
use crate::platform::durable::{self, Sharing};
use crate::platform::process::{End, Group, Program};
use crate::platform::{Clock, Running, pause};
use serde_json::Value;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

/// How often it is looked whether a program has ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// How long a program has to end in order.
const TIME_TO_END: Duration = Duration::from_secs(20);
/// Seconds between two tries, when the action does not say.
const USUAL_PAUSE: i64 = 60;
/// Most bytes of the end of the log that are kept.
const LOG_TAIL: u64 = 4096;
/// Most bytes of what an agent says of its backup.
const MOST_METADATA: u64 = 1 << 20;
/// What `freezer` ends with when it has done what it could, and that was not all.
const PARTIAL: i32 = 3;
/// The warning for a backup that ended so: it exists, but files are missing.
const NOT_ALL: &str = "not all of it was backed up: the log names the files that could not be \
    read, or the store that did not get it";
/// How long, and how often, a full disk is waited for.
const PAUSE_TO_KEEP: Duration = Duration::from_secs(2);
const TRIES_TO_KEEP: u32 = 1800;
/// The exit code of a process that SIGTERM ended.
const TERMINATED: i32 = 128 + 15;

/// Does what the order in a folder says, until `cancel` is raised.
///
/// # Errors
///
/// When the folder cannot be read or written. How the actions went is in the outcome.
pub fn run(folder: &RunFolder, clock: &dyn Clock, cancel: &Cancel) -> io::Result<()> {
    let mut order: RunOrder = folder.read("order.json")?.ok_or(io::ErrorKind::NotFound)?;
    order.actions.iter_mut().for_each(Documented::mend);
    folder.write("process.json", &Running::this_process())?;
    std::fs::remove_file(folder.file("order.json"))?;
    let log = durable::create_file(&folder.file("log"), Sharing::private())?;
    let mut run = RunProcess {
        folder,
        order: &order,
        cancel,
        log,
    };
    let (mut result, mut actions) = (RunResult::Success, Vec::new());
    for (number, action) in order.actions.iter().enumerate() {
        let outcome = if result != RunResult::Success && action.mandatory.get() != Some(&true)
            || cancel.is_requested()
        {
            run.left_out(action)
        } else {
            run.action(number, action)
        };
        match outcome.result {
            Some(RunResult::Success) | None => {}
            // As the original: the last one that was not done well.
            Some(other) => result = other,
        }
        actions.push(outcome);
    }
    if cancel.is_requested() {
        result = RunResult::Aborted;
    }
    keep(
        folder,
        &RunOutcome {
            result,
            ended: clock.now().as_second(),
            actions,
        },
    )
}

/// Writes down how it went. A full disk is waited for: what was done for hours is not to end as if
/// it had not been.
fn keep(folder: &RunFolder, outcome: &RunOutcome) -> io::Result<()> {
    let never = Cancel::new();
    for _ in 1..TRIES_TO_KEEP {
        match folder.write("outcome.json", outcome) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                pause(PAUSE_TO_KEEP, &never)
            }
            written => return written,
        }
    }
    folder.write("outcome.json", outcome)
}

struct RunProcess<'run> {
    folder: &'run RunFolder,
    order: &'run RunOrder,
    cancel: &'run Cancel,
    log: File,
}

/// A program that runs around an action.
#[derive(Clone, Copy)]
enum Script {
    /// Before it.
    Before,
    /// After it, whether or not it went well.
    After,
}

/// The outcome of one try.
struct Try {
    code: Option<i32>,
    result: RunResult,
    metadata: Option<Value>,
    /// Whether it may help to try again.
    again: bool,
}

impl RunProcess<'_> {
    fn left_out(&self, action: &Action) -> ActionOutcome {
        let action = name(action);
        ActionOutcome {
            action,
            result: None,
            exit_code: None,
            tries: 0,
            seconds: 0.0,
            log: String::new(),
            metadata: None,
            warning: None,
        }
    }

    /// Whatever goes wrong is how it went: what was changed before an action is put back after it
    /// in any case.
    fn action(&mut self, number: usize, action: &Action) -> ActionOutcome {
        let options = action.options().cloned().unwrap_or_default();
        let (began, log_from) = (
            crate::platform::monotonic(),
            self.log.metadata().map_or(0, |log| log.len()),
        );
        let number_of = |field: &Field<i64>, usual| field.get().copied().unwrap_or(usual);
        let most = number_of(&action.max_retries, 0).clamp(0, 1000);
        let between = number_of(&action.max_retries_interval, USUAL_PAUSE).clamp(0, 7 * 86_400);
        let mut tries = 0;
        let mut last = self.script(Script::Before, &options, "");
        if last.result == RunResult::Success {
            loop {
                tries += 1;
                last = match self.attempt(number, &options) {
                    Ok(attempt) => attempt,
                    Err(error) => {
                        self.refuse(format_args!("the action could not be done: {error}"))
                    }
                };
                if !last.again || i64::from(tries) > most || self.cancel.is_requested() {
                    break;
                }
                pause(Duration::from_secs(between.unsigned_abs()), self.cancel);
                if self.cancel.is_requested() {
                    break;
                }
            }
        }
        // Also after a failure: it puts back what the first one has changed.
        let after = self.script(Script::After, &options, last.result.word());
        let mut result = if self.cancel.is_requested() {
            RunResult::Aborted
        } else {
            last.result
        };
        if result == RunResult::Success {
            result = after.result;
        }
        let action = name(action);
        let partly = self.order.agent.kind == AgentKind::Freezer
            && action == "backup"
            && last.code == Some(PARTIAL);
        ActionOutcome {
            warning: partly.then(|| NOT_ALL.to_owned()),
            action,
            result: Some(result),
            exit_code: last.code,
            tries,
            seconds: began.elapsed().as_secs_f64(),
            log: self
                .log_since(log_from)
                .unwrap_or_else(|error| format!("the log cannot be read: {error}")),
            metadata: last.metadata,
        }
    }

    /// Runs the script of an action, if it has one: a program, with arguments if any, and no shell.
    fn script(&mut self, script: Script, options: &AgentOptions, so_far: &str) -> Try {
        let fine = Try {
            code: None,
            result: RunResult::Success,
            metadata: None,
            again: false,
        };
        let (key, command) = match script {
            Script::Before => ("pre_script", options.pre_script.loose_text()),
            Script::After => ("post_script", options.post_script.loose_text()),
        };
        if command.trim().is_empty() {
            return fine;
        }
        if !self.order.commands {
            return self.refuse(format_args!(
                "{key}: commands of the server are not run on this node"
            ));
        }
        let programs = match options::pipeline(command) {
            Ok(programs) => programs,
            Err(error) => return self.refuse(format_args!("{key}: {error}")),
        };
        // The script that puts things back is not cut off by an abort.
        let cancel = match script {
            Script::Before => self.cancel.clone(),
            Script::After => Cancel::new(),
        };
        let programs: Vec<Program> = programs.into_iter().map(program).collect();
        let ran = self
            .log
            .try_clone()
            .and_then(|output| self.programs(&programs, so_far, &output, &cancel));
        match ran {
            Ok(code) => Try {
                code,
                result: if code == Some(0) {
                    RunResult::Success
                } else {
                    RunResult::Fail
                },
                ..fine
            },
            Err(error) => self.refuse(format_args!("{key}: {error}")),
        }
    }

    fn refuse(&mut self, why: std::fmt::Arguments<'_>) -> Try {
        self.note(why);
        Try {
            code: None,
            result: RunResult::Fail,
            metadata: None,
            again: false,
        }
    }

    /// Writes to the log, if it can be written: a full disk ends no run, and leaves no program
    /// without its watcher.
    fn note(&mut self, what: std::fmt::Arguments<'_>) {
        writeln!(self.log, "freezer: {what}").ok();
    }

    fn attempt(&mut self, number: usize, options: &AgentOptions) -> io::Result<Try> {
        match options::plan(options, self.order.agent.kind) {
            Err(error) => Ok(self.refuse(format_args!("{error}"))),
            Ok(ActionPlan::Pipeline(_)) if !self.order.commands => Ok(self.refuse(format_args!(
                "the action exec is not done on this node: its scheduler refuses \
                             commands of the server"
            ))),
            Ok(ActionPlan::Pipeline(programs)) => {
                let output = self.log.try_clone()?;
                let cancel = self.cancel.clone();
                let code = self.programs(
                    &programs.into_iter().map(program).collect::<Vec<_>>(),
                    "",
                    &output,
                    &cancel,
                )?;
                Ok(self.tried(code, None, &[0]))
            }
            Ok(ActionPlan::Agent { arguments, config }) => {
                let is_backup = options.action_or_backup() == "backup";
                self.agent(number, arguments, &config, is_backup)
            }
        }
    }

    fn agent(
        &mut self,
        number: usize,
        arguments: Vec<Argument>,
        config: &str,
        is_backup: bool,
    ) -> io::Result<Try> {
        let (config_file, metadata_file) = (
            self.folder.file(&format!("config-{number}")),
            self.folder.file(&format!("metadata-{number}")),
        );
        let output_file = self.folder.file(&format!("output-{number}"));
        for file in [&config_file, &metadata_file, &output_file] {
            remove(file)?;
        }
        self.write_config(&config_file, config)?;
        let words = arguments.into_iter().map(|argument| match argument {
            Argument::Word(word) => word.into(),
            Argument::Config => config_file.clone().into_os_string(),
            Argument::MetadataOut => metadata_file.clone().into_os_string(),
        });
        let agent = Program {
            program: self.order.agent.program.clone().into_os_string(),
            arguments: words.collect(),
        };
        let output = durable::create_file(&output_file, Sharing::private())?;
        let cancel = self.cancel.clone();
        let code = self.programs(&[agent], "", &output, &cancel);
        // There may be secrets in it.
        remove(&config_file)?;
        let code = code?;
        let metadata = [&metadata_file, &output_file]
            .into_iter()
            .find_map(|file| read_object(file));
        remove(&metadata_file)?;
        // Text for people belongs to the log.
        if metadata.is_none() {
            let copied = File::open(&output_file)
                .and_then(|output| io::copy(&mut output.take(LOG_TAIL), &mut self.log));
            if let Err(error) = copied {
                self.note(format_args!(
                    "what the agent printed cannot be kept: {error}"
                ));
            }
        }
        remove(&output_file)?;
        let is_ours = self.order.agent.kind == AgentKind::Freezer;
        // A backup without some files is one. A restore, repair or copy that is not whole is not
        // what was wanted.
        let fine: &[i32] = if is_ours && is_backup {
            &[0, PARTIAL]
        } else {
            &[0]
        };
        let tried = self.tried(code, metadata, fine);
        // What could not be done is not to be had by doing all of it again.
        let again = tried.again && !(is_ours && code == Some(PARTIAL));
        Ok(Try { again, ..tried })
    }

    /// The settings of the node first: those of the action win.
    fn write_config(&self, path: &std::path::Path, config: &str) -> io::Result<()> {
        let mut file = durable::create_file(path, Sharing::private())?;
        for defaults in &self.order.defaults {
            match std::fs::read(defaults) {
                Ok(text) => file.write_all(&text).and_then(|()| file.write_all(b"\n"))?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        file.write_all(config.as_bytes())
    }

    /// How a try went, whose program is content with these numbers.
    fn tried(&self, code: Option<i32>, metadata: Option<Value>, fine: &[i32]) -> Try {
        let result = match code {
            Some(code) if fine.contains(&code) => RunResult::Success,
            Some(TERMINATED) => RunResult::Aborted,
            _ if self.cancel.is_requested() => RunResult::Aborted,
            _ => RunResult::Fail,
        };
        Try {
            code,
            result,
            metadata,
            again: result == RunResult::Fail,
        }
    }

    /// Runs programs to their end, or to the end of their time. None if they could not be started
    /// or took too long.
    fn programs(
        &mut self,
        programs: &[Program],
        so_far: &str,
        output: &File,
        cancel: &Cancel,
    ) -> io::Result<Option<i32>> {
        let variables = [
            (MARK, self.order.run.clone()),
            ("FREEZER_JOB_ID", self.order.job.clone()),
            ("FREEZER_DUE", self.order.due.to_string()),
            ("FREEZER_RESULT", so_far.to_owned()),
        ];
        let mut group = match Group::start(programs, &variables, output, &self.log) {
            Ok(group) => group,
            Err(error) => {
                let named = programs
                    .first()
                    .map(|program| program.program.to_string_lossy().into_owned())
                    .unwrap_or_default();
                self.note(format_args!("could not start {named}: {error}"));
                return Ok(None);
            }
        };
        let limit = self
            .order
            .time_limit
            .map(|seconds| crate::platform::monotonic() + Duration::from_secs(seconds));
        let never = Cancel::new();
        let mut told: Option<Instant> = None;
        let mut too_long = false;
        let code = loop {
            if let Some(code) = group.ended()? {
                break code;
            }
            let now = crate::platform::monotonic();
            if told.is_none() {
                too_long = limit.is_some_and(|limit| now >= limit);
                if too_long {
                    self.note(format_args!(
                        "ended after {} seconds, its time limit",
                        self.order.time_limit.unwrap_or_default()
                    ));
                }
                if too_long || cancel.is_requested() {
                    group.end(End::Gently)?;
                    told = Some(now + TIME_TO_END);
                }
            } else if told.is_some_and(|until| now >= until) {
                group.end(End::AtOnce)?;
            }
            pause(LOOK_EVERY, &never);
        };
        if told.is_some() {
            // What it started and left behind. Its number may not be given to others before the
            // leader is waited for; a moment later it is as good as certain that it has not been.
            group.end(End::AtOnce)?;
        }
        Ok((!too_long).then_some(code))
    }

    fn log_since(&self, from: u64) -> io::Result<String> {
        let mut log = File::open(self.folder.file("log"))?;
        let length = log.metadata()?.len();
        log.seek(SeekFrom::Start(from.max(length.saturating_sub(LOG_TAIL))))?;
        let mut bytes = Vec::new();
        log.take(LOG_TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn name(action: &Action) -> String {
    let options = action.options();
    let name = options.map_or("backup", AgentOptions::action_or_backup);
    name.to_owned()
}

fn program(words: Vec<String>) -> Program {
    let mut words = words.into_iter();
    Program {
        program: words.next().unwrap_or_default().into(),
        arguments: words.map(Into::into).collect(),
    }
}

fn remove(file: &std::path::Path) -> io::Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The JSON object that a file holds and nothing else.
fn read_object(file: &std::path::Path) -> Option<Value> {
    let mut text = String::new();
    File::open(file)
        .ok()?
        .take(MOST_METADATA)
        .read_to_string(&mut text)
        .ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    value
        .as_object()
        .is_some_and(|object| !object.is_empty())
        .then_some(value)
}

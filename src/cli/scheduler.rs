//! `freezer scheduler`.

use super::failure::{Outcome, Usage};
use super::interrupt;
use super::output::{Column, Format};
use super::outside::outside_stores;
use super::remote::{ServerOptions, connect};
use super::session::Session;
use super::when;
use crate::platform::process::{self, Background, End};
use crate::platform::{host_name, pause};
use crate::sched::book::{Book, Rules};
use crate::sched::daemon::{self, DaemonError, JobSource, SchedulerSettings, Signals, WorkSpan};
use crate::sched::journal::Journal;
use crate::sched::order::{Agent, AgentKind, RunFolder};
use crate::sched::runner;
use crate::sched::timetable::Lateness;
use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use signal_hook::consts::SIGHUP;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// How a process in the background is told that it is one.
const IN_BACKGROUND: &str = "--in-background";
/// How long `stop` waits.
const TIME_TO_STOP: Duration = Duration::from_secs(60);

/// Run this node's jobs when they are due
///
/// Takes jobs from a Freezer API, or with --no-api from a folder, runs each as a process of its
/// own, and tells the server how it went. While the server is away it goes on with the jobs that it
/// knows. To stop or restart the scheduler ends no run: the next one finds it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer scheduler start                                 with the server of freezer api --dev, or of OpenStack
  freezer scheduler start --foreground --api-url https://freezer:9090 --api-token-file /etc/freezer/token
  freezer scheduler once --no-api --jobs-dir ./jobs
  freezer scheduler status")]
pub(super) struct Arguments {
    #[command(flatten)]
    server: ServerOptions,

    /// What this node is called [default: PROJECT_HOSTNAME]
    #[arg(long, value_name = "ID", global = true, help_heading = "The node")]
    client_id: Option<String>,

    /// Talk to no server: jobs come from --jobs-dir
    #[arg(long, global = true, help_heading = "The node")]
    no_api: bool,

    /// Where job files are: a folder with files that end in .conf or .json, or one file
    #[arg(
        long,
        alias = "conf",
        value_name = "PATH",
        default_value = "/etc/freezer/scheduler/conf.d",
        global = true,
        help_heading = "The node"
    )]
    jobs_dir: PathBuf,

    /// Where the scheduler keeps what it has to remember [default:
    /// ~/.local/state/freezer/scheduler]
    #[arg(long, value_name = "FOLDER", global = true, help_heading = "The node")]
    state_dir: Option<PathBuf>,

    /// Seconds between two looks for new jobs
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=86_400), global = true)]
    #[arg(help_heading = "When")]
    interval: u64,

    /// What dates without an offset, and hours and minutes of timetables, mean: local, or a name
    /// such as Europe/Berlin
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        global = true,
        help_heading = "When"
    )]
    time_zone: String,

    /// Make up for runs that were missed: one for all of them, however late it is. Else a run is
    /// missed for good when it is an hour late
    #[arg(long, global = true, help_heading = "When")]
    run_missed: bool,

    /// How many jobs run at once; others wait, those of higher priority less
    #[arg(long, value_name = "NUMBER", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=1000), global = true)]
    #[arg(help_heading = "How")]
    concurrent_jobs: u16,

    /// End an action that takes longer (90s, 10m, 2h) [default: no limit]
    #[arg(long, value_name = "DURATION", global = true, help_heading = "How")]
    time_limit: Option<String>,

    /// Run no commands of the server: neither the action exec nor scripts before and after actions
    #[arg(long, global = true, help_heading = "How")]
    disable_exec: bool,

    /// Have the original's freezer-agent do the actions; the name of its file, if it is not
    /// freezer-agent
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, require_equals = true, default_missing_value = "freezer-agent", global = true)]
    #[arg(help_heading = "How")]
    original_agent: Option<PathBuf>,

    /// Other schedulers have the same client: run nothing that the server cannot be asked about
    #[arg(long, global = true, help_heading = "How")]
    cluster: bool,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Begin, in the background or with --foreground for service managers
    #[command(after_help = "Example:\n  freezer scheduler start --foreground")]
    Start {
        /// Stay, and log to standard error
        #[arg(long, visible_alias = "no-daemon")]
        foreground: bool,
        /// This is the process in the background.
        #[arg(long, hide = true)]
        in_background: bool,
    },
    /// End the scheduler; runs that are under way go on
    #[command(after_help = "Example:\n  freezer scheduler stop")]
    Stop,
    /// Show whether it runs, its jobs, and how their last runs went
    #[command(after_help = "Example:\n  freezer scheduler status --json")]
    Status,
    /// Have it look at once for what has changed
    #[command(after_help = "Example:\n  freezer scheduler reload")]
    Reload,
    /// Run what is due now, wait for its end, and end
    #[command(after_help = "Example:\n  freezer scheduler once --no-api --jobs-dir ./jobs")]
    Once,
    /// This is the process of a run.
    #[command(hide = true)]
    RunJob {
        /// Its folder
        folder: PathBuf,
    },
}

/// Gives a process in the background, which has no terminal, a log file if nobody named one.
pub(super) fn choose_log_file(arguments: &Arguments, session: &mut Session) -> anyhow::Result<()> {
    let Command::Start {
        in_background: true,
        ..
    } = arguments.command
    else {
        return Ok(());
    };
    if session.common.log_file.is_none() {
        let folder = state_folder(arguments, session)?;
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("could not make {}", folder.display()))?;
        session.common.log_file = Some(folder.join("scheduler.log"));
    }
    Ok(())
}

pub(super) fn run(arguments: Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    match &arguments.command {
        Command::Start {
            foreground: false,
            in_background: false,
        } => in_background(&arguments, session),
        Command::Start { in_background, .. } => {
            let told = if *in_background {
                Told::Parent
            } else {
                Told::Nobody
            };
            work(&arguments, WorkSpan::Always, told, session)
        }
        Command::Once => work(&arguments, WorkSpan::Once, Told::Nobody, session),
        Command::Stop => stop(&arguments, session),
        Command::Status => status(&arguments, session),
        Command::Reload => {
            let folder = state_folder(&arguments, session)?;
            let Some(process) = daemon::running(&folder)? else {
                bail!("no scheduler runs with the folder {}", folder.display())
            };
            process::end(&process, End::Reload).context("could not tell the scheduler")?;
            Ok(Outcome::Done)
        }
        Command::RunJob { folder } => {
            process::leave_session().context("could not leave the session")?;
            let cancel = interrupt::watch()?;
            runner::run(&RunFolder::at(folder.clone()), &session.clock, &cancel)
                .context("could not do what was ordered")?;
            Ok(Outcome::Done)
        }
    }
}

/// Who waits to hear that it has begun.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Parent,
    Nobody,
}

fn in_background(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    // Said here, where somebody reads it.
    source(arguments, session)?;
    let program = std::env::current_exe().context("could not find this program's file")?;
    let typed = std::env::args_os().skip(1).chain([IN_BACKGROUND.into()]);
    match process::start_in_background(&program, typed)
        .context("could not start a process in the background")?
    {
        Background::Ready(process) => {
            if session.output.format == Format::Json {
                session
                    .output
                    .json(&json!({ "started": true, "process": process }))?;
            } else {
                session.output.note(format_args!(
                    "the scheduler runs, as process {process}; freezer scheduler stop ends it"
                ));
            }
            Ok(Outcome::Done)
        }
        Background::Ended(status) => Ok(Outcome::Told(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(super::failure::FAILED),
        )),
    }
}

fn work(
    arguments: &Arguments,
    span: WorkSpan,
    told: Told,
    session: &mut Session,
) -> anyhow::Result<Outcome> {
    let settings = settings(arguments, session)?;
    let source = source(arguments, session)?;
    if told == Told::Parent {
        process::leave_session().context("could not leave the terminal")?;
    }
    let signals = Signals {
        cancel: interrupt::watch()?,
        reload: Arc::new(AtomicBool::new(false)),
    };
    signal_hook::flag::register(SIGHUP, Arc::clone(&signals.reload))
        .context("could not watch for signals")?;
    let mut ready = Ok(());
    daemon::run(
        settings,
        source,
        Arc::new(session.clock),
        span,
        &signals,
        || {
            if told == Told::Parent {
                ready = process::report_ready().context("nobody waits for the scheduler any more");
            }
            tracing::info!("the scheduler begins");
        },
    )?;
    tracing::info!("the scheduler ends");
    ready.map(|()| Outcome::Done)
}

fn state_folder(arguments: &Arguments, session: &Session) -> anyhow::Result<PathBuf> {
    let usual = || session.environment.default_scheduler_folder();
    let folder = arguments.state_dir.clone().or_else(usual);
    let folder = folder.ok_or_else(|| {
        Usage::new("there is no home directory to remember jobs in")
            .hint("name a folder: --state-dir FOLDER")
    })?;
    outside_stores("what the scheduler remembers", &folder)?;
    std::path::absolute(&folder).with_context(|| format!("could not find {}", folder.display()))
}

fn source(arguments: &Arguments, session: &Session) -> anyhow::Result<JobSource> {
    if arguments.no_api {
        return Ok(JobSource::Folder(arguments.jobs_dir.clone()));
    }
    Ok(JobSource::Server(Box::new(connect(
        &arguments.server,
        session,
    )?)))
}

fn settings(arguments: &Arguments, session: &Session) -> anyhow::Result<SchedulerSettings> {
    let agent = match &arguments.original_agent {
        Some(program) => Agent {
            program: program.clone(),
            kind: AgentKind::Original,
        },
        None => Agent {
            program: own_file()?,
            kind: AgentKind::Freezer,
        },
    };
    let time_limit = arguments.time_limit.as_deref().map(length).transpose()?;
    Ok(SchedulerSettings {
        folder: state_folder(arguments, session)?,
        client_id: arguments.client_id.clone(),
        host: host_name().context("could not find out this machine's name")?,
        interval: Duration::from_secs(arguments.interval),
        places: arguments.concurrent_jobs.into(),
        rules: rules(arguments)?,
        defaults: match (&agent.kind, &session.common.config) {
            (AgentKind::Original, _) => Vec::new(),
            (AgentKind::Freezer, Some(config)) => {
                vec![std::path::absolute(config).context("could not find the configuration file")?]
            }
            (AgentKind::Freezer, None) => match session.environment.config_file() {
                Some(file) => vec![
                    std::path::absolute(file).context("could not find the configuration file")?,
                ],
                None => session.environment.default_config_files(),
            },
        },
        agent,
        program: own_file()?,
        commands: !arguments.disable_exec,
        time_limit: time_limit.map(|limit| limit.as_secs().max(1)),
        cluster: arguments.cluster,
    })
}

fn own_file() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("could not find this program's file")
}

fn rules(arguments: &Arguments) -> anyhow::Result<Rules> {
    let zone = match &*arguments.time_zone {
        "local" => TimeZone::system(),
        name => TimeZone::get(name).map_err(|_| {
            Usage::new(format!("there is no time zone {name}")).hint("write it like Europe/Berlin")
        })?,
    };
    Ok(Rules {
        zone,
        lateness: Lateness {
            grace: Duration::from_hours(1),
            make_up: arguments.run_missed,
        },
        dead_after: Duration::from_hours(24),
        cluster: arguments.cluster,
        changes_start: arguments.no_api,
    })
}

/// `90s`, `10m`, `2h`.
fn length(text: &str) -> anyhow::Result<Duration> {
    let length = text
        .parse::<SignedDuration>()
        .ok()
        .and_then(|length| Duration::try_from(length).ok());
    Ok(length.ok_or_else(|| {
        Usage::new(format!("{text:?} is no length of time")).hint("write it like 90s, 10m or 2h")
    })?)
}

fn stop(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let folder = state_folder(arguments, session)?;
    let Some(process) = daemon::running(&folder)? else {
        session.output.note("no scheduler runs");
        return Ok(Outcome::Done);
    };
    process::end(&process, End::Gently).context("could not tell the scheduler to end")?;
    let until = crate::platform::monotonic() + TIME_TO_STOP;
    let cancel = interrupt::watch()?;
    while daemon::running(&folder)?.is_some() {
        if crate::platform::monotonic() > until || cancel.is_requested() {
            bail!("the scheduler, process {}, has not ended yet", process.pid);
        }
        pause(Duration::from_millis(50), &cancel);
    }
    session
        .output
        .note("the scheduler has ended; runs that are under way go on");
    Ok(Outcome::Done)
}

/// How the last run of a job went, as the scheduler wrote it down.
fn last_runs(folder: &Path) -> Vec<Value> {
    let entries = std::fs::read_dir(folder.join("last"))
        .into_iter()
        .flatten()
        .filter_map(Result::ok);
    entries
        .filter_map(|entry| serde_json::from_slice(&std::fs::read(entry.path()).ok()?).ok())
        .collect()
}

/// Whether a run has something to be seen to although it went well.
fn has_warning(run: &Value) -> bool {
    let actions = run.pointer("/outcome/actions").and_then(Value::as_array);
    actions
        .into_iter()
        .flatten()
        .any(|action| action.get("warning").is_some())
}

fn status(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Outcome> {
    let folder = state_folder(arguments, session)?;
    let process = daemon::running(&folder)?;
    let (_, memory) = Journal::open(folder.join("journal.json")).map_err(DaemonError::from)?;
    let cached = std::fs::read(folder.join("jobs.json")).unwrap_or_default();
    let book = Book::new(
        rules(arguments)?,
        memory.jobs,
        serde_json::from_slice(&cached).unwrap_or_default(),
    );
    let last = last_runs(&folder);
    let last_of = |id: &str| {
        last.iter()
            .find(|run| run.get("job").and_then(Value::as_str) == Some(id))
    };
    if session.output.format == Format::Json {
        let jobs: Vec<Value> = book
            .records()
            .iter()
            .map(|(id, record)| {
                json!({ "job_id": id, "description": book.document(id).map(|job| &job.description), "record": record,
                    "next": book.next(id), "last_run": last_of(id) })
            })
            .collect();
        session.output.json(
            &json!({ "running": process.is_some(), "process": process.map(|process| process.pid),
            "client_id": memory.client_id, "jobs": jobs, "last_runs": last }),
        )?;
        return Ok(Outcome::Done);
    }
    match process {
        Some(process) => session.output.note(format_args!(
            "the scheduler runs, as process {}",
            process.pid
        )),
        None => session.output.note("no scheduler runs"),
    }
    let show = |second: i64| {
        Timestamp::from_second(second)
            .ok()
            .filter(|_| second > 0)
            .map(|at| when::show(at, &session.zone))
    };
    let rows: Vec<_> = book
        .records()
        .iter()
        .map(|(id, record)| {
            let description = book.document(id).map_or("", |job| job.description.text());
            [
                id.clone(),
                description.chars().filter(|c| !c.is_control()).collect(),
                serde_json::to_value(record.state)
                    .ok()
                    .and_then(|state| state.as_str().map(str::to_owned))
                    .unwrap_or_default(),
                book.next(id)
                    .map(|next| when::show(next, &session.zone))
                    .unwrap_or_default(),
                show(record.started).unwrap_or_default(),
                if record.result == "success" && last_of(id).is_some_and(has_warning) {
                    "success, not all".into()
                } else {
                    record.result.clone()
                },
                record.missed.to_string(),
            ]
        })
        .collect();
    let mut columns = [
        "JOB",
        "DESCRIPTION",
        "STATE",
        "NEXT",
        "LAST RUN",
        "RESULT",
        "MISSED",
    ]
    .map(Column::text);
    columns[6] = Column::number("MISSED");
    session.output.table(columns, &rows)?;
    // What went wrong, with the words of the agent.
    for run in &last {
        for action in run
            .pointer("/outcome/actions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let text = |key: &str| action.get(key).and_then(Value::as_str).unwrap_or("");
            if text("result") == "fail" || action.get("warning").is_some() {
                let job = run.get("job").and_then(Value::as_str).unwrap_or("");
                let how = match text("warning") {
                    "" => "failed",
                    warning => warning,
                };
                session.output.line(format_args!(
                    "\n{job}: {}: {how} (exit code {})",
                    text("action"),
                    action["exit_code"]
                ))?;
                for line in text("log")
                    .lines()
                    .rev()
                    .take(10)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                {
                    let line: String = line.chars().filter(|c| !c.is_control()).collect();
                    session.output.line(format_args!("    {line}"))?;
                }
            }
        }
    }
    Ok(Outcome::Done)
}

//! `freezer scheduler`.

mod arguments;
mod settings;
mod status;

pub(in crate::cli) use arguments::Arguments;

use crate::cli::interrupt::{self, ProcessKind};
use crate::cli::open::server::connect;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Completion;
use crate::cli::show::output::OutputForm;
use crate::model::{Exit, Interrupted};
use crate::platform::pause;
use crate::platform::process::{self, Background, End};
use crate::sched::daemon::{self, JobSource, Signals, WorkSpan};
use crate::sched::order::RunFolder;
use crate::sched::runner;
use anyhow::{Context, bail};
use arguments::Command;
use serde_json::json;
use settings::{settings, state_folder};
use signal_hook::consts::SIGHUP;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// The option that tells a process that it is the one in the background.
const IN_BACKGROUND: &str = "--in-background";
/// How long `stop` waits for the scheduler to end.
const TIME_TO_STOP: Duration = Duration::from_secs(60);

/// Chooses a log file for a process in the background, which has no terminal, if none is named.
pub(in crate::cli) fn choose_log_file(
    arguments: &Arguments,
    session: &mut Session,
) -> anyhow::Result<()> {
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

pub(in crate::cli) fn run(
    arguments: Arguments,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    match &arguments.command {
        Command::Start {
            foreground: false,
            in_background: false,
        } => in_background(&arguments, session),
        Command::Start { in_background, .. } => {
            let message = if *in_background {
                ReadyMessage::ToParent
            } else {
                ReadyMessage::ToNobody
            };
            work(&arguments, WorkSpan::Always, message, session)
        }
        Command::Once => work(&arguments, WorkSpan::Once, ReadyMessage::ToNobody, session),
        Command::Stop => stop(&arguments, session),
        Command::Status => status::run(&arguments, session),
        Command::Reload => {
            let folder = state_folder(&arguments, session)?;
            let Some(process) = daemon::running(&folder)? else {
                bail!("no scheduler runs with the folder {}", folder.display())
            };
            process::end(&process, End::Reload).context("could not tell the scheduler")?;
            Ok(Completion::Done)
        }
        Command::RunJob { folder } => {
            process::leave_session().context("could not leave the session")?;
            let cancel = interrupt::watch(ProcessKind::ScheduledRun, &session.screen)?;
            runner::run(&RunFolder::at(folder.clone()), &session.clock, &cancel)
                .context("could not carry out the order")?;
            Ok(Completion::Done)
        }
    }
}

/// Whether another process waits to hear that the scheduler runs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ReadyMessage {
    ToParent,
    ToNobody,
}

/// Starts a scheduler in the background.
fn in_background(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Completion> {
    // An error is reported here, where somebody reads it.
    source(arguments, session)?;
    let program = std::env::current_exe().context("could not find this program's file")?;
    let typed = std::env::args_os().skip(1).chain([IN_BACKGROUND.into()]);
    match process::start_in_background(&program, typed)
        .context("could not start a process in the background")?
    {
        Background::Ready(process) => {
            if session.output.form == OutputForm::Json {
                session
                    .output
                    .json(&json!({ "started": true, "process": process }))?;
            } else {
                session.output.note(format_args!(
                    "the scheduler runs, as process {process}; freezer scheduler stop ends it"
                ));
            }
            Ok(Completion::Done)
        }
        Background::Ended(status) => Ok(Completion::OfAnother(
            status
                .code()
                .and_then(|code| u8::try_from(code).ok())
                .unwrap_or(Exit::Failed.code()),
        )),
    }
}

/// Runs the scheduler in this process.
fn work(
    arguments: &Arguments,
    span: WorkSpan,
    message: ReadyMessage,
    session: &mut Session,
) -> anyhow::Result<Completion> {
    let settings = settings(arguments, session)?;
    let source = source(arguments, session)?;
    if message == ReadyMessage::ToParent {
        process::leave_session().context("could not leave the terminal")?;
    }
    let signals = Signals {
        cancel: interrupt::watch(ProcessKind::Scheduler, &session.screen)?,
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
            if message == ReadyMessage::ToParent {
                ready = process::report_ready()
                    .context("the process that waited for the scheduler has gone");
            }
            tracing::info!("the scheduler begins");
        },
    )?;
    tracing::info!("the scheduler ends");
    if span == WorkSpan::Once && signals.cancel.is_requested() {
        return Err(anyhow::Error::new(Interrupted)
            .context("the scheduler was interrupted; runs that are under way go on"));
    }
    ready.map(|()| Completion::Done)
}

/// Returns where jobs come from.
fn source(arguments: &Arguments, session: &Session) -> anyhow::Result<JobSource> {
    if arguments.no_api {
        return Ok(JobSource::Folder(arguments.jobs_dir.clone()));
    }
    Ok(JobSource::Server(Box::new(connect(
        &arguments.server,
        session,
    )?)))
}

/// Tells the scheduler to end, and waits for that.
fn stop(arguments: &Arguments, session: &mut Session) -> anyhow::Result<Completion> {
    let folder = state_folder(arguments, session)?;
    let Some(process) = daemon::running(&folder)? else {
        session.output.note("no scheduler runs");
        return Ok(Completion::Done);
    };
    process::end(&process, End::Gently).context("could not tell the scheduler to end")?;
    let until = crate::platform::monotonic() + TIME_TO_STOP;
    let cancel = interrupt::watch(ProcessKind::Command, &session.screen)?;
    while daemon::running(&folder)?.is_some() {
        if cancel.is_requested() {
            return Err(Interrupted.into());
        }
        if crate::platform::monotonic() > until {
            bail!("the scheduler, process {}, has not ended yet", process.pid);
        }
        pause(Duration::from_millis(50), &cancel);
    }
    session
        .output
        .note("the scheduler has ended; runs that are under way go on");
    Ok(Completion::Done)
}

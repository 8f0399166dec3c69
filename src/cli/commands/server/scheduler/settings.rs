//! The settings of a scheduler, as its arguments say.

use super::arguments::Arguments;
use crate::cli::open::outside::outside_stores;
use crate::cli::open::session::Session;
use crate::cli::show::failure::Usage;
use crate::platform::host_name;
use crate::sched::book::Rules;
use crate::sched::daemon::SchedulerSettings;
use crate::sched::order::{Agent, AgentKind};
use crate::sched::timetable::Lateness;
use anyhow::Context;
use jiff::tz::TimeZone;
use std::path::PathBuf;
use std::time::Duration;

/// Returns the folder for the state of the scheduler.
pub(super) fn state_folder(arguments: &Arguments, session: &Session) -> anyhow::Result<PathBuf> {
    let usual = || session.environment.default_scheduler_folder();
    let folder = arguments.state_dir.clone().or_else(usual);
    let folder = folder.ok_or_else(|| {
        Usage::new("there is no home directory to keep the state of jobs in")
            .hint("name a folder: --state-dir FOLDER")
    })?;
    outside_stores("the state of the scheduler", &folder)?;
    std::path::absolute(&folder).with_context(|| format!("could not find {}", folder.display()))
}

/// Returns the settings of the daemon.
pub(super) fn settings(
    arguments: &Arguments,
    session: &Session,
) -> anyhow::Result<SchedulerSettings> {
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
    Ok(SchedulerSettings {
        folder: state_folder(arguments, session)?,
        client_id: arguments.client_id.clone(),
        host: host_name().context("could not find out this machine's name")?,
        interval: arguments.interval.0,
        places: arguments.concurrent_jobs.into(),
        rules: rules(arguments)?,
        defaults: config_files(&agent.kind, session)?,
        agent,
        program: own_file()?,
        commands: !arguments.disable_exec,
        time_limit: arguments.time_limit.map(|limit| limit.0.as_secs().max(1)),
        cluster: arguments.cluster,
    })
}

/// Returns the path of this program.
fn own_file() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("could not find this program's file")
}

/// Returns the rules for the timetables.
pub(super) fn rules(arguments: &Arguments) -> anyhow::Result<Rules> {
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

/// Returns the configuration files that runs of our own agent read.
fn config_files(agent: &AgentKind, session: &Session) -> anyhow::Result<Vec<PathBuf>> {
    let named = match (agent, &session.common.config) {
        (AgentKind::Original, _) => return Ok(Vec::new()),
        (AgentKind::Freezer, Some(config)) => Some(config),
        (AgentKind::Freezer, None) => session.environment.config_file(),
    };
    match named {
        Some(file) => {
            let file =
                std::path::absolute(file).context("could not find the configuration file")?;
            Ok(vec![file])
        }
        None => Ok(session.environment.default_config_files()),
    }
}

//! One run of the program: reads the arguments, opens a session, runs the command and returns its
//! exit code.

use crate::cli::arguments::{Arguments, Command};
use crate::cli::commands::local::{
    backup, cat, check, completions, diff, du, export, find, init, key, list, ls, mount, prune,
    repack, repair, restore, sync, unlock, upgrade_store,
};
use crate::cli::commands::server::{api, remote, scheduler};
use crate::cli::open::session::Session;
use crate::cli::options::common::Common;
use crate::cli::options::sections::NamedStore;
use crate::cli::options::{foreign_words, layers, not_empty, original};
use crate::cli::show::failure::{Completion, FailureReport};
use crate::cli::show::output::{Output, OutputForm};
use crate::cli::show::screen::Screen;
use crate::config::Environment;
use crate::model::Exit;
use clap::{CommandFactory, FromArgMatches};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the program with these arguments, its own name first.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    crate::platform::forbid_core_files();
    let environment = Environment::of_process();
    let screen = Screen::default();
    let parsed = match parse(arguments, &environment) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &screen),
    };
    let Common { json, quiet, .. } = parsed.arguments.common;
    let form = if json {
        OutputForm::Json
    } else {
        OutputForm::Text
    };
    let output = Output::new(form, quiet, screen.clone());
    for path in parsed.open_files {
        output.warn(format_args!(
            "other users may read the secrets in {}: chmod 600 prevents that",
            path.display()
        ));
    }
    let Arguments { common, command } = parsed.arguments;
    let mut session = Session::new(common, parsed.stores, environment, output, screen);
    let ended = dispatch(command, &mut session)
        .and_then(|ending| Ok(session.output.flush().map(|()| ending)?));
    match ended {
        Ok(ending) => ending.code().into(),
        Err(error) => session.report(&error),
    }
}

/// The command line, parsed.
struct Parsed {
    arguments: Arguments,
    /// The stores that the configuration describes.
    stores: Vec<NamedStore>,
    /// Files that hold secrets and that other users may read.
    open_files: BTreeSet<PathBuf>,
}

fn parse(typed: Vec<OsString>, environment: &Environment) -> anyhow::Result<Parsed> {
    let program = not_empty::everywhere(Arguments::command());
    let layered = layers::layer(typed, &program, environment)?;
    let matches = program.try_get_matches_from(layered.arguments)?;
    Ok(Parsed {
        arguments: Arguments::from_arg_matches(&matches)?,
        stores: layered.stores,
        open_files: layered.open_files,
    })
}

/// Reports what is wrong with the command line, or prints the help that was asked for.
fn refuse(error: &anyhow::Error, screen: &Screen) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        if let Some(refusal) = original::refusal(error).or_else(|| foreign_words::refusal(error)) {
            screen.print(&refusal);
            return Exit::Usage.code().into();
        }
        // It is no failure if nobody reads the help.
        error.print().ok();
        std::io::stdout().flush().ok();
        return if error.use_stderr() {
            Exit::Usage.code().into()
        } else {
            ExitCode::SUCCESS
        };
    }
    match FailureReport::of(error) {
        None => ExitCode::SUCCESS,
        Some(report) => {
            screen.print(&report.to_string());
            report.exit_code.into()
        }
    }
}

/// Runs the command.
fn dispatch(command: Command, session: &mut Session) -> anyhow::Result<Completion> {
    // These describe the program, and need neither a log file nor a store.
    match &command {
        Command::Completions(arguments) => {
            return completions::run(arguments, Arguments::command(), session);
        }
        Command::Man(arguments) => return completions::man(arguments, Arguments::command()),
        _ => {}
    }
    if let Command::Mount(arguments) = &command {
        mount::choose_log_file(arguments, session);
    }
    if let Command::Scheduler(arguments) = &command {
        scheduler::choose_log_file(arguments, session)?;
    }
    session.start_logging()?;
    session.common.effort.set()?;
    match command {
        Command::Backup(arguments) => backup::run(*arguments, session),
        Command::Init(arguments) => init::run(&arguments, session),
        Command::List(arguments) => list::run(&arguments, session),
        Command::Ls(arguments) => ls::run(&arguments, session),
        Command::Cat(arguments) => cat::run(&arguments, session),
        Command::Mount(arguments) => mount::run(&arguments, session),
        Command::Umount(arguments) => mount::unmount(&arguments, session),
        Command::Restore(arguments) => restore::run(arguments, session),
        Command::Export(arguments) => export::run(&arguments, session),
        Command::Check(arguments) => check::run(&arguments, session),
        Command::Repair(arguments) => repair::run(&arguments, session),
        Command::Diff(arguments) => diff::run(&arguments, session),
        Command::Find(arguments) => find::find(&arguments, session),
        Command::History(arguments) => find::history(&arguments, session),
        Command::Du(arguments) => du::run(&arguments, session),
        Command::Prune(arguments) => prune::run(&arguments, session),
        Command::Repack(arguments) => repack::run(&arguments, session),
        Command::Sync(arguments) => sync::run(&arguments, session),
        Command::Unlock(arguments) => unlock::run(&arguments, session),
        Command::Key(arguments) => key::run(&arguments, session),
        Command::UpgradeStore(arguments) => upgrade_store::run(&arguments, session),
        Command::Api(arguments) => api::run(*arguments, session),
        Command::Scheduler(arguments) => scheduler::run(*arguments, session),
        Command::Job(arguments) => remote::job::run(*arguments, session),
        Command::Session(arguments) => remote::session::run(*arguments, session),
        Command::Client(arguments) => remote::client::run(*arguments, session),
        Command::Action(arguments) => remote::action::run(*arguments, session),
        Command::BackupList(arguments) => remote::backup_list::run(*arguments, session),
        Command::Completions(_) | Command::Man(_) => Ok(Completion::Done),
    }
}

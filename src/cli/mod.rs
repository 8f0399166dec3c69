//! The command line: arguments in, text and exit code out.
//!
//! Owns what people see: option names, help, tables, progress, messages. Builds the concrete parts
//! (store, keys, view) and joins them to the services, which know nothing of it. Each command is a
//! file with its arguments and a `run`; adding one is that file, a line in `arguments` and a line
//! in `dispatch`.
//!
//! Start reading at [`run`].
//!
//! Invariants: data goes to standard output, words for people to standard error; `--json` changes
//! the form of the data, never what is done; an error is said once, with its causes, and what to do
//! next; a secret is never an argument.

mod arguments;
mod commands;
mod interrupt;
mod open;
mod options;
mod show;

use crate::config::Environment;
use arguments::{Arguments, Command};
use clap::{CommandFactory, FromArgMatches};
use commands::local::{
    backup, cat, check, completions, diff, du, export, find, key, list, ls, mount, prune, repack,
    repair, restore, sync,
};
use commands::server::{api, remote, scheduler};
use open::session::Session;
use options::layers::Layered;
use options::{layers, not_empty, original};
use show::failure::{Outcome, PARTIAL, Told, USAGE};
use show::output::{Format, Output};
use show::screen::Screen;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

/// Runs the program with these arguments, its own name first.
pub fn run(arguments: Vec<OsString>) -> ExitCode {
    crate::platform::forbid_core_files();
    let environment = Environment::of_process();
    let screen = Screen::default();
    let (
        arguments,
        Layered {
            stores, open_files, ..
        },
    ) = match parse(arguments, &environment) {
        Ok(parsed) => parsed,
        Err(error) => return refuse(&error, &screen),
    };
    let format = if arguments.common.json {
        Format::Json
    } else {
        Format::Text
    };
    let output = Output::new(format, arguments.common.quiet, screen.clone());
    for path in open_files {
        output.warn(format_args!(
            "others may read the secrets in {}: chmod 600 makes it yours alone",
            path.display()
        ));
    }
    let mut session = Session::new(arguments.common, stores, environment, output, screen);
    let ended = dispatch(arguments.command, &mut session)
        .and_then(|outcome| Ok(session.output.flush().map(|()| outcome)?));
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Partial) => PARTIAL.into(),
        Ok(Outcome::Told(code)) => code.into(),
        Err(error) => session.tell(&error),
    }
}

fn parse(typed: Vec<OsString>, environment: &Environment) -> anyhow::Result<(Arguments, Layered)> {
    let program = not_empty::everywhere(Arguments::command());
    let mut layered = layers::layer(typed, &program, environment)?;
    let matches = program.try_get_matches_from(std::mem::take(&mut layered.arguments))?;
    Ok((Arguments::from_arg_matches(&matches)?, layered))
}

/// Tells what is wrong with the command line, or the help that was asked for.
fn refuse(error: &anyhow::Error, screen: &Screen) -> ExitCode {
    if let Some(error) = error.downcast_ref::<clap::Error>() {
        if let Some(told) = original::refusal(error) {
            screen.print(&told);
            return USAGE.into();
        }
        // That nobody reads the help is no failure.
        error.print().ok();
        std::io::stdout().flush().ok();
        return if error.use_stderr() {
            USAGE.into()
        } else {
            ExitCode::SUCCESS
        };
    }
    match Told::of(error) {
        None => ExitCode::SUCCESS,
        Some(told) => {
            screen.print(&told.to_string());
            told.exit_code.into()
        }
    }
}

fn dispatch(command: Command, session: &mut Session) -> anyhow::Result<Outcome> {
    // Words about programs themselves need no log file and no store.
    match command {
        Command::Completions(arguments) => return completions::run(&arguments, session),
        Command::Man(arguments) => return completions::man(&arguments, session),
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
        Command::Key(arguments) => key::run(&arguments, session),
        Command::Api(arguments) => api::run(*arguments, session),
        Command::Scheduler(arguments) => scheduler::run(*arguments, session),
        Command::Job(arguments) => remote::job::run(*arguments, session),
        Command::Session(arguments) => remote::session::run(*arguments, session),
        Command::Client(arguments) => remote::client::run(*arguments, session),
        Command::Action(arguments) => remote::action::run(*arguments, session),
        Command::BackupList(arguments) => remote::backup_list::run(*arguments, session),
        Command::Completions(_) | Command::Man(_) => Ok(Outcome::Done),
    }
}

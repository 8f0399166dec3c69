//! Signals that end the process: `SIGINT`, `SIGTERM` and their like.
//!
//! The first one raises a flag, and the work ends in order. A call that hangs cannot look at the
//! flag: after [`IN_ORDER`] the calls under way are broken off, and after [`AT_LAST`] the process
//! ends, whatever hangs. A store keeps what is there, as after a loss of power: the claim runs out
//! by itself, and the next run goes on from the last checkpoint.

use crate::cli::show::screen::Screen;
use crate::model::{Cancel, Exit};
use crate::platform::calls::CallUnderWay;
use crate::platform::process::{self, HangUp};
use crate::platform::{calls, monotonic, pause};
use anyhow::Context;
use signal_hook::flag;
use std::sync::{LazyLock, OnceLock};
use std::thread;
use std::time::Duration;

/// How long the work has to end in order. A healthy store takes the object under way and the end
/// of the claim in less.
const IN_ORDER: Duration = Duration::from_secs(2);

/// How long it has after that to put the work in order, by calls that begin only then.
const AT_LAST: Duration = Duration::from_secs(2);

/// How long the last words may take: the screen may be what hangs.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// A longer time than any process waits for its signal.
const FOR_EVER: Duration = Duration::from_secs(60 * 60 * 24 * 365);

/// The flag of the process: signals raise it.
static INTERRUPTED_FLAG: LazyLock<Cancel> = LazyLock::new(Cancel::new);

/// Set once signals are watched: a handler that is registered twice would take one signal for two.
static WATCHED: OnceLock<()> = OnceLock::new();

/// What the process does, which decides what a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    windows,
    expect(dead_code, reason = "this system has neither mounts nor schedulers")
)]
pub(super) enum ProcessKind {
    /// One command: it ends within seconds.
    Command,
    /// A mount: as a command, but further signals change nothing, so that none leaves a dead mount.
    Mount,
    /// A scheduler: it ends within seconds, and `SIGHUP` means something else.
    Scheduler,
    /// A run of the scheduler: it waits for the programs that it has started.
    ScheduledRun,
}

/// Returns the flag that signals raise after [`watch`].
pub(super) fn flag_of_signals() -> Cancel {
    INTERRUPTED_FLAG.clone()
}

/// Lets the first signal that ends the process raise the returned flag, so that the work can end in
/// order. The second ends the process at once.
pub(super) fn watch(kind: ProcessKind, screen: &Screen) -> anyhow::Result<Cancel> {
    let cancel = flag_of_signals();
    if WATCHED.set(()).is_err() {
        return Ok(cancel);
    }
    let hang_up = match kind {
        ProcessKind::Command | ProcessKind::Mount => HangUp::Ends,
        ProcessKind::Scheduler | ProcessKind::ScheduledRun => HangUp::MeansMore,
    };
    for signal in process::ending_signals(hang_up) {
        // In this order: the handler that ends the process must not see the flag that the same
        // signal raises.
        let code = i32::from(Exit::Interrupted.code());
        let second = match kind {
            ProcessKind::Mount => Ok(()),
            _ => flag::register_conditional_shutdown(signal, code, cancel.flag()).map(drop),
        };
        second
            .and_then(|()| flag::register(signal, cancel.flag()).map(drop))
            .context("could not watch for signals")?;
    }
    if kind != ProcessKind::ScheduledRun {
        let (cancel, screen) = (cancel.clone(), screen.clone());
        thread::Builder::new()
            .name("freezer-end".to_owned())
            .spawn(move || end_in_time(&cancel, &screen))
            .context("could not start the thread that ends this process in time")?;
    }
    Ok(cancel)
}

/// Waits for the flag, and then sees to it that the process ends.
fn end_in_time(cancel: &Cancel, screen: &Screen) {
    let never = Cancel::new();
    while !cancel.is_requested() {
        pause(FOR_EVER, cancel);
    }
    let began = monotonic();
    pause(IN_ORDER, &never);
    cancel.hurry();
    let calls = calls::under_way();
    pause(AT_LAST, &never);
    let (screen, seconds) = (screen.clone(), began.elapsed().as_secs());
    let told = thread::Builder::new().spawn(move || tell(&screen, seconds, calls));
    if told.is_ok() {
        pause(LAST_WORDS, &never);
    }
    signal_hook::low_level::exit(i32::from(Exit::Interrupted.code()));
}

/// Says why the process ends with its work out of order, and names the calls that hang.
fn tell(screen: &Screen, seconds: u64, calls: Vec<CallUnderWay>) {
    let mut words = format!(
        "freezer: interrupted, and ended at once: something did not answer within {seconds} s\n"
    );
    for call in calls::still(calls) {
        words.push_str(&format!("  a call does not return: {call}\n"));
    }
    words.push_str(
        "  hint: what is stored is kept, and the next run goes on from there; \
         a claim that was held runs out by itself",
    );
    screen.print(&words);
    tracing::warn!(
        seconds,
        "ended at once: something did not answer after a signal"
    );
}

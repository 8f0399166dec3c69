//! The signals that a process that serves a mount obeys.

use crossbeam_channel::{Receiver, bounded};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1};
use signal_hook::iterator::{Handle, Signals};
use std::io;
use std::thread;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// End the mount: `SIGINT`, `SIGTERM`, `SIGQUIT` or `SIGHUP`.
    End,
    /// Write the counts of requests: `SIGUSR1`.
    Report,
}

/// Starts a thread that passes signals on. It ends when the handle is closed.
///
/// # Errors
///
/// When the system gives no thread.
pub(super) fn watch_signals() -> io::Result<(Receiver<Wish>, Handle)> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGQUIT, SIGHUP, SIGUSR1])?;
    let handle = signals.handle();
    let (sender, receiver) = bounded(16);
    thread::Builder::new()
        .name("freezer-signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                let wish = match signal {
                    SIGUSR1 => Wish::Report,
                    _ => Wish::End,
                };
                if sender.send(wish).is_err() {
                    break;
                }
            }
        })?;
    Ok((receiver, handle))
}

//! `SIGINT` and `SIGTERM`.

use crate::model::{Cancel, Exit};
use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::LazyLock;

/// The flag of the process: signals raise it.
static INTERRUPTED_FLAG: LazyLock<Cancel> = LazyLock::new(Cancel::new);

/// Returns the flag that signals raise after [`watch`].
pub(super) fn flag_of_signals() -> Cancel {
    INTERRUPTED_FLAG.clone()
}

/// Lets the first `SIGINT` or `SIGTERM` raise the returned flag, so that the work can end in order.
/// The second ends the process at once.
pub(super) fn watch() -> anyhow::Result<Cancel> {
    let cancel = flag_of_signals();
    for signal in [SIGINT, SIGTERM] {
        // In this order: the handler that ends the process must not see the flag that the same
        // signal raises.
        flag::register_conditional_shutdown(
            signal,
            i32::from(Exit::Interrupted.code()),
            cancel.flag(),
        )
        .and_then(|_| flag::register(signal, cancel.flag()))
        .context("could not watch for signals")?;
    }
    Ok(cancel)
}

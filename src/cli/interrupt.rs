//! Being told to stop.

use crate::cli::show::failure::INTERRUPTED;
use crate::model::Cancel;
use anyhow::Context;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::sync::LazyLock;

/// Raised by signals, which are the whole process's.
static INTERRUPTED_FLAG: LazyLock<Cancel> = LazyLock::new(Cancel::new);

/// The flag that [`watch`] has signals raise.
pub(super) fn flag_of_signals() -> Cancel {
    INTERRUPTED_FLAG.clone()
}

/// Raises the flag of the result at the first `SIGINT` or `SIGTERM`, so that work under way can end
/// in order; the second ends the process at once.
pub(super) fn watch() -> anyhow::Result<Cancel> {
    let cancel = flag_of_signals();
    for signal in [SIGINT, SIGTERM] {
        // In this order: what raises the flag must not be seen by what ends the process on the same
        // signal.
        flag::register_conditional_shutdown(signal, i32::from(INTERRUPTED), cancel.flag())
            .and_then(|_| flag::register(signal, cancel.flag()))
            .context("could not watch for signals")?;
    }
    Ok(cancel)
}

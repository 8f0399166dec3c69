//! Where log events go.

use crate::cli::show::log_file::{Kept, LogFile};
use crate::cli::show::progress::TROUBLE;
use crate::cli::show::screen::Screen;
use anyhow::Context;
use std::path::Path;
use std::sync::Mutex;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// How much is logged on standard error: only what went wrong, or more for each `-v`.
fn level(verbose: u8, quiet: bool) -> LevelFilter {
    match verbose {
        _ if quiet => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Sends log events to standard error and, from `INFO` on, to the end of a file.
pub(in crate::cli) fn start(
    verbose: u8,
    quiet: bool,
    file: Option<&Path>,
    kept: Kept,
    screen: Screen,
) -> anyhow::Result<()> {
    // Troubles are printed for people already.
    let words = tracing_subscriber::filter::filter_fn(|event| event.target() != TROUBLE);
    let on_screen = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(verbose > 1)
        .with_ansi(false)
        .with_writer(screen)
        .with_filter(level(verbose, quiet))
        .with_filter(words);
    let in_file = match file {
        None => None,
        Some(path) => {
            let file = LogFile::open(path, kept)
                .with_context(|| format!("could not open the log file {}", path.display()))?;
            let level = level(verbose, false).max(LevelFilter::INFO);
            Some(
                tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .with_writer(Mutex::new(file))
                    .with_filter(level),
            )
        }
    };
    // Fails only when there is one already: in a process that runs several commands, the first
    // one's stays.
    tracing_subscriber::registry()
        .with(on_screen)
        .with(in_file)
        .try_init()
        .ok();
    Ok(())
}

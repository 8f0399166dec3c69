//! Sends log events to standard error and to the log file.

use crate::cli::show::log_file::{LogFile, LogLimits};
use crate::cli::show::log_lines::LogLines;
use crate::cli::show::progress::TROUBLE;
use crate::cli::show::screen::Screen;
use anyhow::Context;
use std::path::Path;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Returns the level of standard error: warnings, and more for each `-v`; only errors if quiet.
fn level(verbose: u8, quiet: bool) -> LevelFilter {
    match verbose {
        _ if quiet => LevelFilter::ERROR,
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        2 => LevelFilter::DEBUG,
        _ => LevelFilter::TRACE,
    }
}

/// Starts to log: to standard error and, from `INFO` on, to the end of `file`.
pub(in crate::cli) fn start(
    verbose: u8,
    quiet: bool,
    file: Option<&Path>,
    limits: LogLimits,
    screen: Screen,
) -> anyhow::Result<()> {
    // People are told of troubles already.
    let words = tracing_subscriber::filter::filter_fn(|event| event.target() != TROUBLE);
    let on_screen = tracing_subscriber::fmt::layer()
        .without_time()
        .with_target(verbose > 1)
        .with_ansi(false)
        .with_writer(LogLines::to(screen))
        .with_filter(level(verbose, quiet))
        .with_filter(words);
    let in_file = match file {
        None => None,
        Some(path) => {
            let file = LogFile::open(path, limits)
                .with_context(|| format!("could not open the log file {}", path.display()))?;
            let level = level(verbose, false).max(LevelFilter::INFO);
            Some(
                tracing_subscriber::fmt::layer()
                    .with_ansi(false)
                    .with_writer(LogLines::to(file))
                    .with_filter(level),
            )
        }
    };
    // Fails only if a subscriber is set: in a process that runs several commands, the first stays.
    tracing_subscriber::registry()
        .with(on_screen)
        .with(in_file)
        .try_init()
        .ok();
    Ok(())
}

//! How a long run is shown: a bar on a terminal, event lines for programs, troubles in any case.

use crate::cli::show::output::Format;
use crate::cli::show::screen::Screen;
use crate::model::{Progress, Trouble};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The target of log events about troubles, which standard error shows already.
pub(in crate::cli) const TROUBLE: &str = "freezer::trouble";

/// Shows a run.
pub(in crate::cli) struct Shown {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
    screen: Screen,
    format: Format,
}

/// One line for programs.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event<'run> {
    Stage { name: &'run str },
    Trouble { path: String, error: String },
}

impl Shown {
    /// Shows a bar if standard error is a terminal and nobody asked for quiet.
    pub(in crate::cli) fn new(format: Format, quiet: bool, screen: &Screen) -> Self {
        let target = if quiet || format == Format::Json || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr_with_hz(5)
        };
        let files = Arc::new(AtomicU64::new(0));
        let bar = screen.show(ProgressBar::with_draw_target(None, target));
        bar.set_style(style(
            "{spinner} {msg}: {files} files, {bytes}, {binary_bytes_per_sec}",
            &files,
        ));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self {
            bar,
            files,
            screen: screen.clone(),
            format,
        }
    }

    fn event(&self, event: &Event<'_>) {
        if self.format == Format::Json {
            let mut line = serde_json::to_string(event).unwrap_or_default();
            line.push('\n');
            // Whether anybody reads it is found out when the result is printed.
            std::io::stdout().lock().write_all(line.as_bytes()).ok();
        }
    }
}

fn style(template: &str, files: &Arc<AtomicU64>) -> ProgressStyle {
    let files = Arc::clone(files);
    let count = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be drawn is no failure.
        write!(out, "{}", HumanCount(files.load(Ordering::Relaxed))).unwrap_or_default();
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("files", count)
}

impl Progress for Shown {
    fn stage(&self, name: &'static str) {
        self.bar.set_message(name);
        self.event(&Event::Stage { name });
    }

    fn expect_total(&self, _: u64, bytes: u64) {
        self.bar.set_length(bytes);
        let template = "{spinner} {msg}: {files} files, {bytes} of {total_bytes}, {binary_bytes_per_sec}, {eta} left [{wide_bar}]";
        self.bar.set_style(style(template, &self.files));
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        tracing::warn!(target: TROUBLE, %trouble);
        self.screen.print(&format!("freezer: {trouble}"));
        self.event(&Event::Trouble {
            path: trouble.path.to_string(),
            error: trouble.to_string(),
        });
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

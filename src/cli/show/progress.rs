//! Shows a long run: a bar on a terminal, event lines for programs, and troubles always.

use crate::cli::show::output::OutputForm;
use crate::cli::show::screen::Screen;
use crate::model::{Progress, Trouble, printable, printable_json};
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use serde::Serialize;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The target of log events about troubles. Standard error shows those already.
pub(in crate::cli) const TROUBLE: &str = "freezer::trouble";

/// Shows the progress of one run.
pub(in crate::cli) struct ProgressDisplay {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
    screen: Screen,
    form: OutputForm,
}

/// One line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum ProgressEvent<'run> {
    Stage { name: &'run str },
    Trouble { path: String, error: String },
}

impl ProgressDisplay {
    /// Shows a bar if standard error is a terminal and neither `quiet` nor JSON is asked for.
    pub(in crate::cli) fn new(form: OutputForm, quiet: bool, screen: &Screen) -> Self {
        let target = if quiet || form == OutputForm::Json || !std::io::stderr().is_terminal() {
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
            form,
        }
    }

    fn event(&self, event: &ProgressEvent<'_>) {
        if self.form == OutputForm::Json {
            let line = serde_json::to_string(event).unwrap_or_default();
            let line = format!("{}\n", printable_json(&line));
            // If nobody reads it, printing the result fails.
            std::io::stdout().lock().write_all(line.as_bytes()).ok();
        }
    }
}

fn style(template: &str, files: &Arc<AtomicU64>) -> ProgressStyle {
    let files = Arc::clone(files);
    let count = move |_: &ProgressState, out: &mut dyn std::fmt::Write| {
        // A bar that cannot be drawn is not a failure of the run.
        write!(out, "{}", HumanCount(files.load(Ordering::Relaxed))).unwrap_or_default();
    };
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
        .with_key("files", count)
}

impl Progress for ProgressDisplay {
    fn stage(&self, name: &'static str) {
        self.bar.set_message(name);
        self.event(&ProgressEvent::Stage { name });
    }

    fn expect_total(&self, _: u64, bytes: u64) {
        self.bar.set_length(bytes);
        let template = "{spinner} {msg}: {files} files, {bytes} of {total_bytes}, \
            {binary_bytes_per_sec}, {eta} left [{wide_bar}]";
        self.bar.set_style(style(template, &self.files));
    }

    fn advance(&self, files: u64, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bar.inc(bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        tracing::warn!(target: TROUBLE, %trouble);
        let text = format!("freezer: {trouble}");
        self.screen.print(&printable(text.as_bytes()));
        self.event(&ProgressEvent::Trouble {
            path: trouble.path.to_string(),
            error: trouble.to_string(),
        });
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

//! The arguments of `freezer scheduler`.

use crate::cli::options::server::ServerOptions;
use crate::cli::options::times::up_to;
use crate::config::TimeLength;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use std::time::Duration;

/// Run this node's jobs when they are due
///
/// Takes jobs from a Freezer API, or with --no-api from a folder, runs each as a process of its
/// own, and reports the results to the server. While the server is away, it goes on with the jobs
/// that it knows. Stopping or restarting the scheduler ends no run: the next scheduler finds it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  freezer scheduler start                                 \
    with the server of freezer api --dev, or of OpenStack
  freezer scheduler start --foreground --api-url https://freezer:9090 \
    --api-token-file /etc/freezer/token
  freezer scheduler once --no-api --jobs-dir ./jobs
  freezer scheduler status")]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    pub(super) server: ServerOptions,

    /// Id of this node [default: PROJECT_HOSTNAME]
    #[arg(long, value_name = "ID", global = true, help_heading = "The node")]
    pub(super) client_id: Option<String>,

    /// Use no server: take jobs from --jobs-dir
    #[arg(long, global = true, help_heading = "The node")]
    pub(super) no_api: bool,

    /// Job files: a folder with files that end in .conf or .json, or one file
    #[arg(
        long,
        alias = "conf",
        value_name = "PATH",
        default_value = "/etc/freezer/scheduler/conf.d",
        global = true,
        help_heading = "The node"
    )]
    pub(super) jobs_dir: PathBuf,

    /// Folder for the state of the scheduler [default: ~/.local/state/freezer/scheduler]
    #[arg(long, value_name = "FOLDER", global = true, help_heading = "The node")]
    pub(super) state_dir: Option<PathBuf>,

    /// Time between two looks for new jobs (60s, 5m; a number alone counts seconds; 1s to 24h)
    #[arg(
        long,
        value_name = "TIME",
        default_value = "60s",
        value_parser = up_to(Duration::from_hours(24)),
        global = true,
        help_heading = "When"
    )]
    pub(super) interval: TimeLength,

    /// Time zone of timetables and of dates without an offset: local, or a name such as
    /// Europe/Berlin
    #[arg(
        long,
        value_name = "ZONE",
        default_value = "UTC",
        global = true,
        help_heading = "When"
    )]
    pub(super) time_zone: String,

    /// Make up for missed runs of a job with one run, however late. Otherwise a run that is more
    /// than an hour late is left out
    #[arg(long, global = true, help_heading = "When")]
    pub(super) run_missed: bool,

    /// Number of jobs that run at the same time, 1–1000; others wait, by priority
    #[arg(
        long,
        value_name = "NUMBER",
        default_value_t = 1,
        value_parser = clap::value_parser!(u16).range(1..=1000),
        global = true
    )]
    #[arg(help_heading = "How")]
    pub(super) concurrent_jobs: u16,

    /// End an action that takes longer (90s, 10m, 2h; a number alone counts seconds) [default: no
    /// limit]
    #[arg(long, value_name = "TIME", global = true, help_heading = "How")]
    pub(super) time_limit: Option<TimeLength>,

    /// Run no commands of the server: neither the action exec nor scripts before or after actions
    #[arg(long, global = true, help_heading = "How")]
    pub(super) disable_exec: bool,

    /// Carry out actions with the original's freezer-agent, or with PROGRAM in its place
    #[arg(
        long,
        value_name = "PROGRAM",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "freezer-agent",
        global = true
    )]
    #[arg(help_heading = "How")]
    pub(super) original_agent: Option<PathBuf>,

    /// Other schedulers share this client id: run nothing while the server cannot be asked
    #[arg(long, global = true, help_heading = "How")]
    pub(super) cluster: bool,

    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Start the scheduler, in the background or with --foreground for service managers
    #[command(after_help = "Example:\n  freezer scheduler start --foreground")]
    Start {
        /// Stay in the foreground, and log to standard error
        #[arg(long, visible_alias = "no-daemon")]
        foreground: bool,
        /// This is the process in the background.
        #[arg(long, hide = true)]
        in_background: bool,
    },
    /// Stop the scheduler; runs that are under way go on
    #[command(after_help = "Example:\n  freezer scheduler stop")]
    Stop,
    /// Show whether the scheduler runs, its jobs, and the results of their last runs
    #[command(after_help = "Example:\n  freezer scheduler status --json")]
    Status,
    /// Have the scheduler look for changed jobs now
    #[command(after_help = "Example:\n  freezer scheduler reload")]
    Reload,
    /// Run the jobs that are due now, and wait for them to end
    #[command(after_help = "Example:\n  freezer scheduler once --no-api --jobs-dir ./jobs")]
    Once,
    /// This is the process of a run.
    #[command(hide = true)]
    RunJob {
        /// Its folder
        folder: PathBuf,
    },
}

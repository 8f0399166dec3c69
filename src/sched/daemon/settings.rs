//! How a scheduler works.

use crate::model::Cancel;
use crate::sched::book::Rules;
use crate::sched::connection::ApiConnection;
use crate::sched::order::Agent;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Where jobs come from.
#[derive(Debug)]
pub enum JobSource {
    /// A server.
    Server(Box<ApiConnection>),
    /// A folder of job files, or one such file.
    Folder(PathBuf),
}

/// How the scheduler works.
#[derive(Debug)]
pub struct SchedulerSettings {
    /// The folder of the journal and of the runs.
    pub folder: PathBuf,
    /// The client id; the project and the host name without one.
    pub client_id: Option<String>,
    /// The name of this node in the network.
    pub host: String,
    /// Time between two polls.
    pub interval: Duration,
    /// How many jobs run at once.
    pub places: usize,
    /// The rules for all jobs.
    pub rules: Rules,
    /// The program that does the actions.
    pub agent: Agent,
    /// This program, to start runs with.
    pub program: PathBuf,
    /// Configuration files whose settings agents are to have too.
    pub defaults: Vec<PathBuf>,
    /// Whether commands and scripts of the server may be run.
    pub commands: bool,
    /// After how many seconds an action is ended.
    pub time_limit: Option<u64>,
    /// Whether other schedulers have the same client: then nothing is run that the server could not
    /// be asked about.
    pub cluster: bool,
}

/// How long to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkSpan {
    /// Until told to end.
    Always,
    /// Until what is due now has been run.
    Once,
}

/// Flags by which signal handlers reach the loop.
#[derive(Clone, Debug)]
pub struct Signals {
    /// Ends the scheduler. Runs go on.
    pub cancel: Cancel,
    /// Asks for a poll at once.
    pub reload: Arc<AtomicBool>,
}

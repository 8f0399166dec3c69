//! The files that a scheduler and a run share: the order and the outcome.
//!
//! | file in the run's folder | written by | holds |
//! |---|---|---|
//! | `order.json` | the scheduler | [`RunOrder`]; may hold secrets, so the run removes it |
//! | `lock` | the scheduler | nothing; the run holds a lock on it as long as it lives |
//! | `process.json` | the run | who it is |
//! | `log` | the agents | what they said on their standard error |
//! | `outcome.json` | the run | [`RunOutcome`], when all is done |

use crate::model::job::{Action, RunResult};
use crate::platform::durable::replace_file;
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::io;
use std::path::{Path, PathBuf};

/// The variable by which the processes of a run can be told.
pub const MARK: &str = "FREEZER_RUN_ID";

/// Which program does the actions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// `freezer`.
    Freezer,
    /// The original's `freezer-agent`.
    Original,
}

/// A program that does actions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its file, or its name to be found in `PATH`.
    pub program: PathBuf,
    /// The kind of the program, which decides on its arguments.
    pub kind: AgentKind,
}

/// The order of a run: its actions and the rules for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOrder {
    /// The id of the run.
    pub run: String,
    /// The id of the job.
    pub job: String,
    /// The moment of the timetable that it is for.
    pub due: Timestamp,
    /// The actions, as the job's document has them.
    pub actions: Vec<Action>,
    /// The program that does the actions.
    pub agent: Agent,
    /// Configuration files whose settings the agent is to have too, the ones that win last.
    pub defaults: Vec<PathBuf>,
    /// Whether commands and scripts of the server may be run.
    pub commands: bool,
    /// After how many seconds an action is ended.
    pub time_limit: Option<u64>,
}

impl RunOutcome {
    /// The warnings of its actions.
    pub fn warnings(&self) -> impl Iterator<Item = &str> {
        self.actions
            .iter()
            .filter_map(|action| action.warning.as_deref())
    }
}

/// The outcome of an action.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActionOutcome {
    /// The name of the action.
    pub action: String,
    /// How it went; none if it was left out because an earlier one had failed.
    pub result: Option<RunResult>,
    /// The exit code of the last try; 128 and the number of a signal that ended it.
    pub exit_code: Option<i32>,
    /// How often it was tried.
    pub tries: u32,
    /// How long it took, with all tries.
    pub seconds: f64,
    /// The end of what it said.
    pub log: String,
    /// The metadata of the backup, as the agent wrote it.
    pub metadata: Option<Value>,
    /// A problem that somebody should look at although the action succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warning: Option<String>,
}

/// The outcome of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunOutcome {
    /// The result of the run as a whole.
    pub result: RunResult,
    /// The second in which it ended.
    pub ended: i64,
    /// The outcome of each action, in order.
    pub actions: Vec<ActionOutcome>,
}

/// The last run of a job, as `freezer scheduler status` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastRun {
    /// The id of the run.
    pub run: String,
    /// The id of the job.
    pub job: String,
    /// The description of the job; none if its document was not known.
    pub description: Option<String>,
    /// The outcome, without the metadata of its backups.
    pub outcome: RunOutcome,
}

/// The folder of a run.
#[derive(Clone, Debug)]
pub struct RunFolder(PathBuf);

impl RunFolder {
    /// That of a run, below the scheduler's.
    pub fn of(runs: &Path, run: &str) -> Self {
        Self(runs.join(run))
    }

    /// The folder at this path.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Returns the path of the folder.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a document, for the owner alone.
    pub fn write(&self, name: &str, document: &impl Serialize) -> io::Result<()> {
        replace_file(&self.file(name), &serde_json::to_vec(document)?)
    }

    /// Reads a document; none if it is not there.
    pub fn read<T: DeserializeOwned>(&self, name: &str) -> io::Result<Option<T>> {
        match std::fs::read(self.file(name)) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

//! The journal: state of jobs that survives the scheduler. One file, replaced as a whole.

use super::states::JobState;
use crate::platform::durable::replace_file;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

/// The form of the file.
const VERSION: u32 = 1;

/// The remembered state of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The state of the job.
    pub state: JobState,
    /// Since when its timetable counts.
    pub armed: Timestamp,
    /// All moments of its timetable up to here are done with.
    pub handled: Timestamp,
    /// Its timetable as text, to notice that it has changed.
    pub timetable: String,
    /// The moment that a run is waiting for, until there is a place for it.
    pub waiting: Option<Timestamp>,
    /// How many moments went by without a run.
    pub missed: u64,
    /// The status that the server is to know.
    pub status: String,
    /// How the last run went.
    pub result: String,
    /// The second in which the last run began; -1 for never.
    pub started: i64,
    /// The second in which this scheduler last began a run; -1 for never. Another one of this
    /// client may have begun a later one.
    pub own: i64,
    /// The second in which the last run ended; -1 for never, or not yet.
    pub ended: i64,
    /// The process of the last run.
    pub pid: Option<u32>,
    /// How many starts of its session the job knows of.
    pub session_tag: i64,
    /// The session that the run under way was let into, and has to be ended with.
    pub in_session: Option<String>,
    /// Whether it is not known what the session said to that, and with which tag the run was let
    /// in, if it was.
    #[serde(default)]
    pub is_unheard: bool,
    /// The run that is under way.
    pub run: Option<String>,
    /// The event of the server's document that was acted on, and stands there still.
    pub event: String,
    /// Whether the server has yet to be told.
    pub unsent: bool,
}

/// The content of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalContent {
    version: u32,
    /// The client id of this node.
    pub client_id: Option<String>,
    /// The records of jobs by their ids.
    pub jobs: BTreeMap<String, Record>,
}

impl JournalContent {
    /// Reads what [`JournalContent::encode`] wrote, in this version or one with the same form.
    ///
    /// # Errors
    ///
    /// When it is anything else.
    pub fn decode(json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }

    /// All of it as it stands in the file.
    ///
    /// # Errors
    ///
    /// When JSON cannot hold it.
    pub fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }
}

impl Default for JournalContent {
    fn default() -> Self {
        Self {
            version: VERSION,
            client_id: None,
            jobs: BTreeMap::new(),
        }
    }
}

/// The open journal file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    /// The bytes that the file holds.
    written: Vec<u8>,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error("could not keep the journal {path}")]
    File {
        /// The path of the journal.
        path: PathBuf,
        /// The error of the system or of the decoder.
        source: io::Error,
    },
    /// The file is not a journal.
    #[error("the journal {path} cannot be read")]
    Text {
        /// The path of the journal.
        path: PathBuf,
        /// The error of the system or of the decoder.
        source: serde_json::Error,
    },
    /// A later version wrote it.
    #[error("the journal {path} is of a later version: {version}")]
    Later {
        /// The path of the journal.
        path: PathBuf,
        /// The version that the file names.
        version: u32,
    },
}

impl Journal {
    /// Reads what was remembered; nothing where there is no file.
    pub fn open(path: PathBuf) -> Result<(Self, JournalContent), JournalError> {
        let written = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok((
                    Self {
                        path,
                        written: Vec::new(),
                    },
                    JournalContent::default(),
                ));
            }
            Err(source) => return Err(JournalError::File { path, source }),
        };
        let memory = match JournalContent::decode(&written) {
            Ok(memory) => memory,
            Err(source) => return Err(JournalError::Text { path, source }),
        };
        if memory.version > VERSION {
            return Err(JournalError::Later {
                path,
                version: memory.version,
            });
        }
        Ok((Self { path, written }, memory))
    }

    /// Has all of it on disk when this returns. Writes nothing where nothing has changed.
    pub fn keep(&mut self, memory: &JournalContent) -> Result<(), JournalError> {
        let text = memory.encode().map_err(|source| JournalError::Text {
            path: self.path.clone(),
            source,
        })?;
        if text != self.written {
            replace_file(&self.path, &text).map_err(|source| JournalError::File {
                path: self.path.clone(),
                source,
            })?;
            self.written = text;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Journal, JournalError};

    #[test]
    fn what_was_kept_is_there_after_an_end_at_any_moment() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        let (mut journal, mut memory) = Journal::open(path.clone()).expect("none yet");
        memory.client_id = Some("a_b".to_owned());
        journal.keep(&memory).expect("written");
        // An end in the middle of the next write leaves the new file beside the old one.
        std::fs::write(path.with_extension("new"), "{\"vers").expect("written");
        let (mut journal, again) = Journal::open(path.clone()).expect("the old one");
        assert_eq!(again, memory);
        memory.client_id = None;
        journal.keep(&memory).expect("in spite of what was left");
        assert_eq!(Journal::open(path).expect("the new one").1, memory);
    }

    #[test]
    fn what_cannot_be_understood_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("journal");
        for text in ["", "{", "[]", "{\"version\": 1, \"jobs\": {\"a\": {}}}"] {
            std::fs::write(&path, text).expect("written");
            assert!(
                matches!(Journal::open(path.clone()), Err(JournalError::Text { .. })),
                "{text}"
            );
        }
        std::fs::write(&path, "{\"version\": 2, \"client_id\": null, \"jobs\": {}}")
            .expect("written");
        assert!(matches!(
            Journal::open(path),
            Err(JournalError::Later { version: 2, .. })
        ));
    }
}

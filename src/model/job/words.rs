//! Words with a meaning: what is wanted of a job, where it is, and how it went.

use super::field::{Field, FieldKind};
use super::text::WordList;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::{Value, json};

/// An enum whose variants are words of a document.
pub trait Words: Copy + PartialEq + 'static {
    /// All variants.
    const ALL: &'static [Self];

    /// The word of a variant.
    fn word(self) -> &'static str;

    /// The variant of a word.
    fn of_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|one| one.word() == word)
    }
}

/// What a user wants of a job. It stands in the document until the scheduler has acted on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobEvent {
    /// To be scheduled.
    Start,
    /// To run no more; a run under way goes on to its end.
    Stop,
    /// The run under way to be ended, and none after it.
    Abort,
    /// To be forgotten.
    Remove,
}

impl Words for JobEvent {
    const ALL: &'static [Self] = &[Self::Start, Self::Stop, Self::Abort, Self::Remove];

    fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Abort => "abort",
            Self::Remove => "remove",
        }
    }
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// Its timetable says when it runs.
    Scheduled,
    /// A run is under way.
    Running,
    /// It does not run before somebody starts it.
    Stop,
    /// Its last run has ended, and no other will begin.
    Completed,
    /// The run under way is being ended.
    Aborting,
    /// It is forgotten. Schedulers of the original write this.
    Removed,
}

impl JobStatus {
    /// Whether a run is under way.
    pub fn has_run(self) -> bool {
        matches!(self, Self::Running | Self::Aborting)
    }
}

impl Words for JobStatus {
    const ALL: &'static [Self] = &[
        Self::Scheduled,
        Self::Running,
        Self::Stop,
        Self::Completed,
        Self::Aborting,
        Self::Removed,
    ];

    fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Running => "running",
            Self::Stop => "stop",
            Self::Completed => "completed",
            Self::Aborting => "aborting",
            Self::Removed => "removed",
        }
    }
}

/// How a run, or an action of it, went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunResult {
    /// Well.
    Success,
    /// Not well.
    Fail,
    /// It was ended before its own end.
    Aborted,
}

impl Words for RunResult {
    const ALL: &'static [Self] = &[Self::Success, Self::Fail, Self::Aborted];

    fn word(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Fail => "fail",
            Self::Aborted => "aborted",
        }
    }
}

/// A word of an enum, or the empty text, which says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word<E>(pub Option<E>);

impl<E: Words> AsRef<str> for Word<E> {
    fn as_ref(&self) -> &str {
        self.0.map_or("", Words::word)
    }
}

impl<E: Words> Serialize for Word<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.as_ref().serialize(serializer)
    }
}

impl<'de, E: Words> Deserialize<'de> for Word<E> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        match E::of_word(&word) {
            None if !word.is_empty() => Err(D::Error::custom(Self::must())),
            known => Ok(Self(known)),
        }
    }
}

impl<E: Words> Word<E> {
    /// The words, the empty one first.
    fn list() -> Vec<&'static str> {
        let words = E::ALL.iter().map(|one| one.word());
        std::iter::once("").chain(words).collect()
    }
}

impl<E: Words> FieldKind for Word<E> {
    fn must() -> String {
        format!("must be one of {:?}", Self::list())
    }

    fn schema() -> Value {
        json!({ "enum": Self::list() })
    }
}

impl<E: Words> From<E> for Field<Word<E>> {
    fn from(word: E) -> Self {
        Self::Is(Word(Some(word)))
    }
}

impl<E: Words> Field<Word<E>> {
    /// What the field says; `None` for nothing, the empty word, and a word that is not known.
    pub fn said(&self) -> Option<E> {
        self.get().and_then(|word| word.0)
    }
}

/// What a node can be told to do.
#[derive(Clone, Copy, Debug)]
pub struct ActionWords;

impl WordList for ActionWords {
    const WORDS: &'static [&'static str] = &[
        "backup", "restore", "info", "admin", "exec", "mount", "umount", "check", "prune",
        "repack", "repair", "sync",
    ];
}

/// The applications that an action can see to.
#[derive(Clone, Copy, Debug)]
pub struct ModeWords;

impl WordList for ModeWords {
    const WORDS: &'static [&'static str] = &[
        "fs",
        "mongo",
        "mysql",
        "sqlserver",
        "cinder",
        "glance",
        "cindernative",
        "nova",
        "mssql",
        "postgres",
    ];
}

/// Where backups can be kept.
#[derive(Clone, Copy, Debug)]
pub struct StorageWords;

impl WordList for StorageWords {
    const WORDS: &'static [&'static str] = &["local", "swift", "ssh", "s3", "ftp", "ftps", "sftp"];
}

/// How a backup can be made.
#[derive(Clone, Copy, Debug)]
pub struct EngineWords;

impl WordList for EngineWords {
    const WORDS: &'static [&'static str] =
        &["tar", "rsync", "rsyncv2", "nova", "osbrick", "glance"];
}

/// What can be said of a backup.
#[derive(Clone, Copy, Debug)]
pub struct BackupStatusWords;

impl WordList for BackupStatusWords {
    const WORDS: &'static [&'static str] =
        &["creating", "available", "error", "deleting", "deleted"];
}

#[cfg(test)]
mod tests {
    use super::{JobEvent, JobStatus, RunResult, Words};

    #[test]
    fn every_word_has_one_meaning() {
        fn check<E: Words + std::fmt::Debug>() {
            for one in E::ALL {
                assert_eq!(E::of_word(one.word()), Some(*one));
            }
            assert_eq!(E::of_word("dance"), None);
        }
        check::<JobEvent>();
        check::<JobStatus>();
        check::<RunResult>();
    }
}

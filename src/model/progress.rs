//! Progress: how backup, restore and check report what they do.

use super::TreePath;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Receives the progress of a run. A run calls it often and from many threads: an implementation
/// only counts, and draws or prints at its own pace.
///
/// No call can fail or stop the run, and the result of the run does not depend on the receiver.
pub trait Progress: Send + Sync {
    /// Reports that a new part of the work begins. `name` is a short phrase in lower case, such as
    /// `reading files`.
    fn stage(&self, name: &'static str);

    /// Reports how much there is to do in all, as far as is known. Replaces the earlier total.
    fn expect_total(&self, files: u64, bytes: u64);

    /// Reports that this much more is done. Bytes are those of file content before compression,
    /// without holes.
    fn advance(&self, files: u64, bytes: u64);

    /// Reports an entry that failed. The run continues without it, and ends as "partial".
    fn trouble(&self, trouble: Trouble);
}

/// A file or directory that a run could not process, in whole or in part.
#[derive(Debug)]
pub struct Trouble {
    /// Its path in the tree of the backup.
    pub path: TreePath,
    /// The step that failed and why: a chain of causes, each named once.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Trouble {
    /// Makes a trouble from a path and an error.
    pub fn new(path: TreePath, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            path,
            error: error.into(),
        }
    }
}

impl fmt::Display for Trouble {
    /// Writes one line: `path: error: cause: its cause`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: &dyn fmt::Display = if self.path.is_root() {
            &"."
        } else {
            &self.path
        };
        write!(f, "{path}: {}", self.error)?;
        let mut cause = self.error.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// Ignores all progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str) {}
    fn expect_total(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn trouble(&self, _: Trouble) {}
}

/// Collects progress, for tests and for callers that want it as a value.
#[derive(Debug, Default)]
pub struct Collected {
    /// Guards counts and troubles, which belong together.
    summary: Mutex<Told>,
}

/// The progress of a run so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The stages, in order.
    pub stages: Vec<&'static str>,
    /// Files and bytes in all, as last reported.
    pub expected: (u64, u64),
    /// Files and bytes done.
    pub done: (u64, u64),
    /// The troubles as text, in the order in which they came.
    pub troubles: Vec<String>,
}

impl Collected {
    /// Returns the progress so far.
    pub fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.summary.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress for Collected {
    fn stage(&self, name: &'static str) {
        self.lock().stages.push(name);
    }

    fn expect_total(&self, files: u64, bytes: u64) {
        self.lock().expected = (files, bytes);
    }

    fn advance(&self, files: u64, bytes: u64) {
        let done = &mut self.lock().done;
        *done = (done.0 + files, done.1 + bytes);
    }

    fn trouble(&self, trouble: Trouble) {
        self.lock().troubles.push(trouble.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::{Collected, Progress, Trouble};
    use crate::model::TreePath;
    use std::io;

    /// An error with a cause.
    #[derive(Debug, thiserror::Error)]
    #[error("could not read it")]
    struct Unreadable(#[source] io::Error);

    #[test]
    fn a_trouble_names_each_cause_once_in_one_line() {
        let error = Unreadable(io::Error::other("the disk is gone"));
        let path = TreePath::parse(b"a/b\n").expect("legal");
        assert_eq!(
            Trouble::new(path, error).to_string(),
            "a/b\\n: could not read it: the disk is gone"
        );
    }

    #[test]
    fn reported_counts_are_added_up() {
        let progress = Collected::default();
        progress.stage("reading files");
        progress.expect_total(3, 30);
        progress.advance(1, 10);
        progress.advance(1, 5);
        progress.trouble(Trouble::new(TreePath::root(), "gone"));
        let told = progress.told();
        assert_eq!((told.expected, told.done), ((3, 30), (2, 15)));
        assert_eq!(
            (told.stages, told.troubles),
            (vec!["reading files"], vec![".: gone".to_owned()])
        );
    }
}

//! How a run tells what it does: the `Progress` seam of backup, restore and check.

use super::TreePath;
use std::error::Error;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Is told how a run goes on. A run calls it from many threads, often: an implementation only
/// counts, and draws or prints at its own pace.
///
/// Nothing here can fail or stop the run. What a run returns does not depend on who listens.
pub trait Progress: Send + Sync {
    /// A new part of the work begins, such as `"reading files"`: a short phrase for people, lower
    /// case.
    fn stage(&self, name: &'static str);

    /// How much there is to do in all, as far as is known; replaces what was said before.
    fn expect_total(&self, files: u64, bytes: u64);

    /// This much more is done. Bytes are of file content, before compression; holes are not
    /// counted.
    fn advance(&self, files: u64, bytes: u64);

    /// One thing could not be done, and the run goes on without it: at its end it is "partial".
    fn trouble(&self, trouble: Trouble);
}

/// One file or directory that a run could not deal with as it should.
#[derive(Debug)]
pub struct Trouble {
    /// Which one, in the tree of the backup.
    pub path: TreePath,
    /// What was attempted and why it failed: a chain of causes, each said once.
    pub error: Box<dyn Error + Send + Sync>,
}

impl Trouble {
    /// Joins a path and what happened to it.
    pub fn new(path: TreePath, error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self {
            path,
            error: error.into(),
        }
    }
}

impl fmt::Display for Trouble {
    /// `path: error: cause: its cause`, in one line.
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

/// Listens to nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: &'static str) {}
    fn expect_total(&self, _: u64, _: u64) {}
    fn advance(&self, _: u64, _: u64) {}
    fn trouble(&self, _: Trouble) {}
}

/// Keeps what it is told, for tests and for callers that want the outcome as a value.
#[derive(Debug, Default)]
pub struct Collected {
    /// Guards all of it: counts and troubles belong together.
    told: Mutex<Told>,
}

/// What a [`Collected`] was told so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The stages, in order.
    pub stages: Vec<&'static str>,
    /// Files and bytes expected, as last said.
    pub expected: (u64, u64),
    /// Files and bytes done.
    pub done: (u64, u64),
    /// The troubles, as text, in the order they came.
    pub troubles: Vec<String>,
}

impl Collected {
    /// What was told so far.
    pub fn told(&self) -> Told {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Could not read it.
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
    fn what_is_told_is_added_up() {
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

//! The state that all threads of one restore share.

use super::inode_flags::FlaggedEntry;
use super::{EntryError, Options, RestoreError, RestoreSource};
use crate::model::{Cancel, Interrupted, Name, Progress, TreePath, Trouble};
use crate::platform::{Owners, ProcessIdentity};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files, links, devices and FIFOs that were restored.
    pub files: u64,
    /// Directories that were made or were there, the target among them.
    pub directories: u64,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// How many errors went to `Progress`. The restore is partial if there was one.
    pub troubles: u64,
    /// Entries that did not get their owner, or an attribute of the system, because only root may
    /// set it.
    pub left_out: u64,
    /// Entries that would have got rights from the backup, and did not because it is not trusted:
    /// devices, which were not made, and entries that were made without those rights.
    pub withheld: u64,
}

/// A [`Summary`] that all threads add to.
#[derive(Debug, Default)]
pub(super) struct RestoreTally {
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
    troubles: AtomicU64,
    left_out: AtomicU64,
    withheld: AtomicU64,
}

impl RestoreTally {
    /// Counts a directory.
    pub(super) fn directory(&self) {
        self.directories.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an entry that did not get all its metadata.
    pub(super) fn left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts an entry that got no rights because the backup is not trusted.
    pub(super) fn withheld(&self) {
        self.withheld.fetch_add(1, Ordering::Relaxed);
    }
}

/// One restore under way.
pub(super) struct RestoreRun<'run, S> {
    pub source: &'run S,
    pub options: &'run Options,
    pub identity: ProcessIdentity,
    pub owners: Owners,
    pub counts: RestoreTally,
    /// Guards the entries that get inode flags in the end.
    flagged: Mutex<Vec<FlaggedEntry>>,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
    /// Makes temporary names differ from those of other runs.
    salt: u32,
    temporaries: AtomicU64,
    stopped: AtomicBool,
    /// Why the run was stopped. The first reason stays.
    reason: Mutex<Option<RestoreError>>,
}

impl<'run, S: RestoreSource> RestoreRun<'run, S> {
    /// Returns the entries that get inode flags in the end.
    pub(super) fn flagged(&self) -> MutexGuard<'_, Vec<FlaggedEntry>> {
        self.flagged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new(
        source: &'run S,
        options: &'run Options,
        progress: &'run dyn Progress,
        cancel: &'run Cancel,
    ) -> Self {
        Self {
            source,
            options,
            identity: ProcessIdentity::of_process(),
            owners: Owners::new(),
            counts: RestoreTally::default(),
            flagged: Mutex::default(),
            progress,
            cancel,
            salt: std::process::id(),
            temporaries: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            reason: Mutex::new(None),
        }
    }

    /// Begins the run, once the target is open.
    pub(super) fn begin(&self) {
        self.progress.stage("restoring");
        self.counts.directory();
    }

    /// Reports an error with one entry. Stops the run if all other entries would fail the same way.
    pub(super) fn trouble(&self, path: &TreePath, error: EntryError) {
        if error.is_full() {
            self.stopped.store(true, Ordering::Relaxed);
            let mut reason = self.reason.lock().unwrap_or_else(PoisonError::into_inner);
            reason.get_or_insert(RestoreError::Full {
                path: path.clone(),
                source: error,
            });
        } else {
            self.counts.troubles.fetch_add(1, Ordering::Relaxed);
            self.progress.trouble(Trouble::new(path.clone(), error));
        }
    }

    /// Whether the run is to end.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.cancel.is_requested()
    }

    /// Counts what was restored.
    pub(super) fn advance(&self, files: u64, bytes: u64) {
        self.counts.files.fetch_add(files, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.advance(files, bytes);
    }

    /// Returns an unused name for an entry that is to replace another.
    pub(super) fn temporary_name(&self) -> io::Result<Name> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        Name::new(format!(".freezer-restore-{}-{number}", self.salt).into_bytes())
            .ok_or_else(|| io::ErrorKind::InvalidFilename.into())
    }

    /// Returns how the run ended.
    pub(super) fn finish(self) -> Result<Summary, RestoreError> {
        if let Some(reason) = self
            .reason
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(reason);
        }
        if self.cancel.is_requested() {
            return Err(RestoreError::Interrupted(Interrupted));
        }
        Ok(Summary {
            files: self.counts.files.into_inner(),
            directories: self.counts.directories.into_inner(),
            bytes: self.counts.bytes.into_inner(),
            troubles: self.counts.troubles.into_inner(),
            left_out: self.counts.left_out.into_inner(),
            withheld: self.counts.withheld.into_inner(),
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::RestoreRun;
    use crate::format::content_hash::ContentHashing;
    use crate::model::progress::Collected;
    use crate::model::{Cancel, Entry, NodeId, TreePath};
    use crate::restore::{Attempt, EntryError, Options, RestoreError, RestoreSource};
    use std::io;
    use std::ops::ControlFlow;

    /// An empty tree.
    pub struct NoTree;

    impl RestoreSource for NoTree {
        type Error = io::Error;
        type Content = ();

        fn find(&self, _: &TreePath) -> io::Result<Option<(NodeId, Entry)>> {
            Ok(None)
        }

        fn children(&self, _: NodeId) -> impl Iterator<Item = io::Result<(NodeId, Entry)>> {
            std::iter::empty()
        }

        fn content(&self, _: &Entry) -> io::Result<()> {
            Ok(())
        }

        fn hashing(&self) -> ContentHashing {
            ContentHashing::default()
        }

        fn read(
            &self,
            _: &(),
            _: u64,
            _: u64,
            _: &mut dyn FnMut(&[u8]) -> ControlFlow<()>,
        ) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_ends_the_run_and_names_the_first_entry_without_room() {
        let (options, progress) = (Options::default(), Collected::default());
        let cancel = Cancel::new();
        let run = RestoreRun::new(&NoTree, &options, &progress, &cancel);
        let path = |text: &str| TreePath::parse(text.as_bytes()).expect("legal");
        let full =
            |attempted| EntryError::new(attempted, io::Error::from(io::ErrorKind::StorageFull));
        run.trouble(
            &path("attribute"),
            full(Attempt::SetXattr((*b"user.large").into())),
        );
        run.trouble(
            &path("other"),
            EntryError::new(Attempt::Write, io::Error::other("no luck")),
        );
        assert!(!run.is_stopped());
        run.trouble(&path("first"), full(Attempt::Write));
        run.trouble(&path("second"), full(Attempt::Create));
        assert!(run.is_stopped());
        assert_eq!(progress.told().troubles.len(), 2);
        assert!(
            matches!(run.finish(), Err(RestoreError::Full { path: at, .. }) if at == path("first"))
        );
    }
}

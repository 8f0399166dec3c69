//! What all threads of one restore share.

use super::{FileError, Options, RestoreError, Source};
use crate::model::{Cancel, Interrupted, Name, Progress, TreePath, Trouble};
use crate::platform::{Identity, Owners};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// What a restore did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Files, links, devices and FIFOs that are there.
    pub files: u64,
    /// Directories that are there, the target among them.
    pub directories: u64,
    /// Bytes of content that were written.
    pub bytes: u64,
    /// How often `Progress` was told of trouble: if at all, the restore is partial.
    pub troubles: u64,
    /// Things that did not get their owner, or an attribute that belongs to the system, because
    /// only root may give it.
    pub left_out: u64,
}

/// A [`Summary`] in the making.
#[derive(Debug, Default)]
pub(super) struct Counts {
    files: AtomicU64,
    directories: AtomicU64,
    bytes: AtomicU64,
    troubles: AtomicU64,
    left_out: AtomicU64,
}

impl Counts {
    pub(super) fn directory(&self) {
        self.directories.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn left_out(&self) {
        self.left_out.fetch_add(1, Ordering::Relaxed);
    }
}

/// One restore under way.
pub(super) struct Run<'run, S> {
    pub source: &'run S,
    pub options: &'run Options,
    pub identity: Identity,
    pub owners: Owners,
    pub counts: Counts,
    progress: &'run dyn Progress,
    cancel: &'run Cancel,
    /// Makes temporary names differ from those of any other run.
    salt: u32,
    temporaries: AtomicU64,
    stopped: AtomicBool,
    /// Guards what the run ends with once it is `stopped`; the first reason stays.
    reason: Mutex<Option<RestoreError>>,
}

impl<'run, S: Source> Run<'run, S> {
    pub(super) fn new(
        source: &'run S,
        options: &'run Options,
        progress: &'run dyn Progress,
        cancel: &'run Cancel,
    ) -> Self {
        Self {
            source,
            options,
            identity: Identity::of_process(),
            owners: Owners::new(),
            counts: Counts::default(),
            progress,
            cancel,
            salt: std::process::id(),
            temporaries: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            reason: Mutex::new(None),
        }
    }

    /// Tells of trouble with one thing; ends the run if all else will have the same.
    pub(super) fn trouble(&self, path: &TreePath, error: FileError) {
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

    /// Whether there is no point in doing any more.
    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed) || self.cancel.is_requested()
    }

    /// This much more is there.
    pub(super) fn advance(&self, files: u64, bytes: u64) {
        self.counts.files.fetch_add(files, Ordering::Relaxed);
        self.counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.progress.advance(files, bytes);
    }

    /// A name for what is to replace another, which nothing else has.
    pub(super) fn temporary_name(&self) -> io::Result<Name> {
        let number = self.temporaries.fetch_add(1, Ordering::Relaxed);
        Name::new(format!(".freezer-restore-{}-{number}", self.salt).into_bytes())
            .ok_or_else(|| io::ErrorKind::InvalidFilename.into())
    }

    /// How it ended.
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
        })
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::Run;
    use crate::model::progress::Collected;
    use crate::model::{Cancel, Entry, NodeId, TreePath};
    use crate::restore::{Attempt, FileError, Options, RestoreError, Source};
    use std::io;
    use std::ops::ControlFlow;

    /// A tree without anything in it.
    pub struct Nothing;

    impl Source for Nothing {
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
    fn a_full_disk_ends_the_run_and_names_the_first_that_did_not_fit() {
        let (options, progress) = (Options::default(), Collected::default());
        let cancel = Cancel::new();
        let run = Run::new(&Nothing, &options, &progress, &cancel);
        let path = |text: &str| TreePath::parse(text.as_bytes()).expect("legal");
        let full =
            |attempted| FileError::new(attempted, io::Error::from(io::ErrorKind::StorageFull));
        run.trouble(
            &path("attribute"),
            full(Attempt::SetXattr((*b"user.large").into())),
        );
        run.trouble(
            &path("other"),
            FileError::new(Attempt::Write, io::Error::other("no luck")),
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

//! What the scheduler knows: the book and the journal of it, for the loop and for the talk with the
//! server beside it.

use super::book::Book;
use super::daemon::{DaemonError, SchedulerSettings};
use super::journal::{Journal, JournalContent};
use crate::model::job::{Document, Documented, Job};
use crate::platform::durable::replace_file;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The state of the scheduler.
#[derive(Debug)]
pub(super) struct KnownState {
    /// The known jobs.
    pub(super) book: Book,
    /// The client id of this node.
    pub(super) client_id: Option<String>,
    journal: Journal,
    /// Where the documents are as the server last said them.
    documents: PathBuf,
    /// The documents as they are on disk.
    cached: Vec<u8>,
    /// Whether another process may have the files.
    is_closed: bool,
}

/// The scheduler's state, shared between threads.
#[derive(Clone, Debug)]
pub(super) struct SharedState(Arc<Mutex<KnownState>>);

impl SharedState {
    /// Reads the journal and the cached documents.
    pub(super) fn open(settings: &SchedulerSettings) -> Result<Self, DaemonError> {
        let (journal, memory) = Journal::open(settings.folder.join("journal.json"))?;
        let documents = settings.folder.join("jobs.json");
        let cached = std::fs::read(&documents).unwrap_or_default();
        // What cannot be read is asked for again.
        let last: Vec<Document> = serde_json::from_slice(&cached).unwrap_or_default();
        let last = last.into_iter().map(Job::leniently).collect();
        let client_id = settings.client_id.clone().or(memory.client_id);
        let book = Book::new(settings.rules.clone(), memory.jobs, last);
        Ok(Self(Arc::new(Mutex::new(KnownState {
            book,
            client_id,
            journal,
            documents,
            cached,
            is_closed: false,
        }))))
    }

    /// Never held while a server or a run is waited for.
    pub(super) fn lock(&self) -> MutexGuard<'_, KnownState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl KnownState {
    /// Has on disk all that must outlive this process.
    ///
    /// # Errors
    ///
    /// When it cannot be written: a run that was to begin may not then.
    pub(super) fn remember(&mut self) -> Result<(), DaemonError> {
        if self.is_closed {
            return Err(DaemonError::Closed);
        }
        let mut memory = JournalContent::default();
        (memory.client_id, memory.jobs) = (self.client_id.clone(), self.book.records());
        self.journal.keep(&memory)?;
        let documents = serde_json::to_vec(&self.book.documents()).unwrap_or_default();
        if documents != self.cached {
            let wrong = |source| DaemonError::Folder {
                path: self.documents.clone(),
                source,
            };
            replace_file(&self.documents, &documents).map_err(wrong)?;
            self.cached = documents;
        }
        Ok(())
    }

    /// The same, where nothing depends on it yet: it is tried again with the next change.
    pub(super) fn try_to_remember(&mut self) {
        if let Err(error) = self.remember() {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the journal cannot be written"
            );
        }
    }

    /// Writes no more: from here on the files are the next scheduler's.
    pub(super) fn close(&mut self) {
        self.is_closed = true;
    }
}

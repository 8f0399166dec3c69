//! The walk of a restore through the tree. It makes directories and links itself, and hands files
//! to the writer threads.

use super::attributes::{Start, TargetMetadata};
use super::directory::TargetDirectory;
use super::file::{FilePiece, LargeFile, PIECE_BYTES, pieces};
use super::rights::is_device;
use super::run::{RestoreRun, Summary};
use super::selection::{RestoreSelection, SelectedTree, listing};
use super::target::{PRIVATE, open_target};
use super::{Attempt, EntryError, Existing, RestoreError, RestoreSource, Trust};
use crate::model::{Content, Entry, Kind, Name, NodeId, TreePath};
use crate::platform::{Attributes, DirHandle, Sort, raise_open_files_limit};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::{io, thread};

/// A batch is handed to a writer when it has this many files: enough that handing it over costs
/// next to nothing.
const BATCH_FILES: usize = 64;
/// A batch is handed to a writer when its files have this many bytes: about a frame, so that no two
/// writers read the same frame.
const BATCH_BYTES: u64 = 1 << 20;

/// How many batches or pieces wait for each writer, to keep it busy while the walk makes
/// directories.
const WAITING_PER_WRITER: usize = 4;

/// Work for a writer.
enum WriterJob<C> {
    /// Entries to make, each with its directory.
    Batch(Vec<(Arc<TargetDirectory>, Entry)>),
    /// A piece of a large file to write.
    Piece(Arc<LargeFile<C>>, FilePiece),
}

/// A directory that was made or was there, and is not entered yet.
struct Subdirectory<'selection> {
    node: NodeId,
    name: Name,
    selection: &'selection RestoreSelection,
    wanted: Option<TargetMetadata>,
    /// Whether it was made by this run.
    new: bool,
}

/// The first name of a file with several names, which the others are linked to.
struct FirstName {
    path: TreePath,
    /// How many more names can follow.
    more: u32,
}

/// The walk. It runs on one thread, so the names it remembers need no lock.
struct Descent<'run, S: RestoreSource> {
    run: &'run RestoreRun<'run, S>,
    root: Arc<TargetDirectory>,
    jobs: Sender<WriterJob<S::Content>>,
    batch: Vec<(Arc<TargetDirectory>, Entry)>,
    batch_bytes: u64,
    first_names: HashMap<NodeId, FirstName>,
}

/// Restores the selected part of a tree to the directory `target`.
pub(super) fn restore<S: RestoreSource>(
    run: RestoreRun<'_, S>,
    tree: &SelectedTree,
    target: &Path,
) -> Result<Summary, RestoreError> {
    raise_open_files_limit();
    let directory = open_target(&run, tree, target)?;
    run.begin();
    let writers = run.options.writers.get();
    thread::scope(|scope| {
        let (sender, receiver) = bounded(writers * WAITING_PER_WRITER);
        for number in 0..writers {
            let (run, receiver) = (&run, receiver.clone());
            thread::Builder::new()
                .name(format!("restore-{number}"))
                .spawn_scoped(scope, move || write(run, &receiver))
                .map_err(RestoreError::Thread)?;
        }
        // Once all writers have ended by a panic, sending must fail rather than wait.
        drop(receiver);
        let mut descent = Descent {
            run: &run,
            root: Arc::clone(&directory),
            jobs: sender,
            batch: Vec::new(),
            batch_bytes: 0,
            first_names: HashMap::new(),
        };
        descent.walk(tree.root, Arc::clone(&directory), &tree.selection);
        Ok(())
    })?;
    run.set_flags(&directory.handle);
    run.finish()
}

/// Does the work of one writer until no more comes.
fn write<S: RestoreSource>(run: &RestoreRun<'_, S>, jobs: &Receiver<WriterJob<S::Content>>) {
    for job in jobs {
        match job {
            WriterJob::Batch(batch) => {
                for (directory, entry) in batch {
                    if !run.is_stopped() {
                        run.make(&directory, &entry)
                            .unwrap_or_else(|error| run.trouble(&entry.path, error));
                    }
                    run.leave(&directory);
                }
            }
            WriterJob::Piece(large, piece) => run.write_piece(&large, Some(&piece)),
        }
    }
}

impl<S: RestoreSource> Descent<'_, S> {
    /// Walks everything below `directory`, which is the root, and leaves it.
    fn walk(
        &mut self,
        node: NodeId,
        directory: Arc<TargetDirectory>,
        selection: &RestoreSelection,
    ) {
        let subdirectories = self.fill(node, &directory, selection);
        let mut levels = vec![(directory, subdirectories.into_iter())];
        while let Some((parent, subdirectories)) = levels.last_mut() {
            let next = subdirectories.next().filter(|_| !self.run.is_stopped());
            let Some(subdirectory) = next else {
                self.run.leave(parent);
                levels.pop();
                continue;
            };
            let path = parent.path.join(&subdirectory.name);
            match self.enter(parent, &path, subdirectory) {
                Ok((node, directory, selection)) => {
                    let subdirectories = self.fill(node, &directory, selection);
                    levels.push((directory, subdirectories.into_iter()));
                }
                Err(error) => self.run.trouble(&path, error),
            }
        }
        self.hand_out_batch();
    }

    fn enter<'selection>(
        &self,
        parent: &Arc<TargetDirectory>,
        path: &TreePath,
        subdirectory: Subdirectory<'selection>,
    ) -> Result<(NodeId, Arc<TargetDirectory>, &'selection RestoreSelection), EntryError> {
        let Subdirectory {
            node,
            name,
            selection,
            wanted,
            new,
        } = subdirectory;
        let failed = |error| EntryError::new(Attempt::Create, error);
        let handle = parent.handle.open_child(&name).map_err(failed)?;
        if !new {
            self.keep_out(parent, &handle)
                .map_err(|error| EntryError::new(Attempt::Enter, error))?;
        }
        let plain = new && parent.plain;
        let start = if plain {
            self.run.start(parent, PRIVATE)
        } else {
            Start::UNKNOWN
        };
        let mut directory = TargetDirectory::new(handle, path.clone(), wanted, start, Some(parent));
        (directory.plain, directory.private) = (plain, new);
        Ok((node, Arc::new(directory), selection))
    }

    /// Whether a directory in `parent` is a store itself.
    fn is_store(&self, parent: &TargetDirectory, name: &Name) -> bool {
        let directory = parent.handle.open_child(name);
        directory.is_ok_and(|directory| (self.run.options.keep_out.is)(&directory))
    }

    /// Fails for a directory that was there and is a store, or a part of a store that is mounted
    /// here.
    fn keep_out(&self, parent: &TargetDirectory, directory: &DirHandle) -> io::Result<()> {
        let keep_out = self.run.options.keep_out;
        let is_mounted_here = directory.mount()? != parent.handle.mount()?;
        if (keep_out.is)(directory)
            || is_mounted_here && (keep_out.around)(&directory.path())?.is_some()
        {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is in a store, whose backups that would overwrite",
            ));
        }
        Ok(())
    }

    /// Makes the selected entries of a directory, or hands them to writers. Returns the directories
    /// among them, in order.
    fn fill<'selection>(
        &mut self,
        node: NodeId,
        directory: &Arc<TargetDirectory>,
        selection: &'selection RestoreSelection,
    ) -> Vec<Subdirectory<'selection>> {
        let mut subdirectories = Vec::new();
        let listed = listing(
            self.run.source,
            node,
            &directory.path,
            selection,
            |node, entry, selection| {
                let understood = entry.metadata.extensions.understood();
                if let Err(error) = &understood {
                    let error = EntryError::new(Attempt::Read, *error);
                    self.run.trouble(&entry.path, error);
                }
                // What is in a directory stands for itself, whatever is not known of the directory.
                if entry.content.kind() == Kind::Directory {
                    match self.make_directory(directory, node, &entry, selection) {
                        Ok(subdirectory) => subdirectories.push(subdirectory),
                        Err(error) => self
                            .run
                            .trouble(&entry.path, EntryError::new(Attempt::Create, error)),
                    }
                } else if understood.is_ok() {
                    self.file(directory, node, entry);
                }
                if self.run.is_stopped() {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        if let Err(source) = listed {
            self.run
                .trouble(&directory.path, EntryError::new(Attempt::List, source));
        }
        subdirectories
    }

    fn make_directory<'selection>(
        &self,
        parent: &TargetDirectory,
        node: NodeId,
        entry: &Entry,
        selection: &'selection RestoreSelection,
    ) -> io::Result<Subdirectory<'selection>> {
        let name = Name::new(entry.path.file_name()).ok_or(io::ErrorKind::InvalidFilename)?;
        let new = match parent.handle.create_dir(&name, PRIVATE) {
            Ok(()) => true,
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && self.run.options.existing == Existing::Replace =>
            {
                let stat = parent.handle.stat_child(&name)?;
                if stat.sort == Sort::Kept(Kind::Directory) {
                    // A user other than root could be locked out of a directory of its own. A store
                    // keeps its mode: it is not entered anyway.
                    if *selection == RestoreSelection::All
                        && stat.uid == self.run.identity.uid
                        && stat.mode & PRIVATE != PRIVATE
                        && !self.is_store(parent, &name)
                    {
                        parent.handle.child(&name).set_mode(stat.mode | PRIVATE)?;
                    }
                    false
                } else {
                    parent.handle.remove(&name)?;
                    parent.handle.create_dir(&name, PRIVATE)?;
                    true
                }
            }
            Err(error) => return Err(error),
        };
        self.run.counts.directory();
        let wanted =
            (new || *selection == RestoreSelection::All).then(|| self.run.wanted(&entry.metadata));
        if wanted.is_some() {
            self.run.flag_later(entry);
        }
        Ok(Subdirectory {
            node,
            name,
            selection,
            wanted,
            new,
        })
    }

    /// Makes a file with several names at once, so that others can be linked to it. Hands any other
    /// file to writers. Leaves out a device of a backup that is not trusted.
    fn file(&mut self, directory: &Arc<TargetDirectory>, node: NodeId, entry: Entry) {
        if self.run.options.trust == Trust::Untrusted && is_device(&entry.content) {
            return self.run.counts.withheld();
        }
        if entry.metadata.links > 1 {
            return self.linked_file(directory, node, &entry);
        }
        match &entry.content {
            Content::File { size, extents }
                if extents.iter().map(|extent| extent.length).sum::<u64>() > PIECE_BYTES =>
            {
                self.hand_out_batch();
                match self.run.begin_large(directory, &entry, *size) {
                    Ok(large) => {
                        for (number, extents) in (0..).zip(pieces(extents)) {
                            let piece = FilePiece { number, extents };
                            large.enter();
                            self.hand_out(WriterJob::Piece(Arc::clone(&large), piece));
                        }
                        self.run.write_piece(&large, None);
                    }
                    Err(error) => self.run.trouble(&entry.path, error),
                }
            }
            content => {
                self.batch_bytes += content.size();
                directory.enter();
                self.batch.push((Arc::clone(directory), entry));
                if self.batch.len() >= BATCH_FILES || self.batch_bytes >= BATCH_BYTES {
                    self.hand_out_batch();
                }
            }
        }
    }

    fn linked_file(&mut self, directory: &Arc<TargetDirectory>, node: NodeId, entry: &Entry) {
        let first = entry.link_to.unwrap_or(node);
        if let Some(known) = self.first_names.get_mut(&first) {
            known.more = known.more.saturating_sub(1);
            let (path, last) = (known.path.clone(), known.more == 0);
            if last {
                self.first_names.remove(&first);
            }
            match self.link(directory, entry, &path) {
                Ok(()) => return,
                // The file system may have no hard links, or not that many for one file.
                Err(error) => self.run.trouble(&entry.path, error),
            }
        }
        match self.run.make(directory, entry) {
            Ok(()) => {
                let more = entry.metadata.links - 1;
                self.first_names.entry(first).or_insert_with(|| FirstName {
                    path: entry.path.clone(),
                    more,
                });
            }
            Err(error) => self.run.trouble(&entry.path, error),
        }
    }

    /// Links `entry` to the file at `first`, reached step by step without following links.
    fn link(
        &self,
        directory: &TargetDirectory,
        entry: &Entry,
        first: &TreePath,
    ) -> Result<(), EntryError> {
        let failed = |error: io::Error| EntryError::new(Attempt::Link, error);
        let name =
            Name::new(first.file_name()).ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
        let parent = first.parent().unwrap_or_default();
        if parent == directory.path {
            return self.run.link(directory, entry, &directory.handle, &name);
        }
        let mut place: Option<DirHandle> = None;
        for name in parent.components().filter_map(Name::new) {
            place = Some(
                place
                    .as_ref()
                    .unwrap_or(&self.root.handle)
                    .open_child(&name)
                    .map_err(failed)?,
            );
        }
        self.run.link(
            directory,
            entry,
            place.as_ref().unwrap_or(&self.root.handle),
            &name,
        )
    }

    fn hand_out_batch(&mut self) {
        self.batch_bytes = 0;
        if !self.batch.is_empty() {
            let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH_FILES));
            self.hand_out(WriterJob::Batch(batch));
        }
    }

    /// Hands work to a writer. Drops it if all writers have ended by a panic, which ends the run.
    fn hand_out(&self, job: WriterJob<S::Content>) {
        if let Err(lost) = self.jobs.send(job) {
            drop(lost);
        }
    }
}

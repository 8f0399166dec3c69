//! The walk through the tree that a restore makes: directories and links by itself, files by
//! handing them to writers.

use super::attributes::{Start, Wanted};
use super::directory::Directory;
use super::file::{LargeFile, PIECE_BYTES, pieces};
use super::run::{Run, Summary};
use super::selection::{Chosen, listing};
use super::{Attempt, Existing, FileError, Options, RestoreError, Source};
use crate::model::{
    Cancel, Content, Entry, Extent, Kind, Metadata, Name, NodeId, Progress, TreePath,
};
use crate::platform::{Attributes, DirHandle, Sort, Xattrs, raise_open_files_limit};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::{fs, io, thread};

/// A batch is handed out when it holds this many files or bytes: enough that handing out costs
/// nothing, and not more than about a frame, so that one is not read twice.
const BATCH_FILES: usize = 64;
const BATCH_BYTES: u64 = 1 << 20;

/// How many batches or pieces wait for each writer: what keeps it busy while the walk makes
/// directories.
const WAITING_PER_WRITER: usize = 4;

/// Mode of a directory that is being filled.
const PRIVATE: u32 = 0o700;

/// Something to do for a writer.
enum Job<C> {
    Batch(Vec<(Arc<Directory>, Entry)>),
    Piece(Arc<LargeFile<C>>, Vec<Extent>),
}

/// A directory that was made, or was there, and is not entered yet.
struct Subdirectory<'chosen> {
    node: NodeId,
    name: Name,
    chosen: &'chosen Chosen,
    wanted: Option<Wanted>,
    /// Whether it was made by this run.
    new: bool,
}

/// The first name of a file that has more, so that they can be linked to it.
struct FirstName {
    path: TreePath,
    /// How many more names there can be.
    more: u32,
}

/// The walk. It alone adds to directories, so their entries need no lock.
struct Descent<'run, S: Source> {
    run: &'run Run<'run, S>,
    root: Arc<Directory>,
    jobs: Sender<Job<S::Content>>,
    batch: Vec<(Arc<Directory>, Entry)>,
    batch_bytes: u64,
    first_names: HashMap<NodeId, FirstName>,
}

pub(super) fn restore<S: Source>(
    source: &S,
    chosen: &Chosen,
    (root, entry): (NodeId, Entry),
    target: &Path,
    options: &Options,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<Summary, RestoreError> {
    raise_open_files_limit();
    let run = Run::new(source, options, progress, cancel);
    let directory = open_target(&run, chosen, &entry.metadata, target)?;
    progress.stage("restoring");
    run.counts.directory();
    thread::scope(|scope| {
        let (sender, receiver) = bounded(options.writers.get() * WAITING_PER_WRITER);
        for number in 0..options.writers.get() {
            let (run, receiver) = (&run, receiver.clone());
            thread::Builder::new()
                .name(format!("restore-{number}"))
                .spawn_scoped(scope, move || write(run, &receiver))
                .map_err(RestoreError::Thread)?;
        }
        // Once all writers are gone, by a panic, sending must fail rather than wait.
        drop(receiver);
        let mut descent = Descent {
            run: &run,
            root: Arc::clone(&directory),
            jobs: sender,
            batch: Vec::new(),
            batch_bytes: 0,
            first_names: HashMap::new(),
        };
        descent.walk(root, directory, chosen);
        Ok(())
    })?;
    run.finish()
}

/// Does what is handed out until nothing more comes.
fn write<S: Source>(run: &Run<'_, S>, jobs: &Receiver<Job<S::Content>>) {
    for job in jobs {
        match job {
            Job::Batch(batch) => {
                for (directory, entry) in batch {
                    if !run.is_stopped() {
                        run.make(&directory, &entry)
                            .unwrap_or_else(|error| run.trouble(&entry.path, error));
                    }
                    run.leave(&directory);
                }
            }
            Job::Piece(large, extents) => run.write_piece(&large, &extents),
        }
    }
}

fn open_target<S: Source>(
    run: &Run<'_, S>,
    chosen: &Chosen,
    metadata: &Metadata,
    path: &Path,
) -> Result<Arc<Directory>, RestoreError> {
    let refused = |source| RestoreError::Target {
        path: path.to_owned(),
        source,
    };
    // Before the first folder on the way is made: that too would be written into the store.
    if let Some(store) = (run.options.keep_out.around)(path).map_err(refused)? {
        return Err(RestoreError::InStore {
            path: path.to_owned(),
            store,
        });
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(refused)?;
    }
    let new = match fs::create_dir(path) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(refused(error)),
    };
    let handle = DirHandle::open(path).map_err(refused)?;
    if !new
        && run.options.existing == Existing::Refuse
        && !handle.list().map_err(refused)?.is_empty()
    {
        return Err(RestoreError::NotEmpty(path.to_owned()));
    }
    let whole = *chosen == Chosen::All;
    if new && whole {
        handle.set_mode(PRIVATE).map_err(refused)?;
    }
    let stat = handle.stat().map_err(refused)?;
    let xattrs = Xattrs::new()
        .of_open(&handle, stat.device)
        .map_err(refused)?;
    // What would make the things in it other than we ask for: a group of its own to pass on (or
    // mount option grpid), or ACLs.
    let plain = stat.gid == run.identity.gid
        && stat.mode & 0o2000 == 0
        && !xattrs
            .iter()
            .any(|xattr| xattr.name.starts_with(b"system."));
    let wanted = whole.then(|| run.wanted(metadata));
    let mut directory = Directory::new(handle, TreePath::root(), wanted, Start::UNKNOWN, None);
    (directory.plain, directory.private) = (plain, new && whole);
    Ok(Arc::new(directory))
}

impl<S: Source> Descent<'_, S> {
    /// Walks everything below `directory`, which is the root, and leaves it.
    fn walk(&mut self, node: NodeId, directory: Arc<Directory>, chosen: &Chosen) {
        let subdirectories = self.fill(node, &directory, chosen);
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
                Ok((node, directory, chosen)) => {
                    let subdirectories = self.fill(node, &directory, chosen);
                    levels.push((directory, subdirectories.into_iter()));
                }
                Err(error) => self.run.trouble(&path, error),
            }
        }
        self.hand_out_batch();
    }

    fn enter<'chosen>(
        &self,
        parent: &Arc<Directory>,
        path: &TreePath,
        subdirectory: Subdirectory<'chosen>,
    ) -> Result<(NodeId, Arc<Directory>, &'chosen Chosen), FileError> {
        let Subdirectory {
            node,
            name,
            chosen,
            wanted,
            new,
        } = subdirectory;
        let failed = |error| FileError::new(Attempt::Create, error);
        let handle = parent.handle.open_child(&name).map_err(failed)?;
        if !new {
            self.keep_out(parent, &handle)
                .map_err(|error| FileError::new(Attempt::Enter, error))?;
        }
        let plain = new && parent.plain;
        let start = if plain {
            self.run.start(parent, PRIVATE)
        } else {
            Start::UNKNOWN
        };
        let mut directory = Directory::new(handle, path.clone(), wanted, start, Some(parent));
        (directory.plain, directory.private) = (plain, new);
        Ok((node, Arc::new(directory), chosen))
    }

    /// Whether a directory in another is a store itself.
    fn is_store(&self, parent: &Directory, name: &Name) -> bool {
        let directory = parent.handle.open_child(name);
        directory.is_ok_and(|directory| (self.run.options.keep_out.is)(&directory))
    }

    /// Fails for a directory that was there and is a store, or a part of one that is mounted here.
    fn keep_out(&self, parent: &Directory, directory: &DirHandle) -> io::Result<()> {
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

    /// Makes what is chosen of a directory's entries, or hands it out; returns the directories
    /// among them, in order.
    fn fill<'chosen>(
        &mut self,
        node: NodeId,
        directory: &Arc<Directory>,
        chosen: &'chosen Chosen,
    ) -> Vec<Subdirectory<'chosen>> {
        let mut subdirectories = Vec::new();
        let listed = listing(
            self.run.source,
            node,
            &directory.path,
            chosen,
            |node, entry, chosen| {
                if entry.content.kind() == Kind::Directory {
                    match self.make_directory(directory, node, &entry, chosen) {
                        Ok(subdirectory) => subdirectories.push(subdirectory),
                        Err(error) => self
                            .run
                            .trouble(&entry.path, FileError::new(Attempt::Create, error)),
                    }
                } else {
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
                .trouble(&directory.path, FileError::new(Attempt::List, source));
        }
        subdirectories
    }

    fn make_directory<'chosen>(
        &self,
        parent: &Directory,
        node: NodeId,
        entry: &Entry,
        chosen: &'chosen Chosen,
    ) -> io::Result<Subdirectory<'chosen>> {
        let name = Name::new(entry.path.file_name()).ok_or(io::ErrorKind::InvalidFilename)?;
        let new = match parent.handle.create_dir(&name, PRIVATE) {
            Ok(()) => true,
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && self.run.options.existing == Existing::Replace =>
            {
                let stat = parent.handle.stat_child(&name)?;
                if stat.sort == Sort::Kept(Kind::Directory) {
                    // Not as root we could be kept out of what is ours.
                    // A store is left as it is: it is not entered anyway.
                    if *chosen == Chosen::All
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
        let wanted = (new || *chosen == Chosen::All).then(|| self.run.wanted(&entry.metadata));
        Ok(Subdirectory {
            node,
            name,
            chosen,
            wanted,
            new,
        })
    }

    /// Makes a file with several names at once, so that they can be linked to it; hands out any
    /// other.
    fn file(&mut self, directory: &Arc<Directory>, node: NodeId, entry: Entry) {
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
                        for piece in pieces(extents) {
                            large.enter();
                            self.hand_out(Job::Piece(Arc::clone(&large), piece));
                        }
                        self.run.write_piece(&large, &[]);
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

    fn linked_file(&mut self, directory: &Arc<Directory>, node: NodeId, entry: &Entry) {
        let first = entry.link_to.unwrap_or(node);
        if let Some(known) = self.first_names.get_mut(&first) {
            known.more = known.more.saturating_sub(1);
            let (path, last) = (known.path.clone(), known.more == 0);
            if last {
                self.first_names.remove(&first);
            }
            match self.link(directory, entry, &path) {
                Ok(()) => return,
                // The file system may not have links, or not that many.
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

    /// Links `entry` to what was made at `first`, which is reached step by step, through no link.
    fn link(
        &self,
        directory: &Directory,
        entry: &Entry,
        first: &TreePath,
    ) -> Result<(), FileError> {
        let failed = |error: io::Error| FileError::new(Attempt::Link, error);
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
            self.hand_out(Job::Batch(batch));
        }
    }

    /// Fails only when all writers have ended by a panic, which then ends the run.
    fn hand_out(&self, job: Job<S::Content>) {
        if let Err(lost) = self.jobs.send(job) {
            drop(lost);
        }
    }
}

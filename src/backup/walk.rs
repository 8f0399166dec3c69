//! Lists a tree, directory by directory, in the order of the index: a directory's names sorted by
//! bytes, then each of its subdirectories.
//!
//! Listing is cheap and runs ahead; reading metadata and small files is what costs, and is done for
//! several steps at once by `read`. What comes out is ordered steps, each with a slot for what the
//! reading gives.

use super::base::Base;
use super::compare::Previous;
use super::read::{Found, Reader, Unread};
use crate::format::tar::{DumpDir, Held};
use crate::model::{Cancel, Excludes, Kind, Name, Progress, TreePath, Trouble};
use crate::platform::{DirHandle, ListedName, Sort};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Names that are read together: enough that handing over costs nothing beside reading them, few
/// enough that the content of small files read ahead stays small.
const NAMES_PER_STEP: usize = 64;

/// Steps under way at once, read but not archived or waiting to be read.
const STEPS_AHEAD: usize = 12;

/// A piece of one directory.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) directory: Arc<Directory>,
    /// Whether this is the directory's first step: its own metadata is read with it.
    pub(super) is_first: bool,
    /// With the first: all names of the directory, if they are known.
    pub(super) all: Option<DumpDir>,
    pub(super) names: Vec<Seen>,
    /// Whether names that the level before has are gone; known at the last step.
    pub(super) has_lost: bool,
}

/// A name, and what the level before has under it.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) listed: ListedName,
    pub(super) previous: Option<Previous>,
}

/// A directory being walked.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) path: TreePath,
    /// Its absolute path on disk, which patterns may name.
    pub(super) on_disk: Vec<u8>,
    pub(super) opened: Opened,
    /// What the level before has in its place.
    pub(super) previous: Option<Previous>,
}

/// How a directory is reached.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is open.
    Open(DirHandle),
    /// It could not be opened, or is not to be entered: only what its parent says of it is known.
    Shut(Arc<Directory>, Name),
}

/// What is walked.
pub(super) struct WalkOptions<'run> {
    pub(super) excludes: &'run Excludes,
    /// Device and inode of a directory to leave out: the store, should it lie in the tree.
    pub(super) skip: &'run [(u64, u64)],
    pub(super) mounts: Mounts,
    /// Directories of which only these names are walked: what several sources, or a source that is
    /// a file, lie in.
    pub(super) only: HashMap<TreePath, BTreeSet<Name>>,
    /// What the level is compared with.
    pub(super) base: Option<&'run Base>,
}

/// What happens at a directory where another file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mounts {
    /// It is walked like any other.
    #[default]
    Cross,
    /// It is kept as an empty directory.
    Stay,
}

/// Where the steps go: each to the readers, and its slot, in order, to the archive.
pub(super) struct Steps {
    work: Sender<(Step, Sender<Found>)>,
    slots: Sender<Receiver<Found>>,
}

/// The readers' end.
pub(super) type Work = Receiver<(Step, Sender<Found>)>;

/// The archive's end: what was found, step by step, in order.
pub(super) type Slots = Receiver<Receiver<Found>>;

/// The channels between the walk, the readers and the archive.
pub(super) fn channels() -> (Steps, Work, Slots) {
    let (work, work_end) = bounded(STEPS_AHEAD);
    let (slots, slots_end) = bounded(STEPS_AHEAD);
    (Steps { work, slots }, work_end, slots_end)
}

/// The walk was told to stop, or nobody listens any more.
pub(super) struct Ended;

impl Steps {
    pub(super) fn send(&self, step: Step) -> Result<(), Ended> {
        let (slot, found) = bounded(1);
        self.slots.send(found).map_err(|_| Ended)?;
        self.work.send((step, slot)).map_err(|_| Ended)
    }
}

/// Walks the tree below `root`, which has been opened, and sends its steps.
pub(super) fn walk(
    root: Arc<Directory>,
    options: &WalkOptions<'_>,
    steps: &Steps,
    progress: &dyn Progress,
    cancel: &Cancel,
) -> Result<(), Ended> {
    let device = match &root.opened {
        Opened::Open(handle) => handle.stat().ok().map(|stat| stat.device),
        Opened::Shut(..) => None,
    };
    // Siblings that wait for their turn, innermost last: memory holds the subdirectories of one
    // path, not all.
    let mut waiting: Vec<Pending> = vec![Pending::Open(root)];
    while let Some(next) = waiting.pop() {
        if cancel.is_requested() {
            return Err(Ended);
        }
        let directory = match next {
            Pending::Open(directory) => directory,
            Pending::Named(parent, name, previous) => {
                match open(
                    &parent,
                    name,
                    previous.map(|previous| *previous),
                    options,
                    device,
                    progress,
                ) {
                    Some(directory) => Arc::new(directory),
                    None => continue,
                }
            }
        };
        let names = list(&directory, options, progress);
        let before = waiting.len();
        send_in_steps(&directory, names, options.base, steps, &mut waiting)?;
        waiting[before..].reverse();
    }
    Ok(())
}

enum Pending {
    Open(Arc<Directory>),
    Named(Arc<Directory>, Name, Option<Box<Previous>>),
}

/// Sends a directory's names, each with what was there before; the directories among them are yet
/// to be walked. A directory that could not be listed has none: then nothing is known to be gone
/// either.
fn send_in_steps(
    directory: &Arc<Directory>,
    names: Option<Vec<ListedName>>,
    base: Option<&Base>,
    steps: &Steps,
    waiting: &mut Vec<Pending>,
) -> Result<(), Ended> {
    let is_listed = names.is_some();
    let mut all = names.as_deref().map(all_names);
    let mut earlier = base
        .zip(directory.previous.as_ref())
        .map(|(base, previous)| base.listing(previous));
    let mut names = names.unwrap_or_default().into_iter();
    let mut is_first = true;
    loop {
        let mut step = Vec::with_capacity(names.len().min(NAMES_PER_STEP));
        for listed in names.by_ref().take(NAMES_PER_STEP) {
            let previous = earlier
                .as_mut()
                .and_then(|earlier| earlier.find(listed.name.as_bytes()));
            if listed.sort == Some(Sort::Kept(Kind::Directory)) {
                let previous = previous.as_ref().filter(|previous| previous.is_directory());
                waiting.push(Pending::Named(
                    Arc::clone(directory),
                    listed.name.clone(),
                    previous.cloned().map(Box::new),
                ));
            }
            step.push(Seen { listed, previous });
        }
        if step.is_empty() && !is_first {
            break;
        }
        steps.send(Step {
            directory: Arc::clone(directory),
            is_first,
            all: all.take(),
            names: step,
            has_lost: false,
        })?;
        is_first = false;
    }
    if let Some(earlier) = earlier.filter(|_| is_listed)
        && earlier.finish()
    {
        steps.send(Step {
            directory: Arc::clone(directory),
            is_first,
            all: None,
            names: Vec::new(),
            has_lost: true,
        })?;
    }
    Ok(())
}

/// The names that tar is to know of. Whether a file has a member is not known yet.
fn all_names(names: &[ListedName]) -> DumpDir {
    let mut all = DumpDir::new();
    for listed in names {
        match listed.sort {
            Some(Sort::Kept(Kind::Directory)) => all.push(Held::Directory, listed.name.as_bytes()),
            Some(Sort::Kept(_)) | None => all.push(Held::Here, listed.name.as_bytes()),
            Some(Sort::Socket | Sort::Unknown) => {}
        }
    }
    all
}

/// The names of a directory that are to be kept, sorted, each with what it is; `None` when they
/// cannot be known.
fn list(
    directory: &Directory,
    options: &WalkOptions<'_>,
    progress: &dyn Progress,
) -> Option<Vec<ListedName>> {
    let Opened::Open(handle) = &directory.opened else {
        return None;
    };
    let mut names = match options.only.get(&directory.path) {
        Some(names) => names
            .iter()
            .map(|name| ListedName {
                name: name.clone(),
                sort: None,
            })
            .collect(),
        None => match handle.list() {
            Ok(names) => names,
            Err(error) => {
                progress.trouble(Trouble::new(directory.path.clone(), Unread::List(error)));
                return None;
            }
        },
    };
    if !options.excludes.is_empty() {
        names.retain(|listed| {
            !options
                .excludes
                .matches(&directory.path.join(&listed.name), || {
                    join_on_disk(directory, &listed.name)
                })
        });
    }
    for listed in &mut names {
        if listed.sort.is_none() {
            // A file system that does not tell with the name. One that vanished in between is found
            // out by the reader.
            listed.sort = handle.stat_child(&listed.name).ok().map(|stat| stat.sort);
        }
    }
    names.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    // A name that is renamed while it is listed may come twice.
    names.dedup_by(|left, right| left.name == right.name);
    Some(names)
}

/// Opens a subdirectory. One that cannot be opened any more is told of: its entry is in the index
/// already.
fn open(
    parent: &Arc<Directory>,
    name: Name,
    previous: Option<Previous>,
    options: &WalkOptions<'_>,
    device: Option<u64>,
    progress: &dyn Progress,
) -> Option<Directory> {
    let path = parent.path.join(&name);
    let on_disk = join_on_disk(parent, &name);
    let Opened::Open(handle) = &parent.opened else {
        return None;
    };
    let opened = match handle.open_child(&name) {
        Ok(child) => match child.stat() {
            Ok(stat) if options.skip.contains(&(stat.device, stat.inode)) => {
                tracing::info!(directory = %path, "left out: it is the store itself");
                Opened::Shut(Arc::clone(parent), name)
            }
            Ok(stat)
                if options.mounts == Mounts::Stay
                    && device.is_some_and(|device| device != stat.device) =>
            {
                Opened::Shut(Arc::clone(parent), name)
            }
            _ => Opened::Open(child),
        },
        Err(error) => {
            progress.trouble(Trouble::new(path.clone(), Unread::List(error)));
            Opened::Shut(Arc::clone(parent), name)
        }
    };
    let previous = match (&opened, options.base) {
        (Opened::Open(child), Some(base)) => base.before(previous, child.stat().ok().as_ref()),
        _ => previous,
    };
    Some(Directory {
        path,
        on_disk,
        opened,
        previous,
    })
}

fn join_on_disk(directory: &Directory, name: &Name) -> Vec<u8> {
    let mut path = directory.on_disk.clone();
    if path.last() != Some(&b'/') {
        path.push(b'/');
    }
    path.extend_from_slice(name.as_bytes());
    path
}

/// Reads steps until there are no more. Run by each reader thread.
pub(super) fn serve(work: &Work, reader: &Reader<'_>) {
    while let Ok((step, slot)) = work.recv() {
        // The archive is gone when it failed: the walk will notice.
        let _gone = slot.send(reader.read(step));
    }
}
